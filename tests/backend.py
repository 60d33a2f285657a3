"""What the tests need from the active backend: tensors, gradients, compilation, float64."""

import contextlib

import keras
import numpy as np
import pytest

from tests.selection import XLA

BACKEND = keras.backend.backend()

# Largest error, absolute and relative, of one operation on numbers of order one.
TOLERANCE = {"float64": 1e-11, "float32": 1e-5, "float16": 2e-3, "bfloat16": 1.6e-2}

# What float64 may become: newer releases of Keras on NumPy compute in float32 what they can.
WIDEST = {"float64", "float32"} if BACKEND == "numpy" else {"float64"}


def to_numpy(tensor):
    """`tensor` as a NumPy array."""
    return np.asarray(keras.ops.convert_to_numpy(tensor))


def dtype_name(tensor):
    """The dtype of a tensor of any backend, by its name."""
    return keras.backend.standardize_dtype(tensor.dtype)


def assert_close(actual, expected, *, scale=1.0):
    """Equal up to `scale` times what the dtype of `actual` can hold; NaN only where NaN."""
    tolerance = scale * TOLERANCE[dtype_name(actual)]
    actual, expected = to_numpy(actual).astype("float64"), np.asarray(expected, "float64")
    assert actual.shape == expected.shape
    np.testing.assert_allclose(actual, expected, rtol=tolerance, atol=tolerance)


def on_a_cpu():
    """Whether the active backend calculates on a CPU."""
    if BACKEND == "jax":
        import jax

        return jax.default_backend() == "cpu"
    if BACKEND == "tensorflow":
        import tensorflow as tf

        return not tf.config.list_logical_devices("GPU")
    return str(getattr(keras.ops.ones(()), "device", "cpu")) == "cpu"


def full_precision():
    """A context in which a GPU computes the matrix products of networks in all of float32."""
    if BACKEND == "jax":
        import jax

        return jax.default_matmul_precision("highest")
    return contextlib.nullcontext()


def float64():
    """A context in which the active backend calculates in float64 if given float64."""
    if BACKEND == "jax":
        import jax
        import jax.experimental

        home = jax if hasattr(jax, "enable_x64") else jax.experimental  # as in older releases
        return home.enable_x64(True)
    return contextlib.nullcontext()


def compiled(fn):
    """`fn` compiled by the active backend; itself where there is nothing to compile with."""
    if BACKEND == "jax":
        import jax

        return jax.jit(fn)
    if BACKEND == "tensorflow":
        import tensorflow as tf

        return tf.function(fn, jit_compile=True)
    return fn


# Whether a test's `fn` is compiled: a parameter, which has one value where `compiled` does nothing.
compile_or_not = pytest.mark.parametrize("compile", [False, True] if BACKEND in XLA else [False])


def traced(fn):
    """`fn` under `jax.jit` on JAX, where every operation alone would be compiled for every shape;
    itself elsewhere.
    """
    return compiled(fn) if BACKEND == "jax" else fn


def differentiable(fn, upstream=None):
    """A function of tensors that returns the gradients of `sum(fn(*args) * upstream)`.

    Not for NumPy. The result may be compiled.
    """

    def total(*args):
        out = fn(*args)
        return keras.ops.sum(out if upstream is None else out * keras.ops.cast(upstream, out.dtype))

    if BACKEND == "jax":
        import jax

        return lambda *args: jax.grad(total, tuple(range(len(args))))(*args)
    if BACKEND == "tensorflow":
        import tensorflow as tf

        def tape_gradients(*args):
            with tf.GradientTape() as tape:
                tape.watch(args)
                loss = total(*args)
            return tape.gradient(loss, args)

        return tape_gradients
    if BACKEND == "torch":
        import torch

        def autograd(*args):
            args = [arg.detach().clone().requires_grad_(True) for arg in args]
            return torch.autograd.grad(total(*args), args, allow_unused=True)

        return autograd
    raise NotImplementedError(f"The {BACKEND} backend has no gradients.")


def gradients(fn, *args, upstream=None, compile=None):
    """Gradients of `sum(fn(*args) * upstream)` to each of `args`, as NumPy arrays.

    `compile`: bool; by default as by `traced`.
    """
    args = [keras.ops.convert_to_tensor(arg, dtype=dtype_name(arg)) for arg in args]
    derivative = differentiable(fn, upstream)
    if compile is None:
        derivative = traced(derivative)
    elif compile:
        derivative = compiled(derivative)
    return [to_numpy(gradient) for gradient in derivative(*args)]


def xla_program(fn, array):
    """What XLA's CPU backend makes of `fn`, as text. On another device the test is skipped."""
    if not on_a_cpu():
        pytest.skip("looks for the loops and branches that stop XLA's CPU backend")
    if BACKEND == "jax":
        import jax

        return jax.jit(fn).lower(array).compile().as_text()
    import tensorflow as tf

    compile = tf.function(lambda x: fn(x), jit_compile=True).experimental_get_compiler_ir
    return compile(tf.constant(array))(stage="optimized_hlo")
