"""From the bytes of an image file to 8-bit RGB, whatever the file stores.

Pillow clips what has more than 8 bits when it converts it: a 16-bit photo would come out white.
"""

from __future__ import annotations

import io
import warnings

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from common.errors import DataError

# What white may be: in floats, and in integers of 8, 16 and 32 bits.
WHITES = (1, 2**8 - 1, 2**16 - 1, 2**31 - 1, 2**32 - 1)
OVERSHOOT = 0.1  # beyond black and white, which sharpening and bicubic resizing leave
BACKGROUND = "white"


def decode(data, name):
    """The picture in the bytes of an image file, as a Pillow image of mode "RGB".

    Convention:
        - The first frame of animations, upright as the EXIF orientation says.
        - Transparent pixels show a white background, as in a browser.
        - 16-bit and 32-bit integers and floats are grey values. White is the smallest of 1 (floats
          only), 255, 65,535, 2**31 - 1 and 2**32 - 1 that no pixel exceeds by more than a tenth;
          negative values are black, up to a tenth of the highest value.

    Args:
        data: bytes, of any format that Pillow knows.
        name: str, for the error message.

    Raises:
        DataError: No such image, a broken one, or one without a known white.
    """
    try:
        with warnings.catch_warnings():
            # What Pillow warns of (odd metadata, photos of more than 89 million pixels) it reads.
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(data)) as image:
                image.load()
                return _rgb(ImageOps.exif_transpose(image), _is_unsigned(image))
    except UnidentifiedImageError:
        reason = "of no format that Pillow knows" if data else "empty"
    except Image.DecompressionBombError:
        raise DataError(
            f"{name} is too large: Pillow reads at most {2 * Image.MAX_IMAGE_PIXELS:,} pixels. "
            "Scale it down, or leave it out."
        ) from None
    except Exception as error:  # Pillow's readers raise all kinds for a broken file
        reason = " ".join(str(error).split()) or type(error).__name__
    raise DataError(f"{name} is no readable image ({reason}). Fetch it again, or leave it out.")


def _rgb(image, unsigned):
    if image.mode.startswith(("I", "F")):
        pixels = np.asarray(image)
        if image.mode == "I" and unsigned:
            pixels = pixels.view("uint32")  # Pillow has 32-bit integers with a sign alone
        return Image.fromarray(_eight_bits(pixels)).convert("RGB")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, BACKGROUND), image).convert(
            "RGB"
        )
    return image.convert("RGB")


def _is_unsigned(image):
    """Whether a TIFF file says that its integers have no sign, as they have by default."""
    sample_format = 339
    return image.format == "TIFF" and image.tag_v2.get(sample_format, (1,))[0] == 1


def _eight_bits(pixels):
    """Grey values with a white that nothing states, as uint8."""
    low, high = float(pixels.min()), float(pixels.max())
    whites = WHITES if pixels.dtype.kind == "f" else WHITES[1:]
    white = next((white for white in whites if high <= (1 + OVERSHOOT) * white), None)
    if white is None or not low >= -OVERSHOOT * high:  # `not`, for NaN
        raise ValueError(f"its pixels go from {low:g} to {high:g}: expected black at 0, white at 1")
    return np.round(255 * np.clip(pixels / white, 0, 1)).astype("uint8")
