"""Images and points for the tests of the samplers."""

import numpy as np

from tests import reference

SIZES = {2: (4, 5), 3: (3, 4, 5)}


def images(rng, ndim=2, batch=2, channels=3, sizes=None):
    """Seeded noise, channels last, float64."""
    return rng.normal(size=(batch, *(sizes or SIZES[ndim]), channels))


def points(rng, sizes, batch=2, count=60, align_corners=True, reach=1.6):
    """Normalized points in and around the image, (batch, count, ndim).

    Never within a tenth of a pixel of a pixel's centre (where the derivative jumps) or of the
    middle between two (where nearest jumps). `reach`: how far out, in sizes of the image.
    """
    columns = []
    for size in reversed(sizes):
        cell = rng.integers(-int(reach * size), int((reach + 1) * size), size=(batch, count))
        fraction = rng.uniform(0.1, 0.4, size=(batch, count))
        fraction = np.where(rng.uniform(size=(batch, count)) < 0.5, fraction, 1 - fraction)
        columns.append(reference.to_normalized(cell + fraction, size, align_corners))
    return np.stack(columns, axis=-1)


def move_channels(array, data_format):
    """Channels last as `data_format`."""
    return np.moveaxis(array, -1, 1) if data_format == "channels_first" else array
