"""Along one axis: the pixels that a sample reads, and the weight of each.

A coordinate is first brought to where there are pixels (`fold`), then split into taps: each an
index that is safe to read, and a weight that is zero where there is no pixel.
"""

from __future__ import annotations

import numpy as np
from keras import ops
from numpy.polynomial.polynomial import polyder

from keras_stn.ops.coordinates import clamp, number

_A = -0.75  # of cubic convolution, the `a` of Keys (1981), as in torch and ONNX

# In sizes of the axis: how far float32 may put a coordinate from half-way between two pixels if it
# lies there in exact arithmetic. In units of 2**-24 sizes, a grid at most n images wide is off by
# n / 4 for each rounding that it went through, and `to_pixels` by n / 2 for its product and n for
# its sum: 2.5 for an image's own grid that was rounded four times, 6 for three images side by side.
HALF_WAY = 2.0**-21

# Counted from the pixel to the left of the coordinate.
FIRST_TAPS = {"bilinear": 0, "bicubic": -1}

# One row a tap: its weight as a polynomial of the coordinate's distance to the pixel to its left,
# lowest power first.
KERNELS: dict[str, list[list[float]]] = {
    "bilinear": [[1, -1], [0, 1]],
    "bicubic": [
        [0, _A, -2 * _A, _A],
        [1, 0, -_A - 3, _A + 2],
        [0, -_A, 2 * _A + 3, -_A - 2],
        [0, 0, _A, -_A],
    ],
}

# The same for each derivative, up to one that is zero for all kernels.
MAX_ORDER = 4
DERIVATIVES = {
    name: [polyder(table, order, axis=1).tolist() for order in range(MAX_ORDER + 1)]
    for name, table in KERNELS.items()
}


def fold(x, size, *, interpolation, fill_mode):
    """Brings pixel coordinates to where there are pixels to read, by the fill mode.

    Clamping has no gradient on and beyond its bounds. Where it is exact to do so, these are set
    where every weight and derivative is zero or reads one pixel alone: one pixel further out on
    the left than the taps reach, since the derivative to the right may still see the image.
    """
    size = number(size, x.dtype)
    reach = 2.0 if interpolation == "bicubic" else 1.0
    if fill_mode == "constant":
        return clamp(x, -reach - 1.0, size + reach - 1.0)
    if fill_mode == "mirror":  # about the centre of the edge pixel: period 2 (size - 1)
        x = _reflect(x, 0.0, size - 1.0)
    elif fill_mode == "reflect":  # about the outer edge of the edge pixel: period 2 size
        x = _reflect(x, -0.5, size)
    elif fill_mode == "wrap":
        x = x - ops.floor(x / size) * size
        # A hair below 0 is rounded up to the whole period.
        return ops.where(x >= size, x - size, x)
    if interpolation == "bicubic":  # whose taps are brought into the image one by one
        return clamp(x, -reach, size + reach - 1.0)
    return clamp(x, 0.0, size - 1.0)


def _reflect(x, edge, length):
    """Reflects `x` into [edge, edge + length]."""
    # About the centres of one pixel the length is 0: any period will do, the clamp follows.
    period = ops.maximum(ops.cast(2.0 * length, x.dtype), 1.0)
    x = x - edge
    x = x - ops.floor(x / period) * period
    return edge + ops.where(x > length, 2.0 * length - x, x)


def _derivative(interpolation, order):
    return DERIVATIVES[interpolation][min(order, MAX_ORDER)]


def is_zero(interpolation, orders):
    """Whether the derivative of these orders, one an axis, is zero everywhere."""
    return not all(np.any(_derivative(interpolation, order)) for order in orders)


def taps(x, size, *, interpolation, fill_mode, order=0):
    """The pixels around folded coordinates `x`: [(int32 index, weight)].

    `order`: of the derivative to `x`; the weights are then that derivative's.
    """
    first = FIRST_TAPS[interpolation]
    low = ops.floor(x)
    fraction = x - low
    found = []
    for offset, coefficients in enumerate(_derivative(interpolation, order), start=first):
        index = low + float(offset) if offset else low
        weight = _polynomial(coefficients, fraction)
        readable = _readable(index, size, interpolation, fill_mode)
        if fill_mode == "constant":
            weight = ops.where(readable == index, weight, 0.0)
        found.append((ops.cast(readable, "int32"), weight))
    return found


def nearest_tap(x, size, *, fill_mode):
    """The pixel nearest to folded coordinates `x`, halves to even: (int32 index, is it there)."""
    index = nearest_pixel(x, size)
    readable = _readable(index, size, "nearest", fill_mode)
    return ops.cast(readable, "int32"), readable == index


def nearest_pixel(x, size):
    """The pixel nearest to pixel coordinates `x`, halves to even.

    What lies within `HALF_WAY * size` of half-way counts as half-way, in float64 too: an even pixel
    reaches that much further than an odd one. It is a sixth of a pixel at most, in axes so long
    that float32 cannot tell their pixels apart.
    """
    reach = 2.0 * HALF_WAY * number(size, x.dtype)
    even = 2.0 * ops.round(0.5 * x)
    # The distance to it, at most 1, shrinks so far that what counts as half-way falls below half.
    return even + ops.round((x - even) * (1.0 - reach / (1.0 + 4.0 * reach)))


def missing(x, size, *, interpolation):
    """The sum of the weights, around coordinates `x`, of pixels that do not exist."""
    first = FIRST_TAPS[interpolation]
    low = ops.floor(x)
    fraction = x - low
    total = 0.0
    for offset, coefficients in enumerate(_derivative(interpolation, 0), start=first):
        weight = _polynomial(coefficients, fraction)
        index = low + float(offset)
        exists = index == _readable(index, size, interpolation, "constant")
        total = total + ops.where(exists, 0.0, weight)
    return total


def _polynomial(coefficients, x):
    value = ops.full_like(x, coefficients[-1])
    for coefficient in coefficients[-2::-1]:
        value = value * x + coefficient
    return value


def _readable(index, size, interpolation, fill_mode):
    """The index to read for an `index` that may lie a few pixels outside the image."""
    if interpolation == "bicubic" and fill_mode in ("mirror", "reflect", "wrap"):
        index = fold(index, size, interpolation="nearest", fill_mode=fill_mode)
    size = number(size, index.dtype)
    if fill_mode == "wrap":
        # Where an accelerator's division is not correctly rounded, folding can end a hair below 0.
        index = ops.where(index < 0.0, index + size, index)
        return ops.where(index >= size, index - size, index)
    return ops.maximum(ops.minimum(index, size - 1.0), 0.0)
