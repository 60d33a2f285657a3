"""Rebuilds every table and figure of docs/gtsrb-results.md from what runs have left.

    python docs/figures/gtsrb.py                      from docs/gtsrb/, rewrite tables and figures
    python docs/figures/gtsrb.py --keep runs/A ...    first copy these finished runs there

A run is kept as the files that it wrote: settings, history, predictions, thetas, and its pictures
of real signs. Costs are the JSON files of `python -m gtsrb.cost`. The tables are written between
the page's own marks, `<!-- table: NAME -->` and `<!-- end -->`.
"""

from __future__ import annotations

import argparse
import csv
import json
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from PIL import Image
from scipy import stats

sys.path.append(str(Path(__file__).parent))

from pages import replaced

DOCS = Path(__file__).parents[1]
PAGE = DOCS / "gtsrb-results.md"
RUNS = DOCS / "gtsrb" / "runs"
COSTS = DOCS / "gtsrb"
IMAGES = DOCS / "images" / "gtsrb"
TABLES = ("settings.json", "history.csv", "predictions.csv", "perturbed.csv", "theta.npy")
PICTURES = {"gallery.png": "gallery", "confusion.png": "confusion", "looks/training.gif": "looks"}
RESAMPLES = 10_000
# Which runs are compared: the same but for the transformer.
PAIRS = (("stn", "constant"), ("constant", "idsia"), ("stn", "idsia"))


@dataclass(frozen=True)
class Run:
    """One kept run."""

    name: str
    settings: dict
    history: list
    predictions: list
    perturbed: dict

    @property
    def errors(self):
        """Validation images with a wrong answer."""
        return sum(row["class"] != row["predicted"] for row in self.predictions)


def main(arguments=None):
    """Keeps runs, then rewrites the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--keep", nargs="+", type=Path, default=[], metavar="RUN")
    for folder in parser.parse_args(arguments).keep:
        keep(folder)
    runs = read_runs()
    IMAGES.mkdir(parents=True, exist_ok=True)
    curves(runs).savefig(IMAGES / "curves.png", dpi=110)
    perturbations(runs).savefig(IMAGES / "perturbed.png", dpi=110)
    PAGE.write_text(with_tables(PAGE.read_text(), runs, read_costs()))


def read_runs():
    """All kept runs, those on all frames first."""
    runs = [read(folder) for folder in sorted(RUNS.iterdir())]
    return sorted(runs, key=lambda run: run.settings["every"])


def read_costs():
    """What was measured of costs, a dictionary for each backend and precision."""
    return [json.loads(path.read_text()) for path in sorted(COSTS.glob("cost-*.json"))]


def with_tables(text, runs, costs):
    """The page with its tables made anew."""
    return replaced(
        text,
        {
            "runs": results_table(runs),
            "perturbed": perturbed_table(runs),
            "pairs": pairs_table(runs),
            "seeds": seeds_table(runs),
            "seed_pairs": seed_pairs_table(runs),
            "seed_perturbed": seed_perturbed_table(runs),
            "hardest": hardest_table(runs),
            "cost": cost_table(costs),
            "share": share_table(costs),
        },
    )


def keep(folder):
    """Copies what a finished run has written."""
    settings = json.loads((folder / "settings.json").read_text())
    if settings["final"] or not (folder / "predictions.csv").exists():
        raise SystemExit(f"{folder} is not finished, or was trained on the validation images too.")
    augmented = "" if settings["augment"] == "none" else f"-{settings['augment']}"
    every = "" if settings["every"] == 1 else f"-every{settings['every']}"
    name = f"{settings['model']}{augmented}{every}-seed{settings['seed']}"
    target = RUNS / name
    if target.exists():
        raise SystemExit(
            f"{target} is there already. Delete it first, if {folder} is to replace it."
        )
    target.mkdir(parents=True)
    for file in TABLES:
        if (folder / file).exists():
            shutil.copyfile(folder / file, target / file)
    # Where the data lay is nobody's business.
    settings["data"] = settings["data"] if settings["data"] in ("sample", "full") else "full"
    (target / "settings.json").write_text(json.dumps(settings, indent=2) + "\n")
    shown = PAGE.read_text()
    for file, what in PICTURES.items():
        picture = IMAGES / f"{name}-{what}{Path(file).suffix}"
        if picture.name in shown:
            compress(folder / file, picture)


def compress(source, target):
    """Copies a picture in 256 colours, which is enough and a third as large."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.suffix == ".gif":
        shutil.copyfile(source, target)
    else:
        Image.open(source).convert("RGB").quantize(256).save(target, optimize=True)


