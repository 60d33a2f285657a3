"""Antialiased sampling: against the resizing of Keras, against a triangle filter, and itself."""

import functools
import importlib.metadata

import keras
import numpy as np
import pytest
import skimage.data
from hypothesis import given, settings
from hypothesis import strategies as st
from packaging.version import Version
from scipy import ndimage

from keras_stn import ops
from tests import reference
from tests.backend import (
    BACKEND,
    assert_close,
    compiled,
    dtype_name,
    float64,
    gradients,
    to_numpy,
    traced,
)
from tests.ops.inputs import images
from tests.ops.test_properties import rotation, warper

LAST = {"data_format": "channels_last"}
IDENTITY = np.eye(2, 3, dtype="float32").reshape(1, 6)
# The code is the same on every backend, and JAX needs seconds to compile it for one shape.
ON_JAX = BACKEND == "jax"
FILL_MODES = ("constant", "wrap") if ON_JAX else reference.FILL_MODES
every_fill_mode = pytest.mark.parametrize("fill_mode", FILL_MODES)
both_align_corners = pytest.mark.parametrize("align_corners", [True, False])
every_fill_mode_once = pytest.mark.parametrize(
    ("fill_mode", "align_corners"),
    [(mode, index % 2 == 0) for index, mode in enumerate(FILL_MODES)],
)
not_on_jax = pytest.mark.skipif(ON_JAX, reason="takes JAX too long to compile")


def sample(image, grid, **options):
    """`grid_sample` with antialiasing, channels last, as an array."""
    return to_numpy(sampler(**{**LAST, "antialias": True, **options})(image, grid))


@functools.cache
def sampler(**options):
    """A function of images and grids, the same one for the same options."""
    return traced(lambda image, grid: ops.grid_sample(image, grid, **options))


