"""From a picture to the pixels that a network takes: square, uint8, grey or in colour.

Pillow resizes; scikit-image equalises the contrast, adaptively and with a clip limit (CLAHE). Both
run on the CPU whatever the backend, and the same function serves training and prediction.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image
from skimage import exposure

# Part of every cache's key: raise it when the result of a `Preprocessing` changes.
VERSION = 2


@dataclass(frozen=True)
class Preprocessing:
    """What is done to every image before a network sees it.

    Attributes:
        size: int, height and width of the result in pixels.
        color: bool. True keeps the colours; False makes the image grey and equalises its contrast,
            as the article does.
    """

    size: int
    color: bool

    @property
    def shape(self):
        """Shape of one image, (size, size, channels)."""
        return (self.size, self.size, 3 if self.color else 1)

    def __call__(self, image):
        """A Pillow image of any size, as `decode` returns it, as a uint8 array of `shape`."""
        if self.color:
            # Bicubic: far from all signs are as large as the result. Pillow averages when it
            # shrinks, whatever the filter.
            small = image.convert("RGB").resize((self.size,) * 2, Image.Resampling.BICUBIC)
            return np.asarray(small)
        small = image.convert("L").resize((self.size,) * 2, Image.Resampling.BILINEAR)
        equalised = exposure.equalize_adapthist(np.asarray(small), kernel_size=self.size // 4)
        return np.round(255 * equalised).astype("uint8")[..., None]