def read(folder):
    """The `Run` kept in a folder."""

    def rows(name):
        with (folder / name).open(newline="") as file:
            return list(csv.DictReader(file))

    return Run(
        folder.name,
        json.loads((folder / "settings.json").read_text()),
        rows("history.csv"),
        rows("predictions.csv"),
        {row["validation signs"]: int(row["errors"]) for row in rows("perturbed.csv")},
    )


def results_table(runs):
    """Accuracy and errors of every run."""
    lines = [
        "| run | validation accuracy | errors | augmentation | epochs | backend, precision |",
        "|---|---|---|---|---|---|",
    ]
    for run in runs:
        s = run.settings
        count = len(run.predictions)
        lines.append(
            f"| {run.name} | **{100 * (1 - run.errors / count):.2f} %** "
            f"| {run.errors:,} of {count:,} | {s['augment']} | {s['epochs']} "
            f"| {s['backend']}, {s['precision']} |"
        )
    return lines


def perturbed_table(runs):
    """Errors on the perturbed validation signs."""
    names = list(runs[0].perturbed)
    lines = [f"| run | {' | '.join(names)} |", f"|---|{'---|' * len(names)}"]
    for run in runs:
        count = len(run.predictions)
        cells = [f"{100 * (1 - run.perturbed[name] / count):.2f} %" for name in names]
        lines.append(f"| {run.name} | {' | '.join(cells)} |")
    return lines


def pairs_table(runs):
    """What a transformer changes: pairs of runs that differ in nothing else."""
    lines = [
        "| with | without | fewer errors (95 % interval) | only the first right, only the second "
        "| p |",
        "|---|---|---|---|---|",
    ]
    for first_model, second_model in PAIRS:
        for first in runs:
            for second in runs:
                if first.settings | {"model": second_model} != second.settings:
                    continue
                if first.settings["model"] != first_model:
                    continue
                gains = track_gains(first, second)
                low, high = interval(gains)
                a, b = _right(first), _right(second)
                lines.append(
                    f"| {first.name} | {second.name} | {gains.sum():.0f} ({low:.0f} to {high:.0f}) "
                    f"| {(a & ~b).sum()}, {(b & ~a).sum()} | {sign_flip(gains):.2g} |"
                )
    return lines


def _right(run):
    return np.array([row["class"] == row["predicted"] for row in run.predictions])


def track_gains(first, second):
    """How many fewer errors the first run makes on each track."""
    tracks, others = ([row["track"] for row in run.predictions] for run in (first, second))
    if tracks != others:
        raise ValueError(f"{first.name} and {second.name} were validated on different images.")
    _, track = np.unique(tracks, return_inverse=True)
    return np.bincount(track, weights=_right(first).astype(float) - _right(second))


def interval(gains):
    """95 % interval of the sum of the tracks' gains, resampling whole tracks.

    The frames of a track are near-copies: what takes images for independent, such as McNemar's
    test, is much too sure.
    """
    rng = np.random.default_rng(0)
    sums = gains[rng.integers(0, len(gains), (RESAMPLES, len(gains)))].sum(axis=1)
    return np.quantile(sums, [0.025, 0.975])


def sign_flip(gains):
    """How often chance gives a sum as far from 0, if each track may as well favour the other."""
    signs = np.random.default_rng(0).choice([-1, 1], (RESAMPLES, len(gains)))
    sums = np.abs((signs * gains).sum(axis=1))
    return float((1 + (sums >= abs(gains.sum())).sum()) / (1 + RESAMPLES))


def repeated(runs):
    """Runs that differ in their seed alone, by seed: lists of two or more."""
    groups = {}
    for run in sorted(runs, key=lambda run: run.settings["seed"]):
        without_seed = tuple(sorted((run.settings | {"seed": None}).items()))
        groups.setdefault(without_seed, []).append(run)
    return [group for group in groups.values() if len(group) > 1]


