"""A network with four spatial transformers, as the paper has it for street view house numbers."""

from __future__ import annotations

import keras
from keras import layers

from keras_stn import SpatialTransformer

SIZE = 64  # pixels a side of the image
# Filters of 5x5 convolutions; pooled by 2 after every second one.
FILTERS = (48, 64, 128, 160, 192, 192, 192, 192)
DENSE = (3072, 3072)
DIGITS, CLASSES = 5, 11  # of a house number; ten digits and none
LOCALIZER = 32  # units of each of a localization network's two layers
LAST = {"data_format": "channels_last"}


def build_network(transformers=4, width=1.0, sampling=True):
    """An uncompiled network from images (batch, 64, 64, 3) to logits (batch, 5, 11).

    Args:
        transformers: int, how many spatial transformers: one before each of the first convolutions.
        width: float, by which all numbers of filters and units are multiplied.
        sampling: bool. Without, each transformer looks and learns as it would, but its theta goes
            to the logits, by a dense layer, and the feature map on as it was: what this costs is
            the cost of localizing.
    """
    images = keras.Input((SIZE, SIZE, 3))
    x = images
    thetas = []
    for number, filters in enumerate(FILTERS):
        if number < transformers:
            units = round(LOCALIZER * width)
            localizer = [layers.Flatten(**LAST)]
            localizer += [layers.Dense(units, activation="relu") for _ in range(2)]
            size = None if sampling else (1, 1)
            transformer = SpatialTransformer(
                keras.Sequential(localizer), output_size=size, fill_mode="constant", **LAST
            )
            warped, theta = transformer(x, return_theta=True)
            if sampling:
                x = warped
            else:
                thetas.append(theta)
        x = layers.Conv2D(round(filters * width), 5, padding="same", activation="relu", **LAST)(x)
        if number % 2:
            x = layers.MaxPooling2D(2, **LAST)(x)
    x = layers.Flatten(**LAST)(x)
    for units in DENSE:
        x = layers.Dense(round(units * width), activation="relu")(x)
    logits = layers.Dense(DIGITS * CLASSES)(x)
    for theta in thetas:
        logits = layers.Add()([logits, layers.Dense(DIGITS * CLASSES, use_bias=False)(theta)])
    return keras.Model(images, layers.Reshape((DIGITS, CLASSES))(logits))
