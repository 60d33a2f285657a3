"""Where runs are kept, and the settings of each."""

from __future__ import annotations

import contextlib
import datetime
import json
from pathlib import Path

import keras

from common.callbacks import read_history
from common.errors import RunError
from common.wording import counted
from gtsrb.augmentation import AUGMENTATIONS
from gtsrb.configurations import CONFIGURATIONS

RUNS = Path("runs")
MODEL = "model.keras"
HISTORY = "history.csv"
SETTINGS = "settings.json"
PRETRAINED = Path(__file__).with_name("pretrained")  # models bundled with the example
BUNDLED = "bundled with this example"

# The sample holds only a few of a recipe's batches: smaller ones, and some more epochs.
SAMPLE_EPOCHS, SAMPLE_BATCH_SIZE = 12, 32

NAMES = (
    *("data", "model", "augment", "every", "epochs", "batch_size"),
    *("precision", "backend", "final", "seed"),
)


def new_run(options, *, may_exist=False):
    """The folder and the settings of a run that starts now.

    Args:
        options: The parsed command line.
        may_exist: bool. Whether the folder may hold this run already: where several processes
            share it, the first of them may have been quicker.
    """
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
        "backend": keras.backend.backend(),
        "final": bool(options.final),
        "seed": options.seed or 0,
    }
    now = datetime.datetime.now().strftime("%Y%m%d-%H%M%S")
    folder = options.output or RUNS / f"{now}-{name}-{keras.backend.backend()}"
    if (folder / SETTINGS).exists() and not may_exist:
        raise RunError(
            f"{folder} already holds a run. Pass `--resume` to go on with it, or another --output."
        )
    return folder, settings


def resumed_run(options):
    """The folder and the settings of the run to go on with."""
    folder = options.output or latest_interrupted()
    if not (folder / SETTINGS).exists():
        raise RunError(f"{folder} holds no run to resume. Pass its folder with --output.")
    if (folder / MODEL).exists():
        raise RunError(f"The run in {folder} is finished. Start another without `--resume`.")
    settings = read_settings(folder)
    for name, value in settings.items():
        given = keras.backend.backend() if name == "backend" else getattr(options, name)
        if name == "data" and given is not None and given not in ("sample", "full"):
            given = str(Path(given).resolve())
        if given is not None and given != value:
            raise RunError(
                f"The run in {folder} has {name}={value!r}, not {given!r}. A resumed run keeps "
                "its settings: leave the option out, or start a new run."
            )
    return folder, settings


def read_settings(folder):
    """The settings of the run in a folder."""
    try:
        settings = json.loads((folder / SETTINGS).read_text())
    except (OSError, ValueError) as error:
        raise RunError(f"{folder / SETTINGS} cannot be read ({error}).") from None
    if not isinstance(settings, dict) or set(settings) != set(NAMES):
        raise RunError(
            f"{folder / SETTINGS} does not hold the settings of a run of this version: "
            f"{', '.join(NAMES)}. Start a new run."
        )
    check_values(settings, folder / SETTINGS)
    return settings


def check_values(settings, place):
    """Raises `RunError` unless the settings of a run, as read from `place`, can be used."""
    numbers = {"every": 1, "epochs": 1, "batch_size": 1, "seed": 0}
    allowed = {
        "model": tuple(CONFIGURATIONS),
        "augment": tuple(AUGMENTATIONS),
        "precision": ("float32", "bfloat16"),
        "final": (False, True),
    }
    wrong = [name for name in ("data", "backend") if not isinstance(settings[name], str)]
    wrong += [
        name
        for name, least in numbers.items()
        if type(settings[name]) is not int or settings[name] < least
    ]
    wrong += [name for name, values in allowed.items() if settings[name] not in values]
    if wrong:
        received = ", ".join(f"{name}={settings[name]!r}" for name in wrong)
        raise RunError(f"{place} holds {received}, which no run has. Start a new run.")


@contextlib.contextmanager
def made(folder):
    """Within it, `folder` exists; at its end, what was made and is still empty goes again."""
    new = [path for path in (folder, *folder.parents) if not path.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    try:
        yield
    finally:
        for path in new:
            with contextlib.suppress(OSError):  # it is not empty
                path.rmdir()


def trained_model(output, name, *, bundled=False):
    """The path of a trained model, the folder for what it is asked, and whose model it is.

    Args:
        output: The folder of a run, or None for the latest, or the bundled model if there is none.
            Beside `bundled` it is only where the answer goes.
        name: str, of the configuration wanted, or None for any.
        bundled: bool. Whether the bundled model is wanted whatever runs there are.
    """
    if bundled:
        return bundled_model(name or "best"), output or RUNS, f"{name or 'best'}, {BUNDLED}"
    if output is None:
        wanted = [run for run in finished() if name in (None, _configuration_of(run))]
        if not wanted:
            path = bundled_model(name or "best")
            return path, RUNS, f"{name or 'best'}, {BUNDLED} ({_none_finished(name)})"
        output = wanted[-1]
    if not output.is_dir():
        raise RunError(f"{output} is no folder. Pass the folder of a finished run.")
    if not (output / MODEL).exists():
        raise RunError(f"{output} holds no {MODEL}. Train first: `python examples/gtsrb.py`.")
    if name not in (None, _configuration_of(output)):
        raise RunError(f"{output} holds a run of another model than {name!r}. Leave --model out.")
    return output / MODEL, output, described(output)


def described(run):
    """Which model a finished run has trained, for how long, and how good it is, in a line."""
    try:
        final = read_settings(run)["final"]
        history = read_history(run / HISTORY)
        accuracy = history[-1]["val_accuracy"]
    except (RunError, OSError, LookupError):
        told = "how it was trained is not known"
    else:
        measure = "accuracy on images it was trained on" if final else "validation accuracy"
        told = f"{counted(len(history), 'epoch')}, {measure} {100 * accuracy:.2f} %"
    return f"{_configuration_of(run) or 'unknown'}, of your run {run}: {told}"


def bundled_model(name):
    """The path of a model bundled with the example."""
    path = PRETRAINED / f"{name}.keras"
    if not path.exists():
        bundled = ", ".join(sorted(file.stem for file in PRETRAINED.glob("*.keras")))
        raise RunError(
            f"The example has no bundled model {name!r}, only {bundled or 'none'}, and there is "
            f"{_none_finished(name)}. Train one: `python examples/gtsrb.py --model {name}`."
        )
    return path


def _none_finished(name):
    """Says that there is no finished run, and for which models there are some."""
    if name is None:
        return f"no finished run of yours in {RUNS}"
    others = dict.fromkeys(filter(None, map(_configuration_of, reversed(finished()))))
    return f"no finished run of {name!r} in {RUNS}" + (
        f"; there are some of {', '.join(map(repr, others))}: choose with --model" if others else ""
    )


def _configuration_of(run):
    try:
        return read_settings(run)["model"]
    except RunError:
        return None


def finished():
    """The folders of the finished runs in `RUNS`, the latest last."""
    return [run for run in _all_runs() if (run / MODEL).exists()]


def latest_interrupted():
    """The folder of the latest run in `RUNS` that is not finished."""
    runs = [run for run in _all_runs() if not (run / MODEL).exists()]
    if runs:
        return runs[-1]
    count = len(_all_runs())
    found = f", only {counted(count, 'finished run')}" if count else ""
    raise RunError(f"There is no interrupted run in {RUNS}{found}. Pass its folder with --output.")


def _all_runs():
    runs = [path.parent for path in RUNS.glob(f"*/{SETTINGS}")]
    return sorted(runs, key=lambda run: (run / SETTINGS).stat().st_mtime)
