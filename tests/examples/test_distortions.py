"""Distorted digits: against scipy, by the formulas in pixels."""

import dataclasses

import keras
import numpy as np
import pytest
from scipy import ndimage

from distorted_mnist import distortion, thetas
from distorted_mnist.distortion import Distortion, distorted, draw, render
from distorted_mnist.tasks import TASKS
from keras_stn.transforms import Projective
from tests.backend import to_numpy


def _digits(rng, count=6):
    """Smooth shapes as large as digits."""
    images = np.zeros((count, 28, 28))
    images[:, 4:24, 4:24] = rng.uniform(0, 255, (count, 20, 20))
    return ndimage.gaussian_filter(images, (0, 0.8, 0.8)).astype("uint8")


def _labels(count=6):
    return np.arange(count, dtype="int32") + 2


@pytest.mark.parametrize("size", [28, 42])
def test_digits_are_turned_scaled_and_moved_by_the_formula_in_pixels(rng, size):
    images = _digits(rng)
    angle = rng.uniform(-3, 3, 6)
    scale = rng.uniform(0.5, 1.5, 6)
    shift = rng.uniform(-8, 8, (6, 2))
    theta = thetas.placed(size, angle=angle, scale=scale, shift=shift)
    task = dataclasses.replace(TASKS["RTS"], size=size)
    canvases = to_numpy(distorted(task, {"digits": images[..., None], "theta": theta[:, None]}))
    rows, columns = np.mgrid[:size, :size] - (size - 1) / 2
    for image, canvas, a, s, (dx, dy) in zip(images, canvases, angle, scale, shift, strict=True):
        x, y = columns - dx, rows - dy
        # A digit turned clockwise on the screen, where y points down, by `a`.
        source_x = (np.cos(a) * x + np.sin(a) * y) / s + 13.5
        source_y = (-np.sin(a) * x + np.cos(a) * y) / s + 13.5
        expected = ndimage.map_coordinates(
            image / 255, [source_y, source_x], order=1, mode="grid-constant"
        )
        np.testing.assert_allclose(canvas[..., 0], expected, atol=1e-4)


@pytest.mark.parametrize("name", ["R", "RTS", "TC"])
def test_no_ink_leaves_the_canvas(name):
    task = dataclasses.replace(TASKS[name], clutter=0)
    box = np.zeros((1, 28, 28), "uint8")
    box[:, 4:24, 4:24] = 255
    chosen = np.zeros((200, 1), int)
    numbers, _ = draw(task, box, _labels(1), chosen, np.random.default_rng(0))
    linear = numbers["theta"].reshape(-1, 2, 3)[..., :2].astype("float64")
    shrunk = np.linalg.det(linear) * ((28 - 1) / (task.size - 1)) ** 2
    ink = render(task, numbers).sum(axis=(1, 2, 3))
    tolerance = 0.01 if name == "TC" else 0.12  # corners of a turned box may leave it
    np.testing.assert_allclose(ink * shrunk, 400, rtol=tolerance)


def test_digits_are_everywhere_where_there_is_room(rng):
    theta = thetas.translated(rng, 2000, 60).reshape(-1, 2, 3).astype("float64")
    centre = -np.linalg.solve(theta[..., :2], theta[..., 2:])[..., 0] * 59 / 2
    np.testing.assert_allclose(centre.min(axis=0), -20, atol=0.1)
    np.testing.assert_allclose(centre.max(axis=0), 20, atol=0.1)
    np.testing.assert_allclose(centre.mean(axis=0), 0, atol=1)


def test_ranges_of_turns_and_scales(rng):
    for name, angle, low, high in (("R", 90, 1, 1), ("RTS", 45, 0.7, 1.2)):
        task = TASKS[name]
        theta = task.draw(rng, 4000, task.size).reshape(-1, 2, 3)
        linear = theta[..., :2] * 27 / (task.size - 1)
        scale = 1 / np.sqrt(np.linalg.det(linear))
        turns = np.degrees(np.arctan2(linear[:, 0, 1], linear[:, 0, 0]))
        assert scale.min() == pytest.approx(low, abs=0.01)
        assert scale.max() == pytest.approx(high, abs=0.01)
        assert turns.min() == pytest.approx(-angle, abs=1)
        assert turns.max() == pytest.approx(angle, abs=1)


def test_homographies_take_points_to_points(rng):
    corners = np.array([[-1.0, -1], [1, -1], [-1, 1], [1, 1]])
    target = corners + rng.normal(0, 0.2, (5, 4, 2))
    source = corners + rng.normal(0, 0.2, (5, 4, 2))
    theta = thetas.homographies(target, source)
    moved = Projective().transform_points(theta, target.astype("float32"))
    np.testing.assert_allclose(to_numpy(moved), source, atol=1e-4)


def test_projective_corners_are_scaled_and_moved_by_five_pixels(rng):
    theta = thetas.projected(rng, 4000, 28)
    corners = np.broadcast_to([[-1.0, -1], [1, -1], [-1, 1], [1, 1]], (4000, 4, 2))
    back = to_numpy(Projective().inverse(theta))
    found = to_numpy(Projective().transform_points(back, corners.astype("float32"))) * 27 / 2
    # A scale between 0.75 and 1 is common to the four corners of a digit.
    inner = found * np.sign(corners)
    assert np.median(inner) == pytest.approx(13.5 * 0.875, abs=0.2)
    between = inner - inner.mean(axis=(1, 2), keepdims=True)
    assert 1.4826 * np.median(np.abs(between)) == pytest.approx(5 * np.sqrt(7 / 8), rel=0.05)


