"""Projective transforms (homographies)."""

from __future__ import annotations

from collections.abc import Sequence

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from keras_stn._types import Sizes, Tensor, TensorLike
from keras_stn.ops.coordinates import check_output_size
from keras_stn.ops.grids import linear_forms
from keras_stn.transforms.base import Transform
from keras_stn.transforms.matrices import adjugate, apply, flat, join, matrix_kinds, product

# A denominator nearer to zero is read as this: the point is far outside any image, but finite.
HORIZON = 1e-6


@keras.saving.register_keras_serializable(package="keras_stn")
class Projective(Transform):
    """Projective transforms: straight lines stay straight, parallels need not stay parallel.

    Formula, with H the matrix (n + 1, n + 1) that theta fills row by row but for its last entry,
    which is 1:

        source = (H[:n] @ (target, 1)) / (H[n] @ (target, 1))

    Convention:
        Target to source, normalized coordinates. Points on the horizon, where the denominator is
        zero, are read as lying just before it: far outside any image, and finite. Beyond the
        horizon the formula holds as it stands. Since the last entry of H is 1, the horizon cannot
        pass through the image's centre: a matrix whose last entry is 0 has no theta.

    Example:
        >>> import numpy as np
        >>> from keras_stn.transforms import Projective
        >>> theta = np.array([[1, 0, 0, 0, 1, 0, 0.5, 0]], "float32")
        >>> points = np.array([[[2.0, 1.0], [-1.0, 1.0]]], "float32")
        >>> np.array(Projective().transform_points(theta, points)).tolist()
        [[[1.0, 0.5], [-2.0, 2.0]]]

    References:
        - Hartley and Zisserman, 2004, Multiple View Geometry in Computer Vision, chapter 2.
    """

    def num_params(self, ndim: int = 2) -> int:
        """8 for images, 15 for volumes."""
        return (ndim + 1) ** 2 - 1

    def identity(self, ndim: int = 2) -> NDArray[np.float32]:
        """Ones for the scales, zeros for the rest."""
        return np.eye(ndim + 1, dtype="float32").ravel()[:-1]

    def parameter_kinds(self, ndim: int = 2) -> Sequence[str]:
        """As in `Affine`; the last row is the perspective."""
        return (*matrix_kinds(ndim), *["perspective"] * ndim)

    def grid(self, theta: TensorLike, output_size: Sizes, *, align_corners: bool = True) -> Tensor:
        """Sampling grid (batch, *output_size, n)."""
        sizes = check_output_size(output_size)
        theta, ndim = self._checked(theta, len(sizes))
        *forms, denominator = linear_forms(
            _matrix(theta, ndim), sizes=sizes, align_corners=align_corners
        )
        return ops.stack([form / _safe(denominator) for form in forms], axis=-1)

    def transform_points(self, theta: TensorLike, points: TensorLike) -> Tensor:
        """Source points (batch, N, n) of target points (batch, N, n), both normalized."""
        theta, points, ndim = self._checked_with_points(theta, points)
        matrix = ops.expand_dims(_matrix(theta, ndim), 1)
        linear, shift = matrix[..., :ndim], matrix[..., ndim]
        moved = ops.sum(linear * ops.expand_dims(points, 2), axis=-1) + shift
        return moved[..., :ndim] / _safe(moved[..., ndim:])

    def matrix(self, theta: TensorLike) -> Tensor:
        """Homogeneous matrices (batch, n + 1, n + 1), acting on (x, y, 1); their last entry 1."""
        return _matrix(*self._checked(theta))

    def inverse(self, theta: TensorLike) -> Tensor:
        """Thetas of the inverse transforms; not finite where the matrix is singular."""
        theta, ndim = self._checked(theta)
        matrix = _matrix(theta, ndim)
        shift, row = matrix[:, :ndim, ndim:], matrix[:, ndim:, :ndim]
        # By blocks around the last entry, which is 1: singular where the rest, reduced by it, is.
        found, determinant = adjugate(matrix[:, :ndim, :ndim] - shift * row)
        linear = found / determinant
        shift = -apply(linear, ops.swapaxes(shift, 1, 2))[:, 0]
        last = ops.concatenate([-product(row, linear), 1.0 - product(row, shift[..., None])], -1)
        return _theta(ops.concatenate([join(linear, shift), last], axis=1))

    def compose(self, outer: TensorLike, inner: TensorLike) -> Tensor:
        """Thetas of `outer` after `inner`: the point x goes to outer(inner(x))."""
        (outer, ndim), (inner, _) = self._checked(outer), self._checked(inner)
        return _theta(product(_matrix(outer, ndim), _matrix(inner, ndim)))


def _matrix(theta, ndim):
    theta = ops.concatenate([theta, ops.ones_like(theta[:, :1])], axis=1)
    return ops.reshape(theta, (-1, ndim + 1, ndim + 1))


def _theta(matrix):
    return flat(matrix / matrix[:, -1:, -1:])[:, :-1]


def _safe(denominator):
    return ops.where(ops.abs(denominator) < HORIZON, HORIZON, denominator)
