"""Classifies a user's own images with a trained model."""

from __future__ import annotations

import keras
import numpy as np

from common.errors import DataError, RunError
from gtsrb import evaluation, figures, models
from gtsrb.configurations import CONFIGURATIONS
from gtsrb.preprocessing import decode
from gtsrb.signs import SIGN_NAMES

PICTURE = "predictions.png"


def main(paths, model_path, folder):
    """Prints sign and confidence of each image, draws the crops into `folder`."""
    model = load_model(model_path)
    preprocessing = CONFIGURATIONS[model.name].preprocessing
    images = np.stack([preprocessing(read(path)) for path in paths])
    probabilities = evaluation.probabilities(evaluation.predict(model, images))
    width = max(len(str(path)) for path in paths)
    titles = []
    for path, shares in zip(paths, probabilities, strict=True):
        titles.append(f"{SIGN_NAMES[shares.argmax()]}, {100 * shares.max():.1f} %")
        print(f"{path!s:{width}}  {titles[-1]}")
    picture = folder / PICTURE
    figures.save(figures.draw(models.look_of(model), images, titles), picture)
    print(f"What the model looked at: {picture}")
    return 0


def read(path):
    """The Pillow image in a file."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DataError(f"Cannot read {path} ({error.strerror}).") from None
    return decode(data, str(path))


def load_model(path):
    """A trained model, or a message that says what is wrong with its file."""
    try:
        model = keras.models.load_model(path)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RunError(f"{path} is no readable Keras model ({error}).") from None
    if model.name not in CONFIGURATIONS:
        raise RunError(
            f"{path} holds the model {model.name!r}, not one of this example's: "
            f"{', '.join(CONFIGURATIONS)}. Train one: `python examples/gtsrb.py`."
        )
    return model
