"""A matplotlib figure of rows of small pictures."""

from __future__ import annotations

import contextlib

import numpy as np

PANEL = 1.4  # inches a side
TITLE = 0.22


@contextlib.contextmanager
def matplotlib_for(name):
    """Says in an `ImportError` of matplotlib's what needs it, and how to install it."""
    try:
        yield
    except ImportError as error:
        raise ImportError(
            f"`{name}` needs matplotlib. Install it: `pip install keras-stn[viz]`."
        ) from error


def new_figure(name, images, panels, columns, titles):
    """A `Figure` of `images` times `panels` panels, and the list of each image's axes.

    `columns`: how many images stand side by side. `titles`: one an image, or None.
    """
    with matplotlib_for(name):
        from matplotlib.figure import Figure

    rows = -(-images // columns)
    head = TITLE * max((title.count("\n") + 1 for title in titles or []), default=0.5)
    height = rows * (PANEL + head)
    figure = Figure(figsize=(PANEL * panels * columns, height))
    found = figure.subplots(
        rows,
        panels * columns,
        squeeze=False,
        gridspec_kw={
            "left": 0.01,
            "right": 0.99,
            "bottom": 0.02 / rows,
            "top": 1 - head / height,
            "wspace": 0.05,
            "hspace": head / PANEL,
        },
    )
    for axes in found.flat:
        axes.set_axis_off()
    blocks = [row[i : i + panels] for row in found for i in range(0, panels * columns, panels)]
    for i, title in enumerate(titles or []):
        blocks[i][panels // 2].set_title(title, fontsize=8)
    return figure, blocks[:images]


def show(axes, image):
    """Draws an image (H, W, C) of values between 0 and 1."""
    if image.shape[-1] == 1:
        axes.imshow(image[..., 0], cmap="gray", vmin=0, vmax=1)
    else:
        axes.imshow(image)


def check_count(name, count):
    """Raises `ValueError` unless `count` is a positive integer."""
    if not isinstance(count, (int, np.integer)) or isinstance(count, bool) or count < 1:
        raise ValueError(
            f"`{name}` must be a positive integer. Received: {name}={count!r}. Pass 1 or more."
        )


def check_titles(titles, images):
    """A string for each of the images, or None; else raises `ValueError`."""
    if titles is None:
        return None
    if isinstance(titles, str) or not hasattr(titles, "__len__") or len(titles) != images:
        raise ValueError(
            f"`titles` must be one string for each of the {images} images, or None. Received: "
            f"titles={titles!r}. Pass a list of as many as there are images."
        )
    return [str(title) for title in titles]
