"""Images, localization networks and a family that the tests of the layers share.

Also imported by processes that load saved models: importing it registers its classes.
"""

import keras
import numpy as np
from keras import layers, ops

from keras_stn import ops as stn_ops
from keras_stn.transforms import Transform

# A turn, a zoom and a shift: no row, column or channel is read where it lies.
AFFINE = [0.8, 0.3, 0.1, -0.2, 0.9, -0.15]
AFFINE_3D = [0.8, 0.3, 0.1, 0.1, -0.2, 0.9, 0.05, -0.15, 0.1, -0.1, 0.85, 0.2]


def random_images(*shape, seed=0):
    """Float32 images in [0, 1], each brighter than the last, read-only."""
    images = np.random.default_rng(seed).uniform(size=shape).astype("float32")
    images *= np.linspace(0.2, 1.0, len(images), dtype="float32").reshape(
        -1, *[1] * (len(shape) - 1)
    )
    images.flags.writeable = False
    return images


def set_theta(stn, *thetas):
    """Makes a built spatial transformer return these thetas, one a transform, for every image."""
    stn.head.bias.assign(np.concatenate(thetas).astype("float32"))


def randomize(model, seed=0):
    """Moves every weight by noise."""
    rng = np.random.default_rng(seed)
    model.set_weights([w + 0.1 * rng.normal(size=w.shape) for w in model.get_weights()])


@keras.saving.register_keras_serializable(package="tests")
class MeanFeatures(layers.Layer):
    """A user's network: subclassed, no `training`, and no `compute_output_shape`."""

    def __init__(self, units=4, data_format="channels_last", **kwargs):
        super().__init__(**kwargs)
        self.units = units
        self.data_format = data_format
        self.dense = layers.Dense(units, activation="tanh", dtype=self.dtype_policy)

    def build(self, shape):
        channels = shape[-1] if self.data_format == "channels_last" else shape[1]
        self.dense.build((shape[0], channels))

    def call(self, images):
        rank = len(images.shape)
        axes = range(1, rank - 1) if self.data_format == "channels_last" else range(2, rank)
        return self.dense(ops.mean(images, axis=tuple(axes)))

    def get_config(self):
        return {**super().get_config(), "units": self.units, "data_format": self.data_format}


@keras.saving.register_keras_serializable(package="tests")
class Shift(Transform):
    """A user's family: theta is the shift, in units of `unit` halves of the image."""

    def __init__(self, unit=1.0):
        self.unit = unit

    def num_params(self, ndim=2):
        return ndim

    def identity(self, ndim=2):
        return np.zeros(ndim, "float32")

    def grid(self, theta, output_size, *, align_corners=True):
        ndim = len(output_size)
        shift = ops.reshape(self.unit * theta, (-1, *[1] * ndim, ndim))
        return stn_ops.identity_grid(output_size, align_corners=align_corners) + shift

    def transform_points(self, theta, points):
        return points + self.unit * ops.expand_dims(theta, 1)

    def get_config(self):
        return {"unit": self.unit}


def sequential_network():
    """Ends in features, so that the spatial transformer adds its head."""
    return keras.Sequential([layers.GlobalAveragePooling2D(), layers.Dense(4, activation="tanh")])


def functional_network(shape=(None, None, 1)):
    """Two branches, joined."""
    images = keras.Input(shape)
    mean, peak = layers.GlobalAveragePooling2D()(images), layers.GlobalMaxPooling2D()(images)
    return keras.Model(images, layers.Concatenate()([mean, peak]))
