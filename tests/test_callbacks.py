"""The callbacks: what they tell of a spatial transformer is so, and training does not notice."""

import csv
import sys
import warnings

import keras
import numpy as np
import pytest
from keras import layers
from PIL import Image

from keras_stn import SpatialTransformer, callbacks, visualization
from keras_stn.callbacks.pictures import draw_recordings
from keras_stn.callbacks.recording import Recorder, spatial_transformers
from keras_stn.regularizers import LogScale
from tests import reference
from tests.backend import BACKEND, to_numpy
from tests.layers.models import AFFINE, AFFINE_3D, MeanFeatures, random_images, set_theta

# The faster of the two for a few steps: see tests/layers/test_training.py.
QUICK = BACKEND == "jax"
IDENTITY = [1, 0, 0, 0, 1, 0]


def smooth_images(count=6, size=(8, 9), channels=1):
    """A bright blob in each, at another place, over a slope."""
    rng = np.random.default_rng(0)
    axes = np.meshgrid(*[np.linspace(-1, 1, n) for n in size], indexing="ij")
    places = rng.uniform(-0.4, 0.4, size=(count, len(size)))
    square = sum((x - p.reshape(-1, *[1] * len(size))) ** 2 for x, p in zip(axes, places.T))  # noqa: B905
    blobs = np.exp(-square / 0.3) + 0.1 * axes[0]
    tints = np.linspace(0.5, 1.0, channels)
    brightness = np.linspace(0.4, 1.6, count).reshape(-1, *[1] * len(size), 1)
    return (brightness * blobs[..., None] * tints).astype("float32")


IMAGES = smooth_images()
TARGETS = np.random.default_rng(1).uniform(size=(6, 2)).astype("float32")


def spatial_transformer(transform="affine", data_format="channels_last", **options):
    return SpatialTransformer(
        MeanFeatures(3, data_format), transform, data_format=data_format, **options
    )


def classifier(stn, shape=(8, 9, 1), rate=0.0):
    model = keras.Sequential([keras.Input(shape), stn, layers.Flatten(), layers.Dense(2)])
    model.compile(keras.optimizers.SGD(rate), "mse", jit_compile=QUICK)
    return model


def differing(stn, strength=0.3):
    """Makes theta a matter of the image."""
    rng = np.random.default_rng(2)
    stn.head.kernel.assign(strength * rng.normal(size=stn.head.kernel.shape))


def watch(model, monitor, *thetas):
    """What the monitor says of epochs that ended with these thetas: logs and warnings of each."""
    (stn,) = spatial_transformers(model).values()
    monitor.set_model(model)
    monitor.on_train_begin()
    logs, texts = [], []
    for epoch, theta in enumerate(thetas):
        stn.head.bias.assign(np.asarray(theta, "float32"))
        logs.append({})
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            monitor.on_epoch_end(epoch, logs[-1])
        assert RuntimeWarning not in {w.category for w in caught}
        texts.append([str(w.message) for w in caught if w.category is callbacks.LocalizerWarning])
    return logs, texts


# What the monitor reports.


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

    square, step = 0.0, 5e-3
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
        self.rest = [keras.Sequential([spatial_transformer(name="crop", steps=2)])]

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
    stn = spatial_transformer(steps=2)
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
    expected = reference.grid_sample(source, reference.affine_grid(np.array([AFFINE] * 6), (5, 6)))
    np.testing.assert_allclose(seen.crops[:, 0], expected, atol=1e-5)


@pytest.mark.gradient
def test_reduced_precision():
    stn = spatial_transformer(dtype="mixed_bfloat16")
    model = classifier(stn)
    (logs,), _ = watch(model, callbacks.LocalizerMonitor(IMAGES, TARGETS), AFFINE)
    np.testing.assert_allclose(logs["stn_area"], 0.8 * 0.9 + 0.3 * 0.2, rtol=1e-5)
    assert logs["stn_localizer_gradient"] > 0


# What it leaves as it was.


