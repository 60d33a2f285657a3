"""Attention: a scale and a translation."""

from __future__ import annotations

from collections.abc import Sequence

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from keras_stn._types import Extent, Tensor, TensorLike
from keras_stn.transforms.matrices import AffineMaps, scaled_identity


@keras.saving.register_keras_serializable(package="keras_stn")
class Attention(AffineMaps):
    """Upright crops: one scale for all axes, and a translation; source = s target + t.

    Convention:
        theta is (s, t_x, t_y[, t_z]), normalized, target to source: s = 0.5 looks at half the
        image's width and height, zooming in twofold.

    Example:
        >>> import numpy as np
        >>> from keras_stn.transforms import Attention
        >>> attention = Attention()
        >>> lower_right = np.array([[0.5, 0.5, 0.5]], "float32")
        >>> np.array(attention.transform_boxes(lower_right, [[[-1.0, -1.0, 1.0, 1.0]]])).tolist()
        [[[0.0, 0.0, 1.0, 1.0]]]

    References:
        - [Jaderberg et al., 2015](https://arxiv.org/abs/1506.02025), equation 2.
    """

    def num_params(self, ndim: int = 2) -> int:
        """The scale and one shift an axis."""
        return 1 + ndim

    def identity(self, ndim: int = 2) -> NDArray[np.float32]:
        """One for the scale, zeros for the shift."""
        return np.eye(1, 1 + ndim, dtype="float32")[0]

    def parameter_kinds(self, ndim: int = 2) -> Sequence[str]:
        """A scale and shifts."""
        return ("scale", *["shift"] * ndim)

    def parts(self, theta: Tensor, ndim: int, extent: Extent | None) -> tuple[Tensor, Tensor]:
        """The linear part (batch, n, n) and the shift (batch, n) of thetas."""
        return scaled_identity(theta[:, :1], ndim), theta[:, 1:]

    def inverse(self, theta: TensorLike) -> Tensor:
        """Thetas of the inverse transforms; not finite where the scale is 0."""
        theta, _ = self._checked(theta)
        scale = 1.0 / theta[:, :1]
        return ops.concatenate([scale, -scale * theta[:, 1:]], axis=1)

    def compose(self, outer: TensorLike, inner: TensorLike) -> Tensor:
        """Thetas of `outer` after `inner`."""
        (outer, _), (inner, _) = self._checked(outer), self._checked(inner)
        scale = outer[:, :1]
        return ops.concatenate([scale * inner[:, :1], scale * inner[:, 1:] + outer[:, 1:]], axis=1)
