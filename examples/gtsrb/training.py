"""One training run: fits, keeps what is needed to go on after an interruption, logs theta."""

from __future__ import annotations

import csv
import sys

import keras
import numpy as np

from gtsrb import preprocessing
from gtsrb.files import whole_or_absent
from gtsrb.models import spatial_transformer

CHECKPOINT = "checkpoint.keras"
HISTORY = "history.csv"
THETA = "theta.npy"

# The recipe; docs/gtsrb.md tells what else was tried.
PEAK_LEARNING_RATE = 1e-3
FINAL_LEARNING_RATE = 1e-5
WARMUP = 0.05  # of all steps
GRADIENT_NORM = 1.0

FOLLOWED_IMAGES = 256  # validation images whose theta is followed over training
INFERENCE_BATCH = 256


def train(model, dataset, folder, *, epochs, batch_size, seed):
    """Trains `model` for `epochs` epochs in all, from its own last epoch on.

    Leaves checkpoint, history and thetas in `folder`, each updated whole after every epoch.

    Args:
        model: A new model, or the checkpoint of a run that was interrupted.
        dataset: The `Dataset`.
        folder: Output folder, a `Path`.
        epochs: int, how many epochs the whole run has.
        batch_size: int.
        seed: int, decides the order of the images.
    """
    steps = steps_per_epoch(dataset.train, batch_size)
    if not model.compiled:
        _compile(model, steps=epochs * steps)
    # The optimizer knows how far the run has come.
    done = int(keras.ops.convert_to_numpy(model.optimizer.iterations)) // steps
    if done >= epochs:  # interrupted after the last epoch, before the report
        return
    model.fit(
        Batches(dataset.train, batch_size, seed, done, epochs),
        steps_per_epoch=steps,
        shuffle=False,  # done by `Batches`; Keras would shuffle the batches of all epochs
        epochs=epochs,
        initial_epoch=done,
        validation_data=_arrays(dataset.validation),
        validation_batch_size=INFERENCE_BATCH,
        callbacks=[
            DropoutSeeds(seed),
            ThetaLog(folder / THETA, dataset.validation, done),
            HistoryLog(folder / HISTORY, done),
            Checkpoint(folder / CHECKPOINT),
        ],
        verbose="auto" if sys.stdout.isatty() else 2,  # no bars in a log file
    )


def steps_per_epoch(images, batch_size):
    """Whole batches in an epoch; a set smaller than a batch is one batch."""
    return max(1, len(images) // batch_size)


def evaluate(model, images):
    """Predicted classes (n,) and their probabilities (n,) for an `ImageSet`."""
    inputs = preprocessing.to_input(images.images)
    logits = model.predict(inputs, batch_size=INFERENCE_BATCH, verbose=0)
    probabilities = keras.ops.convert_to_numpy(keras.ops.softmax(logits))
    return probabilities.argmax(axis=-1), probabilities.max(axis=-1)


def theta_of(model, images):
    """Theta (n, 6) of an `ImageSet` in inference mode; None without a spatial transformer."""
    layer = spatial_transformer(model)
    if layer is None:
        return None
    theta = layer.localize(preprocessing.to_input(images.images), training=False)
    return keras.ops.convert_to_numpy(theta)


class Batches(keras.utils.PyDataset):
    """The training batches of all epochs from `first_epoch` on, one after the other.

    The order of the images in an epoch depends on the seed and the epoch alone, so that a resumed
    run sees the batches that an uninterrupted one would have seen. What is left over at the end of
    an epoch is dropped: a batch of another size would be compiled anew, and its batch statistics be
    noisier.
    """

    def __init__(self, images, batch_size, seed, first_epoch, epochs):
        super().__init__()
        self._inputs, self._labels = _arrays(images)
        self._batch_size = min(batch_size, len(images))
        self._seed = seed
        self._epochs = range(first_epoch, epochs)
        self._steps = steps_per_epoch(images, batch_size)

    def __len__(self):
        return len(self._epochs) * self._steps

    def __getitem__(self, index):
        epoch, step = divmod(index, self._steps)
        order = np.random.default_rng((self._seed, self._epochs[epoch])).permutation(
            len(self._labels)
        )
        chosen = order[step * self._batch_size :][: self._batch_size]
        return self._inputs[chosen], self._labels[chosen]


class DropoutSeeds(keras.callbacks.Callback):
    """Makes what is dropped in an epoch depend on the seed and the epoch alone.

    A saved model does not hold the state of its random generators: without this, a resumed run
    would drop other units than an uninterrupted one.
    """

    def __init__(self, seed):
        super().__init__()
        self._seed = seed

    def on_epoch_begin(self, epoch, logs=None):
        rng = np.random.default_rng((self._seed, epoch))
        for variable in self.model.variables:
            if variable.path.endswith("seed_generator_state"):
                variable.assign(rng.integers(2**32, size=variable.shape, dtype="uint32"))


class Checkpoint(keras.callbacks.Callback):
    """Saves the model with its optimizer after each epoch, never half."""

    def __init__(self, path):
        super().__init__()
        self._path = path

    def on_epoch_end(self, epoch, logs=None):
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


class ThetaLog(keras.callbacks.Callback):
    """Keeps theta of fixed images, before training and after each epoch: (epochs + 1, n, 6)."""

    def __init__(self, path, images, done):
        super().__init__()
        self._path = path
        # Evenly spread, so that every class is there: the set is sorted by class.
        step = max(1, len(images) // FOLLOWED_IMAGES)
        self._images = images.where(np.arange(len(images)) % step == 0)
        self._thetas = list(np.load(path))[: done + 1] if done and path.exists() else []

    def on_train_begin(self, logs=None):
        if not self._thetas:
            self._record()

    def on_epoch_end(self, epoch, logs=None):
        self._record()

    def _record(self):
        theta = theta_of(self.model, self._images)
        if theta is not None:
            self._thetas.append(theta)
            with whole_or_absent(self._path) as path:
                np.save(path, np.stack(self._thetas))


def read_history(path):
    """The rows of a history file, as dicts of numbers."""
    with path.open(newline="") as file:
        return [
            {name: int(value) if name == "epoch" else float(value) for name, value in row.items()}
            for row in csv.DictReader(file)
        ]


def save_model(model, path):
    """Saves a model, never half."""
    with whole_or_absent(path) as temporary:
        model.save(temporary)


def _arrays(images):
    return preprocessing.to_input(images.images), images.labels


def _compile(model, steps):
    warmup = max(1, round(WARMUP * steps))
    schedule = keras.optimizers.schedules.CosineDecay(
        0.0,
        decay_steps=max(1, steps - warmup),
        alpha=FINAL_LEARNING_RATE / PEAK_LEARNING_RATE,
        warmup_target=PEAK_LEARNING_RATE,
        warmup_steps=warmup,
    )
    model.compile(
        keras.optimizers.Adam(schedule, global_clipnorm=GRADIENT_NORM),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
        # On a CPU, TensorFlow's own convolutions are faster than those that XLA compiles.
        jit_compile=False if keras.backend.backend() == "tensorflow" else "auto",
    )
