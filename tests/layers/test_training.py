"""Training: a new layer learns, all of it, by Keras's own loop."""

import keras
import numpy as np
import pytest
from keras import layers

from keras_stn import SpatialTransformer
from tests.backend import BACKEND, full_precision, to_numpy
from tests.layers.models import MeanFeatures, random_images

# PyTorch: "auto" means eager there, and True hands the model to torch.compile, which needs a C++
# compiler that a machine which only runs the library need not have.
JIT = [False, "auto"] if BACKEND == "torch" else [False, True]
# The faster of the two for a few steps: JAX uncompiled compiles every operation by itself.
QUICK = BACKEND == "jax"
IDENTITY = np.array([1, 0, 0, 0, 1, 0], "float32")


def blobs(count, seed=0):
    """Images of a blob somewhere, and of the same blob in the middle."""
    rng = np.random.default_rng(seed)
    places = rng.uniform(-0.5, 0.5, size=(count, 2))
    y, x = np.meshgrid(*[np.linspace(-1, 1, 12)] * 2, indexing="ij")

    def blob(places):
        distance = (x - places[:, 0, None, None]) ** 2 + (y - places[:, 1, None, None]) ** 2
        return np.exp(-distance / 0.1)[..., None].astype("float32")

    return blob(places), blob(0 * places)


def network(**first):
    """Two dense layers; the options are those of the first."""
    return keras.Sequential(
        [
            layers.Flatten(),
            layers.Dense(8, activation="tanh", **first),
            layers.Dense(6, activation="tanh"),
        ]
    )


def trained(network, *, jit_compile=QUICK, epochs=2, count=16, **options):
    """A model of one spatial transformer after a few steps, and its variables at the start.

    Of `count` images, 8 at a time: what is compiled is compiled again for another rest.
    """
    images, targets = blobs(count)
    stn = SpatialTransformer(network, data_format="channels_last", **options)
    model = keras.Sequential([keras.Input(images.shape[1:]), stn])
    start = {v.path: to_numpy(v).copy() for v in stn.trainable_variables}
    model.compile(keras.optimizers.SGD(0.5), "mse", jit_compile=jit_compile)
    model.fit(images, targets, batch_size=8, epochs=epochs, shuffle=False, verbose=0)
    return model, stn, start


def unmoved(stn, start):
    """The variables that training left where they were."""
    assert len(start) == len(stn.trainable_variables) > 0
    return [v.path for v in stn.trainable_variables if np.array_equal(to_numpy(v), start[v.path])]


def assert_learns(stn, start):
    """Every variable has moved, and theta has become a matter of the image."""
    still = unmoved(stn, start)
    assert not still, f"not one step moved {still}"
    theta = to_numpy(stn.localize(blobs(20)[0]))
    assert np.ptp(theta, axis=0).max() > 1e-4, "theta is the same for every image"


@pytest.mark.gradient
@pytest.mark.parametrize("make", [network, lambda: None], ids=["own", "default"])
def test_every_variable_learns(make):
    _, stn, start = trained(make())
    assert_learns(stn, start)


@pytest.mark.gradient
def test_every_transform_learns():
    images, targets = blobs(16)
    stn = SpatialTransformer(network(), num_transforms=2, data_format="channels_last")
    model = keras.Sequential([keras.Input(images.shape[1:]), stn])
    start = {v.path: to_numpy(v).copy() for v in stn.trainable_variables}
    model.compile(keras.optimizers.SGD(0.5), "mse", jit_compile=QUICK)
    both = np.stack([targets, targets[:, ::-1]], axis=1)
    model.fit(images, both, batch_size=8, epochs=2, verbose=0)
    assert_learns(stn, start)
    moved = np.abs(to_numpy(stn.localize(images)) - IDENTITY).max(axis=(0, 2))
    assert moved.shape == (2,)
    assert moved.min() > 1e-4


@pytest.mark.gradient
@pytest.mark.parametrize("num_transforms", [1, 2])
def test_a_model_that_fit_builds_starts_at_the_identity_too(num_transforms):
    # There Keras creates variables in a scope that forgets what is assigned to them.
    images, targets = blobs(8)
    targets = targets if num_transforms == 1 else np.stack([targets] * 2, axis=1)
    stn = SpatialTransformer(network(), num_transforms=num_transforms, data_format="channels_last")
    model = keras.Sequential([stn])
    model.compile(keras.optimizers.SGD(0.0), "mse", jit_compile=QUICK)
    model.fit(images, targets, verbose=0)
    theta = to_numpy(stn.localize(images)).reshape(-1, 6)
    assert theta.tobytes() == np.tile(IDENTITY, (8 * num_transforms, 1)).tobytes()


