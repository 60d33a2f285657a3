"""Size and speed of an exported spatial transformer: `python -m tests.benchmarks.export`.

Every format of every backend, each backend in a process of its own; leave the machine alone
meanwhile. Writes docs/export.json; `python docs/figures/deploy.py` makes the table of it.
"""

import json
import os
import pathlib
import subprocess
import sys
import tempfile

# Loaded before TensorFlow.
import torch  # noqa: F401  # isort: skip
import keras
import numpy as np

from keras_stn import SpatialTransformer
from tests.backend import BACKEND, to_numpy, traced
from tests.benchmarks import timing
from tests.benchmarks.__main__ import ROOT, machine
from tests.exporters import EXPORTERS
from tests.layers.models import randomize

SHAPE = (32, 64, 64, 3)
BACKENDS = ("tensorflow", "jax", "torch")


def build():
    """The default spatial transformer alone, its theta far from the identity."""
    keras.utils.set_random_seed(0)
    images = keras.Input(SHAPE[1:])
    stn = SpatialTransformer(fill_mode="constant", data_format="channels_last")
    model = keras.Model(images, stn(images))
    randomize(model)
    return model


def measure():
    """A line of results for each format of the active backend."""
    model = build()
    images = np.random.default_rng(0).uniform(size=SHAPE).astype("float32")
    expected = to_numpy(traced(model)(images))
    rows = []
    for name, export in EXPORTERS[BACKEND].items():
        with tempfile.TemporaryDirectory() as folder:
            run, path = export(model, pathlib.Path(folder) / "exported")
            times = timing.measure({name: lambda run=run: to_numpy(run(images))})[name]
            rows.append(
                {
                    "backend": BACKEND,
                    "format": name,
                    "bytes": size(path),
                    "difference": float(np.abs(to_numpy(run(images)) - expected).max()),
                    **timing.summary(times),
                }
            )
    return rows


def size(path):
    """Bytes of an exported model, of all its files."""
    files = path.rglob("*") if path.is_dir() else path.parent.glob(f"{path.stem}*")
    # OpenVINO's weights lie beside its description.
    kinds = {path.suffix, ".bin"} if path.suffix == ".xml" else {path.suffix}
    return sum(
        file.stat().st_size
        for file in files
        if file.is_file() and (path.is_dir() or file.suffix in kinds)
    )


def main():
    """Measures every backend and writes the results."""
    rows = []
    for backend in BACKENDS:
        done = subprocess.run(
            [sys.executable, "-m", "tests.benchmarks.export", "worker"],
            env={**os.environ, "KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "3"},
            stdout=subprocess.PIPE,
            check=True,
            cwd=ROOT,
        )
        rows += json.loads(done.stdout.splitlines()[-1])
    weights = build().count_params() * 4
    results = {"machine": machine(), "shape": SHAPE, "weights": weights, "rows": rows}
    (ROOT / "docs" / "export.json").write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    if sys.argv[1:] == ["worker"]:
        print(json.dumps(measure()))
    else:
        main()
