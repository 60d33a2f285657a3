"""Normalized and pixel coordinates, and the identity grid."""

import keras
import numpy as np
import pytest

from keras_stn import ops
from keras_stn.ops import coordinates
from tests import reference
from tests.backend import assert_close, dtype_name, to_numpy

SIZES = [(1, 1), (1, 4), (2, 3), (7, 6), (2, 3, 4), (1, 5, 1)]


@pytest.mark.parametrize("align_corners", [True, False])
@pytest.mark.parametrize("output_size", SIZES)
def test_identity_grid_is_the_reference(output_size, align_corners):
    grid = ops.identity_grid(output_size, align_corners=align_corners)
    assert dtype_name(grid) == "float32"
    assert_close(grid, reference.identity_grid(output_size, align_corners))


def test_identity_grid_is_the_papers_meshgrid():
    grid = to_numpy(ops.identity_grid((3, 5)))
    x, y = np.meshgrid(np.linspace(-1, 1, 5), np.linspace(-1, 1, 3))
    assert grid[..., 0].tolist() == x.tolist()
    assert grid[..., 1].tolist() == y.tolist()


def test_last_axis_is_x_y_z():
    grid = to_numpy(ops.identity_grid((3, 4, 5)))
    # x changes along the width alone, y along the height, z along the depth.
    assert np.ptp(grid[..., 0], axis=(0, 1)).max() == 0
    assert np.ptp(grid[..., 1], axis=(0, 2)).max() == 0
    assert np.ptp(grid[..., 2], axis=(1, 2)).max() == 0
    assert grid[0, 0, 0].tolist() == [-1, -1, -1]
    assert grid[2, 3, 4].tolist() == [1, 1, 1]


def test_align_corners_is_the_default():
    assert to_numpy(ops.identity_grid((2, 2)))[0, 0].tolist() == [-1, -1]


@pytest.mark.parametrize("align_corners", [True, False])
@pytest.mark.parametrize("size", [1, 2, 3, 10, 31, 224, 513])
def test_axis_is_exactly_antisymmetric(size, align_corners):
    axis = to_numpy(coordinates.axis_coordinates(size, align_corners=align_corners))
    assert axis.shape == (size,)
    assert np.array_equal(axis, -axis[::-1])
    assert np.all(np.diff(axis) > 0)


@pytest.mark.parametrize("align_corners", [True, False])
@pytest.mark.parametrize("size", [1, 2, 3, 10, 31, 224])
def test_to_pixels_finds_the_centres(size, align_corners):
    axis = coordinates.axis_coordinates(size, align_corners=align_corners)
    pixels = coordinates.to_pixels(axis, size, align_corners=align_corners)
    np.testing.assert_allclose(to_numpy(pixels), np.arange(size), atol=2e-5)


@pytest.mark.parametrize("align_corners", [True, False])
def test_to_pixels_is_the_reference(align_corners, rng):
    normalized = rng.uniform(-3, 3, size=50).astype("float32")
    pixels = coordinates.to_pixels(
        keras.ops.convert_to_tensor(normalized), 9, align_corners=align_corners
    )
    assert_close(pixels, reference.to_pixels(normalized, 9, align_corners))


def test_what_minus_one_and_one_mean():
    ends = keras.ops.convert_to_tensor(np.array([-1, 1], "float32"))
    centres = coordinates.to_pixels(ends, 4, align_corners=True)
    edges = coordinates.to_pixels(ends, 4, align_corners=False)
    assert to_numpy(centres).tolist() == [0, 3]
    assert to_numpy(edges).tolist() == [-0.5, 3.5]


def test_a_pixel_alone_is_everywhere_between_centres():
    anywhere = keras.ops.convert_to_tensor(np.array([-7, -1, 0, 0.3, 9], "float32"))
    assert not to_numpy(coordinates.to_pixels(anywhere, 1, align_corners=True)).any()


def test_bounded_replaces_what_lies_far_outside():
    far = coordinates.FAR_OUTSIDE
    given = np.array([np.nan, np.inf, -np.inf, 1e30, -1e30, 0.25, far, -3], "float32")
    bounded = to_numpy(coordinates.bounded(keras.ops.convert_to_tensor(given)))
    assert bounded.tolist() == [-far, far, -far, far, -far, 0.25, far, -3]


@pytest.mark.parametrize("size", [(4, 6), [4, 6], np.array([4, 6]), (np.int64(4), np.int32(6))])
def test_sizes_may_be_any_integers(size):
    assert to_numpy(ops.identity_grid(size)).shape == (4, 6, 2)
    assert coordinates.check_output_size(size) == (4, 6)
    assert all(type(s) is int for s in coordinates.check_output_size(size))
