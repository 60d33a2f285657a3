"""Measures the active backend and prints JSON: `python -m tests.benchmarks.worker TASK`."""

# Loaded before TensorFlow.
import torch  # noqa: F401  # isort: skip
import importlib
import json
import sys

import keras

from tests.benchmarks import layer, memory
from tests.benchmarks.cases import LAYER_SHAPE, MEMORY_SHAPE, SHAPES, TASKS, inputs
from tests.benchmarks.timing import measure, ratio, summary

BACKEND = keras.backend.backend()


def contestants(shape):
    """Everything to measure at one shape on the active backend."""
    module = importlib.import_module(f"tests.benchmarks.contestants_{BACKEND}")
    return module.contestants(shape, inputs(shape))


def speed():
    """Rows of times: one a mode, shape, task and contestant."""
    rows = []
    for shape_name, shape in SHAPES.items():
        for mode, found in contestants(shape).items():
            for task in TASKS:
                times = measure({name: fns[task] for name, fns in found.items() if task in fns})
                for name, values in times.items():
                    row = {"mode": mode, "shape": shape_name, "task": task, "name": name}
                    row |= summary(values)
                    if name != "ours":
                        row |= ratio(values, times["ours"])
                    rows.append(row)
                    print(row, file=sys.stderr, flush=True)
    return rows


def peak():
    """{mode/name: MiB} of the full gradient, one after the other in this process."""
    found = {}
    if BACKEND == "tensorflow":  # keeps what it frees: the process does not grow a second time
        return found
    for mode, named in contestants(SHAPES[MEMORY_SHAPE]).items():
        for name, functions in named.items():
            if TASKS[-1] in functions:
                found[f"{mode}/{name}"] = memory.peak_megabytes(functions[TASKS[-1]])
    return found


def overhead():
    """Layer over operations."""
    times = measure(layer.functions(SHAPES[LAYER_SHAPE]))
    return ratio(times["layer"], times["ops"])


def versions():
    """Of what is measured."""
    import importlib.metadata

    packages = ("keras", "torch", "jax", "tensorflow", "tensorflow-cpu", "kornia", "dm-pix")
    found = {}
    for package in packages:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


if __name__ == "__main__":
    result = {"speed": speed, "memory": peak, "layer": overhead, "versions": versions}
    print(json.dumps(result[sys.argv[1]]()))
