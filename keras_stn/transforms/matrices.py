"""What the families have in common whose transforms are affine maps: matrices and a shift."""

from __future__ import annotations

import numpy as np
from keras import ops

from keras_stn._types import Extent, Sizes, Tensor, TensorLike
from keras_stn.ops.coordinates import check_output_size, extents
from keras_stn.ops.grids import affine_grid
from keras_stn.transforms.base import Transform
from keras_stn.transforms.rotations import cross
from keras_stn.transforms.sides import check_sides


class AffineMaps(Transform):
    """A family of affine maps: a subclass says which, by `parts`."""

    # Sides of the image, rows first, for families that turn it; None: see `sides`.
    extent: Extent | None = None

    def parts(self, theta: Tensor, ndim: int, extent: Extent | None) -> tuple[Tensor, Tensor]:
        """The linear part (batch, n, n) and the shift (batch, n) of checked thetas.

        `extent`: sides of the image, rows first.
        """
        raise NotImplementedError(f"{type(self).__name__} must implement `parts`.")

    def grid(self, theta: TensorLike, output_size: Sizes, *, align_corners: bool = True) -> Tensor:
        """Sampling grid (batch, *output_size, n); see `keras_stn.ops.affine_grid`."""
        sizes = check_output_size(output_size)
        theta, ndim = self._checked(theta, len(sizes))
        sides = self._sides(ndim, extents(sizes, align_corners=align_corners))
        affine = join(*self.parts(theta, ndim, sides))
        return affine_grid(affine, sizes, align_corners=align_corners)

    def transform_points(self, theta: TensorLike, points: TensorLike) -> Tensor:
        """Source points (batch, N, n) of target points (batch, N, n), both normalized."""
        theta, points, ndim = self._checked_with_points(theta, points)
        linear, shift = self.parts(theta, ndim, self._sides(ndim))
        return apply(linear, points) + ops.expand_dims(shift, 1)

    def matrix(self, theta: TensorLike) -> Tensor:
        """Homogeneous matrices (batch, n + 1, n + 1), acting on (x, y, 1)."""
        theta, ndim = self._checked(theta)
        rows = join(*self.parts(theta, ndim, self._sides(ndim)))
        last = np.broadcast_to(np.eye(ndim + 1)[-1], (1, 1, ndim + 1))
        last = ops.zeros_like(rows[:, :1]) + ops.cast(last, rows.dtype)
        return ops.concatenate([rows, last], axis=1)

    def _sides(self, ndim, sides=None):
        """The image's sides: the family's own, else `sides`, else those of a square or a cube."""
        sides = self.extent or sides or (1.0,) * ndim
        check_sides(sides, ndim)
        return sides


def apply(linear, points):
    """(batch, N, n): matrices (batch, n, n) times points (batch, N, n)."""
    # No matrix product: an accelerator may lower its precision.
    return ops.sum(ops.expand_dims(linear, 1) * ops.expand_dims(points, 2), axis=-1)


def product(outer, inner):
    """(batch, n, n): the matrix products of `outer` and `inner`."""
    return ops.sum(ops.expand_dims(outer, -1) * ops.expand_dims(inner, 1), axis=2)


def join(linear, shift):
    """Rows (batch, n, n + 1) of linear parts and shifts."""
    return ops.concatenate([linear, ops.expand_dims(shift, -1)], axis=-1)


def flat(matrices):
    """Thetas (batch, P): matrices read row by row."""
    rows, columns = matrices.shape[1:]
    return ops.reshape(matrices, (-1, rows * columns))


def matrix_kinds(ndim):
    """What each entry of a matrix (n, n + 1) is, row by row: see `keras_stn.transforms.bounds`."""
    return tuple(
        "shift" if column == ndim else "diagonal" if column == row else "shear"
        for row in range(ndim)
        for column in range(ndim + 1)
    )


def adjugate(linear):
    """The adjugates of matrices (batch, n, n), n 2 or 3, and their determinants (batch, 1, 1)."""
    rows = ops.unstack(linear, axis=1)
    if len(rows) == 2:
        (a, b), (c, d) = (ops.unstack(row, axis=-1) for row in rows)
        determinant = a * d - b * c
        found = ops.stack([ops.stack([d, -b], -1), ops.stack([-c, a], -1)], axis=1)
    else:
        columns = [cross(rows[i - 2], rows[i - 1]) for i in range(3)]
        found = ops.stack(columns, axis=-1)
        determinant = ops.sum(rows[0] * columns[0], axis=-1)
    return found, ops.reshape(determinant, (-1, 1, 1))


def scaled_identity(scale, ndim):
    """(batch, n, n): `scale` (batch, 1) on the diagonal."""
    # NumPy's: OpenVINO does not know what TensorFlow makes of `ops.eye`.
    return ops.expand_dims(scale, -1) * ops.cast(np.eye(ndim), scale.dtype)