def warp(image, theta, output_size, align_corners=True, **options):
    """Images seen through `theta` with antialiasing, as an array."""
    theta = np.repeat(theta, len(image) // len(theta), axis=0)
    fn = warper(output_size, align_corners, **{**LAST, "antialias": True, **options})
    return to_numpy(fn(image, theta))


@functools.cache
def photographs():
    """A photographer and an astronaut, grey, in [0, 1]: (2, 240, 240, 1)."""
    camera = skimage.data.camera()[100:340, 150:390]
    astronaut = skimage.data.astronaut()[:240, 120:360].mean(axis=-1)
    return (np.stack([camera, astronaut])[..., None] / 255.0).astype("float32")


def resized(image, size):
    """By Keras, which filters with a triangle two target pixels wide."""
    return to_numpy(keras.ops.image.resize(image, size, antialias=True, **LAST))


def psnr(actual, expected):
    """Peak signal-to-noise ratio of images in [0, 1], in dB; the worst of the batch."""
    error = (actual.astype("float64") - expected) ** 2
    return 10 * np.log10(1 / error.mean(axis=tuple(range(1, error.ndim))).max())


def checkerboard(*sizes):
    """Zeros and ones, (1, *sizes, 1)."""
    return (np.indices(sizes).sum(axis=0) % 2)[None, ..., None].astype("float32")


def pixel_grid(zoom, sizes, output_size, centre, angle=0.0):
    """Normalized coordinates of output pixels `zoom` source pixels apart, turned by `angle`.

    For `align_corners=True`; `centre` is the place of the middle of the output, in pixels (x, y),
    and `zoom` may be two numbers in that order.
    """
    height, width = output_size
    y, x = np.meshgrid(np.arange(height), np.arange(width), indexing="ij")
    zoom = np.broadcast_to(zoom, 2)
    x, y = zoom[0] * (x - (width - 1) / 2), zoom[1] * (y - (height - 1) / 2)
    cos, sin = np.cos(angle), np.sin(angle)
    x, y = cos * x - sin * y + centre[0], sin * x + cos * y + centre[1]
    rows, columns = sizes
    return np.stack(
        [reference.to_normalized(x, columns), reference.to_normalized(y, rows)], axis=-1
    )


@pytest.mark.parametrize("factor", [3] if ON_JAX else [2, 3, 4])
@pytest.mark.parametrize("fill_mode", ["constant"] if ON_JAX else ["constant", "nearest"])
def test_shrinks_as_resizing_does(fill_mode, factor):
    size = (240 // factor, 240 // factor)
    expected = resized(photographs(), size)
    options = {"align_corners": False, "fill_mode": fill_mode}
    assert psnr(warp(photographs(), IDENTITY, size, **options), expected) > 45
    plain = warp(photographs(), IDENTITY, size, antialias=False, **options)
    assert psnr(plain, expected) < (45 if factor == 2 else 35)


@pytest.mark.parametrize(
    ("size", "decibels"),
    [((240, 120), 44)]
    if ON_JAX
    else [((240, 120), 44), ((120, 240), 44), ((80, 240), 48), ((240, 60), 36), ((120, 60), 42)],
)
def test_shrinking_one_axis_keeps_the_detail_of_the_other(size, decibels):
    expected = resized(photographs(), size)
    options = {"align_corners": False, "fill_mode": "nearest"}
    assert psnr(warp(photographs(), IDENTITY, size, **options), expected) > decibels
    # Neither a filter as wide across as along nor none at all comes near.
    side = min(size)
    blurred = warp(resized(photographs(), (side, side)), IDENTITY, size, antialias=False, **options)
    plain = warp(photographs(), IDENTITY, size, antialias=False, **options)
    assert max(psnr(blurred, expected), psnr(plain, expected)) < decibels - 4


@pytest.mark.parametrize("axis", [2] if ON_JAX else [0, 1, 2])
def test_shrinking_one_axis_of_a_volume(axis):
    # A photograph along two axes, the same along the third.
    others = [i for i in range(3) if i != (axis + 1) % 3]
    image = photographs()[:, 60:108, 60:108]
    volume = np.repeat(np.expand_dims(image, (axis + 1) % 3 + 1), 4, axis=(axis + 1) % 3 + 1)
    size = tuple(48 // (1 + (i == axis)) if i in others else 4 for i in range(3))
    expected = resized(image, tuple(size[i] for i in others))
    theta = np.eye(3, 4, dtype="float32").reshape(1, 12)
    options = {"align_corners": False, "fill_mode": "nearest"}
    actual = np.take(warp(volume, theta, size, **options), 1, axis=(axis + 1) % 3 + 1)
    assert psnr(actual, expected) > 43
    plain = np.take(
        warp(volume, theta, size, antialias=False, **options), 1, axis=(axis + 1) % 3 + 1
    )
    assert psnr(plain, expected) < 41


def footprint_means(image, theta, size, subsamples=16):
    """Triangle-filtered, (size, size), and where no filter reaches past the edge of the image.

    The mean of bilinear samples all over two target pixels, weighted by a triangle; for
    `align_corners=False` and a square image.
    """
    offsets = (np.arange(subsamples) + 0.5) * 2 / subsamples - 1
    weights = (1 - np.abs(offsets)) / np.sum(1 - np.abs(offsets))
    matrix = theta.reshape(2, 3).astype("float64")
    targets = reference.identity_grid((size, size), align_corners=False)
    mean, inside = np.zeros((size, size)), np.ones((size, size), bool)
    for dx, wx in zip(offsets, weights, strict=True):
        for dy, wy in zip(offsets, weights, strict=True):
            moved = targets + np.array([dx, dy]) * 2 / size
            sources = reference.to_pixels(
                moved @ matrix[:, :2].T + matrix[:, 2], len(image), align_corners=False
            )
            x, y = np.moveaxis(sources, -1, 0)
            inside &= (np.minimum(x, y) >= 0) & (np.maximum(x, y) <= len(image) - 1)
            mean += wx * wy * ndimage.map_coordinates(image, [y, x], order=1, mode="nearest")
    return mean, inside


@pytest.mark.parametrize(("shrink", "angle"), [(2.5, 30)] if ON_JAX else [(2.5, 30), (2.0, 45)])
def test_shrinks_and_turns_as_a_triangle_filter_does(shrink, angle):
    size, theta = int(240 / shrink), rotation(np.radians(angle))
    expected, inside = footprint_means(photographs()[0, ..., 0].astype("float64"), theta, size)
    assert inside.mean() > 0.7
    options = {"align_corners": False, "fill_mode": "nearest"}
    found = {}
    for antialias in (True, False):
        out = warp(photographs()[:1], theta, (size, size), antialias=antialias, **options)
        found[antialias] = psnr(out[0, ..., 0][inside][None], expected[inside][None])
    assert found[True] > 41
    assert found[False] < 33


@(every_fill_mode_once if ON_JAX else lambda test: both_align_corners(every_fill_mode(test)))
def test_checkerboard_turns_grey(fill_mode, align_corners):
    board, options = checkerboard(64, 64), {"fill_mode": fill_mode, "align_corners": align_corners}
    grey = warp(board, IDENTITY, (8, 8), **options)
    assert grey.std() <= 0.02
    assert abs(grey.mean() - 0.5) <= 0.02


def test_by_default_it_does_not():
    board = checkerboard(64, 64)
    assert warp(board, IDENTITY, (8, 8), antialias=True).std() <= 0.02
    assert warp(board, IDENTITY, (8, 8), antialias=False).std() > 0.4


@every_fill_mode_once
def test_checkerboard_of_a_volume_turns_grey(fill_mode, align_corners):
    board, theta = checkerboard(16, 16, 16), np.eye(3, 4, dtype="float32").reshape(1, 12)
    options = {"fill_mode": fill_mode, "align_corners": align_corners}
    grey = warp(board, theta, (4, 4, 4), **options)
    assert grey.std() <= 0.02
    assert abs(grey.mean() - 0.5) <= 0.02
    if align_corners:
        assert warp(board, theta, (4, 4, 4), antialias=False, **options).std() > 0.4


def assert_same(actual, expected):
    """To the bit; the compilers of older releases of JAX may round the last one."""
    old = ON_JAX and Version(importlib.metadata.version("jax")) < Version("0.10")
    np.testing.assert_allclose(actual, expected, rtol=0, atol=2e-7 if old else 0)


@every_fill_mode_once
def test_magnifying_is_the_same_to_the_bit(fill_mode, align_corners, rng):
    image = images(rng, batch=4, channels=1, sizes=(24, 24)).astype("float32")
    turned = rotation(np.radians(30))
    theta = np.concatenate([IDENTITY, 0.5 * IDENTITY, 0.95 * turned, 0.6 * turned])
    theta[1:, [2, 5]] = [0.3, -0.2]
    options = {"fill_mode": fill_mode, "fill_value": 0.5, "align_corners": align_corners}
    out = warp(image, theta, (24, 24), **options)
    plain = warp(image, theta, (24, 24), antialias=False, **options)
    # XLA rounds the identity's steps to a hair more than a pixel, and so may call it shrinking.
    exact = slice(1 if ON_JAX else 0, None)
    assert_same(out[exact], plain[exact])
    np.testing.assert_allclose(out, plain, atol=1e-5)


@both_align_corners
def test_turning_changes_nothing_that_shows(align_corners, rng):
    # The sides are one pixel long, or one rounding error longer.
    image = images(rng, batch=1, channels=1, sizes=(24, 24)).astype("float32")
    theta = rotation(np.radians(30))
    out = warp(image, theta, (24, 24), align_corners)
    assert_close(out, warp(image, theta, (24, 24), align_corners, antialias=False), scale=5)


@not_on_jax
def test_wrapped_images_have_no_seam(rng):
    # A shift by a pixel of the level that is read is a shift of the samples, over the edge too.
    image = rng.uniform(size=(1, 16, 16, 1)).astype("float32")
    options = {"output_size": (4, 4), "align_corners": False, "fill_mode": "wrap"}
    samples = warp(image, IDENTITY, **options)
    for axis in (1, 2):
        shifted = warp(np.roll(image, 4, axis), IDENTITY, **options)
        np.testing.assert_allclose(shifted, np.roll(samples, 1, axis), atol=1e-5)


@pytest.mark.parametrize("fill_mode", ["constant", "wrap"])
def test_a_mixed_warp_is_the_same_where_it_magnifies(fill_mode, rng):
    image = images(rng, batch=1, channels=1, sizes=(24, 24)).astype("float32")
    u = np.linspace(-1, 1, 24)
    x, y = np.meshgrid(u * (0.4 + 1.2 * u**2), 0.9 * u)
    grid = np.stack([x, y], axis=-1)[None].astype("float32")
    out = sample(image, grid, fill_mode=fill_mode)
    plain = sample(image, grid, fill_mode=fill_mode, antialias=False)
    steps = np.diff(reference.to_pixels(x[0], 24))
    magnified = np.maximum(np.append(steps, 0), np.insert(steps, 0, 0)) < 0.99
    shrunk = np.minimum(np.append(steps, 9), np.insert(steps, 0, 9)) > 1.25
    assert min(magnified.sum(), shrunk.sum()) > 5
    assert_same(out[:, :, magnified], plain[:, :, magnified])
    # A probe or two may well lie between the same two pixels as the sample itself.
    assert np.mean(np.abs(out - plain).max(axis=(0, 1, 3))[shrunk] > 1e-2) > 0.4


@pytest.mark.parametrize("axes", [(1, 1)] if ON_JAX else [(1, 1), (1, 0), (0, 1)], ids=str)
def test_zooming_out_never_jumps(axes, rng):
    image = images(rng, batch=1, channels=1, sizes=(64, 64)).astype("float32")
    zooms = 0.5 * 1.002 ** np.arange(1448)
    assert zooms[-1] > 9
    centre = (31.8, 31.3)
    # Where one axis alone is zoomed, the other keeps a shrinking of its own.
    by = np.where(axes, zooms[:, None], 1.3)
    crops = [pixel_grid(zoom, (64, 64), (7, 7), centre, angle=0.4) for zoom in by]
    out = sample(image, np.stack(crops)[None].astype("float32"), fill_mode="mirror")
    changes = np.sqrt((np.diff(out[0, ..., 0], axis=0) ** 2).mean(axis=(1, 2)))
    assert np.median(changes) > 1e-4
    # Without blending, levels switch at 1.5, 3 and 6 pixels by 0.46, 0.17 and 0.09.
    assert changes.max() < 0.015
    assert changes.max() < 5 * np.median(changes)


ZOOMS = (1.2, 1.8, 2.0, 3.5)  # source pixels a target pixel; the last three blend two levels


def blended_warp(fill_mode):
    """A function of images, thetas (batch, 4, 6) and shifts of the grid (batch, 4, 3, 4, 2)."""

    def fn(image, theta, shift):
        grid = ops.affine_grid(keras.ops.reshape(theta, (-1, 6)), (3, 4))
        grid = keras.ops.reshape(grid, (-1, len(ZOOMS), 3, 4, 2)) + shift
        return ops.grid_sample(
            image, grid, antialias=True, fill_mode=fill_mode, fill_value=0.6, **LAST
        )

    return fn


def blended_arguments(rng):
    """Float64 arguments of `blended_warp` for an image of 9 by 10 pixels, all in general position.

    No two sides of a footprint are equally long and no two neighbours equally far away: there the
    longer side, the nearer neighbour, would change within a finite difference.
    """
    image = images(rng, batch=1, channels=1, sizes=(9, 10))
    theta = []
    for zoom in ZOOMS:
        across, along = 3 * zoom / 9, 2 * zoom / 8
        affine = [[0.98 * across, 0.05, 0.1], [-0.04, 0.9 * along, -0.06]]
        theta.append(np.array(affine) + rng.uniform(-0.01, 0.01, (2, 3)))
    theta = np.reshape(theta, (1, 4, 6))
    return image, theta, rng.uniform(-0.01, 0.01, (1, 4, 3, 4, 2))


def differences_in_one_call(fn, args, upstream, epsilon=1e-6):
    """Central finite differences of `sum(fn(*args) * upstream)`, all steps in one batch."""
    sizes = [arg.size for arg in args]
    steps = epsilon * np.concatenate([np.eye(sum(sizes)), -np.eye(sum(sizes))])
    moved = [
        arg + step.reshape(-1, *arg.shape[1:])
        for arg, step in zip(args, np.split(steps, np.cumsum(sizes)[:-1], axis=1), strict=True)
    ]
    with float64():
        out = to_numpy(traced(fn)(*(keras.ops.convert_to_tensor(x, "float64") for x in moved)))
    assert out.dtype == "float64"
    after, before = np.split((out * upstream).reshape(len(steps), -1).sum(axis=1), 2)
    found = np.split((after - before) / (2 * epsilon), np.cumsum(sizes)[:-1])
    return [x.reshape(arg.shape) for x, arg in zip(found, args, strict=True)]


@pytest.mark.gradient
@every_fill_mode
def test_gradients_by_finite_differences(fill_mode, rng):
    args, upstream = blended_arguments(rng), rng.normal(size=(1, 4, 3, 4, 1))
    fn = blended_warp(fill_mode)
    expected = differences_in_one_call(fn, args, upstream)
    with float64():
        found = gradients(fn, *args, upstream=upstream)
    for gradient, wanted in zip(found, expected, strict=True):
        assert dtype_name(gradient) == "float64"
        assert wanted.any()
        np.testing.assert_allclose(gradient, wanted, rtol=1e-6, atol=1e-7)
    # Every zoom has a gradient of its own to theta, and to the places that it samples.
    assert np.abs(found[1]).max(axis=(0, 2)).min() > 0.1
    assert np.abs(found[2]).max(axis=(0, 2, 3, 4)).min() > 0.01


@not_on_jax
@pytest.mark.gradient
def test_the_check_of_gradients_can_fail(rng):
    args, upstream = blended_arguments(rng), rng.normal(size=(1, 4, 3, 4, 1))
    wrong = differences_in_one_call(blended_warp("mirror"), args, upstream)
    with float64():
        found = gradients(blended_warp("wrap"), *args, upstream=upstream)
    for gradient, other in zip(found, wrong, strict=True):
        assert np.abs(gradient - other).max() > 1e-3


def blended_grid(rng, batch=2, output_size=(6, 5), sizes=(16, 20)):
    """Grids that shrink by 2.4 to 3.6 and reach a little out of the image, float32."""
    turns = rng.uniform(0.2, 0.5, batch)
    zooms = np.linspace(2.4, 3.6, batch)
    centre = (sizes[1] / 2 - 0.3, sizes[0] / 2 - 0.8)
    crops = [
        pixel_grid(zoom, sizes, output_size, centre, angle)
        for zoom, angle in zip(zooms, turns, strict=True)
    ]
    return np.stack(crops).astype("float32")


def shrunk_inputs(rng, channels=2):
    """Images of 16 by 20 pixels and grids of 6 by 5 that shrink them, float32."""
    image = images(rng, channels=channels, sizes=(16, 20)).astype("float32")
    return image, blended_grid(rng)


def test_channels_first(rng):
    image, grid = shrunk_inputs(rng)
    first = sample(np.moveaxis(image, -1, 1), grid, data_format="channels_first")
    assert first.shape == (2, 2, 6, 5)
    np.testing.assert_allclose(np.moveaxis(first, 1, -1), sample(image, grid), atol=1e-5)


@not_on_jax
def test_channels_first_of_volumes(rng):
    volume = images(rng, 3, sizes=(6, 8, 10)).astype("float32")
    theta = np.eye(3, 4).ravel() + rng.uniform(-0.05, 0.05, (2, 12))
    grid = reference.affine_grid(theta, (2, 3, 4)).astype("float32")
    first = sample(np.moveaxis(volume, -1, 1), grid, data_format="channels_first")
    assert first.shape == (2, 3, 2, 3, 4)
    np.testing.assert_allclose(np.moveaxis(first, 1, -1), sample(volume, grid), atol=1e-5)


@not_on_jax
def test_several_crops(rng):
    image, _ = shrunk_inputs(rng)
    crops = blended_grid(rng, batch=6).reshape(2, 3, 6, 5, 2)
    out = sample(image, crops)
    assert out.shape == (2, 3, 6, 5, 2)
    for k in range(3):
        np.testing.assert_allclose(out[:, k], sample(image, crops[:, k]), atol=1e-5)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_is_kept(dtype, rng):
    image, grid = shrunk_inputs(rng)
    half = keras.ops.cast(image, dtype)
    out = sampler(antialias=True, **LAST)(half, grid)
    assert dtype_name(out) == dtype
    rounded = to_numpy(keras.ops.cast(half, "float32"))
    assert_close(keras.ops.cast(out, "float32"), to_numpy(out).astype("float64"))
    error = to_numpy(keras.ops.cast(out, "float32")) - sample(rounded, grid)
    # One rounding, of a result that was summed in float32.
    assert np.abs(error).max() < {"float16": 1e-3, "bfloat16": 8e-3}[dtype]


@not_on_jax
@pytest.mark.parametrize("fill_mode", ["constant", "wrap"])
def test_compiled_equals_eager(fill_mode, rng):
    image, grid = shrunk_inputs(rng)

    def fn(image, grid):
        return ops.grid_sample(
            image, grid, antialias=True, fill_mode=fill_mode, fill_value=0.5, **LAST
        )

    assert_close(compiled(fn)(image, grid), to_numpy(fn(image, grid)), scale=3)


@pytest.mark.skipif(BACKEND != "tensorflow", reason="dynamic shapes are TensorFlow's")
@pytest.mark.parametrize(
    ("fill_mode", "align_corners", "compile"),
    [("constant", True, True), ("wrap", False, True)]
    + [(mode, index % 2 == 0, False) for index, mode in enumerate(FILL_MODES)],
)
def test_dynamic_shapes(fill_mode, align_corners, compile, rng):
    import tensorflow as tf

    options = {"fill_mode": fill_mode, "fill_value": 0.5, "align_corners": align_corners}

    @tf.function(
        input_signature=[
            tf.TensorSpec((None, None, None, 2)),
            tf.TensorSpec((None, None, None, 2)),
        ],
        jit_compile=compile,
    )
    def fn(image, grid):
        return ops.grid_sample(image, grid, antialias=True, **options, **LAST)

    image, grid = shrunk_inputs(rng)
    for batch, rows in ((2, 16), (1, 7)):
        arguments = image[:batch, :rows], grid[:batch, :, :rows]
        assert_close(fn(*arguments), sample(*arguments, **options), scale=3)
    assert fn.experimental_get_tracing_count() == 1


@pytest.mark.skipif(BACKEND != "tensorflow", reason="dynamic shapes are TensorFlow's")
@pytest.mark.parametrize("compile", [False, True], ids=["graph", "xla"])
def test_dynamic_warp_and_its_gradients(compile, rng):
    import tensorflow as tf

    @tf.function(
        input_signature=[tf.TensorSpec((None, None, None, 2)), tf.TensorSpec((None, 6))],
        jit_compile=compile,
    )
    def fn(image, theta):
        sizes = keras.ops.shape(image)[1:3]
        with tf.GradientTape() as tape:
            tape.watch([image, theta])
            grid = ops.affine_grid(theta, (sizes[0] // 2, sizes[1] // 3))
            samples = ops.grid_sample(image, grid, antialias=True, **LAST)
        return samples, *tape.gradient(samples, [image, theta])

    theta = (IDENTITY + rng.uniform(-0.1, 0.1, size=(2, 6))).astype("float32")
    for batch, rows in ((1, 7),) if compile else ((2, 16), (1, 7)):  # XLA compiles for each
        image = images(rng, batch=batch, channels=2, sizes=(rows, 20)).astype("float32")
        samples, to_image, to_theta = fn(image, theta[:batch])
        grid = to_numpy(ops.affine_grid(theta[:batch], (rows // 2, 6)))
        assert_close(samples, sample(image, grid), scale=3)
        assert to_image.shape == image.shape
        assert np.isfinite(to_image).all()
        assert np.isfinite(to_theta).all()


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("fill_mode", ["constant", "nearest"] if ON_JAX else FILL_MODES)
def test_a_bad_coordinate_spoils_its_neighbours_at_most(fill_mode, bad, rng):
    image, grid = shrunk_inputs(rng)
    options = {"fill_mode": fill_mode, "fill_value": 0.5}
    clean = sample(image, grid, **options)
    spoilt = grid.copy()
    spoilt[0, 2, 3, 0] = spoilt[1, 0, 0] = spoilt[1, 5, 4, 1] = bad
    out = sample(image, spoilt, **options)
    assert np.isfinite(out).all()
    near = np.isin(spoilt, bad).any(axis=-1) if np.isinf(bad) else np.isnan(spoilt).any(axis=-1)
    assert near.sum() == 3
    near = ndimage.binary_dilation(near, ndimage.generate_binary_structure(2, 1)[None])
    np.testing.assert_array_equal(out[~near], clean[~near])
    low, high = min(image.min(), 0.5), max(image.max(), 0.5)
    assert low - 1e-5 <= out.min() <= out.max() <= high + 1e-5


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_bad_coordinate_reads_the_fill(bad, rng):
    image, grid = shrunk_inputs(rng)
    grid[0, 2, 3, 0] = grid[1, 0, 0] = bad
    out = sample(image, grid, fill_value=0.5)
    np.testing.assert_allclose(out[0, 2, 3], 0.5, atol=1e-3)
    np.testing.assert_allclose(out[1, 0, 0], 0.5, atol=1e-3)


@pytest.mark.gradient
@pytest.mark.parametrize("fill_mode", ["constant"] if ON_JAX else ["constant", "wrap"])
def test_gradients_next_to_a_bad_coordinate_are_finite(fill_mode, rng):
    image, grid = shrunk_inputs(rng)
    grid[0, 2, 3, 0], grid[1, 0, 0], grid[1, 5, 4, 1] = np.nan, np.inf, -np.inf
    found = gradients(
        lambda image, grid: ops.grid_sample(
            image, grid, antialias=True, fill_mode=fill_mode, **LAST
        ),
        image,
        grid,
    )
    for gradient in found:
        assert np.isfinite(gradient).all()
        assert gradient.any()


@pytest.mark.parametrize("zoom", [0.4, 1.3, 2.5, 5.0])
def test_a_fill_of_nan_stays_outside(zoom, rng):
    image = images(rng, batch=1, sizes=(16, 20)).astype("float32")
    grid = pixel_grid(zoom, (16, 20), (24, 24), (9.7, 7.2), angle=0.3)[None].astype("float32")
    out = sample(image, grid, fill_value=np.nan)
    x, y = np.moveaxis(pixel_grid(zoom, (16, 20), (24, 24), (9.7, 7.2), angle=0.3), -1, 0)
    x, y = reference.to_pixels(x, 20), reference.to_pixels(y, 16)
    outside = np.maximum(np.maximum(-x, x - 19), np.maximum(-y, y - 15))
    empty = np.isnan(out[0]).any(axis=-1)
    assert not empty[outside < 0].any()
    assert empty[outside > 0.01 * max(zoom, 1)].all()
    assert (outside < 0).any()
    assert empty.any() == (zoom > 1)
    np.testing.assert_array_equal(out[0][outside < 0], sample(image, grid)[0][outside < 0])


@not_on_jax
@settings(max_examples=12)
@given(
    log_zoom=st.floats(-1, 5),
    angle=st.floats(-np.pi, np.pi),
    sizes=st.sampled_from([(1, 7), (8, 1), (1, 1), (12, 9)]),
    fill_mode=st.sampled_from(reference.FILL_MODES),
)
def test_ones_stay_ones(log_zoom, angle, sizes, fill_mode):
    theta = 2.0**log_zoom * rotation(angle)
    options = {"fill_mode": fill_mode, "align_corners": False}
    out = warp(np.ones((1, *sizes, 1), "float32"), theta, (8, 8), **options)[0, ..., 0]
    if fill_mode == "constant":
        assert out.min() >= -1e-5
        assert out.max() <= 1 + 1e-5
        grid = reference.affine_grid(theta, (8, 8), align_corners=False)[0]
        x, y = (
            reference.to_pixels(grid[..., i], sizes[1 - i], align_corners=False) for i in (0, 1)
        )
        outside = np.maximum(np.maximum(-x, x - (sizes[1] - 1)), np.maximum(-y, y - (sizes[0] - 1)))
        out = out[outside < -1e-3]
    np.testing.assert_allclose(out, 1, atol=1e-5)


@not_on_jax
@both_align_corners
@pytest.mark.parametrize("output_size", [(1, 1), (1, 5)])
def test_one_row_has_no_height(output_size, align_corners, rng):
    # Along an axis of one sample nothing tells how much it stands for: as much as a pixel.
    image = images(rng, batch=1, channels=1, sizes=(12, 9)).astype("float32")
    options = {"align_corners": align_corners, "fill_mode": "nearest"}
    out = warp(image, IDENTITY, output_size, **options)
    plain = warp(image, IDENTITY, output_size, antialias=False, **options)
    assert out.shape == (1, *output_size, 1)
    if output_size == (1, 1):
        np.testing.assert_array_equal(out, plain)
    else:
        assert np.abs(out - plain).max() > 1e-3


@pytest.mark.parametrize("interpolation", ["nearest", "bicubic"])
def test_bilinear_only(interpolation):
    with pytest.raises(ValueError, match=f"bilinear.*interpolation='{interpolation}'"):
        ops.grid_sample(
            np.zeros((1, 4, 4, 1), "float32"),
            np.zeros((1, 4, 4, 2), "float32"),
            interpolation=interpolation,
            antialias=True,
            **LAST,
        )


@pytest.mark.parametrize(
    ("images_shape", "grid_shape"), [((1, 4, 4, 1), (1, 9, 2)), ((1, 4, 4, 4, 1), (1, 3, 3, 3))]
)
def test_points_have_no_footprint(images_shape, grid_shape):
    image, grid = np.zeros(images_shape, "float32"), np.zeros(grid_shape, "float32")
    for inputs in ((image, grid), (keras.KerasTensor(images_shape), keras.KerasTensor(grid_shape))):
        with pytest.raises(ValueError, match=r"has no footprint"):
            ops.grid_sample(*inputs, antialias=True, **LAST)
    ops.grid_sample(image, grid, **LAST)
