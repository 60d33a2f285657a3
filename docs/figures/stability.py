"""Draws docs/images/stability.png: a localizer that died beside one that lives.

KERAS_BACKEND=jax python docs/figures/stability.py mnist.npz
"""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parents[2] / "examples"))

import keras
import numpy as np
from matplotlib.figure import Figure

import stability
from keras_stn.visualization import grid_outline

ROOT = pathlib.Path(__file__).parents[2]
RATE, IMAGES = 1e-2, 6


def trained(variant, data):
    """A spatial transformer after the training of examples/stability.py at this rate, seed 0."""
    return stability.train_model("adam", RATE, variant, 0, data, 625).get_layer("stn")


def draw(path, digits):
    """Two rows of images with the outlines of the crops, and the crops below them."""
    data = stability.make_data(digits, 16_000)
    images = data[1][0][:IMAGES]
    size = (stability.SIZE,) * 2
    figure = Figure(figsize=(1.6 * IMAGES, 7.2), layout="constrained")
    panels = figure.subplots(4, IMAGES)
    for row, name in enumerate(("plain head", "default")):
        stn = trained(name, data)
        warped, theta = stn(images, return_theta=True)
        grid = keras.ops.convert_to_numpy(stn.sampling_grid(theta, (28, 28), size))
        warped = keras.ops.convert_to_numpy(warped)
        for i in range(IMAGES):
            above, below = panels[2 * row, i], panels[2 * row + 1, i]
            above.imshow(images[i, ..., 0], cmap="gray")
            outline = grid_outline(grid[i], size)
            above.plot(*np.concatenate([outline, outline[:1]]).T, color="tab:orange")
            above.set_xlim(-15, 57)
            above.set_ylim(57, -15)
            below.imshow(warped[i, ..., 0], cmap="gray", vmin=0, vmax=1)
        panels[2 * row, 0].set_title(f"{name}, Adam {RATE:g}", loc="left")
    for panel in panels.flat:
        panel.set_xticks([])
        panel.set_yticks([])
    figure.savefig(path, dpi=80)


if __name__ == "__main__":
    draw(ROOT / "docs" / "images" / "stability.png", sys.argv[1] if sys.argv[1:] else None)
