"""The example's command: trains networks one after the other and keeps a table of their errors."""

from __future__ import annotations

import sys
import zlib
from dataclasses import asdict, replace
from pathlib import Path

import keras
import numpy as np

from common.errors import DataError, RunError, explained
from common.files import whole_or_absent
from common.machine import check_backend, device
from common.wording import counted
from distorted_mnist import table, training
from distorted_mnist.command_line import parse
from distorted_mnist.digits import held_out, load_digits
from distorted_mnist.networks import THETA_GAIN
from distorted_mnist.recipe import RECIPE
from distorted_mnist.runs import Folder, grid

RUNS = Path("runs")
DPI = 130


def main(arguments=None):
    """Runs the command line; returns the exit status."""
    options = parse(arguments)
    try:
        return run_all(options)
    except (DataError, RunError) as error:
        print(f"distorted_mnist.py: {error}", file=sys.stderr)
        return 2
    except OSError as error:  # an output folder that cannot be written, a full disk
        print(f"distorted_mnist.py: {explained(error)}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nStopped. The same command goes on.")
        return 130


def run_all(options):
    """Makes the runs that are not there yet; returns the exit status."""
    check_backend()
    digits = load_digits(options.data)
    if options.validate:
        digits = held_out(digits)
    settings = settings_of(options, digits)
    folder = Folder(options.output or default_folder(settings), settings)
    wanted = grid(options.task, options.model, options.transform, options.seed)
    there = folder.results()
    left = [run for run in wanted if run not in there]
    print(
        f"Backend: {settings['backend']}, on {device()}, {settings['precision']}. "
        f"{counted(len(wanted), 'run')} of {settings['steps']:,} batches of "
        f"{settings['batch_size']}, "
        f"{len(wanted) - len(left)} of them there already.\nOutput: {folder.path}",
        flush=True,
    )
    for number, run in enumerate(left, start=1):
        print(f"{number} of {len(left)}: {run}", flush=True)
        if run in folder.results():
            print("    made by another process meanwhile", flush=True)
            continue
        result = make(run, digits, folder, settings)
        write_tables(folder, settings)
        ahead = left[number:]
        print(
            f"    error {result.error:.2f} % ({result.errors} of {result.images:,}), "
            f"{result.parameters:,} parameters, {duration(result.seconds)}; {len(ahead)} left"
            + (f", about {duration(remaining(ahead, folder.results()))}" if ahead else ""),
            flush=True,
        )
    write_tables(folder, settings)
    results = folder.results()
    shown = table.cells({run: results[run] for run in wanted})
    print(f"\n{table.caption(settings)}\n\n{table.markdown(shown)}\n")
    for sentence, told in table.orderings(shown):
        print(f"{sentence}: {told}")
    return 0


def make(run, digits, folder, settings):
    """Trains a run, keeps its `Result` and returns it."""
    keras.backend.clear_session()  # the networks before, and the precision
    precision = settings["precision"]
    keras.config.set_dtype_policy(precision if precision == "float32" else f"mixed_{precision}")
    place = folder.of(run)
    result = training.train(
        run, digits, place, steps=settings["steps"], batch_size=settings["batch_size"]
    )
    folder.add(run, result)
    (place / training.CHECKPOINT).unlink(missing_ok=True)
    return result


def settings_of(options, digits):
    """What all the runs of a folder have in common."""
    rounds, each = training.divided(options.steps)
    checksum = 0
    for array in (array for part in digits for array in part):
        checksum = zlib.crc32(np.ascontiguousarray(array), checksum)
    return {
        "backend": keras.backend.backend(),
        "precision": "bfloat16" if options.mixed_precision else "float32",
        "steps": rounds * each,
        "batch_size": options.batch_size,
        "tested_on": "training digits held out" if options.validate else "test digits",
        "digits": f"{checksum:08x}",
        "theta_gain": THETA_GAIN,
        "recipe": asdict(RECIPE),
    }


def default_folder(settings):
    """A folder that is named after its settings."""
    name = "-".join(
        str(part)
        for part in (
            "distorted_mnist",
            settings["backend"],
            settings["precision"],
            f"{settings['steps']}x{settings['batch_size']}",
            *(["validation"] if settings["tested_on"] != "test digits" else []),
        )
    )
    return RUNS / name


def write_tables(folder, settings):
    """Writes the results of all the folder's runs, and their table as Markdown and as a picture."""
    folder.write_results()
    found = table.cells(folder.results())
    lines = [table.caption(settings), "", table.markdown(found), ""]
    lines += [f"- {sentence}: {told}" for sentence, told in table.orderings(found)]
    with whole_or_absent(folder.path / "table.md") as path:
        path.write_text("\n".join(lines).rstrip() + "\n")
    with whole_or_absent(folder.path / "table.png") as path:
        table.picture(found).savefig(path, dpi=DPI)


def remaining(runs, results):
    """Seconds that runs will take, by those most like them that are done."""

    def seconds(run):
        for alike in (
            lambda other: replace(other, seed=run.seed) == run,
            lambda other: (other.task, other.model) == (run.task, run.model),
            lambda other: other.model == run.model,
            lambda other: True,
        ):
            times = [result.seconds for other, result in results.items() if alike(other)]
            if times:
                return sum(times) / len(times)

    return sum(seconds(run) for run in runs)


def duration(seconds):
    """Hours and minutes, or minutes and seconds."""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {seconds:02} s"
