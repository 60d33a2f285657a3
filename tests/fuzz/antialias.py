"""Antialiased `grid_sample`: as without where nothing shrinks, in the image's range elsewhere."""

import functools

import keras
import numpy as np
from hypothesis import strategies as st

from keras_stn import ops
from tests import reference
from tests.backend import to_numpy, traced
from tests.fuzz.inputs import IMAGES, assert_within, channels_last, far_outside, seeds, special
from tests.ops.inputs import move_channels

OUTPUT_SIZES = {2: [(1, 1), (1, 5), (6, 4)], 3: [(1, 2, 1), (3, 2, 4)]}


@functools.cache
def sampler(**options):
    """`grid_sample`, the same function for the same options."""
    return traced(lambda images, grid: ops.grid_sample(images, grid, antialias=True, **options))


@st.composite
def cases(draw):
    """Shapes, modes, how far to zoom out, whether images are flat, wild coordinates, a seed."""
    sizes, data_format, fill_value = draw(st.sampled_from([*IMAGES, ((12, 9), "channels_last", 1)]))
    options = {
        "fill_mode": draw(st.sampled_from(reference.FILL_MODES)),
        "align_corners": draw(st.booleans()),
        "data_format": data_format,
        "fill_value": fill_value,
    }
    output_size = draw(st.sampled_from(OUTPUT_SIZES[len(sizes)]))
    zoom, flat = draw(st.floats(-4, 6)), draw(st.booleans())
    return sizes, output_size, options, zoom, flat, draw(st.lists(special, max_size=3)), draw(seeds)


def longest_step(grid, sizes, align_corners):
    """The largest distance, in pixels, of neighbours in a grid (*output_size, n)."""
    pixels = np.stack(
        [reference.to_pixels(grid[..., i], n, align_corners) for i, n in enumerate(sizes[::-1])], -1
    )
    steps = [
        np.linalg.norm(np.diff(pixels, axis=axis), axis=-1).max(initial=0)
        for axis in range(len(sizes))
    ]
    return max(steps)


def check(case):
    """Raises `AssertionError` where a sample is wrong, or cannot be right."""
    sizes, output_size, options, zoom, flat, wild, seed = case
    rng, ndim = np.random.default_rng(seed), len(sizes)
    images = rng.normal(size=(2, *([1] * ndim if flat else sizes), 2)).astype("float32")
    images = np.broadcast_to(images, (2, *sizes, 2)).copy()
    turn = np.linalg.qr(rng.normal(size=(ndim, ndim)))[0]
    theta = np.concatenate([2**zoom * turn, rng.uniform(-1, 1, (ndim, 1))], axis=1)
    crop = reference.affine_grid(theta, output_size, options["align_corners"])[0]
    folds = rng.uniform(-2, 2, crop.shape)
    for coordinate in wild:
        folds[tuple(rng.integers(0, folds.shape))] = coordinate
    grid = np.stack([crop, folds]).astype("float32")

    fn = sampler(**options)
    data_format = options["data_format"]
    arrays = move_channels(images, data_format), grid
    samples = to_numpy(fn(*map(keras.ops.convert_to_tensor, arrays)))
    samples = channels_last(samples, data_format)
    assert samples.shape == (2, *output_size, 2)
    fill_value = options["fill_value"] if options["fill_mode"] == "constant" else None
    assert_within(samples, images, fill_value)
    if fill_value is not None:
        outside = far_outside(grid, sizes, options["align_corners"])
        np.testing.assert_allclose(samples[outside], fill_value, atol=1e-3)
    if longest_step(crop, sizes, options["align_corners"]) < 0.99:
        plain = {**options, "data_format": "channels_last"}
        expected = reference.grid_sample(images[:1], grid[:1], **plain)
        np.testing.assert_allclose(samples[:1], expected, atol=3e-4)
