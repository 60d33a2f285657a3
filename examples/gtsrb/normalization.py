"""Normalizations that Keras does not have."""

from __future__ import annotations

import keras
import numpy as np
from keras import ops


@keras.saving.register_keras_serializable(package="gtsrb")
class Standardization(keras.layers.Layer):
    """Each image brought to mean 0 and standard deviation 1, over all its pixels and channels.

    Behind a spatial transformer it is the crop that decides: a dark sign before a bright sky
    becomes as bright and as rich in contrast as any other.
    """

    # The standard deviation, in intensities from 0 to 1, below which noise is not made louder.
    FLOOR = 0.02

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.supports_masking = True

    def compute_output_shape(self, images_shape):
        return images_shape

    def call(self, images):
        x = ops.cast(images, "float32")  # bfloat16 has 8 bits: the darkest signs have 4 levels
        mean = ops.mean(x, axis=(1, 2, 3), keepdims=True)
        deviation = ops.std(x, axis=(1, 2, 3), keepdims=True)
        return ops.cast((x - mean) / (deviation + self.FLOOR), self.compute_dtype)


@keras.saving.register_keras_serializable(package="gtsrb")
class LocalContrastNormalization(keras.layers.Layer):
    """Each pixel less the local mean, over the local standard deviation, both over all channels.

    "Local" is a Gaussian window of 7x7 pixels, which at the edges holds the pixels that exist.

    References:
        - [Jarrett et al., 2009, What is the best multi-stage architecture for object
          recognition?](https://doi.org/10.1109/ICCV.2009.5459469)
    """

    SIZE = 7
    DEVIATION = 1.75  # of the window, in pixels: a quarter of its size, as in torch7
    FLOOR = 1e-4  # of the standard deviation, torch7's too

    def build(self, images_shape):
        offsets = np.arange(self.SIZE) - self.SIZE // 2
        window = np.exp(-0.5 * (offsets / self.DEVIATION) ** 2)
        self._window = (window / window.sum()).astype("float32")

    def compute_output_shape(self, images_shape):
        return images_shape

    def call(self, images):
        x = ops.cast(images, "float32")
        share = self._blurred(ops.ones_like(x[..., :1]))
        x = x - self._blurred(ops.mean(x, axis=-1, keepdims=True)) / share
        variance = self._blurred(ops.mean(x * x, axis=-1, keepdims=True)) / share
        return ops.cast(x / ops.sqrt(ops.maximum(variance, self.FLOOR**2)), self.compute_dtype)

    def _blurred(self, x):
        for shape in ((self.SIZE, 1, 1, 1), (1, self.SIZE, 1, 1)):
            kernel = ops.reshape(ops.convert_to_tensor(self._window), shape)
            x = ops.conv(x, kernel, padding="same", data_format="channels_last")
        return x
