"""Every error of the functions: what was expected, what came, what to do."""

import re

import keras
import numpy as np
import pytest

from keras_stn import ops
from keras_stn.transforms import Affine

IMAGES = np.zeros((2, 4, 5, 3), "float32")
VOLUMES = np.zeros((2, 4, 5, 6, 3), "float32")
GRID = np.zeros((2, 7, 2), "float32")
THETA = np.zeros((2, 6), "float32")


def three_parts(expected, received, advice):
    """A pattern for a message of three parts, in this order."""
    parts = (expected, f"Received: {received}", advice)
    return re.compile("^.*" + r".*\. .*".join(map(re.escape, parts)) + ".*$", re.DOTALL)


@pytest.mark.parametrize("function", [ops.identity_grid, lambda size: ops.affine_grid(THETA, size)])
@pytest.mark.parametrize(
    "size",
    [3, None, (), (4,), (1, 2, 3, 4), (0, 4), (4, -1), (4, 2.5), (4, "5"), (True, 4), "ab"],
)
def test_output_size(function, size):
    message = three_parts(
        "`output_size` must hold 2 or 3 positive integers",
        f"output_size={size!r}",
        "Pass for example output_size=(32, 32).",
    )
    with pytest.raises(ValueError, match=message):
        function(size)


@pytest.mark.parametrize("size", [(np.int64(0), 4), (np.float32(2.5), 4), (np.ones(2, int), 4)])
def test_output_size_of_numpy_numbers(size):
    with pytest.raises(ValueError, match="`output_size` must hold 2 or 3 positive integers"):
        ops.identity_grid(size)


@pytest.mark.parametrize(
    ("shape", "size", "count", "matrix"),
    [
        ((2, 5), (4, 4), 6, "2, 3"),
        ((6,), (4, 4), 6, "2, 3"),
        ((2, 3), (4, 4), 6, "2, 3"),
        ((2, 3, 2), (4, 4), 6, "2, 3"),
        ((2, 12), (4, 4), 6, "2, 3"),
        ((2, 6), (4, 4, 4), 12, "3, 4"),
        ((2, 3, 3), (4, 4, 4), 12, "3, 4"),
    ],
)
@pytest.mark.parametrize("symbolic", [False, True])
def test_theta_shape(shape, size, count, matrix, symbolic):
    theta = keras.KerasTensor(shape) if symbolic else np.zeros(shape, "float32")
    message = three_parts(
        f"`theta` must have shape (batch, {count}) or (batch, {matrix})",
        f"theta.shape={shape}",
        "theta[None]" if shape in ((6,), (2, 3)) else f"Pass {count} numbers for each transform",
    )
    with pytest.raises(ValueError, match=message):
        ops.affine_grid(theta, size)


@pytest.mark.parametrize(
    ("option", "value", "known"),
    [
        ("interpolation", "cubic", "'nearest', 'bilinear'"),
        ("interpolation", None, "'nearest', 'bilinear'"),
        ("fill_mode", "zeros", "'constant', 'nearest', 'mirror', 'reflect', 'wrap'"),
        ("fill_mode", "border", "'constant', 'nearest', 'mirror', 'reflect', 'wrap'"),
        ("data_format", "NHWC", "'channels_last', 'channels_first'"),
    ],
)
def test_options(option, value, known):
    message = three_parts(
        f"`{option}` must be one of {known}", f"{option}={value!r}", "Choose one of these."
    )
    with pytest.raises(ValueError, match=message):
        ops.grid_sample(IMAGES, GRID, **{option: value})


@pytest.mark.parametrize("option", ["align_corners", "antialias"])
@pytest.mark.parametrize("value", ["yes", 1, 4, None, np.ones(1, bool)])
def test_switches(option, value):
    message = three_parts(
        f"`{option}` must be True or False",
        f"{option}={value!r}",
        f"Pass for example {option}=True.",
    )
    with pytest.raises(ValueError, match=message):
        ops.grid_sample(IMAGES, GRID, **{option: value})
    # NumPy's own are as good.
    ops.grid_sample(IMAGES, GRID, data_format="channels_last", **{option: np.bool_(False)})


@pytest.mark.parametrize("value", ["0", None, (0, 0), np.zeros(2)])
def test_fill_value(value):
    message = three_parts(
        "`fill_value` must be a number, in image intensity units",
        f"fill_value={value!r}",
        "Pass for example fill_value=0.0.",
    )
    with pytest.raises(ValueError, match=message):
        ops.grid_sample(IMAGES, GRID, fill_value=value)


@pytest.mark.parametrize("symbolic", [False, True])
@pytest.mark.parametrize(
    ("data_format", "layout"),
    [("channels_last", "height, width, channels"), ("channels_first", "channels, height, width")],
)
@pytest.mark.parametrize("shape", [(4, 5), (4, 5, 3), (1, 2, 3, 4, 5, 6), (2, 0, 5, 3)])
def test_images_shape(shape, data_format, layout, symbolic):
    image = keras.KerasTensor(shape) if symbolic else np.zeros(shape, "float32")
    message = three_parts(
        f"`images` must have shape (batch, {layout})", f"images.shape={shape}", "`images[None]`"
    )
    with pytest.raises(ValueError, match=message):
        ops.grid_sample(image, GRID, data_format=data_format)


