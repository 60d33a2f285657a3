"""Speed and memory against the peers on every backend: `python -m tests.benchmarks`.

Takes about ten minutes on two cores; leave the machine alone meanwhile. Writes
docs/benchmarks.json, and from it docs/benchmarks.md.
"""

import json
import os
import pathlib
import platform
import subprocess
import sys

from tests.benchmarks.report import markdown

ROOT = pathlib.Path(__file__).parents[2]
BACKENDS = ("torch", "jax", "tensorflow")
# In this order each backend is measured; speed twice, so that no backend has the machine's best
# minutes for itself where times are compared across processes.
TASKS = ("versions", "speed", "layer", "memory", "speed")


def work(backend, task):
    """The result of one worker process."""
    print(f"{backend}: {task}", file=sys.stderr, flush=True)
    done = subprocess.run(
        [sys.executable, "-m", "tests.benchmarks.worker", task],
        env={**os.environ, "KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "3"},
        stdout=subprocess.PIPE,
        check=True,
        cwd=ROOT,
    )
    return json.loads(done.stdout.splitlines()[-1])


def machine():
    """The processor and how many of its cores there are."""
    info = pathlib.Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    name = names[0] if names else platform.processor()
    return f"{name}, {os.cpu_count()} cores, Python {platform.python_version()}"


def main():
    """Measures everything and writes both files."""
    results = {"machine": machine(), "speed": [], "layer": {}, "memory": {}, "versions": {}}
    for task in TASKS:
        for backend in BACKENDS:
            found = work(backend, task)
            if task == "speed":
                results["speed"].append(found)
            elif task == "layer":
                results["layer"][backend] = found
            else:
                results[task] |= found
    (ROOT / "docs" / "benchmarks.json").write_text(json.dumps(results, indent=1) + "\n")
    (ROOT / "docs" / "benchmarks.md").write_text(markdown(results))


if __name__ == "__main__":
    main()