@pytest.mark.gradient
def test_a_dead_network_is_noticed():
    # Of the network's last layer a zero kernel is refused; the layer before can have one.
    _, stn, start = trained(network(kernel_initializer="zeros"))
    bias = stn.head.bias.path
    assert unmoved(stn, start) == [path for path in start if path != bias]
    with pytest.raises(AssertionError, match=r"not one step moved .*head/kernel"):
        assert_learns(stn, start)


@pytest.mark.gradient
@pytest.mark.parametrize(
    ("jit_compile", "options"),
    [(JIT[0], {}), (JIT[1], {"fill_mode": "mirror", "align_corners": False})],
)
def test_fits_evaluates_and_predicts(jit_compile, options):
    images, targets = blobs(20)  # batches of 8, 8 and 4
    with full_precision():
        model, stn, _ = trained(network(), jit_compile=jit_compile, epochs=4, count=20, **options)
        untouched = np.mean((images - targets) ** 2)
        loss = model.evaluate(images, targets, batch_size=8, verbose=0)
        assert loss < 0.95 * untouched
        predicted = model.predict(images, batch_size=8, verbose=0)
        np.testing.assert_allclose(np.mean((predicted - targets) ** 2), loss, rtol=1e-4)
        np.testing.assert_allclose(predicted, to_numpy(stn(images)), atol=1e-5)


@pytest.mark.gradient
def test_compiled_training_is_the_same():
    images, targets = blobs(16)
    # Away from the identity: where samples lie on pixel centres, rounding chooses the slope.
    shift = np.array([-0.071, 0.033, 0.042, -0.021, -0.053, 0.037], "float32")
    start, ends = None, []
    for jit_compile in JIT:
        stn = SpatialTransformer(network(), data_format="channels_last")
        model = keras.Sequential([keras.Input(images.shape[1:]), stn])
        if start is None:
            *others, bias = model.get_weights()
            start = [*others, bias + shift]
        model.set_weights(start)
        model.compile(keras.optimizers.SGD(0.5), "mse", jit_compile=jit_compile)
        model.fit(images, targets, batch_size=8, epochs=2, shuffle=False, verbose=0)
        ends.append(model.get_weights())
    for before, *after in zip(start, *ends, strict=True):
        assert np.abs(after[0] - before).max() > 1e-4
        np.testing.assert_allclose(after[0], after[1], atol=1e-6)


@pytest.mark.gradient
def test_penalty_is_part_of_the_loss():
    images, targets = blobs(8)
    regularizer = keras.regularizers.L2(0.25)
    options = {"theta_regularizer": regularizer, "data_format": "channels_last"}
    model = keras.Sequential([SpatialTransformer(network(), **options)])
    model.compile("sgd", "mse", jit_compile=QUICK)
    loss = model.evaluate(images, targets, verbose=0)
    penalty = 0.25 * 8 * 2  # two ones an image
    np.testing.assert_allclose(loss - penalty, np.mean((images - targets) ** 2), atol=1e-5)


def test_penalty_is_one_loss_of_the_layer():
    stn = SpatialTransformer(MeanFeatures(), theta_regularizer="l2", data_format="channels_last")
    stn(random_images(3, 8, 9, 1))
    assert len(stn.losses) == 1
    np.testing.assert_allclose(to_numpy(stn.losses[0]), 0.01 * 3 * 2, rtol=1e-5)


class Mode(layers.Layer):
    """Features that tell whether the network was run in training mode."""

    def call(self, images, training=False):
        mean = keras.ops.mean(images, axis=(1, 2))
        return keras.ops.ones_like(mean) if training else keras.ops.zeros_like(mean)


CALLS = {
    "call": lambda stn, images, training: stn(images, training=training, return_theta=True)[1],
    "localize": lambda stn, images, training: stn.localize(images, training=training),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS.keys())
def test_the_network_knows_whether_it_trains(call):
    images = random_images(2, 8, 9, 1)
    stn = SpatialTransformer(Mode(), normalize_features=False, data_format="channels_last")
    stn.build(images.shape)
    stn.head.kernel.assign(np.ones((1, 6)))
    for training, wanted in [(True, 1.0), (False, 0.0), (None, 0.0)]:
        theta = to_numpy(call(stn, images, training))
        np.testing.assert_allclose(theta - IDENTITY, wanted, atol=1e-6)


def test_a_frozen_transformer_has_nothing_to_train():
    stn = SpatialTransformer(network(), trainable=False, data_format="channels_last")
    stn.build((None, 12, 12, 1))
    assert stn.trainable_variables == []
    assert len(stn.non_trainable_variables) == 6
