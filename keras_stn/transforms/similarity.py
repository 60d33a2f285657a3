"""Similarities: scale, rotation and translation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from keras_stn._types import Config, Extent, Tensor, TensorLike
from keras_stn.transforms.matrices import AffineMaps, apply
from keras_stn.transforms.rotations import (
    between_sides,
    compose_rotations,
    num_angles,
    rotation_matrices,
)
from keras_stn.transforms.sides import check_extent, with_extent


@keras.saving.register_keras_serializable(package="keras_stn")
class Similarity(AffineMaps):
    """Scale, rotation about the centre, and translation; no shear, whatever the image's sides.

    Formula: source = s S^-1 R S target + t, R the rotation and S the sides of the image on a
    diagonal.

    Convention:
        theta is (s, angle, t_x, t_y), for volumes (s, r_x, r_y, r_z, t_x, t_y, t_z): the scale as
        in `Attention`, the rotation in radians as in `Rotation`, the shift normalized.

    Args:
        extent: The image's sides, (height, width) or (depth, height, width), in any unit of
            length; see `Rotation`.

    Raises:
        ValueError: `extent` or a shape is not one of the above.

    Example:
        >>> import numpy as np
        >>> from keras_stn.transforms import Similarity
        >>> theta = np.array([[0.5, np.pi / 2, 0.25, 0.0]], "float32")
        >>> right = np.array([[[1.0, 0.0]]], "float32")
        >>> np.array(Similarity().transform_points(theta, right)).round(3).tolist()
        [[[0.25, 0.5]]]
    """

    def __init__(self, extent: Extent | None = None) -> None:
        self.extent = check_extent(extent)

    def num_params(self, ndim: int = 2) -> int:
        """4 for images, 7 for volumes."""
        return 1 + num_angles(ndim) + ndim

    def identity(self, ndim: int = 2) -> NDArray[np.float32]:
        """One for the scale, zeros for the rest."""
        return np.eye(1, self.num_params(ndim), dtype="float32")[0]

    def parameter_kinds(self, ndim: int = 2) -> Sequence[str]:
        """A scale, rotations and shifts."""
        return ("scale", *["rotation"] * num_angles(ndim), *["shift"] * ndim)

    def parts(self, theta: Tensor, ndim: int, extent: Extent | None) -> tuple[Tensor, Tensor]:
        """The linear part (batch, n, n) and the shift (batch, n) of thetas."""
        scale, angles, shift = _split(theta, ndim)
        linear = between_sides(rotation_matrices(angles), extent)
        return ops.expand_dims(scale, -1) * linear, shift

    def inverse(self, theta: TensorLike) -> Tensor:
        """Thetas of the inverse transforms; not finite where the scale is 0."""
        theta, ndim = self._checked(theta)
        scale, angles, shift = _split(theta, ndim)
        back = ops.concatenate([1.0 / scale, -angles, ops.zeros_like(shift)], axis=1)
        linear, _ = self.parts(back, ndim, self._sides(ndim))
        return back - ops.pad(_move(linear, shift), [[0, 0], [1 + angles.shape[1], 0]])

    def compose(self, outer: TensorLike, inner: TensorLike) -> Tensor:
        """Thetas of `outer` after `inner`; rotation vectors come out at most pi long."""
        (outer, ndim), (inner, _) = self._checked(outer), self._checked(inner)
        linear, shift = self.parts(outer, ndim, self._sides(ndim))
        outer_scale, outer_angles, _ = _split(outer, ndim)
        inner_scale, inner_angles, inner_shift = _split(inner, ndim)
        return ops.concatenate(
            [
                outer_scale * inner_scale,
                compose_rotations(outer_angles, inner_angles),
                _move(linear, inner_shift) + shift,
            ],
            axis=1,
        )

    def with_extent(self, extent: Extent) -> Self:
        """The family for images of sides `extent`, unless it has its own."""
        return with_extent(self, extent)

    def get_config(self) -> Config:
        """Arguments of `__init__`."""
        return {"extent": self.extent}


def _split(theta, ndim):
    """Scale (batch, 1), angles and shift."""
    return theta[:, :1], theta[:, 1:-ndim], theta[:, -ndim:]


def _move(linear, shift):
    return apply(linear, ops.expand_dims(shift, 1))[:, 0]
