"""What the gallery draws, and that nothing of it is lost."""

import keras
import numpy as np
import pytest
from keras import layers
from PIL import Image

from keras_stn import callbacks, visualization
from keras_stn.callbacks.pictures import draw_recordings
from keras_stn.callbacks.recording import Recorder, spatial_transformers
from tests import reference
from tests.callbacks.models import (
    IDENTITY,
    IMAGES,
    QUICK,
    TARGETS,
    classifier,
    smooth_images,
    spatial_transformer,
)
from tests.layers.models import AFFINE, random_images, set_theta


def figures_of(model, images):
    """The panels of the picture: for each image a list of (title-less) axes."""
    return draw_recordings(Recorder(model, images).record(), title="epoch 1")


@pytest.mark.parametrize("align_corners", [True, False])
def test_outlines_and_crops_are_drawn_where_they_are(align_corners):
    stn = spatial_transformer(num_transforms=2, output_size=(5, 6), align_corners=align_corners)
    model = keras.Sequential([keras.Input((8, 9, 1)), stn])
    set_theta(stn, AFFINE, IDENTITY)
    figure = figures_of(model, 100 * IMAGES[:2])
    assert len(figure.axes) == 6
    texts = [text.get_text() for text in figure.texts]
    assert texts[0] == "epoch 1"
    assert texts[1:4] == ["input", "crop 0", "crop 1"]
    where, *crops = figure.axes[:3]
    for k, theta in enumerate((AFFINE, IDENTITY)):
        grid = reference.affine_grid(np.array([theta]), (5, 6), align_corners)
        outline = visualization.grid_outline(grid[0], (8, 9), align_corners=align_corners)
        shadow, shadow_top, line, top = where.lines[4 * k : 4 * k + 4]
        for drawn in (shadow, line):
            np.testing.assert_allclose(drawn.get_xydata()[:-1], outline, atol=1e-5)
            np.testing.assert_array_equal(drawn.get_xydata()[-1], drawn.get_xydata()[0])
        for drawn in (shadow_top, top):
            np.testing.assert_allclose(drawn.get_xydata(), outline[:6], atol=1e-5)
        # The crop has a frame of its outline's colour.
        assert line.get_color() == top.get_color()
        frame = crops[k].spines["left"].get_edgecolor()
        from matplotlib.colors import to_rgba

        assert frame == to_rgba(line.get_color())
        low, high = IMAGES[:2].min(), IMAGES[:2].max()
        sampled = reference.grid_sample(
            IMAGES[:1].astype("float64"), grid, fill_mode="nearest", align_corners=align_corners
        )
        expected = np.clip((sampled[0, ..., 0] - low) / (high - low), 0, 1)
        np.testing.assert_allclose(crops[k].images[0].get_array(), expected, atol=1e-4)
    assert where.lines[2].get_color() != where.lines[6].get_color()


@pytest.mark.parametrize("channels", [1, 3])
def test_brightness_is_one_scale_for_all(channels):
    images = smooth_images(2, channels=channels) * np.array([1, 0.1])[:, None, None, None]
    images = (300 * images - 40).astype("float32")
    model = keras.Sequential([keras.Input(images.shape[1:]), spatial_transformer()])
    figure = figures_of(model, images)
    shown = np.stack([np.asarray(figure.axes[i].images[0].get_array()) for i in (0, 2)])
    expected = (images - images.min()) / (images.max() - images.min())
    np.testing.assert_allclose(shown.reshape(expected.shape), expected, atol=1e-5)
    for axes in figure.axes:
        if channels == 1:
            assert axes.images[0].get_clim() == (0, 1)


def test_constant_and_broken_images_can_be_drawn():
    model = keras.Sequential([keras.Input((8, 9, 1)), spatial_transformer()])
    figures_of(model, np.ones((2, 8, 9, 1), "float32")).canvas.draw()
    figures_of(model, np.full((2, 8, 9, 1), np.nan, "float32")).canvas.draw()
    (stn,) = spatial_transformers(model).values()
    for number in (np.nan, np.inf, 1e30):
        set_theta(stn, [number, 0, 0, 0, 1, 0])
        figures_of(model, IMAGES[:2]).canvas.draw()


