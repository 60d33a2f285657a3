"""The same bits in every run, where many samples add to the same pixels and threads could race."""

import keras
import numpy as np
import pytest

from keras_stn import ops
from tests.backend import (
    BACKEND,
    compile_or_not,
    compiled,
    differentiable,
    on_a_cpu,
    to_numpy,
    traced,
)

SHAPE = (8, 96, 96, 3)
RUNS = 3

some_modes = pytest.mark.parametrize(
    ("interpolation", "fill_mode"), [("bilinear", "constant"), ("bicubic", "wrap")]
)


pytestmark = pytest.mark.skipif(
    not on_a_cpu(), reason="accelerators add atomically, in any order: torch says so of its own"
)


@pytest.fixture(autouse=True)
def threads():
    """More than one, on torch, whatever its share of the cores."""
    if BACKEND != "torch":
        yield
        return
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(4)
    yield
    torch.set_num_threads(before)


def problem(rng, interpolation, fill_mode):
    """A warp that contracts: all of an image's samples read the same few pixels."""
    image = rng.normal(size=SHAPE).astype("float32")
    theta = np.eye(2, 3).ravel() * 0.03 + rng.uniform(-0.01, 0.01, (SHAPE[0], 6))
    tensors = [keras.ops.convert_to_tensor(a, dtype="float32") for a in (image, theta)]

    def warp(image, theta):
        grid = ops.affine_grid(theta, SHAPE[1:3])
        return ops.grid_sample(
            image,
            grid,
            interpolation=interpolation,
            fill_mode=fill_mode,
            data_format="channels_last",
        )

    return warp, tensors


def assert_always_the_same(fn, args):
    first, *others = ([to_numpy(result).copy() for result in fn(*args)] for _ in range(RUNS))
    for other in others:
        for again, result in zip(other, first, strict=True):
            assert result.any()
            assert np.array_equal(again, result)


@some_modes
@compile_or_not
def test_values(compile, interpolation, fill_mode, rng):
    warp, args = problem(rng, interpolation, fill_mode)
    fn = compiled(warp) if compile else warp
    assert_always_the_same(lambda *args: [fn(*args)], args)


@pytest.mark.gradient
@some_modes
@compile_or_not
def test_gradients(compile, interpolation, fill_mode, rng):
    warp, args = problem(rng, interpolation, fill_mode)
    fn = differentiable(warp, upstream=rng.normal(size=SHAPE).astype("float32"))
    fn = compiled(fn) if compile else fn
    assert_always_the_same(fn, args)
    # The samples do fall on few pixels: nearly all of the image gets no gradient.
    assert np.mean(to_numpy(fn(*args)[0]) != 0) < 0.02


@pytest.mark.gradient
def test_every_compilation_is_the_same(rng):
    warp, args = problem(rng, "bilinear", "constant")
    found = [
        [to_numpy(gradient) for gradient in traced(differentiable(warp))(*args)] for _ in range(2)
    ]
    for one, other in zip(*found, strict=True):
        assert np.array_equal(one, other)
