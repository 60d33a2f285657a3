"""Rotations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

import keras
import numpy as np
from numpy.typing import NDArray

from keras_stn._types import Config, Extent, Tensor, TensorLike
from keras_stn.transforms.matrices import AffineMaps
from keras_stn.transforms.rotations import (
    between_sides,
    compose_rotations,
    num_angles,
    rotation_matrices,
)
from keras_stn.transforms.sides import check_extent, with_extent


@keras.saving.register_keras_serializable(package="keras_stn")
class Rotation(AffineMaps):
    """Rotations about the image's centre; they do not shear, whatever the image's sides.

    Formula: source = S^-1 R S target, R the rotation and S the sides of the image on a diagonal.

    Convention:
        theta is the angle in radians, target to source: a positive angle looks along an axis
        turned from x (right) towards y (down), so that what is seen turns counter-clockwise. For
        volumes, theta is a rotation vector (r_x, r_y, r_z): along the axis, as long as the angle.

    Args:
        extent: The image's sides, (height, width) or (depth, height, width), in any unit of
            length: for example voxels times their spacing. None takes the sides of the images in
            a `SpatialTransformer`, those of the output in `grid`, and a square or a cube where
            there is neither.

    Raises:
        ValueError: `extent` or a shape is not one of the above.

    Example:
        >>> import numpy as np
        >>> from keras_stn.transforms import Rotation
        >>> quarter = np.array([[np.pi / 2]], "float32")
        >>> right = np.array([[[1.0, 0.0]]], "float32")
        >>> np.array(Rotation().transform_points(quarter, right)).round(3).tolist()
        [[[-0.0, 1.0]]]
        >>> wide = Rotation(extent=(1.0, 2.0))  # half a width is a whole height
        >>> np.array(wide.transform_points(quarter, right)).round(3).tolist()
        [[[-0.0, 2.0]]]
    """

    def __init__(self, extent: Extent | None = None) -> None:
        self.extent = check_extent(extent)

    def num_params(self, ndim: int = 2) -> int:
        """1 for images, 3 for volumes."""
        return num_angles(ndim)

    def identity(self, ndim: int = 2) -> NDArray[np.float32]:
        """Zeros."""
        return np.zeros(num_angles(ndim), "float32")

    def parameter_kinds(self, ndim: int = 2) -> Sequence[str]:
        """Rotations."""
        return ("rotation",) * num_angles(ndim)

    def parts(self, theta: Tensor, ndim: int, extent: Extent | None) -> tuple[Tensor, Tensor]:
        """The linear part (batch, n, n) and the shift (batch, n) of thetas."""
        linear = between_sides(rotation_matrices(theta), extent)
        return linear, 0.0 * linear[:, 0]

    def inverse(self, theta: TensorLike) -> Tensor:
        """Thetas of the inverse transforms."""
        return -self._checked(theta)[0]

    def compose(self, outer: TensorLike, inner: TensorLike) -> Tensor:
        """Thetas of `outer` after `inner`; rotation vectors come out at most pi long."""
        outer, ndim = self._checked(outer)
        return compose_rotations(outer, self._checked(inner, ndim)[0])

    def with_extent(self, extent: Extent) -> Self:
        """The family for images of sides `extent`, unless it has its own."""
        return with_extent(self, extent)

    def get_config(self) -> Config:
        """Arguments of `__init__`."""
        return {"extent": self.extent}
