"""What distorting costs beside training, and four spatial transformers beside none.

    python -m distorted_mnist.cost [--output FILE] [--mixed-precision] [--turns N] [--images N ...]
        [--tasks TASK ...]

in `examples/`, on the backend of `KERAS_BACKEND`. What is compared takes turns.
"""

from __future__ import annotations

import argparse
import json
from functools import partial
from pathlib import Path

import keras
import numpy as np

from common.arguments import positive
from common.files import write_json
from common.machine import circumstances
from common.timing import in_turns, quartiles
from distorted_mnist import four_transformers, training
from distorted_mnist.distortion import Distortion
from distorted_mnist.networks import MODELS, build_network
from distorted_mnist.tasks import TASKS

BATCH_SIZE = 128
HOUSE_NUMBERS = (16, 128)  # images of a batch for the four transformers


def main(arguments=None):
    """Measures, prints a line for each comparison, and writes all of it to `--output`."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, help="a JSON file")
    parser.add_argument("--mixed-precision", action="store_true", help="compute in bfloat16")
    parser.add_argument("--turns", type=positive, default=15, help="default: 15")
    parser.add_argument(
        "--images",
        type=positive,
        nargs="+",
        default=HOUSE_NUMBERS,
        help="of batches for the four transformers; default: 16 128",
    )
    parser.add_argument(
        "--tasks", choices=TASKS, nargs="*", default=TASKS, help="to distort for; default: all"
    )
    options = parser.parse_args(arguments)
    precision = "mixed_bfloat16" if options.mixed_precision else "float32"
    keras.config.set_dtype_policy(precision)
    rows = []
    for name in options.tasks:
        rows.append({"task": name, **distortion_cost(name, options.turns)})
        print(json.dumps(rows[-1]), flush=True)
    four = []
    for count in options.images:
        four.append({"images": count, **four_transformers_cost(count, options.turns)})
        print(json.dumps(four[-1]), flush=True)
    if options.output:
        measured = {"batch_size": BATCH_SIZE, "turns": options.turns, "distortions": rows}
        measured["four_transformers"] = four
        write_json(options.output, circumstances(precision) | measured)


def distortion_cost(name, turns):
    """Milliseconds of drawing numbers, of distorting by them, and of training steps on canvases."""
    task = TASKS[name]
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (1000, 28, 28), "uint8")
    labels = rng.integers(0, 10, 1000)
    batches = training.Batches(task, images, labels, BATCH_SIZE, 0, 0, 1)
    numbers, answers = batches[0]
    inputs = training.inputs_of(task)
    distortion = keras.Model(inputs, Distortion(name)(inputs))
    distortion.compile("sgd", "mse")
    canvases = np.asarray(distortion.predict_on_batch(numbers))
    functions = {
        "drawing": lambda: batches[0],
        "distorting": partial(distortion.predict_on_batch, numbers),
    }
    for model in MODELS:
        network = build_network(task, model)
        training.RECIPE.compile(network, turns)
        functions[model] = partial(network.train_on_batch, canvases, answers)
    seconds = in_turns(list(functions.values()), turns)
    return {name: quartiles(1000 * s, 2) for name, s in zip(functions, seconds.T, strict=True)}


def four_transformers_cost(count, turns):
    """What four transformers add to a training step and to an inference step, as shares.

    And how much of it is localizing, as measured without sampling, and how much sampling, the rest.
    """
    rng = np.random.default_rng(0)
    size = (four_transformers.SIZE,) * 2
    images = rng.uniform(size=(count, *size, 3)).astype("float32")
    classes = np.eye(four_transformers.CLASSES, dtype="float32")
    answers = classes[rng.integers(0, len(classes), (count, four_transformers.DIGITS))]
    found = {}
    contestants = [
        four_transformers.build_network(),
        four_transformers.build_network(sampling=False),
        four_transformers.build_network(transformers=0),
    ]
    for contestant in contestants:
        training.RECIPE.compile(contestant, turns)
    for what, functions in {
        "training": [partial(c.train_on_batch, images, answers) for c in contestants],
        "inference": [partial(c.predict_on_batch, images) for c in contestants],
    }.items():
        seconds = in_turns(functions, turns)
        found[f"{what}_seconds"] = quartiles(seconds[:, 0], 4)
        found[f"{what}_overhead"] = quartiles(seconds[:, 0] / seconds[:, 2] - 1, 3)
        found[f"{what}_localizing"] = quartiles(seconds[:, 1] / seconds[:, 2] - 1, 3)
        found[f"{what}_sampling"] = quartiles((seconds[:, 0] - seconds[:, 1]) / seconds[:, 2], 3)
    return found


if __name__ == "__main__":
    main()