def seeds_table(runs):
    """Accuracy over seeds."""
    groups = repeated(runs)
    if not groups:
        return ["No run was repeated with another seed yet."]
    lines = ["| runs | seeds | validation accuracy, mean ± sd | errors |", "|---|---|---|---|"]
    for group in groups:
        accuracies = [100 * (1 - run.errors / len(run.predictions)) for run in group]
        seeds = ", ".join(str(run.settings["seed"]) for run in group)
        lines.append(
            f"| {_without_seed(group[0])} | {seeds} "
            f"| **{np.mean(accuracies):.2f} ± {np.std(accuracies, ddof=1):.2f} %** "
            f"| {', '.join(str(run.errors) for run in group)} |"
        )
    return lines


def repeated_pairs(runs):
    """What a transformer changes, over seeds: two names, and pairs of runs of equal seed."""
    groups = {_without_seed(group[0]): group for group in repeated(runs)}
    for first_model, second_model in PAIRS:
        for name, first in groups.items():
            if first[0].settings["model"] != first_model:
                continue
            other = name.replace(first_model, second_model, 1)
            second = {run.settings["seed"]: run for run in groups.get(other, ())}
            seeds = [run.settings["seed"] for run in first if run.settings["seed"] in second]
            if len(seeds) > 1:
                own = {run.settings["seed"]: run for run in first}
                yield name, other, [(own[seed], second[seed]) for seed in seeds]


def seed_pairs_table(runs):
    """How many errors fewer a transformer makes, over seeds."""
    lines = []
    for name, other, pairs in repeated_pairs(runs):
        gains = np.array([track_gains(*pair) for pair in pairs])
        totals = gains.sum(axis=1)
        low, high = student_interval(totals)
        low_track, high_track = interval(gains.mean(axis=0))
        lines.append(
            f"| {name} | {other} | {', '.join(f'{total:.0f}' for total in totals)} "
            f"| {totals.mean():.1f} ({low:.0f} to {high:.0f}) "
            f"| {low_track:.0f} to {high_track:.0f} |"
        )
    header = [
        "| with | without | fewer errors, by seed | mean (95 % interval over seeds) "
        "| 95 % interval over tracks |",
        "|---|---|---|---|---|",
    ]
    return header + lines if lines else []


def seed_perturbed_table(runs):
    """How many points better a transformer reads perturbed signs, over seeds."""
    kinds = list(runs[0].perturbed)[1:]
    lines = []
    for name, other, pairs in repeated_pairs(runs):
        cells = []
        for kind in kinds:
            points = [
                100 * (second.perturbed[kind] - first.perturbed[kind]) / len(first.predictions)
                for first, second in pairs
            ]
            low, high = student_interval(points)
            cells.append(f"{np.mean(points):.1f} ({low:.1f} to {high:.1f})")
        lines.append(f"| {name} | {other} | {' | '.join(cells)} |")
    header = [f"| with | without | {' | '.join(kinds)} |", "|---|---" + "|---" * len(kinds) + "|"]
    return header + lines if lines else []


def _without_seed(run):
    return run.name.rpartition("-seed")[0]


def student_interval(values):
    """95 % interval of the mean, by Student's t."""
    half = stats.t.ppf(0.975, len(values) - 1) * stats.sem(values)
    return np.mean(values) - half, np.mean(values) + half


def hardest_table(runs):
    """The tracks that cost most errors, over all runs on all frames."""
    runs = [run for run in runs if run.settings["every"] == 1]
    wrong = {}
    for run in runs:
        for row in run.predictions:
            if row["class"] != row["predicted"]:
                counts = wrong.setdefault((row["track"], int(row["class"])), {})
                counts[run.name] = counts.get(run.name, 0) + 1
    sys.path.insert(0, str(DOCS.parent / "examples"))
    from gtsrb.signs import SIGN_NAMES

    worst = sorted(wrong, key=lambda key: -sum(wrong[key].values()))[:8]
    header = " | ".join(run.name for run in runs)
    lines = [f"| track | sign | {header} |", f"|---|---|{'---|' * len(runs)}"]
    for track, label in worst:
        cells = " | ".join(str(wrong[track, label].get(run.name, 0)) for run in runs)
        lines.append(f"| {track} | {SIGN_NAMES[label]} | {cells} |")
    return lines


