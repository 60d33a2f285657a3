"""One training run: fits, keeps what is needed to go on after an interruption, logs theta."""

from __future__ import annotations

import sys

import keras
import numpy as np

from common.callbacks import Checkpoint, HistoryLog
from gtsrb.archives import NUM_CLASSES
from gtsrb.callbacks import (
    OfAveragedWeights,
    RandomSeeds,
    ThetaLog,
    Validation,
)
from gtsrb.distribution import ONE_DEVICE
from gtsrb.models import spatial_transformer
from gtsrb.runs import HISTORY
from keras_stn.callbacks import TransformerGallery

CHECKPOINT = "checkpoint.keras"
THETA = "theta.npy"
LOOKS = "looks"  # a picture an epoch, and the animation
LOOKED_AT = 8  # validation images in them


def train(model, dataset, folder, recipe, *, epochs, batch_size, seed, devices=ONE_DEVICE):
    """Trains `model` for `epochs` epochs in all, from its own last epoch on.

    Leaves checkpoint, history and thetas in `folder`, each updated whole after every epoch.

    Args:
        model: A new model, or the checkpoint of a run that was interrupted.
        dataset: The `Dataset`.
        folder: Output folder, a `Path`.
        recipe: The `Recipe`.
        epochs: int, how many epochs the whole run has.
        batch_size: int, of all devices together.
        seed: int, decides the order of the images and what is random in the model.
        devices: The `Devices` to train on.
    """
    steps = steps_per_epoch(dataset.train, batch_size)
    if not model.compiled:
        recipe.compile(model, steps=epochs * steps)
    # The optimizer knows how far the run has come.
    done = int(keras.ops.convert_to_numpy(model.optimizer.iterations)) // steps
    callbacks = [RandomSeeds(seed, devices)]
    galleries = []
    if devices.is_main:
        validation = dataset.validation
        galleries = looks(model, validation, folder / LOOKS)
        callbacks += [
            OfAveragedWeights(
                Validation(validation),
                ThetaLog(folder / THETA, validation, done),
                *galleries,
            ),
            HistoryLog(folder / HISTORY, done),
            Checkpoint(folder / CHECKPOINT, devices.saving),
        ]
    if done < epochs:
        verbose = "auto" if sys.stdout.isatty() else 2  # no bars in a log file
        with devices.training(model):
            model.fit(
                Batches(dataset.train, batch_size, seed, done, epochs, devices),
                steps_per_epoch=steps,
                shuffle=False,  # done by `Batches`; Keras would shuffle the batches of all epochs
                epochs=epochs,
                initial_epoch=done,
                callbacks=callbacks,
                verbose=verbose if devices.is_main else 0,
            )
    else:  # interrupted after the last epoch, before the report: what `fit` does at its end
        model.optimizer.finalize_variable_values(model.trainable_variables)
        for gallery in galleries:
            gallery.write_animation(last_epoch=epochs)


def looks(model, images, folder):
    """The callback that draws where the model looks, if it has a spatial transformer."""
    if spatial_transformer(model) is None:
        return []
    drawn = np.linspace(0, len(images), LOOKED_AT, endpoint=False).astype(int)
    return [TransformerGallery(images.images[drawn], folder, frame_seconds=0.5)]


def steps_per_epoch(images, batch_size):
    """Whole batches in an epoch; a set smaller than a batch is one batch."""
    return max(1, len(images) // batch_size)


class Batches(keras.utils.PyDataset):
    """The training batches of all epochs from `first_epoch` on, one after the other.

    The order of the images in an epoch depends on the seed and the epoch alone, so that a resumed
    run sees the batches that an uninterrupted one would have seen. What is left over at the end of
    an epoch is dropped: a batch of another size would be compiled anew, and its batch statistics be
    noisier.
    """

    def __init__(self, images, batch_size, seed, first_epoch, epochs, devices=ONE_DEVICE):
        super().__init__()
        self._images = images.images
        self._labels = np.eye(NUM_CLASSES, dtype="float32")[images.labels]
        self._batch_size = min(batch_size, len(images))
        self._seed = seed
        self._epochs = range(first_epoch, epochs)
        self._steps = steps_per_epoch(images, batch_size)
        self._devices = devices

    def __len__(self):
        return len(self._epochs) * self._steps

    def __getitem__(self, index):
        epoch, step = divmod(index, self._steps)
        order = np.random.default_rng((self._seed, self._epochs[epoch])).permutation(
            len(self._labels)
        )
        chosen = self._devices.share(order[step * self._batch_size :][: self._batch_size])
        return self._images[chosen], self._labels[chosen]
