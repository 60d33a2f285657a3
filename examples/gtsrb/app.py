"""The command line: what to train on, what to train, where to leave it."""

from __future__ import annotations

import argparse
import datetime
import json
import os
import sys
from pathlib import Path

import keras

from gtsrb import dataset, distribution, models, predict, report, training
from gtsrb.archives import NUM_CLASSES
from gtsrb.augmentation import AUGMENTATIONS
from gtsrb.configurations import CONFIGURATIONS
from gtsrb.download import download
from gtsrb.errors import DataError, RunError
from gtsrb.files import save_model

RUNS = Path("runs")
MODEL = "model.keras"
SETTINGS = "settings.json"
PRETRAINED = Path(__file__).with_name("pretrained.keras")

# The sample holds only a few of a recipe's batches: smaller ones, and some more epochs.
SAMPLE_EPOCHS, SAMPLE_BATCH_SIZE = 12, 32


def main(arguments=None):
    """Runs the command line; returns the exit status."""
    options = parse(arguments)
    try:
        if options.predict:
            return predict.main(options.predict, *trained_model(options.output))
        devices = distribution.all_devices() if options.distribute else distribution.ONE_DEVICE
        try:
            return run(options, devices)
        finally:
            devices.close()
    except (DataError, RunError) as error:
        print(f"gtsrb.py: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:  # while images were read: nothing to resume, nothing half-written
        print("\nStopped.")
        return 130


def parse(arguments):
    """The parsed command line."""
    parser = argparse.ArgumentParser(
        description="Trains spatial transformers on German traffic signs (GTSRB).",
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
    parser.add_argument("--seed", type=int, help="default: 0")
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
        help="classify images with the trained model in --output (default: the latest one, or "
        "the one bundled with this example)",
    )
    return parser.parse_args(arguments)


def positive(text):
    """An int of at least 1, for argparse."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, not {value}")
    return value


def run(options, devices):
    """Trains, evaluates and reports; returns the exit status."""
    folder, settings = resumed_run(options) if options.resume else new_run(options)
    distribution.check_batch_size(settings["batch_size"], devices)
    keras.utils.set_random_seed(settings["seed"])
    precision = settings["precision"]
    keras.config.set_dtype_policy(precision if precision == "float32" else f"mixed_{precision}")
    configuration = CONFIGURATIONS[settings["model"]]
    data = load_data(settings["data"], configuration.preprocessing)
    data = data.with_every(settings["every"])
    if settings["final"]:
        data = data.with_validation_in_training()
    checkpoint = folder / training.CHECKPOINT
    with devices.scope:
        if checkpoint.exists():
            model = predict.load_model(checkpoint)
        else:
            model = models.build_model(settings["model"], settings["augment"])
        if devices.is_main:
            describe(model, data, settings, devices)
            folder.mkdir(parents=True, exist_ok=True)
            (folder / SETTINGS).write_text(json.dumps(settings, indent=2) + "\n")
            print(f"Output: {folder}", flush=True)
        try:
            training.train(
                model,
                data,
                folder,
                configuration.recipe,
                epochs=settings["epochs"],
                batch_size=settings["batch_size"],
                seed=settings["seed"],
                devices=devices,
            )
            if devices.is_main:
                print(report.write(model, data, folder, settings))
                # Without the optimizer, which is twice as large and would only go on training.
                bare = keras.Model(model.input, model.output, name=model.name)
                save_model(bare, folder / MODEL)
                checkpoint.unlink()
        except KeyboardInterrupt:
            print(f"\nStopped. `--resume --output {folder}` goes on after the last whole epoch.")
            return 130
    return 0


def describe(model, data, settings, devices):
    """Prints what is trained, on what, and where."""
    print(
        f"Data: {data.description}: {len(data.train):,} training and {len(data.validation):,} "
        f"validation images of {NUM_CLASSES} classes, "
        + ("all of the latter among the former." if settings["final"] else "no track in both.")
        + ("" if settings["data"] != "sample" else " (--data full for all 39,209)")
    )
    several = f", {devices.count} devices" if devices.count > 1 else ""
    print(f"Backend: {keras.backend.backend()}, on {device()}{several}, {settings['precision']}")
    print(
        f"Model: {settings['model']}, {model.count_params():,} parameters, augmentation: "
        f"{settings['augment']}",
        flush=True,
    )


def new_run(options):
    """The folder and the settings of a run that starts now."""
    data = options.data or "sample"
    name = options.model or "stn"
    configuration = CONFIGURATIONS[name]
    recipe = configuration.recipe
    sample = data == "sample"
    settings = {
        "data": data if data in ("sample", "full") else str(Path(data).resolve()),
        "model": name,
        "augment": options.augment or configuration.augmentation,
        "every": options.every or 1,
        "epochs": options.epochs or (SAMPLE_EPOCHS if sample else recipe.epochs),
        "batch_size": options.batch_size or (SAMPLE_BATCH_SIZE if sample else recipe.batch_size),
        "precision": options.precision or "float32",
        "final": bool(options.final),
        "seed": options.seed or 0,
    }
    now = datetime.datetime.now().strftime("%Y%m%d-%H%M%S")
    folder = options.output or RUNS / f"{now}-{name}-{keras.backend.backend()}"
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
        if name == "data" and given is not None and given not in ("sample", "full"):
            given = str(Path(given).resolve())
        if given is not None and given != value:
            raise RunError(
                f"The run in {folder} has {name}={value!r}, not {given!r}. A resumed run keeps "
                "its settings: leave the option out, or start a new run."
            )
    return folder, settings


def trained_model(output):
    """The path of a trained model, and the folder for what it is asked."""
    if output is None:
        try:
            output = latest(lambda run: (run / MODEL).exists(), "finished")
        except RunError:
            print(f"The model bundled with this example (no finished run in {RUNS}):")
            return PRETRAINED, RUNS
    if not (output / MODEL).exists():
        raise RunError(f"{output} holds no {MODEL}. Train first: `python examples/gtsrb.py`.")
    return output / MODEL, output


def latest(wanted, what):
    """The newest run below `RUNS` for which `wanted` is true."""
    runs = [path.parent for path in RUNS.glob(f"*/{SETTINGS}") if wanted(path.parent)]
    if not runs:
        raise RunError(f"There is no {what} run in {RUNS}. Pass its folder with --output.")
    return max(runs, key=lambda run: (run / SETTINGS).stat().st_mtime)


def load_data(data, preprocessing):
    """The `Dataset` that `--data` names."""
    if data == "sample":
        return dataset.load_sample(preprocessing)
    cache = Path(os.environ.get("KERAS_HOME", "~/.keras")).expanduser() / "gtsrb"
    path = download(cache) if data == "full" else data
    return dataset.load_path(path, preprocessing, cache / "decoded")


def device():
    """The device that the backend computes on, in its own words."""
    if keras.backend.backend() == "torch":
        return str(keras.ops.zeros(()).device)
    return keras.distribution.list_devices()[0]