def cost_table(costs):
    """Images a second, parameters and bytes."""
    # Backends name the one CPU differently.
    machines = sorted({cost["machine"].replace("cpu:0", "cpu") for cost in costs})
    lines = [
        f"Batches of 128; medians and quartiles over steps; on {' and '.join(machines)}.",
        "",
        "| model | parameters | `model.keras` | backend, precision | training images/s "
        "| inference images/s | making a batch, of a step |",
        "|---|---|---|---|---|---|---|",
    ]
    for cost in costs:
        for row in cost["models"]:
            training, inference = (
                "{:.0f} ({:.0f}-{:.0f})".format(*row[f"{what}_images_per_second"])
                for what in ("training", "inference")
            )
            lines.append(
                f"| {row['model']} | {row['parameters']:,} | {row['bytes'] / 1e6:.1f} MB "
                f"| {cost['backend']}, {cost['precision']} | {training} | {inference} "
                f"| {100 * row['pipeline_share']:.2f} % |"
            )
    return lines


def share_table(costs):
    """What of a step the transformers take."""
    lines = [
        "| model | backend, precision | of a training step | of an inference step |",
        "|---|---|---|---|",
    ]
    for cost in costs:
        for row in cost["models"]:
            if "transformers_share_training" not in row:
                continue
            training, inference = (
                "{:.0f} % ({:.0f}-{:.0f})".format(
                    *(100 * x for x in row[f"transformers_share_{what}"])
                )
                for what in ("training", "inference")
            )
            lines.append(
                f"| {row['model']} | {cost['backend']}, {cost['precision']} | {training} "
                f"| {inference} |"
            )
    return lines


def styles(runs):
    """How each configuration is drawn, all its seeds alike."""
    colors = matplotlib.colormaps["tab20"].colors
    names = dict.fromkeys(_without_seed(run) for run in runs)
    return {name: {"color": colors[i % len(colors)]} for i, name in enumerate(names)}


def _once(name, axes):
    """A label that the legend shows once."""
    return None if name in axes.get_legend_handles_labels()[1] else name


def curves(runs):
    """Validation errors by epoch, of all runs."""
    figure = Figure(figsize=(9.5, 4.2), layout="constrained")
    loss, error = figure.subplots(1, 2)
    drawn = styles(runs)
    for run in runs:
        name = _without_seed(run)
        epochs = [int(row["epoch"]) for row in run.history]
        errors = [100 * (1 - float(row["val_accuracy"])) for row in run.history]
        loss.plot(
            epochs, [float(row["val_loss"]) for row in run.history], "o-", ms=3, **drawn[name]
        )
        error.plot(epochs, errors, "o-", ms=3, label=_once(name, error), **drawn[name])
    for axes, title in ((loss, "validation loss"), (error, "validation error, %")):
        axes.set_yscale("log")
        axes.set_xlabel("epoch")
        axes.set_title(title)
        axes.grid(alpha=0.3, which="both")
        axes.xaxis.get_major_locator().set_params(integer=True)
    figure.legend(fontsize=9, loc="outside right upper")
    return figure


def perturbations(runs):
    """Validation errors on signs that were turned, shifted and scaled, a dot a seed."""
    kinds = list(runs[0].perturbed)
    figure = Figure(figsize=(9.5, 4.2), layout="constrained")
    axes = figure.subplots()
    drawn = styles(runs)
    offsets = dict(zip(drawn, np.linspace(-0.36, 0.36, len(drawn)), strict=True))
    for run in runs:
        name = _without_seed(run)
        errors = [100 * run.perturbed[kind] / len(run.predictions) for kind in kinds]
        places = np.arange(len(kinds)) + offsets[name]
        axes.plot(places, errors, "o", ms=6, label=_once(name, axes), **drawn[name])
    for edge in np.arange(len(kinds) - 1) + 0.5:
        axes.axvline(edge, color="0.8", linewidth=0.8)
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter("{x:g}")
    axes.set_xticks(range(len(kinds)), kinds)
    axes.set_xlim(-0.5, len(kinds) - 0.5)
    axes.set_title("validation error, %, of signs")
    figure.legend(fontsize=9, loc="outside right upper")
    axes.grid(alpha=0.3, axis="y", which="both")
    return figure


if __name__ == "__main__":
    main()
