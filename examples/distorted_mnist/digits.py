"""MNIST digits from Keras or from a file."""

from __future__ import annotations

import pathlib

import keras
import numpy as np


def load_digits(path=None):
    """Training and test digits, ((images, labels), (images, labels)).

    Args:
        path: An `.npz` file with x_train, y_train, x_test and y_test; None downloads Keras's.

    Returns:
        Images (count, 28, 28, 1), float32 in [0, 1], and labels (count,), integers.
    """
    if path is None:
        pairs = keras.datasets.mnist.load_data()
    else:
        if not pathlib.Path(path).is_file():
            raise SystemExit(f"No such file: {path}. Leave --data out to download MNIST.")
        with np.load(path) as file:
            pairs = [(file[f"x_{part}"], file[f"y_{part}"]) for part in ("train", "test")]
    return tuple(
        (np.asarray(images, "float32")[..., None] / 255, np.asarray(labels, "int32"))
        for images, labels in pairs
    )
