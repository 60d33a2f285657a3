"""A sampling grid, drawn on the image that it reads."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from keras import ops
from numpy.typing import NDArray

from keras_stn._types import TensorLike
from keras_stn.ops.coordinates import to_pixels

COLORS = ("tab:orange", "tab:cyan", "tab:pink", "tab:olive", "tab:purple", "tab:green")
# Matplotlib's canvas counts in integers: what ran far away stays this many image sizes away.
FAR = 100.0


def grid_outline(
    grid: TensorLike, size: Sequence[int], *, align_corners: bool = True
) -> NDArray[np.floating]:
    """The border of one sampling grid in the source image's pixels.

    Args:
        grid: Normalized source coordinates (h, w, 2), of one image.
        size: (height, width) of the source image in pixels.
        align_corners: bool, as the grid was made with.

    Returns:
        NumPy array (n, 2) of (x, y), clockwise from the output's top left corner, not closed. The
        first w points are the output's top edge.

    Raises:
        ValueError: The grid is not of that shape.

    Example:
        >>> from keras_stn import ops, visualization
        >>> visualization.grid_outline(ops.identity_grid((2, 2)), (48, 64)).tolist()
        [[0.0, 0.0], [63.0, 0.0], [63.0, 47.0], [0.0, 47.0]]
    """
    grid = ops.convert_to_numpy(grid)
    if grid.ndim != 3 or grid.shape[-1] != 2:
        raise ValueError(
            f"`grid` must have shape (h, w, 2). Received: grid.shape={grid.shape}. Pass the grid "
            "of one image."
        )
    border = np.concatenate([grid[0], grid[1:, -1], grid[-1, -2::-1], grid[-2:0:-1, 0]])
    return in_pixels(border, size, align_corners)


def color(k):
    """That of an image's k-th outline, and of the frame of what it shows."""
    return COLORS[k % len(COLORS)]


def in_pixels(points, size, align_corners):
    """Normalized points (..., 2) as pixels (x, y) of an image of `size` (height, width)."""
    height, width = size
    x = to_pixels(points[..., 0], width, align_corners=align_corners)
    y = to_pixels(points[..., 1], height, align_corners=align_corners)
    return np.stack([x, y], axis=-1)


def draw_outline(axes, grid, size, align_corners, color):
    """Draws the outline of a grid (h, w, 2), its top edge thicker: flips and turns show."""
    outline = grid_outline(grid, size, align_corners=align_corners)
    closed = _near(np.concatenate([outline, outline[:1]]), size)
    top = closed[: grid.shape[1]]
    for line, width in ((closed, 1.4), (top, 3.0)):
        axes.plot(*line.T, color="black", linewidth=width + 1.2, alpha=0.5, solid_capstyle="round")
    for line, width in ((closed, 1.4), (top, 3.0)):
        axes.plot(*line.T, color=color, linewidth=width, solid_capstyle="round")


def draw_lines(axes, grid, size, align_corners, color, lines):
    """Draws at most `lines` rows and as many columns of a grid (h, w, 2)."""
    places = _near(in_pixels(grid, size, align_corners), size)
    for axis in (0, 1):
        count = places.shape[axis]
        chosen = np.unique(np.linspace(0, count - 1, min(lines, count)).round().astype(int))
        for line in np.moveaxis(places, axis, 0)[chosen]:
            axes.plot(*line.T, color=color, linewidth=0.7, alpha=0.9)


def enlarge(axes, grids, size, align_corners):
    """Makes room for grids (..., 2) that lie beyond the image: at most one image all round."""
    height, width = size
    places = in_pixels(grids, size, align_corners).reshape(-1, 2)
    finite = places[np.isfinite(places).all(axis=-1)]
    edge = 0.5 + 0.02 * max(size)
    low = np.clip(finite.min(axis=0, initial=edge - 0.5) - edge, [-width, -height], -0.5)
    high = finite.max(axis=0, initial=0.0) + edge
    high = np.clip(high, [width - 0.5, height - 0.5], [2 * width, 2 * height])
    axes.set_xlim(low[0], high[0])
    axes.set_ylim(high[1], low[1])


def _near(places, size):
    return np.clip(places, -FAR * max(size), FAR * max(size))
