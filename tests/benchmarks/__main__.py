"""Speed and memory against the peers on every backend: `python -m tests.benchmarks`.

Takes about ten minutes on two cores; leave the machine alone meanwhile. Writes
docs/benchmarks.json, and from it docs/benchmarks.md. With a GPU, for pages beside them:

    python -m tests.benchmarks --backends torch jax --times 4 --output docs/benchmarks-gpu
"""

import argparse
import json
import os
import pathlib
import platform
import subprocess
import sys

from tests.benchmarks.report import markdown

ROOT = pathlib.Path(__file__).parents[2]
PAGE = ROOT / "docs" / "benchmarks"
BACKENDS = ("torch", "jax", "tensorflow")
# In this order each backend is measured; speed twice, so that no backend has the machine's best
# minutes for itself where times are compared across processes.
TASKS = ("versions", "speed", "layer", "memory", "speed")


def work(backend, task, times):
    """The result of one worker process."""
    print(f"{backend}: {task}", file=sys.stderr, flush=True)
    done = subprocess.run(
        [sys.executable, "-m", "tests.benchmarks.worker", task, str(times)],
        env={**os.environ, "KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "3"},
        stdout=subprocess.PIPE,
        check=True,
        cwd=ROOT,
    )
    return json.loads(done.stdout.splitlines()[-1])


def machine(accelerators):
    """The accelerators, if there are any, the processor and how many of its cores there are."""
    info = pathlib.Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    name = names[0] if names else platform.processor()
    parts = [accelerators, name, f"{os.cpu_count()} cores", f"Python {platform.python_version()}"]
    return ", ".join(filter(None, parts))


def main(arguments=None):
    """Measures everything and writes both files."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--backends", nargs="+", choices=BACKENDS, default=BACKENDS)
    parser.add_argument("--times", type=int, default=1, help="multiplies the batches; default: 1")
    parser.add_argument(
        "--output", type=pathlib.Path, default=PAGE, help="the files' name without its end"
    )
    options = parser.parse_args(arguments)
    if options.times < 1:
        parser.error(f"--times must be at least 1. Received: {options.times}.")
    if not options.output.parent.is_dir():
        parser.error(f"There is no folder {options.output.parent} for the files of --output.")
    if command(options) != command(parser.parse_args([])) and options.output == PAGE:
        parser.error("The page of all backends is not for a part of them. Pass another --output.")
    found = [work(backend, "accelerator", options.times) for backend in options.backends]
    accelerators = ", ".join(dict.fromkeys(filter(None, found)))
    results = {"machine": machine(accelerators), "accelerators": accelerators}
    results |= {"command": command(options)}
    results |= {"speed": [], "layer": {}, "memory": {}, "versions": {}}
    for task in TASKS:
        for backend in options.backends:
            found = work(backend, task, options.times)
            if task == "speed":
                results["speed"].append(found)
            elif task == "layer":
                results["layer"][backend] = found
            else:
                results[task] |= found
    options.output.with_suffix(".json").write_text(json.dumps(results, indent=1) + "\n")
    options.output.with_suffix(".md").write_text(markdown(results))


def command(options):
    """The command that measures this again."""
    words = ["python -m tests.benchmarks"]
    if tuple(options.backends) != BACKENDS:
        words += ["--backends", *options.backends]
    if options.times != 1:
        words += ["--times", str(options.times)]
    if options.output != PAGE:
        words += ["--output", str(options.output)]
    return " ".join(words)


if __name__ == "__main__":
    main()
