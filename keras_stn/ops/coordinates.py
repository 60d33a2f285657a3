"""Normalized and pixel coordinates: the one place that knows `align_corners`.

Along an axis of `size` pixels, pixel coordinates run from 0 (centre of the first pixel) to
`size - 1` (centre of the last). Normalized coordinates run from -1 to 1 over the image:

- `align_corners=True`: -1 and 1 are the centres of the first and last pixel;
- `align_corners=False`: -1 and 1 are their outer edges, half a pixel further out.

An axis of one pixel has no extent between centres: under `align_corners=True` every coordinate
on it means that pixel, and the pixel itself has coordinate 0.
"""

from __future__ import annotations

import operator

import keras
from keras import ops

from keras_stn._types import Sizes, Tensor

if keras.backend.backend() == "jax":
    import jax.export
    import jax.numpy as jnp

    def is_unknown(size):
        """Whether `size` is a number that only a compiled program will know."""
        return jax.export.is_symbolic_dim(size)

    _as_tensor = jnp.asarray

elif keras.backend.backend() == "torch":
    import torch

    def is_unknown(size):
        """Whether `size` is a number that only an exported program will know."""
        return isinstance(size, torch.SymInt)

    def _as_tensor(size):
        return torch.scalar_tensor(size, dtype=torch.int64)

else:

    def is_unknown(size):
        """Whether `size` is a number without a value: on this backend those are tensors."""
        return False


# Normalized coordinates further out than this are read as if they lay here. It bounds the
# integer index of every sample, and is a power of two so that folding stays exact.
FAR_OUTSIDE = 2.0**14


def check_output_size(output_size):
    """Returns `output_size` as a tuple of 2 or 3 sizes, or raises `ValueError`.

    A size is an integer; or where the backend has dynamic shapes a scalar integer tensor, one of
    JAX's symbolic dimensions or PyTorch's `SymInt`. All of them may come as one tensor, such as
    `tf.shape(images)[1:-1]`.
    """
    if ops.is_tensor(output_size) and len(output_size.shape) == 1 and output_size.shape[0]:
        output_size = ops.unstack(output_size)  # a graph's tensors cannot be iterated over
    try:
        sizes = tuple(output_size)
    except TypeError:
        sizes = ()
    if len(sizes) not in (2, 3) or not all(_is_size(size) for size in sizes):
        raise ValueError(
            "`output_size` must hold 2 or 3 positive integers, (height, width) or (depth, height, "
            f"width). Received: output_size={output_size!r}. Pass for example output_size=(32, 32)."
        )
    return tuple(_static(size) for size in sizes)


def _is_size(value):
    value = _static(value)
    if isinstance(value, int):
        return value >= 1 and not isinstance(value, bool)
    return is_unknown(value) or (
        ops.is_tensor(value) and len(value.shape) == 0 and keras.backend.is_int_dtype(value.dtype)
    )


def _static(size):
    """`size` as an int, or itself if it has no value yet."""
    if isinstance(size, bool) or is_unknown(size):
        return size
    try:
        return operator.index(size)
    except TypeError:
        return size


def number(size, dtype):
    """A size as a number to calculate with: a Python float, or a tensor where it is dynamic."""
    if is_unknown(size):
        size = _as_tensor(size)
    return ops.cast(size, dtype) if ops.is_tensor(size) else float(size)


def at_least_one(extent):
    """An extent, as `number` makes it, to divide by: that of a single pixel counts as 1."""
    return ops.maximum(extent, 1.0) if ops.is_tensor(extent) else max(extent, 1.0)


def axis_coordinates(size, *, align_corners=True, dtype="float32"):
    """Normalized coordinates of the `size` pixel centres along one axis, shape (size,)."""
    index = ops.cast(ops.arange(size, dtype="int32"), dtype)
    last = number(size, dtype) - 1.0
    # Written around the centre, so that the coordinates are exactly antisymmetric: a flip or a
    # rotation by 180 degrees reads exactly the mirrored places.
    extent = last if align_corners else last + 1.0
    # The one pixel of an axis without extent lies at 0, whatever it is divided by.
    return (2.0 * index - last) / at_least_one(extent)


def to_pixels(coordinates, size, *, align_corners=True):
    """Pixel coordinates of normalized `coordinates` along an axis of `size` pixels."""
    size = number(size, coordinates.dtype)
    half_extent = (size - 1.0) / 2.0 if align_corners else size / 2.0
    return coordinates * half_extent + (size - 1.0) / 2.0


def to_normalized(pixels, size, *, align_corners=True):
    """The inverse of `to_pixels`; 0 on an axis without extent."""
    size = number(size, pixels.dtype)
    extent = at_least_one(size - 1.0 if align_corners else size)
    return (pixels - (size - 1.0) / 2.0) * (2.0 / extent)


def extents(sizes, *, align_corners=True):
    """In pixels, the distance between the places of -1 and 1, one number an axis."""
    return tuple(size - 1 if align_corners else size for size in sizes)


def bounded(coordinates):
    """Normalized `coordinates`, all finite: NaN and anything far outside lands far outside.

    NaN counts as `-FAR_OUTSIDE`; the gradient is zero wherever a coordinate was replaced.
    """
    return clamp(coordinates, -FAR_OUTSIDE, FAR_OUTSIDE)


def clamp(x, low, high):
    """`x` within [low, high], NaN as `low`; no gradient on and beyond the bounds."""
    # Selections, not `clip`: backends differ in the gradient of `clip` on its bounds, and in NaN.
    x = ops.where(x > low, x, low)
    return ops.where(x < high, x, high)


def identity_grid(output_size: Sizes, *, align_corners: bool = True) -> Tensor:
    """Normalized coordinates of an image's own pixel centres.

    Sampling an image of size `output_size` at this grid returns the image.

    Convention:
        Last axis (x, y), or (x, y, z) for volumes: x to the right along the width, y down along
        the height, z along the depth; all in [-1, 1].

    Args:
        output_size: (height, width) or (depth, height, width), in pixels.
        align_corners: bool. Whether -1 and 1 are the centres of the corner pixels (True, as in
            the paper) or their outer edges (False).

    Returns:
        A float32 tensor of shape `(*output_size, len(output_size))`.

    Raises:
        ValueError: `output_size` does not hold 2 or 3 positive integers.

    Example:
        >>> import numpy as np
        >>> from keras_stn import ops
        >>> grid = ops.identity_grid((2, 3))
        >>> np.array(grid)[..., 0].tolist()
        [[-1.0, 0.0, 1.0], [-1.0, 0.0, 1.0]]

    References:
        - [Jaderberg et al., 2015](https://arxiv.org/abs/1506.02025), section 3.2.
    """
    sizes = check_output_size(output_size)
    axes = [axis_coordinates(size, align_corners=align_corners) for size in sizes]
    # Rows of `axes` follow the array's axes (y, x); the grid's last axis is (x, y).
    return ops.stack(ops.meshgrid(*axes, indexing="ij")[::-1], axis=-1)
