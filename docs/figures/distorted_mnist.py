"""Rebuilds the tables and figures of docs/distorted-mnist.md from what runs have left.

    python docs/figures/distorted_mnist.py                from docs/distorted_mnist/
    python docs/figures/distorted_mnist.py --keep FOLDER  first copy the results of this folder

A folder of runs is kept as its settings, its results and, of the runs that the page shows, what
the transformer made of digits over training; runs of other than the usual number of steps in a
folder of their own. Costs are the JSON files of `python -m distorted_mnist.cost`.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "examples"))
sys.path.append(str(Path(__file__).parent))

from pages import replaced

from distorted_mnist import table
from distorted_mnist.command_line import STEPS
from distorted_mnist.runs import RESULTS, SETTINGS, Run, read_results

DOCS = Path(__file__).parents[1]
PAGE = DOCS / "distorted-mnist.md"
KEPT = DOCS / "distorted_mnist"
IMAGES = DOCS / "images" / "distorted_mnist"
SHOWN = [
    Run(task, "st-cnn", "thin_plate_spline" if task == "E" else "affine", 0)
    for task in ("R", "RTS", "P", "E", "TC", "addition")
]
SHOWN_LONGER = [Run("addition", "st-fcn", "affine", 0)]
SHARES = [  # of a step, that four transformers add
    f"{what}_{part}"
    for what in ("training", "inference")
    for part in ("overhead", "localizing", "sampling")
]


def main(arguments=None):
    """Keeps a folder of runs, then rewrites the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--keep", type=Path, metavar="FOLDER")
    options = parser.parse_args(arguments)
    if options.keep:
        keep(options.keep)
    elif not (KEPT / RESULTS).exists():
        raise SystemExit("No results are kept yet. Pass a folder of runs with --keep.")
    table.picture(table.cells(read_results(KEPT / RESULTS))).savefig(IMAGES / "table.png", dpi=110)
    PAGE.write_text(page(PAGE.read_text()))


def keep(folder):
    """Copies what a folder of runs holds."""
    steps = json.loads((folder / SETTINGS).read_text())["steps"]
    kept, shown, ending = KEPT, SHOWN, ""
    if steps != STEPS:
        kept, shown, ending = KEPT / f"steps-{steps}", SHOWN_LONGER, f"-{steps}"
    kept.mkdir(parents=True, exist_ok=True)
    for name in (SETTINGS, RESULTS):
        shutil.copyfile(folder / name, kept / name)
    IMAGES.mkdir(parents=True, exist_ok=True)
    for run in shown:
        looks = folder / run.name / "looks" / "training.gif"
        if looks.exists():
            shutil.copyfile(looks, IMAGES / f"{run.task}{ending}.gif")


def page(text):
    """The page with its tables made anew."""
    results = read_results(KEPT / RESULTS)
    found = table.cells(results)
    costs = [json.loads(path.read_text()) for path in sorted(KEPT.glob("cost-*.json"))]
    return replaced(
        text,
        {
            "settings": [settings_line(KEPT)],
            "errors": table.markdown(found).splitlines(),
            "orderings": [f"- {sentence}: {told}." for sentence, told in table.orderings(found)],
            **longer(),
            "distortions": distortion_table(costs) if costs else ["Not measured yet."],
            "four": four_table(costs) if costs else [],
        },
    )


def settings_line(folder):
    """How the runs of a folder were made, and how long they took."""
    settings = json.loads((folder / SETTINGS).read_text())
    results = read_results(folder / RESULTS)
    seeds = sorted({run.seed for run in results})
    hours = sum(result.seconds for result in results.values()) / 3600
    return (
        f"{len(results)} runs, seeds {', '.join(map(str, seeds))}: {settings['backend']}, "
        f"{settings['precision']}, {settings['steps']:,} batches of {settings['batch_size']}, "
        f"tested on {settings['tested_on']}; {hours:.1f} hours of training in all."
    )


def longer():
    """What the networks that were trained for another number of steps did: a table for each."""
    tables = {}
    for folder in KEPT.glob("steps-*"):
        found = table.cells(read_results(folder / RESULTS))
        lines = [settings_line(folder), "", *table.markdown(found).splitlines()]
        tables[folder.name] = lines
    return tables


def distortion_table(costs):
    """What distorting a batch takes beside a training step on canvases."""
    lines = [
        "| backend, precision | task | drawing | distorting | FCN | CNN | ST-FCN | ST-CNN |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for cost in costs:
        for row in cost["distortions"]:
            cells = " | ".join(
                "{:.1f} ({:.1f}-{:.1f})".format(*row[what])
                for what in ("drawing", "distorting", "fcn", "cnn", "st-fcn", "st-cnn")
            )
            lines.append(f"| {circumstances(cost)} | {row['task']} | {cells} |")
    return lines


def four_table(costs):
    """What four transformers add, and how much of it is localizing and how much sampling."""
    lines = [
        "| backend, precision | images | to a training step | by localizing | by sampling "
        "| to inference | by localizing | by sampling |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for cost in costs:
        for row in cost["four_transformers"]:
            cells = " | ".join(
                "{:.0f} % ({:.0f} to {:.0f})".format(*(100 * share for share in row[what]))
                for what in SHARES
            )
            lines.append(f"| {circumstances(cost)} | {row['images']} | {cells} |")
    machines = {cost["machine"].removeprefix("cpu; ").removeprefix("cpu:0; ") for cost in costs}
    return [*lines, "", f"Machines: {'; '.join(sorted(machines))}."]


def circumstances(cost):
    """Backend and precision, and the device where it is no CPU."""
    device = cost["machine"].partition("; ")[0]
    parts = [cost["backend"], cost["precision"], *([] if device.startswith("cpu") else [device])]
    return ", ".join(parts)


if __name__ == "__main__":
    main()
