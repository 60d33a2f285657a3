"""The article's networks: the IDSIA classifier, the localization network, and their assembly."""

from __future__ import annotations

import keras
from keras import layers

from keras_stn import SpatialTransformer

IMAGE_SIZE = 32
NUM_CLASSES = 43
KINDS = ("stn", "idsia", "constant")

# Keras's default of 0.99 remembers the last few hundred steps: with 136 steps an epoch, evaluation
# would run on statistics of a network that no longer exists.
BATCH_NORM_MOMENTUM = 0.9


def build_model(kind):
    """An uncompiled model from grey images (batch, 32, 32, 1) in [0, 1] to 43 logits.

    Args:
        kind: "stn" (spatial transformer and classifier), "idsia" (the classifier alone) or
            "constant" (one learned theta for all images and the classifier).
    """
    images = keras.Input((IMAGE_SIZE, IMAGE_SIZE, 1), name="images")
    warped = images
    if kind != "idsia":
        network = localization_network() if kind == "stn" else constant_features()
        warped = SpatialTransformer(
            network,
            # The article's head; the recipe of docs/gtsrb.md was found with it.
            normalize_features=False,
            data_format="channels_last",
            name="spatial_transformer",
        )(images)
    return keras.Model(images, idsia_classifier(warped), name=kind)


def spatial_transformer(model):
    """The model's spatial transformer, or None if it has none."""
    found = [layer for layer in model.layers if isinstance(layer, SpatialTransformer)]
    return found[0] if found else None


def idsia_classifier(images):
    """Logits (batch, 43) of the IDSIA network with multi-scale features."""
    x, scales = images, []
    for filters, kernel, side in ((100, 7, 16), (150, 5, 8), (250, 5, 4)):
        x = layers.Conv2D(filters, kernel, padding="same", **_CHANNELS_LAST)(x)
        x = layers.Activation("relu")(_batch_norm()(x))
        x = layers.MaxPooling2D(2, **_CHANNELS_LAST)(x)
        scales.append(layers.MaxPooling2D(side // 2, **_CHANNELS_LAST)(x))
    x = layers.Concatenate()([layers.Flatten()(scale) for scale in scales])
    x = layers.Dense(300)(x)
    x = layers.Activation("relu")(_batch_norm()(x))
    x = _dropout(0.7)(x)
    return _batch_norm(name="logits")(layers.Dense(NUM_CLASSES)(x))


def localization_network():
    """Features (batch, 100) of images; the spatial transformer adds the head to theta."""
    images = keras.Input((IMAGE_SIZE, IMAGE_SIZE, 1))
    x = layers.MaxPooling2D(2, **_CHANNELS_LAST)(images)
    x = layers.Conv2D(100, 5, padding="same", activation="relu", **_CHANNELS_LAST)(x)
    fine = layers.MaxPooling2D(2, **_CHANNELS_LAST)(_batch_norm()(x))
    x = layers.Conv2D(200, 5, padding="same", **_CHANNELS_LAST)(fine)
    x = layers.Activation("relu")(_batch_norm()(x))
    coarse = layers.MaxPooling2D(2, **_CHANNELS_LAST)(x)
    scales = [
        layers.MaxPooling2D(4, **_CHANNELS_LAST)(fine),
        layers.MaxPooling2D(2, **_CHANNELS_LAST)(coarse),
    ]
    x = layers.Concatenate()([layers.Flatten()(scale) for scale in scales])
    x = layers.Activation("relu")(_batch_norm()(layers.Dense(100)(x)))
    return keras.Model(images, _dropout(0.1)(x), name="localization_network")


def constant_features():
    """Zero for every image: the head can only learn its bias, one theta for all of them."""
    return keras.Sequential(
        [layers.GlobalAveragePooling2D(**_CHANNELS_LAST), layers.Rescaling(0.0)],
        name="constant_features",
    )


_CHANNELS_LAST = {"data_format": "channels_last"}


def _batch_norm(name=None):
    return layers.BatchNormalization(momentum=BATCH_NORM_MOMENTUM, name=name)


def _dropout(rate):
    # Without a seed of its own the layer draws from the backend's global generator, which cannot
    # be put back when a run is resumed; `training.DropoutSeeds` sets this one anew every epoch.
    return layers.Dropout(rate, seed=0)
