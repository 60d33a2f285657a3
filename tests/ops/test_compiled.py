"""Compiled sampling where every spatial transformer starts: at, and next to, the identity.

XLA may compute a coordinate twice, rounded differently, and then read one pixel with the weight of
another. Small images and eager runs never show it: these are as large as the images it was met on.
"""

import importlib

import keras
import numpy as np
import pytest

from keras_stn import ops
from keras_stn.ops.kernels.taps import fold
from tests import reference
from tests.backend import (
    BACKEND,
    assert_close,
    compile_or_not,
    compiled,
    differentiable,
    dtype_name,
    gradients,
    to_numpy,
)
from tests.ops.inputs import images, points
from tests.oracle import torch
from tests.selection import XLA

BATCH, SIZE, CHANNELS = 4, 224, 3
SHAPE = (BATCH, SIZE, SIZE, CHANNELS)


def near_identity(rng):
    """Thetas within a millionth of the identity, as after the first small step of training."""
    identity = np.eye(2, 3).ravel()
    return (identity + rng.uniform(-1e-6, 1e-6, size=(BATCH, 6))).astype("float32")


def smooth(tilt):
    """A low hill that ends flat at the edges: its derivative hardly jumps at any pixel."""
    x, y = np.moveaxis(reference.identity_grid((SIZE, SIZE)), -1, 0)
    hill = (1 + np.cos(np.pi * x)) * (1 + np.cos(np.pi * y)) * (1 + tilt * x - y)
    return np.broadcast_to(hill[None, ..., None], SHAPE).astype("float32")


def warp(image, theta):
    grid = ops.affine_grid(theta, (SIZE, SIZE))
    return ops.grid_sample(image, grid, data_format="channels_last")


def by_torch(image, theta, upstream):
    """Values, image gradient and theta gradient by torch's operators in float64."""
    image = torch.tensor(image, dtype=torch.float64, requires_grad=True)
    theta = torch.tensor(theta, dtype=torch.float64, requires_grad=True)
    grid = torch.nn.functional.affine_grid(
        theta.reshape(-1, 2, 3), (BATCH, CHANNELS, SIZE, SIZE), align_corners=True
    )
    samples = torch.nn.functional.grid_sample(
        image.movedim(-1, 1), grid, align_corners=True
    ).movedim(1, -1)
    found = torch.autograd.grad((samples * torch.tensor(upstream).double()).sum(), [image, theta])
    return [tensor.detach().numpy() for tensor in (samples, *found)]


@compile_or_not
def test_values_next_to_the_identity(compile, rng):
    image, theta = rng.uniform(size=SHAPE).astype("float32"), near_identity(rng)
    expected, _, _ = by_torch(image, theta, np.zeros(SHAPE))
    samples = (compiled(warp) if compile else warp)(image, theta)
    assert np.abs(to_numpy(samples) - expected).max() < 1e-4


@pytest.mark.gradient
@compile_or_not
def test_image_gradient_next_to_the_identity(compile, rng):
    image, theta = rng.uniform(size=SHAPE).astype("float32"), near_identity(rng)
    upstream = rng.normal(size=SHAPE).astype("float32")
    _, expected, _ = by_torch(image, theta, upstream)
    to_image, _ = gradients(warp, image, theta, upstream=upstream, compile=compile)
    wrong = np.abs(to_image - expected) > 1e-3
    assert wrong.sum() == 0


@pytest.mark.gradient
@compile_or_not
def test_theta_gradient_next_to_the_identity(compile, rng):
    image, theta, upstream = smooth(0.4), near_identity(rng), smooth(-2.0)
    _, _, expected = by_torch(image, theta, upstream)
    _, to_theta = gradients(warp, image, theta, upstream=upstream, compile=compile)
    # Of two neighbouring slopes either may be taken: they differ by a hundredth.
    assert np.abs(to_theta - expected).max() < 2e-2 * np.abs(expected).max()


def ambiguous_axes(theta):
    """Pixel coordinates (rows first) of affine grids, as anyone would write them: a sum of two
    products, which a compiler may fuse, and so round, in two ways.
    """
    axis = keras.ops.linspace(-1.0, 1.0, SIZE, dtype="float32")
    axes = []
    for i in (3, 0):
        along_x = theta[:, i : i + 1] * axis + theta[:, i + 2 : i + 3]
        along_y = theta[:, i + 1 : i + 2] * axis
        x = keras.ops.expand_dims(along_x, 1) + keras.ops.expand_dims(along_y, 2)
        axes.append(keras.ops.reshape((x + 1.0) * ((SIZE - 1) / 2), (BATCH, -1)))
    return axes


