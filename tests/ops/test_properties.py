"""What every sampler must satisfy, whatever its formula: identities, symmetries, invariants."""

import functools

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from keras_stn import ops
from tests import reference
from tests.backend import assert_close, to_numpy, traced
from tests.ops.inputs import images, move_channels

LAST = {"data_format": "channels_last"}
every_fill_mode = pytest.mark.parametrize("fill_mode", reference.FILL_MODES)
extending_fill_modes = pytest.mark.parametrize("fill_mode", reference.FILL_MODES[1:])
both_align_corners = pytest.mark.parametrize("align_corners", [True, False])

entries = st.floats(-2, 2, width=32)
thetas = st.lists(entries, min_size=6, max_size=6).map(lambda t: np.array([t], "float32"))
angles = st.floats(-np.pi, np.pi)


def rotation(angle):
    """The theta of a rotation in normalized coordinates."""
    cos, sin = np.cos(angle), np.sin(angle)
    return np.array([[cos, -sin, 0, sin, cos, 0]], "float32")


@functools.cache
def warper(output_size, align_corners, **options):
    """A function of images and thetas, the same one for the same options."""

    def warped(image, theta):
        grid = ops.affine_grid(theta, output_size, align_corners=align_corners)
        return ops.grid_sample(image, grid, align_corners=align_corners, **options)

    return traced(warped)


def warp(image, theta, output_size=None, align_corners=True, **options):
    """`image` ([depth,] height, width, channels) seen through `theta`."""
    output_size = tuple(output_size or image.shape[:-1])
    image = image[None].astype("float32")
    return to_numpy(warper(output_size, align_corners, **LAST, **options)(image, theta))[0]


def waves(size):
    """A smooth image, (size, size, 1)."""
    x, y = np.moveaxis(reference.identity_grid((size, size)), -1, 0)
    return (np.sin(2 * x + 1) * np.cos(3 * y))[..., None]


@settings(max_examples=20)
@given(
    height=st.integers(1, 9),
    width=st.integers(1, 9),
    fill_mode=st.sampled_from(reference.FILL_MODES),
    data_format=st.sampled_from(["channels_last", "channels_first"]),
    align_corners=st.booleans(),
)
def test_identity(height, width, fill_mode, data_format, align_corners):
    image = images(np.random.default_rng(0), sizes=(height, width)).astype("float32")
    image = move_channels(image, data_format)
    identity = np.tile(np.eye(2, 3, dtype="float32"), (2, 1, 1))
    options = {"fill_mode": fill_mode, "data_format": data_format}
    samples = warper((height, width), align_corners, **options)(image, identity)
    assert_close(samples, image)


@both_align_corners
@every_fill_mode
@pytest.mark.parametrize("sizes", [(1, 1, 1), (2, 3, 4), (5, 1, 2)])
def test_identity_of_volumes(sizes, fill_mode, align_corners, rng):
    volume = images(rng, sizes=sizes, batch=1)[0]
    theta = np.eye(3, 4, dtype="float32")[None]
    out = warp(volume, theta, fill_mode=fill_mode, align_corners=align_corners)
    assert_close(out, volume)


@both_align_corners
@every_fill_mode
def test_rotation_by_45_degrees(fill_mode, align_corners, rng):
    image = images(rng, sizes=(7, 11), batch=1)[0]
    theta = rotation(np.pi / 4)
    options = {"fill_mode": fill_mode, "align_corners": align_corners}
    out = warp(image, theta, **options)
    grid = reference.affine_grid(theta, (7, 11), align_corners)
    assert_close(out, reference.grid_sample(image[None], grid, **options)[0], scale=3)


@both_align_corners
def test_rotation_by_45_degrees_in_pixels(align_corners, rng):
    # In pixel space, as SciPy would do it: about the centre, with square pixels.
    image = rng.normal(size=(9, 9))
    centred = np.stack(np.mgrid[:9, :9]) - 4.0
    half = np.sqrt(0.5)
    rows, columns = half * (centred[1] + centred[0]), half * (centred[1] - centred[0])
    expected = ndimage.map_coordinates(image, [rows + 4, columns + 4], order=1, mode="mirror")
    out = warp(
        image[..., None], rotation(np.pi / 4), fill_mode="mirror", align_corners=align_corners
    )
    assert_close(out[..., 0], expected, scale=3)


@both_align_corners
@pytest.mark.parametrize("size", [1, 2, 6, 7])
def test_rotations_by_90_degrees_are_exact(size, align_corners, rng):
    image = images(rng, sizes=(size, size), batch=1)[0]
    quarter = np.array([[0, -1, 0, 1, 0, 0]], "float32")
    out = warp(image, quarter, align_corners=align_corners)
    # The source turns with theta, so the picture turns the other way: counterclockwise.
    assert_close(out, np.rot90(image))
    for _ in range(3):
        out = warp(out, quarter, align_corners=align_corners)
    assert_close(out, image)


@settings(max_examples=10)
@given(angle=st.floats(0.2, 6.0))
def test_rotating_there_and_back(angle):
    image = waves(33)
    there = warp(image, rotation(angle), fill_mode="mirror")
    back = warp(there, rotation(-angle), fill_mode="mirror")
    x, y = np.moveaxis(reference.identity_grid((33, 33)), -1, 0)
    inner = np.hypot(x, y) < 0.9
    assert np.abs(there - image)[inner].max() > 0.1
    assert np.abs(back - image)[inner].max() < 0.02


def test_zoom_in_twice(rng):
    image = images(rng, sizes=(9, 9), batch=1)[0]
    out = warp(image, np.array([[0.5, 0, 0, 0, 0.5, 0]], "float32"))
    assert_close(out[4, 4], image[4, 4])
    assert_close(out[::2, ::2], image[2:7, 2:7])
    assert_close(out[1::2, ::2], (image[2:6, 2:7] + image[3:7, 2:7]) / 2)


