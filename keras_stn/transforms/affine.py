"""Affine transforms."""

from __future__ import annotations

from collections.abc import Sequence

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from keras_stn._types import Extent, Shape, Tensor, TensorLike
from keras_stn.ops.grids import coordinate_dtype, count_leading
from keras_stn.transforms.matrices import (
    AffineMaps,
    adjugate,
    apply,
    flat,
    join,
    matrix_kinds,
    product,
)


@keras.saving.register_keras_serializable(package="keras_stn")
class Affine(AffineMaps):
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

    def num_params(self, ndim: int = 2) -> int:
        """6 for images, 12 for volumes."""
        return ndim * (ndim + 1)

    def identity(self, ndim: int = 2) -> NDArray[np.float32]:
        """Ones for the scales, zeros for the rest."""
        return np.eye(ndim, ndim + 1, dtype="float32").ravel()

    def parameter_kinds(self, ndim: int = 2) -> Sequence[str]:
        """The diagonal, shears beside it, the shift last in each row."""
        return matrix_kinds(ndim)

    def parts(self, theta: Tensor, ndim: int, extent: Extent | None) -> tuple[Tensor, Tensor]:
        """The linear part (batch, n, n) and the shift (batch, n) of thetas."""
        rows = ops.reshape(theta, (-1, ndim, ndim + 1))
        return rows[:, :, :ndim], rows[:, :, ndim]

    def inverse(self, theta: TensorLike) -> Tensor:
        """Thetas of the inverse transforms; not finite where theta is singular."""
        linear, shift = self._split(theta)
        found, determinant = adjugate(linear)
        inverse = found / determinant
        return flat(join(inverse, -apply(inverse, ops.expand_dims(shift, 1))[:, 0]))

    def compose(self, outer: TensorLike, inner: TensorLike) -> Tensor:
        """Thetas of `outer` after `inner`: the point x goes to outer(inner(x))."""
        outer_linear, outer_shift = self._split(outer)
        inner_linear, inner_shift = self._split(inner)
        shift = apply(outer_linear, ops.expand_dims(inner_shift, 1))[:, 0] + outer_shift
        return flat(join(product(outer_linear, inner_linear), shift))

    def _count_leading(self, shape: Shape) -> int:
        """As in `Transform`; a matrix is a single transform, too."""
        matrix = len(shape) > 2 and tuple(shape[-2:]) in ((2, 3), (3, 4))
        return len(shape) - 2 if matrix else super()._count_leading(shape)

    def _split(self, theta):
        theta, ndim = self._checked(theta)
        return self.parts(theta, ndim, None)

    def _checked(self, theta, ndim=None):
        theta = ops.convert_to_tensor(theta)
        # Not the batch: an exporter takes a size that is compared for one that is known.
        is_matrix_of_volumes = len(theta.shape) > 2 and theta.shape[-1] == 4
        ndim = ndim or (3 if is_matrix_of_volumes or theta.shape[-1:] == (12,) else 2)
        count_leading(theta.shape, ndim)  # or an error
        theta = ops.reshape(theta, (-1, ndim * (ndim + 1)))
        return ops.cast(theta, coordinate_dtype(theta.dtype)), ndim
