"""Arguments of the layers: checked, and as plain values."""

from __future__ import annotations

import numbers
import operator
import re

import keras
import numpy as np
from keras import ops

from keras_stn import regularizers, transforms
from keras_stn.ops.sampling import check_images_shape

# Penalties on theta by name, written like those of Keras.
PENALTIES = {
    name: penalty
    for penalty in (
        regularizers.IdentityDistance,
        regularizers.LogScale,
        regularizers.OutsideImage,
        regularizers.BendingEnergy,
    )
    for name in (penalty.__name__, re.sub(r"\B(?=[A-Z])", "_", penalty.__name__).lower())
}


def check_network(network):
    """Raises `ValueError` unless `network` is a layer or None."""
    if not isinstance(network, (keras.layers.Layer, type(None))):
        raise ValueError(
            "`localization_network` must be a Keras layer or model, so that its weights are "
            f"found, or None. Received: localization_network={network!r}. "
            "Wrap a function in a subclass of `keras.layers.Layer`."
        )


def check_count(name, count):
    """`count` as an int, or `ValueError` unless it is a positive integer, NumPy's too."""
    if not isinstance(count, numbers.Integral) or isinstance(count, bool) or count < 1:
        raise ValueError(
            f"`{name}` must be a positive integer. Received: {name}={count!r}. Pass 1 for a "
            f"single {'crop' if name == 'num_transforms' else 'look'}."
        )
    return operator.index(count)


def check_gain(gain):
    """`gain` as a float, or `ValueError` unless it is a positive number."""
    if not isinstance(gain, numbers.Real) or isinstance(gain, bool) or not 0 < gain < np.inf:
        raise ValueError(
            f"`theta_gain` must be a positive number. Received: theta_gain={gain!r}. "
            "Pass for example 0.1 for a localization network that learns more slowly."
        )
    return float(gain)


def check_composition(argument, transform, num_transforms):
    """Raises `ValueError` unless thetas can be composed, as `argument` asks."""
    if type(transform).compose is transforms.Transform.compose or num_transforms > 1:
        raise ValueError(
            f"`{argument}` composes transforms: it needs a family with `compose` and "
            f"num_transforms=1. Received: transform={transform}, num_transforms={num_transforms}. "
            "Use for example transform='affine'."
        )


def check_initial_theta(theta, images_shape, transform, num_transforms):
    """Raises `ValueError` unless `theta`, a tensor, can be composed with those of the images."""
    shape, ndim = tuple(theta.shape), len(images_shape) - 2
    if len(shape) >= 4:
        raise ValueError(
            "`SpatialTransformer` must be called on images, or on images and source in one list. "
            f"Received: a second argument, `initial_theta`, of shape {shape}, which is that of "
            "images. Call it on [images, source]."
        )
    check_composition("initial_theta", transform, num_transforms)
    params = transform.num_params(ndim)
    known = [(params,), (ndim, ndim + 1)]
    known = known if isinstance(transform, transforms.Affine) else known[:1]
    if shape[1:] not in known:
        wanted = " or ".join(f"(batch, {', '.join(map(str, trailing))})" for trailing in known)
        raise ValueError(
            f"`initial_theta` must have shape {wanted} for {transform!r}. Received: "
            f"initial_theta.shape={shape}. Pass thetas of the layer's own family."
        )
    shared_batch(images=images_shape, initial_theta=shape)
    dtype = keras.backend.standardize_dtype(theta.dtype)
    if not keras.backend.is_float_dtype(dtype):
        raise ValueError(
            f"`initial_theta` must be floating point. Received: initial_theta.dtype={dtype}. "
            "Cast it, for example with `keras.ops.cast(initial_theta, 'float32')`."
        )


def shared_batch(**shapes):
    """The batch size of them all, a batch of one serving for any; `ValueError` if they differ."""
    # A size that is neither a number nor None is one that an exporter traces: unknown too.
    sizes = {n if isinstance(n, int) else None for n, *_ in shapes.values()} - {1}
    if len(sizes - {None}) > 1:
        received = ", ".join(f"{name}.shape={tuple(shape)}" for name, shape in shapes.items())
        raise ValueError(
            f"{' and '.join(f'`{name}`' for name in shapes)} must have the same batch size, or "
            f"one of them a batch of one. Received: {received}. Pass one of each image."
        )
    return max(sizes - {None}, default=None if sizes else 1)


def check_floating(dtype):
    """Raises `ValueError` unless `dtype` is floating."""
    dtype = keras.backend.standardize_dtype(dtype)
    if not keras.backend.is_float_dtype(dtype):
        raise ValueError(
            "`images` must be floating point: the localization network looks at them too. "
            f"Received: images.dtype={dtype}. Cast them, for example with "
            "`keras.ops.cast(images, 'float32') / 255`."
        )


def check_shapes(images_shape, source_shape, output_size, data_format):
    """Raises `ValueError` unless images and source have shapes that fit each other and the size."""
    ndim = check_images_shape(images_shape, data_format)
    if check_images_shape(source_shape, data_format) != ndim:
        raise ValueError(
            "`images` and `source` must have equally many axes. Received: "
            f"images.shape={tuple(images_shape)}, source.shape={tuple(source_shape)}. "
            "Pass two batches of images, or two of volumes."
        )
    shared_batch(images=images_shape, source=source_shape)
    if output_size is not None and len(output_size) != ndim:
        raise ValueError(
            f"`output_size` must have as many axes as the images, {ndim}. Received: "
            f"output_size={output_size}, images.shape={tuple(images_shape)}. "
            "Pass (height, width) for images, (depth, height, width) for volumes."
        )


def compute_dtype_of(dtype, compute_dtype):
    """The dtype that a layer reads images of `dtype` in: integers stay what they are."""
    return compute_dtype if keras.backend.is_float_dtype(dtype) else dtype


def cast_images(images, compute_dtype):
    """Images in `compute_dtype` if they are floating.

    In place of Keras's own cast, which would round thetas and grids too.
    """
    images = ops.convert_to_tensor(images)
    dtype = keras.backend.standardize_dtype(images.dtype)
    return ops.cast(images, compute_dtype_of(dtype, compute_dtype))


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
    """A regularizer, a list of them, or None, from names, ours too, and all that Keras knows."""
    if isinstance(identifier, (list, tuple)):
        return [get_regularizers(regularizer) for regularizer in identifier]
    if isinstance(identifier, str) and identifier in PENALTIES:
        return PENALTIES[identifier]()
    if isinstance(identifier, dict):  # of a file: Keras says what is wrong with it
        return keras.regularizers.get(identifier)
    try:
        return keras.regularizers.get(identifier)
    except ValueError as error:
        raise ValueError(
            "`theta_regularizer` must be a regularizer, a list of them, None, or the name of one: "
            f"{', '.join(map(repr, PENALTIES))}, or a name of Keras's. Received: "
            f"theta_regularizer={identifier!r}. Pass for example theta_regularizer='log_scale'."
        ) from error


def serialize_regularizers(regularizers):
    """What `get_regularizers` returned, as plain values."""
    if isinstance(regularizers, list):
        return [keras.regularizers.serialize(regularizer) for regularizer in regularizers]
    return regularizers and keras.regularizers.serialize(regularizers)


def plain_bounds(bounds):
    """`bounds` as plain values."""
    if bounds is None or isinstance(bounds, str):
        return bounds
    if isinstance(bounds, dict):
        return {name: np.asarray(limit, "float64").item() for name, limit in bounds.items()}
    return [np.asarray(bound, "float64").tolist() for bound in bounds]