@pytest.mark.parametrize("symbolic", [False, True])
@pytest.mark.parametrize(
    ("image", "shape", "order"),
    [
        (IMAGES, (2,), "(x, y)"),
        (IMAGES, (2, 7, 3), "(x, y)"),
        (IMAGES, (2, 2, 7), "(x, y)"),
        (VOLUMES, (2, 7, 2), "(x, y, z)"),
    ],
)
def test_grid_shape(image, shape, order, symbolic):
    grid = keras.KerasTensor(shape) if symbolic else np.zeros(shape, "float32")
    message = three_parts(
        f"`grid` must have shape (batch, ..., {image.ndim - 2})",
        f"grid.shape={shape}",
        f"Put the coordinates, {order}, in the last axis.",
    )
    with pytest.raises(ValueError, match=message):
        ops.grid_sample(image, grid, data_format="channels_last")


@pytest.mark.parametrize("symbolic", [False, True])
def test_batch_sizes(symbolic):
    shape = (3, 7, 2)
    grid = keras.KerasTensor(shape) if symbolic else np.zeros(shape, "float32")
    message = three_parts(
        "`images` and `grid` must have the same batch size, or one of them a batch size of 1",
        f"images.shape=(2, 4, 5, 3), grid.shape={shape}",
        "Pass one grid for all images, one image for all grids, or as many of each.",
    )
    with pytest.raises(ValueError, match=message):
        ops.grid_sample(IMAGES, grid, data_format="channels_last")


@pytest.mark.parametrize("symbolic", [False, True])
@pytest.mark.parametrize("dtype", ["uint8", "int32", "bool"])
@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
def test_integer_images_do_not_blend(interpolation, dtype, symbolic):
    image = keras.KerasTensor(IMAGES.shape, dtype=dtype) if symbolic else IMAGES.astype(dtype)
    message = three_parts(
        f"`images` must be floating point for interpolation='{interpolation}'",
        f"images.dtype={dtype}",
        "or use interpolation='nearest'.",
    )
    with pytest.raises(ValueError, match=message):
        ops.grid_sample(image, GRID, interpolation=interpolation, data_format="channels_last")


@pytest.mark.parametrize("symbolic", [False, True])
@pytest.mark.parametrize("interpolation", ["nearest", "bilinear"])
def test_complex_images(interpolation, symbolic):
    image = IMAGES.astype("complex64")
    image = keras.KerasTensor(image.shape, dtype="complex64") if symbolic else image
    options = {"interpolation": interpolation, "data_format": "channels_last"}
    message = three_parts(
        "`images` must hold real numbers",
        "images.dtype=complex64",
        "Sample the real and the imaginary part apart",
    )
    with pytest.raises(ValueError, match=message):
        ops.grid_sample(image, GRID, **options)
    part = keras.ops.cast(keras.ops.imag(image), "float32")  # as it advises
    assert ops.grid_sample(part, GRID, **options).shape == (2, 7, 3)


@pytest.mark.parametrize("symbolic", [False, True])
@pytest.mark.parametrize(
    ("dtype", "fill_value"),
    [
        ("uint8", 256),
        ("uint8", -1),
        ("uint8", 0.5),
        ("uint8", float("nan")),
        ("int32", float("inf")),
        ("bool", 2),
    ],
)
def test_fill_values_that_integers_do_not_have(dtype, fill_value, symbolic):
    image = keras.KerasTensor(IMAGES.shape, dtype=dtype) if symbolic else IMAGES.astype(dtype)
    options = {"interpolation": "nearest", "data_format": "channels_last"}
    message = three_parts(
        f"`fill_value` must be a value that {dtype} images can hold",
        f"fill_value={float(fill_value)}",
        "fill_value=0.",
    )
    with pytest.raises(ValueError, match=message):
        ops.grid_sample(image, GRID, fill_value=fill_value, **options)
    # Where nothing is filled, it does not matter.
    ops.grid_sample(image, GRID, fill_value=fill_value, fill_mode="nearest", **options)
    ops.grid_sample(image, GRID, fill_value=1, **options)


@pytest.mark.parametrize("symbolic", [False, True])
def test_grid_dtype(symbolic):
    shape, dtype = GRID.shape, "int32"
    grid = keras.KerasTensor(shape, dtype=dtype) if symbolic else GRID.astype(dtype)
    message = three_parts(
        "`grid` must be floating point", "grid.dtype=int32", "Pass normalized coordinates"
    )
    with pytest.raises(ValueError, match=message):
        ops.grid_sample(IMAGES, grid, data_format="channels_last")


@pytest.mark.parametrize("shape", [(7, 2), (2, 7, 4), (2, 7, 1)])
def test_points_of_affine(shape):
    message = three_parts(
        "`points` must have shape (batch, N, 2)",
        f"points.shape={shape}",
        "Put (x, y) in the last axis.",
    )
    with pytest.raises(ValueError, match=message):
        Affine().transform_points(THETA, np.zeros(shape, "float32"))


def test_options_are_keyword_only():
    with pytest.raises(TypeError, match="positional argument"):
        ops.grid_sample(IMAGES, GRID, "nearest")
    with pytest.raises(TypeError, match="positional argument"):
        ops.affine_grid(THETA, (4, 4), False)
    with pytest.raises(TypeError, match="positional argument"):
        ops.identity_grid((4, 4), False)
