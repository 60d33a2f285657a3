"""`grid_sample`: values, and gradients to images and grid, against the float64 oracle.

Over shapes, modes, layouts and coordinates that no one would choose; every tenth compiled.
"""

import functools

import keras
import numpy as np
from hypothesis import strategies as st

from keras_stn import ops
from tests import reference
from tests.backend import BACKEND, compiled, differentiable, to_numpy, traced
from tests.fuzz.inputs import IMAGES, channels_last, far_outside, seeds, special, ties
from tests.ops.inputs import move_channels

POINTS = 10
STEP = 1e-5  # of the oracle's finite differences, in pixels


@functools.cache
def sampler(compile, **options):
    """Samples, and their gradients to images and grid, as one function of both and upstream."""

    def run(images, grid, upstream):
        fn = functools.partial(ops.grid_sample, **options)
        if BACKEND == "numpy":
            return (fn(images, grid),)
        return fn(images, grid), *differentiable(fn, upstream)(images, grid)

    return compiled(run) if compile else traced(run)


@st.composite
def cases(draw):
    """Shapes, modes, a seed for the numbers, and a few coordinates from the edge of what exists."""
    sizes, data_format, fill_value = draw(st.sampled_from(IMAGES))
    options = {
        "interpolation": draw(st.sampled_from(["nearest", "bilinear", "bicubic"])),
        "fill_mode": draw(st.sampled_from(reference.FILL_MODES)),
        "align_corners": draw(st.booleans()),
        "data_format": data_format,
        "fill_value": fill_value,
    }
    wild = draw(st.lists(special, max_size=4))
    return sizes, options, wild, draw(seeds), draw(st.integers(0, 9)) == 0


def pixel_points(rng, sizes):
    """Coordinates in pixels, in and around the image, some of them on pixels and edges."""
    size = np.array(sizes[::-1])
    x = rng.uniform(-1.5, 2.5, (2, POINTS, len(sizes))) * size
    return np.where(rng.uniform(size=x.shape) < 0.2, np.round(x), x)


def check(case):
    """Raises `AssertionError` where the backend and the oracle differ."""
    sizes, options, wild, seed, compile = case
    rng = np.random.default_rng(seed)
    ndim, data_format = len(sizes), options["data_format"]
    interpolation, align_corners = options["interpolation"], options["align_corners"]
    images = rng.normal(size=(2, *sizes, 2)).astype("float32")
    pixels = pixel_points(rng, sizes)
    columns = [
        reference.to_normalized(pixels[..., i], size, align_corners)
        if size > 1 or not align_corners
        else pixels[..., i]
        for i, size in enumerate(sizes[::-1])
    ]
    grid = np.stack(columns, axis=-1).astype("float32")
    far = np.zeros((2, POINTS), bool)
    for place, coordinate in enumerate(wild):
        axis = seed % ndim
        grid[place % 2, place, axis] = coordinate
        far[place % 2, place] = not abs(coordinate) <= 3  # too far for the oracle, or NaN
    upstream = rng.normal(size=(2, POINTS, 2)).astype("float32")

    arrays = move_channels(images, data_format), grid, move_channels(upstream, data_format)
    fn = sampler(compile, **options)
    samples, *slopes = fn(*map(keras.ops.convert_to_tensor, arrays))
    samples = channels_last(to_numpy(samples), data_format)

    near = np.where(far[..., None], 0.0, grid).astype("float64")
    oracle = functools.partial(reference.grid_sample, **{**options, "data_format": "channels_last"})
    expected = oracle(images, near)
    clear = ~far
    if interpolation == "nearest":
        clear &= ~ties(near, sizes, align_corners)
    np.testing.assert_allclose(samples[clear], expected[clear], atol=3e-4)
    assert np.isfinite(samples).all()
    if options["fill_mode"] == "constant":
        outside = far_outside(grid, sizes, align_corners)
        np.testing.assert_allclose(samples[outside], options["fill_value"], atol=1e-5)
    if slopes:
        check_gradients(images, near, upstream, clear, options, oracle, slopes)


def check_gradients(images, near, upstream, clear, options, oracle, slopes):
    """Both gradients; that to the grid where no kink is near."""
    # No gradient is as good as a zero one: nearest neighbours have none to the grid.
    to_images, to_grid = (
        np.zeros(like.shape) if slope is None else to_numpy(slope)
        for slope, like in zip(slopes, (images, near), strict=True)
    )
    assert np.isfinite(to_images).all()
    assert np.isfinite(to_grid).all()
    # Samples are linear in the images, but for what the fill adds.
    linear = {**options, "fill_value": 0.0, "data_format": "channels_last"}
    plain = reference.grid_sample(images, near, **linear)
    if clear.all():
        to_images = channels_last(to_images, options["data_format"]).astype("float64")
        np.testing.assert_allclose(np.sum(to_images * images), np.sum(plain * upstream), atol=3e-3)
    if options["interpolation"] == "nearest":
        assert not to_grid.any()
        return
    for axis, size in enumerate(images.shape[1:-1][::-1]):
        extent = size - 1 if options["align_corners"] else size
        if extent == 0:
            assert not to_grid[..., axis].any()
            continue
        pixel = reference.to_pixels(near[..., axis], size, options["align_corners"])
        smooth = np.abs(pixel * 2 - np.round(pixel * 2)) > 2e-3
        step = np.zeros(near.shape[-1])
        step[axis] = STEP * 2 / extent
        slope = (oracle(images, near + step) - oracle(images, near - step)) / (2 * STEP)
        wanted = np.sum(slope * upstream, axis=-1) * extent / 2
        use = smooth & clear
        np.testing.assert_allclose(to_grid[..., axis][use], wanted[use], atol=3e-3, rtol=2e-3)
