"""The command line's options."""

from __future__ import annotations

import argparse
from pathlib import Path

from common.arguments import positive, seed
from distorted_mnist.networks import MODELS, TRANSFORMS
from distorted_mnist.recipe import RECIPE
from distorted_mnist.tasks import TASKS

STEPS = 6000


def parse(arguments):
    """The parsed command line."""
    parser = argparse.ArgumentParser(
        description="Trains the networks of the spatial transformer paper on distorted MNIST.",
        epilog="--task, --model and --transform take several values. The backend is chosen by the "
        "environment variable KERAS_BACKEND: tensorflow, jax or torch.",
    )
    tasks = "; ".join(f"{name}: {task.summary}" for name, task in TASKS.items())
    parser.add_argument("--task", nargs="+", choices=TASKS, help=f"{tasks} (default: RTS)")
    parser.add_argument("--model", nargs="+", choices=MODELS, help="default: st-cnn")
    parser.add_argument("--transform", nargs="+", choices=TRANSFORMS, help="default: affine")
    parser.add_argument(
        "--table",
        action="store_true",
        help="train all of the paper's networks on all tasks, or those that are named; goes on "
        "where it was stopped",
    )
    parser.add_argument("--data", metavar="PATH", help="mnist.npz; default: downloaded once")
    parser.add_argument(
        "--steps",
        type=positive,
        default=STEPS,
        help="batches to train each network on, rounded up to whole rounds, of which there are up "
        f"to 20; default: {STEPS}",
    )
    parser.add_argument(
        "--batch-size",
        type=positive,
        default=RECIPE.batch_size,
        help=f"default: {RECIPE.batch_size}",
    )
    parser.add_argument(
        "--seed", type=seed, nargs="+", default=[0], help="one or several; default: 0"
    )
    parser.add_argument(
        "--mixed-precision",
        action="store_true",
        help="compute in bfloat16, keep the weights in float32",
    )
    parser.add_argument(
        "--validate",
        action="store_true",
        help="hold 10,000 training digits out and test on these: for choices",
    )
    parser.add_argument("--output", type=Path, metavar="DIR", help="default: by the settings")
    options = parser.parse_args(arguments)
    if not options.table:
        options.task = options.task or ["RTS"]
        options.model = options.model or ["st-cnn"]
        options.transform = options.transform or ["affine"]
    return options
