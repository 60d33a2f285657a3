"""What a finished run leaves to look at: figures, pictures and a few lines of text."""

from __future__ import annotations

import keras
import numpy as np

from common.callbacks import read_history
from common.files import whole_or_absent, write_csv
from gtsrb import evaluation, figures, models, training
from gtsrb.signs import SIGN_NAMES
from gtsrb.warping import PERTURBATIONS, perturbed

SUMMARY = "summary.txt"
PREDICTIONS = "predictions.csv"
PERTURBED = "perturbed.csv"


def write(model, data, folder, settings):
    """Evaluates `model`, writes everything into `folder`, returns the summary.

    Args:
        model: The trained model.
        data: The `Dataset`.
        folder: Output folder, a `Path`.
        settings: The run's settings.
    """
    history = read_history(folder / training.HISTORY)
    validation = data.validation
    probabilities = evaluation.probabilities(evaluation.predict(model, validation.images))
    predicted = probabilities.argmax(axis=-1)
    errors = int((predicted != validation.labels).sum())
    measure = "accuracy on images it was trained on" if settings["final"] else "validation accuracy"
    lines = [
        f"{settings['model']} on {keras.backend.backend()}, {len(history)} epochs, seed "
        f"{settings['seed']}: {measure} {_percent(errors, len(predicted))} "
        f"({errors} errors of {len(predicted):,} images, {validation.num_tracks} tracks)"
    ]
    wrong = {"as they are": errors}
    for name, ranges in PERTURBATIONS.items():
        wrong[name] = _count_errors(model, perturbed(validation, ranges))
    lines.append(
        "signs rotated, shifted, scaled, all three: "
        + ", ".join(_percent(wrong[name], len(validation)) for name in PERTURBATIONS)
    )
    if data.test is not None:
        count = _count_errors(model, data.test)
        lines.append(
            f"official test accuracy {_percent(count, len(data.test))} "
            f"({count} errors of {len(data.test):,})"
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


def class_rows(labels, predicted):
    """Of each class: its number, its sign, how many images it has, how many are wrong."""
    rows = []
    for label, name in enumerate(SIGN_NAMES):
        of_class = labels == label
        wrong = int((predicted[of_class] != label).sum())
        rows.append((label, name, int(of_class.sum()), wrong))
    return rows


def _count_errors(model, images):
    predicted = evaluation.predict(model, images.images).argmax(axis=-1)
    return int((predicted != images.labels).sum())


def _percent(errors, count):
    return f"{100 * (1 - errors / count):.2f} %"


def _numbers(values):
    return ", ".join(f"{value:.3f}" for value in values)
