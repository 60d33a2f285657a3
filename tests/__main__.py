"""Runs the suite on every backend, each in its own process: `python -m tests`.

The exit status is non-zero if any run failed. Arguments are handed on to pytest.
"""

import os
import subprocess
import sys
import time

BACKENDS = ("tensorflow", "jax", "torch", "numpy")
# The first starts processes of its own on all backends, the second builds packages, the others
# drive a browser: they run once, on the backend that is the cheapest to import.
ONCE = ("tests/agreement", "tests/release", "tests/test_playground.py", "tests/test_site.py")


def main(arguments):
    """Runs everything; returns the exit status."""
    everything = ["tests", *(f"--ignore={path}" for path in ONCE)]
    runs = [("all tests", backend, everything) for backend in BACKENDS]
    # A file to one process: what its tests share takes long to make.
    runs.append(("those run once", "numpy", ["--dist=loadfile", *ONCE]))
    results = []
    for what, backend, selection in runs:
        print(f"\n=== {' '.join(selection)} on {backend} ===", flush=True)
        started = time.monotonic()
        status = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-n", "auto", *selection, *arguments],
            env={**os.environ, "KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "3"},
        ).returncode
        results.append((what, backend, status, time.monotonic() - started))
    print("\n=== Summary ===")
    for what, backend, status, seconds in results:
        outcome = "passed" if status == 0 else f"FAILED (exit status {status})"
        print(f"{what:16} {backend:12} {outcome}, {seconds:.0f} s")
    return int(any(status for _, _, status, _ in results))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
