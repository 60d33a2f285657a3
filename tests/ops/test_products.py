"""Products of coordinates keep all of their bits, whatever a matrix unit would do with them."""

import keras
import numpy as np
import pytest

from keras_stn.ops import products
from keras_stn.transforms import Diffeomorphic, ThinPlateSpline
from tests.backend import BACKEND, assert_close, differentiable, float64, to_numpy
from tests.transforms.cases import CASES, SIZES, thetas

every_family = pytest.mark.parametrize(("family", "ndim"), CASES, ids=repr)


def factors(rng, dtype="float32", shared=64):
    a, b = rng.normal(size=(2, 5, shared)), rng.normal(size=(2, shared, 3))
    return [array.astype(dtype) for array in (a, b)]


@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16"])
def test_a_product_in_the_dtype_of_its_factors(dtype, rng):
    with float64():
        a, b = (keras.ops.cast(array, dtype) for array in factors(rng, "float64"))
        found = products.product(a, b)
        wide = [
            to_numpy(keras.ops.cast(x, "float32" if dtype == "bfloat16" else dtype)) for x in (a, b)
        ]
        assert_close(found, wide[0].astype("float64") @ wide[1].astype("float64"), scale=10)
        assert keras.backend.standardize_dtype(found.dtype) == dtype


@pytest.mark.skipif(BACKEND not in ("tensorflow", "torch"), reason="others need no way round")
def test_by_way_of_float64_a_product_is_rounded_once(rng):
    a, b = factors(rng, shared=4096)
    found = products.wide(*map(keras.ops.convert_to_tensor, (a, b)))
    assert keras.backend.standardize_dtype(found.dtype) == "float32"
    # To add up so many float32 would cost more.
    np.testing.assert_array_max_ulp(to_numpy(found), (a.astype("float64") @ b).astype("float32"), 1)


@pytest.mark.skipif(BACKEND != "torch", reason="of torch")
def test_torch_may_round_on_a_gpu_if_told_so():
    import torch

    told = torch.get_float32_matmul_precision()
    try:
        for precision, rounds in [("high", True), ("medium", True), ("highest", False)]:
            torch.set_float32_matmul_precision(precision)
            assert products.may_round() == rounds
    finally:
        torch.set_float32_matmul_precision(told)


@pytest.mark.skipif(BACKEND != "tensorflow", reason="of TensorFlow")
def test_tensorflow_may_round_where_there_is_more_than_a_cpu(monkeypatch):
    import tensorflow as tf

    cpus = tf.config.list_logical_devices("CPU")
    assert products.may_round() == (tf.config.list_logical_devices() != cpus)
    monkeypatch.setattr(
        tf.config, "list_logical_devices", lambda kind=None: cpus if kind else [*cpus, "a GPU"]
    )
    assert products.may_round()
    with monkeypatch.context() as patched:
        patched.setattr(tf.config.experimental, "tensor_float_32_execution_enabled", lambda: False)
        assert not products.may_round()
    a, b = map(tf.constant, factors(np.random.default_rng(0), shared=4096))
    assert np.array_equal(products.product(a, b), products.wide(a, b))


@pytest.mark.skipif(BACKEND != "jax", reason="of JAX")
@pytest.mark.parametrize("gradient", [False, True])
@every_family
def test_every_product_of_a_jax_program_asks_for_all_bits(family, ndim, gradient):
    import jax

    def grid(theta):
        return family.grid(theta, SIZES[ndim])

    lowered = jax.jit(differentiable(grid) if gradient else grid).lower(thetas(family, ndim))
    asked = [line for line in lowered.as_text().splitlines() if "dot_general" in line]
    assert [line for line in asked if "precision = [HIGHEST, HIGHEST]" not in line] == []
    assert asked or not isinstance(family, (ThinPlateSpline, Diffeomorphic))


@pytest.mark.skipif(BACKEND != "torch", reason="the autocast of torch")
@every_family
def test_grids_are_the_same_under_autocast(family, ndim):
    import torch

    theta = keras.ops.convert_to_tensor(thetas(family, ndim))
    points = torch.rand(2, 4, ndim, device=theta.device)
    with torch.autocast(theta.device.type, torch.bfloat16):
        cast = family.grid(theta, SIZES[ndim]), family.transform_points(theta, points)
    for found, expected in zip(
        cast, (family.grid(theta, SIZES[ndim]), family.transform_points(theta, points)), strict=True
    ):
        assert found.dtype == torch.float32
        np.testing.assert_allclose(to_numpy(found), to_numpy(expected), atol=1e-6)


@pytest.mark.skipif(BACKEND != "torch", reason="the meta device of torch")
@every_family
def test_shapes_are_inferred_without_values(family, ndim):
    import torch

    theta = torch.empty(2, family.num_params(ndim), device="meta")
    with keras.device("meta"):
        assert family.grid(theta, SIZES[ndim]).shape == (2, *SIZES[ndim], ndim)
