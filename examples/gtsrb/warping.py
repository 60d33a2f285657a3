"""Signs turned, shifted and scaled: at random while training, and frozen for validation."""

from __future__ import annotations

from dataclasses import dataclass

import keras
import numpy as np
from keras import ops

from keras_stn import transforms
from keras_stn.ops import grid_sample


@dataclass(frozen=True)
class Ranges:
    """How far signs may be moved.

    Attributes:
        rotation: float, degrees to either side.
        zoom: float of at least 1: signs become up to so many times as large or as small.
        shift: float, in half image sides, in any direction along x and y.
    """

    rotation: float = 0.0
    zoom: float = 1.0
    shift: float = 0.0

    def thetas(self, uniform):
        """Thetas (n, 4) of `transforms.Similarity` from numbers (n, 4), uniform in [-1, 1]."""
        scale = ops.exp(np.log(self.zoom) * uniform[:, :1])
        angle = np.radians(self.rotation) * uniform[:, 1:2]
        return ops.concatenate([scale, angle, self.shift * uniform[:, 2:]], axis=1)


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
    grid = transforms.Similarity().grid(thetas, tuple(images.shape[1:3]), align_corners=False)
    return grid_sample(
        images, grid, fill_mode="nearest", align_corners=False, data_format="channels_last"
    )


def perturbed(images, ranges):
    """An `ImageSet` warped within `ranges`, the same whenever it is made and at every size.

    Args:
        images: The `ImageSet`; its order decides which image is warped how.
        ranges: The `Ranges`.
    """
    uniform = np.random.default_rng(SEED).uniform(-1, 1, (len(images), 4)).astype("float32")
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
        rotation, zoom, shift: See `Ranges`.
        seed: int.
        **kwargs: Arguments of `keras.layers.Layer`.
    """

    def __init__(self, rotation=0.0, zoom=1.0, shift=0.0, seed=0, **kwargs):
        super().__init__(**kwargs)
        self.ranges = Ranges(rotation, zoom, shift)
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    def call(self, images, training=False):
        if not training:
            return images
        uniform = keras.random.uniform(
            (ops.shape(images)[0], 4), -1, 1, dtype="float32", seed=self.seed_generator
        )
        return warp(images, self.ranges.thetas(uniform))

    def get_config(self):
        ranges = self.ranges
        return {
            **super().get_config(),
            "rotation": ranges.rotation,
            "zoom": ranges.zoom,
            "shift": ranges.shift,
            "seed": self.seed,
        }
