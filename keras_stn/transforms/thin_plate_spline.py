"""Thin-plate splines."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from keras_stn._types import Config, Sizes, Tensor, TensorLike
from keras_stn.ops.coordinates import check_output_size, identity_grid
from keras_stn.ops.products import product
from keras_stn.transforms.base import Transform
from keras_stn.transforms.lattice import check_control_points, lattice, lattice_size


@keras.saving.register_keras_serializable(package="keras_stn")
class ThinPlateSpline(Transform):
    """Thin-plate splines: the smoothest warp that moves control points where theta says. 2-D.

    Formula, r_k the distance of a target point to control point k:

        source = a + A target + sum_k w_k r_k^2 log r_k

    with a, A and w such that control point k goes to theta's kth point, and that the spline is
    affine far away. Of all warps through these points it bends least.

    Convention:
        The control points lie on a regular lattice from corner to corner of the **target**; theta
        holds the **source** point of each, (x, y), row by row, normalized. A spline may fold;
        `Diffeomorphic` does not while its velocity is smooth.

    Args:
        control_points: int, or (rows, columns): control points a side, at least 2. Up to ten a
            side are well conditioned in float32.

    Raises:
        ValueError: `control_points` or a shape is not one of the above.

    Example:
        >>> import numpy as np
        >>> from keras_stn.transforms import ThinPlateSpline
        >>> spline = ThinPlateSpline(control_points=3)
        >>> theta = spline.identity().reshape(1, 9, 2)
        >>> theta[0, 4] = 0.25, 0.0  # the middle one of the control points
        >>> centre = np.zeros((1, 1, 2), "float32")
        >>> np.array(spline.transform_points(theta.reshape(1, 18), centre)).round(4).tolist()
        [[[0.25, 0.0]]]

    References:
        - [Bookstein, 1989, Principal Warps](https://doi.org/10.1109/34.24792)
        - [Jaderberg et al., 2015](https://arxiv.org/abs/1506.02025), section 3.2.
    """

    ndims = (2,)

    def __init__(self, control_points: int | Sequence[int] = 4) -> None:
        self.control_points = check_control_points(control_points, self.ndims)

    def num_params(self, ndim: int = 2) -> int:
        """Two a control point."""
        return self.identity(ndim).size

    def identity(self, ndim: int = 2) -> NDArray[np.float32]:
        """The control points themselves."""
        if ndim != 2:
            raise ValueError(
                f"`ThinPlateSpline` is for images. Received: ndim={ndim}. Use `Displacement` or "
                "`Diffeomorphic` for volumes."
            )
        return lattice(self._size).ravel().astype("float32")

    def parameter_kinds(self, ndim: int = 2) -> Sequence[str]:
        """Shifts of the control points."""
        return ("shift",) * self.num_params(ndim)

    def grid(self, theta: TensorLike, output_size: Sizes, *, align_corners: bool = True) -> Tensor:
        """Sampling grid (batch, *output_size, 2)."""
        sizes = check_output_size(output_size)
        theta, _ = self._checked(theta, len(sizes))
        points = ops.cast(identity_grid(sizes, align_corners=align_corners), theta.dtype)
        moved = self._move(theta, ops.reshape(points, (1, -1, 2)))
        return ops.reshape(moved, (-1, *ops.shape(points)))

    def transform_points(self, theta: TensorLike, points: TensorLike) -> Tensor:
        """Source points (batch, N, 2) of target points (batch, N, 2), both normalized."""
        theta, points, _ = self._checked_with_points(theta, points)
        return self._move(theta, points)

    def _move(self, theta, points):
        # The spline of how far each control point moves: nothing moves at the identity, exactly.
        moves = theta - ops.cast(self.identity(), theta.dtype)
        moves = ops.reshape(moves, (-1, theta.shape[1] // 2, 2))
        weights = product(ops.cast(_solution(self._size), theta.dtype), moves)
        control = lattice(self._size)
        square = sum(
            ops.square(points[..., axis : axis + 1] - ops.cast(control[:, axis], theta.dtype))
            for axis in range(2)
        )
        features = ops.concatenate([_bend(square), ops.ones_like(points[..., :1]), points], axis=-1)
        return points + product(features, weights)

    @property
    def _size(self):
        return lattice_size(self.control_points, 2)

    def get_config(self) -> Config:
        """Arguments of `__init__`."""
        return {"control_points": self.control_points}


def _bend(square):
    """r^2 log r of r's square; value and gradient are 0 at 0."""
    zero = square == 0.0
    return ops.where(zero, 0.0, 0.5 * square * ops.log(ops.where(zero, 1.0, square)))


@functools.lru_cache(maxsize=8)
def _solution(size):
    """(K + 3, K), float64: what K control points' values weigh in w, a and A."""
    control = lattice(size)
    count = len(control)
    square = np.sum((control[:, None] - control[None]) ** 2, axis=-1)
    bend = 0.5 * square * np.log(np.where(square == 0, 1.0, square))
    plane = np.concatenate([np.ones((count, 1)), control], axis=1)
    system = np.block([[bend, plane], [plane.T, np.zeros((3, 3))]])
    return np.linalg.inv(system)[:, :count]
