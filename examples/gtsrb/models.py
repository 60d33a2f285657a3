"""Whole models: from the pixels of a preprocessed image to logits, and what they look at."""

from __future__ import annotations

import keras
import numpy as np
from keras import layers

from gtsrb import evaluation
from gtsrb.augmentation import AUGMENTATIONS
from gtsrb.configurations import CONFIGURATIONS
from keras_stn import SpatialTransformer


def build_model(name, augmentation="none", *, with_transformers=True):
    """An uncompiled model from uint8 images to 43 logits.

    Args:
        name: str, one of `CONFIGURATIONS`.
        augmentation: str, one of `AUGMENTATIONS`.
        with_transformers: bool. False leaves out the configuration's spatial transformers.
    """
    configuration = CONFIGURATIONS[name]
    images = keras.Input(configuration.preprocessing.shape, dtype="uint8", name="images")
    x = layers.Rescaling(1 / 255)(images)
    for layer in AUGMENTATIONS[augmentation]():
        x = layer(x)
    network = configuration.network
    if not with_transformers:
        network = configuration.without_transformers
    return keras.Model(images, network(x), name=name)


def spatial_transformer(model):
    """The model's first spatial transformer, or None if it has none."""
    found = [layer for layer in model.layers if isinstance(layer, SpatialTransformer)]
    return found[0] if found else None


def look_of(model):
    """The `Look` of the model's first spatial transformer, or None if it has none."""
    return None if spatial_transformer(model) is None else Look(model)


class Look:
    """Where a model's first spatial transformer looks; follows the model's weights.

    Args:
        model: A model that has one.
    """

    def __init__(self, model):
        self._transformer = spatial_transformer(model)
        source = self._transformer.input
        if isinstance(source, list | tuple):
            source = source[1]
        warped, theta = self._transformer.output
        self._model = keras.Model(model.input, [source, warped, theta])

    def __call__(self, images):
        """What it was given, what it passed on, and its thetas (n, P), for uint8 images."""
        outputs = evaluation.predict(self._model, images)
        return [np.asarray(output, "float32") for output in outputs]

    def grid(self, theta, warped, source):
        """The sampling grid of thetas, for arrays that have been passed on and given."""
        return self._transformer.sampling_grid(theta, warped.shape[1:3], source.shape[1:3])
