"""The article's networks, as the tables in its description have them."""

import keras
import numpy as np
import pytest
from gtsrb import models


def _shapes(model, kind):
    return [layer.output.shape[1:] for layer in model.layers if isinstance(layer, kind)]


def test_classifier_is_the_articles():
    model = models.build_model("idsia")
    convs = [layer for layer in model.layers if isinstance(layer, keras.layers.Conv2D)]
    assert [(c.filters, c.kernel_size[0]) for c in convs] == [(100, 7), (150, 5), (250, 5)]
    assert _shapes(model, keras.layers.Conv2D) == [(32, 32, 100), (16, 16, 150), (8, 8, 250)]
    assert _shapes(model, keras.layers.Concatenate) == [(2000,)]
    assert _shapes(model, keras.layers.Dense) == [(300,), (43,)]
    assert _shapes(model, keras.layers.Dropout) == [(300,)]


def test_localization_network_is_the_articles():
    network = models.localization_network()
    convs = [layer for layer in network.layers if isinstance(layer, keras.layers.Conv2D)]
    assert [(c.filters, c.kernel_size[0]) for c in convs] == [(100, 5), (200, 5)]
    assert _shapes(network, keras.layers.Conv2D) == [(16, 16, 100), (8, 8, 200)]
    assert _shapes(network, keras.layers.Concatenate) == [(1200,)]
    assert network.output.shape == (None, 100)


@pytest.mark.parametrize("kind", models.KINDS)
def test_every_model_starts_by_passing_images_through(kind, rng):
    model = models.build_model(kind)
    assert model.output.shape == (None, 43)
    layer = models.spatial_transformer(model)
    assert (layer is None) == (kind == "idsia")
    if layer is not None:
        images = rng.uniform(size=(2, 32, 32, 1)).astype("float32")
        warped, theta = layer(images, return_theta=True)
        np.testing.assert_allclose(keras.ops.convert_to_numpy(warped), images, atol=1e-5)
        assert keras.ops.convert_to_numpy(theta)[0].tolist() == [1, 0, 0, 0, 1, 0]


def test_constant_model_has_one_theta_for_all_images(rng):
    layer = models.spatial_transformer(models.build_model("constant"))
    layer.head.kernel.assign(rng.normal(size=layer.head.kernel.shape))
    theta = layer.localize(rng.uniform(size=(5, 32, 32, 1)).astype("float32"))
    assert np.ptp(keras.ops.convert_to_numpy(theta), axis=0).max() == 0
