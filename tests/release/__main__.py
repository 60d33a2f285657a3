"""Builds the packages and tries them: `python -m tests.release [BACKEND ...]`.

Wheel and source package are built and checked; then, for each backend, the wheel is installed into
a virtual environment that has nothing else, and `smoke.py` is run in an empty folder. It downloads
the backends, which takes minutes. The exit status is non-zero if anything failed.
"""

import os
import pathlib
import subprocess
import sys
import tempfile
import time
import venv

ROOT = pathlib.Path(__file__).parents[2]
SMOKE = pathlib.Path(__file__).with_name("smoke.py")
BACKENDS = ("tensorflow", "jax", "torch")
# On Linux, PyTorch's default build comes with gigabytes for GPUs: the version pinned for the tests.
FIRST = {"torch": ["torch==2.13.0"]}


def main(backends):
    """Builds, checks, tries; returns the exit status."""
    with tempfile.TemporaryDirectory() as scratch:
        scratch = pathlib.Path(scratch)
        packages = build(scratch / "dist")
        call(sys.executable, "-m", "twine", "check", "--strict", *packages)
        [wheel] = (path for path in packages if path.suffix == ".whl")
        return max([try_wheel(wheel, backend, scratch) for backend in backends or BACKENDS])


def build(folder):
    """The paths of source package and wheel, which are built into `folder`."""
    call(sys.executable, "-m", "hatchling", "build", "--directory", folder, cwd=ROOT)
    packages = sorted(folder.iterdir())
    for path in packages:
        print(f"{path.name}: {path.stat().st_size / 1e6:.2f} MB", flush=True)
    return packages


def try_wheel(wheel, backend, scratch):
    """Exit status of the smoke test of a wheel with one backend alone."""
    started = time.monotonic()
    environment = scratch / backend
    venv.create(environment, with_pip=True)
    python = environment / ("Scripts" if os.name == "nt" else "bin") / "python"
    pip = (python, "-m", "pip", "--quiet", "--disable-pip-version-check")
    for packages in (FIRST.get(backend), [f"{wheel}[{backend}]"]):
        if packages:
            call(*pip, "install", *packages)
    call(*pip, "check")
    variables = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "KERAS_HOME")}
    variables |= {"KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "3"}
    empty = scratch / f"{backend}-empty"
    empty.mkdir()
    status = subprocess.run([python, SMOKE], cwd=empty, env=variables).returncode
    outcome = "passed" if status == 0 else f"FAILED (exit status {status})"
    print(f"{backend}: {outcome}, {time.monotonic() - started:.0f} s", flush=True)
    return status


def call(*command, **options):
    """Runs a command, whose failure ends everything."""
    subprocess.run(list(map(str, command)), check=True, **options)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
