"""What `import keras_stn` adds to `import keras`: `python -m tests.benchmarks.imports`.

Each import in a process of its own, the backends in turn; leave the machine alone meanwhile, some
four minutes. Prints a Markdown table: milliseconds, the median and in parentheses the quartiles.
"""

import importlib.metadata
import json
import os
import subprocess
import sys

from tests.benchmarks.__main__ import ROOT, machine
from tests.benchmarks.report import table
from tests.benchmarks.timing import quartiles

BACKENDS = ("tensorflow", "jax", "torch", "numpy")
ROUNDS = 11
PROBE = """
import time

started = time.perf_counter()
import keras

between = time.perf_counter()
import keras_stn

print([1e3 * (between - started), 1e3 * (time.perf_counter() - between)])
"""


def once(backend):
    """Milliseconds of `import keras` and of `import keras_stn` after it, in a new process."""
    # Who installs a package has its bytecode.
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    done = subprocess.run(
        [sys.executable, "-c", PROBE],
        env={**environment, "KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "3"},
        stdout=subprocess.PIPE,
        check=True,
        cwd=ROOT,
    )
    return json.loads(done.stdout.splitlines()[-1])


def main():
    """Measures and prints."""
    for backend in BACKENDS:
        once(backend)  # writes bytecode and fills the disk's cache
    times = {backend: [] for backend in BACKENDS}
    for _ in range(ROUNDS):
        for backend, found in times.items():
            found.append(once(backend))
    print(f"{machine()}, Keras {importlib.metadata.version('keras')}\n")
    rows = []
    for backend, found in times.items():
        row = [backend]
        for column in zip(*found, strict=True):
            low, median, high = quartiles(column)
            row.append(f"{median:.1f} ({low:.1f}-{high:.1f})")
        rows.append(row)
    print(table(["backend", "`import keras`, ms", "then `import keras_stn`, ms"], rows), end="")


if __name__ == "__main__":
    main()
