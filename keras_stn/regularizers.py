"""Penalties on transforms: each looks at where theta sends a lattice of places.

They mean the same for every family. Use one as `SpatialTransformer(theta_regularizer=...)`, or call
it on thetas.
"""

from __future__ import annotations

import copy
import math
import numbers
from typing import Self

import keras
from keras import ops

from keras_stn import transforms
from keras_stn._types import Config, Tensor
from keras_stn.ops.coordinates import identity_grid, number
from keras_stn.transforms.base import Transform, TransformLike
from keras_stn.transforms.lattice import lattice_size

__all__ = ["BendingEnergy", "GridRegularizer", "IdentityDistance", "LogScale", "OutsideImage"]

# The fewest places a side at which the grids of flat thetas are looked at, by the number of axes.
LATTICE = {2: 9, 3: 5}
# An area that shrinks below this share is not told from one that vanishes.
LEAST_AREA = 1e-4


class GridRegularizer(keras.regularizers.Regularizer):
    """A penalty on the grids of thetas; subclasses implement `penalty(grid, identity)`.

    Flat thetas are looked at on a lattice of 9 places a side, 5 in volumes, or of as many as the
    family has control points, where these are more. A dense field of `Displacement` or
    `Diffeomorphic` is looked at where its own points are.

    Args:
        strength: float, what the penalty is multiplied by.
        transform: The family of the thetas, its name, or None for that of the
            `SpatialTransformer` that it is given to.

    Call arguments:
        theta: Thetas (..., num_params); or, of `Displacement` and `Diffeomorphic`, dense fields
            (batch, height, width, 2) or (batch, depth, height, width, 3) of any size, known or
            not. A field in pixels, without an `extent`, is in pixels of its own size.

    Raises:
        ValueError: `theta` is not of the family, or there is no family.

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
        # A plain number, whose configuration is one; a variable can be given too.
        self.strength = float(strength) if isinstance(strength, numbers.Real) else strength
        self.transform = None if transform is None else transforms.get(transform)

    def __call__(self, theta):
        """The penalty, a scalar: the mean over thetas (..., num_params), or over fields."""
        if self.transform is None:
            raise ValueError(
                f"`{type(self).__name__}` must know the family of theta outside a "
                "`SpatialTransformer`. Received: transform=None. Pass for example "
                f"{type(self).__name__}(transform='affine')."
            )
        theta = ops.convert_to_tensor(theta)
        if _is_field(theta, self.transform):
            # At its own points no field is interpolated.
            size = tuple(ops.shape(theta)[1:-1])
        else:
            theta = ops.reshape(theta, (-1, theta.shape[-1]))
            size = _lattice_size(self.transform, _find_ndim(self.transform, theta.shape))
        grid = self.transform.grid(theta, size)
        identity = ops.cast(ops.expand_dims(identity_grid(size), 0), grid.dtype)
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
        return _mean(ops.sum(ops.square(grid - identity), axis=-1))


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
        rates = _rates(identity)
        area = _volumes(grid, rates) / _volumes(identity, rates)
        # Continued as a straight line: there is a way back from a fold.
        low = ops.maximum(area, LEAST_AREA)
        log = ops.log(low) + (ops.minimum(area, LEAST_AREA) - LEAST_AREA)
        return _mean(ops.square(log))


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
        return _mean(ops.sum(ops.relu(ops.abs(grid) - 1.0), axis=-1))


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
        axes = list(enumerate(_rates(identity), start=1))
        energy = 0.0
        for first, rate in axes:
            slope = _slope(grid, first, rate)
            for second, other in axes:
                bend = _slope(slope, second, other)
                energy = energy + _mean(ops.sum(ops.square(bend), axis=-1))
        return energy


def outside_share(grid):
    """The share of each grid's samples, (batch,), that lies outside the image."""
    inside = ops.all(ops.abs(grid) <= 1.0 + 1e-4, axis=-1)
    return 1.0 - ops.mean(ops.cast(inside, grid.dtype), axis=tuple(range(1, len(grid.shape) - 1)))


def _mean(values):
    """The mean; 0 of nothing, where an axis has too few points to differ."""
    count = number(math.prod(ops.shape(values)), values.dtype)
    return ops.sum(values) / ops.maximum(ops.cast(count, values.dtype), 1.0)


def _rates(identity):
    """Along each axis, the lattice's intervals in a unit of length; its points span two."""
    return [(number(size, identity.dtype) - 1.0) / 2.0 for size in ops.shape(identity)[1:-1]]


def _part(values, axis, start, stop):
    """`values[start:stop]` along an axis."""
    return values[(slice(None),) * axis + (slice(start, stop),)]


def _slope(values, axis, rate):
    """Differences along a lattice's axis, per unit of length."""
    return (_part(values, axis, 1, None) - _part(values, axis, None, -1)) * rate


def _volumes(grid, rates):
    """The signed area, or volume, of each of the lattice's cells, from its corner's edges."""
    ndim = grid.shape[-1]
    edges = []
    for axis, rate in enumerate(rates, start=1):
        edge = _slope(grid, axis, rate)
        for other in range(1, 1 + ndim):
            if other != axis:
                edge = _part(edge, other, None, -1)
        edges.append(edge)
    if ndim == 2:
        (a, b), (c, d) = (ops.unstack(edge, axis=-1) for edge in edges)
        return a * d - b * c
    return ops.sum(edges[0] * ops.cross(edges[1], edges[2], axis=-1), axis=-1)


def _is_field(theta, transform):
    """Whether theta is a dense field, of a family that takes them."""
    ndim = len(theta.shape) - 2
    flows = (transforms.Displacement, transforms.Diffeomorphic)
    return isinstance(transform, flows) and ndim in (2, 3) and theta.shape[-1] == ndim


def _lattice_size(transform, ndim):
    """Places along each axis, rows first: a finer lattice of control points is met at each."""
    control_points = lattice_size(getattr(transform, "control_points", 1), ndim)
    return tuple(max(LATTICE[ndim], count) for count in control_points)


def _find_ndim(transform, shape):
    for ndim in (2, 3):
        try:
            if transform.num_params(ndim) == shape[-1]:
                return ndim
        except ValueError:  # the family has no such number of axes
            continue
    raise ValueError(
        f"`theta` must have as many parameters as {transform!r} takes. Received: {shape[-1]} in "
        "its last axis. Pass the family that theta is of."
    )
