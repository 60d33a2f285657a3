"""Measures the active backend and prints JSON: `python -m tests.benchmarks.worker TASK TIMES`.

TIMES multiplies the batches of which the speed is measured.
"""

# Loaded before TensorFlow.
import torch  # isort: skip
import importlib
import json
import sys

import keras

from tests.benchmarks import layer, memory
from tests.benchmarks.cases import LAYER_SHAPE, MEMORY_SHAPE, SHAPES, TASKS, enlarged, inputs
from tests.benchmarks.timing import measure, ratio, summary

BACKEND = keras.backend.backend()


def contestants(shape):
    """Everything to measure at one shape on the active backend."""
    module = importlib.import_module(f"tests.benchmarks.contestants_{BACKEND}")
    return module.contestants(shape, inputs(shape))


def speed(times):
    """Rows of times: one a mode, shape, task and contestant."""
    rows = []
    for shape_name, shape in enlarged(times).items():
        for mode, found in contestants(shape).items():
            for task in TASKS:
                taken = measure({name: fns[task] for name, fns in found.items() if task in fns})
                for name, values in taken.items():
                    row = {"mode": mode, "shape": shape_name, "task": task, "name": name}
                    row |= summary(values)
                    if name != "ours":
                        row |= ratio(values, taken["ours"])
                    rows.append(row)
                    print(row, file=sys.stderr, flush=True)
    return rows


def peak(times):
    """{mode/name: MiB} of the full gradient, one after the other in this process."""
    found = {}
    # TensorFlow keeps what it frees: the process does not grow a second time. And an
    # accelerator's memory is not the process's.
    if BACKEND == "tensorflow" or accelerator():
        return found
    for mode, named in contestants(SHAPES[MEMORY_SHAPE]).items():
        for name, functions in named.items():
            if TASKS[-1] in functions:
                found[f"{mode}/{name}"] = memory.peak_megabytes(functions[TASKS[-1]])
    return found


def overhead(times):
    """Layer over operations."""
    taken = measure(layer.functions(SHAPES[LAYER_SHAPE]))
    return ratio(taken["layer"], taken["ops"])


def versions(times):
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


def accelerator(times=1):
    """The name of the accelerator that the active backend uses, or None."""
    if BACKEND == "torch":
        return torch.cuda.get_device_name() if torch.cuda.is_available() else None
    if BACKEND == "jax":
        import jax

        device = jax.devices()[0]
        return None if device.platform == "cpu" else device.device_kind
    names = [name for name in keras.distribution.list_devices() if not name.startswith("cpu")]
    return names[0] if names else None


if __name__ == "__main__":
    what, times = sys.argv[1], int(sys.argv[2])
    functions = {
        "speed": speed,
        "memory": peak,
        "layer": overhead,
        "versions": versions,
        "accelerator": accelerator,
    }
    print(json.dumps(functions[what](times)))
