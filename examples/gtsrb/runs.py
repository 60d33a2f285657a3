"""Where runs are kept, and the settings of each."""

from __future__ import annotations

import datetime
import json
from pathlib import Path

import keras

from common.errors import RunError
from gtsrb.configurations import CONFIGURATIONS

RUNS = Path("runs")
MODEL = "model.keras"
SETTINGS = "settings.json"
PRETRAINED = Path(__file__).with_name("pretrained")  # models bundled with the example

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
    folder.mkdir(parents=True, exist_ok=True)  # fails now, not after the data has been read
    return folder, settings


def resumed_run(options):
    """The folder and the settings of the run to go on with."""
    folder = options.output or latest(lambda run: not (run / MODEL).exists(), "interrupted")
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
    return settings


def trained_model(output, name):
    """The path of a trained model, and the folder for what it is asked.

    Args:
        output: The folder of a run, or None for the latest, or the bundled model if there is none.
        name: str, of the configuration wanted, or None for any.
    """
    if output is None:

        def wanted(run):
            return (run / MODEL).exists() and name in (None, _configuration_of(run))

        try:
            output = latest(wanted, "finished")
        except RunError:
            return _bundled_model(name or "best"), RUNS
    if not (output / MODEL).exists():
        raise RunError(f"{output} holds no {MODEL}. Train first: `python examples/gtsrb.py`.")
    if name not in (None, _configuration_of(output)):
        raise RunError(f"{output} holds a run of another model than {name!r}. Leave --model out.")
    return output / MODEL, output


def _configuration_of(run):
    try:
        return read_settings(run)["model"]
    except RunError:
        return None


def _bundled_model(name):
    path = PRETRAINED / f"{name}.keras"
    if not path.exists():
        bundled = ", ".join(sorted(file.stem for file in PRETRAINED.glob("*.keras")))
        raise RunError(
            f"There is no finished run of {name!r} in {RUNS}, and the example brings only models "
            f"of {bundled}. Train one: `python examples/gtsrb.py --model {name}`."
        )
    print(f"The {name!r} model bundled with this example (no finished run of yours in {RUNS}):")
    return path


def latest(wanted, what):
    """The newest run below `RUNS` for which `wanted` is true."""
    runs = [path.parent for path in RUNS.glob(f"*/{SETTINGS}") if wanted(path.parent)]
    if not runs:
        raise RunError(f"There is no {what} run in {RUNS}. Pass its folder with --output.")
    return max(runs, key=lambda run: (run / SETTINGS).stat().st_mtime)
