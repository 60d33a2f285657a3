"""Wrong arguments, models that cannot be watched, no matplotlib."""

import sys

import keras
import numpy as np
import pytest
from keras import layers

from keras_stn import callbacks
from tests.callbacks.models import IMAGES, QUICK, TARGETS, classifier, spatial_transformer

MONITOR_ERRORS = {
    "none": ({"images": IMAGES[:0]}, r"`images` .* at least 2 images.* \(0, 8, 9, 1\).*x_val"),
    "one": ({"images": IMAGES[:1]}, r"at least 2 images.* Received: images of shape \(1, 8"),
    "a number": ({"images": 3.0}, r"at least 2 images.* Received: images of shape \(\)"),
    "nothing": ({"images": {}}, r"Received: images of shape none"),
    "two lengths": ({"images": [IMAGES, IMAGES[:3]]}, r"\(6, 8, 9, 1\), \(3, 8, 9, 1\)"),
    "alike": ({"images": IMAGES[[0, 0]]}, r"must differ .* Received: 2 images, all alike"),
    "targets": ({"targets": TARGETS[:5]}, r"`targets` must belong .* 5 targets for 6 images"),
    "patience": ({"patience": 0}, r"`patience` must be a positive integer.*patience=0"),
    "bool": ({"patience": True}, r"`patience` must be a positive integer.*patience=True"),
    "zoom": ({"max_zoom": 1}, r"`max_zoom` must be greater than 1.* max_zoom=1"),
    "outside": ({"max_outside": 50}, r"`max_outside` must be a share.* max_outside=50"),
}


@pytest.mark.parametrize("name", MONITOR_ERRORS)
def test_errors_of_the_monitor(name):
    arguments, match = MONITOR_ERRORS[name]
    with pytest.raises(ValueError, match=match):
        callbacks.LocalizerMonitor(**{"images": IMAGES, **arguments})


GALLERY_ERRORS = {
    "none": ({"images": IMAGES[:0]}, r"at least 1 image, .* Received: images of shape \(0, 8"),
    "max_images": ({"max_images": 0}, r"`max_images` must be a positive integer.*max_images=0"),
    "every": ({"every": 1.5}, r"`every` must be a positive integer.*every=1.5"),
    "seconds": ({"frame_seconds": 0}, r"`frame_seconds` must be a positive .*frame_seconds=0"),
    "film": ({"animation": "a.mp4"}, r"`animation` must be .* GIF .*animation='a.mp4'"),
}


@pytest.mark.parametrize("name", GALLERY_ERRORS)
def test_errors_of_the_gallery(name, tmp_path):
    arguments, match = GALLERY_ERRORS[name]
    with pytest.raises(ValueError, match=match):
        callbacks.TransformerGallery(**{"images": IMAGES, "directory": tmp_path, **arguments})


@pytest.mark.gradient
@pytest.mark.parametrize("kind", ["monitor", "gallery"])
def test_models_that_cannot_be_watched(kind, tmp_path):
    def make(images):
        if kind == "monitor":
            return callbacks.LocalizerMonitor(images)
        return callbacks.TransformerGallery(images, tmp_path)

    plain = keras.Sequential([keras.Input((8, 9, 1)), layers.Flatten(), layers.Dense(2)])
    plain.compile("sgd", "mse", jit_compile=QUICK)
    with pytest.raises(ValueError, match=r"must hold a `SpatialTransformer`.* none, however deep"):
        plain.fit(IMAGES, TARGETS, verbose=0, callbacks=[make(IMAGES)])
    other = np.moveaxis(IMAGES, -1, 1)
    with pytest.raises(
        ValueError, match=r"`images` must be a batch that the model.*\(6, 1, 8, 9\)"
    ):
        classifier(spatial_transformer()).fit(IMAGES, TARGETS, verbose=0, callbacks=[make(other)])


def test_no_matplotlib(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError, match=r"needs matplotlib.*pip install keras-stn\[viz\]"):
        callbacks.TransformerGallery(IMAGES, tmp_path)
