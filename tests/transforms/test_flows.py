"""Displacements and diffeomorphic flows against SciPy's interpolation and integration."""

import functools

import keras
import numpy as np
import pytest
from scipy.integrate import solve_ivp
from scipy.interpolate import BSpline
from scipy.linalg import expm
from scipy.ndimage import map_coordinates

from keras_stn.transforms import Diffeomorphic, Displacement, diffeomorphic
from tests import reference
from tests.backend import BACKEND, gradients, xla_program
from tests.ops.test_gradients import differences, gradients64
from tests.selection import XLA
from tests.transforms.cases import points, run, thetas

both_ndims = pytest.mark.parametrize("ndim", [2, 3])
both_align_corners = pytest.mark.parametrize("align_corners", [True, False])


def fields(size, spread=0.1, batch=2, seed=0):
    """Seeded noise, (batch, *size, n), float32."""
    rng = np.random.default_rng(seed)
    return rng.normal(0, spread, (batch, *size, len(size))).astype("float32")


def linear(field, target, align_corners=True):
    """One field (*size, n) at points (N, n), by SciPy: linear, that of the edge beyond it."""
    size = field.shape[:-1]
    axes = zip(target.T[::-1], size, strict=True)
    places = [reference.to_pixels(x, n, align_corners) for x, n in axes]
    channels = np.moveaxis(field.astype("float64"), -1, 0)
    return np.stack([map_coordinates(c, places, order=1, mode="nearest") for c in channels], -1)


@pytest.mark.parametrize("size", [(5, 8), (2, 2), (3, 4, 6)])
def test_displacements_between_the_lattice_are_scipys(size):
    # More than one interval of the lattice beyond its edge, too.
    flow, target = fields(size), points(len(size), count=100, reach=2.5)
    moved = run(Displacement().transform_points, flow, target)
    wanted = [p + linear(f, p) for f, p in zip(flow, target, strict=True)]
    np.testing.assert_allclose(moved, wanted, atol=1e-6)


@both_align_corners
@pytest.mark.parametrize(("size", "output_size"), [((5, 8), (7, 4)), ((3, 4, 2), (2, 5, 3))])
def test_grids_of_displacements_are_scipys(size, output_size, align_corners):
    flow = fields(size)
    grid = run(
        lambda flow: Displacement().grid(flow, output_size, align_corners=align_corners), flow
    )
    target = reference.identity_grid(output_size, align_corners).reshape(-1, len(size))
    wanted = [(target + linear(f, target, align_corners)).reshape(grid.shape[1:]) for f in flow]
    np.testing.assert_allclose(grid, wanted, atol=1e-6)


@both_ndims
def test_a_field_of_the_outputs_size_is_read_pixel_by_pixel(ndim):
    size = (4, 7, 5)[:ndim]
    flow = fields(size)
    grid = run(lambda flow: Displacement().grid(flow, size), flow)
    np.testing.assert_allclose(grid, reference.identity_grid(size) + flow, atol=1e-6)


@pytest.mark.parametrize("cls", [Displacement, Diffeomorphic])
@pytest.mark.parametrize("size", [(3, 4), (2, 4, 3)])
def test_flat_thetas_are_fields_row_by_row(cls, size):
    family = cls(size) if cls is Displacement else cls(size, squarings=1)
    flow, target = fields(size), points(len(size))
    assert family.num_params(len(size)) == flow[0].size
    flat = run(family.transform_points, flow.reshape(2, -1), target)
    if cls is Displacement:
        np.testing.assert_array_equal(flat, run(family.transform_points, flow, target))
    else:  # a B-spline smooths what is flat
        for axis in range(len(size)):
            moved = np.flip(flow, axis + 1).copy()
            moved[..., -1 - axis] *= -1
            other = target.copy()
            other[..., -1 - axis] *= -1
            mirrored = run(family.transform_points, moved.reshape(2, -1), other)
            mirrored[..., -1 - axis] *= -1
            np.testing.assert_allclose(mirrored, flat, atol=1e-6)


@both_align_corners
@both_ndims
def test_a_displacement_in_pixels_moves_by_pixels(ndim, align_corners):
    # Every pixel reads the one that lies 1 further in x, 2 in y and 3 in z.
    size = (4, 7, 6)[:ndim]
    flow = np.broadcast_to(np.arange(1, ndim + 1, dtype="float32"), (1, *size, ndim))
    family = Displacement(units="pixels")
    grid = run(lambda flow: family.grid(flow, size, align_corners=align_corners), flow)
    for axis, n in enumerate(size[::-1]):
        index = np.indices(size)[ndim - 1 - axis]
        found = reference.to_pixels(grid[0, ..., axis], n, align_corners)
        np.testing.assert_allclose(found, index + axis + 1, atol=1e-5)


