"""Displacements: dense flows."""

from __future__ import annotations

from collections.abc import Sequence

import keras

from keras_stn._types import Extent, Tensor, Units
from keras_stn.transforms.fields import Fields, read_field


@keras.saving.register_keras_serializable(package="keras_stn")
class Displacement(Fields):
    """Dense flows: every place has a displacement of its own; source = target + flow(target).

    Between the places of the flow's vectors the displacement is interpolated linearly, beyond its
    edge it is that of the edge.

    Convention:
        theta is a flow (batch, height, width, 2) or (batch, depth, height, width, 3) of any size,
        last axis (x, y) or (x, y, z), target to source. Its vectors lie at the pixel centres of an
        image of the flow's size, under either `align_corners`: a flow of the output's size is read
        without interpolation. Or theta is flat, (batch, P), as a `SpatialTransformer`'s head makes
        it: a lattice of `control_points` whose first and last points lie at -1 and 1.

    Args:
        control_points: int, or one per axis, rows first: points of the lattice per side, at least
            2. For flat thetas only.
        units: "normalized", where 1 is half the image, or "pixels" of the image.
        extent: For `units="pixels"`: the image's sides in pixels, rows first, between the places
            of -1 and 1: its size - 1 under `align_corners=True`, else its size. None takes the
            sides of the images in a `SpatialTransformer`, those of the output in `grid`, and those
            of a dense flow in `transform_points`.

    Raises:
        ValueError: An argument or a shape is not one of the above.

    Example:
        >>> import numpy as np
        >>> from keras_stn.transforms import Displacement
        >>> flow = np.zeros((1, 5, 5, 2), "float32")
        >>> flow[..., 0] = 1.0  # every pixel reads its right neighbour
        >>> grid = Displacement(units="pixels").grid(flow)
        >>> np.array(grid)[0, 0, :, 0].tolist()
        [-0.5, 0.0, 0.5, 1.0, 1.5]

    References:
        - [Balakrishnan et al., 2019, VoxelMorph](https://arxiv.org/abs/1809.05231)
    """

    def __init__(
        self,
        control_points: int | Sequence[int] = 8,
        units: Units = "normalized",
        extent: Extent | None = None,
    ) -> None:
        super().__init__(control_points, units, extent)

    def _displacements(
        self, field: Tensor, points: Tensor | None, *, is_dense: bool, align_corners: bool
    ) -> Tensor:
        """How far points move: see `Fields`."""
        if points is None:
            return field
        return read_field(field, points, align_corners=align_corners or not is_dense)
