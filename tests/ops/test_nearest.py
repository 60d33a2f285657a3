"""interpolation="nearest": which pixel is nearest, against exact fractions; and a zero gradient."""

from fractions import Fraction

import keras
import numpy as np
import pytest

from keras_stn import ops
from tests import reference
from tests.backend import BACKEND, compile_or_not, float64, gradients, to_numpy
from tests.ops.inputs import SIZES, images, move_channels, points

FILL = 250  # no index of a pixel below is as large
both_align_corners = pytest.mark.parametrize("align_corners", [True, False])
every_fill_mode = pytest.mark.parametrize("fill_mode", reference.FILL_MODES)


def read(x, size, fill_mode):
    """The pixel that is read at the pixel coordinate `x`, a Fraction."""
    if fill_mode == "nearest":
        x = min(max(x, 0), size - 1)
    elif fill_mode == "mirror":
        period = 2 * (size - 1)
        x = x % period
        x = min(x, period - x)
    elif fill_mode == "reflect":
        x = (x + Fraction(1, 2)) % (2 * size)
        x = min(x, 2 * size - x) - Fraction(1, 2)
        x = min(max(x, 0), size - 1)
    elif fill_mode == "wrap":
        x = x % size
    index = round(x)  # Python's, of a Fraction: halves to even
    if fill_mode == "wrap":
        return index % size
    return index if 0 <= index < size else FILL


def target_places(count, size, align_corners):
    """Where `count` targets, spread over an image of `size` pixels, lie: in pixels, exactly."""
    if align_corners:
        return [Fraction(i * (size - 1), max(count - 1, 1)) for i in range(count)]
    return [Fraction((2 * i + 1) * size, 2 * count) - Fraction(1, 2) for i in range(count)]


def label_map(sizes):
    """An image whose channels are the indices of its pixels, one channel per axis."""
    return np.stack(np.indices(sizes), axis=-1)[None].astype("int32")


def sample(image, grid, dtype="float32", data_format="channels_last", **options):
    """The labels read at every point, (points, axes)."""
    image = keras.ops.cast(keras.ops.convert_to_tensor(move_channels(image, data_format)), dtype)
    samples = to_numpy(
        ops.grid_sample(
            image,
            grid,
            interpolation="nearest",
            fill_value=FILL,
            data_format=data_format,
            **options,
        )
    )
    if data_format == "channels_first":
        samples = np.moveaxis(samples, 1, -1)
    return samples.reshape(-1, samples.shape[-1]).astype("int64")


KINDS = [
    ("float32", "channels_last"),
    ("float32", "channels_first"),
    ("uint8", "channels_last"),
    ("int32", "channels_first"),
    ("float16", "channels_last"),
    ("bfloat16", "channels_first"),
]


@both_align_corners
@pytest.mark.parametrize(("dtype", "data_format"), KINDS)
def test_halving_a_label_map(dtype, data_format, align_corners):
    sizes = range(2, 129) if dtype in ("float32", "uint8") else range(2, 129, 7)
    for size in (2, 3, 14, 49, 100) if BACKEND == "jax" else sizes:  # which compiles for each
        half = (size + 1) // 2
        found = sample(
            label_map((size, size)),
            ops.identity_grid((half, half), align_corners=align_corners)[None],
            dtype,
            data_format,
            align_corners=align_corners,
        )
        expected = [read(x, size, "constant") for x in target_places(half, size, align_corners)]
        expected = np.stack(np.meshgrid(expected, expected, indexing="ij"), axis=-1)
        assert np.array_equal(found.reshape(half, half, 2), expected), size


