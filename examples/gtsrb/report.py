"""What a finished run leaves to look at: figures, pictures and a few lines of text."""

from __future__ import annotations

import keras
import numpy as np

from common.callbacks import read_history
from common.files import whole_or_absent, write_csv
from common.wording import counted
from gtsrb import evaluation, figures, models, runs, training
from gtsrb.signs import SIGN_NAMES
from gtsrb.warping import PERTURBATIONS, perturbed

SUMMARY = "summary.txt"
PREDICTIONS = "predictions.csv"
PERTURBED = "perturbed.csv"
# What there is to see, the first thing first.
PICTURES = {
    "gallery.png": "validation images, and where the transformer looked",
    f"{training.LOOKS}/training.gif": "where it looked, epoch by epoch",
    "curves.png": "loss, errors and learning rate over the epochs",
    "theta.png": "theta over the epochs",
    "confusion.png": "what was taken for what",
    "per_class.png": "accuracy by class",
}


def write(model, data, folder, settings):
    """Evaluates `model`, writes everything into `folder`, returns the summary.

    Args:
        model: The trained model.
        data: The `Dataset`.
        folder: Output folder, a `Path`.
        settings: The run's settings.
    """
    history = read_history(folder / runs.HISTORY)
    validation = data.validation
    _progress(f"Evaluating {counted(len(validation), 'validation image')}")
    probabilities = evaluation.probabilities(evaluation.predict(model, validation.images))
    predicted = probabilities.argmax(axis=-1)
    errors = int((predicted != validation.labels).sum())
    measure = "accuracy on images it was trained on" if settings["final"] else "validation accuracy"
    lines = [
        f"{settings['model']} on {keras.backend.backend()}, {counted(len(history), 'epoch')}, seed "
        f"{settings['seed']}: {measure} {_percent(errors, len(predicted))} "
        f"({counted(errors, 'error')} of {counted(len(predicted), 'image')}, "
        f"{counted(validation.num_tracks, 'track')})"
    ]
    wrong = {"as they are": errors}
    for name, ranges in PERTURBATIONS.items():
        _progress(f"Evaluating the same, {name}")
        wrong[name] = _count_errors(model, perturbed(validation, ranges))
    lines.append(
        "signs rotated, shifted, scaled, all three: "
        + ", ".join(_percent(wrong[name], len(validation)) for name in PERTURBATIONS)
    )
    if data.test is not None:
        _progress(f"Evaluating {counted(len(data.test), 'official test image')}")
        count = _count_errors(model, data.test)
        lines.append(
            f"official test accuracy {_percent(count, len(data.test))} "
            f"({counted(count, 'error')} of {len(data.test):,})"
        )
    write_csv(
        folder / PREDICTIONS,
        ("track", "class", "predicted", "probability"),
        zip(
            validation.tracks.tolist(),
            validation.labels.tolist(),
            predicted.tolist(),
            (f"{share:.4f}" for share in probabilities.max(axis=-1)),
            strict=True,
        ),
    )
    write_csv(
        folder / PERTURBED,
        ("validation signs", "images", "errors"),
        ((name, len(validation), count) for name, count in wrong.items()),
    )
    rows = class_rows(validation.labels, predicted)
    write_csv(folder / "per_class.csv", ("class", "sign", "images", "errors"), rows)
    _progress("Drawing")
    look = models.look_of(model)
    pictures = {
        "curves": figures.curves(history),
        "per_class": figures.per_class(rows),
        "confusion": figures.confusion(validation, probabilities),
        "gallery": figures.gallery(look, validation, predicted),
    }
    if look is not None:
        _, _, theta = look(validation.images)
        lines.append(
            f"theta mean ({_numbers(theta.mean(0))}), "
            f"standard deviation over images ({_numbers(theta.std(0))})"
        )
        pictures["theta"] = figures.theta_over_training(np.load(folder / training.THETA))
    for name, figure in pictures.items():
        figures.save(figure, folder / f"{name}.png")
    summary = "\n".join(lines)
    with whole_or_absent(folder / SUMMARY) as path:
        path.write_text(summary + "\n")
    return summary


def pictures_of(folder):
    """The pictures that a run has left in its folder, and what they show, as lines of text."""
    there = {folder / name: shown for name, shown in PICTURES.items() if (folder / name).exists()}
    width = max(len(str(path)) for path in there)
    return "\n".join(f"  {path!s:{width}}  {shown}" for path, shown in there.items())


def class_rows(labels, predicted):
    """Of each class: its number, its sign, how many images it has, how many are wrong."""
    rows = []
    for label, name in enumerate(SIGN_NAMES):
        of_class = labels == label
        wrong = int((predicted[of_class] != label).sum())
        rows.append((label, name, int(of_class.sum()), wrong))
    return rows


def _progress(what):
    # Minutes on a slow machine, after an epoch that said it was the last.
    print(f"{what} ...", flush=True)


def _count_errors(model, images):
    predicted = evaluation.predict(model, images.images).argmax(axis=-1)
    return int((predicted != images.labels).sum())


def _percent(errors, count):
    return f"{100 * (1 - errors / count):.2f} %"


def _numbers(values):
    return ", ".join(f"{value:.3f}" for value in values)
