"""How often spatial transformers survive their training, and what keeps them alive.

    KERAS_BACKEND=jax python examples/stability.py --data mnist.npz

Trains small networks on rotated, scaled and translated digits among clutter, with learning rates
over three decades, each with several seeds: without a transformer, with the paper's plain head,
with that and a slower optimizer for the localizer, with the default head, and with bounds and a
smaller step as well. Writes one row a run to a CSV file, continues it when started again, and
prints the table of docs/stability.md.
"""

import argparse
import csv
import dataclasses
import pathlib
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).parent))

import keras
import numpy as np
from keras import layers

from distorted_mnist.digits import load_digits
from distorted_mnist.distortion import draw, render
from distorted_mnist.tasks import TASKS
from keras_stn import SpatialTransformer
from keras_stn.regularizers import outside_share

SIZE, CROP, BATCH, PIECES = 42, 28, 128, 4
RATES = {"adam": (3e-4, 1e-3, 3e-3, 1e-2, 2e-2), "sgd": (1e-3, 1e-2, 1e-1)}
VARIANTS = {  # options of the spatial transformer
    "none": None,
    "plain head": {"normalize_features": False},
    "plain head, own optimizer": {"normalize_features": False},
    "default": {},
    "bounds, slower": {"bounds": "default", "theta_gain": 0.3},
}
OWN_RATE = 0.1  # of the rate of the rest, for the localizer with an optimizer of its own
FIELDS = ("optimizer", "rate", "variant", "seed", "error", "spread", "outside", "seconds")


def make_data(path, count):
    """Frozen training and test data."""
    task = dataclasses.replace(TASKS["RTS"], clutter=PIECES)
    found = []
    for seed, (images, labels) in enumerate(load_digits(path)):
        rng = np.random.default_rng(seed)
        chosen = rng.permutation(len(images))[:count, None]
        numbers, answers = draw(task, images, labels, chosen, rng)
        found.append((render(task, numbers), answers))
    return found


def make_model(options):
    """Image to logits; `options` of the spatial transformer, None without one."""
    images = keras.Input((SIZE, SIZE, 1))
    x = images
    last = {"data_format": "channels_last"}
    if options is not None:
        network = keras.Sequential(
            [
                layers.AveragePooling2D(2, **last),
                layers.Conv2D(16, 5, 2, activation="relu", **last),
                layers.Conv2D(32, 5, activation="relu", **last),
                layers.Flatten(**last),
                layers.Dense(32, activation="relu"),
            ]
        )
        stn = SpatialTransformer(
            network, output_size=(CROP, CROP), fill_mode="constant", name="stn", **last, **options
        )
        x = stn(x)
    x = layers.Conv2D(16, 5, 2, activation="relu", **last)(x)
    x = layers.Conv2D(32, 5, 2, activation="relu", **last)(x)
    x = layers.Flatten(**last)(x)
    x = layers.Dense(64, activation="relu")(x)
    return keras.Model(images, layers.Dense(10)(x))


def make_optimizer(name, rate):
    """Adam, or gradient descent with momentum."""
    if name == "adam":
        return keras.optimizers.Adam(rate)
    return keras.optimizers.SGD(rate, momentum=0.9)


