"""Points and boxes, normalized and in pixels."""

from __future__ import annotations

import itertools

from keras import ops

from keras_stn._types import Sizes, Tensor, TensorLike
from keras_stn.ops.coordinates import check_output_size, to_normalized, to_pixels
from keras_stn.ops.grids import coordinate_dtype
from keras_stn.ops.symbolic import as_node


@as_node(1)
def normalized_to_pixels(
    points: TensorLike, image_size: Sizes, *, align_corners: bool = True
) -> Tensor:
    """Pixel coordinates of normalized points.

    Convention:
        Pixel coordinates are 0 at the centre of the first pixel and size - 1 at the centre of the
        last; last axis (x, y), or (x, y, z) for volumes, in both.

    Args:
        points: Float tensor (..., n), such as points (batch, N, 2), or boxes (..., 2 n), such as
            (x_min, y_min, x_max, y_max); normalized, in [-1, 1] over the image.
        image_size: (height, width) or (depth, height, width) of the image, in pixels.
        align_corners: bool. Whether -1 and 1 are the centres of the corner pixels (True) or
            their outer edges (False).

    Returns:
        A tensor of the same shape, float32 at least.

    Raises:
        ValueError: The last axis has another length.

    Example:
        >>> import numpy as np
        >>> from keras_stn import ops
        >>> np.array(ops.normalized_to_pixels([[-1.0, 0.0]], (5, 9))).tolist()  # (x, y)
        [[0.0, 2.0]]
    """
    return _by_axis(to_pixels, points, image_size, align_corners)


@as_node(1)
def pixels_to_normalized(
    points: TensorLike, image_size: Sizes, *, align_corners: bool = True
) -> Tensor:
    """Normalized coordinates of points in pixels: the inverse of `normalized_to_pixels`.

    Convention:
        As in `normalized_to_pixels`. On an axis of one pixel under `align_corners=True`, which
        has no extent, every coordinate is 0.

    Args:
        points: Float tensor (..., n) or boxes (..., 2 n), in pixels.
        image_size: (height, width) or (depth, height, width) of the image, in pixels.
        align_corners: bool. Whether -1 and 1 are the centres of the corner pixels (True) or
            their outer edges (False).

    Returns:
        A tensor of the same shape, float32 at least.

    Raises:
        ValueError: The last axis has another length.

    Example:
        >>> import numpy as np
        >>> from keras_stn import ops
        >>> np.array(ops.pixels_to_normalized([[0.0, 2.0]], (5, 9))).tolist()  # (x, y)
        [[-1.0, 0.0]]
    """
    return _by_axis(to_normalized, points, image_size, align_corners)


def _by_axis(convert, points, image_size, align_corners):
    sizes = check_output_size(image_size)
    points = ops.convert_to_tensor(points)
    ndim = len(sizes)
    if len(points.shape) == 0 or points.shape[-1] not in (ndim, 2 * ndim):
        raise ValueError(
            f"`points` must have {ndim} coordinates, or boxes {2 * ndim}, in the last axis for an "
            f"`image_size` of {ndim} axes. Received: points.shape={tuple(points.shape)}. "
            f"Put {'(x, y)' if ndim == 2 else '(x, y, z)'} there."
        )
    points = ops.cast(points, coordinate_dtype(points.dtype))
    converted = [
        convert(x, size, align_corners=align_corners)
        for x, size in zip(ops.unstack(points, axis=-1), itertools.cycle(sizes[::-1]), strict=False)
    ]
    return ops.stack(converted, axis=-1)


def check_points(shape, ndim=None):
    """Raises `ValueError` unless `shape` is (batch, N, ndim), with None for 2 or 3."""
    counts = (2, 3) if ndim is None else (ndim,)
    if len(shape) != 3 or shape[-1] not in counts:
        wanted = " or ".join(f"(batch, N, {count})" for count in counts)
        names = " or ".join({2: "(x, y)", 3: "(x, y, z)"}[count] for count in counts)
        raise ValueError(
            f"`points` must have shape {wanted}. Received: points.shape={tuple(shape)}. "
            f"Put {names} in the last axis."
        )


def box_corners(boxes):
    """Corners (batch, 2**n N, n) of boxes (batch, N, 2 n): all first corners, all second ones..."""
    boxes = ops.convert_to_tensor(boxes)
    if len(boxes.shape) != 3 or boxes.shape[-1] not in (4, 6):
        raise ValueError(
            "`boxes` must have shape (batch, N, 4) or (batch, N, 6). Received: "
            f"boxes.shape={tuple(boxes.shape)}. Put (x_min, y_min, x_max, y_max), for volumes "
            "(x_min, y_min, z_min, x_max, y_max, z_max), in the last axis."
        )
    ndim = boxes.shape[-1] // 2
    sides = ops.unstack(boxes, axis=-1)
    corners = itertools.product(*zip(sides[:ndim], sides[ndim:], strict=True))
    return ops.concatenate([ops.stack(corner, axis=-1) for corner in corners], axis=1)


def bounding_boxes(corners):
    """The smallest boxes (batch, N, 2 n) that hold `corners`, in the order of `box_corners`."""
    batch, count, ndim = ops.shape(corners)
    corners = ops.reshape(corners, (batch, 2**ndim, count // 2**ndim, ndim))
    return ops.concatenate([ops.min(corners, axis=1), ops.max(corners, axis=1)], axis=-1)
