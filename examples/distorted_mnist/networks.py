"""The paper's networks, all of about as many parameters.

Where the paper leaves room, these are our choices: 32 filters, a hidden dense layer behind the
convolutions that takes what is left of the budget, zeros around what the 7x7 convolutions see, and
localization networks of two layers of 64 units in fully connected networks.
"""

from __future__ import annotations

import itertools

import keras
from keras import layers

from keras_stn import SpatialTransformer

BUDGET = 400_000  # parameters, of all weights together
MODELS = ("fcn", "cnn", "st-fcn", "st-cnn")
TRANSFORMS = ("affine", "projective", "thin_plate_spline")
FILTERS = (32, 32)  # of a CNN's 9x9 and 7x7 convolutions
LOOK = "look"  # the spatial transformer's name
THETA_GAIN = 5.0  # in so few batches, a transformer at the usual gain learns no rotation
LAST = {"data_format": "channels_last"}


def build_network(task, model, transform="affine"):
    """An uncompiled network from canvases to logits.

    Args:
        task: The `Task`.
        model: str, one of `MODELS`.
        transform: str, one of `TRANSFORMS`: the family of a spatial transformer.
    """
    canvases = keras.Input((task.size, task.size, task.digits), name="canvases")
    x = canvases
    kind = model.removeprefix("st-")
    if model.startswith("st-"):
        x = _transformed(x, task, kind, transform)
    if kind == "cnn":
        x = layers.Conv2D(FILTERS[0], 9, activation="relu", **LAST)(x)
        x = layers.MaxPooling2D(2, **LAST)(x)
        x = layers.Conv2D(FILTERS[1], 7, padding="same", activation="relu", **LAST)(x)
        x = layers.MaxPooling2D(2, **LAST)(x)
    x = layers.Flatten(**LAST)(x)
    hidden = 1 if kind == "cnn" else 2
    used = keras.Model(canvases, x).count_params()
    units = widest(BUDGET - used, x.shape[-1], hidden, task.classes)
    for _ in range(hidden):
        x = layers.Dense(units, activation="relu")(x)
    # Softmax and loss need more than half precision.
    logits = layers.Dense(task.classes, dtype="float32", name="logits")(x)
    return keras.Model(canvases, logits, name=model.replace("-", "_"))


def _transformed(x, task, kind, transform):
    """What the spatial transformer passes on: with several digits, a crop for each."""
    localizer = [layers.AveragePooling2D(2, **LAST)]
    if kind == "cnn":
        for _ in range(2):
            localizer += [
                layers.Conv2D(20, 5, padding="same", activation="relu", **LAST),
                layers.MaxPooling2D(2, **LAST),
            ]
        localizer += [layers.Flatten(**LAST), layers.Dense(20, activation="relu")]
    else:
        localizer.append(layers.Flatten(**LAST))
        localizer += [layers.Dense(64, activation="relu") for _ in range(2)]
    x = SpatialTransformer(
        keras.Sequential(localizer),
        transform,
        num_transforms=task.digits,
        theta_gain=THETA_GAIN,
        fill_mode="constant",  # the canvas is black
        name=LOOK,
        **LAST,
    )(x)
    if task.digits > 1:  # the crops side by side, as channels
        x = layers.Permute((2, 3, 1, 4))(x)
        x = layers.Reshape((task.size, task.size, task.digits * task.digits))(x)
    return layers.AveragePooling2D(2, **LAST)(x) if task.pooled else x


def widest(budget, features, hidden, classes):
    """How many units `hidden` dense layers of equal width may have."""

    def parameters(units):
        inner = (hidden - 1) * units * (units + 1)
        return (features + 1) * units + inner + (units + 1) * classes

    return next(n for n in itertools.count(1) if parameters(n + 1) > budget)
