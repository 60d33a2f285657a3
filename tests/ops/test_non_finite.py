"""NaN, infinite and huge coordinates: what they read, and that they harm no other sample.

torch 2.13's own `grid_sample` reads out of bounds, or crashes, at a NaN coordinate.
"""

import numpy as np
import pytest

from keras_stn import ops
from keras_stn.ops.coordinates import FAR_OUTSIDE
from tests import reference
from tests.backend import gradients, to_numpy
from tests.ops.inputs import SIZES, images, points

# What each is read as, by the documentation of `grid_sample`.
READ_AS = {
    np.nan: -FAR_OUTSIDE,
    np.inf: FAR_OUTSIDE,
    -np.inf: -FAR_OUTSIDE,
    1e30: FAR_OUTSIDE,
    -1e30: -FAR_OUTSIDE,
    3e4: FAR_OUTSIDE,
}
BAD = list(READ_AS)
every_fill_mode = pytest.mark.parametrize("fill_mode", reference.FILL_MODES)
both_interpolations = pytest.mark.parametrize("interpolation", ["bilinear", "nearest"])
both_ndims = pytest.mark.parametrize("ndim", [2, 3])


def sample(image, grid, **options):
    return ops.grid_sample(image, grid, fill_value=0.5, data_format="channels_last", **options)


def inputs(rng, ndim):
    """Images, good points and a mask of the points of the first image to spoil."""
    image = images(rng, ndim).astype("float32")
    grid = points(rng, SIZES[ndim], count=20).astype("float32")
    spoilt = np.zeros(grid.shape[:2], bool)
    spoilt[0, 4:16] = True
    return image, grid, spoilt


