"""The runs of the paper's table, and the folder that keeps what they leave."""

from __future__ import annotations

import csv
import itertools
import json
from dataclasses import astuple, dataclass, fields
from pathlib import Path

from common.files import whole_or_absent, write_csv
from distorted_mnist.networks import MODELS, TRANSFORMS
from distorted_mnist.tasks import TASKS

SETTINGS = "settings.json"
RESULTS = "results.csv"
# The paper has only these for clutter and for sums: one family is enough to tell.
ONE_FAMILY = ("TC", "addition")


class RunError(Exception):
    """A run cannot be made as asked for; the message says why and what to do."""


@dataclass(frozen=True, order=True)
class Run:
    """One training: a network on a task.

    Attributes:
        task: str, one of `TASKS`.
        model: str, one of `MODELS`.
        transform: str, one of `TRANSFORMS`, or "" without a spatial transformer.
        seed: int.
    """

    task: str
    model: str
    transform: str
    seed: int

    @property
    def name(self):
        """A name for a folder."""
        return "-".join(filter(None, [self.task, self.model, self.transform, f"seed{self.seed}"]))

    def __str__(self):
        return (
            " ".join(filter(None, [self.task, self.model, self.transform])) + f", seed {self.seed}"
        )


@dataclass(frozen=True)
class Result:
    """What a run came to.

    Attributes:
        parameters: int, of the network.
        errors: int, images with a wrong answer.
        images: int, all that were asked about.
        seconds: float, how long the training took; of one that was resumed, since then.
    """

    parameters: int
    errors: int
    images: int
    seconds: float

    @property
    def error(self):
        """The error rate in percent."""
        return 100 * self.errors / self.images


def grid(tasks=None, models=None, transforms=None, seeds=(0,)):
    """The paper's cells, in its order, or those of them that are named; a `Run` for each seed."""
    runs = []
    for seed, task, model in itertools.product(seeds, TASKS, MODELS):
        families = [""]
        if model.startswith("st-"):
            families = TRANSFORMS
            if task in ONE_FAMILY and not transforms:
                families = TRANSFORMS[:1]
        runs += [Run(task, model, family, seed) for family in families]
    return [
        run
        for run in runs
        if (not tasks or run.task in tasks)
        and (not models or run.model in models)
        and (not transforms or run.transform in (*transforms, ""))
    ]


class Folder:
    """Where runs with the same settings are kept.

    Args:
        path: The folder.
        settings: A dictionary of what all its runs have in common.

    Raises:
        RunError: It holds runs with other settings, or something else.
    """

    def __init__(self, path, settings):
        self.path = Path(path)
        self.settings = settings
        file = self.path / SETTINGS
        if file.exists():
            try:
                there = json.loads(file.read_text())
            except ValueError as error:
                raise RunError(
                    f"{file} cannot be read ({error}). Choose another --output."
                ) from None
            if there != settings:
                differing = [
                    f"{name}={there.get(name)!r}, not {value!r}"
                    for name, value in settings.items()
                    if there.get(name) != value
                ]
                raise RunError(
                    f"The runs in {self.path} have {'; '.join(differing) or 'other settings'}. "
                    "Choose another --output."
                )
        else:
            with whole_or_absent(file) as temporary:
                temporary.write_text(json.dumps(settings, indent=2) + "\n")
        self.results = read_results(self.path / RESULTS)

    def add(self, run, result):
        """Keeps a result."""
        self.results[run] = result
        header = [field.name for field in (*fields(Run), *fields(Result))]
        rows = [astuple(run) + astuple(result) for run, result in self.results.items()]
        write_csv(self.path / RESULTS, header, rows)


def read_results(path):
    """The `Result` of each `Run` in a results file; none if there is no such file."""
    if not Path(path).exists():
        return {}
    with Path(path).open(newline="") as file:
        return {
            Run(row["task"], row["model"], row["transform"], int(row["seed"])): Result(
                int(row["parameters"]),
                int(row["errors"]),
                int(row["images"]),
                float(row["seconds"]),
            )
            for row in csv.DictReader(file)
        }
