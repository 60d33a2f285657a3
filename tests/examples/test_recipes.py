"""Recipes: learning rates over time, the loss, averaged weights."""

import types

import keras
import numpy as np
import pytest
from keras import layers

from common.callbacks import Checkpoint
from common.recipes import Recipe
from gtsrb import callbacks, training
from gtsrb.dataset import Dataset, ImageSet
from gtsrb.evaluation import cross_entropy, predict, probabilities
from gtsrb.recipes import ADAM, SGD
from tests.backend import to_numpy


def _model():
    images = keras.Input((4, 4, 1), dtype="uint8")
    x = layers.Flatten()(layers.Rescaling(1 / 255)(images))
    return keras.Model(images, layers.Dense(43)(x))


def _data(rng, count=64):
    labels = rng.integers(0, 43, count).astype("int32")
    images = rng.integers(0, 256, (count, 4, 4, 1), "uint8")
    return ImageSet(images, labels, labels)


def _rates(recipe, steps):
    model = _model()
    recipe.compile(model, steps)
    rates = []
    for step in range(steps + 1):
        model.optimizer.iterations.assign(step)
        rates.append(float(to_numpy(model.optimizer.learning_rate)))
    return np.array(rates)


def test_learning_rate_rises_then_falls_to_the_last_step():
    rates = _rates(ADAM, 40)
    assert rates[0] == 0
    assert rates.argmax() == 2
    assert rates.max() == pytest.approx(1e-3)
    assert (np.diff(rates[2:]) < 0).all()
    assert rates[-1] == pytest.approx(1e-5, rel=1e-3)


def test_learning_rate_of_plain_gradient_descent_is_constant():
    assert np.ptp(_rates(SGD, 20)) == 0
    model = _model()
    SGD.compile(model, 20)
    assert isinstance(model.optimizer, keras.optimizers.SGD)
    assert model.optimizer.global_clipnorm is None


def test_evaluation_against_the_formula(rng):
    logits = rng.normal(size=(7, 43)) * 30
    labels = rng.integers(0, 43, 7)
    powers = np.exp(logits)
    expected = powers / powers.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(probabilities(logits), expected, rtol=1e-10)
    true = np.maximum(expected[np.arange(7), labels], 1e-12)
    assert cross_entropy(logits, labels) == pytest.approx(-np.log(true).mean())
    assert np.isfinite(probabilities(np.array([[1e4, 0.0]]))).all()


def test_prediction_fills_the_last_batch_and_cuts_it_off_again(rng):
    model = _model()
    images = _data(rng, 300).images
    everything = predict(model, images)
    assert everything.shape == (300, 43)
    np.testing.assert_allclose(predict(model, images[290:]), everything[290:], atol=1e-5)


def test_prediction_gives_each_of_three_devices_as_many_images(rng, monkeypatch):
    model = _model()
    images = _data(rng, 10).images
    expected = predict(model, images)
    sizes = []
    monkeypatch.setattr(
        model, "predict", lambda x, batch_size, verbose: (sizes.append((len(x), batch_size)), x)[1]
    )
    mesh = types.SimpleNamespace(devices=np.zeros(3))
    monkeypatch.setattr(
        keras.distribution, "distribution", lambda: types.SimpleNamespace(device_mesh=mesh)
    )
    np.testing.assert_array_equal(predict(model, images), images)
    assert sizes == [(258, 258)]
    assert len(expected) == 10


@pytest.mark.gradient
def test_averaged_weights_are_validated_and_kept(rng, tmp_path):
    data = _data(rng)
    recipe = Recipe("sgd", 0.5, 0.5, warmup=0.0, averaging=0.5)
    model = _model()
    kernels = []

    class Watch(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            kernels.append(to_numpy(self.model.layers[-1].kernel).copy())

    recipe.compile(model, 4)
    start = to_numpy(model.layers[-1].kernel).copy()
    batches = training.Batches(data, 16, 0, 0, 1)
    seen = {}
    model.fit(
        batches,
        shuffle=False,
        verbose=0,
        callbacks=[
            Watch(),
            callbacks.OfAveragedWeights(callbacks.Validation(data)),
            _Logs(seen),
        ],
    )
    average = start
    for step, kernel in enumerate(kernels):
        # Keras starts the average at zero weight: its first value is the first kernel's.
        average = kernel if step == 0 else 0.5 * average + 0.5 * kernel
    if keras.backend.backend() != "jax":  # where the callback sees the weights of the epoch's end
        np.testing.assert_allclose(to_numpy(model.layers[-1].kernel), average, atol=1e-5)
        assert np.abs(average - kernels[-1]).max() > 1e-4
    # The finished model has the average, and it is what was validated.
    logits = predict(model, data.images)
    assert seen["val_loss"] == pytest.approx(cross_entropy(logits, data.labels), rel=1e-4)


class _Logs(keras.callbacks.Callback):
    def __init__(self, seen):
        super().__init__()
        self._seen = seen

    def on_epoch_end(self, epoch, logs=None):
        self._seen.update(logs)


@pytest.mark.gradient
def test_averaged_run_that_is_resumed_equals_an_uninterrupted_one(rng, tmp_path):
    data = Dataset("random", _data(rng), _data(rng))
    recipe = Recipe("sgd", 0.5, 0.5, warmup=0.0, averaging=0.9)
    options = {"batch_size": 16, "seed": 0}
    start = _model()
    start.save(tmp_path / "start.keras")
    whole = keras.models.load_model(tmp_path / "start.keras")
    training.train(whole, data, tmp_path / "a", recipe, epochs=3, **options)
    broken = keras.models.load_model(tmp_path / "start.keras")
    with pytest.MonkeyPatch.context() as patch:

        def ctrl_c(self, epoch, logs=None):
            if epoch == 2:
                raise KeyboardInterrupt("Ctrl-C")

        patch.setattr(Checkpoint, "on_epoch_begin", ctrl_c)
        with pytest.raises(KeyboardInterrupt, match="Ctrl-C"):
            training.train(broken, data, tmp_path / "b", recipe, epochs=3, **options)
    resumed = keras.models.load_model(tmp_path / "b" / training.CHECKPOINT)
    training.train(resumed, data, tmp_path / "b", recipe, epochs=3, **options)
    finished = keras.models.load_model(tmp_path / "b" / training.CHECKPOINT)
    training.train(finished, data, tmp_path / "b", recipe, epochs=3, **options)
    for name, model in {"resumed": resumed, "after the last epoch": finished}.items():
        for a, b in zip(whole.weights, model.weights, strict=True):
            np.testing.assert_allclose(to_numpy(a), to_numpy(b), atol=1e-6, err_msg=name)
