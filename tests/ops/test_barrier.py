"""What keeps XLA from computing things twice: the program has it, values and gradients do not."""

import keras
import numpy as np
import pytest

from keras_stn import ops
from keras_stn.ops.kernels.barrier import compute_both_once, compute_once
from tests.backend import BACKEND, compile_or_not, gradients, to_numpy, xla_program
from tests.selection import XLA

X = np.random.default_rng(0).normal(size=(2, 3, 4)).astype("float32")
X[0, 0, 0] = np.nan


def fences(fn, array):
    """How many loops and branches the compiled program of `fn` has, which nothing crosses."""
    text = xla_program(fn, array)
    return text.count(" while(") + text.count(" conditional(")


def slope(barrier):
    """The gradient of a sum in which two functions meet, with the barrier between them."""

    def inner(x):
        return keras.ops.sum(keras.ops.sin(barrier(keras.ops.cos(x))))

    if BACKEND == "jax":
        import jax

        return jax.grad(inner)
    import tensorflow as tf

    def fn(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            total = inner(x)
        return tape.gradient(total, x)

    return fn


@pytest.mark.parametrize("barrier", [compute_once, compute_both_once])
def test_values_are_what_they_were(barrier):
    np.testing.assert_array_equal(to_numpy(barrier(keras.ops.convert_to_tensor(X))), X)


@pytest.mark.gradient
@compile_or_not
@pytest.mark.parametrize("barrier", [compute_once, compute_both_once])
def test_gradients_are_what_they_were(barrier, compile):
    x = np.nan_to_num(X)
    (found,) = gradients(lambda x: keras.ops.sin(barrier(keras.ops.cos(x))), x, compile=compile)
    np.testing.assert_allclose(found, -np.cos(np.cos(x)) * np.sin(x), atol=1e-6)


@pytest.mark.skipif(BACKEND not in XLA, reason="where XLA compiles")
def test_the_compiled_program_has_them():
    x = np.nan_to_num(X)
    assert fences(lambda x: keras.ops.sin(keras.ops.cos(x)), x) == 0
    assert fences(lambda x: keras.ops.sin(compute_once(keras.ops.cos(x))), x) >= 1
    # The gradient has the forward one, and one of its own.
    one, both = (fences(slope(barrier), x) for barrier in (compute_once, compute_both_once))
    assert both > one >= 1


@pytest.mark.skipif(BACKEND not in XLA, reason="where XLA compiles")
def test_samples_that_are_sampled_again_are_computed_once():
    grid = ops.affine_grid(keras.ops.convert_to_tensor(np.eye(2, 3, dtype="float32")[None]), (5, 6))

    def warp(images):
        return ops.grid_sample(images, grid, data_format="channels_last")

    images = np.random.default_rng(0).normal(size=(1, 5, 6, 2)).astype("float32")
    assert fences(lambda x: warp(warp(x)), images) > fences(warp, images) >= 1


@pytest.mark.skipif(BACKEND != "jax", reason="the transformations of JAX")
def test_the_transformations_of_jax_go_through():
    import jax

    def with_barrier(x):
        return (jax.numpy.sin(compute_both_once(x)) * x**2).sum()

    def without(x):
        return (jax.numpy.sin(x) * x**2).sum()

    x = jax.numpy.asarray(np.nan_to_num(X[0]))
    for transform in (
        jax.hessian,
        lambda f: jax.jacrev(jax.jacfwd(f)),
        lambda f: jax.vmap(lambda x: jax.grad(f)(x[None])),
        lambda f: jax.grad(jax.checkpoint(f)),
        lambda f: lambda x: jax.jvp(f, (x,), (x,))[1],
    ):
        np.testing.assert_allclose(transform(with_barrier)(x), transform(without)(x), atol=1e-5)
