"""From digits and random numbers to canvases, on the backend."""

from __future__ import annotations

import keras
import numpy as np
from keras import ops

from distorted_mnist.tasks import TASKS
from keras_stn.ops import grid_sample

PATCH = 6  # pixels a side of a piece of clutter
MARGIN = 4  # pixels at the edge of a digit's image, which hold hardly any ink


def draw(task, images, labels, chosen, rng):
    """The numbers that decide canvases, and their labels.

    Args:
        task: The `Task`.
        images: Digits, (total, 28, 28), uint8.
        labels: (total,), int.
        chosen: Which digits each canvas shows, (count, task.digits), int.
        rng: A NumPy generator.

    Returns:
        The dictionary of arrays that `Distortion` takes, and labels (count,).
    """
    count, digits = chosen.shape
    numbers = {
        "digits": np.moveaxis(images[chosen], 1, -1),
        "theta": task.draw(rng, count * digits, task.size).reshape(count, digits, -1),
    }
    if task.clutter:
        pieces = [_pieces(images, count, task.size, rng) for _ in range(task.clutter)]
        patches, corners = zip(*pieces, strict=True)
        numbers["patches"] = np.stack(patches, axis=1)
        numbers["corners"] = np.stack(corners, axis=1)
    return numbers, labels[chosen].sum(axis=1)


def _pieces(images, count, size, rng):
    """Patches (count, 6, 6) of other digits, and corners (count, 2): row and column."""
    others = rng.integers(len(images), size=count)
    row, column = rng.integers(MARGIN, images.shape[1] - MARGIN - PATCH, (2, count))[..., None]
    window = np.arange(PATCH)
    patches = images[
        others[:, None, None], (row + window)[:, :, None], (column + window)[:, None, :]
    ]
    return patches, rng.integers(size - PATCH + 1, size=(2, count)).T.astype("int32")


@keras.saving.register_keras_serializable(package="distorted_mnist")
class Distortion(keras.layers.Layer):
    """Canvases of a task: digits warped by thetas, with clutter painted over them.

    Args:
        task: str, one of `TASKS`.
        **kwargs: Arguments of `keras.layers.Layer`.

    Call arguments:
        numbers: A dictionary, as from `draw`: digits (batch, 28, 28, digits), uint8; theta
            (batch, digits, num_params); for tasks with clutter patches (batch, clutter, 6, 6),
            uint8, and corners (batch, clutter, 2), int, where they go.

    Output shape:
        (batch, size, size, digits), float32 in [0, 1].
    """

    def __init__(self, task, **kwargs):
        super().__init__(**{"dtype": "float32", **kwargs})
        self.task = task

    def call(self, numbers):
        return distorted(TASKS[self.task], numbers)

    def compute_output_shape(self, numbers_shape):
        task = TASKS[self.task]
        return (numbers_shape["digits"][0], task.size, task.size, task.digits)

    def get_config(self):
        return {**super().get_config(), "task": self.task}


def distorted(task, numbers):
    """The canvases (batch, size, size, digits) of a `Task`, from what `Distortion` takes."""
    digits = ops.cast(numbers["digits"], "float32") / 255
    side = digits.shape[1]
    # Each digit is an image of its own: it has a theta of its own.
    images = ops.reshape(ops.moveaxis(digits, -1, 1), (-1, side, side, 1))
    theta = ops.reshape(numbers["theta"], (-1, numbers["theta"].shape[-1]))
    grid = task.family.grid(theta, (task.size, task.size))
    warped = grid_sample(images, grid, data_format="channels_last")
    warped = ops.reshape(warped, (-1, task.digits, task.size, task.size))
    canvases = ops.moveaxis(warped, 1, -1)
    if task.clutter:
        clutter = painted(numbers["patches"], numbers["corners"], task.size)
        canvases = ops.maximum(canvases, clutter[..., None])
    return canvases


def painted(patches, corners, size):
    """Canvases (batch, size, size) in [0, 1] of nothing but patches, the brightest on top."""
    corners = ops.convert_to_tensor(corners, "int32")
    pixels = ops.expand_dims(ops.arange(size), 0)
    window = ops.expand_dims(ops.arange(PATCH), -1)
    # (batch, clutter, 6, size): which row, or column, of the canvas each of the patch's goes to.
    rows, columns = (
        ops.cast(ops.equal(corners[..., axis, None, None] + window, pixels), "float32")
        for axis in range(2)
    )
    patches = ops.cast(patches, "float32") / 255
    return ops.max(ops.swapaxes(rows, -1, -2) @ (patches @ columns), axis=1)


def render(task, numbers, batch_size=500):
    """The canvases of any number of digits, a NumPy array."""
    starts = range(0, len(numbers["digits"]), batch_size)
    batches = [{name: n[i : i + batch_size] for name, n in numbers.items()} for i in starts]
    return np.concatenate([ops.convert_to_numpy(distorted(task, batch)) for batch in batches])