def test_projective_digits_are_seen_from_the_front(rng):
    """No corner lies beyond the horizon, so that nothing is folded over or turned around."""
    theta = thetas.projected(rng, 4000, 28).astype("float64")
    matrices = np.concatenate([theta, np.ones((4000, 1))], axis=1).reshape(-1, 3, 3)
    corners = np.array([[-1.0, -1, 1], [1, -1, 1], [-1, 1, 1], [1, 1, 1]])
    moved = np.einsum("bij,kj->bki", np.linalg.inv(matrices), corners)
    moved = moved[..., :2] / moved[..., 2:]
    depths = np.einsum("bj,bkj->bk", matrices[:, 2, :2], moved) + 1
    assert (depths > 0).all()
    assert (np.linalg.det(matrices) > 0).all()
    folded = np.array(
        [[[-1, -1], [1, -1], [1, 1], [-1, 1]], [[-1, -1], [1, -1], [-1, 1], [-2, -2]]]
    )
    assert not thetas.convex(folded).any()
    assert thetas.convex(np.array([[[-1, -1], [1, -2], [-1, 1], [3, 1]]])).all()


def test_control_points_are_scaled_and_moved_by_one_and_a_half_pixels(rng):
    theta = thetas.bent(rng, 4000, 28).reshape(-1, 16, 2) * 27 / 2
    lattice = thetas.SPLINE.identity().reshape(16, 2) * 27 / 2
    scales = (theta * lattice).sum(axis=(1, 2)) / (lattice**2).sum()
    assert 1 / scales.max() == pytest.approx(0.75, abs=0.05)
    assert 1 / scales.min() == pytest.approx(1, abs=0.07)
    rest = theta - scales[:, None, None] * lattice
    assert rest.std() == pytest.approx(1.5 * np.sqrt(31 / 32), rel=0.02)


def test_clutter_is_painted_where_it_belongs(rng):
    patches = rng.integers(0, 256, (3, 4, 6, 6), "uint8")
    corners = rng.integers(0, 15, (3, 4, 2)).astype("int32")
    expected = np.zeros((3, 20, 20))
    for image, k in np.ndindex(3, 4):
        row, column = corners[image, k]
        window = expected[image, row : row + 6, column : column + 6]
        np.maximum(window, patches[image, k] / 255, out=window)
    found = to_numpy(distortion.painted(patches, corners, 20))
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_clutter_is_cut_out_of_digits_and_lies_over_the_canvas(rng):
    task = TASKS["TC"]
    images = _digits(rng)
    numbers, _ = draw(task, images, _labels(), np.arange(6)[:, None], rng)
    assert numbers["patches"].shape == (6, 6, 6, 6)
    assert numbers["corners"].min() >= 0
    assert numbers["corners"].max() <= 60 - 6
    windows = np.lib.stride_tricks.sliding_window_view(images, (6, 6), axis=(1, 2)).reshape(-1, 36)
    known = {window.tobytes() for window in windows}
    assert all(patch.tobytes() in known for patch in numbers["patches"].reshape(-1, 36))
    plain = render(dataclasses.replace(task, clutter=0), numbers)
    cluttered = render(task, numbers)
    assert (cluttered >= plain - 1e-6).all()
    assert (cluttered > plain + 0.1).any(axis=(1, 2, 3)).all()


def test_sums_show_each_digit_in_a_channel_of_its_own(rng):
    task = TASKS["addition"]
    images = _digits(rng)
    chosen = np.array([[0, 5], [3, 3]])
    numbers, labels = draw(task, images, _labels(), chosen, rng)
    assert labels.tolist() == [2 + 7, 5 + 5]
    both = to_numpy(distorted(task, numbers))
    assert both.shape == (2, 42, 42, 2)
    for k in range(2):
        alone = {
            "digits": numbers["digits"][..., k : k + 1],
            "theta": numbers["theta"][:, k : k + 1],
        }
        single = to_numpy(distorted(TASKS["RTS"], alone))
        np.testing.assert_allclose(both[..., k], single[..., 0], atol=1e-6)


@pytest.mark.parametrize("name", TASKS)
def test_layer_says_its_shape_and_keeps_its_task(rng, name):
    task = TASKS[name]
    chosen = rng.integers(6, size=(3, task.digits))
    numbers, labels = draw(task, _digits(rng), _labels(), chosen, rng)
    layer = Distortion(name)
    canvases = layer(numbers)
    assert tuple(canvases.shape) == (3, task.size, task.size, task.digits)
    shapes = {key: values.shape for key, values in numbers.items()}
    assert layer.compute_output_shape(shapes) == tuple(canvases.shape)
    again = Distortion.from_config(layer.get_config())
    np.testing.assert_array_equal(to_numpy(again(numbers)), to_numpy(canvases))
    assert keras.backend.standardize_dtype(canvases.dtype) == "float32"
    assert to_numpy(canvases).min() >= 0
    assert to_numpy(canvases).max() <= 1 + 1e-6
    assert labels.max() < task.classes
    np.testing.assert_allclose(render(task, numbers, batch_size=2), to_numpy(canvases), atol=1e-6)
