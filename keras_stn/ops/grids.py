"""Sampling grids: theta in, the places to read out. One function a family."""

from __future__ import annotations

import keras
from keras import ops

from keras_stn.ops.coordinates import axis_coordinates, check_output_size
from keras_stn.ops.fusing import fused


def affine_grid(theta, output_size, *, align_corners=True):
    """Sampling grid of an affine transform.

    Formula, for the target pixel at normalized (x_t, y_t):

        (x_s, y_s) = theta[:, :2] @ (x_t, y_t) + theta[:, 2]

    Convention:
        theta maps **target to source** coordinates ("pull"), both normalized to [-1, 1], x to
        the right, y down: theta that scales by 0.5 zooms **in** by 2. Because the coordinates
        are normalized, a rotation shears when height and width differ.

    Args:
        theta: Float tensor of shape (batch, 6) or (batch, 2, 3) for images, (batch, 12) or
            (batch, 3, 4) for volumes, row by row.
        output_size: (height, width) or (depth, height, width) of the output, in pixels.
        align_corners: bool. Whether -1 and 1 are the centres of the corner pixels (True, as in
            the paper) or their outer edges (False).

    Returns:
        A tensor of shape `(batch, *output_size, n)`, n = `len(output_size)`, last axis (x, y) or
        (x, y, z). Its dtype is theta's, but never below float32.

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
    if isinstance(theta, keras.KerasTensor):
        return AffineGrid(sizes, align_corners=align_corners).symbolic_call(theta)
    theta = ops.convert_to_tensor(theta)
    theta = ops.cast(theta, coordinate_dtype(theta.dtype))
    ndim = len(sizes)
    check_affine_theta(theta.shape, ndim)
    theta = ops.reshape(theta, (ops.shape(theta)[0], ndim, ndim + 1))

    return ops.stack(linear_forms(theta, sizes=sizes, align_corners=align_corners), axis=-1)


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


def check_affine_theta(shape, ndim):
    """Raises `ValueError` unless `shape` is that of a batch of affine thetas."""
    count = ndim * (ndim + 1)
    trailing = tuple(shape[1:])
    if len(shape) < 2 or trailing not in ((count,), (ndim, ndim + 1)):
        raise ValueError(
            f"`theta` must have shape (batch, {count}) or (batch, {ndim}, {ndim + 1}) for an "
            f"`output_size` of {ndim} axes. Received: theta.shape={tuple(shape)}. Give the "
            f"localization network's head {count} units, and one transform an axis of the batch."
        )


@keras.saving.register_keras_serializable(package="keras_stn")
class AffineGrid(keras.Operation):
    """`affine_grid` as a node of a functional model."""

    def __init__(self, output_size, *, align_corners=True, name=None):
        super().__init__(name=name)
        self.output_size = tuple(output_size)
        self.align_corners = align_corners

    def call(self, theta):
        return affine_grid(theta, self.output_size, align_corners=self.align_corners)

    def compute_output_spec(self, theta):
        ndim = len(self.output_size)
        check_affine_theta(theta.shape, ndim)
        shape = (theta.shape[0], *self.output_size, ndim)
        return keras.KerasTensor(shape, dtype=coordinate_dtype(theta.dtype))