def train_model(optimizer, rate, variant, seed, data, steps):
    """A model after its training."""
    keras.utils.set_random_seed(seed)
    images, labels = data[0]
    model = make_model(VARIANTS[variant])
    chosen = make_optimizer(optimizer, rate)
    if variant.endswith("own optimizer"):
        rates = keras.optimizers.OptimizerMap(chosen)
        rates["stn/.*"] = make_optimizer(optimizer, OWN_RATE * rate)
        chosen = keras.optimizers.MultiOptimizer(rates)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(chosen, loss)
    per_epoch = len(images) // BATCH
    for epoch in range(max(1, steps // per_epoch)):
        order = np.random.default_rng((seed, epoch)).permutation(len(images))[: per_epoch * BATCH]
        model.fit(images[order], labels[order], batch_size=BATCH, shuffle=False, verbose=0)
    return model


def train(optimizer, rate, variant, seed, data, steps):
    """Test error in percent, spread of theta over images, share of samples outside."""
    model = train_model(optimizer, rate, variant, seed, data, steps)
    test_images, test_labels = data[1]
    guesses = model.predict(test_images, batch_size=1000, verbose=0).argmax(-1)
    error = 100 * float(np.mean(guesses != test_labels))
    if VARIANTS[variant] is None:
        return error, "", ""
    stn = model.get_layer("stn")
    theta = stn.localize(test_images[:500], training=False)
    outside = outside_share(stn.sampling_grid(theta, (CROP, CROP), (SIZE, SIZE)))
    theta = keras.ops.convert_to_numpy(theta)
    spread = float(theta.std(axis=0).max()) if np.isfinite(theta).all() else float("nan")
    return error, spread, float(np.mean(keras.ops.convert_to_numpy(outside)))


def table(rows):
    """Markdown: how many runs are alive, and how many better than without a transformer."""
    alone = {
        (r["optimizer"], r["rate"], r["seed"]): float(r["error"])
        for r in rows
        if r["variant"] == "none"
    }
    names = list(VARIANTS)
    lines = ["| optimizer, rate | " + " | ".join(names) + " |", "|" + "---|" * (len(names) + 1)]
    for optimizer, rates in RATES.items():
        for rate in rates:
            cells = []
            for name in names:
                found = [
                    r
                    for r in rows
                    if (r["optimizer"], float(r["rate"]), r["variant"]) == (optimizer, rate, name)
                ]
                if not found:
                    cells.append("")
                    continue
                errors = ", ".join(f"{float(r['error']):.1f}" for r in found)
                good = sum(
                    is_alive(r)
                    and float(r["error"]) < alone.get((optimizer, r["rate"], r["seed"]), 0)
                    for r in found
                )
                cells.append(errors if name == "none" else f"{good} of {len(found)} ({errors})")
            lines.append(f"| {optimizer} {rate:g} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def is_alive(row):
    """Whether theta is finite, differs between images, and looks at the image."""
    if row["variant"] == "none":
        return True
    return float(row["spread"]) > 0.01 and float(row["outside"]) < 0.9


def main():
    """Trains what is not in the file yet, and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", help="mnist.npz; left out, MNIST is downloaded")
    parser.add_argument("--output", type=pathlib.Path, default=pathlib.Path("stability.csv"))
    parser.add_argument("--steps", type=int, default=625)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--images", type=int, default=16_000)
    parser.add_argument("--variants", nargs="+", choices=VARIANTS, default=list(VARIANTS))
    arguments = parser.parse_args()

    rows = list(csv.DictReader(arguments.output.open())) if arguments.output.exists() else []
    done = {(r["optimizer"], float(r["rate"]), r["variant"], int(r["seed"])) for r in rows}
    runs = [
        (optimizer, rate, variant, seed)
        for seed in range(arguments.seeds)
        for optimizer, rates in RATES.items()
        for rate in rates
        for variant in arguments.variants
    ]
    runs = [run for run in runs if run not in done]
    data = make_data(arguments.data, arguments.images) if runs else None
    with arguments.output.open("a", newline="") as file:
        writer = csv.DictWriter(file, FIELDS)
        if not rows:
            writer.writeheader()
        for number, (optimizer, rate, variant, seed) in enumerate(runs, start=1):
            started = time.monotonic()
            found = train(optimizer, rate, variant, seed, data, arguments.steps)
            seconds = round(time.monotonic() - started, 1)
            row = dict(zip(FIELDS, (optimizer, rate, variant, seed, *found, seconds), strict=True))
            writer.writerow(row)
            file.flush()
            rows.append({name: str(value) for name, value in row.items()})
            print(f"{number} of {len(runs)}: {row}", file=sys.stderr, flush=True)
    print(table(rows))


if __name__ == "__main__":
    main()
