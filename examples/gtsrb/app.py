"""The command line: what to train on, what to train, where to leave it."""

from __future__ import annotations

import argparse
import datetime
import json
import os
import sys
from pathlib import Path

import keras

from gtsrb import dataset, models, predict, report, training
from gtsrb.download import download
from gtsrb.errors import DataError, RunError

RUNS = Path("runs")
MODEL = "model.keras"
SETTINGS = "settings.json"

# Epochs and batch size: the article's for the whole benchmark; smaller batches for the sample,
# which holds only five of the article's batches.
DEFAULTS = {"sample": (12, 32), "full": (10, 256)}


def main(arguments=None):
    """Runs the command line; returns the exit status."""
    options = parse(arguments)
    try:
        if options.predict:
            return predict.main(options.predict, finished_run(options.output) / MODEL)
        return run(options)
    except (DataError, RunError) as error:
        print(f"gtsrb.py: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:  # while images were read: nothing to resume, nothing half-written
        print("\nStopped.")
        return 130


def parse(arguments):
    """The parsed command line."""
    parser = argparse.ArgumentParser(
        description="Trains the article's spatial transformer on German traffic signs (GTSRB).",
        epilog="The backend is chosen by the environment variable KERAS_BACKEND: "
        "tensorflow, jax or torch.",
    )
    parser.add_argument(
        "--data",
        metavar="sample|full|PATH",
        help="the bundled sample (default), the whole benchmark (downloaded once), or a folder "
        "with the official archives or what they contain",
    )
    parser.add_argument(
        "--model",
        choices=models.KINDS,
        help="the live spatial transformer (stn, default), the classifier alone (idsia), or one "
        "learned theta for all images (constant)",
    )
    parser.add_argument("--epochs", type=positive, help="default: 10; 12 for the bundled sample")
    parser.add_argument(
        "--batch-size", type=positive, help="default: 256; 32 for the bundled sample"
    )
    parser.add_argument("--seed", type=int, help="default: 0")
    parser.add_argument(
        "--output", type=Path, metavar="DIR", help=f"default: a new folder in {RUNS}"
    )
    parser.add_argument(
        "--resume",
        action="store_true",
        help="go on with the interrupted run in --output (default: the latest one)",
    )
    parser.add_argument(
        "--predict",
        nargs="+",
        type=Path,
        metavar="FILE",
        help="classify images with the trained model in --output (default: the latest one)",
    )
    return parser.parse_args(arguments)


def positive(text):
    """An int of at least 1, for argparse."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, not {value}")
    return value


def run(options):
    """Trains, evaluates and reports; returns the exit status."""
    folder, settings = resumed_run(options) if options.resume else new_run(options)
    keras.utils.set_random_seed(settings["seed"])
    data = load_data(settings["data"])
    print(
        f"Data: {data.description}: {len(data.train):,} training and {len(data.validation):,} "
        f"validation images of {models.NUM_CLASSES} classes, no track in both."
        + ("" if settings["data"] != "sample" else " (--data full for all 39,209)")
    )
    print(f"Backend: {keras.backend.backend()}, on {device()}")
    checkpoint = folder / training.CHECKPOINT
    if checkpoint.exists():
        model = predict.load_model(checkpoint)
    else:
        model = models.build_model(settings["model"])
    print(f"Model: {settings['model']}, {model.count_params():,} parameters", flush=True)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / SETTINGS).write_text(json.dumps(settings, indent=2) + "\n")
    print(f"Output: {folder}", flush=True)
    try:
        training.train(
            model,
            data,
            folder,
            epochs=settings["epochs"],
            batch_size=settings["batch_size"],
            seed=settings["seed"],
        )
        summary = report.write(model, data, folder, settings)
    except KeyboardInterrupt:
        print(f"\nStopped. `--resume --output {folder}` goes on after the last whole epoch.")
        return 130
    training.save_model(model, folder / MODEL)
    checkpoint.unlink()
    print(summary)
    return 0


def new_run(options):
    """The folder and the settings of a run that starts now."""
    data = options.data or "sample"
    epochs, batch_size = DEFAULTS.get(data, DEFAULTS["full"])
    settings = {
        "data": data if data in DEFAULTS else str(Path(data).resolve()),
        "model": options.model or models.KINDS[0],
        "epochs": options.epochs or epochs,
        "batch_size": options.batch_size or batch_size,
        "seed": options.seed or 0,
    }
    now = datetime.datetime.now().strftime("%Y%m%d-%H%M%S")
    folder = options.output or RUNS / f"{now}-{settings['model']}-{keras.backend.backend()}"
    if (folder / SETTINGS).exists():
        raise RunError(
            f"{folder} already holds a run. Pass `--resume` to go on with it, or another --output."
        )
    return folder, settings


def resumed_run(options):
    """The folder and the settings of the run to go on with."""
    folder = options.output or latest(lambda run: not (run / MODEL).exists(), "interrupted")
    if not (folder / SETTINGS).exists():
        raise RunError(f"{folder} holds no run to resume. Pass its folder with --output.")
    if (folder / MODEL).exists():
        raise RunError(f"The run in {folder} is finished. Start another without `--resume`.")
    settings = json.loads((folder / SETTINGS).read_text())
    for name, value in settings.items():
        given = getattr(options, name)
        if name == "data" and given is not None and given not in DEFAULTS:
            given = str(Path(given).resolve())
        if given is not None and given != value:
            raise RunError(
                f"The run in {folder} has {name}={value!r}, not {given!r}. A resumed run keeps "
                "its settings: leave the option out, or start a new run."
            )
    return folder, settings


def finished_run(output):
    """The folder of a finished run."""
    folder = output or latest(lambda run: (run / MODEL).exists(), "finished")
    if not (folder / MODEL).exists():
        raise RunError(f"{folder} holds no {MODEL}. Train first: `python examples/gtsrb.py`.")
    return folder


def latest(wanted, what):
    """The newest run below `RUNS` for which `wanted` is true."""
    runs = [path.parent for path in RUNS.glob(f"*/{SETTINGS}") if wanted(path.parent)]
    if not runs:
        raise RunError(f"There is no {what} run in {RUNS}. Pass its folder with --output.")
    return max(runs, key=lambda run: (run / SETTINGS).stat().st_mtime)


def load_data(data):
    """The `Dataset` that `--data` names."""
    if data == "sample":
        return dataset.load_sample()
    cache = Path(os.environ.get("KERAS_HOME", "~/.keras")).expanduser() / "gtsrb"
    return dataset.load_path(download(cache) if data == "full" else data, cache / "decoded")


def device():
    """The device that the backend computes on, in its own words."""
    if keras.backend.backend() == "torch":
        return str(keras.ops.zeros(()).device)
    return keras.distribution.list_devices()[0]
