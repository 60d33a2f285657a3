"""What a finished run leaves to look at: figures, pictures and one line of text."""

from __future__ import annotations

import csv

import keras
import numpy as np
from matplotlib.figure import Figure

from gtsrb import preprocessing, training
from gtsrb.files import whole_or_absent
from gtsrb.models import spatial_transformer
from gtsrb.signs import SIGN_NAMES
from keras_stn import visualization

GALLERY_IMAGES = 24


def write(model, data, folder, settings):
    """Evaluates `model`, writes everything into `folder`, returns the final line of text."""
    history = training.read_history(folder / training.HISTORY)
    predicted, _ = training.evaluate(model, data.validation)
    errors = int((predicted != data.validation.labels).sum())
    summary = [
        f"{settings['model']} on {keras.backend.backend()}, {len(history)} epochs, seed "
        f"{settings['seed']}: validation accuracy {_percent(errors, len(predicted))} "
        f"({errors} errors of {len(predicted):,} images, {data.validation.num_tracks} tracks)"
    ]
    if data.test is not None:
        wrong = int((training.evaluate(model, data.test)[0] != data.test.labels).sum())
        summary.append(
            f"official test accuracy {_percent(wrong, len(data.test))} "
            f"({wrong} errors of {len(data.test):,})"
        )
    theta = training.theta_of(model, data.validation)
    if theta is not None:
        summary.append(
            f"theta mean ({_numbers(theta.mean(0))}), "
            f"standard deviation over images ({_numbers(theta.std(0))})"
        )
    line = "; ".join(summary)
    _save(curves(history), folder / "curves.png")
    _save(per_class(data.validation.labels, predicted, folder), folder / "per_class.png")
    _save(gallery(model, data.validation, predicted), folder / "gallery.png")
    if theta is not None:
        _save(theta_over_training(np.load(folder / training.THETA)), folder / "theta.png")
    with whole_or_absent(folder / "summary.txt") as path:
        path.write_text(line + "\n")
    return line


def _percent(errors, count):
    return f"{100 * (1 - errors / count):.2f} %"


def _numbers(values):
    return ", ".join(f"{value:.3f}" for value in values)


def curves(history):
    """Loss, error rate and learning rate by epoch."""
    figure = Figure(figsize=(11, 3.4), layout="constrained")
    loss, error, rate = figure.subplots(1, 3)
    epochs = [row["epoch"] for row in history]
    for prefix, name in (("", "training"), ("val_", "validation")):
        loss.plot(epochs, [row[f"{prefix}loss"] for row in history], "o-", ms=3, label=name)
        errors = [100 * (1 - row[f"{prefix}accuracy"]) for row in history]
        error.plot(epochs, errors, "o-", ms=3, label=name)
    rate.plot(epochs, [row["learning_rate"] for row in history], "o-", ms=3, color="gray")
    for axes, title in ((loss, "loss"), (error, "error rate, %"), (rate, "learning rate")):
        axes.set_title(title)
        axes.set_xlabel("epoch")
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.grid(alpha=0.3)
    for axes in (loss, error):
        axes.set_yscale("log")
        axes.legend()
    return figure


def per_class(labels, predicted, folder):
    """Accuracy of each class: a bar chart, and the same as `per_class.csv`."""
    rows = []
    for label, name in enumerate(SIGN_NAMES):
        of_class = labels == label
        wrong = int((predicted[of_class] != label).sum())
        rows.append((label, name, int(of_class.sum()), wrong))
    with whole_or_absent(folder / "per_class.csv") as path, path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("class", "sign", "images", "errors"))
        writer.writerows(rows)
    accuracy = [100 * (1 - wrong / count) for _, _, count, wrong in rows]
    figure = Figure(figsize=(7, 8.5), layout="constrained")
    axes = figure.subplots()
    axes.barh([name for _, name, _, _ in rows], accuracy, color="tab:blue")
    for label, (_, _, count, wrong) in enumerate(rows):
        axes.text(1, label, f"{wrong} of {count} wrong", va="center", fontsize=6, color="white")
    axes.set_title("validation accuracy by class, %")
    axes.set_xlim(0, 100)
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.tick_params(axis="y", labelsize=7)
    return figure


def gallery(model, images, predicted):
    """Validation images, where the transformer looked, what it passed on; errors first."""
    right = np.flatnonzero(predicted == images.labels)
    wrong = np.flatnonzero(predicted != images.labels)
    wrong = wrong[: max(GALLERY_IMAGES // 4, GALLERY_IMAGES - len(right))]
    count = min(len(right), GALLERY_IMAGES - len(wrong))
    spread = np.linspace(0, len(right), count, endpoint=False).astype(int)
    chosen = np.concatenate([wrong, right[spread]])
    titles = [
        SIGN_NAMES[images.labels[i]]
        + ("" if predicted[i] == images.labels[i] else f"\ntaken for: {SIGN_NAMES[predicted[i]]}")
        for i in chosen
    ]
    return draw(model, preprocessing.to_input(images.images[chosen]), titles)


def draw(model, inputs, titles):
    """Inputs (n, 32, 32, 1), where the model's transformer looked, and what it passed on."""
    layer = spatial_transformer(model)
    if layer is None:
        return _plain(inputs, titles)
    warped, theta = layer(inputs, return_theta=True, training=False)
    grid = layer.sampling_grid(theta, warped.shape[1:3])
    return visualization.plot_transforms(
        inputs, grid, warped, titles=titles, data_format="channels_last", columns=3
    )


def _plain(inputs, titles):
    columns = 6
    figure = Figure(figsize=(12, 2 * -(-len(inputs) // columns)), layout="constrained")
    panels = figure.subplots(-(-len(inputs) // columns), columns, squeeze=False)
    for axes in panels.flat:
        axes.set_axis_off()
    for axes, image, title in zip(panels.flat, inputs, titles, strict=False):
        axes.imshow(image[..., 0], cmap="gray", vmin=0, vmax=1)
        axes.set_title(title, fontsize=8)
    return figure


def theta_over_training(thetas):
    """The six numbers of theta by epoch: mean, one standard deviation, and single images."""
    names = ("x from x", "x from y", "x shift", "y from x", "y from y", "y shift")
    identity = (1, 0, 0, 0, 1, 0)
    figure = Figure(figsize=(11, 5), layout="constrained")
    panels = figure.subplots(2, 3, sharex=True)
    epochs = np.arange(len(thetas))
    for k, axes in enumerate(panels.flat):
        values = thetas[:, :, k]
        mean, spread = values.mean(axis=1), values.std(axis=1)
        axes.plot(epochs, values[:, :: max(1, values.shape[1] // 12)], color="gray", lw=0.5)
        axes.fill_between(epochs, mean - spread, mean + spread, alpha=0.3, color="tab:blue")
        axes.plot(epochs, mean, color="tab:blue")
        axes.axhline(identity[k], color="black", ls=":", lw=1)
        axes.set_title(f"{names[k]}   (identity: {identity[k]})", fontsize=9)
        axes.grid(alpha=0.3)
    for axes in panels[1]:
        axes.set_xlabel("epochs trained")
    figure.suptitle("theta of validation images: mean, ± 1 standard deviation, single images")
    return figure


def _save(figure, path):
    with whole_or_absent(path) as temporary:
        figure.savefig(temporary, dpi=130)
