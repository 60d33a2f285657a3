"""Every family: the identity, SciPy's splines and flows, and thetas that no one would choose."""

import functools

import numpy as np
from hypothesis import strategies as st

from keras_stn import ops
from keras_stn.transforms import Diffeomorphic, Displacement, ThinPlateSpline
from tests import reference
from tests.backend import to_numpy, traced
from tests.fuzz.inputs import seeds, special
from tests.fuzz.matrices import SIZES
from tests.transforms import cases as families
from tests.transforms import test_flows, test_thin_plate_spline

# Fine enough to be compared with the flows that they approximate, if those are no faster than this.
FLOWS = [(Diffeomorphic(control_points=4), 2), (Diffeomorphic(control_points=3), 3)]
CASES = [*families.CASES, *FLOWS]
CALM = 0.2
# Finite thetas up to this size have finite grids.
LARGE = 1e15


@functools.cache
def methods(family, size, align_corners):
    """A grid, an image of noise read there, and what else the family can do."""
    ndim = len(size)
    images = np.random.default_rng(0).normal(size=(2, *(4, 5, 3)[:ndim], 1)).astype("float32")

    def run(theta):
        grid = family.grid(theta, size, align_corners=align_corners)
        samples = ops.grid_sample(
            images, grid, align_corners=align_corners, data_format="channels_last"
        )
        return grid, samples, *others(family, theta)

    return traced(run)


def others(family, theta):
    """Inverse, square and matrix, as far as the family has them."""
    results = []
    for method in (family.inverse, lambda t: family.compose(t, t), family.matrix):
        try:
            results.append(method(theta))
        except NotImplementedError:
            continue
    return results


@st.composite
def cases(draw):
    """A family, an output size, `align_corners`, the spread of theta, wild numbers, a seed."""
    family, ndim = draw(st.sampled_from(CASES))
    spread = draw(st.sampled_from([0.0, 1e-3, 0.1, CALM, 1.0, 10.0]))
    wild = draw(st.lists(special, max_size=4))
    size = draw(st.sampled_from(SIZES[ndim]))
    return family, ndim, size, draw(st.booleans()), spread, wild, draw(seeds)


def check(case):
    """Raises where the backend and SciPy differ, or a wild theta does harm."""
    family, ndim, size, align_corners, spread, wild, seed = case
    run = methods(family, size, align_corners)
    targets = reference.identity_grid(size, align_corners)
    identity = np.stack([family.identity(ndim)] * 2)
    np.testing.assert_allclose(call(run, identity)[0], np.stack([targets] * 2), atol=1e-6)

    theta = families.thetas(family, ndim, spread=spread, seed=seed)
    grid, samples, *_ = clean = call(run, theta)
    assert np.isfinite(grid).all()
    assert np.isfinite(samples).all()
    places = targets.reshape(-1, ndim)
    for one, moved in zip(theta, grid, strict=True):
        wanted, atol = oracle(family, one, places, size, spread)
        if wanted is not None:
            np.testing.assert_allclose(moved.reshape(-1, ndim), wanted, rtol=0, atol=atol)

    rng, spoilt = np.random.default_rng(seed), theta.copy()
    for number in wild:
        spoilt[0, rng.integers(theta.shape[1])] = number
    found = call(run, spoilt)
    # Neither shape nor the other theta of the batch notices.
    for result, before in zip(found, clean, strict=True):
        assert result.shape == before.shape
        np.testing.assert_allclose(result[1], before[1], rtol=1e-6, atol=1e-6)
    assert np.isfinite(found[1]).all()
    if (np.abs(spoilt) <= LARGE).all():
        assert np.isfinite(found[0]).all()


def call(run, theta):
    """Results as arrays; NumPy warns of what overflows."""
    with np.errstate(all="ignore"):
        return [to_numpy(result) for result in run(theta)]


def oracle(family, theta, places, size, spread):
    """Where one theta sends places (N, n), and how exactly; None for families of matrices."""
    if isinstance(family, ThinPlateSpline):
        tolerance = test_thin_plate_spline.tolerance(family.control_points)
        wanted = test_thin_plate_spline.oracle(family.control_points, theta, places)
        return wanted, 1e-6 + 20 * spread * tolerance
    if isinstance(family, Displacement):
        flow = theta.reshape(*lattice_size(family, len(size)), len(size)).astype("float64")
        if family.units == "pixels":
            flow = flow * 2 / np.array(family.extent[::-1])
        return places + test_flows.linear(flow, places), 1e-6 * (1 + 10 * spread)
    if (family, len(size)) in FLOWS and spread <= CALM:
        velocity = test_flows.velocities(theta, lattice_size(family, len(size)))
        return test_flows.flown(velocity, places), 1e-6 + spread * (
            0.02 if len(size) == 2 else 0.04
        )
    return None, None


def lattice_size(family, ndim):
    """Control points along each axis."""
    points = family.control_points
    return (points,) * ndim if isinstance(points, int) else points
