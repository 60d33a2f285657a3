"""The pictures of a run."""

from __future__ import annotations

import textwrap
import warnings

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import LogFormatter

from common.files import whole_or_absent
from common.wording import counted
from gtsrb.signs import SIGN_NAMES
from keras_stn import visualization

DPI = 130
GALLERY_IMAGES = 24
CONFUSED_CLASSES = 12
WRONG_TRACKS = 24
COLUMNS = 6  # of pictures side by side
LETTERS = 26  # in a line above one of them


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
        axes.yaxis.set_major_formatter(LogFormatter())  # 20, not 2 × 10¹
        axes.yaxis.set_minor_formatter(LogFormatter())
        axes.legend()
    return figure


def per_class(rows):
    """Accuracy of each class, from rows of class, sign, images, errors: a bar chart."""
    accuracy = [100 * (1 - wrong / count) for _, _, count, wrong in rows]
    figure = Figure(figsize=(7, 8.5), layout="constrained")
    axes = figure.subplots()
    axes.barh([name for _, name, _, _ in rows], accuracy, color="tab:blue")
    for label, (_, _, count, wrong) in enumerate(rows):
        inside = accuracy[label] > 20  # else there is no bar to write on
        place, color = (1, "white") if inside else (accuracy[label] + 1, "black")
        axes.text(place, label, f"{wrong} of {count} wrong", va="center", fontsize=6, color=color)
    axes.set_title("validation accuracy by class, %")
    axes.set_xlim(0, 100)
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.tick_params(axis="y", labelsize=7)
    return figure


def confusion(images, probabilities):
    """The classes that are confused most, and an image of every track that has errors."""
    predicted = probabilities.argmax(axis=-1)
    figure = Figure(figsize=(15, 7.5), layout="constrained")
    left, right = figure.subfigures(1, 2, width_ratios=(1, 1.2))
    _confusion_matrix(left.subplots(), images.labels, predicted)
    _wrong_images(right, images, predicted, probabilities)
    return figure


def _confusion_matrix(axes, labels, predicted):
    matrix = np.zeros((len(SIGN_NAMES),) * 2, int)
    np.add.at(matrix, (labels, predicted), 1)
    wrong = matrix - np.diag(np.diag(matrix))
    involved = wrong.sum(axis=0) + wrong.sum(axis=1)
    count = min(CONFUSED_CLASSES, max(1, (involved > 0).sum()))
    hardest = np.sort(np.argsort(-involved, kind="stable")[:count])
    shares = matrix[np.ix_(hardest, hardest)]
    axes.imshow(wrong[np.ix_(hardest, hardest)], cmap="Oranges", vmin=0, vmax=max(1, wrong.max()))
    for row, column in np.ndindex(shares.shape):
        if shares[row, column]:
            dark = row != column and shares[row, column] > wrong.max() / 2
            color = "gray" if row == column else "white" if dark else "black"
            axes.text(column, row, shares[row, column], ha="center", va="center", color=color)
    names = [SIGN_NAMES[label] for label in hardest]
    axes.set_xticks(range(len(hardest)), names, rotation=60, ha="right", fontsize=8)
    axes.set_yticks(range(len(hardest)), names, fontsize=8)
    axes.set_xlabel("taken for")
    axes.set_ylabel("true sign")
    axes.set_title("the classes most confused, images")


