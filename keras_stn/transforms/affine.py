"""Affine transforms."""

from __future__ import annotations

import keras
import numpy as np
from keras import ops

from keras_stn.ops.grids import affine_grid, check_affine_theta, coordinate_dtype
from keras_stn.transforms.base import Transform


@keras.saving.register_keras_serializable(package="keras_stn")
class Affine(Transform):
    """All affine transforms: rotation, scale, shear and translation.

    Formula: source = theta[:, :n] @ target + theta[:, n], theta read row by row as (n, n + 1).

    Convention:
        Target to source, normalized coordinates; see `keras_stn.ops.affine_grid`. Every method
        accepts theta as (batch, n (n + 1)) or (batch, n, n + 1), and returns the first form.

    Example:
        >>> import numpy as np
        >>> from keras_stn.transforms import Affine
        >>> affine = Affine()
        >>> affine.identity().tolist()
        [1.0, 0.0, 0.0, 0.0, 1.0, 0.0]
        >>> half = np.array([[0.5, 0, 0.25, 0, 0.5, 0]], "float32")
        >>> np.array(affine.compose(half, half)).tolist()
        [[0.25, 0.0, 0.375, 0.0, 0.25, 0.0]]

    References:
        - [Jaderberg et al., 2015](https://arxiv.org/abs/1506.02025), equation 1.
    """

    def num_params(self, ndim=2):
        """6 for images, 12 for volumes."""
        return ndim * (ndim + 1)

    def identity(self, ndim=2):
        """Ones for the scales, zeros for the rest."""
        return np.eye(ndim, ndim + 1, dtype="float32").ravel()

    def grid(self, theta, output_size, *, align_corners=True):
        """`keras_stn.ops.affine_grid`."""
        return affine_grid(theta, output_size, align_corners=align_corners)

    def transform_points(self, theta, points):
        """Source points (batch, N, n) of target points (batch, N, n), both normalized."""
        points = _coordinates(points)
        if len(points.shape) != 3 or points.shape[-1] not in (2, 3):
            raise ValueError(
                "`points` must have shape (batch, N, 2) or (batch, N, 3). Received: "
                f"points.shape={tuple(points.shape)}. Put (x, y) in the last axis."
            )
        linear, shift = _split(theta, points.shape[-1])
        moved = ops.sum(ops.expand_dims(linear, 1) * ops.expand_dims(points, 2), axis=-1)
        return moved + ops.expand_dims(shift, 1)

    def matrix(self, theta):
        """Homogeneous matrices (batch, n + 1, n + 1), acting on (x, y, 1)."""
        linear, shift = _split(theta)
        zeros, one = ops.zeros_like(shift), ops.ones_like(shift[:, :1])
        last_row = ops.expand_dims(ops.concatenate([zeros, one], axis=-1), 1)
        return ops.concatenate([_join(linear, shift), last_row], axis=1)

    def inverse(self, theta):
        """Thetas of the inverse transforms; not finite where theta is singular."""
        linear, shift = _split(theta)
        rows = ops.unstack(linear, axis=1)
        if len(rows) == 2:
            (a, b), (c, d) = (ops.unstack(row, axis=-1) for row in rows)
            determinant = a * d - b * c
            adjugate = ops.stack([ops.stack([d, -b], -1), ops.stack([-c, a], -1)], axis=1)
        else:
            columns = [ops.cross(rows[1], rows[2], axis=-1), ops.cross(rows[2], rows[0], axis=-1)]
            columns.append(ops.cross(rows[0], rows[1], axis=-1))
            adjugate = ops.stack(columns, axis=-1)
            determinant = ops.sum(rows[0] * columns[0], axis=-1)
        inverse = adjugate / ops.reshape(determinant, (-1, 1, 1))
        back = -ops.sum(inverse * ops.expand_dims(shift, 1), axis=-1)
        return _flat(_join(inverse, back))

    def compose(self, outer, inner):
        """Thetas of `outer` after `inner`: the point x goes to outer(inner(x))."""
        outer_linear, outer_shift = _split(outer)
        inner_linear, inner_shift = _split(inner)
        columns = ops.expand_dims(outer_linear, -1) * ops.expand_dims(inner_linear, 1)
        linear = ops.sum(columns, axis=2)
        shift = ops.sum(outer_linear * ops.expand_dims(inner_shift, 1), axis=-1) + outer_shift
        return _flat(_join(linear, shift))


def _coordinates(values):
    values = ops.convert_to_tensor(values)
    return ops.cast(values, coordinate_dtype(values.dtype))


def _split(theta, ndim=None):
    """The linear part (batch, n, n) and the shift (batch, n) of thetas in either form."""
    theta = _coordinates(theta)
    ndim = ndim or (3 if tuple(theta.shape[1:]) in ((12,), (3, 4)) else 2)
    check_affine_theta(theta.shape, ndim)
    theta = ops.reshape(theta, (-1, ndim, ndim + 1))
    return theta[:, :, :ndim], theta[:, :, ndim]


def _join(linear, shift):
    return ops.concatenate([linear, ops.expand_dims(shift, -1)], axis=-1)


def _flat(matrices):
    rows, columns = matrices.shape[1:]
    return ops.reshape(matrices, (-1, rows * columns))
