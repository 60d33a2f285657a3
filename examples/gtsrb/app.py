"""The example's command: trains, evaluates and reports, or classifies."""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path

import keras

from common.callbacks import read_history
from common.errors import DataError, RunError, explained
from common.files import save_model, write_json
from common.machine import check_backend, device
from common.wording import counted
from gtsrb import dataset, distribution, models, predict, report, runs, training
from gtsrb.archives import NUM_CLASSES
from gtsrb.command_line import parse
from gtsrb.configurations import CONFIGURATIONS
from gtsrb.download import download


def main(arguments=None):
    """Runs the command line; returns the exit status."""
    options = parse(arguments)
    try:
        if options.predict:
            model = runs.trained_model(options.output, options.model, bundled=options.bundled)
            return predict.main(options.predict, *model)
        check_backend()
        devices = distribution.all_devices() if options.distribute else distribution.ONE_DEVICE
        try:
            return run(options, devices)
        finally:
            devices.close()
    except (DataError, RunError) as error:
        print(f"gtsrb.py: {error}", file=sys.stderr)
        return 2
    except OSError as error:  # an output folder that cannot be written, a full disk
        print(f"gtsrb.py: {explained(error)}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:  # while images were read: nothing to resume, nothing half-written
        print("\nStopped.")
        return 130


def run(options, devices):
    """Trains, evaluates and reports; returns the exit status."""
    with contextlib.ExitStack() as stack:
        with devices.main_first():  # the others find the data downloaded and decoded
            if options.resume:
                folder, settings = runs.resumed_run(options)
            else:
                folder, settings = runs.new_run(options, may_exist=not devices.is_main)
            # Fails now, not after the data has been read; and a mistake in --data leaves nothing.
            stack.enter_context(runs.made(folder))
            keras.utils.set_random_seed(settings["seed"])
            precision = settings["precision"]
            keras.config.set_dtype_policy(
                precision if precision == "float32" else f"mixed_{precision}"
            )
            data = load_data(settings)
        distribution.check_batch_size(min(settings["batch_size"], len(data.train)), devices)
        with devices.scope:
            return train_and_report(data, folder, settings, devices)


def train_and_report(data, folder, settings, devices):
    """Trains on data that has been read, from the checkpoint if there is one."""
    checkpoint = folder / training.CHECKPOINT
    if checkpoint.exists():
        model = predict.load_model(checkpoint)
    else:
        model = models.build_model(settings["model"], settings["augment"])
    if devices.is_main:
        describe(model, data, settings, devices)
        write_json(folder / runs.SETTINGS, settings)
        print(f"Output: {folder}", flush=True)
    try:
        training.train(
            model,
            data,
            folder,
            CONFIGURATIONS[settings["model"]].recipe,
            epochs=settings["epochs"],
            batch_size=settings["batch_size"],
            seed=settings["seed"],
            devices=devices,
        )
        if devices.is_main:
            print(report.write(model, data, folder, settings), flush=True)
            # Without the optimizer, which is twice as large and would only go on training.
            bare = keras.Model(model.input, model.output, name=model.name)
            save_model(bare, folder / runs.MODEL)
            checkpoint.unlink()
            print(f"Pictures to open:\n{report.pictures_of(folder)}", flush=True)
    except KeyboardInterrupt:
        if devices.is_main:
            print(f"\nStopped. {after(folder, settings)}")
        return 130
    except OSError as error:
        raise RunError(f"{explained(error)} {after(folder, settings)}") from None
    return 0


def after(folder, settings):
    """What becomes of a run that was stopped, in a sentence."""
    if (folder / runs.MODEL).exists():
        return f"The run in {folder} is finished."
    history = folder / runs.HISTORY
    if history.exists() and len(read_history(history)) == settings["epochs"]:
        return f"It has been trained: `--resume --output {folder}` writes what is missing."
    return f"`--resume --output {folder}` goes on after the last whole epoch."


def describe(model, data, settings, devices):
    """Prints what is trained, on what, and where."""
    print(
        f"Data: {data.description}: {counted(len(data.train), 'training image')} and "
        f"{counted(len(data.validation), 'validation image')} of {NUM_CLASSES} classes, "
        + ("all of the latter among the former." if settings["final"] else "no track in both.")
        + ("" if settings["data"] != "sample" else " (--data full for all 39,209)")
    )
    several = f", {counted(devices.count, 'device')}" if devices.count > 1 else ""
    print(f"Backend: {keras.backend.backend()}, on {device()}{several}, {settings['precision']}")
    print(
        f"Model: {settings['model']}, {model.count_params():,} parameters, augmentation: "
        f"{settings['augment']}",
        flush=True,
    )


def load_data(settings):
    """The `Dataset` that the settings of a run ask for."""
    preprocessing = CONFIGURATIONS[settings["model"]].preprocessing
    if settings["data"] == "sample":
        data = dataset.load_sample(preprocessing)
    else:
        cache = Path(os.environ.get("KERAS_HOME", "~/.keras")).expanduser() / "gtsrb"
        path = download(cache) if settings["data"] == "full" else settings["data"]
        data = dataset.load_path(path, preprocessing, cache / "decoded")
    data = data.with_every(settings["every"])
    return data.with_validation_in_training() if settings["final"] else data