def test_channels_of_feature_maps_are_averaged():
    images = random_images(2, 8, 9, 5)
    model = keras.Sequential([keras.Input((8, 9, 5)), spatial_transformer()])
    mean = images.mean(axis=-1)
    shown = np.asarray(figures_of(model, images).axes[0].images[0].get_array())
    np.testing.assert_allclose(shown, (mean[0] - mean.min()) / np.ptp(mean), atol=1e-5)


@pytest.mark.parametrize("num_transforms", [1, 2])
def test_both_data_formats_give_one_picture(num_transforms):
    images = smooth_images(2, channels=3)
    pictures = []
    for data_format in ("channels_last", "channels_first"):
        stn = spatial_transformer(num_transforms=num_transforms, data_format=data_format)
        given = images if data_format == "channels_last" else np.moveaxis(images, -1, 1)
        model = keras.Sequential([keras.Input(given.shape[1:]), stn])
        set_theta(stn, *[AFFINE, [0.5, 0, 0.2, 0, 0.5, 0]][:num_transforms])
        pictures.append([a.images[0].get_array() for a in figures_of(model, given).axes])
    assert len(pictures[0]) == 2 * (1 + num_transforms)
    for last, first in zip(*pictures, strict=True):
        np.testing.assert_allclose(np.asarray(last), np.asarray(first), atol=1e-5)


def test_of_volumes_the_middle_slice_is_drawn():
    images = smooth_images(2, (5, 8, 9))
    stn = spatial_transformer(output_size=(3, 6, 7))
    model = keras.Sequential([keras.Input(images.shape[1:]), stn])
    where, crop, *_ = figures_of(model, images).axes
    middle = images[:, 2, ..., 0]
    low, size = middle.min(), np.ptp(middle)
    np.testing.assert_allclose(where.images[0].get_array(), (middle[0] - low) / size, atol=1e-5)
    corners = where.lines[0].get_xydata()[[0, 6, 6 + 5]]
    np.testing.assert_allclose(corners, [[0, 0], [8, 0], [8, 7]], atol=1e-5)
    seen = Recorder(model, images).record()[stn.name].crops[0, 0, 1, ..., 0]
    np.testing.assert_allclose(
        crop.images[0].get_array(), np.clip((seen - low) / size, 0, 1), atol=1e-5
    )


def frames_of(path):
    with Image.open(path) as film:
        frames = []
        for i in range(film.n_frames):
            film.seek(i)
            frames.append(np.asarray(film.convert("RGB")).astype(int))
        return frames


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def pictures(*epochs):
    return [f"epoch_{epoch:04d}.png" for epoch in epochs]


