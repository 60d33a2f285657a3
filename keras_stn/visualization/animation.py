"""A film of what changing thetas do to images."""

from __future__ import annotations

import numbers
from collections.abc import Sequence
from typing import TYPE_CHECKING

import keras
import numpy as np
from keras import ops

from keras_stn import transforms
from keras_stn._types import DataFormat, FillMode, Interpolation, Sizes, TensorLike
from keras_stn.ops.coordinates import extents
from keras_stn.ops.sampling import check_images_shape, check_options, grid_sample
from keras_stn.transforms.base import TransformLike
from keras_stn.visualization.arrays import arrays, check_depth, flat, limits, scaled
from keras_stn.visualization.outlines import color, draw_lines, draw_outline, enlarge
from keras_stn.visualization.panels import (
    check_count,
    check_titles,
    matplotlib_for,
    new_figure,
    show,
)

if TYPE_CHECKING:
    from matplotlib.animation import FuncAnimation


def animate_theta(
    images: TensorLike,
    thetas: TensorLike,
    *,
    transform: TransformLike = "affine",
    output_size: Sizes | None = None,
    interpolation: Interpolation = "bilinear",
    fill_mode: FillMode = "constant",
    fill_value: float = 0.0,
    align_corners: bool = True,
    antialias: bool = False,
    lines: int = 9,
    titles: Sequence[str] | None = None,
    data_format: DataFormat | None = None,
    columns: int = 1,
    depth: float = 0.5,
    frames_per_second: float = 10.0,
) -> FuncAnimation:
    """Films what thetas that change do to images: the grid on the image, and what comes out.

    For example theta of a few images over the epochs of a training, or a path between two thetas.

    Args:
        images: Images (batch, height, width, channels) of 1 or 3 channels, or volumes (batch,
            depth, height, width, channels), or channels first.
        thetas: Frame by frame, (frames, batch, num_params); or (frames, num_params) for all the
            images alike. Matrices are flattened to their num_params.
        transform: The family of the thetas, its name or a `keras_stn.transforms.Transform`.
        output_size: (height, width) or (depth, height, width) of the output in pixels; None keeps
            that of the images.
        interpolation: "bilinear", "bicubic" or "nearest", as in `keras_stn.ops.grid_sample`.
        fill_mode: "constant", "nearest", "mirror", "reflect" or "wrap", as there.
        fill_value: float, in image intensity units, as there.
        align_corners: bool. Whether -1 and 1 are the centres of the corner pixels or their outer
            edges.
        antialias: bool, as there.
        lines: int. At most so many rows and columns of the grid are drawn.
        titles: A list of strings, one an image, or None.
        data_format: "channels_last" or "channels_first"; None means
            `keras.config.image_data_format()`.
        columns: int, how many images to put side by side.
        depth: float. Which slice of volumes is drawn, of input and output: 0 is the first, 1 the
            last.
        frames_per_second: float.

    Returns:
        A `matplotlib.animation.FuncAnimation`. `animation.save("theta.gif", writer="pillow")`
        writes it; in a notebook, `IPython.display.HTML(animation.to_jshtml())` plays it.

    Raises:
        ImportError: matplotlib is not installed.
        ValueError: An argument or a shape that is not one of the above.

    Example:
        >>> import os, tempfile
        >>> import numpy as np
        >>> from keras_stn import visualization
        >>> images = np.random.default_rng(0).uniform(size=(1, 28, 28, 1)).astype("float32")
        >>> angles = np.linspace(0, 1, 3, dtype="float32")[:, None]
        >>> animation = visualization.animate_theta(
        ...     images, angles, transform="rotation", data_format="channels_last"
        ... )
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     animation.save(os.path.join(folder, "theta.gif"), writer="pillow")
        ...     os.listdir(folder)
        ['theta.gif']
    """
    with matplotlib_for("animate_theta"):
        from matplotlib.animation import FuncAnimation

    data_format = data_format or keras.config.image_data_format()
    check_options(interpolation, fill_mode, fill_value, antialias, data_format)
    check_count("columns", columns)
    check_count("lines", lines)
    check_depth(depth)
    if not isinstance(frames_per_second, numbers.Real) or not frames_per_second > 0:
        raise ValueError(
            "`frames_per_second` must be a positive number. Received: "
            f"frames_per_second={frames_per_second!r}. Pass for example 10."
        )
    images = ops.convert_to_numpy(images)
    check_images_shape(images.shape, data_format)
    if np.issubdtype(images.dtype, np.integer):  # nothing in between can be sampled of these
        images = images.astype("float32")
    titles = check_titles(titles, len(images))
    spatial = images.shape[2:] if data_format == "channels_first" else images.shape[1:-1]
    family = transforms.get(transform).with_extent(extents(spatial, align_corners=align_corners))
    thetas = _of_each_image(ops.convert_to_numpy(thetas), len(images))

    size = spatial if output_size is None else output_size

    def at(frame):
        """Images, grids and crops of a frame, flat."""
        grid = family.grid(thetas[frame], size, align_corners=align_corners)
        warped = grid_sample(
            images,
            grid,
            interpolation=interpolation,
            fill_mode=fill_mode,
            fill_value=fill_value,
            align_corners=align_corners,
            antialias=antialias,
            data_format=data_format,
        )
        return flat(*arrays(images, grid, warped, data_format), depth)

    source = at(0)[0]
    low, high = limits(source)
    source = scaled(source, low, high)
    pixels = source.shape[1:3]
    everywhere = np.concatenate([at(frame)[1] for frame in range(len(thetas))], axis=1)
    figure, blocks = new_figure("animate_theta", len(images), 2, columns, titles)

    def draw(frame):
        _, grid, warped = at(frame)
        for i, (where, after) in enumerate(blocks):
            for axes in (where, after):
                for drawn in (*axes.images, *axes.lines):
                    drawn.remove()
            show(where, source[i])
            draw_lines(where, grid[i, 0], pixels, align_corners, color(0), lines)
            draw_outline(where, grid[i, 0], pixels, align_corners, color(0))
            enlarge(where, everywhere[i], pixels, align_corners)
            show(after, scaled(warped[i, 0], low[i], high[i]))

    interval = 1000 / frames_per_second
    return FuncAnimation(figure, draw, frames=len(thetas), interval=interval)


def _of_each_image(thetas, images):
    """(frames, num_params) or (frames, images, num_params) as the latter, matrices flattened."""
    if thetas.ndim == 4:
        thetas = thetas.reshape(*thetas.shape[:2], -1)
    if thetas.ndim == 2:
        thetas = np.repeat(thetas[:, None], images, axis=1)
    if thetas.ndim != 3 or thetas.shape[1] != images or not len(thetas):
        raise ValueError(
            "`thetas` must have shape (frames, num_params), or (frames, batch, num_params) with "
            f"a theta for each of the {images} images. Received: thetas.shape={thetas.shape}. "
            "Stack the thetas of the frames along the first axis."
        )
    return thetas
