"""Runs the suite on every backend, each in its own process: `python -m tests`.

The exit status is non-zero if any run failed. Arguments are handed on to pytest.
"""

import os
import subprocess
import sys
import time

BACKENDS = ("tensorflow", "jax", "torch", "numpy")
# Starts processes of its own on all backends, so it runs once; on the cheapest to import.
ONCE = ("tests/agreement", "numpy")


def main(arguments):
    """Runs everything; returns the exit status."""
    runs = [(backend, ["tests", f"--ignore={ONCE[0]}"]) for backend in BACKENDS]
    runs.append((ONCE[1], [ONCE[0]]))
    results = []
    for backend, selection in runs:
        print(f"\n=== {' '.join(selection)} on {backend} ===", flush=True)
        started = time.monotonic()
        status = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-n", "auto", *selection, *arguments],
            env={**os.environ, "KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "3"},
        ).returncode
        results.append((backend, selection[0], status, time.monotonic() - started))
    print("\n=== Summary ===")
    for backend, what, status, seconds in results:
        outcome = "passed" if status == 0 else f"FAILED (exit status {status})"
        print(f"{what:16} {backend:12} {outcome}, {seconds:.0f} s")
    return int(any(status for _, _, status, _ in results))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
