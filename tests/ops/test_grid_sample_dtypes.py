"""Dtypes, fill values and symbolic inputs of `grid_sample`."""

import keras
import numpy as np
import pytest

from keras_stn import ops
from tests import reference
from tests.backend import BACKEND, TOLERANCE, assert_close, dtype_name, float64, to_numpy
from tests.ops.inputs import SIZES, images, points

every_fill_mode = pytest.mark.parametrize("fill_mode", reference.FILL_MODES)
both_align_corners = pytest.mark.parametrize("align_corners", [True, False])
both_interpolations = pytest.mark.parametrize("interpolation", ["bilinear", "nearest"])


@both_interpolations
@every_fill_mode
@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_images(dtype, fill_mode, interpolation, rng):
    image = keras.ops.cast(images(rng).astype("float32"), dtype)
    grid = points(rng, SIZES[2]).astype("float32")
    options = {"fill_mode": fill_mode, "interpolation": interpolation, "fill_value": 0.5}
    samples = ops.grid_sample(image, grid, data_format="channels_last", **options)
    assert dtype_name(samples) == dtype
    held = to_numpy(image).astype("float64")
    # Arithmetic in float32: only the result is rounded, to half a unit in the last place.
    ulp = {"float16": 2.0**-10, "bfloat16": 2.0**-7}[dtype]
    expected = reference.grid_sample(held, grid, **options)
    error = np.abs(to_numpy(samples).astype("float64") - expected)
    assert np.all(error <= 0.51 * ulp * np.abs(expected) + TOLERANCE["float32"])


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_grids_are_read_in_float32(dtype, rng):
    image = images(rng).astype("float32")
    grid = keras.ops.cast(points(rng, SIZES[2]).astype("float32"), dtype)
    samples = ops.grid_sample(image, grid, data_format="channels_last")
    assert dtype_name(samples) == "float32"
    expected = reference.grid_sample(image, to_numpy(grid).astype("float64"))
    assert_close(samples, expected, scale=2)


def test_half_precision_images_do_not_round_the_grid():
    # At width 1025, bfloat16 coordinates would step by several pixels.
    ramp = keras.ops.cast(np.arange(1025) % 2, "bfloat16")
    grid = keras.ops.expand_dims(ops.identity_grid((1, 1025)), 0)
    samples = ops.grid_sample(
        keras.ops.reshape(ramp, (1, 1, 1025, 1)), grid, data_format="channels_last"
    )
    expected = (np.arange(1025) % 2).reshape(1, 1, 1025, 1)
    np.testing.assert_allclose(to_numpy(samples).astype("float32"), expected, atol=1e-2)


@every_fill_mode
@pytest.mark.parametrize("dtype", ["uint8", "int32"])
def test_nearest_keeps_integers(dtype, fill_mode, rng):
    image = rng.integers(0, 255, size=(2, 4, 5, 3)).astype(dtype)
    grid = points(rng, SIZES[2]).astype("float32")
    options = {"fill_mode": fill_mode, "fill_value": 9, "interpolation": "nearest"}
    samples = ops.grid_sample(image, grid, data_format="channels_last", **options)
    assert dtype_name(samples) == dtype
    assert np.array_equal(to_numpy(samples), reference.grid_sample(image, grid, **options))


@every_fill_mode
@pytest.mark.parametrize("fill_value", [0, 1])
def test_nearest_keeps_booleans(fill_value, fill_mode, rng):
    image = rng.uniform(size=(2, 4, 5, 3)) < 0.5
    grid = points(rng, SIZES[2]).astype("float32")
    options = {"fill_mode": fill_mode, "fill_value": fill_value, "interpolation": "nearest"}
    samples = ops.grid_sample(image, grid, data_format="channels_last", **options)
    assert dtype_name(samples) == "bool"
    expected = reference.grid_sample(image.astype("int32"), grid, **options)
    assert np.array_equal(to_numpy(samples), expected.astype(bool))


@every_fill_mode
@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
def test_blends_are_as_exact_as_their_dtype(dtype, interpolation, fill_mode, rng):
    if (BACKEND, dtype) == ("numpy", "float64"):
        pytest.skip("Keras's NumPy backend takes float64 arrays for float32")
    with float64():
        image = keras.ops.cast(keras.ops.convert_to_tensor(images(rng), dtype="float64"), dtype)
        grid = points(rng, SIZES[2])
        grid = grid if dtype == "float64" else grid.astype("float32")
        options = {"fill_mode": fill_mode, "interpolation": interpolation, "fill_value": 0.5}
        samples = ops.grid_sample(image, grid, data_format="channels_last", **options)
        assert dtype_name(samples) == dtype
        held = to_numpy(image).astype("float64")
        # Of the sums' dtype: bicubic weights grow an error in the coordinates to a few of it.
        assert_close(samples, reference.grid_sample(held, grid, **options), scale=3)


