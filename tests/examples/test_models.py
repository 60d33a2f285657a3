"""The published networks, as the tables in their descriptions have them; and the parts."""

import keras
import numpy as np
import pytest
import scipy.ndimage

from gtsrb import dataset, evaluation, models, networks, predict, runs
from gtsrb.augmentation import AUGMENTATIONS
from gtsrb.configurations import CONFIGURATIONS
from gtsrb.normalization import LocalContrastNormalization, Standardization
from tests.backend import to_numpy


def _shapes(model, kind):
    return [layer.output.shape[1:] for layer in model.layers if isinstance(layer, kind)]


def _images(rng, name, count=2):
    return rng.integers(0, 256, (count, *CONFIGURATIONS[name].preprocessing.shape), "uint8")


def test_classifier_is_the_articles():
    model = models.build_model("idsia")
    convs = [layer for layer in model.layers if isinstance(layer, keras.layers.Conv2D)]
    assert [(c.filters, c.kernel_size[0]) for c in convs] == [(100, 7), (150, 5), (250, 5)]
    assert _shapes(model, keras.layers.Conv2D) == [(32, 32, 100), (16, 16, 150), (8, 8, 250)]
    assert _shapes(model, keras.layers.Concatenate) == [(2000,)]
    assert _shapes(model, keras.layers.Dense) == [(300,), (43,)]
    assert _shapes(model, keras.layers.Dropout) == [(300,)]


def test_localization_network_is_the_articles():
    network = networks.article_localizer((32, 32, 1))
    convs = [layer for layer in network.layers if isinstance(layer, keras.layers.Conv2D)]
    assert [(c.filters, c.kernel_size[0]) for c in convs] == [(100, 5), (200, 5)]
    assert _shapes(network, keras.layers.Conv2D) == [(16, 16, 100), (8, 8, 200)]
    assert _shapes(network, keras.layers.Concatenate) == [(1200,)]
    assert network.output.shape == (None, 100)


def test_three_transformers_have_the_published_number_of_parameters():
    model = models.build_model("stn3")
    assert model.count_params() == 14_613_761
    assert _shapes(model, keras.layers.Conv2D) == [(46, 46, 200), (24, 24, 250), (13, 13, 350)]
    transformers = [layer for layer in model.layers if hasattr(layer, "localization_network")]
    widths = [
        [layer.filters for layer in t.localization_network.layers if hasattr(layer, "filters")]
        for t in transformers
    ]
    assert widths == [[250, 250], [150, 200], [150, 200]]
    # With plain heads it does not learn by its recipe.
    assert all(t.normalize_features for t in transformers)


def test_two_transformers_stand_where_moodstocks_put_them():
    model = models.build_model("stn2")
    order = [layer.name for layer in model.layers if layer.name.startswith(("spatial", "conv"))]
    assert [name.startswith("spatial") for name in order] == [True, False, False, True, False]
    assert _shapes(model, keras.layers.Dense) == [(350,), (43,)]


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_every_model_starts_by_passing_images_through(name, rng):
    model = models.build_model(name)
    assert model.output.shape == (None, 43)
    look = models.look_of(model)
    assert (look is None) == (name == "idsia")
    if look is not None:
        source, warped, theta = look(_images(rng, name))
        if source.shape == warped.shape:
            np.testing.assert_allclose(warped, source, atol=1e-5)
        assert theta.tolist() == [[1, 0, 0, 0, 1, 0]] * 2
        assert look.grid(theta, warped, source).shape == (*warped.shape[:3], 2)


def test_constant_model_has_one_theta_for_all_images(rng):
    model = models.build_model("constant")
    kernel = models.spatial_transformer(model).head.kernel
    kernel.assign(rng.normal(size=kernel.shape))
    _, _, theta = models.look_of(model)(_images(rng, "constant", 5))
    assert np.ptp(theta, axis=0).max() == 0


@pytest.mark.parametrize("augmentation", [name for name in AUGMENTATIONS if name != "none"])
def test_augmentation_changes_images_in_training_alone(augmentation, rng):
    images = rng.uniform(size=(4, 32, 32, 3)).astype("float32")
    augment = AUGMENTATIONS[augmentation]()
    outputs = []
    for training in (True, True, False):
        x = images
        for layer in augment:
            x = layer(x, training=training)
        outputs.append(to_numpy(x))
    first, second, inference = outputs
    np.testing.assert_array_equal(inference, images)
    for i in range(4):
        assert np.abs(first[i] - images[i]).max() > 0.01
        assert np.abs(first[i] - second[i]).max() > 0.01
    assert first.min() >= 0
    assert first.max() <= 1


def test_every_model_computes_float32_logits_in_mixed_precision(rng):
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = models.build_model("stn")
    finally:
        keras.config.set_dtype_policy("float32")
    assert model.output.dtype == "float32"
    assert {layer.compute_dtype for layer in model.layers if layer.name != "logits"} == {"bfloat16"}


def test_standardization_takes_light_and_contrast_out_of_every_image(rng):
    images = rng.uniform(0.3, 0.7, (3, 8, 8, 3)).astype("float32")
    result = to_numpy(Standardization()(images))
    np.testing.assert_allclose(result.mean(axis=(1, 2, 3)), 0, atol=1e-5)
    np.testing.assert_allclose(result.std(axis=(1, 2, 3)), 1, atol=0.2)
    darker = to_numpy(Standardization()(0.5 * images + 0.1))
    np.testing.assert_allclose(darker, result, atol=0.4)
    assert np.abs(to_numpy(Standardization()(np.full((1, 8, 8, 3), 0.4, "float32")))).max() < 1e-4


def test_local_contrast_normalization_against_scipy(rng):
    images = rng.uniform(size=(2, 20, 17, 3)).astype("float32")

    def local_mean(x):  # 7 pixels are 3 on each side: 3 / 1.75 standard deviations
        def blur(y):
            return scipy.ndimage.gaussian_filter(
                y, 1.75, axes=(1, 2), mode="constant", truncate=3 / 1.75
            )

        x = x.astype("float64")
        return blur(x.mean(axis=-1, keepdims=True)) / blur(np.ones((*x.shape[:3], 1)))

    centred = images - local_mean(images)
    expected = centred / np.sqrt(local_mean(centred**2))
    result = to_numpy(LocalContrastNormalization()(images))
    np.testing.assert_allclose(result, expected, atol=1e-4)
    assert np.isfinite(to_numpy(LocalContrastNormalization()(np.zeros_like(images)))).all()


def test_bundled_models_read_real_signs():
    for name in ("best", "stn"):  # not parameters, of which JAX would run one
        model = predict.load_model(runs.PRETRAINED / f"{name}.keras")
        assert model.name == name
        assert model.count_params() == models.build_model(name).count_params()
        assert isinstance(model.input, keras.KerasTensor)  # not, as Keras 3.10 saves, a list of one
        assert isinstance(model.output, keras.KerasTensor)
        signs = dataset.load_sample(CONFIGURATIONS[name].preprocessing).validation
        one_of_each = np.unique(signs.labels, return_index=True)[1]
        logits = evaluation.predict(model, signs.images[one_of_each])
        assert (logits.argmax(axis=-1) == signs.labels[one_of_each]).mean() > 0.9, name
