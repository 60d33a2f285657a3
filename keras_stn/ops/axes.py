"""Axes moved about, and combined with weights.

All counted from the first: PyTorch's ONNX exporter writes a negative axis down as it is, and no
runtime then loads the file.
"""

from __future__ import annotations

import math

from keras import ops


def channels_to_last(images):
    """(batch, channels, *sizes) as (batch, *sizes, channels)."""
    return ops.moveaxis(images, 1, len(images.shape) - 1)


def channels_to_first(images):
    """(batch, *sizes, channels) as (batch, channels, *sizes)."""
    return ops.moveaxis(images, len(images.shape) - 1, 1)


def weighted_along(axis, images, weights, product=ops.matmul):
    """`images` with their `axis` replaced: each new place the sum of the old ones by `weights`.

    Args:
        axis: int, at least 1: axis 0 is the batch.
        images: Of any rank.
        weights: (new size, old size).
        product: The matrix product to use.
    """
    sizes, weights = ops.shape(images)[1:], ops.cast(weights, images.dtype)
    before, (size, *after) = sizes[: axis - 1], sizes[axis - 1 :]
    columns = math.prod(after)
    # Not `tensordot`: it moves the axis to the end and back, and LiteRT knows it not from PyTorch.
    # Not `@` either: NumPy's makes float32 of bfloat16.
    if isinstance(columns, int) and columns == 1:
        images = product(ops.reshape(images, (-1, size)), ops.transpose(weights))
    else:
        images = product(weights, ops.reshape(images, (-1, size, columns)))
    return ops.reshape(images, (-1, *before, weights.shape[0], *after))