def test_pixels_are_those_of_the_extent():
    # The output has other sides than the image that is read.
    family = Displacement(units="pixels", extent=(10, 40))
    flow, target = fields((3, 4), spread=2.0), points()
    normalized = flow * np.array([2 / 40, 2 / 10], "float32")
    moved = run(family.transform_points, flow, target)
    wanted = run(Displacement().transform_points, normalized, target)
    np.testing.assert_allclose(moved, wanted, atol=1e-6)
    grid = run(lambda flow: family.grid(flow, (5, 5)), flow)
    wanted = run(lambda flow: Displacement().grid(flow, (5, 5)), normalized)
    np.testing.assert_allclose(grid, wanted, atol=1e-6)


@pytest.mark.gradient
@pytest.mark.parametrize("size", [(3, 4), (2, 3, 2)])
def test_gradient_to_a_displacement(size):
    ndim = len(size)
    flow, target = fields(size, batch=1).astype("float64"), points(ndim, batch=1, count=9)
    upstream = np.random.default_rng(2).normal(size=target.shape)
    (found,) = gradients64(
        lambda flow: Displacement().transform_points(
            flow, keras.ops.convert_to_tensor(target, dtype="float64")
        ),
        flow,
        upstream=upstream,
    )
    wanted = differences(lambda f: (target[0] + linear(f[0], target[0]))[None], flow, upstream)
    np.testing.assert_allclose(found, wanted, rtol=1e-6, atol=1e-7)


def splines(size, places):
    """(N, size): SciPy's uniform cubic B-splines at normalized places, the ends repeated."""
    more = 2 * size  # control points beyond each end, all equal to the last
    index = np.arange(-more, size + more)
    knots = np.arange(index[0] - 2, index[-1] + 3).astype("float64")
    basis = BSpline(knots, np.eye(len(index)), 3)((np.asarray(places) + 1) / 2 * (size - 1))
    return basis @ np.eye(size)[np.clip(index, 0, size - 1)]


def velocities(theta, size):
    """The B-spline's velocity of one theta, a function of points (N, n)."""
    control = theta.astype("float64").reshape(*size, len(size))
    axes = "yx" if len(size) == 2 else "zyx"
    summed = ",".join(f"n{axis}" for axis in axes) + f",{axes}c->nc"

    def velocity(places):
        weights = [splines(n, x) for n, x in zip(size, places.T[::-1], strict=True)]
        return np.einsum(summed, *weights, control)

    return velocity


def flown(velocity, target, time=1.0):
    """Where points (N, n) are after `time`, by SciPy."""
    path = solve_ivp(
        lambda _, places: velocity(places.reshape(target.shape)).ravel(),
        (0, time),
        target.astype("float64").ravel(),
        rtol=1e-8,
        atol=1e-10,
    )
    return path.y[:, -1].reshape(target.shape)


@pytest.mark.parametrize(
    # In two dimensions, less than a sixteenth of a pixel in an image of 64.
    ("size", "atol"),
    [((2, 2), 2e-3), ((4, 4), 2e-3), ((6, 6), 2e-3), ((3, 5), 2e-3), ((3, 4, 3), 6e-3)],
)
def test_diffeomorphic_flows_are_scipys(size, atol):
    family, ndim = Diffeomorphic(control_points=size), len(size)
    theta, target = thetas(family, ndim, spread=0.2), points(ndim, count=40, reach=1.0)
    moved = run(family.transform_points, theta, target)
    wanted = [flown(velocities(t, size), p) for t, p in zip(theta, target, strict=True)]
    assert np.abs(wanted - target).max() > 0.2
    np.testing.assert_allclose(moved, wanted, atol=atol)


@pytest.mark.parametrize("size", [(4, 4), (3, 5), (3, 4, 3)])
def test_with_finer_steps_and_lattices_they_become_scipys(size, monkeypatch):
    monkeypatch.setattr(diffeomorphic, "REFINEMENT", {2: 64, 3: 18})
    family, ndim = Diffeomorphic(control_points=size, squarings=10), len(size)
    theta, target = thetas(family, ndim, spread=0.2), points(ndim, count=40, reach=1.0)
    moved = run(family.transform_points, theta, target)
    wanted = [flown(velocities(t, size), p) for t, p in zip(theta, target, strict=True)]
    np.testing.assert_allclose(moved, wanted, atol=1.5e-4 if ndim == 2 else 1e-3)


