"""Signs turned, shifted and scaled: at random while training, and frozen for validation."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass

import keras
import numpy as np
from keras import ops

from keras_stn.ops import affine_grid, grid_sample


@dataclass(frozen=True)
class Ranges:
    """How far signs may be moved.

    Formula: source = zoom R [[stretch, shear], [0, 1 / stretch]] target + shift, R the rotation.

    Attributes:
        rotation: float, degrees to either side.
        zoom: float of at least 1: signs become up to so many times as large or as small.
        shift: float, in half image sides, in any direction along x and y.
        stretch: float of at least 1: up to so many times as wide and as low, or the reverse.
        shear: float, how far the upper edge moves along itself, in half image sides.
    """

    rotation: float = 0.0
    zoom: float = 1.0
    shift: float = 0.0
    stretch: float = 1.0
    shear: float = 0.0

    def thetas(self, uniform):
        """Thetas (n, 6) of `transforms.Affine` from numbers (n, 6), uniform in [-1, 1]."""
        uniform = ops.convert_to_tensor(uniform)
        angle = math.radians(self.rotation) * uniform[:, 0]
        zoom = ops.exp(math.log(self.zoom) * uniform[:, 1])
        shift_x, shift_y = self.shift * uniform[:, 2], self.shift * uniform[:, 3]
        stretch = ops.exp(math.log(self.stretch) * uniform[:, 4])
        shear = self.shear * uniform[:, 5]
        cos, sin = zoom * ops.cos(angle), zoom * ops.sin(angle)
        rows = [
            *(cos * stretch, cos * shear - sin / stretch, shift_x),
            *(sin * stretch, sin * shear + cos / stretch, shift_y),
        ]
        return ops.stack(rows, axis=1)


NUMBERS = 6  # random ones for a theta


# The validation sets beside the plain one. A sign fills about three quarters of its image: what
# is shifted or enlarged more than this leaves it.
PERTURBATIONS = {
    "rotated": Ranges(rotation=45),
    "shifted": Ranges(shift=0.3),
    "scaled": Ranges(zoom=1.6),
    "all three": Ranges(rotation=45, shift=0.3, zoom=1.6),
}
SEED = 2015
BATCH = 256


def warp(images, thetas):
    """Float images (n, side, side, channels), warped; the edge is repeated outside."""
    grid = affine_grid(thetas, images.shape[1:3], align_corners=False)
    return grid_sample(
        images, grid, fill_mode="nearest", align_corners=False, data_format="channels_last"
    )


def perturbed(images, ranges):
    """An `ImageSet` warped within `ranges`, the same whenever it is made and at every size.

    Args:
        images: The `ImageSet`; its order decides which image is warped how.
        ranges: The `Ranges`.
    """
    uniform = np.random.default_rng(SEED).uniform(-1, 1, (len(images), NUMBERS)).astype("float32")
    warped = np.empty_like(images.images)
    for start in range(0, len(images), BATCH):
        chosen = slice(start, start + BATCH)
        result = warp(images.images[chosen].astype("float32"), ranges.thetas(uniform[chosen]))
        warped[chosen] = np.round(ops.convert_to_numpy(result))
    return images.with_images(warped)


@keras.saving.register_keras_serializable(package="gtsrb")
class RandomWarp(keras.layers.Layer):
    """Warps every image anew in training, and passes it on unchanged in inference.

    Args:
        ranges: The `Ranges`, or a dictionary of its attributes.
        seed: int.
        **kwargs: Arguments of `keras.layers.Layer`.
    """

    def __init__(self, ranges, seed=0, **kwargs):
        super().__init__(**kwargs)
        self.ranges = Ranges(**ranges) if isinstance(ranges, dict) else ranges
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    def compute_output_shape(self, images_shape):
        return images_shape

    def call(self, images, training=False):
        if not training:
            return images
        uniform = keras.random.uniform(
            (ops.shape(images)[0], NUMBERS), -1, 1, dtype="float32", seed=self.seed_generator
        )
        return warp(images, self.ranges.thetas(uniform))

    def get_config(self):
        return {**super().get_config(), "ranges": asdict(self.ranges), "seed": self.seed}
