"""Penalties on transforms: each looks at where theta sends a lattice of places.

They mean the same for every family. Use one as `SpatialTransformer(theta_regularizer=...)`, or call
it on thetas.
"""

from __future__ import annotations

import copy
from typing import Self

import keras
from keras import ops

from keras_stn import transforms
from keras_stn._types import Config, Tensor, TensorLike
from keras_stn.transforms.base import Transform, TransformLike

__all__ = ["BendingEnergy", "GridRegularizer", "IdentityDistance", "LogScale", "OutsideImage"]

# Places a side at which grids are looked at, by the number of axes.
LATTICE = {2: 9, 3: 5}
# An area that shrinks below this share is not told from one that vanishes.
LEAST_AREA = 1e-4


class GridRegularizer(keras.regularizers.Regularizer):
    """A penalty on the grids of thetas; subclasses implement `penalty(grid, identity)`.

    Args:
        strength: float, what the penalty is multiplied by.
        transform: The family of the thetas, its name, or None for that of the
            `SpatialTransformer` that it is given to.

    Example:
        >>> from keras import ops
        >>> from keras_stn import regularizers
        >>> class LeftHalf(regularizers.GridRegularizer):
        ...     def penalty(self, grid, identity):
        ...         return ops.mean(ops.relu(grid[..., 0]))  # how far to the right of the middle
        >>> penalty = LeftHalf(strength=1.0, transform="translation")
        >>> float(penalty(ops.convert_to_tensor([[-1.5, 0.0]])))
        0.0
    """

    def __init__(self, strength: float = 0.01, transform: TransformLike | None = None) -> None:
        self.strength = strength
        self.transform = None if transform is None else transforms.get(transform)

    def __call__(self, theta: TensorLike) -> Tensor:
        """The penalty, a scalar: the mean over thetas (..., num_params)."""
        if self.transform is None:
            raise ValueError(
                f"`{type(self).__name__}` must know the family of theta outside a "
                "`SpatialTransformer`. Received: transform=None. Pass for example "
                f"{type(self).__name__}(transform='affine')."
            )
        theta = ops.convert_to_tensor(theta)
        theta = ops.reshape(theta, (-1, theta.shape[-1]))
        ndim = _find_ndim(self.transform, theta.shape[-1])
        size = (LATTICE[ndim],) * ndim
        grid = self.transform.grid(theta, size)
        identity = transforms.Affine().identity(ndim)[None]
        identity = ops.cast(transforms.Affine().grid(identity, size), grid.dtype)
        # Not `*`: NumPy 1 makes float64 of a float32 scalar and a number.
        return ops.multiply(self.penalty(grid, identity), self.strength)

    def penalty(self, grid: Tensor, identity: Tensor) -> Tensor:
        """The penalty, a scalar, of grids (batch, *lattice, n); `identity` is (1, *lattice, n)."""
        raise NotImplementedError(f"{type(self).__name__} must implement `penalty`.")

    def with_transform(self, transform: Transform) -> Self:
        """This penalty for thetas of `transform`, unless it has a family of its own."""
        if self.transform is not None:
            return self
        bound = copy.copy(self)
        bound.transform = transform
        return bound

    def get_config(self) -> Config:
        """Arguments of `__init__`."""
        family = None if self.transform is None else transforms.serialize(self.transform)
        return {"strength": self.strength, "transform": family}


@keras.saving.register_keras_serializable(package="keras_stn")
class IdentityDistance(GridRegularizer):
    """Keeps transforms near the identity: the mean squared distance that places are moved.

    Formula: strength * mean |grid - identity grid|^2, normalized coordinates.

    Args:
        strength: float, what the penalty is multiplied by.
        transform: The family of the thetas, its name, or None for that of the
            `SpatialTransformer` that it is given to.

    Example:
        >>> import numpy as np
        >>> from keras_stn.regularizers import IdentityDistance
        >>> penalty = IdentityDistance(1.0, transform="translation")
        >>> float(penalty(np.array([[0.5, 0.0]], "float32")))
        0.25
    """

    def penalty(self, grid: Tensor, identity: Tensor) -> Tensor:
        """The mean squared distance."""
        return ops.mean(ops.sum(ops.square(grid - identity), axis=-1))


