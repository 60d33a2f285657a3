"""The command line: `python -m tests.fuzz`."""

import argparse
import faulthandler
import pathlib
import random
import sys

from tests.fuzz import affine_grid, antialias, families, grid_sample, layer, matrices
from tests.fuzz.rounds import Journal, play

TARGETS = {
    "affine_grid": affine_grid,
    "antialias": antialias,
    "families": families,
    "grid_sample": grid_sample,
    "layer": layer,
    "matrices": matrices,
}


def parse(arguments):
    """Arguments of the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.fuzz",
        description="Looks for inputs on which the library is wrong, on the active backend "
        "(KERAS_BACKEND), until the time is up or Ctrl-C. The exit status is 1 if it found one.",
    )
    amount = parser.add_mutually_exclusive_group()
    amount.add_argument(
        "examples",
        nargs="?",
        type=positive(int),
        help="check so many examples of each target, however long it takes",
    )
    amount.add_argument(
        "--minutes", type=positive(float), default=10.0, help="how long (default: %(default)g)"
    )
    parser.add_argument(
        "--target",
        nargs="+",
        choices=TARGETS,
        default=list(TARGETS),
        metavar="NAME",
        help=f"what to check, of {', '.join(TARGETS)} (default: all)",
    )
    parser.add_argument(
        "--output",
        type=pathlib.Path,
        default=pathlib.Path("fuzz-failures.txt"),
        metavar="FILE",
        help="where failures are appended, each with its smallest example (default: %(default)s)",
    )
    parser.add_argument(
        "--seed",
        type=int,
        help="of the first target in the first round, as printed; one more each time (default: "
        "another in every run)",
    )
    return parser.parse_args(arguments)


def positive(kind):
    """A type of numbers above zero, for argparse."""

    def number(text):
        value = kind(text)
        if not value > 0:
            raise argparse.ArgumentTypeError(f"must be above 0. Received: {text}")
        return value

    number.__name__ = kind.__name__
    return number


def main(arguments):
    """Runs; returns the exit status."""
    options = parse(arguments)
    journal = Journal(options.output.absolute())
    print(f"Failures are appended to {journal.path}", flush=True)
    play(
        {name: TARGETS[name] for name in options.target},
        journal,
        seed=random.randrange(2**32) if options.seed is None else options.seed,
        examples=options.examples,
        minutes=options.minutes,
    )
    return int(journal.failures > 0)


if __name__ == "__main__":
    faulthandler.enable()  # says where, should a kernel end the process
    sys.exit(main(sys.argv[1:]))
