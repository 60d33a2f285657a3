"""Images, grids and crops as the drawing needs them: NumPy, channels last, flat, in [0, 1]."""

from __future__ import annotations

import numbers

import keras
import numpy as np
from keras import ops

from keras_stn.ops.sampling import check_options


def arrays(images, grid, warped, data_format, crops=True):
    """NumPy arrays, channels last, with an axis of the crops of each image.

    (B, ..., C), (B, K, ..., n) and (B, K, ..., C); without `crops`, `warped` is None.

    Raises:
        ValueError: They do not fit together, or are not images of 1 or 3 channels.
    """
    data_format = data_format or keras.config.image_data_format()
    check_options("bilinear", "constant", 0.0, False, data_format)
    given = [ops.convert_to_numpy(0.0 if x is None else x) for x in (images, grid, warped)]
    images, grid, warped = given = given if crops else [*given[:2], None]
    single = grid.ndim == images.ndim
    if data_format == "channels_first" and images.ndim > 2:
        images = np.moveaxis(images, 1, -1)
        if warped is not None and warped.ndim > 2:
            warped = np.moveaxis(warped, 1, -1)
    if single:
        grid = _with_crops(grid)
        warped = None if warped is None else _with_crops(warped)
    fit = (
        images.ndim in (4, 5)
        and images.size > 0
        and grid.size > 0
        and images.shape[-1] in (1, 3)
        and grid.ndim == images.ndim + 1
        and grid.shape[-1] == images.ndim - 2
        and len(grid) == len(images)
        and (warped is None or warped.shape == (*grid.shape[:-1], images.shape[-1]))
    )
    if not fit:
        names = ("images", "grid", "warped")
        received = ", ".join(
            f"{name}.shape={x.shape}" for name, x in zip(names, given, strict=True) if x is not None
        )
        raise ValueError(
            "`images` must be a batch of one or more images or volumes of 1 or 3 channels, `grid` "
            "their sampling grids (batch, h, w, 2) or (batch, d, h, w, 3), or several an image "
            "(batch, K, ...), and `warped`, if given, what was sampled there. Received: "
            f"{received}. Check `data_format`, and that all come from the same batch."
        )
    floats = [x if x is None else x.astype("float32") for x in (images, grid, warped)]
    return tuple(floats)


def _with_crops(array):
    return np.expand_dims(array, min(1, array.ndim))


def flat(images, grid, warped, depth=0.5):
    """The same of volumes as of images: the slices at `depth` of the way, 0 to 1."""

    def at(count):
        return int(depth * (count - 1) + 0.5)

    if grid.shape[-1] == 2:
        return images, grid, warped
    images = images[:, at(images.shape[1])]
    there = at(grid.shape[2])
    return images, grid[:, :, there, ..., :2], None if warped is None else warped[:, :, there]


def limits(images):
    """What is drawn darkest and brightest of each image (B, H, W, C): two arrays (B, 1, 1, 1).

    Grey: its lowest and highest value. Colour: 0 and 1, or beyond if its values are.
    """
    over = {"axis": (1, 2, 3), "keepdims": True, "where": np.isfinite(images)}
    low, high = np.min(images, initial=np.inf, **over), np.max(images, initial=-np.inf, **over)
    low, high = (np.where(np.isfinite(x), x, 0) for x in (low, high))
    if images.shape[-1] == 3:
        low, high = np.minimum(low, 0), np.maximum(high, 1)
    return low, high


def scaled(values, low, high):
    """Values between 0 and 1; what is not finite is black."""
    scale = np.where(high > low, high - low, 1)
    return np.clip(np.nan_to_num((values - low) / scale), 0.0, 1.0)


def check_depth(depth):
    """Raises `ValueError` unless `depth` is between 0 and 1."""
    if not isinstance(depth, numbers.Real) or not 0 <= depth <= 1:
        raise ValueError(
            "`depth` must be between 0, the first slice of a volume, and 1, the last. Received: "
            f"depth={depth!r}. Pass for example 0.5."
        )
