"""Draws docs/images/antialiasing.png, and prints the table of docs/antialiasing.md.

KERAS_BACKEND=torch python docs/figures/antialiasing.py
"""

import pathlib

import keras
import numpy as np
import skimage.data
from matplotlib.figure import Figure

from keras_stn import ops

ROOT = pathlib.Path(__file__).parents[2]
SHRINKINGS = [(1, 1.5), (1, 2), (1, 3), (1, 4), (2, 2), (2, 3), (2, 4), (3, 3)]  # y, x
DRAWN = (2, 4)
LAST = {"data_format": "channels_last"}


def photographs():
    """{name: (1, height, width, 3)}, in [0, 1], of sizes that all shrinkings divide."""
    found = {"astronaut": skimage.data.astronaut(), "cat": skimage.data.chelsea()}
    cropped = (x[: len(x) // 60 * 60, : x.shape[1] // 60 * 60] for x in found.values())
    return {n: (x[None] / 255).astype("float32") for n, x in zip(found, cropped, strict=True)}


def shrunk(image, by):
    """The image by Keras's antialiased resizing, by our sampler, and by that with antialiasing."""
    size = [round(side / factor) for side, factor in zip(image.shape[1:3], by, strict=True)]
    theta = np.eye(2, 3, dtype="float32").reshape(1, 6)
    grid = ops.affine_grid(theta, size, align_corners=False)
    options = {"fill_mode": "nearest", "align_corners": False, **LAST}
    made = (
        keras.ops.image.resize(image, size, antialias=True, **LAST),
        ops.grid_sample(image, grid, **options),
        ops.grid_sample(image, grid, antialias=True, **options),
    )
    return [keras.ops.convert_to_numpy(x)[0] for x in made]


def psnr(actual, expected):
    """Peak signal-to-noise ratio of images in [0, 1], in dB."""
    return -10 * np.log10(np.mean((actual.astype("float64") - expected) ** 2))


def table():
    """Markdown: with antialiasing, in brackets without."""
    images = photographs()
    lines = ["| shrunk in y, x by | " + " | ".join(images) + " |", "|---" * (1 + len(images)) + "|"]
    for by in SHRINKINGS:
        cells = []
        for image in images.values():
            expected, plain, smooth = shrunk(image, by)
            cells.append(f"{psnr(smooth, expected):.1f} ({psnr(plain, expected):.1f})")
        lines.append(f"| {by[0]:g}, {by[1]:g} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def draw(path):
    """Part of a photograph, shrunk in three ways."""
    made = shrunk(photographs()["astronaut"], DRAWN)
    names = ("keras.ops.image.resize, antialiased", "grid_sample", "grid_sample, antialias=True")
    figure = Figure(figsize=(9, 3.4), layout="constrained")
    for panel, image, name in zip(figure.subplots(1, 3), made, names, strict=True):
        panel.imshow(image[40:160, 25:85], aspect=DRAWN[0] / DRAWN[1], interpolation="nearest")
        panel.set_title(name, fontsize=10)
        panel.set_xticks([])
        panel.set_yticks([])
    figure.savefig(path, dpi=80)


if __name__ == "__main__":
    draw(ROOT / "docs" / "images" / "antialiasing.png")
    print(table())
