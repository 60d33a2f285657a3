"""Runs the tests on every backend, each in its own process: `python -m tests --help`."""

import argparse
import os
import subprocess
import sys
import time

from tests.selection import BACKENDS

# What does not depend on the backend runs on the one that is the cheapest to import.
ONCE, CHEAPEST = "once", "numpy"
NO_TESTS = 5  # pytest's exit status where nothing was selected


def parse(arguments):
    """Arguments of the command line, and those for pytest, which follow `--`."""
    ours, theirs = arguments, []
    if "--" in arguments:
        place = arguments.index("--")
        ours, theirs = arguments[:place], arguments[place + 1 :]
    parser = argparse.ArgumentParser(
        prog="python -m tests",
        usage="%(prog)s [TESTS ...] [--backend NAME ...] [--all] [-- PYTEST ARGUMENTS]",
        description="Runs the tests on every backend, one after another, each in processes of its "
        "own, then once those that do not depend on the backend. The exit status is 1 if a run "
        "failed.",
        epilog="example: python -m tests tests/ops/test_points.py --backend jax torch -- -x",
    )
    parser.add_argument(
        "tests",
        nargs="*",
        default=["tests"],
        metavar="TESTS",
        help="files, folders or single tests, as pytest names them (default: all)",
    )
    parser.add_argument(
        "--backend",
        nargs="+",
        choices=(*BACKENDS, ONCE),
        default=[*BACKENDS, ONCE],
        metavar="NAME",
        help=f"of {', '.join(BACKENDS)}, and {ONCE} for what does not depend on it (default: all)",
    )
    parser.add_argument(
        "--all",
        action="store_true",
        help="every combination of parameters on every backend, as at night",
    )
    parser.add_argument(
        "--processes", default="auto", metavar="N", help="how many at a time (default: a core each)"
    )
    return parser.parse_args(ours), theirs


def command(part, options, theirs):
    """What runs one part of the tests, and its environment."""
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    environment["KERAS_BACKEND"] = CHEAPEST if part == ONCE else part
    if options.all:
        environment["ALL_PARAMETERS"] = "1"
    if "torch" in options.backend:
        environment["REQUIRE_TORCH"] = "1"  # the oracle of the other backends
    if part == ONCE:  # a file to one process: what its tests share takes long to make
        chosen = ["-m", ONCE, "--dist=loadfile"]
    else:  # neighbours to one process, as long as both have something to do
        chosen = ["-m", f"not {ONCE}", "--dist=worksteal"]
    pytest = [sys.executable, "-m", "pytest", "-q", "-n", options.processes]
    return [*pytest, *chosen, *options.tests, *theirs], environment


def status_of(arguments, environment):
    """Runs a process to its end. After Ctrl-C, which it got too, it may still say what it did."""
    process = subprocess.Popen(arguments, env=environment)
    try:
        return process.wait()
    except KeyboardInterrupt:
        process.wait()
        raise


def main(arguments):
    """Runs the parts that are asked for; returns the exit status."""
    options, theirs = parse(arguments)
    results = []
    try:
        for part in options.backend:
            print(f"\n=== {' '.join(options.tests)}: {part} ===", flush=True)
            started = time.monotonic()
            status = status_of(*command(part, options, theirs))
            results.append((part, status, time.monotonic() - started))
    except KeyboardInterrupt:
        print("\nInterrupted.")
        return 130
    finally:
        summarize(results)
    statuses = {status for _, status, _ in results}
    return int(statuses == {NO_TESTS} or not statuses <= {0, NO_TESTS})


def summarize(results):
    """Prints how each part ended, and how long it took."""
    print("\n=== Summary ===")
    outcomes = {0: "passed", NO_TESTS: "no tests"}
    for part, status, seconds in results:
        outcome = outcomes.get(status, f"FAILED (exit status {status})")
        print(f"{part:12} {outcome}, {seconds:.0f} s")
    print(f"{'all':12} {sum(seconds for _, _, seconds in results):.0f} s", flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
