"""MNIST digits from Keras or from a file."""

from __future__ import annotations

import pathlib

import keras
import numpy as np

from common.errors import DataError

VALIDATION = 10_000  # training digits held out for choices


def load_digits(path=None):
    """Training and test digits, ((images, labels), (images, labels)).

    Args:
        path: An `.npz` file with x_train, y_train, x_test and y_test; None downloads Keras's.

    Returns:
        Images (count, 28, 28), uint8, and labels (count,), int32.

    Raises:
        DataError: There is no such file, it holds something else, or the download failed.
    """
    names = [f"{kind}_{part}" for part in ("train", "test") for kind in "xy"]
    if path is None:
        try:
            (x, y), (x_test, y_test) = keras.datasets.mnist.load_data()
        except Exception as error:  # whatever the network does; Keras has no error of its own
            raise DataError(
                f"MNIST could not be downloaded ({error}). Pass the file with --data PATH."
            ) from None
        arrays = [x, y, x_test, y_test]
    else:
        if not pathlib.Path(path).is_file():
            raise DataError(f"No such file: {path}. Leave --data out to download MNIST.")
        try:
            with np.load(path) as file:
                arrays = [file[name] for name in names]
        except Exception as error:  # np.load raises what its parsers raise
            raise DataError(
                f"{path} must be an .npz file with {', '.join(names)}; it is not ({error})."
            ) from None
    x, y, x_test, y_test = arrays
    return _checked("training", x, y), _checked("test", x_test, y_test)


def _checked(part, images, labels):
    images, labels = np.asarray(images), np.asarray(labels)
    if (
        images.ndim != 3
        or images.shape[1:] != (28, 28)
        or images.dtype != np.uint8
        or labels.shape != images.shape[:1]
        or not len(labels)
        or not np.issubdtype(labels.dtype, np.integer)
        or not (0 <= labels.min() and labels.max() <= 9)
    ):
        raise DataError(
            "Digits must be uint8 images (count, 28, 28) with labels (count,) from 0 to 9. "
            f"Received as {part} digits: {images.dtype} images {images.shape}, {labels.dtype} "
            f"labels {labels.shape}. Pass a file like Keras's mnist.npz."
        )
    return images, labels.astype("int32")


def held_out(digits):
    """The training digits alone, the last `VALIDATION` of them in place of the test digits."""
    (images, labels), _ = digits
    if len(images) <= VALIDATION:
        raise DataError(
            f"--validate holds {VALIDATION:,} training digits out. Received: {len(images):,} of "
            "them. Leave --validate out."
        )
    return (images[:-VALIDATION], labels[:-VALIDATION]), (
        images[-VALIDATION:],
        labels[-VALIDATION:],
    )