@both_interpolations
@both_align_corners
@pytest.mark.parametrize("fill_value", [0, 0.0, -3.5, 1e30, np.inf, -np.inf, np.nan])
@pytest.mark.parametrize("ndim", [2, 3])
def test_fill_values(ndim, fill_value, align_corners, interpolation, rng):
    image = images(rng, ndim).astype("float32")
    grid = points(rng, SIZES[ndim], align_corners=align_corners).astype("float32")
    options = {
        "fill_value": fill_value,
        "align_corners": align_corners,
        "interpolation": interpolation,
    }
    samples = to_numpy(ops.grid_sample(image, grid, data_format="channels_last", **options))
    expected = reference.grid_sample(image, grid, **options)
    inside = np.isfinite(expected) & (np.abs(expected) < 1e6)
    assert inside.any()
    assert not inside.all() or abs(fill_value) < 1e6
    np.testing.assert_allclose(samples[inside], expected[inside], rtol=2e-5, atol=2e-5)
    np.testing.assert_allclose(samples[~inside], expected[~inside], rtol=2e-5)


@both_interpolations
@both_align_corners
@pytest.mark.parametrize("fill_value", [np.nan, np.inf])
@pytest.mark.parametrize("size", [1, 2, 7, 13, 15, 32, 100])
def test_a_fill_that_is_no_number_stays_outside(size, fill_value, align_corners, interpolation):
    # 7, 13 and 15: sizes at which float32 puts an edge pixel a hair outside its own image.
    image = np.ones((1, size, size, 1), "float32")
    grid = ops.identity_grid((size, size), align_corners=align_corners)
    samples = ops.grid_sample(
        image,
        keras.ops.expand_dims(grid, 0),
        interpolation=interpolation,
        fill_value=fill_value,
        align_corners=align_corners,
        data_format="channels_last",
    )
    np.testing.assert_allclose(to_numpy(samples), image, atol=1e-4)


def test_fill_value_blends_in_over_one_pixel():
    image = np.ones((1, 3, 3, 1), "float32")
    x = reference.to_normalized([-2, -1, -0.75, -0.25, 0, 2, 2.25, 3, 4], 3)
    grid = np.stack([x, np.zeros(9)], axis=-1)[None].astype("float32")
    samples = ops.grid_sample(image, grid, fill_value=5.0, data_format="channels_last")
    assert_close(samples[0, :, 0], [5, 5, 4, 2, 1, 1, 2, 5, 5])


@every_fill_mode
def test_fill_value_is_ignored_by_other_modes(fill_mode, rng):
    image, grid = images(rng).astype("float32"), points(rng, SIZES[2]).astype("float32")
    options = {"fill_mode": fill_mode, "data_format": "channels_last"}
    one = to_numpy(ops.grid_sample(image, grid, fill_value=1.0, **options))
    other = to_numpy(ops.grid_sample(image, grid, fill_value=np.nan, **options))
    assert np.array_equal(one, other) == (fill_mode != "constant")


@pytest.mark.parametrize("value", [1, np.float32(1), np.float64(1), np.int64(1)])
def test_any_number_is_a_fill_value(value):
    grid = np.full((1, 1, 2), 9, "float32")
    samples = ops.grid_sample(
        np.zeros((1, 2, 2, 1), "float32"), grid, fill_value=value, data_format="channels_last"
    )
    assert to_numpy(samples).tolist() == [[[1]]]


@pytest.mark.parametrize(
    ("images_shape", "grid_shape", "data_format", "expected"),
    [
        ((None, 8, 9, 3), (None, 4, 5, 2), "channels_last", (None, 4, 5, 3)),
        ((None, None, None, 3), (2, 7, 2), "channels_last", (2, 7, 3)),
        ((2, 8, 9, None), (None, 2), "channels_last", (2, None)),
        ((None, 3, 8, 9), (None, 4, 5, 2), "channels_first", (None, 3, 4, 5)),
        ((None, 4, 8, 9, 1), (None, None, 3), "channels_last", (None, None, 1)),
        ((2, 1, 4, 8, 9), (2, 6, 5, 4, 3), "channels_first", (2, 1, 6, 5, 4)),
    ],
)
def test_symbolic(images_shape, grid_shape, data_format, expected):
    image = keras.KerasTensor(images_shape, dtype="float16")
    grid = keras.KerasTensor(grid_shape, dtype="float32")
    samples = ops.grid_sample(image, grid, data_format=data_format)
    assert tuple(samples.shape) == expected
    assert samples.dtype == "float16"


def test_symbolic_images_with_real_points(rng):
    inputs = keras.Input(batch_shape=(2, 4, 5, 3))
    grid = points(rng, SIZES[2]).astype("float32")
    samples = ops.grid_sample(inputs, grid, data_format="channels_last")
    assert tuple(samples.shape) == (2, 60, 3)


def test_functional_model_saves_and_loads(tmp_path, rng):
    image, grid = keras.Input((4, 5, 3)), keras.Input((None, 2))
    options = {
        "interpolation": "nearest",
        "fill_mode": "constant",
        "fill_value": 3.0,
        "align_corners": False,
    }
    samples = ops.grid_sample(image, grid, data_format="channels_last", **options)
    model = keras.Model([image, grid], samples)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    given = [images(rng), points(rng, SIZES[2], align_corners=False)]
    given = [array.astype("float32") for array in given]
    expected = reference.grid_sample(*given, **options)
    assert_close(model(given), expected)
    assert_close(loaded(given), expected)
