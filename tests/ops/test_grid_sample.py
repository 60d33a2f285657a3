"""Values of `grid_sample` against the reference, SciPy and torch."""

import keras
import numpy as np
import pytest
from scipy import ndimage

from keras_stn import ops
from tests import reference
from tests.backend import WIDEST, assert_close, dtype_name, float64, to_numpy
from tests.ops.inputs import SIZES, images, move_channels, points
from tests.oracle import torch

# The table in the documentation: what this library, SciPy and torch call the same thing.
SCIPY_MODES = {
    "constant": "grid-constant",
    "nearest": "nearest",
    "mirror": "mirror",
    "reflect": "reflect",
    "wrap": "grid-wrap",
}
TORCH_MODES = [
    ("constant", "zeros", True),
    ("constant", "zeros", False),
    ("nearest", "border", True),
    ("nearest", "border", False),
    ("mirror", "reflection", True),
    ("reflect", "reflection", False),
]
TORCH_INTERPOLATIONS = [(2, "nearest"), (2, "bilinear"), (2, "bicubic")]
TORCH_INTERPOLATIONS += [(3, "nearest"), (3, "bilinear")]  # it has no tricubic

every_fill_mode = pytest.mark.parametrize("fill_mode", reference.FILL_MODES)
both_align_corners = pytest.mark.parametrize("align_corners", [True, False])
every_interpolation = pytest.mark.parametrize("interpolation", ["nearest", "bilinear", "bicubic"])
both_layouts = pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
both_ndims = pytest.mark.parametrize("ndim", [2, 3])


@both_align_corners
@every_fill_mode
@every_interpolation
@both_layouts
@both_ndims
def test_reference_agrees(ndim, data_format, interpolation, fill_mode, align_corners, rng):
    image = move_channels(images(rng, ndim).astype("float32"), data_format)
    grid = points(rng, SIZES[ndim], align_corners=align_corners).astype("float32")
    options = {
        "interpolation": interpolation,
        "fill_mode": fill_mode,
        "fill_value": 0.7,
        "align_corners": align_corners,
        "data_format": data_format,
    }
    samples = ops.grid_sample(image, grid, **options)
    assert_close(samples, reference.grid_sample(image, grid, **options), scale=2)


@both_align_corners
@every_fill_mode
def test_reference_agrees_in_float64(fill_mode, align_corners, rng):
    image, grid = images(rng), points(rng, SIZES[2], align_corners=align_corners)
    options = {"fill_mode": fill_mode, "fill_value": 0.7, "align_corners": align_corners}
    with float64():
        samples = ops.grid_sample(
            keras.ops.convert_to_tensor(image, dtype="float64"),
            keras.ops.convert_to_tensor(grid, dtype="float64"),
            data_format="channels_last",
            **options,
        )
        assert dtype_name(samples) in WIDEST
        assert_close(samples, reference.grid_sample(image, grid, **options), scale=2)


@pytest.mark.parametrize("size", [2, 3, 6])
@every_fill_mode
def test_scipy_agrees(fill_mode, size, rng):
    image = rng.normal(size=(size, 5))
    rows, columns = rng.uniform(-3 * size, 4 * size, 80), rng.uniform(-12, 17, 80)
    expected = ndimage.map_coordinates(
        image, [rows, columns], order=1, mode=SCIPY_MODES[fill_mode], cval=-0.4
    )
    grid = [reference.to_normalized(columns, 5), reference.to_normalized(rows, size)]
    samples = ops.grid_sample(
        image[None, ..., None].astype("float32"),
        np.stack(grid, axis=-1)[None].astype("float32"),
        fill_mode=fill_mode,
        fill_value=-0.4,
        data_format="channels_last",
    )
    assert_close(samples[0, :, 0], expected, scale=3)


@pytest.mark.parametrize(("fill_mode", "padding_mode", "align_corners"), TORCH_MODES)
@pytest.mark.parametrize(("ndim", "interpolation"), TORCH_INTERPOLATIONS)
def test_torch_agrees(ndim, fill_mode, padding_mode, align_corners, interpolation, rng):
    image = images(rng, ndim)
    grid = points(rng, SIZES[ndim], align_corners=align_corners)
    expected = torch.nn.functional.grid_sample(
        torch.tensor(image).movedim(-1, 1),
        torch.tensor(grid).reshape(2, -1, *[1] * (ndim - 1), ndim),
        mode=interpolation,
        padding_mode=padding_mode,
        align_corners=align_corners,
    )
    samples = ops.grid_sample(
        image.astype("float32"),
        grid.astype("float32"),
        interpolation=interpolation,
        fill_mode=fill_mode,
        align_corners=align_corners,
        data_format="channels_last",
    )
    assert_close(samples, expected.reshape(2, 3, -1).movedim(1, -1).numpy(), scale=2)


@pytest.mark.parametrize(("size", "align_corners"), [(5, True), (8, False)])
def test_nearest_rounds_halves_to_even(size, align_corners):
    # Sizes whose middles between two pixels are exact in binary.
    image = np.arange(size, dtype="float32").reshape(1, 1, size, 1)
    middles = np.arange(size - 1) + 0.5
    x = reference.to_normalized(middles, size, align_corners)
    grid = np.stack([x, np.zeros(size - 1)], axis=-1)[None].astype("float32")
    samples = ops.grid_sample(
        image,
        grid,
        interpolation="nearest",
        align_corners=align_corners,
        data_format="channels_last",
    )
    assert to_numpy(samples).ravel().tolist() == np.rint(middles).tolist()