class Counting(layers.Layer):
    """Counts its calls in a variable and in a random seed, in inference too."""

    def __init__(self):
        super().__init__()
        self.seeds = keras.random.SeedGenerator(7)

    def build(self, shape):
        self.count = self.add_weight(name="count", initializer="zeros", trainable=False)

    def call(self, x):
        self.count.assign(self.count + 1)
        return x + 0.01 * keras.random.normal(keras.ops.shape(x), seed=self.seeds)


def trained(make_callbacks):
    keras.utils.set_random_seed(3)
    stn = spatial_transformer(theta_regularizer=LogScale(0.1))
    model = keras.Sequential(
        [
            keras.Input((8, 9, 1)),
            stn,
            Counting(),
            layers.Flatten(),
            layers.BatchNormalization(),
            layers.Dropout(0.3),
            layers.Dense(2),
        ]
    )
    model.compile(keras.optimizers.Adam(0.01), "mse", metrics=["mae"], jit_compile=QUICK)
    history = model.fit(
        IMAGES,
        TARGETS,
        batch_size=2,
        epochs=3,
        verbose=0,
        callbacks=make_callbacks(),
    ).history
    return model, history


@pytest.mark.gradient
def test_training_is_bitwise_the_same(tmp_path):
    def watched():
        return [
            callbacks.LocalizerMonitor(IMAGES, TARGETS, patience=1),
            callbacks.TransformerGallery(IMAGES, tmp_path, max_images=1, animation=None),
        ]

    (plain, history), (model, seen) = trained(list), trained(watched)
    assert len(plain.variables) == len(model.variables)
    for a, b in zip(plain.variables, model.variables, strict=True):
        assert to_numpy(a).tobytes() == to_numpy(b).tobytes(), a.path
    for a, b in zip(plain.optimizer.variables, model.optimizer.variables, strict=True):
        assert to_numpy(a).tobytes() == to_numpy(b).tobytes(), a.path
    assert {name: seen[name] for name in history} == history
    assert len(seen["stn_theta_spread"]) == 3
    assert len(list(tmp_path.glob("*.png"))) == 4


@pytest.mark.gradient
def test_models_are_left_as_they_were():
    stn = spatial_transformer(theta_regularizer="l2")
    model = classifier(stn, rate=0.1)
    model.fit(IMAGES, TARGETS, verbose=0)
    function, before = model.train_function, [to_numpy(v).copy() for v in model.variables]
    attributes = {layer.name: set(vars(layer)) for layer in model.layers}
    sentinel = None
    if BACKEND == "torch":
        sentinel = [v.value.grad.clone() for v in model.trainable_variables]
    watch(model, callbacks.LocalizerMonitor(IMAGES, TARGETS), to_numpy(stn.head.bias))
    assert model.train_function is function
    assert {layer.name: set(vars(layer)) for layer in model.layers} == attributes
    for variable, value in zip(model.variables, before, strict=True):
        assert to_numpy(variable).tobytes() == value.tobytes()
    if BACKEND == "torch":
        for variable, gradient in zip(model.trainable_variables, sentinel, strict=True):
            assert (variable.value.grad == gradient).all()
    model(IMAGES)  # no tracer of the gradient's pass is among the losses of the next
    assert to_numpy(model.losses[0]) > 0


class Failing(layers.Layer):
    fails = False

    def call(self, x):
        if self.fails:
            raise ZeroDivisionError("on purpose")
        return x


def test_the_watch_ends_with_an_error():
    stn, failing = spatial_transformer(), Failing()
    model = keras.Sequential([keras.Input((8, 9, 1)), stn, failing])
    failing.fails = True
    with pytest.raises(ZeroDivisionError, match="on purpose"):
        Recorder(model, IMAGES).record()
    assert not {"sampling_grid", "_warp"} & set(vars(stn))
    failing.fails = False
    assert set(Recorder(model, IMAGES).record()) == {stn.name}


def test_a_method_of_the_users_own_comes_back():
    stn = spatial_transformer()
    model = classifier(stn)
    own = stn.sampling_grid
    stn.sampling_grid = own
    Recorder(model, IMAGES).record()
    assert vars(stn)["sampling_grid"] is own


