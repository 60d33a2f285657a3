"""Pictures of what a spatial transformer does. Needs matplotlib: `pip install keras-stn[viz]`."""

from __future__ import annotations

import keras
import numpy as np
from keras import ops

from keras_stn.ops.coordinates import to_pixels


def plot_transforms(
    images, grid, warped, *, titles=None, align_corners=True, data_format=None, columns=1
):
    """Draws images, where the transformer looked, and what it passed on.

    Each image takes three panels side by side: the input, the input with the outline of the
    sampling grid drawn on it, the output. The outline of an affine grid is a quadrilateral; its
    top edge is drawn thicker, so that flips and rotations show. Where the transformer looked
    beyond the image, the panel is enlarged to show the outline whole.

    Convention:
        `grid` holds source coordinates, normalized to [-1, 1], last axis (x, y).

    Args:
        images: Images (batch, height, width, channels) of 1 or 3 channels, or channels first.
            Grey images are drawn from their own minimum to their maximum, colour in [0, 1].
        grid: The sampling grid (batch, h, w, 2).
        warped: The transformer's output (batch, h, w, channels), or channels first.
        titles: A list of strings, one an image, or None.
        align_corners: bool, as the grid was made with.
        data_format: "channels_last" or "channels_first"; None means
            `keras.config.image_data_format()`.
        columns: int, how many images to put side by side.

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
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError(
            "`plot_transforms` needs matplotlib. Install it: `pip install keras-stn[viz]`."
        ) from error

    data_format = data_format or keras.config.image_data_format()
    images, warped = (_channels_last(batch, data_format) for batch in (images, warped))
    grid = ops.convert_to_numpy(grid)
    _check(images, grid, warped, titles)

    rows = -(-len(images) // columns)
    figure = Figure(figsize=(4.2 * columns, 1.6 * rows))
    panels = figure.subplots(
        rows,
        3 * columns,
        squeeze=False,
        gridspec_kw={
            "left": 0.01,
            "right": 0.99,
            "bottom": 0.02 / rows,
            "top": 1 - 0.22 / rows,
            "wspace": 0.05,
            "hspace": 0.25,
        },
    )
    for axes in panels.flat:
        axes.set_axis_off()
    for i, image in enumerate(images):
        before, where, after = panels[i // columns, 3 * (i % columns) : 3 * (i % columns) + 3]
        _show(before, image, image)
        _show(where, image, image)
        _draw_outline(where, grid[i], image.shape[:2], align_corners)
        _show(after, warped[i], image)
        if titles is not None:
            where.set_title(titles[i], fontsize=8)
    return figure


def grid_outline(grid, size, *, align_corners=True):
    """The border of one sampling grid in the source image's pixels.

    Args:
        grid: NumPy array (h, w, 2) of normalized source coordinates.
        size: (height, width) of the source image in pixels.
        align_corners: bool, as the grid was made with.

    Returns:
        NumPy array (n, 2) of (x, y), clockwise from the output's top left corner, not closed. The
        first w points are the output's top edge.
    """
    height, width = size
    border = np.concatenate([grid[0], grid[1:, -1], grid[-1, -2::-1], grid[-2:0:-1, 0]])
    x = to_pixels(border[:, 0], width, align_corners=align_corners)
    y = to_pixels(border[:, 1], height, align_corners=align_corners)
    return np.stack([x, y], axis=-1)


def _draw_outline(axes, grid, size, align_corners):
    outline = grid_outline(grid, size, align_corners=align_corners)
    closed = np.concatenate([outline, outline[:1]])
    axes.plot(*closed.T, color="tab:orange", linewidth=1)
    axes.plot(*outline[: grid.shape[1]].T, color="tab:orange", linewidth=2.5)
    height, width = size
    finite = outline[np.isfinite(outline).all(axis=-1)]
    # At most one image of surroundings: a grid that ran away would leave nothing to see.
    low = np.clip(finite.min(axis=0, initial=-0.5) - 0.5, [-width, -height], 0)
    high = np.clip(finite.max(axis=0, initial=0) + 0.5, [width, height], [2 * width, 2 * height])
    axes.set_xlim(min(low[0], -0.5), max(high[0], width - 0.5))
    axes.set_ylim(max(high[1], height - 0.5), min(low[1], -0.5))


def _show(axes, image, reference):
    """Draws an image; grey ones between the extremes of `reference`."""
    image = image.astype("float32")
    if image.shape[-1] == 1:
        axes.imshow(image[..., 0], cmap="gray", vmin=reference.min(), vmax=reference.max())
    else:
        axes.imshow(np.clip(image, 0, 1))


def _channels_last(images, data_format):
    images = ops.convert_to_numpy(images)
    return np.moveaxis(images, 1, -1) if data_format == "channels_first" else images


def _check(images, grid, warped, titles):
    lengths = {len(images), len(grid), len(warped), len(images if titles is None else titles)}
    shapes_fit = images.ndim == warped.ndim == grid.ndim == 4 and grid.shape[-1] == 2
    if not shapes_fit or len(lengths) > 1 or images.shape[-1] not in (1, 3):
        raise ValueError(
            "`images` and `warped` must be batches of images of 1 or 3 channels, `grid` a batch "
            "of grids (batch, h, w, 2), all and `titles` of one length. Received: "
            f"images.shape={images.shape}, grid.shape={grid.shape}, warped.shape={warped.shape}, "
            f"titles={titles}. Check `data_format`, and that all come from the same batch."
        )
