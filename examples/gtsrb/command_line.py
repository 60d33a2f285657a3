"""The command line's options."""

from __future__ import annotations

import argparse

from common.arguments import given_path, not_empty, positive, seed
from gtsrb.augmentation import AUGMENTATIONS
from gtsrb.configurations import CONFIGURATIONS
from gtsrb.runs import RUNS

# Options that say how to train, and their names in the parsed command line.
TRAINING = {
    "--data": "data",
    "--augment": "augment",
    "--every": "every",
    "--epochs": "epochs",
    "--batch-size": "batch_size",
    "--seed": "seed",
    "--mixed-precision": "precision",
    "--distribute": "distribute",
    "--final": "final",
    "--resume": "resume",
}


def parse(arguments):
    """The parsed command line."""
    parser = argparse.ArgumentParser(
        description="Trains spatial transformers on German traffic signs (GTSRB).",
        epilog="The backend is chosen by the environment variable KERAS_BACKEND: "
        "tensorflow, jax or torch.",
    )
    parser.add_argument(
        "--data",
        type=not_empty,
        metavar="sample|full|PATH",
        help="the bundled sample (default), the whole benchmark (downloaded once), or a folder "
        "with the official archives or what they contain",
    )
    parser.add_argument(
        "--model",
        choices=CONFIGURATIONS,
        help="; ".join(f"{name}: {c.summary}" for name, c in CONFIGURATIONS.items())
        + " (default: stn)",
    )
    parser.add_argument(
        "--augment",
        nargs="?",
        choices=AUGMENTATIONS,
        const="brightness",
        help="how training images are changed; alone: brightness; default: the model's own choice",
    )
    parser.add_argument(
        "--every",
        type=positive,
        metavar="N",
        help="train on every Nth frame of each track, for quick experiments: frames of a track are "
        "near-copies (default: 1, all)",
    )
    parser.add_argument("--epochs", type=positive, help="default: the model's own; sample: 12")
    parser.add_argument("--batch-size", type=positive, help="default: the model's own; sample: 32")
    parser.add_argument("--seed", type=seed, help="default: 0")
    parser.add_argument(
        "--mixed-precision",
        action="store_const",
        dest="precision",
        const="bfloat16",
        help="compute in bfloat16, keep the weights in float32",
    )
    parser.add_argument(
        "--distribute",
        action="store_true",
        help="train on all devices; on PyTorch started by torchrun",
    )
    parser.add_argument(
        "--final",
        action="store_true",
        default=None,
        help="train on the validation images too: only the official test set then measures it",
    )
    parser.add_argument(
        "--output", type=given_path, metavar="DIR", help=f"default: a new folder in {RUNS}"
    )
    parser.add_argument(
        "--resume",
        action="store_true",
        help="go on with the interrupted run in --output (default: the latest one)",
    )
    parser.add_argument(
        "--predict",
        nargs="+",
        type=given_path,
        metavar="FILE",
        help="classify images with the trained model in --output (default: the latest one, of "
        "--model if that is given, or the one bundled with this example: best, or --model stn)",
    )
    parser.add_argument(
        "--bundled",
        action="store_true",
        help="with --predict: ask the bundled model, whatever runs there are; --output is then "
        "the folder for the picture",
    )
    options = parser.parse_args(arguments)
    if options.bundled and not options.predict:
        parser.error("--bundled goes with --predict: it names who answers")
    unset = parser.parse_args([])
    idle = [o for o, name in TRAINING.items() if getattr(options, name) != getattr(unset, name)]
    if options.predict and idle:
        parser.error(f"--predict does not train: leave out {', '.join(idle)}")
    return options
