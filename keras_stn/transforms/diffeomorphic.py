"""Diffeomorphic transforms: flows that do not fold."""

from __future__ import annotations

import contextlib
import math
import operator
from collections.abc import Sequence

import keras
import numpy as np
from keras import ops

from keras_stn._types import Config, Extent, Tensor, TensorLike, Units
from keras_stn.ops.axes import weighted_along
from keras_stn.ops.coordinates import (
    at_least_one,
    check_output_size,
    extents,
    identity_grid,
    number,
)
from keras_stn.ops.kernels.barrier import compute_once
from keras_stn.ops.products import product
from keras_stn.transforms.fields import Fields, read_field

# Points of the lattice of integration for each interval between control points.
REFINEMENT = {2: 16, 3: 6}
# How much further than the image that lattice goes: what leaves the image can come back.
REACH = 1.5


@keras.saving.register_keras_serializable(package="keras_stn")
class Diffeomorphic(Fields):
    """Smooth, invertible warps: the flow of a velocity that does not change in time.

    A place travels for one unit of time along the velocity field; the inverse travels back. The
    flow is integrated by scaling and squaring: a `2**-squarings`th part of the velocity is nearly
    the displacement in that part of the time, and composed with itself `squarings` times it is
    the whole.

    Theory's flows never fold. These do not while the velocity is smooth on the lattice of
    integration: with random velocities at six control points a side, up to a standard deviation of
    0.4; at 0.7, four cells in a thousand fold.

    Convention:
        theta holds velocities per unit of time, (x, y) or (x, y, z), target to source. Flat,
        (batch, P), they are those of a lattice of `control_points` whose first and last points lie
        at -1 and 1, and a cubic B-spline smooths them. A dense field (batch, height, width, 2) or
        (batch, depth, height, width, 3) of any size is integrated as it is. Its vectors lie at the
        pixel centres of an image of the field's size, under either `align_corners`: a field of the
        output's size is read without interpolation. Beyond the edge the displacement is that of
        the edge.

    Args:
        control_points: int, or one per axis, rows first: control points per side, at least 2.
        squarings: int, how often to square.
        units: "normalized", where 1 is half the image, or "pixels" of the image.
        extent: For `units="pixels"`: see `Displacement`.

    Raises:
        ValueError: An argument or a shape is not one of the above.

    Example:
        >>> import numpy as np
        >>> from keras_stn.transforms import Diffeomorphic
        >>> family = Diffeomorphic(control_points=4)
        >>> theta = np.random.default_rng(0).normal(0, 0.2, (1, 32)).astype("float32")
        >>> points = np.array([[[0.1, -0.3]]], "float32")
        >>> moved = family.transform_points(theta, points)
        >>> back = family.transform_points(family.inverse(theta), moved)
        >>> bool(np.allclose(np.array(back), points, atol=0.002))
        True

    References:
        - [Arsigny et al., 2006](https://doi.org/10.1007/11866565_113), scaling and squaring.
        - [Rueckert et al., 1999](https://doi.org/10.1109/42.796284), B-splines of control points.
        - [Dalca et al., 2018](https://arxiv.org/abs/1805.04605), in a network.
    """

    def __init__(
        self,
        control_points: int | Sequence[int] = 6,
        squarings: int = 7,
        units: Units = "normalized",
        extent: Extent | None = None,
    ) -> None:
        super().__init__(control_points, units, extent)
        self.squarings = _check_squarings(squarings)

    def inverse(self, theta: TensorLike) -> Tensor:
        """Thetas of the inverse transforms: the velocities, backwards."""
        return -ops.convert_to_tensor(theta)

    def _displacements(
        self, field: Tensor, points: Tensor | None, *, is_dense: bool, align_corners: bool
    ) -> Tensor:
        """How far points move: see `Fields`."""
        sizes = check_output_size(ops.shape(field)[1:-1])
        velocity, reach = (
            _extended(field, sizes, align_corners) if is_dense else _smoothed(field, sizes)
        )
        reach = ops.stack([ops.cast(x, field.dtype) for x in reversed(reach)])  # (x, y[, z])
        flow = self._integrate(velocity, reach)
        if points is not None:
            return read_field(flow, points / reach)
        inner = (slice(_margin(size), _margin(size) + size) for size in sizes)
        return flow[(slice(None), *inner)]

    def _integrate(self, velocity, reach):
        """The displacement, normalized, at the points of the velocity's own lattice.

        `reach`: how far that lattice goes from the image's centre, (x, y[, z]), normalized.
        """
        points = ops.cast(identity_grid(ops.shape(velocity)[1:-1]), velocity.dtype)[None]
        flow = velocity * 2.0**-self.squarings
        for _ in range(self.squarings):
            # Once: else XLA computes the flow before again for every corner that it is read at,
            # and the flows before that.
            flow = compute_once(flow + read_field(flow, points + flow / reach))
        return flow

    def get_config(self) -> Config:
        """Arguments of `__init__`."""
        return {**super().get_config(), "squarings": self.squarings}


