"""Layers with `antialias=True`: what the function does, before and after they were saved."""

import functools

import keras
import numpy as np
import pytest

from keras_stn import BilinearSampler, GridSampler, SpatialTransformer, ops
from tests.backend import to_numpy, traced
from tests.layers.models import AFFINE, random_images, set_theta
from tests.layers.test_serialization import through_json

IMAGES = random_images(2, 12, 15, 2)
GRID = to_numpy(ops.affine_grid(np.array([AFFINE] * 2, "float32"), (4, 5)))
OPTIONS = {"fill_mode": "mirror", "data_format": "channels_last"}
FUNCTIONS = {
    antialias: traced(functools.partial(ops.grid_sample, antialias=antialias, **OPTIONS))
    for antialias in (True, False)
}


def wanted(antialias=True):
    return to_numpy(FUNCTIONS[antialias](IMAGES, GRID))


def transformer(**options):
    """A spatial transformer that shrinks every image by `AFFINE`."""
    stn = SpatialTransformer(output_size=(4, 5), **OPTIONS, **options)
    stn.build(IMAGES.shape)
    set_theta(stn, AFFINE)
    return stn


@pytest.mark.parametrize("cls", [GridSampler, BilinearSampler])
def test_samplers(cls):
    layer = cls(antialias=True, **OPTIONS)
    again = through_json(layer)
    assert type(again) is cls
    assert again.antialias is True
    for sampler in (layer, again):
        np.testing.assert_allclose(to_numpy(traced(sampler)([IMAGES, GRID])), wanted(), atol=1e-6)
    plain = to_numpy(traced(cls(**OPTIONS))([IMAGES, GRID]))
    np.testing.assert_allclose(plain, wanted(antialias=False), atol=1e-6)
    assert np.abs(plain - wanted()).max() > 0.05


def test_spatial_transformer():
    stn = transformer(antialias=True)
    np.testing.assert_allclose(to_numpy(traced(stn)(IMAGES)), wanted(), atol=1e-5)
    assert np.abs(to_numpy(traced(transformer())(IMAGES)) - wanted()).max() > 0.05
    again = through_json(stn)
    assert again.antialias is True
    assert again.get_config() == stn.get_config()


@pytest.mark.parametrize("cls", [GridSampler, BilinearSampler, SpatialTransformer])
def test_older_configurations_do_not_antialias(cls):
    config = cls(**OPTIONS).get_config()
    assert config.pop("antialias") is False
    assert cls.from_config(config).antialias is False


@pytest.mark.parametrize(
    "layer", [GridSampler, lambda **o: SpatialTransformer(**o)], ids=["sampler", "transformer"]
)
def test_antialiasing_takes_no_other_interpolation(layer):
    with pytest.raises(ValueError, match=r"bilinear.*interpolation='nearest'"):
        layer(antialias=True, interpolation="nearest")


def test_a_list_of_points_is_refused():
    with pytest.raises(ValueError, match="has no footprint"):
        GridSampler(antialias=True, **OPTIONS).compute_output_shape([(2, 12, 15, 2), (2, 9, 2)])


def test_saved_models_come_back(tmp_path):
    images, grid = keras.Input(IMAGES.shape[1:]), keras.Input(GRID.shape[1:])
    stn = SpatialTransformer(output_size=(4, 5), antialias=True, **OPTIONS)
    outputs = [
        GridSampler(antialias=True, **OPTIONS)([images, grid]),
        BilinearSampler(antialias=True, **OPTIONS)([images, grid]),
        ops.grid_sample(images, grid, antialias=True, **OPTIONS),
        stn(images),
    ]
    model = keras.Model([images, grid], outputs)
    set_theta(stn, AFFINE)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    for made in (model, again):
        for output in made.predict([IMAGES, GRID], verbose=0):
            np.testing.assert_allclose(output, wanted(), atol=1e-5)
