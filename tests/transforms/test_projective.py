"""Projective transforms against scikit-image's homographies and NumPy's matrices."""

import keras
import numpy as np
import pytest
from skimage.transform import ProjectiveTransform, warp

from keras_stn import ops
from keras_stn.transforms import Affine, Projective
from tests import reference
from tests.backend import assert_close, gradients, to_numpy
from tests.ops.test_gradients import differences, gradients64
from tests.transforms.cases import homogeneous, points, run, thetas

FAMILY = Projective()
SIZE = (9, 14)

both_ndims = pytest.mark.parametrize("ndim", [2, 3])
both_align_corners = pytest.mark.parametrize("align_corners", [True, False])


def matrices(theta, ndim):
    """Homogeneous matrices, float64, their last entry 1."""
    last = np.ones((len(theta), 1))
    rows = np.concatenate([np.asarray(theta, "float64"), last], axis=1)
    return rows.reshape(-1, ndim + 1, ndim + 1)


def normalized(found):
    """Matrices of the same transforms, whose last entry is 1."""
    return found / found[:, -1:, -1:]


def in_pixels(matrix, align_corners):
    """scikit-image's transform of pixels (x, y) for one of normalized coordinates."""
    # Pixels are an affine function of normalized coordinates: its values at 0 and 1 tell all.
    ends = [[reference.to_pixels(value, n, align_corners) for value in (0, 1)] for n in SIZE[::-1]]
    (x0, x1), (y0, y1) = ends
    to_pixels = np.array([[x1 - x0, 0, x0], [0, y1 - y0, y0], [0, 0, 1]])
    return ProjectiveTransform(to_pixels @ matrix @ np.linalg.inv(to_pixels))


@both_align_corners
def test_grids_are_skimages_in_pixels(align_corners):
    theta = thetas(FAMILY, batch=4, spread=0.15)
    grids = run(lambda theta: FAMILY.grid(theta, SIZE, align_corners=align_corners), theta)
    y, x = np.mgrid[: SIZE[0], : SIZE[1]]
    targets = np.stack([x, y], axis=-1).reshape(-1, 2)
    for matrix, grid in zip(matrices(theta, 2), grids, strict=True):
        wanted = in_pixels(matrix, align_corners)(targets).reshape(*SIZE, 2)
        for axis, size in enumerate(SIZE[::-1]):
            found = reference.to_pixels(grid[..., axis], size, align_corners)
            np.testing.assert_allclose(found, wanted[..., axis], atol=2e-5)


@both_align_corners
def test_warps_are_skimages(align_corners, rng):
    image = rng.uniform(size=SIZE)
    theta = thetas(FAMILY, batch=3, spread=0.15).astype("float64")

    def read(theta, images):
        grid = FAMILY.grid(theta, SIZE, align_corners=align_corners)
        return ops.grid_sample(
            images, grid, fill_value=0.25, align_corners=align_corners, data_format="channels_last"
        )

    found = run(read, theta, np.tile(image[..., None], (3, 1, 1, 1)))[..., 0]
    for matrix, warped in zip(matrices(theta, 2), found, strict=True):
        wanted = warp(image, in_pixels(matrix, align_corners), order=1, cval=0.25)
        assert np.abs(wanted - image).max() > 0.3
        assert_close(keras.ops.convert_to_tensor(warped.astype("float32")), wanted)


@both_ndims
def test_points_and_matrices_are_numpys(ndim):
    theta, target = thetas(FAMILY, ndim, batch=5), points(ndim, batch=5)
    np.testing.assert_array_equal(run(FAMILY.matrix, theta), matrices(theta, ndim))
    moved = run(FAMILY.transform_points, theta, target)
    np.testing.assert_allclose(moved, homogeneous(matrices(theta, ndim), target), atol=5e-6)


@both_ndims
@both_align_corners
def test_volumes_and_images_are_numpys(ndim, align_corners):
    theta, size = thetas(FAMILY, ndim, batch=3), (3, 6, 4)[:ndim]
    targets = reference.identity_grid(size, align_corners).reshape(1, -1, ndim)
    wanted = homogeneous(matrices(theta, ndim), np.repeat(targets, 3, axis=0))
    grid = run(lambda theta: FAMILY.grid(theta, size, align_corners=align_corners), theta)
    np.testing.assert_allclose(grid, wanted.reshape(grid.shape), atol=5e-6)


@both_ndims
def test_without_perspective_it_is_affine(ndim):
    rows = thetas(Affine(), ndim)
    theta = np.concatenate([rows, np.zeros((2, ndim), "float32")], axis=1)
    affine = run(Affine().transform_points, rows, points(ndim))
    np.testing.assert_allclose(run(FAMILY.transform_points, theta, points(ndim)), affine, atol=1e-6)


@both_ndims
def test_inverse(ndim):
    theta = thetas(FAMILY, ndim, batch=8, spread=0.2)
    wanted = normalized(np.linalg.inv(matrices(theta, ndim)))
    found = matrices(run(FAMILY.inverse, theta), ndim)
    np.testing.assert_allclose(found, wanted, rtol=2e-4, atol=2e-5)


@both_ndims
def test_the_inverse_undoes(ndim):
    theta, target = thetas(FAMILY, ndim), points(ndim)
    back = run(
        lambda t, p: FAMILY.transform_points(FAMILY.inverse(t), FAMILY.transform_points(t, p)),
        theta,
        target,
    )
    np.testing.assert_allclose(back, target, atol=1e-5)


