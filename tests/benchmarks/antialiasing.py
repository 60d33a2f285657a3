"""What antialiasing costs: `KERAS_BACKEND=jax python -m tests.benchmarks.antialiasing`."""

import functools
import importlib

# Loaded before TensorFlow.
import torch  # noqa: F401  # isort: skip
import keras
import numpy as np

from keras_stn import ops
from tests.benchmarks import timing
from tests.benchmarks.cases import TASKS

SHAPE, OUTPUT_SIZE = (8, 224, 224, 3), (112, 112)


def warp(images, theta, antialias):
    """Crops of half the images' size."""
    grid = ops.affine_grid(theta, OUTPUT_SIZE)
    return ops.grid_sample(images, grid, antialias=antialias, data_format="channels_last")


def main():
    """Prints milliseconds with and without, and their ratio."""
    rng = np.random.default_rng(0)
    theta = np.eye(2, 3) + rng.uniform(-0.1, 0.1, (SHAPE[0], 2, 3))
    upstream = rng.normal(size=(SHAPE[0], *OUTPUT_SIZE, SHAPE[-1]))
    arrays = {"images": rng.uniform(size=SHAPE), "theta": theta, "upstream": upstream}
    arrays = {n: keras.ops.convert_to_tensor(x.astype("float32")) for n, x in arrays.items()}
    backend = keras.backend.backend()
    contestants = importlib.import_module(f"tests.benchmarks.contestants_{backend}")
    if backend == "tensorflow":
        arrays["jit_compile"] = True
    plain, smooth = (
        contestants.tasks(functools.partial(warp, antialias=antialias), **arrays)
        for antialias in (False, True)
    )
    for task in TASKS:
        times = timing.measure({"plain": plain[task], "antialias": smooth[task]})
        ms = {name: timing.summary(found)["ms"] for name, found in times.items()}
        found = timing.ratio(times["antialias"], times["plain"])
        print(
            f"{backend} {task}: {ms['plain']:.1f} ms, with antialiasing {ms['antialias']:.1f} ms, "
            f"{found['ratio']:.0f} times ({found['low']:.0f}-{found['high']:.0f})"
        )


if __name__ == "__main__":
    main()
