"""The default localization network: images of any size in, features out."""

from __future__ import annotations

import math

import keras
import numpy as np
from keras import layers, ops

from keras_stn.ops.axes import weighted_along


@keras.saving.register_keras_serializable(package="keras_stn")
class Thumbnail(keras.layers.Layer):
    """Shrinks (or enlarges) images to one size, every output pixel the mean of the area it covers.

    Adaptive average pooling that also works where height and width are known only at run time,
    so that one localization network serves images of every size.

    Args:
        size: (height, width) or (depth, height, width) of the output, in pixels.
        data_format: "channels_last" or "channels_first"; None means
            `keras.config.image_data_format()`.
        **kwargs: Arguments of `keras.layers.Layer`.

    Input shape:
        `(batch, height, width, channels)`, with one more axis for volumes; or channels first.

    Output shape:
        The same with `size` in place of the spatial axes.

    Example:
        >>> import numpy as np
        >>> from keras_stn.layers.localization import Thumbnail
        >>> ramp = np.arange(4, dtype="float32").reshape(1, 1, 4, 1)
        >>> np.array(Thumbnail((1, 2), data_format="channels_last")(ramp)).ravel().tolist()
        [0.5, 2.5]
    """

    def __init__(self, size, *, data_format=None, **kwargs):
        super().__init__(**kwargs)
        self.size = tuple(size)
        self.data_format = data_format or keras.config.image_data_format()

    def call(self, images):
        first = 1 if self.data_format == "channels_last" else 2
        for axis, size in enumerate(self.size, start=first):
            images = weighted_along(axis, images, area_weights(ops.shape(images)[axis], size))
        return images

    def compute_output_shape(self, input_shape):
        if self.data_format == "channels_last":
            return (input_shape[0], *self.size, input_shape[-1])
        return (input_shape[0], input_shape[1], *self.size)

    def get_config(self):
        return {**super().get_config(), "size": self.size, "data_format": self.data_format}


def area_weights(source_size, target_size):
    """(target_size, source_size): the share of each source pixel in each target pixel's mean."""
    scale = ops.cast(source_size, "float32") / target_size
    low = ops.expand_dims(ops.arange(target_size, dtype="float32"), 1) * scale
    pixel = ops.expand_dims(ops.cast(ops.arange(source_size), "float32"), 0)
    overlap = ops.minimum(pixel + 1.0, low + scale) - ops.maximum(pixel, low)
    return ops.maximum(overlap, 0.0) / scale


def default_localization_network(ndim, *, data_format, dtype):
    """A small CNN on a thumbnail of the image: (batch, ...) images to (batch, 64) features.

    No batch normalization and no dropout: theta is then the same in training and inference.
    """
    side = 32 if ndim == 2 else 16
    options = {"data_format": data_format, "dtype": dtype}
    conv = layers.Conv2D if ndim == 2 else layers.Conv3D
    pool = layers.AveragePooling2D if ndim == 2 else layers.AveragePooling3D
    return keras.Sequential(
        [
            Thumbnail((side,) * ndim, **options),
            conv(16, 5, padding="same", activation="relu", **options),
            pool(2, **options),
            conv(32, 5, padding="same", activation="relu", **options),
            pool(2, **options),
            conv(32, 3, padding="same", activation="relu", **options),
            pool(2, **options),
            layers.Flatten(**options),
            layers.Dense(64, activation="relu", dtype=dtype),
        ],
        name="localization_network",
    )


def with_lone_tensors_plain(config):
    """A serialized network, its functional models as newer releases of Keras write them.

    Keras 3.10 writes one input or one output as a list of one, which newer releases take at their
    word: they return a list, and warn of images that come in none.
    """
    match config:
        case {"config": dict(inner)}:
            inner = dict(inner)
        case _:
            return config
    for key in ("input_layers", "output_layers"):
        match inner.get(key):
            case [[str(), int(), int()] as tensor]:
                inner[key] = tensor
    if isinstance(inner.get("layers"), list):  # of a functional or sequential model
        inner["layers"] = [with_lone_tensors_plain(layer) for layer in inner["layers"]]
    return {**config, "config": inner}


def count_features(network, images_shape, dtype):
    """The number of features that `network` finds in an image, or `ValueError` if unknown."""
    try:
        # On the NumPy backend Keras may run the network to learn the shape, on memory that holds
        # anything: what overflows there means nothing.
        with np.errstate(all="ignore"):
            features = network(keras.KerasTensor(images_shape, dtype=dtype))
    except ValueError as error:
        if None not in images_shape[1:]:
            raise
        raise ValueError(
            "`localization_network` must take images of every size that the spatial transformer "
            f"does. Received: images.shape={tuple(images_shape)}, on which it raises: {error} "
            "Begin it with a layer that resizes, or give the input a fixed size."
        ) from error
    if not isinstance(features, keras.KerasTensor) or None in features.shape[1:]:
        raise ValueError(
            "`localization_network` must return one tensor of features whose shape is known "
            f"but for the batch. Received: features={features} for images of shape "
            f"{tuple(images_shape)}. End it with a layer of fixed size, for example global "
            "average pooling, or fix the size of its input."
        )
    return math.prod(features.shape[1:])


# Layers after which features are equal if they were before.
_PASSING = (
    layers.Activation,
    layers.Dropout,
    layers.ELU,
    layers.Flatten,
    layers.LeakyReLU,
    layers.ReLU,
    layers.Reshape,
    layers.Softmax,
)


def check_last_layer(network):
    """Raises `ValueError` if a network ends in a layer whose kernel is all zero: a head to theta.

    Only where a network shows its layers: Keras's own, not a subclass's.
    """
    last = _last_layer(network)
    if _has_zero_kernel(last):
        raise ValueError(
            "`localization_network` must end in features, which differ from image to image: the "
            "spatial transformer has the dense layer to theta itself, its kernel zero and its bias "
            f"the identity. Received: the last layer {last.name!r}, whose kernel is all zero. "
            "Leave that layer out."
        )


def _last_layer(network):
    """The last of a network's layers that computes features; activations are none."""
    inner = getattr(network, "operations", getattr(network, "layers", [network]))
    for layer in reversed(inner):
        if isinstance(layer, keras.Model):
            return _last_layer(layer)
        if not isinstance(layer, _PASSING):
            return layer
    return None


def _has_zero_kernel(layer):
    kernel = getattr(layer, "kernel", None)
    if kernel is None:
        initializer = getattr(layer, "kernel_initializer", None)
        constant = isinstance(initializer, keras.initializers.Constant)
        return isinstance(initializer, keras.initializers.Zeros) or (
            constant and not np.any(initializer.value)
        )
    try:
        return not np.any(ops.convert_to_numpy(kernel))
    except (NotImplementedError, RuntimeError, TypeError):  # within a graph it has no value
        return False
