"""Looks for inputs on which `grid_sample` is wrong: `python -m tests.fuzz [EXAMPLES]`.

On the active backend; hypothesis prints the smallest example that fails. Values, gradients to the
images and to the grid, over shapes, modes, layouts and coordinates that no one would choose, are
compared with the float64 oracle of `tests.reference`. Twenty thousand examples, the default, take
about ten minutes on torch, and half an hour on TensorFlow, where every tenth is compiled.
"""

import functools
import sys

# Loaded before TensorFlow.
import torch  # noqa: F401  # isort: skip
import keras
import numpy as np
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from keras_stn import ops
from tests import reference
from tests.backend import BACKEND, compiled, differentiable, to_numpy, traced
from tests.ops.inputs import move_channels

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
POINTS = 10
STEP = 1e-5  # of the oracle's finite differences, in pixels

special = st.one_of(
    st.floats(width=32),
    st.sampled_from([np.nan, np.inf, -np.inf, -1.0, 0.0, 1.0, 16384.0, -16384.0, 1e38, -1e-38]),
)


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
    return sizes, options, wild, draw(st.integers(0, 2**32 - 1)), draw(st.integers(0, 9)) == 0


def channels_last(array, data_format):
    """The inverse of `move_channels`."""
    return np.moveaxis(array, 1, -1) if data_format == "channels_first" else array


def pixel_points(rng, sizes):
    """Coordinates in pixels, in and around the image, some of them on pixels and edges."""
    size = np.array(sizes[::-1])
    x = rng.uniform(-1.5, 2.5, (2, POINTS, len(sizes))) * size
    return np.where(rng.uniform(size=x.shape) < 0.2, np.round(x), x)


def ties(grid, sizes, align_corners):
    """Which places lie between two pixels, where rounding may take either as the nearest."""
    tied = np.zeros(grid.shape[:-1], bool)
    for axis, size in enumerate(sizes[::-1]):
        pixel = reference.to_pixels(grid[..., axis], size, align_corners)
        tied |= np.abs(pixel - np.floor(pixel) - 0.5) < 1e-3
    return tied


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
    far, outside = np.zeros((2, 2, POINTS), bool)
    for place, coordinate in enumerate(wild):
        axis = seed % ndim
        grid[place % 2, place, axis] = coordinate
        far[place % 2, place] = not abs(coordinate) <= 3  # too far for the oracle, or NaN
        # A single pixel is everywhere along its axis.
        everywhere = align_corners and sizes[::-1][axis] == 1
        outside[place % 2, place] = not abs(coordinate) <= 8 and not everywhere
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
        np.testing.assert_allclose(samples[outside], options["fill_value"], atol=1e-5)
    if slopes:
        check_gradients(images, near, upstream, clear, options, oracle, slopes)
    event(f"{interpolation}, {options['fill_mode']}, {ndim}-D, compiled: {compile}")


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


def main(examples=20_000):
    """Runs that many examples."""
    configured = settings(
        max_examples=examples, deadline=None, suppress_health_check=list(HealthCheck)
    )
    done = 0

    @configured
    @given(cases())
    def run(case):
        nonlocal done
        check(case)
        done += 1
        if done % 1000 == 0:
            print(f"{BACKEND}: {done} of {examples}", flush=True)

    run()
    print(f"{BACKEND}: {done} examples, none wrong")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
