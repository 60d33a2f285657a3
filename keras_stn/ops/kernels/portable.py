"""The sampler in `keras.ops` alone: what `grid_sample` means, on every Keras backend.

Every sample is a weighted sum of the pixels around it, the product of one weight an axis. Along an
axis, the coordinate is first brought into the image (`_fold`), then split into neighbours, each an
index that is safe to read and a weight that is zero where there is no pixel.
"""

from __future__ import annotations

import functools
import itertools
import math
import operator

from keras import ops

from keras_stn.ops.coordinates import number, to_pixels
from keras_stn.ops.kernels.barrier import compute_once

# Pixels: more than float32 coordinates are off by, in images of up to some ten thousand pixels.
ROUNDING = 1e-3


def sample(images, grid, *, interpolation, fill_mode, fill_value, align_corners, data_format):
    """Samples `images` at `grid`; arguments as checked by `keras_stn.ops.grid_sample`.

    `grid` is finite, in the dtype of the arithmetic, and may have any rank >= 2.
    """
    if data_format == "channels_first":
        images = ops.moveaxis(images, 1, -1)
    batch, *sizes, channels = ops.shape(images)
    grid_shape = ops.shape(grid)
    points = functools.reduce(operator.mul, grid_shape[1:-1], 1)
    grid = ops.reshape(grid, (grid_shape[0], points, len(sizes)))

    axes = pixel_axes(grid, sizes, fill_mode=fill_mode, align_corners=align_corners)
    # Pixels of the whole batch in one list, so that one index finds image, row and column.
    pixels = ops.reshape(images, (functools.reduce(operator.mul, sizes, batch), channels))
    first = ops.expand_dims(ops.arange(batch, dtype="int32"), 1)

    def read(corner):
        index = first
        for size, (axis_index, _) in zip(sizes, corner, strict=True):
            index = index * size + axis_index
        # `jax.numpy.take` drops an axis if there is nothing to take.
        return ops.reshape(ops.take(pixels, index, axis=0), (batch, points, channels))

    neighbours = _nearest if interpolation == "nearest" else _linear
    corners = itertools.product(
        *(neighbours(x, size, fill_mode) for x, size in zip(axes, sizes, strict=True))
    )
    if interpolation == "nearest":
        (corner,) = corners
        samples = read(corner)
        if fill_mode == "constant":
            inside = functools.reduce(ops.logical_and, (valid for _, valid in corner))
            fill = ops.cast(fill_value, samples.dtype)
            samples = ops.where(ops.expand_dims(inside, -1), samples, fill)
    else:
        samples = 0.0
        for corner in corners:
            weight = functools.reduce(operator.mul, (weight for _, weight in corner))
            samples += ops.expand_dims(weight, -1) * ops.cast(read(corner), grid.dtype)
        if fill_mode == "constant" and fill_value != 0:
            samples += ops.expand_dims(fill_share(axes, sizes, fill_value), -1)
        samples = ops.cast(samples, images.dtype)

    samples = ops.reshape(samples, (*grid_shape[:-1], channels))
    if data_format == "channels_first":
        samples = ops.moveaxis(samples, -1, 1)
    return samples


def pixel_axes(grid, sizes, *, fill_mode, align_corners):
    """Pixel coordinates of a grid, folded into the image: one tensor an axis, rows first."""
    return [
        compute_once(_fold(to_pixels(x, size, align_corners=align_corners), size, fill_mode))
        for x, size in zip(reversed(ops.unstack(grid, axis=-1)), sizes, strict=True)
    ]


def fill_share(axes, sizes, fill_value):
    """What `fill_value` adds to linear samples at the pixel coordinates `axes`.

    Exactly zero for a sample all of whose pixels exist, whatever the fill value.
    """
    covered = 1.0
    for x, size in zip(axes, sizes, strict=True):
        low, fraction = _split(x)
        missing = ops.where(_exists(low, size), 0.0, 1.0 - fraction)
        missing += ops.where(_exists(low + 1.0, size), 0.0, fraction)
        covered = covered * (1.0 - missing)
    outside = 1.0 - covered
    if math.isfinite(fill_value):
        return outside * fill_value
    # No product: it would bring NaN, and NaN gradients, inside the image. Nor may a coordinate
    # that rounding put a hair outside: under `align_corners=False` the identity's corners can be.
    return ops.where(outside > ROUNDING, fill_value, 0.0)


def _fold(x, size, fill_mode):
    """Brings pixel coordinates to where there are pixels to read, by the fill mode.

    Clamping has no gradient on and beyond its bounds. Under "constant" these lie in the fill: two
    pixels out on the left, since one pixel out the derivative to the right still sees the image.
    """
    size = number(size, x.dtype)
    if fill_mode == "constant":
        return _clamp(x, -2.0, size)
    if fill_mode == "mirror":  # about the centre of the edge pixel: period 2 (size - 1)
        x = _reflect(x, 0.0, size - 1.0)
    elif fill_mode == "reflect":  # about the outer edge of the edge pixel: period 2 size
        x = _reflect(x, -0.5, size)
    elif fill_mode == "wrap":
        return x - ops.floor(x / size) * size
    return _clamp(x, 0.0, size - 1.0)


def _clamp(x, low, high):
    # Selections, not `clip`: backends differ in the gradient of `clip` on its bounds.
    x = ops.where(x > low, x, low)
    return ops.where(x < high, x, high)


def _reflect(x, edge, length):
    """Reflects `x` into [edge, edge + length]."""
    # About the centres of one pixel the length is 0: any period will do, the clamp follows.
    period = ops.maximum(ops.cast(2.0 * length, x.dtype), 1.0)
    x = x - edge
    x = x - ops.floor(x / period) * period
    return edge + ops.where(x > length, 2.0 * length - x, x)


def _split(x):
    low = ops.floor(x)
    return low, x - low


def _exists(index, size):
    return ops.logical_and(index >= 0.0, index <= number(size, index.dtype) - 1.0)


def _readable(index, size, fill_mode):
    """The int32 index to read for a float `index` that may lie a pixel outside the image."""
    index = ops.cast(index, "int32")
    if fill_mode == "wrap":
        # Where an accelerator's division is not correctly rounded, folding can end a hair below 0.
        index = ops.where(index < 0, index + size, index)
        return ops.where(index >= size, index - size, index)
    return ops.clip(index, 0, size - 1)


def _nearest(x, size, fill_mode):
    """The nearest pixel, halves to even: [(index, whether it exists)]."""
    index = ops.round(x)
    return [(_readable(index, size, fill_mode), _exists(index, size))]


def _linear(x, size, fill_mode):
    """The two pixels around `x`: [(index, weight)]."""
    low, fraction = _split(x)
    neighbours = [(low, 1.0 - fraction), (low + 1.0, fraction)]
    if fill_mode == "constant":
        neighbours = [(i, ops.where(_exists(i, size), weight, 0.0)) for i, weight in neighbours]
    return [(_readable(index, size, fill_mode), weight) for index, weight in neighbours]
