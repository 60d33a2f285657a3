"""The runs of the paper's table, and the folder that keeps what they leave."""

from __future__ import annotations

import csv
import itertools
import json
from dataclasses import asdict, astuple, dataclass, fields
from pathlib import Path

from common.errors import RunError
from common.files import write_csv, write_json
from distorted_mnist.networks import MODELS, TRANSFORMS
from distorted_mnist.tasks import TASKS

SETTINGS = "settings.json"
RESULT = "result.json"
RESULTS = "results.csv"
# One family is enough for clutter, where digits are only moved.
ONE_FAMILY = ("TC",)


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
        seconds: float, how long the steps of the training took.
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
    """The table's cells, in the paper's order, or those that are named; a `Run` for each seed."""
    runs = []
    for seed, task, model in itertools.product(dict.fromkeys(seeds), TASKS, MODELS):
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
    """Where runs with the same settings are kept, each in a folder of its own.

    Args:
        path: The folder.
        settings: A dictionary of what all its runs have in common.

    Raises:
        RunError: It holds runs with other settings, or something else.
    """

    def __init__(self, path, settings):
        self.path = Path(path)
        file = self.path / SETTINGS
        if file.exists():
            self._check(file, settings)
        elif self.path.is_dir() and any(self.path.iterdir()):
            raise RunError(f"{self.path} holds something else. Choose another --output.")
        else:
            write_json(file, settings)

    def _check(self, file, settings):
        try:
            there = dict(json.loads(file.read_text()))
        except (ValueError, TypeError) as error:
            raise RunError(f"{file} cannot be read ({error}). Choose another --output.") from None
        differing = [
            f"{name}={there.get(name)!r}, not {settings.get(name)!r}"
            for name in {**settings, **there}
            if there.get(name) != settings.get(name)
        ]
        if differing:
            raise RunError(
                f"The runs in {self.path} have {'; '.join(differing)}. Choose another --output."
            )

    def of(self, run):
        """The folder of a run."""
        return self.path / run.name

    def results(self):
        """The `Result` of each `Run` that is finished, by this process or by another."""
        found = {}
        for file in sorted(self.path.glob(f"*/{RESULT}")):
            try:
                row = json.loads(file.read_text())
                run, result = Run(**row["run"]), Result(**row["result"])
            except (ValueError, TypeError, KeyError) as error:
                raise RunError(
                    f"{file} cannot be read ({error}). Delete it to repeat the run."
                ) from None
            found[run] = result
        return found

    def add(self, run, result):
        """Keeps a result."""
        write_json(self.of(run) / RESULT, {"run": asdict(run), "result": asdict(result)})

    def write_results(self):
        """Writes all results to one file."""
        header = [field.name for field in (*fields(Run), *fields(Result))]
        rows = [astuple(run) + astuple(result) for run, result in self.results().items()]
        write_csv(self.path / RESULTS, header, rows)


def read_results(path):
    """The `Result` of each `Run` in a file of results."""
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
