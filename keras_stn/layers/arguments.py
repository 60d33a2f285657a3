"""Arguments of `SpatialTransformer`: checked, and as plain values."""

from __future__ import annotations

import numbers

import keras
import numpy as np

from keras_stn import transforms


def check_network(network):
    """Raises `ValueError` unless `network` is a layer or None."""
    if not isinstance(network, (keras.layers.Layer, type(None))):
        raise ValueError(
            "`localization_network` must be a Keras layer or model, so that its weights are "
            f"found, or None. Received: localization_network={network!r}. "
            "Wrap a function in a subclass of `keras.layers.Layer`."
        )


def check_count(name, count):
    """Raises `ValueError` unless `count` is a positive integer."""
    if not isinstance(count, int) or isinstance(count, bool) or count < 1:
        raise ValueError(
            f"`{name}` must be a positive integer. Received: {name}={count!r}. Pass 1 for a "
            f"single {'crop' if name == 'num_transforms' else 'look'}."
        )


def check_step(step):
    """Raises `ValueError` unless `step` is a positive number."""
    if not isinstance(step, numbers.Real) or isinstance(step, bool) or not 0 < step < np.inf:
        raise ValueError(
            f"`localization_step` must be a positive number. Received: localization_step={step!r}. "
            "Pass for example 0.1 for a localization network that learns more slowly."
        )


def check_composition(argument, transform, num_transforms):
    """Raises `ValueError` unless thetas can be composed, as `argument` asks."""
    if type(transform).compose is transforms.Transform.compose or num_transforms > 1:
        raise ValueError(
            f"`{argument}` composes transforms: it needs a family with `compose` and "
            f"num_transforms=1. Received: transform={transform}, num_transforms={num_transforms}. "
            "Use for example transform='affine'."
        )


def check_floating(dtype):
    """Raises `ValueError` unless `dtype` is floating."""
    dtype = keras.backend.standardize_dtype(dtype)
    if not keras.backend.is_float_dtype(dtype):
        raise ValueError(
            "`images` must be floating point: the localization network looks at them too. "
            f"Received: images.dtype={dtype}. Cast them, for example with "
            "`keras.ops.cast(images, 'float32') / 255`."
        )


def images_and_source(images):
    """The pair of tensors [images, source]; the source is the images unless it is given."""
    if not isinstance(images, (list, tuple)):
        return images, images
    if len(images) != 2:
        raise ValueError(
            "`SpatialTransformer` must be called on images, or on the pair [images, source]. "
            f"Received: {len(images)} inputs. Pass one or two."
        )
    return tuple(images)


def two_shapes(shape):
    """The same for shapes."""
    one = not isinstance(shape[0], (list, tuple))
    return (tuple(shape), tuple(shape)) if one else tuple(map(tuple, images_and_source(shape)))


def get_regularizers(identifier):
    """A regularizer, a list of them, or None, from anything that Keras knows."""
    if isinstance(identifier, (list, tuple)):
        return [keras.regularizers.get(regularizer) for regularizer in identifier]
    return keras.regularizers.get(identifier)


def serialize_regularizers(regularizers):
    """What `get_regularizers` returned, as plain values."""
    if isinstance(regularizers, list):
        return [keras.regularizers.serialize(regularizer) for regularizer in regularizers]
    return regularizers and keras.regularizers.serialize(regularizers)


def plain_bounds(bounds):
    """`bounds` as plain values."""
    if bounds is None or isinstance(bounds, (str, dict)):
        return bounds
    return [np.asarray(bound, "float64").tolist() for bound in bounds]