@every_interpolation
@both_layouts
@every_fill_mode
@pytest.mark.parametrize("rank", [2, 3, 4, 5, 6])
def test_grids_of_any_rank(rank, fill_mode, data_format, interpolation, rng):
    image = images(rng).astype("float32")
    flat = points(rng, SIZES[2], count=8).astype("float32")
    shape = {2: (), 3: (8,), 4: (2, 4), 5: (2, 1, 4), 6: (2, 2, 1, 2)}[rank]
    flat = flat[:, :1] if rank == 2 else flat
    options = {"fill_mode": fill_mode, "fill_value": 2.0, "interpolation": interpolation}
    samples = ops.grid_sample(
        move_channels(image, data_format),
        flat.reshape(2, *shape, 2),
        data_format=data_format,
        **options,
    )
    expected = reference.grid_sample(image, flat, **options).reshape(2, *shape, 3)
    assert_close(samples, move_channels(expected, data_format), scale=2)


@pytest.mark.parametrize("rank", [2, 3, 4, 5, 6])
@pytest.mark.parametrize("fill_mode", ["constant", "wrap"])
def test_volumes_at_grids_of_any_rank(rank, fill_mode, rng):
    volume = images(rng, 3).astype("float32")
    flat = points(rng, SIZES[3], count=8).astype("float32")
    shape = {2: (), 3: (8,), 4: (2, 4), 5: (2, 1, 4), 6: (2, 2, 1, 2)}[rank]
    flat = flat[:, :1] if rank == 2 else flat
    samples = ops.grid_sample(
        volume, flat.reshape(2, *shape, 3), fill_mode=fill_mode, data_format="channels_last"
    )
    expected = reference.grid_sample(volume, flat, fill_mode=fill_mode)
    assert_close(samples, expected.reshape(2, *shape, 3), scale=2)


@every_interpolation
@both_align_corners
@every_fill_mode
@pytest.mark.parametrize("sizes", [(1, 1), (1, 4), (3, 1), (1, 1, 1), (2, 1, 3)])
def test_axes_of_one_pixel(sizes, fill_mode, align_corners, interpolation, rng):
    image = images(rng, sizes=sizes).astype("float32")
    grid = rng.uniform(-1.9, 1.9, size=(2, 20, len(sizes))).astype("float32")
    options = {"fill_mode": fill_mode, "align_corners": align_corners, "fill_value": 0.5}
    options["interpolation"] = interpolation
    samples = ops.grid_sample(image, grid, data_format="channels_last", **options)
    assert_close(samples, reference.grid_sample(image, grid, **options), scale=2)


@pytest.mark.parametrize("size", [1, 2, 3])
def test_a_hair_before_the_image_is_its_end_when_periodic(size):
    # Found by tests.fuzz: rounded up to the whole period, it read a pixel past a single one.
    image = np.arange(1, size + 1, dtype="float32").reshape(1, 1, size, 1)
    hair = reference.to_normalized(0, size, align_corners=False) - np.array([1e-7, 0, 1e-30, 1e-38])
    points = np.stack([hair, np.zeros(4)], axis=-1)[None].astype("float32")
    options = {"fill_mode": "wrap", "align_corners": False, "data_format": "channels_last"}
    assert_close(ops.grid_sample(image, points, **options), np.full((1, 4, 1), image[0, 0, 0, 0]))


@pytest.mark.parametrize("fill_mode", ["constant", "wrap"])
@pytest.mark.parametrize("batch", [0, 1])
def test_small_batches(batch, fill_mode, rng):
    image = images(rng, batch=batch).astype("float32")
    grid = points(rng, SIZES[2], batch=batch).astype("float32")
    samples = ops.grid_sample(image, grid, fill_mode=fill_mode, data_format="channels_last")
    assert_close(samples, reference.grid_sample(image, grid, fill_mode=fill_mode), scale=2)


@pytest.mark.parametrize("fill_mode", ["constant", "wrap"])
def test_no_points(fill_mode, rng):
    image = images(rng).astype("float32")
    grid = np.zeros((2, 0, 5, 2), "float32")
    samples = ops.grid_sample(image, grid, fill_mode=fill_mode, data_format="channels_last")
    assert tuple(samples.shape) == (2, 0, 5, 3)


def test_each_image_of_a_batch_has_its_own_points(rng):
    image, grid = images(rng, batch=3), points(rng, SIZES[2], batch=3)
    image, grid = image.astype("float32"), grid.astype("float32")
    together = to_numpy(ops.grid_sample(image, grid, data_format="channels_last"))
    for i in range(3):
        alone = ops.grid_sample(image[i : i + 1], grid[i : i + 1], data_format="channels_last")
        assert_close(alone[0], together[i])


@both_layouts
def test_data_format_none_is_the_configured_one(data_format, rng):
    image, grid = images(rng).astype("float32"), points(rng, SIZES[2]).astype("float32")
    before = keras.config.image_data_format()
    keras.config.set_image_data_format(data_format)
    try:
        samples = ops.grid_sample(move_channels(image, data_format), grid)
    finally:
        keras.config.set_image_data_format(before)
    expected = reference.grid_sample(image, grid)
    assert_close(samples, move_channels(expected, data_format), scale=2)


@every_fill_mode
def test_inputs_are_only_read(fill_mode, rng):
    image, grid = images(rng).astype("float32"), points(rng, SIZES[2]).astype("float32")
    grid[0, 0] = np.nan
    before = image.copy(), grid.copy()
    image.setflags(write=False)
    grid.setflags(write=False)
    ops.grid_sample(image, grid, fill_mode=fill_mode, data_format="channels_last")
    tensors = [keras.ops.convert_to_tensor(array.copy()) for array in (image, grid)]
    ops.grid_sample(*tensors, fill_mode=fill_mode, data_format="channels_last")
    for tensor, array in zip(tensors, before, strict=True):
        assert np.array_equal(to_numpy(tensor), array, equal_nan=True)
