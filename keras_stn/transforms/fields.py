"""What families have in common whose theta is a field of vectors: displacements, velocities."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Self

import numpy as np
from keras import ops
from numpy.typing import NDArray

from keras_stn._types import Config, Extent, Shape, Sizes, Tensor, TensorLike, Units
from keras_stn.ops.coordinates import check_output_size, extents, identity_grid
from keras_stn.ops.grids import coordinate_dtype
from keras_stn.ops.points import bounding_boxes, box_corners, check_points
from keras_stn.ops.sampling import grid_sample
from keras_stn.transforms.base import Transform, widened
from keras_stn.transforms.lattice import check_control_points, lattice_size
from keras_stn.transforms.sides import check_extent, check_sides, length, with_extent

UNITS = ("normalized", "pixels")


class Fields(Transform):
    """A family of flows: a subclass makes displacements of the vectors, by `_displacements`."""

    def __init__(
        self, control_points: int | Sequence[int], units: Units, extent: Extent | None
    ) -> None:
        if units not in UNITS:
            raise ValueError(
                f"`units` must be one of {', '.join(map(repr, UNITS))}. Received: units={units!r}. "
                "Choose one of these."
            )
        self.control_points = check_control_points(control_points)
        self.units = units
        self.extent = check_extent(extent)

    def _displacements(
        self, field: Tensor, points: Tensor | None, *, is_dense: bool, align_corners: bool
    ) -> Tensor:
        """How far points (batch, ..., n) move, normalized; `points` None are the field's own.

        Args:
            field: Vectors (batch, *size, n), normalized.
            points: Normalized.
            is_dense: bool. Whether the field's vectors lie at the pixel centres of an image of its
                size; else they are those of a lattice from corner to corner of the image.
            align_corners: As in `keras_stn.ops.grid_sample`.
        """
        raise NotImplementedError(f"{type(self).__name__} must implement `_displacements`.")

    def num_params(self, ndim: int = 2) -> int:
        """One for each control point and axis."""
        return math.prod(lattice_size(self.control_points, ndim)) * ndim

    def identity(self, ndim: int = 2) -> NDArray[np.float32]:
        """Zeros."""
        return np.zeros(self.num_params(ndim), "float32")

    def parameter_kinds(self, ndim: int = 2) -> Sequence[str]:
        """Shifts, if normalized."""
        kind = "shift" if self.units == "normalized" else "pixels"
        return (kind,) * self.num_params(ndim)

    def grid(
        self, theta: TensorLike, output_size: Sizes | None = None, *, align_corners: bool = True
    ) -> Tensor:
        """Sampling grid (batch, *output_size, n); `output_size` None is the size of the field."""
        field, is_dense = self._field(theta)
        size = check_output_size(ops.shape(field)[1:-1])
        sizes = size if output_size is None else check_output_size(output_size)
        if len(sizes) != len(size):
            raise ValueError(
                f"`output_size` must have {len(size)} axes, as theta has. Received: "
                f"output_size={sizes}. Pass (height, width) for images, (depth, height, width) for "
                "volumes."
            )
        sides = self.extent or extents(sizes, align_corners=align_corners)
        field = self._normalized(field, sides)
        targets = ops.cast(identity_grid(sizes, align_corners=align_corners), field.dtype)[None]
        # What lies at the pixels already is not interpolated.
        own = is_dense and _are_equal(sizes, size)
        points = None if own else targets
        return targets + self._displacements(
            field, points, is_dense=is_dense, align_corners=align_corners
        )

    def transform_points(
        self, theta: TensorLike, points: TensorLike, *, align_corners: bool = True
    ) -> Tensor:
        """Source points (batch, N, n) of target points (batch, N, n), both normalized.

        `align_corners` is that of the image to whose pixels a dense field belongs.
        """
        field, is_dense = self._field(theta)
        points = ops.convert_to_tensor(points)
        check_points(points.shape, field.shape[-1])
        sides = self.extent
        if self.units == "pixels" and sides is None:
            if not is_dense:
                raise ValueError(
                    "Vectors in pixels need `extent`, the image's sides, to move points. Received: "
                    f"{self!r}. Pass for example {type(self).__name__}(units='pixels', "
                    "extent=(31, 63))."
                )
            size = check_output_size(ops.shape(field)[1:-1])
            sides = extents(size, align_corners=align_corners)
        field, points = widened(self._normalized(field, sides), points)
        return points + self._displacements(
            field, points, is_dense=is_dense, align_corners=align_corners
        )

    def transform_boxes(
        self, theta: TensorLike, boxes: TensorLike, *, align_corners: bool = True
    ) -> Tensor:
        """Source boxes of target `boxes`, both (batch, N, 2 ndim); see `transform_points`."""
        corners = box_corners(boxes)
        return bounding_boxes(self.transform_points(theta, corners, align_corners=align_corners))

    def with_extent(self, extent: Extent) -> Self:
        """The family for images of sides `extent`, unless it has its own."""
        return self if self.units == "normalized" else with_extent(self, extent)

    def _count_leading(self, shape: Shape) -> int:
        """As in `Transform`; a dense field is a single transform, too."""
        is_dense = len(shape) >= 4 and shape[-1] in self.ndims and len(shape) >= shape[-1] + 2
        return len(shape) - shape[-1] - 1 if is_dense else super()._count_leading(shape)

    def get_config(self) -> Config:
        """Arguments of `__init__`."""
        return {
            "control_points": self.control_points,
            "units": self.units,
            "extent": self.extent,
        }

    def _field(self, theta):
        """Theta as a field (batch, *size, n), float32 at least, and whether it came as one."""
        theta = ops.convert_to_tensor(theta)
        theta = ops.cast(theta, coordinate_dtype(theta.dtype))
        rank = len(theta.shape)
        if rank in (4, 5) and theta.shape[-1] == rank - 2:
            return theta, True
        for ndim, count in self._counts().items():
            if rank == 2 and theta.shape[1] == count:
                size = lattice_size(self.control_points, ndim)
                return ops.reshape(theta, (-1, *size, ndim)), False
        raise ValueError(
            "`theta` must have shape (batch, num_params), (batch, height, width, 2) or (batch, "
            f"depth, height, width, 3) for {self!r}. Received: theta.shape={tuple(theta.shape)}. "
            "Pass a dense field, or as many numbers as `num_params` says."
        )

    def _normalized(self, field, sides):
        """Vectors in normalized units."""
        if self.units == "normalized":
            return field
        check_sides(sides, field.shape[-1])
        halves = [0.5 * length(side, field.dtype) for side in reversed(sides)]
        vectors = zip(ops.unstack(field, axis=-1), halves, strict=True)
        return ops.stack([x / half for x, half in vectors], axis=-1)


def _are_equal(sizes, others):
    """Whether two sizes are known to be equal."""
    if any(ops.is_tensor(size) for size in (*sizes, *others)):
        return False
    return all(size == other for size, other in zip(sizes, others, strict=True))


def read_field(field, points, *, align_corners=True):
    """The vectors of `field` (batch, *size, n) at `points` (batch, ..., n), normalized.

    Linear between the field's places, those of the edge beyond it.
    """
    return grid_sample(
        field, points, fill_mode="nearest", align_corners=align_corners, data_format="channels_last"
    )
