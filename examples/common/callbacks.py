"""What a run leaves after every epoch: a checkpoint, and its figures."""

from __future__ import annotations

import contextlib
import csv

import keras

from common.errors import RunError
from common.files import save_model, whole_or_absent


class Checkpoint(keras.callbacks.Callback):
    """Saves the model with its optimizer after each epoch, never half.

    Args:
        path: The file.
        saving: From a model to the context in which it can be saved.
    """

    def __init__(self, path, saving=contextlib.nullcontext):
        super().__init__()
        self._path = path
        self._saving = saving

    def on_epoch_end(self, epoch, logs=None):
        with self._saving(self.model):
            save_model(self.model, self._path)


class HistoryLog(keras.callbacks.Callback):
    """Writes the figures of every epoch to a CSV file, going on where `done` epochs are there."""

    def __init__(self, path, done):
        super().__init__()
        self._path = path
        self._rows = read_history(path)[:done] if done else []

    def on_epoch_end(self, epoch, logs=None):
        row = {"epoch": epoch + 1, **{name: float(value) for name, value in (logs or {}).items()}}
        row["learning_rate"] = float(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate))
        self._rows.append(row)
        with whole_or_absent(self._path) as path, path.open("w", newline="") as file:
            writer = csv.DictWriter(file, list(row))
            writer.writeheader()
            writer.writerows(self._rows)


def read_history(path):
    """The rows of a history file, as dicts of numbers; `RunError` if it is none."""
    try:
        with path.open(newline="") as file:
            return [
                {name: int(text) if name == "epoch" else float(text) for name, text in row.items()}
                for row in csv.DictReader(file)
            ]
    except (OSError, TypeError, ValueError, csv.Error) as error:
        raise RunError(f"{path} cannot be read ({error}). Start a new run.") from None
