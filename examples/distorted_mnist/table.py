"""The table of results beside the paper's: as Markdown, as a picture, and what follows from it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator

from distorted_mnist import paper
from distorted_mnist.tasks import TASKS

NAMES = {"": "", "affine": "affine", "projective": "projective", "thin_plate_spline": "TPS"}


@dataclass(frozen=True)
class Cell:
    """The runs of one network on one task, with different seeds.

    Attributes:
        errors: Tuple of error rates in percent, one a seed.
        images: int, test images of each.
    """

    errors: tuple
    images: int

    @property
    def mean(self):
        """The mean error rate over seeds, in percent."""
        return float(np.mean(self.errors))

    @property
    def deviation(self):
        """In percent: over seeds; of a single one, that of counting so many images."""
        if len(self.errors) > 1:
            return float(np.std(self.errors, ddof=1))
        share = self.mean / 100
        return 100 * math.sqrt(share * (1 - share) / self.images)


def cells(results):
    """The `Cell` of each (task, model, transform), from a `Result` of each `Run`."""
    found = {}
    for run, result in sorted(results.items()):
        found.setdefault((run.task, run.model, run.transform), []).append(result)
    return {
        key: Cell(tuple(result.error for result in group), group[0].images)
        for key, group in found.items()
    }


def caption(settings):
    """What the table shows, and of which runs."""
    return (
        f"Error in percent on {settings['tested_on']}, **mean** over seeds ± standard deviation "
        "(of one seed, that of counting so many images), and in brackets the paper's. "
        f"{settings['backend']}, {settings['precision']}, {settings['steps']:,} batches of "
        f"{settings['batch_size']}."
    )


def markdown(found):
    """A Markdown table of cells, as `caption` says."""
    seeds = max(len(cell.errors) for cell in found.values())
    rows = _rows(found)
    tasks = [task for task in TASKS if any((task, *row) in found for row in rows)]
    lines = ["| network | " + " | ".join(tasks) + " |", "|---" * (len(tasks) + 1) + "|"]
    for row in rows:
        texts = [_text((task, *row), found, seeds) for task in tasks]
        lines.append(f"| {label(row)} | " + " | ".join(texts) + " |")
    return "\n".join(lines)


def label(row):
    """The name of a network, from its model and family of transforms."""
    model, transform = row
    return f"{model.upper()} {NAMES[transform]}".strip()


def _rows(found):
    return [row for row in paper.ROWS if any((task, *row) in found for task in TASKS)]


def _text(key, found, seeds):
    if key not in found:
        return ""
    cell = found[key]
    theirs = f" ({paper.ERRORS[key]})" if key in paper.ERRORS else ""
    fewer = f", {len(cell.errors)} of {seeds} seeds" if len(cell.errors) < seeds else ""
    return f"**{cell.mean:.2f}** ± {cell.deviation:.2f}{theirs}{fewer}"


def orderings(found):
    """The paper's orderings that can be told, of affine transformers where nothing else is said.

    Returns:
        Pairs of a sentence and "yes", "no", or "too close to tell": the two means are no further
        apart than their deviations together.
    """
    said = []

    def tell(sentence, less, more, factor=1.0):
        if less in found and more in found:
            said.append((sentence, _compared(found[less], found[more], factor)))

    for task in TASKS:
        sentence = f"ST-CNN errs less than CNN on {task}"
        tell(sentence, (task, "st-cnn", "affine"), (task, "cnn", ""))
    fcn = "ST-FCN errs less than half as often as FCN on RTS"
    tell(fcn, ("RTS", "st-fcn", "affine"), ("RTS", "fcn", ""), factor=0.5)
    fcn = "ST-FCN errs less than FCN on addition"
    tell(fcn, ("addition", "st-fcn", "affine"), ("addition", "fcn", ""))
    for model in ("st-fcn", "st-cnn"):
        for other in ("affine", "projective"):
            sentence = f"{model.upper()} errs less with thin-plate splines than {other} on E"
            tell(sentence, ("E", model, "thin_plate_spline"), ("E", model, other))
    return said


def _compared(less, more, factor):
    """Whether one `Cell` errs less than another's errors times a factor."""
    gap = factor * more.mean - less.mean
    if abs(gap) <= less.deviation + factor * more.deviation:
        return "too close to tell"
    return "yes" if gap > 0 else "no"


def picture(found):
    """Errors of every network beside the paper's, a panel a task."""
    tasks = [task for task in TASKS if any(key[0] == task for key in found)]
    columns = min(2, len(tasks))  # more would be too small to read on a page
    rows = -(-len(tasks) // columns)
    figure = Figure(figsize=(1 + 3.6 * columns, 0.6 + 2.7 * rows), layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False, sharey=True)
    names = _rows(found)
    for axes in panels.flat[len(tasks) :]:
        axes.set_axis_off()
    for axes, task in zip(panels.flat, tasks, strict=False):
        for place, row in enumerate(names):
            cell = found.get((task, *row))
            if cell is not None:
                axes.errorbar(
                    cell.mean, place, xerr=cell.deviation, fmt="o", color="tab:blue", capsize=3
                )
            if (task, *row) in paper.ERRORS:
                axes.plot(paper.ERRORS[task, *row], place, "D", color="tab:orange", mfc="none")
        axes.set_xscale("log")
        axes.set_title(f"{task}: {TASKS[task].summary}", fontsize=9)
        axes.set_yticks(range(len(names)), [label(row) for row in names], fontsize=8)
        axes.set_ylim(len(names) - 0.5, -0.5)
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_major_formatter("{x:g}")
        axes.xaxis.set_minor_locator(NullLocator())
        axes.tick_params(axis="x", labelsize=8)
        axes.grid(alpha=0.3)
    figure.supxlabel(
        "error, % (blue: here, with standard deviation; orange: the paper)", fontsize=9
    )
    return figure
