"""The example's command: trains, evaluates and reports, or classifies."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import keras

from common.errors import DataError, RunError
from common.files import save_model, write_json
from common.machine import check_backend, device
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
            return predict.main(options.predict, *runs.trained_model(options.output, options.model))
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
        print(f"gtsrb.py: {error}. Choose another --output, or make room.", file=sys.stderr)
        return 2
    except KeyboardInterrupt:  # while images were read: nothing to resume, nothing half-written
        print("\nStopped.")
        return 130


def run(options, devices):
    """Trains, evaluates and reports; returns the exit status."""
    with devices.main_first():  # the others find the data downloaded and decoded
        if options.resume:
            folder, settings = runs.resumed_run(options)
        else:
            folder, settings = runs.new_run(options, may_exist=not devices.is_main)
        keras.utils.set_random_seed(settings["seed"])
        precision = settings["precision"]
        keras.config.set_dtype_policy(precision if precision == "float32" else f"mixed_{precision}")
        configuration = CONFIGURATIONS[settings["model"]]
        data = load_data(settings["data"], configuration.preprocessing)
    data = data.with_every(settings["every"])
    if settings["final"]:
        data = data.with_validation_in_training()
    distribution.check_batch_size(min(settings["batch_size"], len(data.train)), devices)
    checkpoint = folder / training.CHECKPOINT
    with devices.scope:
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
                save_model(bare, folder / runs.MODEL)
                checkpoint.unlink()
        except KeyboardInterrupt:
            if devices.is_main:
                print(
                    f"\nStopped. `--resume --output {folder}` goes on after the last whole epoch."
                )
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


def load_data(data, preprocessing):
    """The `Dataset` that `--data` names."""
    if data == "sample":
        return dataset.load_sample(preprocessing)
    cache = Path(os.environ.get("KERAS_HOME", "~/.keras")).expanduser() / "gtsrb"
    path = download(cache) if data == "full" else data
    return dataset.load_path(path, preprocessing, cache / "decoded")