def test_zoom_out_twice(rng):
    image = images(rng, sizes=(9, 9), batch=1)[0]
    out = warp(image, np.array([[2, 0, 0, 0, 2, 0]], "float32"))
    assert_close(out[2:7, 2:7], image[::2, ::2])
    out[2:7, 2:7] = 0
    assert not out.any()


@pytest.mark.parametrize(("scale", "factor"), [(0.5, 2), (2, 0.5)])
def test_zoom_has_the_right_size(scale, factor):
    image = np.zeros((33, 33, 1))
    image[12:21, 10:23] = 1
    out = warp(image, np.array([[scale, 0, 0, 0, scale, 0]], "float32"))
    rows, columns = np.nonzero(out[..., 0] >= 0.5)
    assert abs(len(np.unique(rows)) - factor * 9) <= 1
    assert abs(len(np.unique(columns)) - factor * 13) <= 1
    assert rows.mean() == columns.mean() == 16


@settings(max_examples=10)
@given(rows=st.integers(-6, 6), columns=st.integers(-6, 6), align_corners=st.booleans())
def test_whole_pixel_translation_is_a_shift(rows, columns, align_corners):
    image = images(np.random.default_rng(0), sizes=(4, 5), batch=1)[0]
    extent = (4 - align_corners, 5 - align_corners)
    theta = np.array([[1, 0, 2 * columns / extent[1], 0, 1, 2 * rows / extent[0]]], "float32")
    out = warp(image, theta, fill_mode="wrap", align_corners=align_corners)
    # theta moves the place that is read to the right, so the picture moves to the left.
    assert_close(out, np.roll(image, (-rows, -columns), axis=(0, 1)), scale=3)


@both_align_corners
@every_fill_mode
def test_flips(fill_mode, align_corners, rng):
    image = images(rng, sizes=(5, 6), batch=1)[0]
    options = {"fill_mode": fill_mode, "align_corners": align_corners}
    assert_close(warp(image, np.array([[-1, 0, 0, 0, 1, 0]]), **options), image[:, ::-1])
    assert_close(warp(image, np.array([[1, 0, 0, 0, -1, 0]]), **options), image[::-1])


@extending_fill_modes
@given(theta=thetas, align_corners=st.booleans())
def test_constant_images_stay_constant(fill_mode, theta, align_corners):
    image = np.full((5, 6, 2), 0.7)
    assert_close(
        warp(image, theta, fill_mode=fill_mode, align_corners=align_corners), image, scale=2
    )


@both_align_corners
@every_fill_mode
def test_linear_ramps_are_reproduced(fill_mode, align_corners, rng):
    x, y = np.moveaxis(reference.identity_grid((6, 7), align_corners), -1, 0)
    image = (2 * x - 3 * y + 0.5).astype("float32")[None, ..., None]
    inside = 1 if align_corners else 1 - 1 / 6  # between the centres of the corner pixels
    grid = rng.uniform(-inside, inside, size=(1, 100, 2)).astype("float32")
    samples = ops.grid_sample(image, grid, fill_mode=fill_mode, align_corners=align_corners, **LAST)
    assert_close(samples[..., 0], 2 * grid[..., 0] - 3 * grid[..., 1] + 0.5)


@pytest.mark.parametrize("interpolation", ["bilinear", "nearest"])
@every_fill_mode
@given(theta=thetas)
def test_layouts_agree(fill_mode, interpolation, theta):
    image = images(np.random.default_rng(0), batch=1).astype("float32")
    grid = ops.affine_grid(theta, (3, 4))
    options = {"fill_mode": fill_mode, "fill_value": 0.3, "interpolation": interpolation}
    last = ops.grid_sample(image, grid, data_format="channels_last", **options)
    first = ops.grid_sample(
        np.moveaxis(image, -1, 1), grid, data_format="channels_first", **options
    )
    assert_close(first, np.moveaxis(to_numpy(last), -1, 1))


@pytest.mark.parametrize("interpolation", ["bilinear", "nearest"])
@every_fill_mode
@given(
    theta=st.lists(st.floats(-1e30, 1e30), min_size=6, max_size=6),
    align_corners=st.booleans(),
)
def test_extreme_thetas_stay_in_the_images_range(fill_mode, interpolation, theta, align_corners):
    image = np.random.default_rng(0).uniform(1, 2, size=(5, 6, 2))
    out = warp(
        image,
        np.array([theta], "float32"),
        fill_mode=fill_mode,
        fill_value=1.5,
        interpolation=interpolation,
        align_corners=align_corners,
    )
    assert np.isfinite(out).all()
    assert out.min() >= 1 - 1e-5
    assert out.max() <= 2 + 1e-5


@given(theta=thetas, shift=st.tuples(entries, entries))
def test_grids_are_affine_in_theta(theta, shift):
    moved = theta + np.array([[0, 0, shift[0], 0, 0, shift[1]]], "float32")
    difference = ops.affine_grid(moved, (3, 4)) - ops.affine_grid(theta, (3, 4))
    assert_close(difference, np.broadcast_to(np.float32(shift), (1, 3, 4, 2)))


def test_output_size_is_the_grids_not_the_images(rng):
    image = images(rng, sizes=(8, 8), batch=1)[0]
    theta = keras.ops.convert_to_tensor(np.eye(2, 3, dtype="float32")[None])
    small = warp(image, theta, output_size=(4, 4), align_corners=False)
    # Halving with half-pixel centres reads the middle of every 2 by 2 block.
    assert_close(small, image.reshape(4, 2, 4, 2, 3).mean(axis=(1, 3)))
