"""Distorted digits, by the transforms and the sampler of the library."""

from __future__ import annotations

import numpy as np
from keras import ops

from keras_stn.ops import grid_sample
from keras_stn.transforms import Affine

PATCH = 6  # pixels a side of a piece of clutter
CLUTTER = 6  # pieces


def warp(images, grid):
    """`images` read at `grid`."""
    return ops.convert_to_numpy(grid_sample(images, grid, data_format="channels_last"))


def place(images, size, *, angle, scale, shift):
    """Digits on canvases of `size` pixels, turned, scaled and moved.

    Args:
        images: (batch, 28, 28, 1).
        size: Pixels a side of the canvas.
        angle: (batch,), radians, by which each digit is turned.
        scale: (batch,), by which it is enlarged.
        shift: (batch, 2), in pixels, (x, y), how far its centre lies from the canvas's.
    """
    # From the canvas to the digit: undo the shift, then the scale and the turn.
    cos, sin = np.cos(angle) / scale, np.sin(angle) / scale
    linear = np.stack([np.stack([cos, sin], -1), np.stack([-sin, cos], -1)], axis=1)
    back = -np.einsum("bij,bj->bi", linear, shift)
    # Both squares span [-1, 1] from corner pixel to corner pixel.
    linear *= (size - 1) / (images.shape[1] - 1)
    back *= 2 / (images.shape[1] - 1)
    theta = np.concatenate([linear, back[..., None]], axis=-1).reshape(-1, 6).astype("float32")
    return warp(images, Affine().grid(theta, (size, size)))


def room(size, scale, digit=20):
    """How far, in pixels, a digit of 20 pixels times `scale` can lie from a canvas's centre."""
    return np.maximum(size - digit * scale, 0) / 2


def rotated_scaled_translated(images, rng, size=42):
    """RTS: turned by up to 45 degrees, scaled by 0.7 to 1.2, anywhere on the canvas."""
    count = len(images)
    scale = rng.uniform(0.7, 1.2, count)
    shift = rng.uniform(-1, 1, (count, 2)) * room(size, scale)[:, None]
    angle = rng.uniform(-np.pi / 4, np.pi / 4, count)
    return place(images, size, angle=angle, scale=scale, shift=shift)


def add_clutter(canvases, images, rng, pieces=CLUTTER):
    """Canvases with pieces of other digits, each `PATCH` pixels a side, at random places."""
    count, size = canvases.shape[:2]
    canvases = canvases.copy()
    window = np.arange(PATCH)
    for _ in range(pieces):
        others = rng.integers(len(images), size=count)
        rows, columns = rng.integers(4, images.shape[1] - 4 - PATCH, (2, count))
        patch = images[
            others[:, None, None],
            (rows[:, None] + window)[..., None],
            columns[:, None, None] + window,
        ]
        rows, columns = rng.integers(size - PATCH + 1, size=(2, count))
        where = (
            np.arange(count)[:, None, None],
            (rows[:, None] + window)[..., None],
            columns[:, None, None] + window,
        )
        canvases[where] = np.maximum(canvases[where], patch)
    return canvases
