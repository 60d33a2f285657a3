"""Samples computed once, or anew by everything that reads them.

    KERAS_BACKEND=jax python -m tests.benchmarks.once

on JAX or TensorFlow, under XLA, prints a Markdown table: milliseconds of what a sampler is followed
by, and how many times that it takes without the barrier that stands behind a sampler's samples.
"""

# Loaded before TensorFlow.
import torch  # isort: skip  # noqa: F401
import functools
import importlib

import keras

from keras_stn import ops
from keras_stn.ops import kernels
from keras_stn.ops.fusing import fused
from keras_stn.ops.kernels import portable
from tests.benchmarks.cases import SHAPES, inputs
from tests.benchmarks.timing import measure, ratio, summary

BACKEND = keras.backend.backend()
TASKS = ("forward", "d theta")


def without_barrier():
    """The active backend's sampler, less the barrier."""
    kernel = importlib.import_module(f"keras_stn.ops.kernels.{BACKEND}")
    sample = fused(portable.sample)
    return functools.partial(sample, interpolate=kernel.interpolate, read=kernel.take)


def outputs(sizes):
    """{what follows the sampler: a function of theta, images and targets}."""

    def warp(theta, images):
        return ops.grid_sample(images, ops.affine_grid(theta, sizes), data_format="channels_last")

    def pooled(theta, images, targets):
        window = (2,) * len(sizes)
        return keras.ops.average_pool(
            warp(theta, images), window, strides=window, data_format="channels_last"
        )

    return {
        "nothing": lambda theta, images, targets: warp(theta, images),
        "a square error": lambda theta, images, targets: (warp(theta, images) - targets) ** 2,
        "pooling": pooled,
        "the same warp": lambda theta, images, targets: warp(theta, warp(theta, images)),
    }


def functions(shape, sample):
    """{(what follows, forward or gradient): a call}, compiled with `sample` as the sampler."""
    kernels.sample = sample
    theta, images, targets = (
        keras.ops.convert_to_tensor(inputs(shape)[i].astype("float32")) for i in (1, 0, 2)
    )
    found = {}
    for name, output in outputs(shape[1:-1]).items():
        calls = compiled(output, (theta, images, targets))
        found |= {(name, task): call for task, call in zip(TASKS, calls, strict=True)}
    return found


def compiled(output, args):
    """Calls of a function, and of the gradient of its sum of squares to theta; both wait."""

    def loss(theta, images, targets):
        return keras.ops.sum(keras.ops.square(output(theta, images, targets)))

    if BACKEND == "jax":
        import jax

        jax.clear_caches()  # of what was traced with another sampler
        programs = [jax.jit(fn).lower(*args).compile() for fn in (output, jax.grad(loss))]
        return [lambda f=f: jax.block_until_ready(f(*args)) for f in programs]
    import tensorflow as tf

    def gradient(theta, images, targets):
        with tf.GradientTape() as tape:
            tape.watch(theta)
            total = loss(theta, images, targets)
        return tape.gradient(total, theta)

    programs = [
        tf.function(fn, jit_compile=True).get_concrete_function(*args) for fn in (output, gradient)
    ]
    return [lambda f=f: f(*args).numpy() for f in programs]


def main():
    """Measures and prints."""
    if BACKEND not in ("jax", "tensorflow"):
        raise SystemExit("Set KERAS_BACKEND to jax or tensorflow: they compile by XLA.")
    cells = {}
    samplers = {"once": kernels.sample, "anew": without_barrier()}
    for shape in SHAPES.values():
        variants = {name: functions(shape, sampler) for name, sampler in samplers.items()}
        for key in variants["once"]:
            times = measure({name: calls[key] for name, calls in variants.items()})
            taken, times_more = summary(times["once"]), ratio(times["anew"], times["once"])
            cell = "{ms:.1f}, {ratio:.2f} ({low:.2f}-{high:.2f})".format(**taken, **times_more)
            cells.setdefault(key, []).append(cell)
    print("| " + " | ".join([f"followed by ({BACKEND})", "task", *SHAPES]) + " |")
    print("|---" * (2 + len(SHAPES)) + "|")
    for key, found in cells.items():
        print("| " + " | ".join([*key, *found]) + " |")


if __name__ == "__main__":
    main()
