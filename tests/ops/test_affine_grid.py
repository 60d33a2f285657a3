"""Affine grids against the paper's equation and against torch."""

import keras
import numpy as np
import pytest

from keras_stn import ops
from tests import reference
from tests.backend import WIDEST, assert_close, compiled, dtype_name, float64, to_numpy
from tests.oracle import torch

OUTPUT_SIZES = [(3, 5), (4, 4), (1, 6), (1, 1), (2, 3, 4), (3, 1, 2)]


def thetas(rng, ndim, batch=3):
    return rng.normal(size=(batch, ndim * (ndim + 1)))


@pytest.mark.parametrize("align_corners", [True, False])
@pytest.mark.parametrize("output_size", OUTPUT_SIZES)
def test_values(output_size, align_corners, rng):
    theta = thetas(rng, len(output_size)).astype("float32")
    grid = ops.affine_grid(theta, output_size, align_corners=align_corners)
    assert dtype_name(grid) == "float32"
    assert_close(grid, reference.affine_grid(theta, output_size, align_corners))


@pytest.mark.parametrize("align_corners", [True, False])
@pytest.mark.parametrize("output_size", [(3, 5), (2, 3, 4)])
def test_values_in_float64(output_size, align_corners, rng):
    ndim = len(output_size)
    theta = thetas(rng, ndim)
    with float64():
        tensor = keras.ops.convert_to_tensor(theta, dtype="float64")
        grid = ops.affine_grid(tensor, output_size, align_corners=align_corners)
        assert dtype_name(grid) in WIDEST
        assert_close(grid, reference.affine_grid(theta, output_size, align_corners))


@pytest.mark.parametrize("align_corners", [True, False])
@pytest.mark.parametrize("output_size", [(3, 5), (2, 3, 4)])
def test_torch_agrees(output_size, align_corners, rng):
    ndim = len(output_size)
    theta = thetas(rng, ndim)
    expected = torch.nn.functional.affine_grid(
        torch.tensor(theta).reshape(-1, ndim, ndim + 1),
        (len(theta), 1, *output_size),
        align_corners=align_corners,
    )
    grid = ops.affine_grid(theta.astype("float32"), output_size, align_corners=align_corners)
    assert_close(grid, expected.numpy())


@pytest.mark.parametrize("ndim", [2, 3])
def test_flat_and_matrix_thetas_are_the_same(ndim, rng):
    theta = thetas(rng, ndim).astype("float32")
    size = (4, 3, 2)[:ndim]
    flat = ops.affine_grid(theta, size)
    matrices = ops.affine_grid(theta.reshape(-1, ndim, ndim + 1), size)
    assert np.array_equal(to_numpy(flat), to_numpy(matrices))


@pytest.mark.parametrize("align_corners", [True, False])
@pytest.mark.parametrize("output_size", OUTPUT_SIZES)
def test_identity_theta_is_the_identity_grid(output_size, align_corners):
    ndim = len(output_size)
    theta = np.eye(ndim, ndim + 1, dtype="float32")[None]
    grid = ops.affine_grid(theta, output_size, align_corners=align_corners)
    identity = ops.identity_grid(output_size, align_corners=align_corners)
    assert np.array_equal(to_numpy(grid)[0], to_numpy(identity))


def test_theta_maps_target_to_source():
    # The article's zoom in: the output's corner reads halfway to the centre.
    theta = np.array([[0.5, 0, 0, 0, 0.5, 0]], "float32")
    assert to_numpy(ops.affine_grid(theta, (3, 3)))[0, 0, 0].tolist() == [-0.5, -0.5]


def test_third_and_sixth_parameters_move_x_and_y():
    theta = np.array([[1, 0, 0.25, 0, 1, -0.5]], "float32")
    centre = to_numpy(ops.affine_grid(theta, (3, 3)))[0, 1, 1]
    assert centre.tolist() == [0.25, -0.5]


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_thetas_give_float32_grids(dtype):
    theta = keras.ops.cast(np.array([[1, 0, 0, 0, 1, 0]], "float32"), dtype)
    grid = ops.affine_grid(theta, (1, 513))
    assert dtype_name(grid) == "float32"
    # 513 distinct columns: half precision would have merged neighbours.
    assert len(np.unique(to_numpy(grid)[..., 0])) == 513


def test_integer_thetas_are_numbers_too():
    grid = ops.affine_grid(np.array([[1, 0, 0, 0, 1, 0]]), (2, 2))
    assert to_numpy(grid)[0, 1, 1].tolist() == [1, 1]


def test_empty_batch():
    assert tuple(ops.affine_grid(np.zeros((0, 6), "float32"), (2, 3)).shape) == (0, 2, 3, 2)


def test_theta_is_only_read():
    theta = np.array([[1, 0, 0, 0, 1, 0]], "float32")
    theta.setflags(write=False)
    ops.affine_grid(theta, (4, 4))
    mine = keras.ops.convert_to_tensor(np.array([[2, 0, 1, 0, 2, 0]], "float32"))
    ops.affine_grid(mine, (4, 4))
    assert to_numpy(mine).tolist() == [[2, 0, 1, 0, 2, 0]]


def test_compiled_is_eager(rng):
    theta = thetas(rng, 2).astype("float32")
    fast = compiled(lambda theta: ops.affine_grid(theta, (5, 4)))(
        keras.ops.convert_to_tensor(theta)
    )
    assert_close(fast, to_numpy(ops.affine_grid(theta, (5, 4))))


@pytest.mark.parametrize("shape", [(None, 6), (None, 2, 3), (2, 6)])
def test_symbolic(shape):
    grid = ops.affine_grid(keras.KerasTensor(shape, dtype="float16"), (4, 5))
    assert tuple(grid.shape) == (shape[0], 4, 5, 2)
    assert grid.dtype == "float32"


def test_functional_model_saves_and_loads(tmp_path, rng):
    theta = keras.Input((12,))
    model = keras.Model(theta, ops.affine_grid(theta, (2, 3, 4), align_corners=False))
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    given = thetas(rng, 3).astype("float32")
    expected = reference.affine_grid(given, (2, 3, 4), align_corners=False)
    assert_close(model(given), expected)
    assert_close(loaded(given), expected)
