"""Dense fields lie at the pixel centres of an image of their size, under either align_corners."""

import numpy as np
import pytest

from keras_stn import ops
from keras_stn.transforms import Diffeomorphic, Displacement
from tests import reference
from tests.backend import to_numpy
from tests.transforms.cases import points, run
from tests.transforms.test_flows import fields, flown, linear, smooth_field

both_align_corners = pytest.mark.parametrize("align_corners", [True, False])
# Without squarings the displacement is the velocity.
FAMILIES = {"displacement": Displacement, "velocity": lambda **kw: Diffeomorphic(squarings=0, **kw)}
both_families = pytest.mark.parametrize("make", FAMILIES.values(), ids=FAMILIES)


@both_align_corners
@both_families
def test_only_the_pixel_that_moves_moves(make, align_corners):
    flow = np.zeros((1, 1, 2, 2), "float32")
    flow[0, 0, 0, 0] = 1  # the left pixel reads the right one
    grid = make(units="pixels").grid(flow, (1, 2), align_corners=align_corners)
    pixels = ops.normalized_to_pixels(grid, (1, 2), align_corners=align_corners)
    np.testing.assert_array_equal(to_numpy(pixels)[..., 0], [[[1, 1]]])


@both_align_corners
@pytest.mark.parametrize("size", [(4, 7), (3, 5, 4)])
@both_families
def test_a_field_of_the_outputs_size_is_read_exactly(make, size, align_corners):
    flow = fields(size)
    grid = run(lambda flow: make().grid(flow, size, align_corners=align_corners), flow)
    wanted = run(lambda flow: ops.identity_grid(size, align_corners=align_corners) + flow, flow)
    np.testing.assert_array_equal(grid, wanted)
    own = run(lambda flow: make().grid(flow, align_corners=align_corners), flow)
    np.testing.assert_array_equal(own, grid)


@both_align_corners
@pytest.mark.parametrize(("size", "output_size"), [((5, 8), (7, 4)), ((3, 4, 2), (2, 5, 3))])
@both_families
def test_a_coarser_field_is_interpolated_by_the_same_convention(
    make, size, output_size, align_corners
):
    flow = fields(size)
    grid = run(lambda flow: make().grid(flow, output_size, align_corners=align_corners), flow)
    target = reference.identity_grid(output_size, align_corners).reshape(-1, len(size))
    wanted = [(target + linear(f, target, align_corners)).reshape(grid.shape[1:]) for f in flow]
    np.testing.assert_allclose(grid, wanted, atol=1e-6)


@both_align_corners
@both_families
def test_points_are_moved_by_the_same_convention(make, align_corners):
    flow, target = fields((5, 8)), points(reach=1.5)
    moved = run(
        lambda f, p: make().transform_points(f, p, align_corners=align_corners), flow, target
    )
    wanted = [p + linear(f, p, align_corners) for f, p in zip(flow, target, strict=True)]
    np.testing.assert_allclose(moved, wanted, atol=1e-6)
    boxes = np.concatenate([target[:, :5], target[:, :5]], axis=-1)  # of one point each
    found = run(lambda f, b: make().transform_boxes(f, b, align_corners=align_corners), flow, boxes)
    np.testing.assert_allclose(found[..., :2], moved[:, :5], atol=1e-6)


@both_align_corners
@pytest.mark.parametrize("size", [(6, 9), (4, 3, 5)])
def test_velocities_in_pixels_are_normalized_ones_of_other_length(size, align_corners):
    flow = fields(size, spread=0.5)
    sides = [n - 1 if align_corners else n for n in reversed(size)]
    normalized = (flow * 2 / np.array(sides)).astype("float32")
    grids = [
        run(lambda f, family=family: family.grid(f, align_corners=align_corners), field)
        for family, field in (
            (Diffeomorphic(units="pixels"), flow),
            (Diffeomorphic(), normalized),
        )
    ]
    np.testing.assert_allclose(*grids, atol=2e-6)
    target = points(len(size))
    moved = [
        run(
            lambda f, p, family=family: family.transform_points(f, p, align_corners=align_corners),
            field,
            target,
        )
        for family, field in (
            (Diffeomorphic(units="pixels"), flow),
            (Diffeomorphic(), normalized),
        )
    ]
    np.testing.assert_allclose(*moved, atol=2e-6)


@pytest.mark.parametrize("size", [(48, 64), (63, 50)])
def test_a_dense_smooth_velocity_flows_as_scipys_between_outer_edges(size):
    field, velocity = smooth_field(size, align_corners=False)
    grid = run(lambda v: Diffeomorphic().grid(v, align_corners=False), field)[0]
    target = reference.identity_grid(size, False)
    middle = tuple(slice(n // 4, 3 * n // 4, 5) for n in size)  # what comes from beyond the edge
    wanted = flown(velocity, target[middle].reshape(-1, 2))
    assert np.abs(wanted - target[middle].reshape(-1, 2)).max() > 0.1
    np.testing.assert_allclose(grid[middle].reshape(-1, 2), wanted, atol=1e-3)


@both_align_corners
def test_a_constant_velocity_moves_all_pixels_alike(align_corners):
    for size in ((5, 6), (1, 4), (3, 4, 5)):
        field = np.full((1, *size, len(size)), 0.25, "float32")
        grid = run(lambda v: Diffeomorphic(squarings=3).grid(v, align_corners=align_corners), field)
        wanted = reference.identity_grid(size, align_corners)[None] + 0.25
        if 1 in size and align_corners:  # no extent to move along
            grid, wanted = grid[..., :1], wanted[..., :1]
        np.testing.assert_allclose(grid, wanted, atol=1e-6)