@both_align_corners
@pytest.mark.parametrize("count", [lambda n: 2 * n - 1, lambda n: 2 * n // 3, lambda n: 3 * n])
def test_other_numbers_of_targets(count, align_corners):
    for size in (6, 51) if BACKEND == "jax" else range(2, 129):
        x = reference.axis_coordinates(count(size), align_corners)
        grid = np.stack([x, x], axis=-1)[None].astype("float32")
        places = target_places(count(size), size, align_corners)
        expected = [[read(x, size, "nearest")] * 2 for x in places]
        for dtype in ("float32", "uint8"):
            options = {"fill_mode": "nearest", "align_corners": align_corners}
            assert sample(label_map((size, size)), grid, dtype, **options).tolist() == expected


def halves(size):
    """Pixel coordinates in an image and in one on either side, exact: on a half, or far from it."""
    middles = [Fraction(i, 2) for i in range(-2 * size, 4 * size + 1)]
    near = Fraction(1, 500)
    return [x + offset for x in middles for offset in (-near, 0, near)]


@both_align_corners
@every_fill_mode
@pytest.mark.parametrize("sizes", [(2, 3), (13, 28), (4, 3, 7)], ids=str)
def test_halves_in_and_around_the_image(sizes, fill_mode, align_corners, rng):
    rows = [halves(size) for size in sizes]
    chosen = np.stack([rng.integers(0, len(x), 400) for x in rows], axis=-1)
    chosen[: len(rows[0]), 0] = np.arange(len(rows[0]))
    places = [[x[i] for x, i in zip(rows, where, strict=True)] for where in chosen]
    columns = zip(np.array(places, "float64").T, sizes, strict=True)
    grid = [reference.to_normalized(x, size, align_corners) for x, size in columns]
    grid = np.stack(grid[::-1], axis=-1)[None].astype("float32")
    if len(sizes) == 3:
        grid = grid.reshape(1, 4, 10, 10, 3)
    expected = [
        [read(x, size, fill_mode) for x, size in zip(place, sizes, strict=True)] for place in places
    ]
    expected = [[FILL] * len(sizes) if FILL in place else place for place in expected]
    for dtype in ("float32", "int32"):
        options = {"fill_mode": fill_mode, "align_corners": align_corners}
        assert sample(label_map(sizes), grid, dtype, **options).tolist() == expected


@both_align_corners
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_what_rounding_made_of_halves(dtype, align_corners):
    size = 101  # whose middles have no exact coordinates
    middles = np.arange(0, size - 1) + 0.5
    nudges = np.array([-4, -1, 0, 1, 4]) * 2.0**-24
    x = reference.to_normalized(middles, size, align_corners)[:, None] + nudges
    grid = np.stack([x, x], axis=-1).reshape(1, -1, 2)
    expected = np.rint(middles).repeat(len(nudges)).astype(int)
    with float64():
        grid = keras.ops.convert_to_tensor(grid, dtype=dtype)
        for images_dtype in ("float32", "float64", "uint8", "bool"):
            options = {"fill_mode": "nearest", "align_corners": align_corners}
            found = sample(label_map((size, size)), grid, images_dtype, **options)
            wanted = expected.astype("bool") if images_dtype == "bool" else expected
            assert np.array_equal(found, np.stack([wanted, wanted], axis=-1)), images_dtype


@pytest.mark.parametrize("size", [2**12, 2**19, 2**21])
def test_long_axes(size):
    # In float64: in float32 neighbours of the longest can no longer be told apart.
    middle = np.array([0, 0.25, 0.75, 1]) + np.arange(size // 2, size // 2 + 8)[:, None]
    x = reference.to_normalized(middle.ravel(), size)
    with float64():
        image = keras.ops.reshape(keras.ops.arange(size, dtype="int32"), (1, 1, size, 1))
        grid = keras.ops.convert_to_tensor(np.stack([x, 0 * x], axis=-1)[None], dtype="float64")
        if "float64" != keras.backend.standardize_dtype(grid.dtype):
            pytest.skip("Keras's NumPy backend takes float64 arrays for float32")
        samples = ops.grid_sample(image, grid, interpolation="nearest", data_format="channels_last")
    assert np.array_equal(to_numpy(samples).ravel(), np.rint(middle.ravel()))


@pytest.mark.gradient
@every_fill_mode
@compile_or_not
@pytest.mark.parametrize(("dtype", "data_format"), [KINDS[0], KINDS[4], KINDS[5]])
def test_the_gradient_to_the_grid_is_zero(dtype, data_format, compile, fill_mode, rng):
    image = keras.ops.cast(move_channels(images(rng), data_format).astype("float32"), dtype)
    grid = points(rng, SIZES[2]).astype("float32")
    grid[0, :3, 0] = np.nan, np.inf, -np.inf
    (to_grid,) = gradients(
        lambda grid: ops.grid_sample(
            image, grid, interpolation="nearest", fill_mode=fill_mode, data_format=data_format
        ),
        grid,
        compile=compile,
    )
    np.testing.assert_array_equal(to_grid, np.zeros_like(grid))


@pytest.mark.gradient
@pytest.mark.parametrize("interpolation", ["nearest", "bilinear", "bicubic"])
@every_fill_mode
@pytest.mark.parametrize("antialias", [False, True])
@pytest.mark.parametrize(
    ("sizes", "target"),
    [((4, 5), (3, 2)), ((1, 1), (2, 2)), ((4, 5), (0, 3)), ((1, 3, 1), (1, 2, 2))],
    ids=str,
)
def test_there_is_a_gradient_to_both(sizes, target, antialias, fill_mode, interpolation, rng):
    if antialias and interpolation != "bilinear":
        pytest.skip("bilinear alone")
    if BACKEND == "jax" and (antialias or interpolation == "bicubic"):
        pytest.skip("JAX has no gradient that is None, and takes long to compile these")
    image = images(rng, sizes=sizes).astype("float32")
    grid = rng.uniform(-1.5, 1.5, (2, *target, len(sizes))).astype("float32")
    options = {"antialias": antialias, "fill_mode": fill_mode, "interpolation": interpolation}
    options["fill_value"] = 0.5
    found = gradients(
        lambda image, grid: ops.grid_sample(image, grid, data_format="channels_last", **options),
        image,
        grid,
    )
    assert [gradient.shape for gradient in found] == [image.shape, grid.shape]
    assert all(np.isfinite(gradient).all() for gradient in found)
