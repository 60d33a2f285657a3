"""The command line: `python -m tests.faults`."""

import argparse
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import time

from tests import __main__ as running
from tests.faults import PACKAGE
from tests.faults.above import ABOVE
from tests.faults.operations import OPERATIONS

FAULTS = [*OPERATIONS, *ABOVE]
ROOT = PACKAGE.parent
NO_FAILURE = (0, 5)  # pytest's exit statuses: all passed, nothing selected


def parse(arguments):
    """Arguments of the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.faults",
        description="Plants one small fault after another in a copy of the package, runs the tests "
        "that should see it as `python -m tests` does, and tells which one did. The exit status is "
        "1 if a fault was missed. It takes about a quarter of an hour on two cores.",
    )
    parser.add_argument(
        "words", nargs="*", metavar="WORD", help="faults with such a word in name or file only"
    )
    parser.add_argument("--backend", nargs="+", metavar="NAME", help="on these backends only")
    parser.add_argument(
        "--all", action="store_true", help="run the tests with every combination of parameters"
    )
    return parser.parse_args(arguments)


def copy(folder):
    """The package and its tests, to be changed; and what they read beside them."""
    for path in ROOT.iterdir():
        if path.name in ("keras_stn", "tests"):
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(path, folder / path.name, ignore=ignored)
        elif not path.name.startswith((".", "runs")) or path.name == ".ci":
            (folder / path.name).symlink_to(path)


def run(fault, backend, folder, everything):
    """The first test that fails, what else stopped pytest, or None."""
    paths = [f"tests/{path}" for path in fault.tests.split()]
    options = ["-x", "-q", "--tb=no", "-p", "no:cacheprovider"]
    for _, chosen, variables in running.runs([backend], in_parts=not everything):
        environment = os.environ | variables
        if everything:
            environment["ALL_PARAMETERS"] = "1"
        done = subprocess.run(
            [sys.executable, "-m", "pytest", *options, *chosen, "-n0", *paths],
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
        )
        if done.returncode not in NO_FAILURE:
            found = re.search(r"^(?:FAILED|ERROR) (.+?)(?: - .*)?$", done.stdout, re.MULTILINE)
            return found[1] if found else f"pytest's exit status {done.returncode}"
    return None


def main(arguments):
    """Plants the faults; returns the exit status."""
    options = parse(arguments)
    missed = 0
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        copy(folder)
        for fault in FAULTS:
            if not all(word in f"{fault.name} {fault.file}" for word in options.words):
                continue
            target = folder / "keras_stn" / fault.file
            whole = target.read_text("utf-8")
            target.write_text(fault.planted(), "utf-8")
            for backend in fault.backends.split():
                if options.backend and backend not in options.backend:
                    continue
                started = time.monotonic()
                found = run(fault, backend, folder, options.all)
                missed += found is None
                seconds = time.monotonic() - started
                text = found or "MISSED"
                print(
                    f"{fault.name} ({fault.file}), {backend}, {seconds:.0f} s: {text}", flush=True
                )
            target.write_text(whole, "utf-8")
    print(f"{missed} missed")
    return int(missed > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
