"""Classifies a user's own images with a trained model."""

from __future__ import annotations

import itertools

import keras
import numpy as np

from common.errors import DataError, RunError
from gtsrb import evaluation, figures, models
from gtsrb.configurations import CONFIGURATIONS
from gtsrb.decoding import decode
from gtsrb.signs import SIGN_NAMES

PICTURE = "predictions.png"
DRAWN = 48  # pictures at most; the text has all of them
LONGEST = figures.LETTERS  # of a name in the picture


def main(paths, model_path, folder, whose):
    """Prints whose model answers, then sign and confidence of each image; draws them in `folder`.

    Args:
        paths: Image files, a list of `Path`.
        model_path: The `Path` of the model.
        folder: The `Path` of the folder for the picture.
        whose: str, what the first line says of the model.
    """
    print(f"Model: {whose}", flush=True)
    model = load_model(model_path)
    preprocessing = CONFIGURATIONS[model.name].preprocessing
    images = np.stack([preprocessing(read(path)) for path in paths])
    probabilities = evaluation.probabilities(evaluation.predict(model, images))
    answers = [f"{SIGN_NAMES[p.argmax()]}, {100 * p.max():.1f} %" for p in probabilities]
    names = [printable(str(path)) for path in paths]
    width = max(map(len, names))
    for name, answer in zip(names, answers, strict=True):
        print(f"{name:{width}}  {answer}")
    drawn = zip(short_names(paths[:DRAWN]), answers, strict=False)
    titles = [f"{name}\n{answer}" for name, answer in drawn]
    picture = folder / PICTURE
    figures.save(figures.draw(models.look_of(model), images[:DRAWN], titles), picture)
    part = f" (the first {DRAWN} of {len(paths)})" if len(paths) > DRAWN else ""
    print(f"Picture to open: {picture}{part}")
    return 0


def short_names(paths):
    """A short name for each file, another one for each other file.

    Of files of the same name, as many folders are named as tell them apart; of long names, the
    middle is left out; what is still alike gets a number.
    """
    names = {}
    for path in dict.fromkeys(paths):
        depths = range(1, len(path.parts) + 1)
        ends = (path.parts[-depth:] for depth in depths)
        alone = (end for end in ends if sum(p.parts[-len(end) :] == end for p in set(paths)) == 1)
        whole = printable("/".join(next(alone, path.parts)))
        name = shortened(whole)
        for number in itertools.count(2):
            if name not in names.values():
                break
            suffix = f" ({number})"
            name = shortened(whole, LONGEST - len(suffix)) + suffix
        names[path] = name
    return [names[path] for path in paths]


def shortened(text, longest=LONGEST):
    """The text, with an ellipsis for its middle if it is longer than so many letters."""
    if len(text) <= longest:
        return text
    return f"{text[: (longest - 1) // 2]}…{text[-(longest // 2) :]}"


def printable(text):
    """The text with a replacement for what a terminal could not show or would obey."""
    return "".join(
        letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text
    )


def read(path):
    """The picture in a file."""
    try:
        data = path.read_bytes()
    except (OSError, ValueError) as error:  # a `ValueError` is a name with a zero byte
        reason = getattr(error, "strerror", None) or error
        raise DataError(
            f"Cannot read {printable(str(path))} ({reason}). Pass image files that you may read."
        ) from None
    return decode(data, printable(str(path)))


def load_model(path):
    """A trained model, or a message that says what is wrong with its file."""
    try:
        model = keras.models.load_model(path)
    except Exception as error:  # zip, JSON, HDF5 and Keras raise all kinds for a broken file
        reason = " ".join(str(error).split()) or type(error).__name__
        raise RunError(f"{path} is no readable Keras model ({reason}).") from None
    if model.name not in CONFIGURATIONS:
        raise RunError(
            f"{path} holds the model {model.name!r}, not one of this example's: "
            f"{', '.join(CONFIGURATIONS)}. Train one: `python examples/gtsrb.py`."
        )
    return model
