"""What the monitor reports is so."""

import csv

import keras
import numpy as np
import pytest
from keras import layers

from keras_stn import callbacks
from keras_stn.callbacks.recording import Recorder, spatial_transformers
from keras_stn.regularizers import LogScale
from tests import reference
from tests.backend import to_numpy
from tests.callbacks.models import (
    IDENTITY,
    IMAGES,
    QUICK,
    TARGETS,
    classifier,
    differing,
    smooth_images,
    spatial_transformer,
    watch,
)
from tests.layers.models import AFFINE, AFFINE_3D, set_theta


@pytest.mark.parametrize("num_transforms", [1, 2])
@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
def test_numbers_of_theta_and_of_the_grid(num_transforms, data_format):
    images = IMAGES if data_format == "channels_last" else np.moveaxis(IMAGES, -1, 1)
    stn = spatial_transformer(data_format=data_format, num_transforms=num_transforms)
    model = classifier(stn, images.shape[1:])
    thetas = [AFFINE, [0.4, 0, 0.9, 0.1, 0.5, 0]][:num_transforms]
    differing(stn)
    monitor = callbacks.LocalizerMonitor(images)
    (logs,), _ = watch(model, monitor, np.concatenate(thetas))

    theta = to_numpy(stn.localize(images)).reshape(6, num_transforms, 6).astype("float64")
    assert theta.std(axis=0).max() > 1e-2
    grid = np.stack([reference.affine_grid(theta[:, k], (8, 9)) for k in range(num_transforms)], 1)
    outside = (np.abs(grid) > 1).any(axis=-1).mean(axis=(0, 2, 3))
    area = np.median(np.abs(np.linalg.det(theta.reshape(6, -1, 2, 3)[..., :2])), axis=0)
    report = monitor.reports[0][stn.name]
    np.testing.assert_allclose(report.theta_mean, theta.mean(axis=0), atol=1e-6)
    np.testing.assert_allclose(report.theta_spread, theta.std(axis=0), atol=1e-6)
    np.testing.assert_allclose(report.outside, outside, atol=1e-6)
    np.testing.assert_allclose(report.area, area, rtol=1e-5)
    assert report.gradient is None
    distance = theta.mean(axis=0) - IDENTITY
    expected = {
        "stn_theta_mean": np.sqrt((distance**2).mean()),
        "stn_theta_spread": np.sqrt((theta.std(axis=0) ** 2).mean()),
        "stn_outside": outside.mean(),
        "stn_area": area.mean(),
    }
    assert set(logs) == set(expected)
    assert all(type(value) is float for value in logs.values())
    for name, value in expected.items():
        np.testing.assert_allclose(logs[name], value, rtol=1e-5, err_msg=name)


@pytest.mark.parametrize("align_corners", [True, False])
def test_the_volume_of_volumes(align_corners):
    images = smooth_images(3, (4, 5, 6))
    stn = spatial_transformer(output_size=(2, 3, 1), align_corners=align_corners)
    model = keras.Sequential([keras.Input(images.shape[1:]), stn])
    monitor = callbacks.LocalizerMonitor(images)
    ((log,), _) = watch(model, monitor, AFFINE_3D)
    volume = abs(np.linalg.det(np.reshape(AFFINE_3D, (3, 4))[:, :3]))
    np.testing.assert_allclose(log["stn_area"], volume, rtol=1e-5)


@pytest.mark.gradient
def test_the_gradient_of_the_rest_in_closed_form():
    model = classifier(spatial_transformer())  # a new one passes images through
    (logs,), _ = watch(model, callbacks.LocalizerMonitor(IMAGES, TARGETS), IDENTITY)
    x = IMAGES.reshape(6, -1).astype("float64")
    kernel, bias = (w.astype("float64") for w in model.layers[-1].get_weights())
    error = 2 * (x @ kernel + bias - TARGETS) / TARGETS.size
    expected = np.sqrt(np.sum((x.T @ error) ** 2) + np.sum(error.sum(axis=0) ** 2))
    np.testing.assert_allclose(logs["stn_rest_gradient"], expected, rtol=1e-4)


@pytest.mark.gradient
def test_the_gradient_of_the_localizer_by_finite_differences():
    stn = spatial_transformer(theta_regularizer=LogScale(0.5))
    model = classifier(stn)
    differing(stn)
    (logs,), _ = watch(model, callbacks.LocalizerMonitor(IMAGES, TARGETS), AFFINE)

    def loss():
        return model.evaluate(IMAGES, TARGETS, verbose=0)

    square, step = 0.0, 3e-4  # short: the loss has kinks where a sample passes a pixel
    for variable in stn.trainable_variables:
        start = to_numpy(variable).copy()
        for index in np.ndindex(*start.shape):
            values = []
            for sign in (1, -1):
                moved = start.copy()
                moved[index] += sign * step
                variable.assign(moved)
                values.append(loss())
            square += ((values[0] - values[1]) / (2 * step)) ** 2
        variable.assign(start)
    assert square > 1e-4
    np.testing.assert_allclose(logs["stn_localizer_gradient"], np.sqrt(square), rtol=0.03)


