"""One picture of what a model's spatial transformers do with a few images."""

from __future__ import annotations

import numpy as np

from keras_stn.visualization.arrays import flat, scaled
from keras_stn.visualization.outlines import color, draw_outline
from keras_stn.visualization.panels import show

# Of the surroundings of an image, in sizes of it: shown always, so that films do not jump.
MARGIN = 0.25
PANEL = 1.35  # inches


def draw_recordings(recordings, *, title=None):
    """A matplotlib `Figure` of recordings: for each image the input, outlines and crops.

    Args:
        recordings: From names of layers to `Recording`s of the same images.
        title: Above the picture.
    """
    from matplotlib.figure import Figure

    panels = [
        panel for name, seen in recordings.items() for panel in _panels(name, seen, len(recordings))
    ]
    count = len(next(iter(recordings.values())).source)
    # Images side by side until the picture is about as wide as a screen.
    columns = max(1, min(count, round(np.sqrt(1.6 * count / len(panels)))))
    rows = -(-count // columns)
    gap, edge = 0.25, 0.1
    block = PANEL * len(panels)
    width = 2 * edge + columns * block + (columns - 1) * gap
    header = 0.5
    height = edge + header + rows * PANEL
    figure = Figure(figsize=(width, height), facecolor="white")
    if title is not None:
        figure.text(edge / width, 1 - 0.08 / height, title, va="top", fontsize=11, weight="bold")
    for i in range(rows * columns):
        row, column = divmod(i, columns)
        for j, (name, draw) in enumerate(panels):
            if i >= count:
                continue
            left = edge + column * (block + gap) + j * PANEL
            bottom = height - header - (row + 1) * PANEL
            axes = figure.add_axes(
                [
                    (left + 0.03) / width,
                    (bottom + 0.03) / height,
                    (PANEL - 0.06) / width,
                    (PANEL - 0.06) / height,
                ]
            )
            axes.set_xticks([])
            axes.set_yticks([])
            draw(axes, i)
            if row == 0:
                x = (left + PANEL / 2) / width
                figure.text(x, 1 - 0.46 / height, name, ha="center", va="bottom", fontsize=8)
    return figure


def _panels(name, seen, layers):
    """The titles of a layer's panels, and what draws each: `draw(axes, i)` for image i."""
    source, grid, crops = flat(seen.source, seen.grid, seen.crops)
    images, crops = _scaled(source, crops)
    count = grid.shape[1]

    def draw_input(axes, i):
        show(axes, images[i])
        height, width = images.shape[1:3]
        axes.set_xlim(-MARGIN * width - 0.5, (1 + MARGIN) * width - 0.5)
        axes.set_ylim((1 + MARGIN) * height - 0.5, -MARGIN * height - 0.5)
        axes.set_facecolor("0.9")
        _frame(axes, "0.9")
        for k in range(count):
            draw_outline(axes, grid[i, k], (height, width), seen.align_corners, color(k))

    def draw_crop(k):
        def draw(axes, i):
            show(axes, crops[i, k])
            _frame(axes, color(k))

        return draw

    yield ("input" if layers == 1 else name), draw_input
    for k in range(count):
        yield ("crop" if count == 1 else f"crop {k}"), draw_crop(k)


def _scaled(source, crops):
    """Both with 3 channels or 1, between 0 and 1 from the lowest to the highest of the source."""
    if source.shape[-1] != 3:
        source, crops = (x.mean(axis=-1, keepdims=True) for x in (source, crops))
    finite = source[np.isfinite(source)]
    low, high = (finite.min(), finite.max()) if finite.size else (0.0, 1.0)
    return scaled(source, low, high), scaled(crops, low, high)


def _frame(axes, color):
    for spine in axes.spines.values():
        spine.set_color(color)
        spine.set_linewidth(2)
