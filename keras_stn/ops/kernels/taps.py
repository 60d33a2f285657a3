"""Along one axis: the pixels that a sample reads, and the weight of each.

A coordinate is first brought to where there are pixels (`fold`), then split into taps: each an
index that is safe to read, and a weight that is zero where there is no pixel.
"""

from __future__ import annotations

import numpy as np
from keras import ops

from keras_stn.ops.coordinates import number

CUBIC_COEFFICIENT = -0.75  # the `a` of Keys (1981), as in torch and ONNX
_A = CUBIC_COEFFICIENT

# The first tap, counted from the pixel to the left of the coordinate; then, one row a tap, its
# weight as a polynomial of the coordinate's distance to that pixel, lowest power first.
KERNELS = {
    "bilinear": (0, np.array([[1, -1], [0, 1]], "float64")),
    "bicubic": (
        -1,
        np.array(
            [
                [0, _A, -2 * _A, _A],
                [1, 0, -_A - 3, _A + 2],
                [0, -_A, 2 * _A + 3, -_A - 2],
                [0, 0, _A, -_A],
            ]
        ),
    ),
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
        return _clamp(x, -reach - 1.0, size + reach - 1.0)
    if fill_mode == "mirror":  # about the centre of the edge pixel: period 2 (size - 1)
        x = _reflect(x, 0.0, size - 1.0)
    elif fill_mode == "reflect":  # about the outer edge of the edge pixel: period 2 size
        x = _reflect(x, -0.5, size)
    elif fill_mode == "wrap":
        return x - ops.floor(x / size) * size
    if interpolation == "bicubic":  # whose taps are brought into the image one by one
        return _clamp(x, -reach, size + reach - 1.0)
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


def _derivative(interpolation, order):
    first, table = KERNELS[interpolation]
    return first, np.polynomial.polynomial.polyder(table, order, axis=1)


def is_zero(interpolation, orders):
    """Whether the derivative of these orders, one an axis, is zero everywhere."""
    return not all(_derivative(interpolation, order)[1].any() for order in orders)


def taps(x, size, *, interpolation, fill_mode, order=0):
    """The pixels around folded coordinates `x`: [(int32 index, weight)].

    `order`: of the derivative to `x`; the weights are then that derivative's.
    """
    first, table = _derivative(interpolation, order)
    low = ops.floor(x)
    fraction = x - low
    found = []
    for offset, coefficients in enumerate(table.tolist(), start=first):
        index = low + float(offset) if offset else low
        weight = _polynomial(coefficients, fraction)
        if fill_mode == "constant":
            weight = ops.where(exists(index, size), weight, 0.0)
        found.append((readable(index, size, interpolation, fill_mode), weight))
    return found


def nearest_tap(x, size, *, fill_mode):
    """The pixel nearest to folded coordinates `x`, halves to even: (int32 index, is it there)."""
    index = ops.round(x)
    return readable(index, size, "nearest", fill_mode), exists(index, size)


def missing(x, size, *, interpolation):
    """The sum of the weights, around unbounded coordinates `x`, of pixels that do not exist."""
    first, table = KERNELS[interpolation]
    low = ops.floor(x)
    fraction = x - low
    total = 0.0
    for offset, coefficients in enumerate(table.tolist(), start=first):
        weight = _polynomial(coefficients, fraction)
        total = total + ops.where(exists(low + float(offset), size), 0.0, weight)
    return total


def _polynomial(coefficients, x):
    value = ops.full_like(x, coefficients[-1])
    for coefficient in coefficients[-2::-1]:
        value = value * x + coefficient
    return value


def exists(index, size):
    """Whether the pixels of float `index` lie in the image."""
    return ops.logical_and(index >= 0.0, index <= number(size, index.dtype) - 1.0)


def readable(index, size, interpolation, fill_mode):
    """The int32 index to read for a float `index` that may lie a few pixels outside the image."""
    if interpolation == "bicubic" and fill_mode in ("mirror", "reflect", "wrap"):
        index = fold(index, size, interpolation="nearest", fill_mode=fill_mode)
    index = ops.cast(index, "int32")
    if fill_mode == "wrap":
        # Where an accelerator's division is not correctly rounded, folding can end a hair below 0.
        index = ops.where(index < 0, index + size, index)
        return ops.where(index >= size, index - size, index)
    return ops.clip(index, 0, size - 1)