@pytest.mark.gradient
def test_a_picture_an_epoch_and_a_film(tmp_path):
    stn = spatial_transformer()
    model = classifier(stn, rate=0.1)

    class Moving(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            set_theta(stn, [1 - 0.2 * epoch, 0, 0, 0, 1 - 0.2 * epoch, 0])

    folder = tmp_path / "new" / "folder"
    gallery = callbacks.TransformerGallery(IMAGES, folder, max_images=2)
    model.fit(IMAGES, TARGETS, epochs=3, verbose=0, callbacks=[Moving(), gallery])
    assert names(folder) == [*pictures(0, 1, 2, 3), "training.gif"]
    frames = frames_of(folder / "training.gif")
    assert len(frames) == 4
    for frame, name in zip(frames, pictures(0, 1, 2, 3), strict=True):
        picture = np.asarray(Image.open(folder / name).convert("RGB")).astype(int)
        assert picture.shape == frame.shape
        assert np.abs(picture - frame).mean() < 6  # a GIF has few colours
    assert np.abs(frames[2] - frames[3]).max() > 50

    # It goes on, two epochs at a time; the last is there in any case.
    gallery = callbacks.TransformerGallery(IMAGES, folder, max_images=2, every=2)
    options = {"initial_epoch": 3, "epochs": 7, "verbose": 0}
    model.fit(IMAGES, TARGETS, callbacks=[gallery], **options)
    assert names(folder) == [*pictures(0, 1, 2, 3, 4, 6, 7), "training.gif"]
    assert len(frames_of(folder / "training.gif")) == 7

    gallery = callbacks.TransformerGallery(IMAGES, tmp_path / "due", max_images=1, every=2)
    model.fit(IMAGES, TARGETS, callbacks=[gallery], **options)
    assert names(tmp_path / "due") == [*pictures(4, 6, 7), "training.gif"]

    # Another training, shorter, with pictures of another size: what was left is not in its film.
    gallery = callbacks.TransformerGallery(IMAGES, folder, max_images=5)
    model.fit(IMAGES, TARGETS, epochs=2, verbose=0, callbacks=[gallery])
    assert len(frames_of(folder / "training.gif")) == 3
    gallery = callbacks.TransformerGallery(IMAGES, folder, max_images=5)
    model.fit(IMAGES, TARGETS, initial_epoch=7, epochs=8, verbose=0, callbacks=[gallery])
    assert len(frames_of(folder / "training.gif")) == 5  # 0, 1, 2, 7, 8


@pytest.mark.gradient
def test_a_training_that_stops_early_has_its_film(tmp_path):
    model = classifier(spatial_transformer())
    stopping = keras.callbacks.EarlyStopping("loss", patience=2, baseline=-1.0)
    gallery = callbacks.TransformerGallery(IMAGES, tmp_path, max_images=1, animation="film.gif")
    model.fit(IMAGES, TARGETS, epochs=9, verbose=0, callbacks=[stopping, gallery])
    assert names(tmp_path) == [*pictures(0, 1, 2), "film.gif"]


class Interrupt(keras.callbacks.Callback):
    def on_epoch_begin(self, epoch, logs=None):
        if epoch == 2:
            raise KeyboardInterrupt("in an epoch")


@pytest.mark.gradient
def test_ctrl_c_loses_nothing(tmp_path, monkeypatch):
    model = classifier(spatial_transformer())
    gallery = callbacks.TransformerGallery(IMAGES, tmp_path, max_images=1)
    with pytest.raises(KeyboardInterrupt, match="in an epoch"):
        model.fit(IMAGES, TARGETS, epochs=5, verbose=0, callbacks=[Interrupt(), gallery])
    assert names(tmp_path) == pictures(0, 1, 2)
    path = gallery.write_animation()
    assert path == tmp_path / "training.gif"
    assert len(frames_of(path)) == 3

    # In the middle of a picture: the one before stays whole, and no half one is left.
    def broken(figure, path, **options):
        path.write_bytes(b"half")
        raise KeyboardInterrupt("while drawing")

    from matplotlib.figure import Figure

    before = (tmp_path / "epoch_0002.png").read_bytes()
    monkeypatch.setattr(Figure, "savefig", broken)
    with pytest.raises(KeyboardInterrupt, match="while drawing"):
        gallery.on_epoch_end(1)
    assert (tmp_path / "epoch_0002.png").read_bytes() == before
    assert names(tmp_path) == [*pictures(0, 1, 2), "training.gif"]


def test_no_pictures_no_film(tmp_path):
    gallery = callbacks.TransformerGallery(IMAGES, tmp_path)
    assert gallery.write_animation() is None
    assert names(tmp_path) == []


@pytest.mark.gradient
def test_a_model_that_fit_builds(tmp_path):
    model = keras.Sequential([spatial_transformer(), layers.Flatten(), layers.Dense(2)])
    model.compile("sgd", "mse", jit_compile=QUICK)
    monitor = callbacks.LocalizerMonitor(IMAGES, TARGETS)
    gallery = callbacks.TransformerGallery(IMAGES, tmp_path, max_images=1, animation=None)
    model.fit(IMAGES, TARGETS, epochs=2, verbose=0, callbacks=[monitor, gallery])
    assert set(pictures(1, 2)) <= set(names(tmp_path)) <= set(pictures(0, 1, 2))
    assert len(monitor.reports) == 2
