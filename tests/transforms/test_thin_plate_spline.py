"""Thin-plate splines against SciPy's."""

import numpy as np
import pytest
from scipy.interpolate import RBFInterpolator

from keras_stn.transforms import ThinPlateSpline
from tests import reference
from tests.backend import BACKEND, gradients, on_a_cpu
from tests.ops.test_gradients import differences, gradients64
from tests.transforms.cases import points, run, thetas

LATTICES = [*range(2, 11), (2, 5), (7, 3)]
# Keras lowers the logarithm of float64 on the other backends.
DTYPES = ["float32", "float64"] if BACKEND in ("tensorflow", "torch") else ["float32"]

every_lattice = pytest.mark.parametrize("control_points", LATTICES)
both_dtypes = pytest.mark.parametrize("dtype", DTYPES)


def tolerance(control_points, dtype="float32"):
    """The largest error, normalized, for displacements of standard deviation 0.1.

    In float32 it grows with the fourth power of the control points a side: 1e-4 for ten, a
    hundredth of a pixel in an image of 200. In float64 it is the identity's control points,
    float32, that are not exactly on the lattice.
    """
    if dtype == "float64":
        return 1e-7
    # GPUs have a logarithm of their own.
    return max(0.0 if on_a_cpu() else 5e-7, 1e-8 * np.max(control_points) ** 4)


def lattice(control_points):
    """Where the control points are, (K, 2), (x, y) row by row."""
    size = (control_points,) * 2 if isinstance(control_points, int) else control_points
    return reference.identity_grid(size).reshape(-1, 2)


def oracle(control_points, theta, target):
    """SciPy's spline through the control points of one theta, at `target` (N, 2)."""
    spline = RBFInterpolator(
        lattice(control_points), theta.reshape(-1, 2), kernel="thin_plate_spline", degree=1
    )
    return spline(target)


@both_dtypes
@every_lattice
def test_points_are_scipys(control_points, dtype):
    family = ThinPlateSpline(control_points)
    theta, target = thetas(family).astype(dtype), points(count=200).astype(dtype)
    found = run(family.transform_points, theta, target)
    assert found.dtype == dtype
    wanted = [oracle(control_points, t, p) for t, p in zip(theta, target, strict=True)]
    np.testing.assert_allclose(found, wanted, rtol=0, atol=tolerance(control_points, dtype))


@pytest.mark.parametrize("align_corners", [True, False])
@pytest.mark.parametrize("control_points", [4, (2, 5)])
def test_grids_are_scipys(control_points, align_corners):
    family, size = ThinPlateSpline(control_points), (5, 8)
    theta = thetas(family)
    found = run(lambda theta: family.grid(theta, size, align_corners=align_corners), theta)
    targets = reference.identity_grid(size, align_corners).reshape(-1, 2)
    wanted = np.reshape([oracle(control_points, t, targets) for t in theta], found.shape)
    np.testing.assert_allclose(found, wanted, rtol=0, atol=tolerance(control_points))


@every_lattice
def test_control_points_go_to_theta(control_points):
    family = ThinPlateSpline(control_points)
    theta = thetas(family)
    np.testing.assert_array_equal(family.identity(), lattice(control_points).ravel().astype("f4"))
    target = np.repeat(family.identity().reshape(1, -1, 2), 2, axis=0)
    moved = run(family.transform_points, theta, target)
    np.testing.assert_allclose(
        moved, theta.reshape(2, -1, 2), rtol=0, atol=tolerance(control_points)
    )


@both_dtypes
@pytest.mark.parametrize("control_points", [3, 5, 9, (2, 5)])  # exact in binary
def test_affine_thetas_are_affine_everywhere(control_points, dtype, rng):
    family = ThinPlateSpline(control_points)
    matrices = np.eye(2, 3) + rng.normal(0, 0.5, (4, 2, 3))
    theta = lattice(control_points) @ np.swapaxes(matrices[..., :2], 1, 2)
    theta = (theta + matrices[:, None, :, 2]).reshape(4, -1)
    target = points(batch=4, reach=3.0 if dtype == "float64" else 1.0)
    found = run(family.transform_points, theta.astype(dtype), target.astype(dtype))
    wanted = target.astype("float64") @ np.swapaxes(matrices[..., :2], 1, 2)
    wanted += matrices[:, None, :, 2]
    # The displacements are ten times those that the tolerance is for. In float64 up to 1.05e-12 was
    # seen, three images away and with 81 control points; it depends on the processor.
    atol = 1e-11 if dtype == "float64" else 10 * tolerance(control_points)
    np.testing.assert_allclose(found, wanted, rtol=0, atol=atol)


def test_of_all_warps_it_bends_least():
    # A bump at one control point: the spline is SciPy's, and no interpolation of another kind.
    theta = ThinPlateSpline(3).identity()
    theta[8] += 0.5
    target = points(batch=1, count=50)
    cubic = RBFInterpolator(lattice(3), theta.reshape(-1, 2), kernel="cubic", degree=1)
    assert np.abs(cubic(target[0]) - oracle(3, theta, target[0])).max() > 1e-3


@pytest.mark.gradient
@pytest.mark.parametrize("spread", [0.0, 0.1])
@pytest.mark.parametrize("control_points", [4, (2, 5)])
def test_gradients_on_control_points_and_between(control_points, spread):
    family = ThinPlateSpline(control_points)
    theta = thetas(family, batch=1, spread=spread).astype("float64")
    on = lattice(control_points)[None]
    target = np.concatenate([on, points(batch=1, count=5).astype("float64")], axis=1)
    upstream = np.random.default_rng(2).normal(size=target.shape)
    to_theta, to_points = gradients64(family.transform_points, theta, target, upstream=upstream)
    wanted = differences(lambda t: oracle(control_points, t, target[0])[None], theta, upstream)
    np.testing.assert_allclose(to_theta, wanted, rtol=1e-6, atol=1e-6)
    wanted = differences(lambda p: oracle(control_points, theta, p[0])[None], target, upstream)
    np.testing.assert_allclose(to_points, wanted, rtol=1e-6, atol=1e-6)


@pytest.mark.gradient
def test_gradients_on_control_points_are_finite_in_float32():
    family = ThinPlateSpline(4)
    theta, target = family.identity()[None], family.identity().reshape(1, -1, 2)
    for found in gradients(family.transform_points, theta, target):
        assert np.isfinite(found).all()
        assert found.any()


def test_a_lattice_of_two_keeps_its_corners():
    theta = ThinPlateSpline(2).identity() + np.array([0.1, 0, 0, 0.2, -0.3, 0, 0, 0.4], "float32")
    corners = lattice(2)[None].astype("float32")
    moved = run(ThinPlateSpline(2).transform_points, theta[None], corners)
    np.testing.assert_allclose(moved.ravel(), theta, atol=1e-6)