def _wrong_images(figure, images, predicted, probabilities):
    wrong = np.flatnonzero(predicted != images.labels)
    tracks, counts = np.unique(images.tracks[wrong], return_counts=True)
    worst = np.argsort(-counts, kind="stable")[:WRONG_TRACKS]
    title = f"{counted(len(tracks), 'track')} with errors"
    if len(tracks) > WRONG_TRACKS:
        title += f", the {WRONG_TRACKS} worst"
    figure.suptitle(f"{title}: the surest wrong answer of each", fontsize=10)
    # Always as many, so that few pictures are no larger than many, and their titles fit.
    panels = figure.subplots(-(-WRONG_TRACKS // COLUMNS), COLUMNS, squeeze=False)
    for axes in panels.flat:
        axes.set_axis_off()
    for axes, i in zip(panels.flat, worst, strict=False):
        of_track = wrong[images.tracks[wrong] == tracks[i]]
        shown = of_track[probabilities[of_track].max(axis=-1).argmax()]
        whole = int((images.tracks == tracks[i]).sum())
        show(axes, images.images[shown])
        axes.set_title(
            _folded(
                f"{SIGN_NAMES[images.labels[shown]]}\nfor: {SIGN_NAMES[predicted[shown]]}\n"
                f"{100 * probabilities[shown].max():.0f} % sure; {counts[i]} of {whole}"
            ),
            fontsize=6,
        )


def _folded(title):
    """A title of lines that are no wider than a picture."""
    return "\n".join(textwrap.fill(line, LETTERS) for line in title.split("\n"))


def show(axes, image):
    """Draws one image (height, width, channels), uint8 or in [0, 1], grey or in colour."""
    limit = 255 if image.dtype == np.uint8 else 1
    axes.imshow(image.squeeze(-1) if image.shape[-1] == 1 else image, "gray", vmin=0, vmax=limit)


def gallery(look, images, predicted):
    """Validation images, where the transformer looked, what it passed on; errors last."""
    right = np.flatnonzero(predicted == images.labels)
    wrong = _of_different_tracks(np.flatnonzero(predicted != images.labels), images.tracks)
    wrong = wrong[: max(GALLERY_IMAGES // 4, GALLERY_IMAGES - len(right))]
    count = min(len(right), GALLERY_IMAGES - len(wrong))
    spread = np.linspace(0, len(right), count, endpoint=False).astype(int)
    chosen = np.concatenate([right[spread], wrong])
    titles = [
        SIGN_NAMES[images.labels[i]]
        + ("" if predicted[i] == images.labels[i] else f"\ntaken for: {SIGN_NAMES[predicted[i]]}")
        for i in chosen
    ]
    return draw(look, images.images[chosen], titles)


def _of_different_tracks(chosen, tracks):
    """The same images, those first that are the first of their track."""
    _, first = np.unique(tracks[chosen], return_index=True)
    return np.concatenate([chosen[np.sort(first)], np.delete(chosen, first)])


def draw(look, images, titles):
    """uint8 images (n, ...), where a `models.Look` sees its model look; None draws images alone."""
    if look is None:
        return _plain(images, titles)
    source, warped, theta = look(images)
    columns = min(3, len(images))
    figure = visualization.plot_transforms(
        _displayable(source),
        look.grid(theta, warped, source),
        _displayable(warped),
        titles=titles,
        data_format="channels_last",
        columns=columns,
    )
    for axes in figure.axes:
        axes.title.set_parse_math(False)  # a file's name may hold dollars
    _head_columns(figure, ("input", "where it looked", "crop") * columns)
    return figure


def _head_columns(figure, heads):
    """Makes room for a line above the first row, and says in it what each column shows."""
    width, height = figure.get_size_inches()
    room = 0.2
    figure.set_size_inches(width, height + room)
    share = height / (height + room)
    top = 1 - 0.05 / (height + room)
    places = figure.subplotpars
    figure.subplots_adjust(top=share * places.top, bottom=share * places.bottom)
    for axes, head in zip(figure.axes, heads, strict=False):
        box = axes.get_position()
        middle = (box.x0 + box.x1) / 2
        figure.text(middle, top, head, ha="center", va="top", fontsize=8, color="gray")


def _displayable(images):
    """Images as they are if in [0, 1], else each from its minimum to its maximum."""
    if images.min() >= 0 and images.max() <= 1:
        return images
    low = images.min(axis=(1, 2, 3), keepdims=True)
    return (images - low) / (images.max(axis=(1, 2, 3), keepdims=True) - low + 1e-6)


def _plain(images, titles):
    rows = -(-len(images) // COLUMNS)
    figure = Figure(figsize=(12, 2.3 * rows), layout="constrained")
    panels = figure.subplots(rows, COLUMNS, squeeze=False)
    for axes in panels.flat:
        axes.set_axis_off()
    for axes, image, title in zip(panels.flat, images, titles, strict=False):
        show(axes, image)
        axes.set_title(_folded(title), fontsize=7, parse_math=False)
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


def save(figure, path):
    """Writes a figure as a picture, never half."""
    with whole_or_absent(path) as temporary, warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph")  # a letter of a file's name that no font has
        figure.savefig(temporary, dpi=DPI)