def _check_squarings(squarings):
    """`squarings` as an int, or `ValueError`."""
    with contextlib.suppress(TypeError):
        if not isinstance(squarings, bool) and operator.index(squarings) >= 0:
            return operator.index(squarings)
    raise ValueError(
        "`squarings` must be an integer of at least 0. "
        f"Received: squarings={squarings!r}. Pass for example squarings=7."
    )


def _smoothed(field, sizes):
    """Control points as a velocity on a finer and larger lattice, and how far that reaches."""
    for axis, size in enumerate(sizes, start=1):
        field = weighted_along(axis, field, _bspline_weights(size, len(sizes)), product)
    return field, [REACH] * len(sizes)


def _bspline_weights(size, ndim):
    """(points, size), float64: the uniform cubic B-spline of `size` control points at a lattice.

    The lattice reaches from -REACH to REACH. The first and the last control point are repeated
    beyond the image.
    """
    count = (size - 1) * REFINEMENT[ndim] + 1
    x = np.linspace(-REACH, REACH, round(REACH * (count - 1)) + 1)
    x = (x + 1.0) / 2.0 * (size - 1)
    weights = np.zeros((len(x), size))
    for index in range(math.floor(x[0]) - 1, math.ceil(x[-1]) + 2):
        distance = np.abs(x - index)
        inner = 2.0 / 3.0 - distance**2 + 0.5 * distance**3
        outer = (2.0 - np.minimum(distance, 2.0)) ** 3 / 6.0
        weights[:, min(max(index, 0), size - 1)] += np.where(distance < 1.0, inner, outer)
    return weights


def _extended(field, sizes, align_corners):
    """A dense velocity with its edges repeated beyond it, and how far its lattice then reaches."""
    reach = []
    for axis, size in enumerate(sizes, start=1):
        margin = _margin(size)
        field = _with_edges(field, axis, size, margin)
        (extent,) = extents([size], align_corners=align_corners)
        # Pixels between the lattice's first and last point, and between the places of -1 and 1.
        span, extent = (number(n, field.dtype) for n in (size - 1 + 2 * margin, extent))
        reach.append(at_least_one(span) / at_least_one(extent))
    return field, reach


def _margin(size):
    """How many points a dense field of `size` is extended by on either side."""
    return (size + 2) // 4  # REACH times as far, rounded up


def _with_edges(field, axis, size, count):
    """`field` with its first and its last value along an axis `count` times more."""
    shape = [count if i == axis else n for i, n in enumerate(ops.shape(field))]
    before = [slice(None)] * axis
    first, last = (field[(*before, slice(i, i + 1))] for i in (0, size - 1))
    edges = (ops.broadcast_to(edge, shape) for edge in (first, last))
    return ops.concatenate([next(edges), field, next(edges)], axis=axis)
