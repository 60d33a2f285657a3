"""What configurations cost: images a second, the transformers' share, parameters, bytes.

    python -m gtsrb.cost [--output FILE] [--mixed-precision] [--steps N] [MODEL ...]

in `examples/`, on the backend of `KERAS_BACKEND`. A configuration and the same network without its
transformers take turns, step by step, so that what else the machine does hits both alike.
"""

from __future__ import annotations

import argparse
import itertools
import json
import tempfile
from functools import partial
from pathlib import Path

import keras
import numpy as np
from tqdm import tqdm

from common.arguments import positive
from common.files import save_model, write_json
from common.machine import circumstances
from common.timing import in_turns, quartiles
from gtsrb import models, training
from gtsrb.archives import NUM_CLASSES
from gtsrb.configurations import CONFIGURATIONS
from gtsrb.dataset import ImageSet

BATCH_SIZE = 128


def main(arguments=None):
    """Measures, prints a line a configuration, and writes all of it to `--output`."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="*", default=list(CONFIGURATIONS), metavar="MODEL")
    parser.add_argument("--output", type=Path, help="a JSON file")
    parser.add_argument("--mixed-precision", action="store_true", help="compute in bfloat16")
    parser.add_argument("--steps", type=positive, default=15, help="default: 15")
    options = parser.parse_args(arguments)
    unknown = set(options.models) - set(CONFIGURATIONS)
    if unknown:
        parser.error(f"no such model: {', '.join(sorted(unknown))}")
    precision = "mixed_bfloat16" if options.mixed_precision else "float32"
    keras.config.set_dtype_policy(precision)
    rows = []
    for name in tqdm(options.models, "Measuring", unit="model", disable=None):
        rows.append(measure(name, options.steps))
        print(json.dumps(rows[-1]), flush=True)
    if options.output:
        measured = {"batch_size": BATCH_SIZE, "steps": options.steps, "models": rows}
        write_json(options.output, circumstances(precision) | measured)


def measure(name, steps):
    """The figures of one configuration, a dictionary."""
    configuration = CONFIGURATIONS[name]
    model = models.build_model(name)
    contestants = [model]
    if configuration.without_transformers is not None:
        contestants.append(models.build_model(name, with_transformers=False))
    for contestant in contestants:
        configuration.recipe.compile(contestant, steps)
    rng = np.random.default_rng(0)
    count = 20 * BATCH_SIZE
    images = rng.integers(0, 256, (count, *configuration.preprocessing.shape), "uint8")
    labels = rng.integers(0, NUM_CLASSES, count)
    data = training.Batches(ImageSet(images, labels, labels), BATCH_SIZE, 0, 0, 1)
    numbers, batch = itertools.cycle(range(len(data))), data[0]
    functions = [
        lambda: data[next(numbers)],
        *(partial(c.train_on_batch, *batch) for c in contestants),
        *(partial(c.predict_on_batch, batch[0]) for c in contestants),
    ]
    seconds = in_turns(functions, steps)
    pipeline, trained, predicted = np.split(seconds, [1, 1 + len(contestants)], axis=1)
    row = {
        "model": name,
        "parameters": model.count_params(),
        "bytes": _size(model),
        "training_images_per_second": _rate(trained[:, 0]),
        "inference_images_per_second": _rate(predicted[:, 0]),
        "pipeline_share": round(float(np.median(pipeline) / np.median(trained[:, 0])), 5),
    }
    if len(contestants) > 1:
        row["transformers_share_training"] = _share(trained)
        row["transformers_share_inference"] = _share(predicted)
    return row


def _rate(seconds):
    """Images a second: the median and the quartiles over steps."""
    return quartiles(BATCH_SIZE / seconds, 1)


def _share(seconds):
    """What of each step the transformers take: the median and the quartiles over steps."""
    return quartiles(1 - seconds[:, 1] / seconds[:, 0], 3)


def _size(model):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.keras"
        save_model(keras.Model(model.input, model.output), path)
        return path.stat().st_size


if __name__ == "__main__":
    main()
