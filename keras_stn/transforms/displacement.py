"""Displacements: dense flows."""

from __future__ import annotations

import math

import keras
import numpy as np
from keras import ops

from keras_stn.ops.coordinates import check_output_size, extents
from keras_stn.transforms.base import Transform
from keras_stn.transforms.fields import as_field, read_field, targets, with_points
from keras_stn.transforms.lattice import check_control_points, lattice_size
from keras_stn.transforms.sides import check_extent, check_sides, length

UNITS = ("normalized", "pixels")


@keras.saving.register_keras_serializable(package="keras_stn")
class Displacement(Transform):
    """Dense flows: every place has a displacement of its own; source = target + flow(target).

    Between the points of the flow's lattice the displacement is interpolated linearly, beyond its
    edge it is that of the edge.

    Convention:
        theta is a flow (batch, height, width, 2) or (batch, depth, height, width, 3) of any size,
        last axis (x, y) or (x, y, z), target to source; or the same flat, (batch, P), of a
        lattice of `control_points`, as a `SpatialTransformer`'s head makes it. Its first and last
        points lie at -1 and 1, like the pixel centres of an image under `align_corners=True`.

    Args:
        control_points: int, or one an axis, rows first: points of the lattice a side, at least 2.
            For flat thetas only.
        units: "normalized", where 1 is half the image, or "pixels" of the image.
        extent: For `units="pixels"`: the image's sides in pixels, rows first, between the places
            of -1 and 1: its size - 1 under `align_corners=True`, else its size. None takes the
            sides of the images in a `SpatialTransformer`, those of the output in `grid`.

    Raises:
        ValueError: An argument or a shape is not one of the above.

    Example:
        >>> import numpy as np
        >>> from keras_stn.transforms import Displacement
        >>> flow = np.zeros((1, 5, 5, 2), "float32")
        >>> flow[..., 0] = 1.0  # every pixel reads its right neighbour
        >>> grid = Displacement(units="pixels").grid(flow, (5, 5))
        >>> np.array(grid)[0, 0, :, 0].tolist()
        [-0.5, 0.0, 0.5, 1.0, 1.5]

    References:
        - [Balakrishnan et al., 2019, VoxelMorph](https://arxiv.org/abs/1809.05231)
    """

    def __init__(self, control_points=8, units="normalized", extent=None):
        if units not in UNITS:
            raise ValueError(
                f"`units` must be one of {', '.join(map(repr, UNITS))}. Received: units={units!r}. "
                "Choose one of these."
            )
        self.control_points = check_control_points(control_points)
        self.units = units
        self.extent = check_extent(extent)

    def num_params(self, ndim=2):
        """One a control point and axis."""
        return math.prod(lattice_size(self.control_points, ndim)) * ndim

    def identity(self, ndim=2):
        """Zeros."""
        return np.zeros(self.num_params(ndim), "float32")

    def parameter_kinds(self, ndim=2):
        """Shifts, if normalized."""
        kind = "shift" if self.units == "normalized" else "pixels"
        return (kind,) * self.num_params(ndim)

    def grid(self, theta, output_size, *, align_corners=True):
        """Sampling grid (batch, *output_size, n)."""
        sizes = check_output_size(output_size)
        sides = self.extent or extents(sizes, align_corners=align_corners)
        flow = self._flow(theta, sides)
        points = targets(sizes, flow, align_corners=align_corners)
        return points + read_field(flow, points)

    def transform_points(self, theta, points):
        """Source points (batch, N, n) of target points (batch, N, n), both normalized."""
        if self.units == "pixels" and self.extent is None:
            raise ValueError(
                "A flow in pixels needs `extent`, the image's sides, to move points. Received: "
                f"{self!r}. Pass for example Displacement(units='pixels', extent=(31, 63))."
            )
        flow, points = with_points(self._flow(theta, self.extent), points)
        return points + read_field(flow, points)

    def _flow(self, theta, sides):
        """The normalized flow (batch, *size, n)."""
        flow = as_field(theta, self.control_points, self)
        if self.units == "normalized":
            return flow
        check_sides(sides, flow.shape[-1])
        halves = [0.5 * length(side, flow.dtype) for side in reversed(sides)]
        return ops.stack(
            [x / half for x, half in zip(ops.unstack(flow, axis=-1), halves, strict=True)], axis=-1
        )

    def with_extent(self, extent):
        """The family for images of sides `extent`, unless it has its own."""
        if self.extent or self.units == "normalized":
            return self
        return Displacement(self.control_points, self.units, extent)

    def get_config(self):
        """Arguments of `__init__`."""
        return {
            "control_points": self.control_points,
            "units": self.units,
            "extent": self.extent,
        }
