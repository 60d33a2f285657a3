"""Still pictures of images, grids and crops."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from keras_stn._types import DataFormat, TensorLike
from keras_stn.visualization.arrays import arrays, check_depth, flat, limits, scaled
from keras_stn.visualization.outlines import color, draw_lines, draw_outline, enlarge
from keras_stn.visualization.panels import check_count, check_titles, new_figure, show

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def plot_transforms(
    images: TensorLike,
    grid: TensorLike,
    warped: TensorLike,
    *,
    titles: Sequence[str] | None = None,
    align_corners: bool = True,
    data_format: DataFormat | None = None,
    columns: int = 1,
    depth: float = 0.5,
) -> Figure:
    """Draws images, where the transformer looked, and what it passed on.

    Each image takes its panels side by side: the input, the input with the outline of the sampling
    grid drawn on it, the output; of several crops, all outlines and each output. The outline of an
    affine grid is a quadrilateral; its top edge is drawn thicker, so that flips and rotations show.
    Where the transformer looked beyond the image, the panel is enlarged to show the outline whole.

    Convention:
        `grid` holds source coordinates, normalized to [-1, 1], last axis (x, y) or (x, y, z).

    Args:
        images: Images (batch, height, width, channels) of 1 or 3 channels, or channels first; or
            volumes (batch, depth, height, width, channels). Grey images are drawn from their own
            minimum to their maximum, colour from 0 to 1, or further if its values go further.
        grid: The sampling grids (batch, h, w, 2), for volumes (batch, d, h, w, 3); of several crops
            an image (batch, K, ...).
        warped: The transformer's output, (batch, h, w, channels), (batch, d, h, w, channels) or
            (batch, K, ...); with channels first, (batch, channels, ...), the K crops after the
            channels, as `keras_stn.ops.grid_sample` returns them.
        titles: A list of strings, one an image, or None.
        align_corners: bool, as the grid was made with.
        data_format: "channels_last" or "channels_first"; None means
            `keras.config.image_data_format()`.
        columns: int, how many images to put side by side.
        depth: float. Which slice of volumes is drawn, of the input and of the output: 0 is the
            first, 1 the last.

    Returns:
        The matplotlib `Figure`. It is not shown: call `figure.savefig(path)`, or in a notebook
        leave it as the last value of a cell.

    Raises:
        ImportError: matplotlib is not installed.
        ValueError: The three batches do not fit together, or are not images.

    Example:
        >>> import numpy as np
        >>> from keras_stn import ops, visualization
        >>> images = np.random.default_rng(0).uniform(size=(2, 28, 28, 1)).astype("float32")
        >>> grid = ops.affine_grid(np.array([[0.5, 0, 0, 0, 0.5, 0]] * 2, "float32"), (28, 28))
        >>> warped = ops.grid_sample(images, grid, data_format="channels_last")
        >>> figure = visualization.plot_transforms(
        ...     images, grid, warped, data_format="channels_last"
        ... )
        >>> len(figure.axes)
        6
    """
    images, grid, warped, low, high, titles = _prepared(
        images, grid, warped, titles, columns, depth, data_format
    )
    crops = grid.shape[1]
    figure, blocks = new_figure("plot_transforms", len(images), 2 + crops, columns, titles)
    warped = scaled(warped, low[:, None], high[:, None])
    for i, (before, where, *after) in enumerate(blocks):
        show(before, images[i])
        show(where, images[i])
        for k in range(crops):
            draw_outline(where, grid[i, k], images.shape[1:3], align_corners, color(k))
            show(after[k], warped[i, k])
        enlarge(where, grid[i], images.shape[1:3], align_corners)
    return figure


def plot_sampling_grid(
    images: TensorLike,
    grid: TensorLike,
    *,
    lines: int = 9,
    titles: Sequence[str] | None = None,
    align_corners: bool = True,
    data_format: DataFormat | None = None,
    columns: int = 4,
    depth: float = 0.5,
) -> Figure:
    """Draws sampling grids on the images that they read.

    One panel an image: rows and columns of the grid as lines, and its outline, the top edge
    thicker. Lines that crowd together are where the warp magnifies, lines that bend are where it
    is not affine, lines beyond the image read what `fill_mode` puts there.

    Convention:
        `grid` holds source coordinates, normalized to [-1, 1], last axis (x, y) or (x, y, z).

    Args:
        images: Images or volumes, as in `plot_transforms`.
        grid: The sampling grids (batch, h, w, 2), for volumes (batch, d, h, w, 3); of several crops
            an image (batch, K, ...), each in its colour.
        lines: int. At most so many rows and so many columns of the grid are drawn.
        titles: A list of strings, one an image, or None.
        align_corners: bool, as the grid was made with.
        data_format: "channels_last" or "channels_first"; None means
            `keras.config.image_data_format()`.
        columns: int, how many images to put side by side.
        depth: float. Which slice of volumes is drawn, of image and grid: 0 is the first, 1 the
            last.

    Returns:
        The matplotlib `Figure`, not shown.

    Raises:
        ImportError: matplotlib is not installed.
        ValueError: Images and grid do not fit together, or are not images.

    Example:
        >>> import numpy as np
        >>> from keras_stn import transforms, visualization
        >>> images = np.random.default_rng(0).uniform(size=(2, 28, 28, 1)).astype("float32")
        >>> theta = np.array([[0.7], [-0.7]], "float32")
        >>> grid = transforms.Rotation().grid(theta, (28, 28))
        >>> figure = visualization.plot_sampling_grid(images, grid, data_format="channels_last")
        >>> len(figure.axes)
        2
    """
    check_count("lines", lines)
    images, grid, *_, titles = _prepared(
        images, grid, None, titles, columns, depth, data_format, crops=False
    )
    columns = min(columns, len(images))
    figure, blocks = new_figure("plot_sampling_grid", len(images), 1, columns, titles)
    for i, (axes,) in enumerate(blocks):
        show(axes, images[i])
        for k in range(grid.shape[1]):
            size = images.shape[1:3]
            draw_lines(axes, grid[i, k], size, align_corners, color(k), lines)
            draw_outline(axes, grid[i, k], size, align_corners, color(k))
        enlarge(axes, grid[i], images.shape[1:3], align_corners)
    return figure


def _prepared(images, grid, warped, titles, columns, depth, data_format, crops=True):
    """Flat images between 0 and 1, grids, crops, what 0 and 1 stand for, and titles."""
    check_count("columns", columns)
    check_depth(depth)
    images, grid, warped = flat(*arrays(images, grid, warped, data_format, crops), depth)
    titles = check_titles(titles, len(images))
    low, high = limits(images)
    return scaled(images, low, high), grid, warped, low, high, titles