@keras.saving.register_keras_serializable(package="keras_stn")
class LogScale(GridRegularizer):
    """Keeps transforms from collapsing and from blowing up: zooms of either sort cost the same.

    Formula: strength * mean (log a)^2, a the share of the source's area (or volume) that a cell of
    the lattice covers, in units of its own; below 0.0001, folded cells too, as that.

    Args:
        strength: float, what the penalty is multiplied by.
        transform: The family of the thetas, its name, or None for that of the
            `SpatialTransformer` that it is given to.

    Example:
        >>> import numpy as np
        >>> from keras_stn.regularizers import LogScale
        >>> penalty = LogScale(1.0, transform="attention")
        >>> zooms = [penalty(np.array([[s, 0, 0]], "float32")) for s in (0.5, 2.0)]
        >>> [round(float(zoom), 3) for zoom in zooms]
        [1.922, 1.922]
    """

    def penalty(self, grid: Tensor, identity: Tensor) -> Tensor:
        """The mean squared logarithm of the area."""
        area = _volumes(grid) / _volumes(identity)
        # Continued as a straight line: there is a way back from a fold.
        low = ops.maximum(area, LEAST_AREA)
        log = ops.log(low) + (ops.minimum(area, LEAST_AREA) - LEAST_AREA)
        return ops.mean(ops.square(log))


@keras.saving.register_keras_serializable(package="keras_stn")
class OutsideImage(GridRegularizer):
    """Keeps transforms inside the image: the mean distance of places from it.

    Formula: strength * mean |max(0, |grid| - 1)|_1, normalized coordinates. Zero for crops.

    Args:
        strength: float, what the penalty is multiplied by.
        transform: The family of the thetas, its name, or None for that of the
            `SpatialTransformer` that it is given to.

    Example:
        >>> import numpy as np
        >>> from keras_stn.regularizers import OutsideImage
        >>> penalty = OutsideImage(1.0, transform="attention")
        >>> float(penalty(np.array([[0.5, 0.25, 0.25]], "float32")))
        0.0
        >>> float(penalty(np.array([[1.0, 2.0, 0.0]], "float32"))) > 0
        True
    """

    def penalty(self, grid: Tensor, identity: Tensor) -> Tensor:
        """The mean distance from the image."""
        return ops.mean(ops.sum(ops.relu(ops.abs(grid) - 1.0), axis=-1))


@keras.saving.register_keras_serializable(package="keras_stn")
class BendingEnergy(GridRegularizer):
    """Keeps splines and flows smooth: the thin-plate energy, zero for affine transforms.

    Formula: strength * mean sum_ij |d^2 grid / dx_i dx_j|^2, by differences on the lattice,
    normalized coordinates.

    Args:
        strength: float, what the penalty is multiplied by.
        transform: The family of the thetas, its name, or None for that of the
            `SpatialTransformer` that it is given to.

    Example:
        >>> import numpy as np
        >>> from keras_stn.regularizers import BendingEnergy
        >>> penalty = BendingEnergy(1.0, transform="affine")
        >>> round(float(penalty(np.array([[0.5, 0.2, 0.1, 0, 2, 0]], "float32"))), 6)
        0.0

    References:
        - [Rueckert et al., 1999](https://doi.org/10.1109/42.796284), equation 6.
    """

    def penalty(self, grid: Tensor, identity: Tensor) -> Tensor:
        """The mean squared second derivatives."""
        axes = range(1, len(grid.shape) - 1)
        energy = 0.0
        for first in axes:
            for second in axes:
                bend = _slope(_slope(grid, first), second)
                energy = energy + ops.mean(ops.sum(ops.square(bend), axis=-1))
        return energy


def outside_share(grid):
    """The share of each grid's samples, (batch,), that lies outside the image."""
    inside = ops.all(ops.abs(grid) <= 1.0 + 1e-4, axis=-1)
    return 1.0 - ops.mean(ops.cast(inside, grid.dtype), axis=tuple(range(1, len(grid.shape) - 1)))


def _slope(values, axis):
    """Differences along a lattice's axis, per unit of length."""
    size = values.shape[axis]
    after = ops.take(values, ops.arange(1, size), axis=axis)
    before = ops.take(values, ops.arange(size - 1), axis=axis)
    # Second differences have a point less: the lattice's own distance, not the axis's.
    return (after - before) * ((LATTICE[len(values.shape) - 2] - 1) / 2.0)


def _volumes(grid):
    """The signed area, or volume, of each of the lattice's cells, from its corner's edges."""
    ndim = grid.shape[-1]
    edges = []
    for axis in range(1, 1 + ndim):
        edge = _slope(grid, axis)
        for other in range(1, 1 + ndim):
            if other != axis:
                edge = ops.take(edge, ops.arange(grid.shape[other] - 1), axis=other)
        edges.append(edge)
    if ndim == 2:
        (a, b), (c, d) = (ops.unstack(edge, axis=-1) for edge in edges)
        return a * d - b * c
    return ops.sum(edges[0] * ops.cross(edges[1], edges[2], axis=-1), axis=-1)


def _find_ndim(transform, params):
    for ndim in (2, 3):
        try:
            if transform.num_params(ndim) == params:
                return ndim
        except ValueError:  # the family has no such number of axes
            continue
    raise ValueError(
        f"`theta` must have as many parameters as {transform!r} takes. Received: {params} in its "
        "last axis. Pass the family that theta is of."
    )