def spoil(grid, spoilt, values=BAD):
    """A copy of `grid` with one bad coordinate, each value in turn, in every spoilt point."""
    grid = grid.copy()
    for count, where in enumerate(np.argwhere(spoilt)):
        coordinate = (count + count // len(values)) % grid.shape[-1]
        grid[(*where, coordinate)] = values[count % len(values)]
    return grid


@pytest.mark.parametrize("bad", BAD)
@every_fill_mode
@both_interpolations
@both_ndims
def test_what_is_read(ndim, interpolation, fill_mode, bad, rng):
    image, grid, spoilt = inputs(rng, ndim)
    options = {"interpolation": interpolation, "fill_mode": fill_mode}
    samples = to_numpy(sample(image, spoil(grid, spoilt, [bad]), **options))
    expected = to_numpy(sample(image, spoil(grid, spoilt, [READ_AS[bad]]), **options))
    assert np.array_equal(samples, expected)
    if fill_mode == "constant":
        assert np.all(samples[spoilt] == 0.5)


@every_fill_mode
@both_interpolations
@both_ndims
def test_samples_stay_within_the_image(ndim, interpolation, fill_mode, rng):
    image, grid, spoilt = inputs(rng, ndim)
    options = {"interpolation": interpolation, "fill_mode": fill_mode}
    samples = to_numpy(sample(image, spoil(grid, spoilt), **options))
    low, high = min(image.min(), 0.5), max(image.max(), 0.5)
    assert np.all((samples >= low - 1e-5) & (samples <= high + 1e-5))


@every_fill_mode
@both_interpolations
@both_ndims
def test_other_samples_are_the_same_bits(ndim, interpolation, fill_mode, rng):
    image, grid, spoilt = inputs(rng, ndim)
    options = {"interpolation": interpolation, "fill_mode": fill_mode}
    clean = to_numpy(sample(image, grid, **options))
    samples = to_numpy(sample(image, spoil(grid, spoilt), **options))
    assert np.array_equal(samples[~spoilt], clean[~spoilt])


@pytest.mark.gradient
@every_fill_mode
@both_ndims
def test_gradient_is_zero_there(ndim, fill_mode, rng):
    image, grid, spoilt = inputs(rng, ndim)
    spoilt_grid = spoil(grid, spoilt)
    bad = spoilt_grid != grid
    assert bad.sum() == spoilt.sum()
    _, to_grid = gradients(
        lambda image, grid: sample(image, grid, fill_mode=fill_mode), image, spoilt_grid
    )
    assert not to_grid[bad].any()


@pytest.mark.gradient
@every_fill_mode
@both_ndims
def test_gradient_elsewhere_is_the_same(ndim, fill_mode, rng):
    image, grid, spoilt = inputs(rng, ndim)

    def fn(image, grid):
        return sample(image, grid, fill_mode=fill_mode)

    _, clean = gradients(fn, image, grid)
    _, to_grid = gradients(fn, image, spoil(grid, spoilt))
    assert clean[~spoilt].any()
    assert np.isfinite(to_grid).all()
    np.testing.assert_allclose(to_grid[~spoilt], clean[~spoilt], rtol=1e-6)


@pytest.mark.gradient
@every_fill_mode
@both_ndims
def test_gradient_to_the_image_is_finite(ndim, fill_mode, rng):
    image, grid, spoilt = inputs(rng, ndim)

    def total(grid):
        """How much of its samples each image makes up: the sum of the weights of its pixels."""
        to_image, _ = gradients(
            lambda image, grid: sample(image, grid, fill_mode=fill_mode), image, grid
        )
        assert np.isfinite(to_image).all()
        return to_image[..., 0].reshape(2, -1).sum(axis=1)

    if fill_mode == "constant":
        # Spoilt points read the fill alone, as do points far outside.
        expected = total(np.where(spoilt[..., None], np.float32(9), grid))
    else:
        expected = [20, 20]
    np.testing.assert_allclose(total(spoil(grid, spoilt)), expected, rtol=1e-5)


@pytest.mark.filterwarnings("ignore:invalid value encountered")
@pytest.mark.parametrize("bad", [np.nan, np.inf, 1e30])
@every_fill_mode
@both_ndims
def test_theta_spoils_its_own_image_alone(ndim, fill_mode, bad, rng):
    image = images(rng, ndim).astype("float32")
    theta = np.tile(np.eye(ndim, ndim + 1, dtype="float32"), (2, 1, 1)) * 0.9
    clean = to_numpy(sample(image, ops.affine_grid(theta, SIZES[ndim]), fill_mode=fill_mode))
    theta[0, 1, 0] = bad
    grid = ops.affine_grid(theta, SIZES[ndim])
    samples = to_numpy(sample(image, grid, fill_mode=fill_mode))
    assert np.isfinite(samples).all()
    assert np.array_equal(samples[1], clean[1])
    assert not np.array_equal(samples[0], clean[0])


@pytest.mark.gradient
@pytest.mark.parametrize("bad", [np.nan, np.inf, 1e30])
@every_fill_mode
def test_gradient_to_the_other_theta_is_the_same(fill_mode, bad, rng):
    image = images(rng).astype("float32")
    theta = np.tile(np.eye(2, 3, dtype="float32"), (2, 1, 1)) * 0.9

    def fn(theta):
        return sample(image, ops.affine_grid(theta, (4, 5)), fill_mode=fill_mode)

    (clean,) = gradients(fn, theta)
    theta[0, 1, 2] = bad  # y of every pixel of the first image
    (to_theta,) = gradients(fn, theta)
    assert np.isfinite(to_theta).all()
    assert not to_theta[0, 1].any()
    assert clean[1].any()
    np.testing.assert_allclose(to_theta[1], clean[1], rtol=1e-5, atol=1e-6)


@pytest.mark.gradient
@pytest.mark.parametrize("fill_value", [np.nan, np.inf, -np.inf])
def test_a_fill_that_is_no_number_leaves_gradients_finite(fill_value, rng):
    image, grid, _ = inputs(rng, 2)
    found = gradients(
        lambda image, grid: ops.grid_sample(
            image, grid, fill_value=fill_value, data_format="channels_last"
        ),
        image,
        grid,
    )
    for gradient in found:
        assert np.isfinite(gradient).all()
        assert gradient.any()
