"""One backend saves, a fresh process of each backend loads: the same outputs."""

import os
import pathlib
import subprocess
import sys

import keras
import numpy as np
import pytest
from keras import layers

from keras_stn import AffineGridGenerator, BilinearSampler, GridSampler, SpatialTransformer
from tests.backend import BACKEND, to_numpy
from tests.layers.models import AFFINE, MeanFeatures, Shift, random_images, randomize
from tests.selection import BACKENDS

ROOT = pathlib.Path(__file__).parents[2]


def transformer(shape, network=None, transform="affine", **options):
    images = keras.Input(shape)
    stn = SpatialTransformer(network, transform, **options)
    return keras.Model(images, stn(images, return_theta=True))


def pieces():
    images, theta = keras.Input((None, None, 3)), keras.Input((6,))
    grid = AffineGridGenerator((5, 4), align_corners=False)(theta)
    options = {"align_corners": False, "data_format": "channels_last"}
    sampled = BilinearSampler(fill_value=2.0, **options)([images, grid])
    labels = GridSampler(interpolation="nearest", fill_mode="wrap", **options)([images, grid])
    return keras.Model([images, theta], [sampled, labels])


THETAS = np.array([AFFINE, [0.5, 0.1, 0.25, 0, 0.6, 0]], "float32")
LAST, FIRST = {"data_format": "channels_last"}, {"data_format": "channels_first"}
SAVED = {
    "default": (lambda: transformer((None, None, 1), **LAST), [random_images(2, 12, 15, 1)]),
    "crops": (
        lambda: transformer(
            (12, 15, 2),
            keras.Sequential([layers.Flatten(), layers.Dense(5, activation="tanh")]),
            num_transforms=3,
            output_size=(4, 6),
            align_corners=False,
            fill_mode="reflect",
            theta_regularizer="l2",
            **LAST,
        ),
        [random_images(2, 12, 15, 2)],
    ),
    "volume": (
        lambda: transformer(
            (2, 4, 5, 6), MeanFeatures(**FIRST), Shift(0.5), fill_mode="mirror", **FIRST
        ),
        [random_images(2, 2, 4, 5, 6)],
    ),
    "pieces": (pieces, [random_images(2, 8, 9, 3), THETAS]),
}


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A folder of models that the active backend saved, and what they returned."""
    folder = tmp_path_factory.mktemp("models")
    outputs = {}
    for name, (make, inputs) in SAVED.items():
        model = make()
        randomize(model)
        model.save(folder / f"{name}.keras")
        np.savez(folder / f"{name}.npz", *inputs)
        made = keras.tree.flatten(model(inputs[0] if len(inputs) == 1 else inputs))
        outputs |= {f"{name}/{i}": to_numpy(output) for i, output in enumerate(made)}
    return folder, outputs


# Each backend reads what one other saved; all of them do at night.
AFTER = dict(zip(BACKENDS, (*BACKENDS[1:], BACKENDS[0]), strict=True))
READERS = BACKENDS if os.environ.get("ALL_PARAMETERS") else (AFTER[BACKEND],)


@pytest.mark.parametrize("backend", READERS)
def test_a_fresh_process_of_each_backend_loads_the_same_models(saved, backend, tmp_path):
    folder, wanted = saved
    script = [sys.executable, "-m", "tests.layers.load_models", folder, tmp_path / "out.npz"]
    environment = {**os.environ, "KERAS_BACKEND": backend}
    done = subprocess.run(script, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    outputs = np.load(tmp_path / "out.npz")
    assert set(wanted) <= set(outputs)
    for name, output in wanted.items():
        assert np.ptp(output, axis=0).max() > 1e-3
        np.testing.assert_allclose(outputs[name], output, atol=1e-5, err_msg=name)