@both_align_corners
def test_grids_of_diffeomorphic_flows_are_scipys(align_corners):
    family, size = Diffeomorphic(control_points=4), (6, 9)
    theta = thetas(family, spread=0.2)
    grid = run(lambda theta: family.grid(theta, size, align_corners=align_corners), theta)
    target = reference.identity_grid(size, align_corners).reshape(-1, 2)
    wanted = [flown(velocities(t, (4, 4)), target).reshape(*size, 2) for t in theta]
    np.testing.assert_allclose(grid, wanted, atol=2e-3)


def test_without_squarings_it_is_one_step_of_the_velocity():
    family = Diffeomorphic(control_points=(4, 3), squarings=0)
    theta = thetas(family, batch=1, spread=0.3)
    # On the points of the lattice, 16 to an interval, nothing is interpolated.
    target = reference.identity_grid((49, 33)).reshape(-1, 2)
    moved = run(family.transform_points, theta, target[None].astype("float32"))[0]
    wanted = target + velocities(theta[0], (4, 3))(target)
    np.testing.assert_allclose(moved, wanted, atol=1e-6)


@pytest.mark.parametrize("size", [(5, 9), (6, 11), (4, 8), (3, 6, 4), (1, 4), (2, 2)])
def test_a_dense_field_is_read_as_it_is(size):
    # Of any size: nothing is lost on the way to the lattice of integration.
    family, field = Diffeomorphic(squarings=0), fields(size)
    ndim = len(size)
    if 1 in size:
        target = np.repeat(reference.identity_grid(size).reshape(1, -1, ndim), 2, axis=0)
        wanted = target + field.reshape(2, -1, ndim)
    else:
        target = points(ndim, count=50, reach=2.5)
        wanted = [p + linear(f, p) for f, p in zip(field, target, strict=True)]
    moved = run(family.transform_points, field, target.astype("float32"))
    np.testing.assert_allclose(moved, wanted, atol=1e-6)


@pytest.mark.parametrize("size", [(9, 9), (14, 11), (12, 13, 14)])
def test_a_dense_linear_field_flows_as_the_exponential(size):
    ndim = len(size)
    matrix = np.random.default_rng(1).normal(0, 0.4, (ndim, ndim))
    field = reference.identity_grid(size) @ matrix.T
    target = points(ndim, batch=1, reach=0.25)  # far from the edge
    moved = run(Diffeomorphic().transform_points, field[None].astype("float32"), target)
    # What scaling and squaring computes, exactly, and what it approximates.
    step = np.linalg.matrix_power(np.eye(ndim) + matrix / 2**7, 2**7)
    np.testing.assert_allclose(moved, target @ step.T, atol=2e-6)
    np.testing.assert_allclose(moved, target @ expm(matrix).T, atol=1e-3)
    assert np.abs(moved - target @ (np.eye(ndim) + matrix).T).max() > 0.01


def smooth_field(size, seed=0, waves=4, spread=0.1, align_corners=True):
    """A dense field of waves, (1, *size, 2), and the function of points (N, 2) behind it."""
    rng = np.random.default_rng(seed)
    frequency, phase = rng.uniform(-2, 2, (2, waves)), rng.uniform(0, 6, waves)
    amplitude = rng.normal(0, spread, (waves, 2))

    def velocity(places):
        return np.sin(places @ frequency + phase) @ amplitude

    places = reference.identity_grid(size, align_corners)
    return velocity(places.reshape(-1, 2)).reshape(1, *size, 2).astype("float32"), velocity


@pytest.mark.parametrize("size", [(48, 64), (63, 50)])
def test_a_dense_smooth_field_flows_as_scipys(size):
    field, velocity = smooth_field(size)
    target = points(batch=1, count=60, reach=0.5)
    moved = run(Diffeomorphic().transform_points, field, target)[0]
    wanted = flown(velocity, target[0])
    assert np.abs(wanted - target).max() > 0.1
    np.testing.assert_allclose(moved, wanted, atol=1e-3)


def jacobians(grid):
    """Determinants of a grid (batch, height, width, 2) by finite differences, in pixels."""
    height, width = grid.shape[1:3]
    pixels = grid.astype("float64") * (np.array([width, height]) - 1) / 2
    dx = np.diff(pixels, axis=2)[:, :-1]
    dy = np.diff(pixels, axis=1)[:, :, :-1]
    return dx[..., 0] * dy[..., 1] - dx[..., 1] * dy[..., 0]


