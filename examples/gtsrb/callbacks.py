"""What is done around every epoch: random numbers, validation, a log of theta."""

from __future__ import annotations

import keras
import numpy as np

from common.errors import RunError
from common.files import whole_or_absent
from gtsrb import evaluation, models
from gtsrb.distribution import ONE_DEVICE

FOLLOWED_IMAGES = 256  # validation images whose theta is followed over training


class RandomSeeds(keras.callbacks.Callback):
    """Makes what is random in an epoch depend on the seed, the epoch and the device alone.

    A saved model does not hold the state of its random generators: without this, a resumed run
    would drop other units, and change other images, than an uninterrupted one.
    """

    def __init__(self, seed, devices=ONE_DEVICE):
        super().__init__()
        self._seed = seed
        self._devices = devices

    def on_epoch_begin(self, epoch, logs=None):
        rng = np.random.default_rng((self._seed, epoch))
        for variable in self.model.variables:
            if variable.path.endswith("seed_generator_state"):
                shape = (self._devices.count, *variable.shape)
                self._devices.assign(variable, rng.integers(2**32, size=shape, dtype="uint32"))


class OfAveragedWeights(keras.callbacks.Callback):
    """Has the ends of epochs seen by other callbacks with averaged weights, if any are averaged."""

    def __init__(self, *callbacks):
        super().__init__()
        self._callbacks = callbacks

    def set_model(self, model):
        super().set_model(model)
        for callback in self._callbacks:
            callback.set_model(model)

    def set_params(self, params):
        super().set_params(params)
        for callback in self._callbacks:
            callback.set_params(params)

    def on_train_begin(self, logs=None):
        for callback in self._callbacks:
            callback.on_train_begin(logs)

    def on_epoch_begin(self, epoch, logs=None):
        for callback in self._callbacks:
            callback.on_epoch_begin(epoch, logs)

    def on_epoch_end(self, epoch, logs=None):
        with evaluation.averaged_weights(self.model):
            for callback in self._callbacks:
                callback.on_epoch_end(epoch, logs)

    def on_train_end(self, logs=None):
        for callback in self._callbacks:
            callback.on_train_end(logs)


class Validation(keras.callbacks.Callback):
    """Adds loss and accuracy on the validation set to the logs.

    Not by `fit`, whose last, smaller batch several devices could not share.
    """

    def __init__(self, images):
        super().__init__()
        self._images = images

    def on_epoch_end(self, epoch, logs=None):
        logits = evaluation.predict(self.model, self._images.images)
        labels = self._images.labels
        logs["val_loss"] = evaluation.cross_entropy(logits, labels)
        logs["val_accuracy"] = float((logits.argmax(axis=-1) == labels).mean())


class ThetaLog(keras.callbacks.Callback):
    """Keeps theta of fixed images, before training and after each epoch: (epochs + 1, n, P)."""

    def __init__(self, path, images, done):
        super().__init__()
        self._path = path
        # Evenly spread, so that every class is there: the set is sorted by class.
        step = max(1, len(images) // FOLLOWED_IMAGES)
        self._images = images.images[::step]
        self._thetas = list(_read(path))[: done + 1] if done and path.exists() else []
        self._look = None

    def on_train_begin(self, logs=None):
        self._look = models.look_of(self.model)
        if not self._thetas:
            self._record()

    def on_epoch_end(self, epoch, logs=None):
        self._record()

    def _record(self):
        if self._look is None:
            return
        _, _, theta = self._look(self._images)
        self._thetas.append(theta)
        with whole_or_absent(self._path) as path:
            np.save(path, np.stack(self._thetas))


def _read(path):
    try:
        return np.load(path)
    except (OSError, EOFError, ValueError) as error:
        raise RunError(f"{path} cannot be read ({error}). Start a new run.") from None
