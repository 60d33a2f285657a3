"""Draws the pictures of docs/conventions.md and docs/gradients.md.

    KERAS_BACKEND=jax python docs/figures/explanation.py

Any backend with gradients will do.
"""

import sys
from pathlib import Path

import keras
import numpy as np
from matplotlib.figure import Figure

sys.path.append(str(Path(__file__).parent))

from families import load_sign

from keras_stn import ops, transforms
from keras_stn.callbacks.differentiation import differentiate
from keras_stn.visualization import grid_outline

FOLDER = Path(__file__).parents[1] / "images" / "explanation"
FILL_MODES = ("constant", "nearest", "mirror", "reflect", "wrap")
BLUE, ORANGE = "tab:blue", "tab:orange"


def main():
    """Draws all of them."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for draw in (align_corners, pull, shear, fill_modes, basins):
        draw().savefig(FOLDER / f"{draw.__name__}.png", dpi=90)


def sample(image, grid, **options):
    """One image (height, width, channels) read at one grid, in [0, 1]."""
    read = ops.grid_sample(image[None], grid, data_format="channels_last", **options)
    return keras.ops.convert_to_numpy(read)[0].clip(0, 1)


def sign(size=64):
    """A stop sign, (size, size, 3)."""
    image = load_sign()
    grid = ops.affine_grid(np.array([[1, 0, 0, 0, 1, 0]], "float32"), (size, size))
    return sample(image, grid)


def align_corners():
    """Four pixels, where -1 and 1 are, and where eight read them."""
    figure = Figure(figsize=(8, 3), layout="constrained")
    for axes, aligned in zip(figure.subplots(1, 2, sharex=True), (True, False), strict=True):
        for i in range(4):
            axes.fill_between([i - 0.5, i + 0.5], 0, 1, color=str(0.55 + 0.12 * i), ec="white")
            axes.plot(i, 0.5, "k+", markersize=9)
        ends = np.array([[[-1.0, 0.0], [1.0, 0.0]]], "float32")
        ends = np.asarray(ops.normalized_to_pixels(ends, (1, 4), align_corners=aligned))[0, :, 0]
        for end, text in zip(ends, ("-1", "1"), strict=True):
            axes.axvline(end, 0.1, 0.85, color=ORANGE)
            axes.text(end, 1.2, text, ha="center", color=ORANGE, fontsize=13)
        grid = ops.identity_grid((1, 8), align_corners=aligned)
        places = np.asarray(ops.normalized_to_pixels(grid, (1, 4), align_corners=aligned))
        axes.plot(places[0, :, 0], np.full(8, -0.25), "o", color=BLUE)
        axes.set(ylim=(-0.5, 1.4), xlim=(-0.8, 3.8), title=f"align_corners={aligned}")
        axes.set_axis_off()
    return figure


def pull():
    """Three thetas: where they read, and what comes out."""
    image = sign()
    thetas = {
        "scale 0.5": [0.5, 0, 0, 0, 0.5, 0],
        "shift x by 0.5": [1, 0, 0.5, 0, 1, 0],
        "turn by 30°": [0.866, -0.5, 0, 0.5, 0.866, 0],
    }
    figure = Figure(figsize=(9, 4.4), layout="constrained")
    panels = figure.subplots(2, 3)
    for column, (name, theta) in enumerate(thetas.items()):
        grid = ops.affine_grid(np.array([theta], "float32"), (64, 64))
        above, below = panels[:, column]
        with_outline(above, image, grid)
        below.imshow(sample(image, grid))
        above.set_title(name)
        below.set_title("the result", fontsize=9)
        above.set(xlim=(-14, 98), ylim=(78, -14))
        below.set_axis_off()
    return figure


def with_outline(axes, image, grid):
    """An image with the outline of what a grid reads, its top edge thick."""
    size = image.shape[:2]
    grid = keras.ops.convert_to_numpy(grid)[0]
    axes.imshow(image)
    axes.plot(*np.asarray(grid_outline(grid, size)).T, color=ORANGE)
    top = np.asarray(ops.normalized_to_pixels(grid[:1], size))[0]
    axes.plot(*top.T, color=ORANGE, linewidth=3)
    axes.set_axis_off()


def shear():
    """A wide image turned by the matrix of 45°, and by the family that knows its sides."""
    square = sign(100)
    image = np.concatenate([square, square[:, ::-1]], axis=1)
    size = image.shape[:2]
    c = float(np.cos(np.pi / 4))
    grids = {
        "affine, the matrix of 45°": ops.affine_grid(
            np.array([[c, -c, 0, c, c, 0]], "float32"), size
        ),
        "rotation by 45°": transforms.Rotation(extent=(99, 199)).grid(
            np.array([[np.pi / 4]], "float32"), size
        ),
    }
    figure = Figure(figsize=(9, 4.6), layout="constrained")
    panels = figure.subplots(2, 2)
    for (name, grid), (left, right) in zip(grids.items(), panels, strict=True):
        with_outline(left, image, grid)
        left.set(xlim=(-60, 260), ylim=(160, -60))
        left.set_title(name)
        right.imshow(sample(image, grid))
        right.set_axis_off()
    return figure


def fill_modes():
    """A sign read from far outside, and a row of four pixels that runs on."""
    image = sign()
    wide = ops.affine_grid(np.array([[2.5, 0, 0, 0, 2.5, 0]], "float32"), (160, 160))
    row = np.arange(4, dtype="float32")[None, None, :, None]
    pixels = np.stack([np.arange(-5, 9), np.zeros(14)], axis=-1)[None, None].astype("float32")
    line = ops.pixels_to_normalized(pixels, (1, 4))
    letters = np.array(["a", "b", "c", "d", "·"])
    figure = Figure(figsize=(11, 2.9), layout="constrained")
    for axes, mode in zip(figure.subplots(1, len(FILL_MODES)), FILL_MODES, strict=True):
        axes.imshow(sample(image, wide, fill_mode=mode))
        read = ops.grid_sample(
            row, line, fill_mode=mode, fill_value=4.0, data_format="channels_last"
        )
        text = letters[np.rint(keras.ops.convert_to_numpy(read)[0, 0, :, 0]).astype(int)]
        sides = "".join(text[:5]), "".join(text[5:9]), "".join(text[9:])
        axes.set_title(mode)
        axes.text(
            0.5,
            -0.12,
            " | ".join(sides),
            transform=axes.transAxes,
            ha="center",
            family="monospace",
            fontsize=9,
        )
        axes.set_axis_off()
    return figure


def basins():
    """The loss of a sign against its shifted self, and its gradient by the library."""
    image = sign(128).mean(axis=-1, keepdims=True)[None]
    shifts = np.linspace(-0.6, 0.6, 241).astype("float32")
    figure = Figure(figsize=(10, 4.8), layout="constrained")
    panels = figure.subplots(2, 2, sharex=True)
    curves = {
        0: {"bilinear": (128, {}), "bicubic": (128, {"interpolation": "bicubic"})},
        1: {"bilinear": (32, {}), "antialiased": (32, {"antialias": True})},
    }
    for column, named in curves.items():
        above, below = panels[:, column]
        for name, (size, options) in named.items():
            losses, gradients = descend(image, shifts, size, options)
            above.plot(shifts * 63.5, losses, label=name)
            below.plot(shifts * 63.5, gradients, label=name)
        above.set_title(f"128 × 128 pixels read at {size} × {size}")
        above.set_ylabel("loss")
        below.set_ylabel("gradient to the shift")
        below.set_xlabel("shift, pixels of the source")
        below.axhline(0, color="gray", linewidth=0.5)
        above.legend()
    return figure


def descend(image, shifts, size, options):
    """Loss and gradient for each shift, of `image` read at `size`."""

    def crop(shift):
        x = keras.ops.reshape(shift, (1, 1))
        theta = keras.ops.concatenate([x, keras.ops.zeros_like(x)], axis=-1)
        grid = transforms.Translation().grid(theta, (size, size))
        return ops.grid_sample(
            image, grid, fill_mode="nearest", data_format="channels_last", **options
        )

    still = crop(keras.ops.zeros((1,)))

    def loss(values):
        return keras.ops.mean((crop(values[0]) - still) ** 2)

    slope = differentiate(loss)
    values = [[keras.ops.convert_to_tensor(shift[None])] for shift in shifts]
    losses = [float(keras.ops.convert_to_numpy(loss(value))) for value in values]
    slopes = [float(keras.ops.convert_to_numpy(slope(value)[0])[0]) for value in values]
    return losses, slopes


if __name__ == "__main__":
    main()
