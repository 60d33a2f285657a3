"""What the callbacks are tested on: images, models, epochs that ended with given thetas."""

import warnings

import keras
import numpy as np
from keras import layers

from keras_stn import SpatialTransformer, callbacks
from keras_stn.callbacks.recording import spatial_transformers
from tests.backend import BACKEND
from tests.layers.models import MeanFeatures

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