@pytest.mark.gradient
def test_what_the_loss_does_not_depend_on_has_no_gradient():
    stn = spatial_transformer(interpolation="nearest")
    found = Recorder(classifier(stn), IMAGES, TARGETS).gradients()
    assert [v.path for v, _ in found[:-2]] == [v.path for v in stn.trainable_variables]
    assert all(g is None or not g.any() for _, g in found[:-2])
    assert all(g.any() for _, g in found[-2:])


# What it warns of.


def test_a_healthy_localizer_is_left_in_peace():
    stn = spatial_transformer()
    model = classifier(stn)
    differing(stn)
    turned = [[0.9, 0.1, 0, -0.1, 0.9, 0.1], [0.8, 0.1, 0, -0.1, 0.8, 0.1]]
    _, texts = watch(model, callbacks.LocalizerMonitor(IMAGES, patience=1), *turned)
    assert texts == [[], []]


@pytest.mark.gradient
@pytest.mark.parametrize("patience", [1, 2])
def test_no_warning_after_the_first_steps_of_training(patience):
    model = classifier(spatial_transformer(), rate=0.05)
    monitor = callbacks.LocalizerMonitor(IMAGES, TARGETS, patience=patience)
    with warnings.catch_warnings():
        warnings.simplefilter("error", callbacks.LocalizerWarning)
        model.fit(IMAGES, TARGETS, batch_size=3, epochs=2, verbose=0, callbacks=[monitor])


@pytest.mark.gradient
def test_a_dead_network_is_noticed_in_training():
    # As in code that zeroes the kernel of the network's own last layer, below the head: the bias
    # of the head learns, and moves theta for all images alike.
    network = keras.Sequential(
        [layers.Flatten(), layers.Dense(4, kernel_initializer="zeros", activation="relu")]
    )
    model = classifier(SpatialTransformer(network, data_format="channels_last"), rate=0.1)
    monitor = callbacks.LocalizerMonitor(IMAGES, TARGETS)
    text = "After epoch 2.* is dead: theta is the same for all images, and moves.*starts at zero"
    with pytest.warns(callbacks.LocalizerWarning, match=text):
        history = model.fit(IMAGES, TARGETS, epochs=2, verbose=0, callbacks=[monitor]).history
    assert history["stn_theta_spread"] == [0.0, 0.0]


def test_a_dead_localizer_after_the_patience_and_once():
    model = classifier(spatial_transformer())
    monitor = callbacks.LocalizerMonitor(IMAGES, patience=2)
    _, texts = watch(model, monitor, *[AFFINE] * 4)
    assert [len(t) for t in texts] == [0, 1, 0, 0]
    (name,) = spatial_transformers(model)
    start = f"After epoch 2, the localizer of `{name}` is dead: theta is the same for all images"
    assert texts[1][0].startswith(start + ", and it does not move. Look inside")


def test_it_is_told_again_after_it_recovered():
    stn = spatial_transformer()
    model = classifier(stn)
    point, whole = [0.01, 0, 0, 0, 0.01, 0], IDENTITY
    monitor = callbacks.LocalizerMonitor(IMAGES, patience=1)
    differing(stn, 1e-3)
    _, texts = watch(model, monitor, point, point, whole, point, point)
    assert [len(t) for t in texts] == [1, 0, 0, 1, 0]
    # A new training starts anew.
    _, texts = watch(model, monitor, point)
    assert [len(t) for t in texts] == [1]


ILL = {
    "point": (
        [0.05, 0, 0, 0, 0.05, 0],
        r"is collapsing: the crop has 0\.0025 of the image's .*Log",
    ),
    "line": ([1, 0, 0, 1, 0.002, 0], r"is collapsing: the crop has 0\.00\d+ of .* 1/16 a side"),
    "flipped point": ([-0.05, 0, 0, 0, 0.05, 0], r"is collapsing: .* less than 1/16 a side"),
    "blown up": ([20, 0, 0, 0, 20, 0], r"is collapsing: .* 4e\+02 times the image's area"),
    "left": ([0.5, 0, 2, 0, 0.5, 0], r"is leaving the image: the crop has 100% .*OutsideImage"),
    "nan": ([np.nan, 0, 0, 0, 1, 0], r"is not finite: theta is NaN or infinite.*clipnorm"),
    "infinite": ([1, 0, np.inf, 0, 1, 0], r"is not finite: theta is NaN or infinite"),
}