@pytest.mark.gradient
@pytest.mark.skipif(BACKEND not in XLA, reason="XLA's compilers alone do it")
@pytest.mark.parametrize("channels", [1, 3, 8])
def test_index_and_weight_agree_whatever_the_compiler_does(channels, rng):
    # Straight to the kernel, where nothing else keeps XLA from computing coordinates twice.
    kernel = importlib.import_module(f"keras_stn.ops.kernels.{BACKEND}")
    modes = {"interpolation": "bilinear", "fill_mode": "constant"}
    image = rng.uniform(size=(BATCH, SIZE, SIZE, channels)).astype("float32")
    upstream = rng.normal(size=image.shape).astype("float32")

    def warp(image, theta):
        axes = [fold(x, SIZE, **modes) for x in ambiguous_axes(theta)]
        return keras.ops.reshape(kernel.interpolate(image, axes, **modes), image.shape)

    to_image, _ = gradients(warp, image, near_identity(rng), upstream=upstream, compile=True)
    # So near to the identity the adjoint is the identity, up to the edges.
    wrong = np.abs(to_image - upstream)[:, 2:-2, 2:-2] > 1e-2
    assert wrong.sum() == 0


@pytest.mark.gradient
@pytest.mark.skipif(BACKEND != "jax", reason="the jaxpr is JAX's")
@pytest.mark.parametrize("fill_mode", reference.FILL_MODES)
def test_accelerators_get_a_barrier(fill_mode):
    import jax

    def fn(image, grid):
        return ops.grid_sample(image, grid, fill_mode=fill_mode, data_format="channels_last")

    shapes = np.zeros((1, 4, 4, 4), "float32"), np.zeros((1, 5, 2), "float32")
    assert "optimization_barrier" in str(jax.make_jaxpr(differentiable(fn))(*shapes))


@pytest.mark.skipif(BACKEND != "tensorflow", reason="dynamic shapes are TensorFlow's")
@pytest.mark.parametrize("compile", [False, True], ids=["graph", "xla"])
@pytest.mark.parametrize("interpolation", ["bilinear", "nearest"])
@pytest.mark.parametrize("fill_mode", reference.FILL_MODES)
def test_dynamic_shapes(fill_mode, interpolation, compile, rng):
    import tensorflow as tf

    options = {"fill_mode": fill_mode, "fill_value": 0.5, "interpolation": interpolation}

    @tf.function(
        input_signature=[
            tf.TensorSpec((None, None, None, 3)),
            tf.TensorSpec((None, None, 2)),
        ],
        jit_compile=compile,
    )
    def fn(image, grid):
        return ops.grid_sample(image, grid, data_format="channels_last", **options)

    for batch, sizes in ((2, (4, 5)), (1, (7, 3))):
        image = images(rng, batch=batch, sizes=sizes).astype("float32")
        grid = points(rng, sizes, batch=batch, count=9 * batch).astype("float32")
        expected = reference.grid_sample(image, grid, **options)
        assert_close(fn(image, grid), expected, scale=2)
    assert fn.experimental_get_tracing_count() == 1


@pytest.mark.skipif(BACKEND != "tensorflow", reason="dynamic shapes are TensorFlow's")
@pytest.mark.parametrize("compile", [False, True], ids=["graph", "xla"])
@pytest.mark.parametrize("align_corners", [True, False])
def test_dynamic_warp(align_corners, compile, rng):
    import tensorflow as tf

    @tf.function(
        input_signature=[tf.TensorSpec((None, None, None, 3)), tf.TensorSpec((None, 6))],
        jit_compile=compile,
    )
    def fn(image, theta):
        size = keras.ops.shape(image)[1:3]
        with tf.GradientTape() as tape:
            tape.watch([image, theta])
            grid = ops.affine_grid(theta, size, align_corners=align_corners)
            samples = ops.grid_sample(
                image, grid, align_corners=align_corners, data_format="channels_last"
            )
        return samples, *tape.gradient(samples, [image, theta])

    for batch, sizes in ((2, (4, 5)), (1, (7, 3))):
        image = images(rng, batch=batch, sizes=sizes).astype("float32")
        theta = rng.normal(size=(batch, 6)).astype("float32")
        samples, to_image, to_theta = fn(image, theta)
        grid = reference.affine_grid(theta, sizes, align_corners)
        expected = reference.grid_sample(image, grid, align_corners=align_corners)
        assert_close(samples, expected, scale=3)
        assert to_image.shape == image.shape
        assert to_theta.shape == theta.shape
        assert np.isfinite(to_theta).all()
    assert dtype_name(samples) == "float32"
