"""Translations."""

from __future__ import annotations

from collections.abc import Sequence

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from keras_stn._types import Extent, Tensor, TensorLike
from keras_stn.transforms.matrices import AffineMaps, scaled_identity


@keras.saving.register_keras_serializable(package="keras_stn")
class Translation(AffineMaps):
    """Translations: source = target + theta.

    Convention:
        theta is (t_x, t_y[, t_z]), normalized: 1 is half the image. Target to source: t_x > 0
        looks further to the right, and what is seen moves to the left.

    Example:
        >>> import numpy as np
        >>> from keras_stn.transforms import Translation
        >>> theta = np.array([[0.5, 0.0]], "float32")
        >>> np.array(Translation().transform_points(theta, np.zeros((1, 1, 2)))).tolist()
        [[[0.5, 0.0]]]
    """

    def num_params(self, ndim: int = 2) -> int:
        """One an axis."""
        return ndim

    def identity(self, ndim: int = 2) -> NDArray[np.float32]:
        """Zeros."""
        return np.zeros(ndim, "float32")

    def parameter_kinds(self, ndim: int = 2) -> Sequence[str]:
        """Shifts."""
        return ("shift",) * ndim

    def parts(self, theta: Tensor, ndim: int, extent: Extent | None) -> tuple[Tensor, Tensor]:
        """The linear part (batch, n, n) and the shift (batch, n) of thetas."""
        return scaled_identity(ops.ones_like(theta[:, :1]), ndim), theta

    def inverse(self, theta: TensorLike) -> Tensor:
        """Thetas of the inverse transforms."""
        return -self._checked(theta)[0]

    def compose(self, outer: TensorLike, inner: TensorLike) -> Tensor:
        """Thetas of `outer` after `inner`."""
        return self._checked(outer)[0] + self._checked(inner)[0]
