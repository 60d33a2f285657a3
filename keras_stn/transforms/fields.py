"""Fields of vectors: flows and velocities on a lattice from corner to corner of the image."""

from __future__ import annotations

import math

from keras import ops

from keras_stn.ops.coordinates import check_output_size, identity_grid
from keras_stn.ops.grids import coordinate_dtype
from keras_stn.ops.points import check_points
from keras_stn.ops.sampling import grid_sample
from keras_stn.transforms.base import widened
from keras_stn.transforms.lattice import lattice_size


def as_field(theta, control_points, family):
    """Theta as a field of vectors (batch, *size, n), float32 at least.

    theta is (batch, P) for a lattice of `control_points`, or already a field, of any size.
    """
    theta = ops.convert_to_tensor(theta)
    theta = ops.cast(theta, coordinate_dtype(theta.dtype))
    rank = len(theta.shape)
    if rank in (4, 5) and theta.shape[-1] == rank - 2:
        return theta
    for ndim in (2, 3):
        if not isinstance(control_points, int) and len(control_points) != ndim:
            continue
        size = lattice_size(control_points, ndim)
        if rank == 2 and theta.shape[1] == math.prod(size) * ndim:
            return ops.reshape(theta, (-1, *size, ndim))
    raise ValueError(
        "`theta` must have shape (batch, num_params), (batch, height, width, 2) or (batch, depth, "
        f"height, width, 3) for {family!r}. Received: theta.shape={tuple(theta.shape)}. Give the "
        "localization network's head as many units as `num_params` tells."
    )


def targets(output_size, field, *, align_corners):
    """The identity grid (batch, *output_size, n) for each of a batch of fields."""
    sizes = check_output_size(output_size)
    ndim = field.shape[-1]
    if len(sizes) != ndim:
        raise ValueError(
            f"`output_size` must have {ndim} axes, as theta has. Received: output_size={sizes}. "
            "Pass (height, width) for images, (depth, height, width) for volumes."
        )
    grid = ops.cast(identity_grid(sizes, align_corners=align_corners), field.dtype)
    batch = ops.shape(field)[0]
    return ops.broadcast_to(grid, (batch, *ops.shape(grid)))


def with_points(field, points):
    """A field and checked points (batch, N, n), in the wider of their dtypes."""
    points = ops.convert_to_tensor(points)
    check_points(points.shape, field.shape[-1])
    return widened(field, points)


def read_field(field, points):
    """The vectors of `field` (batch, *size, n) at `points` (batch, ..., n), normalized.

    Linear between the lattice's points, that of the edge beyond it.
    """
    return grid_sample(field, points, fill_mode="nearest", data_format="channels_last")
