"""One training run, on digits that are distorted as it goes."""

from __future__ import annotations

import math
import sys
import time

import keras
import numpy as np

from common.callbacks import Checkpoint, HistoryLog, read_history
from common.files import save_model
from distorted_mnist.distortion import Distortion, draw
from distorted_mnist.networks import build_network
from distorted_mnist.recipe import RECIPE
from distorted_mnist.runs import Result
from distorted_mnist.tasks import TASKS
from keras_stn.callbacks import TransformerGallery

ROUNDS = 20  # into which a run is divided: after each it is logged and can be resumed
PICTURES = 5  # in the animation of where a network looks, and the start
SHOWN = 8  # digits in them
# On JAX, `fit` does more in Python between two executions than a GPU for a step of these networks.
STEPS_PER_EXECUTION = 10 if keras.backend.backend() == "jax" else 1
TEST_SEED = 2015
TEST_BATCH = 500

CHECKPOINT = "checkpoint.keras"
HISTORY = "history.csv"
NETWORK = "network.keras"
LOOKS = "looks"


def train(run, digits, folder, *, steps, batch_size):
    """Trains a network from where its checkpoint in `folder` is, or anew, and tests it.

    Args:
        run: The `Run`.
        digits: Training and test digits, as from `load_digits`.
        folder: A `Path`, for this run alone.
        steps: int, how many batches the whole run has, as rounded up by `divided`.
        batch_size: int.

    Returns:
        The `Result`.
    """
    task = TASKS[run.task]
    keras.utils.set_random_seed(run.seed)
    rounds, each = divided(steps)
    if (folder / CHECKPOINT).exists():
        model = keras.models.load_model(folder / CHECKPOINT)
    else:
        model = build_model(run)
        # No execution may reach into the next round.
        RECIPE.compile(model, steps, math.gcd(each, STEPS_PER_EXECUTION))
    done = int(keras.ops.convert_to_numpy(model.optimizer.iterations)) // each
    test, labels = frozen(task, *digits[1])
    looks = []
    if run.transform:
        shown = {name: values[:SHOWN] for name, values in test.items()}
        every = max(1, rounds // PICTURES)
        looks = [TransformerGallery(shown, folder / LOOKS, every=every, frame_seconds=0.5)]
    if done < rounds:
        model.fit(
            Batches(task, *digits[0], batch_size, run.seed, done * each, steps),
            steps_per_epoch=each,
            shuffle=False,
            epochs=rounds,
            initial_epoch=done,
            # The checkpoint last: what it says is done has its picture, and its line of history.
            callbacks=[
                Seconds(),
                *looks,
                HistoryLog(folder / HISTORY, done),
                Checkpoint(folder / CHECKPOINT),
            ],
            verbose="auto" if sys.stdout.isatty() else 0,
        )
    else:  # interrupted after the last round
        for gallery in looks:
            gallery.write_animation()
    guesses = model.predict(test, batch_size=TEST_BATCH, verbose=0).argmax(axis=-1)
    network = model.layers[-1]
    save_model(network, folder / NETWORK)
    return Result(
        network.count_params(),
        int((guesses != labels).sum()),
        len(labels),
        round(sum(row["seconds"] for row in read_history(folder / HISTORY)), 1),
    )


class Seconds(keras.callbacks.Callback):
    """Adds the seconds that a round has taken to its logs."""

    def on_epoch_begin(self, epoch, logs=None):
        self._started = time.perf_counter()

    def on_epoch_end(self, epoch, logs=None):
        logs["seconds"] = time.perf_counter() - self._started


def build_model(run):
    """An uncompiled model from digits and random numbers to logits."""
    inputs = inputs_of(TASKS[run.task])
    canvases = Distortion(run.task, name="distortion")(inputs)
    network = build_network(TASKS[run.task], run.model, run.transform)
    return keras.Model(inputs, network(canvases))


def inputs_of(task):
    """Keras inputs for what `draw` makes of a task."""
    images, labels = np.zeros((1, 28, 28), "uint8"), np.zeros(1, "int32")
    chosen = np.zeros((1, task.digits), int)
    numbers, _ = draw(task, images, labels, chosen, np.random.default_rng(0))
    return {
        name: keras.Input(values.shape[1:], dtype=values.dtype.name, name=name)
        for name, values in numbers.items()
    }


def divided(steps):
    """Steps as at most `ROUNDS` rounds of so many each, rounded up to whole rounds."""
    each = -(-steps // ROUNDS)
    return -(-steps // each), each


def frozen(task, images, labels):
    """Numbers and labels of the test canvases: always the same, each digit once."""
    rng = np.random.default_rng(TEST_SEED)
    others = rng.integers(len(images), size=(len(images), task.digits - 1))
    chosen = np.concatenate([np.arange(len(images))[:, None], others], axis=1)
    return draw(task, images, labels, chosen, rng)


class Batches(keras.utils.PyDataset):
    """Batches of digits drawn with replacement, with random numbers to distort them.

    Each depends on the seed and its number alone: a resumed run sees those that an uninterrupted
    one would have seen.
    """

    def __init__(self, task, images, labels, batch_size, seed, first, last):
        super().__init__()
        self._task = task
        self._images = images
        self._labels = labels
        self._batch_size = batch_size
        self._seed = seed
        self._steps = range(first, last)

    def __len__(self):
        return len(self._steps)

    def __getitem__(self, index):
        rng = np.random.default_rng((self._seed, self._steps[index]))
        chosen = rng.integers(len(self._images), size=(self._batch_size, self._task.digits))
        numbers, labels = draw(self._task, self._images, self._labels, chosen, rng)
        return numbers, np.eye(self._task.classes, dtype="float32")[labels]
