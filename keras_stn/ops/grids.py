"""Sampling grids of affine transforms: theta in, the places to read out."""

from __future__ import annotations

import keras
from keras import ops

from keras_stn._types import Sizes, Tensor, TensorLike
from keras_stn.ops.coordinates import axis_coordinates, check_output_size
from keras_stn.ops.fusing import fused
from keras_stn.ops.symbolic import as_node


@as_node(1)
def affine_grid(theta: TensorLike, output_size: Sizes, *, align_corners: bool = True) -> Tensor:
    """Sampling grid of an affine transform.

    Formula, for the target pixel at normalized (x_t, y_t):

        (x_s, y_s) = theta[:, :2] @ (x_t, y_t) + theta[:, 2]

    Convention:
        theta maps **target to source** coordinates ("pull"), both normalized to [-1, 1], x to
        the right, y down: theta that scales by 0.5 zooms **in** by 2. Because the coordinates
        are normalized, a rotation shears when height and width differ.

    Args:
        theta: Float tensor of shape (batch, 6) or (batch, 2, 3) for images, (batch, 12) or
            (batch, 3, 4) for volumes, row by row. More leading axes, such as (batch, K, 6) for K
            crops per image, are kept.
        output_size: (height, width) or (depth, height, width) of the output, in pixels.
        align_corners: bool. Whether -1 and 1 are the centres of the corner pixels (True, as in
            the paper) or their outer edges (False).

    Returns:
        A tensor of shape `(batch, *output_size, n)`, n = `len(output_size)`, last axis (x, y) or
        (x, y, z); theta's leading axes in place of the batch. Its dtype is theta's, but never
        below float32.

    Raises:
        ValueError: theta has another shape, or `output_size` does not hold 2 or 3 positive
            integers.

    Example:
        >>> import numpy as np
        >>> from keras_stn import ops
        >>> zoom_in_twice = np.array([[0.5, 0, 0, 0, 0.5, 0]], "float32")
        >>> grid = ops.affine_grid(zoom_in_twice, (3, 3))
        >>> tuple(grid.shape)
        (1, 3, 3, 2)
        >>> np.array(grid)[0, 0, 0].tolist()  # the top left corner reads halfway out
        [-0.5, -0.5]

    References:
        - [Jaderberg et al., 2015](https://arxiv.org/abs/1506.02025), equation 1.
    """
    sizes = check_output_size(output_size)
    ndim = len(sizes)
    theta = ops.convert_to_tensor(theta)
    leading = ops.shape(theta)[: count_leading(theta.shape, ndim)]
    rows = ops.reshape(theta, (-1, ndim, ndim + 1))
    rows = ops.cast(rows, coordinate_dtype(theta.dtype))
    grid = ops.stack(linear_forms(rows, sizes=sizes, align_corners=align_corners), axis=-1)
    return grid if len(leading) == 1 else ops.reshape(grid, (*leading, *ops.shape(grid)[1:]))


@fused
def linear_forms(rows, *, sizes, align_corners):
    """`rows` @ (x, y[, z], 1) at every pixel of an image of `sizes`.

    Args:
        rows: (batch, m, n + 1), float32 or float64.
        sizes: Of the output, n of them, rows first.
        align_corners: As in `affine_grid`.

    Returns:
        m tensors (batch, *sizes).
    """
    # One axis at a time: the sum broadcasts, so all but its last addition are small, and no matrix
    # product can lower the precision of the coordinates. Every term holds a share of the shift: no
    # sum then has two products that round, a compiler can fuse it in one way only, and a coordinate
    # that it computes twice comes out the same twice.
    ndim = len(sizes)
    bases = [axis_coordinates(n, align_corners=align_corners, dtype=rows.dtype) for n in sizes]
    shares = [0.5, 0.5] if ndim == 2 else [0.5, 0.25, 0.25]  # exact in binary
    forms = []
    for row in range(rows.shape[1]):
        shift = rows[:, row, ndim:]
        form = 0.0
        for axis, share in zip(reversed(range(ndim)), shares, strict=True):
            column = ndim - 1 - axis
            term = rows[:, row, column : column + 1] * (bases[axis] / share) + shift
            form = form + _along_axis(share * term, axis, ndim)
        forms.append(form)
    return forms


def _along_axis(values, axis, ndim):
    """(batch, size), ready to broadcast over `ndim` spatial axes, of which it is the `axis`th."""
    return ops.expand_dims(values, [1 + a for a in range(ndim) if a != axis])


def coordinate_dtype(dtype):
    """The dtype of grid arithmetic for inputs of `dtype`: never below float32."""
    # Not Keras's `result_type`, which lowers float64 on every backend but TensorFlow.
    return "float64" if keras.backend.standardize_dtype(dtype) == "float64" else "float32"


def count_leading(shape, ndim):
    """The number of axes before those of a single affine theta; `ValueError` if there is none."""
    count = ndim * (ndim + 1)
    shape = tuple(shape)
    if len(shape) >= 2 and shape[-1] == count:
        return len(shape) - 1
    if len(shape) >= 3 and shape[-2:] == (ndim, ndim + 1):
        return len(shape) - 2
    advice = f"Pass {count} numbers for each transform, row by row."
    if shape in ((count,), (ndim, ndim + 1)):
        advice = "Add the axis of the batch, for example with theta[None]."
    raise ValueError(
        f"`theta` must have shape (batch, {count}) or (batch, {ndim}, {ndim + 1}) for an "
        f"`output_size` of {ndim} axes. Received: theta.shape={shape}. {advice}"
    )
