"""Numbers, images and masks that several targets share."""

import numpy as np
from hypothesis import strategies as st

from tests import reference

# Sizes, layout, fill value. One program is compiled for each of them and each mode: they are few.
IMAGES = [
    ((1, 1), "channels_last", 0.0),
    ((1, 6), "channels_last", -1.5),
    ((5, 1), "channels_first", 0.0),
    ((4, 5), "channels_first", -1.5),
    ((3, 7), "channels_last", 0.0),
    ((2, 3, 4), "channels_last", 0.0),
    ((1, 3, 1), "channels_first", -1.5),
]
# Every float32, and those at the edge of what exists.
special = st.one_of(
    st.floats(width=32),
    st.sampled_from([np.nan, np.inf, -np.inf, -1.0, 0.0, 1.0, 16384.0, -16384.0, 1e38, -1e-38]),
)
seeds = st.integers(0, 2**32 - 1)


def channels_last(array, data_format):
    """The inverse of `tests.ops.inputs.move_channels`."""
    return np.moveaxis(array, 1, -1) if data_format == "channels_first" else array


def ties(grid, sizes, align_corners):
    """Which places lie between two pixels, where rounding may take either as the nearest."""
    tied = np.zeros(grid.shape[:-1], bool)
    for axis, size in enumerate(sizes[::-1]):
        pixel = reference.to_pixels(grid[..., axis], size, align_corners)
        tied |= np.abs(pixel - np.floor(pixel) - 0.5) < 1e-3
    return tied


def far_outside(grid, sizes, align_corners):
    """Which places read nothing but what lies outside the image, NaN among them."""
    # A single pixel is everywhere along its axis.
    bounded = [n > 1 or not align_corners for n in sizes[::-1]]
    return (~(np.abs(grid) <= 8) & np.array(bounded)).any(axis=-1)


def assert_within(samples, images, fill_value=None, atol=1e-4):
    """No sample of an image (both channels last) is darker or brighter than image and fill."""
    assert np.isfinite(samples).all()
    spatial = tuple(range(1, images.ndim - 1))
    low, high = images.min(axis=spatial), images.max(axis=spatial)
    if fill_value is not None:
        low, high = np.minimum(low, fill_value), np.maximum(high, fill_value)
    between = (len(samples), *[1] * (samples.ndim - 2), -1)
    assert (samples >= low.reshape(between) - atol).all()
    assert (samples <= high.reshape(between) + atol).all()
