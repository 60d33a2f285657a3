"""Bilinear weights as windows of neighbouring pixels, for backends that scatter by the window.

Every sample reads the 2 by 2 (by 2) pixels around it. As one window, clipped to the image, they
take one index: the adjoint adds to the image once a sample, instead of once a sample and corner.
"""

from __future__ import annotations

from keras import ops


def covers(interpolation, fill_mode, orders):
    """Whether all that a sample reads lies in one window."""
    return interpolation == "bilinear" and fill_mode != "wrap" and not any(orders)


def windows(axes, sizes):
    """The windows around folded coordinates `axes`, in images of static `sizes`.

    Returns:
        The index of the first pixel of each window, one tensor (batch, points) an axis; the
        windows' shape; and their weights, (batch, points, *shape).
    """
    shape = tuple(min(2, size) for size in sizes)
    starts, weights = [], 1.0
    for axis, (x, size, width) in enumerate(zip(axes, sizes, shape, strict=True)):
        start = ops.clip(ops.cast(ops.floor(x), "int32"), 0, size - width)
        index = ops.expand_dims(start, -1) + ops.arange(width, dtype="int32")
        # A hat about each pixel: it is zero for pixels that clipping brought in.
        hat = 1.0 - ops.abs(ops.expand_dims(x, -1) - ops.cast(index, x.dtype))
        hat = ops.where(hat > 0.0, hat, 0.0)
        before, after = [1] * axis, [1] * (len(shape) - axis - 1)
        weights = weights * ops.reshape(hat, (*ops.shape(x), *before, width, *after))
        starts.append(start)
    return starts, shape, weights