@both_ndims
@pytest.mark.parametrize("singular", ["zeros", "rows", "flat"])
def test_the_inverse_of_a_singular_transform_is_not_finite(ndim, singular):
    theta = np.stack([np.zeros(FAMILY.num_params(ndim)), FAMILY.identity(ndim)])
    if singular == "rows":  # x = the denominator: everything lands on one line
        theta[0] = FAMILY.identity(ndim)
        theta[0, ndim] = theta[0, -ndim] = 1.0
    elif singular == "flat":
        theta[0] = FAMILY.identity(ndim)
        theta[0, 0] = 0.0
    assert np.linalg.det(matrices(theta, ndim))[0] == 0
    with np.errstate(divide="ignore", invalid="ignore"):
        found = run(FAMILY.inverse, theta.astype("float32"))
    assert not np.isfinite(found[0]).all()
    # One singular transform takes no other of the batch with it.
    np.testing.assert_array_equal(found[1], FAMILY.identity(ndim))


@both_ndims
def test_compose(ndim):
    outer, inner = (thetas(FAMILY, ndim, batch=5, seed=seed) for seed in (2, 3))
    wanted = normalized(matrices(outer, ndim) @ matrices(inner, ndim))
    found = matrices(run(FAMILY.compose, outer, inner), ndim)
    np.testing.assert_allclose(found, wanted, atol=2e-6)
    other = normalized(matrices(inner, ndim) @ matrices(outer, ndim))
    assert np.abs(wanted - other).max() > 0.01
    target = points(ndim, batch=5)
    moved = homogeneous(matrices(outer, ndim), homogeneous(matrices(inner, ndim), target))
    composed = run(
        lambda a, b, p: FAMILY.transform_points(FAMILY.compose(a, b), p), *(outer, inner, target)
    )
    np.testing.assert_allclose(composed, moved, atol=1e-5)


@both_ndims
def test_points_on_the_horizon_are_far_and_finite(ndim):
    theta = FAMILY.identity(ndim)[None].copy()
    theta[0, -ndim] = 1.0  # the denominator is 1 + x: zero at the left edge
    target = np.full((1, 3, ndim), 0.5, "float32")
    target[0, :, 0] = [-1.0, -1.5, 0.0]
    moved = run(FAMILY.transform_points, theta, target)[0]
    assert np.isfinite(moved).all()
    assert moved[0, 0] < -1e5  # just before the horizon x / (1 + x) is far to the left
    assert moved[0, 1] > 1e5
    np.testing.assert_allclose(moved[1], target[0, 1] / -0.5, rtol=1e-6)  # beyond it
    np.testing.assert_allclose(moved[2], target[0, 2], rtol=1e-6)
    size = (3, 4, 5)[:ndim]
    grid = run(lambda theta: FAMILY.grid(theta, size), theta)
    assert np.isfinite(grid).all()
    assert (grid[..., 0, 0] < -1e5).all()  # the left edge
    assert np.abs(grid[..., 1:, :]).max() <= 2.0


@pytest.mark.gradient
def test_gradients_on_the_horizon_are_finite():
    theta = FAMILY.identity()[None].copy()
    theta[0, -2] = 1.0
    image = np.random.default_rng(0).uniform(size=(1, 5, 5, 1)).astype("float32")

    def read(theta):
        images = keras.ops.convert_to_tensor(image)
        grid = FAMILY.grid(theta, (5, 5))
        return ops.grid_sample(images, grid, data_format="channels_last")

    (found,) = gradients(read, theta)
    assert np.isfinite(found).all()
    assert found.any()


@pytest.mark.gradient
@both_ndims
@pytest.mark.parametrize("spread", [0.0, 0.1])
@pytest.mark.parametrize("way", ["points", "grid"])
def test_gradient_to_theta(way, ndim, spread):
    theta = thetas(FAMILY, ndim, spread=spread).astype("float64")
    size = (2, 3, 2)[:ndim]
    target = np.repeat(reference.identity_grid(size).reshape(1, -1, ndim), 2, axis=0)
    upstream = np.random.default_rng(2).normal(size=target.shape)

    def move(theta):
        if way == "grid":
            return keras.ops.reshape(FAMILY.grid(theta, size), target.shape)
        fixed = keras.ops.convert_to_tensor(target, dtype="float64")
        return FAMILY.transform_points(theta, fixed)

    (found,) = gradients64(move, theta, upstream=upstream)
    wanted = differences(lambda theta: homogeneous(matrices(theta, ndim), target), theta, upstream)
    np.testing.assert_allclose(found, wanted, rtol=1e-6, atol=1e-7)


@pytest.mark.gradient
@both_ndims
def test_gradient_of_the_inverse(ndim):
    theta = thetas(FAMILY, ndim).astype("float64")
    upstream = np.random.default_rng(2).normal(size=theta.shape)
    (found,) = gradients64(FAMILY.inverse, theta, upstream=upstream)

    def oracle(theta):
        inverse = normalized(np.linalg.inv(matrices(theta, ndim)))
        return inverse.reshape(len(theta), -1)[:, :-1]

    np.testing.assert_allclose(found, differences(oracle, theta, upstream), rtol=1e-6, atol=1e-7)


def test_the_example_of_a_keystone():
    # The lower edge is seen twice as large as the upper one.
    theta = np.array([[1, 0, 0, 0, 1, 0, 0, -1 / 3]], "float32")
    corners = np.array([[[-1, -1], [1, -1], [-1, 1], [1, 1]]], "float32")
    moved = to_numpy(FAMILY.transform_points(theta, corners))[0]
    wanted = [[-0.75, -0.75], [0.75, -0.75], [-1.5, 1.5], [1.5, 1.5]]
    np.testing.assert_allclose(moved, wanted, atol=1e-6)
