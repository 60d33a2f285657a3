"""What a model makes of a set of images."""

from __future__ import annotations

import contextlib

import keras
import numpy as np

BATCH = 256


def predict(model, images):
    """The model's output, an array (n, ...) or a list of them, for n uint8 images.

    All batches are of one size, so that nothing is compiled twice and every device gets its share.
    """
    batch_size = _batch_size()
    missing = -len(images) % batch_size
    padded = np.concatenate([images, np.repeat(images[-1:], missing, axis=0)])
    outputs = model.predict(padded, batch_size=batch_size, verbose=0)
    return keras.tree.map_structure(lambda output: output[: len(images)], outputs)


def _batch_size():
    """About `BATCH`, and the same number of images for each of JAX's devices."""
    distribution = keras.distribution.distribution()
    devices = 1 if distribution is None else distribution.device_mesh.devices.size
    return -(-BATCH // devices) * devices


def probabilities(logits):
    """Softmax over the last axis, in float64."""
    powers = np.exp(np.float64(logits) - np.max(logits, axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def cross_entropy(logits, labels):
    """The mean over images of minus the logarithm of the true class's probability, a float."""
    true = np.take_along_axis(probabilities(logits), labels[:, None], axis=-1)
    return float(-np.log(np.maximum(true, 1e-12)).mean())


@contextlib.contextmanager
def averaged_weights(model):
    """Within it, a model whose optimizer averages the weights has the average."""
    if not model.optimizer.use_ema:
        yield
        return
    swap = keras.callbacks.SwapEMAWeights()
    swap.set_model(model)
    swap.on_test_begin()
    yield
    # Not after an error or Ctrl-C: a prediction that was broken off has left JAX's variables empty,
    # and the checkpoint is on disk.
    swap.on_test_end()
