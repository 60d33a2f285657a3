"""The pictures of a run: no title is cut or runs into another; showcases begin with successes."""

import itertools

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from gtsrb import figures, predict
from gtsrb.dataset import ImageSet
from gtsrb.signs import SIGN_NAMES
from keras_stn.ops import identity_grid
from tests.backend import to_numpy

# The longest names, each taken for the other.
LABELS = np.array([41, 42] * 30)
TAKEN_FOR = 83 - LABELS


class Look:
    """Looks at the whole of every image."""

    def __call__(self, images):
        return images / np.float32(255), images / np.float32(255), np.zeros((len(images), 6))

    def grid(self, theta, warped, source):
        return np.repeat(to_numpy(identity_grid(source.shape[1:3]))[None], len(theta), axis=0)


@pytest.fixture(scope="module")
def images():
    pixels = np.random.default_rng(0).integers(0, 256, (60, 8, 8, 1), "uint8")
    return ImageSet(pixels, LABELS, np.arange(60))


def _check_texts(figure):
    """Draws a figure; fails where a text leaves it, or overlaps another."""
    FigureCanvasAgg(figure)
    figure.canvas.draw()
    renderer = figure.canvas.get_renderer()
    texts = [*figure.texts, *(axes.title for axes in figure.axes)]
    for part in figure.subfigs:
        texts += [*part.texts, *([part._suptitle] if part._suptitle else [])]
    boxes = {text: text.get_window_extent(renderer) for text in texts if text.get_text()}
    assert len(boxes) > 10
    for text, box in boxes.items():
        assert figure.bbox.x0 <= box.x0 < box.x1 <= figure.bbox.x1, text
        assert figure.bbox.y0 <= box.y0 < box.y1 <= figure.bbox.y1, text
    for (first, box), (second, other) in itertools.combinations(boxes.items(), 2):
        assert not box.overlaps(other), (first, second)


@pytest.mark.parametrize("wrong", [60, 1])
def test_confusion(images, wrong):
    predicted = np.where(np.arange(60) < wrong, TAKEN_FOR, LABELS)
    figure = figures.confusion(images, np.eye(43)[predicted])
    _, right = figure.subfigs
    titles = [axes.get_title() for axes in right.axes if axes.get_title()]
    assert len(titles) == min(wrong, figures.WRONG_TRACKS)
    said = titles[0].replace("\n", " ")
    assert said == f"{SIGN_NAMES[41]} for: {SIGN_NAMES[42]} 100 % sure; 1 of 1"
    if wrong > 1:
        _check_texts(figure)


def test_no_errors_are_drawn_too(images):
    figures.confusion(images, np.eye(43)[LABELS])
    figure = figures.gallery(Look(), images, LABELS)
    assert not any("taken for" in axes.get_title() for axes in figure.axes)


@pytest.mark.parametrize("look", [Look(), None])
def test_a_gallery_begins_with_successes(images, look):
    predicted = np.where(np.arange(60) % 2, TAKEN_FOR, LABELS)
    figure = figures.gallery(look, images, predicted)
    titles = [axes.get_title() for axes in figure.axes if axes.get_title()]
    assert len(titles) == figures.GALLERY_IMAGES
    failures = ["taken for" in title for title in titles]
    assert failures == sorted(failures)
    assert sum(failures) == figures.GALLERY_IMAGES // 4
    if look is not None:
        heads = [text.get_text() for text in figure.texts]
        assert heads == ["input", "where it looked", "crop"] * 3
    _check_texts(figure)


@pytest.mark.parametrize("look", [Look(), None])
def test_titles_of_predictions_fit(images, look):
    name = predict.shortened("IMG_20240101_125959_SIGN_OF_A_ROAD_HDR_2.JPG")
    figure = figures.draw(look, images.images[:11], [f"{name}\n{SIGN_NAMES[42]}, 100.0 %"] * 11)
    assert any(axes.get_title().startswith(f"{name}\n") for axes in figure.axes)
    _check_texts(figure)
    if look is not None:
        figure = figures.draw(look, images.images[:1], ["$x$ \\frac{"])
        assert len(figure.axes) == 3
        FigureCanvasAgg(figure).draw()  # not taken for mathematics


def test_the_bar_of_a_class_without_a_right_answer_is_labelled():
    rows = [(0, "good", 10, 1), (1, "bad", 10, 10)]
    (axes,) = figures.per_class(rows).axes
    assert [text.get_color() for text in axes.texts] == ["white", "black"]
    assert [text.get_position()[0] for text in axes.texts] == [1, 1]
