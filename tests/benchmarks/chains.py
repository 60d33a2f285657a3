"""Warps of warps: what is sampled is sampled again, in one program that XLA compiles.

    KERAS_BACKEND=jax python -m tests.benchmarks.chains

on JAX or TensorFlow prints a line of a Markdown table: milliseconds of one, two and three affine
warps in a row of 64×48×48×2, and of the gradient to their thetas. A warp should cost what it costs
alone.
"""

# Loaded before TensorFlow.
import torch  # isort: skip  # noqa: F401
import keras
import numpy as np

from keras_stn import ops
from tests.benchmarks.timing import measure, summary

SHAPE = (64, 48, 48, 2)
BACKEND = keras.backend.backend()


def warps(count):
    """A function of images and thetas: so many warps in a row."""

    def warped(images, theta):
        for _ in range(count):
            grid = ops.affine_grid(theta, SHAPE[1:3])
            images = ops.grid_sample(images, grid, data_format="channels_last")
        return images

    return warped


def functions(warped):
    """The warp compiled, and its gradient to thetas; both wait for the result."""
    rng = np.random.default_rng(0)
    images = keras.ops.convert_to_tensor(rng.uniform(size=SHAPE).astype("float32"))
    theta = rng.normal(np.eye(2, 3), 0.1, (SHAPE[0], 2, 3)).astype("float32")
    theta = keras.ops.convert_to_tensor(theta)

    def loss(theta):
        return keras.ops.sum(keras.ops.square(warped(images, theta)))

    if BACKEND == "jax":
        import jax

        forward, backward = jax.jit(warped), jax.jit(jax.grad(loss))
        return {
            "forward": lambda: jax.block_until_ready(forward(images, theta)),
            "d theta": lambda: jax.block_until_ready(backward(theta)),
        }
    import tensorflow as tf

    def gradient(theta):
        with tf.GradientTape() as tape:
            tape.watch(theta)
            total = loss(theta)
        return tape.gradient(total, theta)

    forward, backward = (tf.function(fn, jit_compile=True) for fn in (warped, gradient))
    return {
        "forward": lambda: forward(images, theta).numpy(),
        "d theta": lambda: backward(theta).numpy(),
    }


def main():
    """Measures and prints."""
    cells = {}
    for count in (1, 2, 3):
        for task, times in measure(functions(warps(count))).items():
            row = summary(times)
            cells[task, count] = f"{row['ms']:.1f} ± {row['iqr']:.1f}"
    tasks = ("forward", "d theta")
    print("| " + " | ".join([BACKEND, *(cells[t, n] for t in tasks for n in (1, 2, 3))]) + " |")


if __name__ == "__main__":
    main()