@pytest.mark.parametrize("control_points", [4, 6])
def test_diffeomorphic_never_folds(control_points):
    families = Diffeomorphic(control_points), Displacement(control_points)
    # Far more than an image should be warped by.
    theta = thetas(families[0], batch=20, spread=0.4)
    grids = [run(lambda theta, f=f: f.grid(theta, (64, 64)), theta) for f in families]
    assert jacobians(grids[0]).min() > 0
    # The same displacements without integration do.
    assert jacobians(grids[1]).min() < 0


def test_a_dense_field_never_folds():
    field, _ = smooth_field((32, 32), spread=0.6, waves=6)
    grids = [
        run(lambda v, f=f: f.grid(v, (64, 64)), field) for f in (Diffeomorphic(), Displacement())
    ]
    assert jacobians(grids[0]).min() > 0
    assert jacobians(grids[1]).min() < 0


@pytest.mark.parametrize("control_points", [4, 5, 6])
def test_the_inverse_is_within_a_twentieth_of_a_pixel(control_points):
    family = Diffeomorphic(control_points)
    theta = thetas(family, batch=20, spread=0.1)
    target = np.repeat(reference.identity_grid((64, 64)).reshape(1, -1, 2), 20, axis=0)
    target = target.astype("float32")
    for sign in (1, -1):
        moved = run(family.transform_points, sign * theta, target)
        assert np.abs(moved - target).max() > 3 / 31.5
        returned = run(
            lambda t, p: family.transform_points(family.inverse(t), p), sign * theta, moved
        )
        assert np.abs(returned - target).max() * 31.5 < 0.05


def test_the_inverse_of_volumes():
    family = Diffeomorphic(4)
    theta, target = thetas(family, 3, spread=0.1), points(3, count=200, reach=1.0)
    moved = run(family.transform_points, theta, target)
    returned = run(lambda t, p: family.transform_points(family.inverse(t), p), theta, moved)
    np.testing.assert_allclose(returned, target, atol=2e-3)


@pytest.mark.skipif(BACKEND not in XLA, reason="where XLA compiles")
def test_no_flow_is_computed_twice():
    # Each is kept behind a loop that never runs, and so is what is read from it; else every read
    # of a flow computes it again, and the flows before it.
    for squarings in (2, 6):
        family = Diffeomorphic(3, squarings)
        text = xla_program(functools.partial(family.grid, output_size=(5, 6)), thetas(family))
        assert text.count(" while(") == squarings + (squarings + 1)


def test_a_constant_velocity_is_a_translation():
    for field in (np.full((1, 5, 6, 2), 0.2), np.full((1, 3, 4, 5, 3), -0.1)):
        ndim = field.shape[-1]
        target = points(ndim, batch=1, reach=0.5)
        family = Diffeomorphic(squarings=2)
        moved = run(family.transform_points, field.astype("float32"), target)
        np.testing.assert_allclose(moved, target + field.flat[0], atol=1e-6)


@pytest.mark.gradient
@pytest.mark.parametrize("spread", [0.0, 0.2])
def test_gradient_to_velocities(spread):
    family = Diffeomorphic(3)
    theta = thetas(family, batch=1, spread=spread).astype("float64")
    target = points(batch=1, count=4, reach=0.8).astype("float64")
    upstream = np.random.default_rng(2).normal(size=target.shape)
    (found,) = gradients64(
        lambda theta: family.transform_points(
            theta, keras.ops.convert_to_tensor(target, dtype="float64")
        ),
        theta,
        upstream=upstream,
    )
    wanted = np.empty_like(theta)
    for index in range(theta.size):
        step = np.zeros_like(theta)
        step[0, index] = 1e-3
        ends = [flown(velocities(t[0], (3, 3)), target[0]) for t in (theta + step, theta - step)]
        wanted[0, index] = np.sum((ends[0] - ends[1]) * upstream[0]) / 2e-3
    np.testing.assert_allclose(found, wanted, atol=4e-3)


@pytest.mark.gradient
@both_ndims
@pytest.mark.parametrize("family", [Displacement(3), Diffeomorphic(3, squarings=3)], ids=repr)
def test_gradients_at_the_identity_are_finite(family, ndim):
    size = (4, 5, 3)[:ndim]
    (found,) = gradients(lambda theta: family.grid(theta, size), family.identity(ndim)[None])
    assert np.isfinite(found).all()
    # Each pixel moves as much as the velocities around it together.
    np.testing.assert_allclose(found.sum(), ndim * np.prod(size), rtol=1e-5)
