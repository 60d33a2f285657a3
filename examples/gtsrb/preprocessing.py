"""From an image file to the network's input: grey, 32x32, contrast equalised.

Pillow reads PPM (and what users' photos come in); scikit-image equalises the contrast, adaptively
and with a clip limit (CLAHE). Both run on the CPU whatever the backend, and the same function
serves training and prediction.
"""

from __future__ import annotations

import io

import numpy as np
from PIL import Image, UnidentifiedImageError
from skimage import exposure

from gtsrb.errors import DataError

IMAGE_SIZE = 32
# Part of every cache's key: raise it when the result of `preprocess` changes.
VERSION = 1


def decode(data, name):
    """The Pillow image in the bytes `data`; `name` is for the error message."""
    try:
        image = Image.open(io.BytesIO(data))
        image.load()
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError) as error:
        raise DataError(
            f"{name} is no readable image ({error}). Fetch it again, or leave it out."
        ) from None
    return image


def preprocess(image):
    """A Pillow image of any size and mode as a uint8 array (32, 32)."""
    small = image.convert("L").resize((IMAGE_SIZE, IMAGE_SIZE), Image.Resampling.BILINEAR)
    equalised = exposure.equalize_adapthist(np.asarray(small), kernel_size=IMAGE_SIZE // 4)
    return np.round(255 * equalised).astype("uint8")


def to_input(images):
    """uint8 images (batch, 32, 32) as the network's input: float32 (batch, 32, 32, 1) in [0, 1]."""
    return images[..., None].astype("float32") / 255
