"""Calls outside `jax.jit`: one program for each function, or one for each operation.

    KERAS_BACKEND=jax python -m tests.benchmarks.eager

Prints a Markdown table: milliseconds of a call, and the ratio of the two. Both variants are the
library; in one, `keras_stn.ops.fusing.fused` does nothing.
"""

import importlib
import sys
import types

import jax
import numpy as np

from tests.benchmarks.timing import measure, ratio, summary

SHAPE = (8, 64, 64, 8)


def libraries():
    """The library as it is, and with `fused` that leaves functions as they are."""
    found = {"one program": importlib.import_module("keras_stn")}
    ours = {name: module for name, module in sys.modules.items() if name.startswith("keras_stn")}
    for name in ours:
        del sys.modules[name]
    stub = types.ModuleType("keras_stn.ops.fusing")
    stub.fused = lambda fn: fn
    sys.modules[stub.__name__] = stub
    found["operation by operation"] = importlib.import_module("keras_stn")
    return found


def functions(library):
    """What is called, by name, with a library."""
    rng = np.random.default_rng(0)
    images = jax.numpy.asarray(rng.uniform(size=SHAPE), "float32")
    theta = rng.normal(np.eye(2, 3), 0.1, (SHAPE[0], 2, 3)).astype("float32")
    velocities = rng.normal(0, 0.1, (SHAPE[0], 72)).astype("float32")
    ops, flow = library.ops, library.transforms.Diffeomorphic(6)
    grid = ops.affine_grid(theta, SHAPE[1:3])
    # A gradient to images and grid, as training outside `jit` takes it.
    gradient = jax.grad(lambda x, grid: ops.grid_sample(x, grid).sum(), (0, 1))
    return {
        "`affine_grid`": lambda: ops.affine_grid(theta, SHAPE[1:3]),
        "`grid_sample`": lambda: ops.grid_sample(images, grid),
        "`grid_sample`, bicubic": lambda: ops.grid_sample(images, grid, interpolation="bicubic"),
        "`grid_sample`, antialiased": lambda: ops.grid_sample(images, 2 * grid, antialias=True),
        "`grid_sample`, gradients": lambda: gradient(images, grid),
        "`Diffeomorphic.grid`": lambda: flow.grid(velocities, SHAPE[1:3]),
    }


def main():
    """Measures and prints."""
    variants = {name: functions(library) for name, library in libraries().items()}
    one, many = variants
    print(f"| 8×64×64×8 | {one}, ms | {many}, ms | ratio (quartiles) |\n|---|---|---|---|")
    for name in variants[one]:
        calls = {
            variant: lambda call=calls[name]: jax.block_until_ready(call())
            for variant, calls in variants.items()
        }
        times = measure(calls)
        cells = ("{ms:.1f} ± {iqr:.1f}".format(**summary(times[variant])) for variant in variants)
        quotient = "{ratio:.1f} ({low:.1f}-{high:.1f})".format(**ratio(times[many], times[one]))
        print(f"| {name} | {' | '.join(cells)} | {quotient} |", flush=True)


if __name__ == "__main__":
    main()