@pytest.mark.gradient
def test_history_and_files_have_the_numbers(tmp_path):
    log = tmp_path / "log.csv"
    monitor = callbacks.LocalizerMonitor(IMAGES, TARGETS)
    model = classifier(spatial_transformer(), rate=0.1)
    history = model.fit(
        IMAGES,
        TARGETS,
        epochs=3,
        verbose=0,
        validation_data=(IMAGES, TARGETS),
        callbacks=[monitor, keras.callbacks.CSVLogger(log)],
    ).history
    with log.open() as file:
        rows = list(csv.DictReader(file))
    names = ["area", "localizer_gradient", "outside", "rest_gradient", "theta_mean", "theta_spread"]
    for name in names:
        values = history[f"stn_{name}"]
        np.testing.assert_allclose([float(row[f"stn_{name}"]) for row in rows], values, rtol=1e-6)
    assert len(monitor.reports) == 3
    assert history["stn_theta_spread"][-1] > history["stn_theta_spread"][0] > 0


class Nested(layers.Layer):
    """Two spatial transformers of one name, one of them inside a model inside a layer."""

    def __init__(self):
        super().__init__()
        self.first = spatial_transformer(name="crop", num_transforms=1)
        self.rest = [keras.Sequential([spatial_transformer(name="crop", num_looks=2)])]

    def call(self, images):
        return self.rest[0](self.first(images)) + self.first(0.5 * images)


class Subclassed(keras.Model):
    """A model whose `call` has no `training`."""

    def __init__(self):
        super().__init__()
        self.nested, self.dense = Nested(), layers.Dense(2)

    def call(self, inputs):
        return self.dense(keras.ops.mean(self.nested(inputs["image"]), axis=(1, 2)))


@pytest.mark.gradient
def test_several_nested_transformers_are_told_apart():
    model = Subclassed()
    model.compile("sgd", "mse", jit_compile=QUICK)
    inputs = {"image": IMAGES}
    monitor = callbacks.LocalizerMonitor(inputs, TARGETS)
    history = model.fit(inputs, TARGETS, epochs=2, verbose=0, callbacks=[monitor]).history
    assert set(monitor.reports[1]) == {"crop", "crop_2"}
    for name in ("crop", "crop_2"):
        assert history[f"{name}_theta_spread"][1] > 0
        assert history[f"{name}_localizer_gradient"][1] > 0
    assert history["stn_rest_gradient"][1] > 0
    assert model.nested.first is spatial_transformers(model)["crop"]


def test_of_several_looks_the_last_is_recorded():
    stn = spatial_transformer(num_looks=2)
    model = classifier(stn)
    set_theta(stn, AFFINE)
    seen = Recorder(model, IMAGES).record()[stn.name]
    _, theta = stn(IMAGES, return_theta=True)
    np.testing.assert_allclose(seen.theta[:, 0], to_numpy(theta), atol=1e-6)
    assert np.abs(seen.theta[:, 0] - AFFINE).max() > 0.1


def test_crops_of_a_source_of_another_size():
    small, large = keras.Input((8, 9, 1)), keras.Input((16, 18, 3))
    stn = spatial_transformer(output_size=(5, 6))
    model = keras.Model([small, large], stn([small, large]))
    source = smooth_images(6, (16, 18), 3)
    set_theta(stn, AFFINE)
    seen = Recorder(model, [IMAGES, source]).record()[stn.name]
    np.testing.assert_array_equal(seen.source, source)
    assert seen.crops.shape == (6, 1, 5, 6, 3)
    grid = reference.affine_grid(np.array([AFFINE] * 6), (5, 6))
    expected = reference.grid_sample(source, grid, fill_mode="nearest")
    np.testing.assert_allclose(seen.crops[:, 0], expected, atol=1e-5)


@pytest.mark.gradient
def test_reduced_precision():
    stn = spatial_transformer(dtype="mixed_bfloat16")
    model = classifier(stn)
    (logs,), _ = watch(model, callbacks.LocalizerMonitor(IMAGES, TARGETS), AFFINE)
    np.testing.assert_allclose(logs["stn_area"], 0.8 * 0.9 + 0.3 * 0.2, rtol=1e-5)
    assert logs["stn_localizer_gradient"] > 0
