"""Classifies a user's own images with a trained model."""

from __future__ import annotations

import keras
import numpy as np

from gtsrb import preprocessing, report, training
from gtsrb.dataset import ImageSet
from gtsrb.errors import DataError, RunError
from gtsrb.signs import SIGN_NAMES

PICTURE = "predictions.png"


def main(paths, model_path):
    """Prints sign and confidence of each image, draws the crops beside the model."""
    images = np.stack([read(path) for path in paths])
    model = load_model(model_path)
    unknown = np.full(len(paths), -1)
    batch = ImageSet(images, unknown, unknown)
    predicted, confidence = training.evaluate(model, batch)
    width = max(len(str(path)) for path in paths)
    titles = []
    for path, label, share in zip(paths, predicted, confidence, strict=True):
        titles.append(f"{SIGN_NAMES[label]}, {100 * share:.1f} %")
        print(f"{path!s:{width}}  {titles[-1]}")
    picture = model_path.with_name(PICTURE)
    report.draw(model, preprocessing.to_input(images), titles).savefig(picture, dpi=130)
    print(f"What the model looked at: {picture}")
    return 0


def read(path):
    """The preprocessed image in a file."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DataError(f"Cannot read {path} ({error.strerror}).") from None
    return preprocessing.preprocess(preprocessing.decode(data, str(path)))


def load_model(path):
    """A trained model, or a message that says what is wrong with its file."""
    try:
        return keras.models.load_model(path)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RunError(f"{path} is no readable Keras model ({error}).") from None
