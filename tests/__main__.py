"""Runs the tests on every backend, each in its own process: `python -m tests --help`."""

import argparse
import os
import subprocess
import sys
import time

from tests.selection import BACKENDS, COMPILED_QUICKLY, XLA

EVERYTHING = ["tests"]
RUNS_ONCE = "numpy"  # the cheapest, for what does not depend on the backend
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
        f"own; those that do not depend on the backend on {RUNS_ONCE} alone. The exit status is 1 "
        "if a run failed.",
        epilog="example: python -m tests tests/ops/test_points.py --backend jax torch -- -x",
    )
    parser.add_argument(
        "tests",
        nargs="*",
        default=EVERYTHING,
        metavar="TESTS",
        help="files, folders or single tests, as pytest names them (default: all)",
    )
    parser.add_argument(
        "--backend",
        nargs="+",
        choices=BACKENDS,
        default=BACKENDS,
        metavar="NAME",
        help=f"of {', '.join(BACKENDS)} (default: all)",
    )
    parser.add_argument(
        "--all",
        action="store_true",
        help="every combination of parameters on every backend, as at night",
    )
    parser.add_argument(
        "--as-users-compile",
        action="store_true",
        help="XLA compiles every test with all optimizations, in twice the time, not only those of "
        "compiled programs; so it does with --all, and where TESTS are named",
    )
    parser.add_argument(
        "--processes", default="auto", metavar="N", help="how many at a time (default: a core each)"
    )
    return parser.parse_args(ours), theirs


def runs(backends, in_parts):
    """What is run, one after another: a title, arguments of pytest, variables of the environment.

    `in_parts`: whether XLA compiles most tests quickly, and those of compiled programs apart.
    """
    for backend in backends:
        variables = {"KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "3"}
        # With a process for every core, more threads wait for each other, and torch's do so busily.
        variables["OMP_NUM_THREADS"] = os.environ.get("OMP_NUM_THREADS", "1")
        if backend == RUNS_ONCE:  # a file to one process: what its tests share takes long to make
            yield backend, ["--dist=loadfile"], variables
            continue
        # Neighbours to one process, as long as both have something to do.
        chosen = ["--dist=worksteal", "-m"]
        if in_parts and backend in XLA:
            flags = f"{os.environ.get('XLA_FLAGS', '')} {COMPILED_QUICKLY}".strip()
            yield backend, [*chosen, "not once and not compiled"], variables | {"XLA_FLAGS": flags}
            yield f"{backend}, as users compile", [*chosen, "compiled"], variables
        else:
            yield backend, [*chosen, "not once"], variables


def command(chosen, variables, options, theirs):
    """What runs some of the tests, and its environment."""
    environment = os.environ | variables
    if options.all:
        environment["ALL_PARAMETERS"] = "1"
    if "torch" in options.backend:
        environment["REQUIRE_TORCH"] = "1"  # the oracle of the other backends
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
    """Runs the tests on the backends that are asked for; returns the exit status."""
    options, theirs = parse(arguments)
    in_parts = options.tests == EVERYTHING and not (options.all or options.as_users_compile)
    results = []
    try:
        for title, *chosen in runs(options.backend, in_parts):
            print(f"\n=== {' '.join(options.tests)}: {title} ===", flush=True)
            started = time.monotonic()
            status = status_of(*command(*chosen, options, theirs))
            results.append((title, status, time.monotonic() - started))
    except KeyboardInterrupt:
        print("\nInterrupted.")
        return 130
    finally:
        summarize(results)
    statuses = {status for _, status, _ in results}
    return int(statuses == {NO_TESTS} or not statuses <= {0, NO_TESTS})


def summarize(results):
    """Prints how each run ended, and how long it took."""
    print("\n=== Summary ===")
    outcomes = {0: "passed", NO_TESTS: "no tests"}
    for title, status, seconds in results:
        outcome = outcomes.get(status, f"FAILED (exit status {status})")
        print(f"{title:30} {outcome}, {seconds:.0f} s")
    print(f"{'all':30} {sum(seconds for _, _, seconds in results):.0f} s", flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