@pytest.mark.parametrize("name", ILL)
def test_ill_thetas(name):
    theta, match = ILL[name]
    stn = spatial_transformer()
    model = classifier(stn)
    differing(stn, 1e-4)
    _, (texts,) = watch(model, callbacks.LocalizerMonitor(IMAGES, patience=1), theta)
    assert len(texts) == 1
    with pytest.raises(AssertionError, match=match):
        raise AssertionError(texts[0])


@pytest.mark.parametrize("scale", [0.07, 15.0])
def test_the_zoom_is_one_of_sides(scale):
    stn = spatial_transformer()
    model = classifier(stn)
    differing(stn, 1e-4)
    monitor = callbacks.LocalizerMonitor(IMAGES, patience=1, max_outside=1.0)
    _, texts = watch(model, monitor, [scale, 0, 0, 0, scale, 0])
    assert texts == [[]]


def test_what_is_not_finite_is_told_at_once():
    model = classifier(spatial_transformer())
    _, texts = watch(model, callbacks.LocalizerMonitor(IMAGES, patience=5), *[[np.nan] * 6] * 2)
    assert [len(t) for t in texts] == [1, 0]


def test_limits_are_the_users():
    stn = spatial_transformer()
    model = classifier(stn)
    differing(stn, 1e-4)
    theta = [0.3, 0, 0.85, 0, 0.3, 0]  # a third of the image a side, a quarter of it outside
    for limits, kinds in [
        ({}, []),
        ({"max_zoom": 3}, ["collapsing"]),
        ({"max_outside": 0.1}, ["leaving the image"]),
    ]:
        monitor = callbacks.LocalizerMonitor(IMAGES, patience=1, **limits)
        _, (texts,) = watch(model, monitor, theta)
        assert [text.split(" is ", 1)[1].split(":")[0] for text in texts] == kinds


def test_of_several_crops_the_ill_one_is_named():
    stn = spatial_transformer(num_transforms=3)
    model = classifier(stn)
    differing(stn, 1e-4)
    theta = [*IDENTITY, 0.02, 0, 0, 0, 0.02, 0, *IDENTITY]
    _, (texts,) = watch(model, callbacks.LocalizerMonitor(IMAGES, patience=1), theta)
    assert len(texts) == 1
    assert "is collapsing: crop 1 (of 0 to 2) has 0.000" in texts[0]
    theta = [*theta[6:12], *IDENTITY, *theta[6:12]]
    _, (texts,) = watch(model, callbacks.LocalizerMonitor(IMAGES, patience=1), theta)
    assert "is collapsing: the worst of crop 0 and 2 (of 0 to 2) has 0.000" in texts[0]


@pytest.mark.gradient
def test_zero_gradient_is_death_too():
    stn = spatial_transformer(interpolation="nearest")
    model = classifier(stn)
    differing(stn)
    monitor = callbacks.LocalizerMonitor(IMAGES, TARGETS, patience=1)
    _, (texts,) = watch(model, monitor, IDENTITY)
    assert len(texts) == 1
    assert "is dead: the gradient of the loss to the localizer is zero" in texts[0]
    assert "interpolation='nearest', which has no gradient" in texts[0]


def test_a_frozen_localizer_may_stand_still():
    model = classifier(spatial_transformer(trainable=False))
    _, texts = watch(model, callbacks.LocalizerMonitor(IMAGES, patience=1), AFFINE, AFFINE)
    assert texts == [[], []]


# Errors.


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


# The gallery.


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
            IMAGES[:1].astype("float64"), grid, align_corners=align_corners
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
    stopping = keras.callbacks.EarlyStopping("loss", patience=1)
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
