"""The sampler in `keras.ops` alone: what `grid_sample` means, on every Keras backend.

Every sample is a weighted sum of the pixels around it, the product of one weight an axis.
"""

from __future__ import annotations

import functools
import itertools
import math
import operator

from keras import ops

from keras_stn.ops.axes import channels_to_first, channels_to_last
from keras_stn.ops.coordinates import bounded, to_pixels
from keras_stn.ops.kernels.taps import fold, missing, nearest_tap, taps

# Pixels: more than float32 coordinates are off by, in images of up to some ten thousand pixels.
ROUNDING = 1e-3


# The most elements that an array indexed by int32 may have.
MOST_ELEMENTS = 2**31 - 1


def take(pixels, indices, shape):
    """The pixels at `indices`, one tensor (batch, points) an axis, all of them in bounds.

    `pixels`, (count, channels), are those of images of this `shape`, channels last.
    """
    index = flat_index(indices, shape)
    rows = ops.take(pixels, index, axis=0)
    # `jax.numpy.take` drops an axis if there is nothing to take.
    return ops.reshape(rows, (*ops.shape(index), shape[-1]))


def interpolate(images, axes, *, interpolation, fill_mode, orders=None, read=take):
    """Weighted sums of the pixels around the folded coordinates `axes`.

    Args:
        images: (batch, *sizes, channels), of any float dtype.
        axes: Pixel coordinates, one tensor (batch, points) a spatial axis, rows first. Their batch
            or that of the images may be 1, and then serves all of the other.
        interpolation: "bilinear" or "bicubic".
        fill_mode: As in `grid_sample`.
        orders: How often to differentiate to each of `axes`; None is not at all.
        read: The gather to use.

    Returns:
        (batch, points, channels) in the dtype of `axes`.
    """
    shape = ops.shape(images)
    sizes = shape[1:-1]
    dtype = axes[0].dtype
    corners = itertools.product(
        *(
            taps(x, size, interpolation=interpolation, fill_mode=fill_mode, order=order)
            for x, size, order in zip(axes, sizes, orders or (0,) * len(axes), strict=True)
        )
    )
    pixels = _pixels(images)
    samples = 0.0
    for corner in corners:
        weight = functools.reduce(operator.mul, (weight for _, weight in corner))
        values = read(pixels, [index for index, _ in corner], shape)
        samples = samples + ops.expand_dims(weight, -1) * ops.cast(values, dtype)
    return samples


def _pixels(images):
    """Pixels of the whole batch in one list, so that one index finds image, row and column."""
    return ops.reshape(images, (-1, ops.shape(images)[-1]))


def flat_index(indices, shape):
    """The place in the list of all pixels, of images of this `shape`, of those at `indices`."""
    dtype = index_dtype(shape)
    index = ops.expand_dims(ops.arange(0, shape[0], dtype=dtype), 1)
    for size, axis_index in zip(shape[1:-1], indices, strict=True):
        size = ops.cast(size, dtype) if ops.is_tensor(size) else size
        index = index * size + ops.cast(axis_index, dtype)
    return index


def index_dtype(shape):
    """What counts every element of an array of this `shape`: "int64" where that is unknown."""
    known = all(isinstance(size, int) for size in shape)
    return "int32" if known and math.prod(shape) <= MOST_ELEMENTS else "int64"


def sample(
    images,
    grid,
    *,
    interpolation,
    fill_mode,
    fill_value,
    align_corners,
    data_format,
    interpolate=interpolate,
    read=take,
):
    """Samples `images` at `grid`; arguments as checked by `keras_stn.ops.grid_sample`.

    `grid` comes in the dtype of the arithmetic and may have any rank >= 2. `interpolate` and
    `read` are a backend's faster forms of `interpolate` and `take`.
    """
    if data_format == "channels_first":
        images = channels_to_last(images)
    shape = ops.shape(images)
    sizes = shape[1:-1]
    grid_shape = ops.shape(grid)
    points = functools.reduce(operator.mul, grid_shape[1:-1], 1)
    grid = ops.reshape(grid, (grid_shape[0], points, len(sizes)))
    modes = {"interpolation": interpolation, "fill_mode": fill_mode}
    axes = pixel_axes(grid, sizes, align_corners=align_corners, **modes)

    if interpolation == "nearest":
        nearest = [
            nearest_tap(x, size, fill_mode=fill_mode) for x, size in zip(axes, sizes, strict=True)
        ]
        samples = read(_pixels(images), [index for index, _ in nearest], shape)
        if fill_mode == "constant":
            inside = functools.reduce(ops.logical_and, (there for _, there in nearest))
            fill = ops.cast(fill_value, samples.dtype)
            samples = ops.where(ops.expand_dims(inside, -1), samples, fill)
    else:
        samples = interpolate(images, axes, **modes)
        if fill_mode == "constant" and fill_value != 0:
            share = missing_share(axes, sizes, interpolation=interpolation)
            samples = samples + ops.expand_dims(fill_with(share, fill_value), -1)
        samples = ops.cast(samples, images.dtype)

    # Of the samples: a grid of one serves a batch.
    batch = ops.shape(samples)[0]
    samples = ops.reshape(samples, (batch, *grid_shape[1:-1], shape[-1]))
    if data_format == "channels_first":
        samples = channels_to_first(samples)
    return samples


def pixel_axes(grid, sizes, *, interpolation, fill_mode, align_corners):
    """Pixel coordinates of a grid, folded into the image: one tensor an axis, rows first."""
    axes = []
    # One coordinate at a time: XLA then sees through a grid that was stacked from them.
    for x, size in zip(reversed(ops.unstack(grid, axis=-1)), sizes, strict=True):
        x = to_pixels(bounded(x), size, align_corners=align_corners)
        axes.append(fold(x, size, interpolation=interpolation, fill_mode=fill_mode))
    return axes


def missing_share(axes, sizes, *, interpolation):
    """The share of samples at the pixel coordinates `axes` that lies outside the image.

    Exactly zero for a sample all of whose pixels exist.
    """
    present = (
        1.0 - missing(x, size, interpolation=interpolation)
        for x, size in zip(axes, sizes, strict=True)
    )
    return 1.0 - functools.reduce(operator.mul, present)


def fill_with(share, fill_value):
    """What `fill_value` adds to samples of which `share` lies outside the image."""
    if math.isfinite(fill_value):
        return share * fill_value
    # No product: it would bring NaN, and NaN gradients, inside the image. Nor may a coordinate
    # that rounding put a hair outside: under `align_corners=False` the identity's corners can be.
    return ops.where(ops.abs(share) > ROUNDING, ops.cast(fill_value, share.dtype), 0.0)
