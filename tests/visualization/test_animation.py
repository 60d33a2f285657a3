"""Films of theta show each frame's grid and crop."""

import numpy as np
import pytest
from PIL import Image

from keras_stn import visualization
from tests import reference

IMAGES = np.random.default_rng(0).uniform(size=(2, 8, 9, 3)).astype("float32")
IDENTITY = np.array([1, 0, 0, 0, 1, 0], "float32")
THETAS = np.array([IDENTITY, [0.5, 0, 0.2, 0, 0.5, 0], [2, 0.3, 0, -0.3, 2, 0]], "float32")


def draw(animation, frame):
    """The figure's axes as the film shows them in a frame."""
    animation._draw_was_started = True  # no warning that it was never shown
    animation._func(frame)
    return animation._fig.axes


@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
@pytest.mark.parametrize("each", [False, True])
def test_each_frame_shows_its_theta(data_format, each):
    thetas = np.stack([THETAS, THETAS[::-1]], axis=1) if each else THETAS
    images = IMAGES if data_format == "channels_last" else np.moveaxis(IMAGES, -1, 1)
    animation = visualization.animate_theta(
        images, thetas, output_size=(6, 5), lines=2, data_format=data_format
    )
    for frame in (2, 0, 1):
        panels = np.reshape(draw(animation, frame), (2, 2))
        for i, (where, after) in enumerate(panels):
            theta = thetas[frame, i] if each else thetas[frame]
            grid = reference.affine_grid(theta[None], (6, 5))
            warped = reference.grid_sample(IMAGES[i : i + 1], grid)[0]
            (shown,) = after.images
            np.testing.assert_allclose(np.asarray(shown.get_array()), warped, atol=1e-5)
            outline = visualization.grid_outline(grid[0], (8, 9))
            assert len(where.images) == 1
            assert len(where.lines) == 2 + 2 + 4
            np.testing.assert_allclose(where.lines[6].get_xydata()[:-1], outline, atol=1e-4)


def test_the_view_holds_all_frames_and_stands_still():
    animation = visualization.animate_theta(IMAGES[:1], THETAS)
    views = {draw(animation, frame)[0].get_xlim() for frame in range(3)}
    ((low, high),) = views
    grid = reference.affine_grid(THETAS[2:], (8, 9))[0]
    outline = visualization.grid_outline(grid, (8, 9))
    assert low < outline[:, 0].min()
    assert high > outline[:, 0].max()


def test_rotations_know_the_sides_of_the_image():
    animation = visualization.animate_theta(
        IMAGES[:1], np.array([[np.pi / 2]], "float32"), transform="rotation", output_size=(9, 8)
    )
    where, _ = draw(animation, 0)
    corners = where.lines[-2].get_xydata()[[0, 7, 15]]
    sides = np.linalg.norm(np.diff(corners, axis=0), axis=1)
    # A quarter turn of the whole image, which is 8 by 7 steps, is 7 by 8 steps.
    np.testing.assert_allclose(sides, [8, 7], atol=1e-4)


def test_bytes_and_matrices_are_taken():
    animation = visualization.animate_theta(
        (255 * IMAGES).astype("uint8"), np.stack([THETAS] * 2, axis=1).reshape(3, 2, 2, 3)
    )
    _, after, *_ = draw(animation, 1)
    grid = reference.affine_grid(THETAS[1:2], (8, 9))
    warped = reference.grid_sample(IMAGES[:1], grid)[0] / IMAGES[0].max()
    np.testing.assert_allclose(np.asarray(after.images[0].get_array()), warped, atol=0.02)


def test_volumes_are_filmed_in_slices():
    volumes = np.random.default_rng(1).uniform(size=(1, 5, 8, 9, 1)).astype("float32")
    identity = np.array([[1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0]], "float32")
    animation = visualization.animate_theta(volumes, identity, depth=1)
    _, after = draw(animation, 0)
    last = volumes[0, 4, ..., 0]
    expected = (last - last.min()) / np.ptp(last)
    np.testing.assert_allclose(np.asarray(after.images[0].get_array()), expected, atol=1e-5)


def test_a_film_can_be_saved(tmp_path):
    path = tmp_path / "theta.gif"
    animation = visualization.animate_theta(IMAGES, THETAS, frames_per_second=5)
    animation.save(path, writer="pillow")
    with Image.open(path) as film:
        assert film.n_frames == 3
        assert film.info["duration"] == 200


@pytest.mark.parametrize(
    ("thetas", "options", "match"),
    [
        (THETAS[0], {}, r"thetas.shape=\(6,\)"),
        (THETAS[:0], {}, r"`thetas` must have shape"),
        (np.stack([THETAS] * 3, axis=1), {}, "each of the 2 images"),
        (THETAS[:, :5], {}, "`theta` must have shape"),
        (THETAS, {"transform": "afine"}, "afine"),
        (THETAS, {"fill_mode": "zeros"}, "`fill_mode` must be one of"),
        (THETAS, {"frames_per_second": 0}, "positive number"),
        (THETAS, {"frames_per_second": None}, "positive number"),
        (THETAS, {"titles": ["one"]}, "one string for each"),
        (THETAS, {"output_size": 0}, "`output_size` must"),
        (THETAS, {"output_size": ()}, "`output_size` must"),
        (THETAS, {"depth": -1}, "`depth`"),
    ],
)
def test_wrong_arguments_are_refused(thetas, options, match):
    with pytest.raises(ValueError, match=match):
        visualization.animate_theta(IMAGES, thetas, **options)


@pytest.mark.parametrize(
    ("images", "match"),
    [(IMAGES[0, ..., 0], "`images` must have shape"), (IMAGES[:0], "one or more images")],
)
def test_what_is_no_batch_of_images_is_refused(images, match):
    with pytest.raises(ValueError, match=match):
        visualization.animate_theta(images, THETAS)
