"""The example's command: trains networks one after the other and keeps a table of their errors."""

from __future__ import annotations

import sys
from pathlib import Path

import keras

from common.files import whole_or_absent
from common.machine import device
from distorted_mnist import table, training
from distorted_mnist.command_line import parse
from distorted_mnist.digits import DigitsError, held_out, load_digits
from distorted_mnist.runs import Folder, RunError, grid

RUNS = Path("runs")
DPI = 130


def main(arguments=None):
    """Runs the command line; returns the exit status."""
    options = parse(arguments)
    try:
        return run_all(options)
    except (DigitsError, RunError) as error:
        print(f"distorted_mnist.py: {error}", file=sys.stderr)
        return 2
    except OSError as error:  # an output folder that cannot be written, a full disk
        print(
            f"distorted_mnist.py: {error}. Choose another --output, or make room.", file=sys.stderr
        )
        return 2
    except KeyboardInterrupt:
        print("\nStopped. The same command goes on.")
        return 130


def run_all(options):
    """Makes the runs that are not there yet; returns the exit status."""
    wanted = grid(options.task, options.model, options.transform, options.seed)
    if not wanted:
        raise RunError("No network is left of --task, --model and --transform.")
    precision = "bfloat16" if options.mixed_precision else "float32"
    keras.config.set_dtype_policy("mixed_bfloat16" if options.mixed_precision else "float32")
    settings = {
        "backend": keras.backend.backend(),
        "precision": precision,
        "steps": options.steps,
        "batch_size": options.batch_size,
        "tested_on": "training digits held out" if options.validate else "test digits",
    }
    folder = Folder(options.output or default_folder(settings), settings)
    digits = load_digits(options.data)
    if options.validate:
        digits = held_out(digits)
    left = [run for run in wanted if run not in folder.results]
    print(
        f"Backend: {settings['backend']}, on {device()}, {precision}. {len(wanted)} runs of "
        f"{options.steps:,} batches of {options.batch_size}, {len(wanted) - len(left)} of them "
        f"there already.\nOutput: {folder.path}",
        flush=True,
    )
    for number, run in enumerate(left, start=1):
        print(f"{number} of {len(left)}: {run}", flush=True)
        place = folder.path / run.name
        result = training.train(
            run, digits, place, steps=options.steps, batch_size=options.batch_size
        )
        folder.add(run, result)
        (place / training.CHECKPOINT).unlink()
        write_tables(folder)
        ahead = left[number:]
        print(
            f"    error {result.error:.2f} % ({result.errors} of {result.images:,}), "
            f"{result.parameters:,} parameters, {duration(result.seconds)}; {len(ahead)} left"
            + (f", about {duration(remaining(ahead, folder.results))}" if ahead else ""),
            flush=True,
        )
        keras.backend.clear_session()
    write_tables(folder)
    shown = table.cells({run: folder.results[run] for run in wanted})
    print(f"\nError, % (the paper's)\n\n{table.markdown(shown)}\n")
    for sentence, holds in table.orderings(shown):
        print(f"{'yes' if holds else 'NO '}  {sentence}")
    return 0


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


def write_tables(folder):
    """Writes the table of all the folder's runs, as Markdown and as a picture."""
    found = table.cells(folder.results)
    said = [
        f"- {sentence}: {'yes' if holds else '**no**'}"
        for sentence, holds in table.orderings(found)
    ]
    with whole_or_absent(folder.path / "table.md") as path:
        path.write_text("\n".join([table.markdown(found), "", *said]).rstrip() + "\n")
    with whole_or_absent(folder.path / "table.png") as path:
        table.picture(found).savefig(path, dpi=DPI)


def remaining(runs, results):
    """Seconds that runs will take, by those most like them that are done."""

    def seconds(run):
        for alike in (
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
