"""Networks that end in a head, which the spatial transformer has already."""

import keras
import numpy as np
import pytest
from keras import layers

from keras_stn import SpatialTransformer
from tests.backend import to_numpy
from tests.layers.models import MeanFeatures, random_images

LAST = {"data_format": "channels_last"}
IMAGES = random_images(2, 8, 9, 1)


def dense(units=6, **options):
    return layers.Dense(units, **options)


def constant(value):
    return dense(kernel_initializer=keras.initializers.Constant(value))


def functional(*last):
    """A functional network that ends in these layers."""
    images = keras.Input((8, 9, 1))
    x = layers.Dense(4)(layers.Flatten()(images))
    for one in last:
        x = one(x)
    return keras.Model(images, x)


def set_to_zero(network):
    """As older tutorials do: the weights of the last layer by hand."""
    network.build((None, 8, 9, 1))
    last = network.layers[-1]
    last.set_weights([np.zeros(last.kernel.shape), np.array([1, 0, 0, 0, 1, 0])])
    return network


ZERO = {"kernel_initializer": "zeros"}
IDENTITY = {**ZERO, "bias_initializer": keras.initializers.Constant(np.eye(2, 3).ravel())}
ENDS_IN_A_HEAD = {
    "sequential": lambda: keras.Sequential([layers.Flatten(), dense(**IDENTITY)]),
    "built": lambda: keras.Sequential([keras.Input((8, 9, 1)), layers.Flatten(), dense(**ZERO)]),
    "functional": lambda: functional(dense(**IDENTITY)),
    "activation": lambda: keras.Sequential(
        [layers.Flatten(), dense(**ZERO), layers.Activation("tanh")]
    ),
    "reshape": lambda: functional(dense(**ZERO), layers.Reshape((2, 3)), layers.ReLU()),
    "nested": lambda: keras.Sequential([functional(dense(**ZERO))]),
    "constant": lambda: keras.Sequential([layers.Flatten(), constant(0.0)]),
    "other units": lambda: functional(dense(3, **ZERO)),
    "convolution": lambda: keras.Sequential([layers.Conv2D(6, 3, **ZERO), layers.Flatten()]),
    "by hand": lambda: set_to_zero(keras.Sequential([layers.Flatten(), dense()])),
}


@pytest.mark.parametrize("make", ENDS_IN_A_HEAD.values(), ids=ENDS_IN_A_HEAD.keys())
@pytest.mark.parametrize("images", [IMAGES, keras.KerasTensor((None, 8, 9, 1))], ids=["", "symbol"])
def test_a_network_that_ends_in_a_head_is_refused(make, images):
    wanted = (
        r"`localization_network` must end in features.*has the dense layer to theta itself.*"
        r"Received: the last layer '(dense|conv2d).*', whose kernel is all zero\. Leave that"
    )
    with pytest.raises(ValueError, match=wanted):
        SpatialTransformer(make(), **LAST)(images)


FEATURES = {
    "theta's units": lambda: functional(dense()),
    "constant": lambda: keras.Sequential([layers.Flatten(), constant(0.5)]),
    "zero before": lambda: keras.Sequential([layers.Flatten(), dense(**ZERO), dense()]),
    "two branches": lambda: functional(
        lambda x: layers.Concatenate()([dense(**ZERO)(x), layers.Dense(2)(x)])
    ),
    "an operation of two": lambda: functional(
        lambda x: keras.ops.concatenate([layers.Dense(2)(x), dense(**ZERO)(x)], axis=-1)
    ),
    "no dense": lambda: keras.Sequential([layers.GlobalAveragePooling2D()]),
    "nothing but activations": lambda: keras.Sequential([layers.ReLU(), layers.Flatten()]),
    "of one's own": lambda: MeanFeatures(),
}


@pytest.mark.parametrize("make", FEATURES.values(), ids=FEATURES.keys())
def test_other_networks_are_taken(make):
    stn = SpatialTransformer(make(), **LAST)
    assert stn(keras.KerasTensor((None, 8, 9, 1))).shape == (None, 8, 9, 1)


def test_a_trained_kernel_is_not_zero_and_loads_again(tmp_path):
    # Of a network that was made with a zero kernel and trained before.
    network = functional(dense(**ZERO))
    network.layers[-1].kernel.assign(np.random.default_rng(0).normal(size=(4, 6)))
    images = keras.Input((8, 9, 1))
    stn = SpatialTransformer(network, **LAST)
    model = keras.Model(images, stn(images, return_theta=True))
    stn.head.kernel.assign(0.1 * np.random.default_rng(1).normal(size=(6, 6)))
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    for before, after in zip(model(IMAGES), again(IMAGES), strict=True):
        np.testing.assert_allclose(to_numpy(before), to_numpy(after), atol=1e-6)
