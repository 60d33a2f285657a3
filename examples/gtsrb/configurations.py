"""The networks that the example can train, each a choice among the parts of `networks`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from keras import layers

from common.recipes import Recipe
from gtsrb import networks
from gtsrb.preprocessing import Preprocessing
from gtsrb.recipes import ADAM, SGD, SMALL_STEPS

GREY_32 = Preprocessing(size=32, color=False)
COLOR_48 = Preprocessing(size=48, color=True)
COLOR_64 = Preprocessing(size=64, color=True)


@dataclass(frozen=True)
class Configuration:
    """One network and what it wants to be trained on and by.

    Attributes:
        summary: str, what it is, for the command line's help.
        network: Function from images, floats in [0, 1], to logits (batch, 43).
        without_transformers: The same with every spatial transformer left out, or None if there is
            none: what `cost` compares it with.
        preprocessing: What is done to every image before the network sees it.
        recipe: How it is trained.
        augmentation: str, its own choice of `augmentation.AUGMENTATIONS`.
    """

    summary: str
    network: Callable
    without_transformers: Callable | None = None
    preprocessing: Preprocessing = GREY_32
    recipe: Recipe = ADAM
    augmentation: str = "none"


def idsia(images):
    """The classifier alone."""
    return networks.idsia_classifier(images)


def constant(images):
    """One learned theta for all images, then the classifier."""
    localizer = networks.constant_localizer(images.shape[1:])
    return networks.idsia_classifier(networks.transformed(images, localizer))


def stn(images):
    """The article's network: a spatial transformer, then the classifier."""
    localizer = networks.article_localizer(images.shape[1:])
    return networks.idsia_classifier(networks.transformed(images, localizer))


MOODSTOCKS = {
    "stages": [(150, 7, (200, 300, 200)), (200, 4, None), (300, 4, (150, 150, 150))],
    "units": 350,
}
ARCOS_GARCIA = {
    "stages": [(200, 7, (250, 250, 250)), (250, 4, (150, 200, 300)), (350, 4, (150, 200, 300))],
    "units": 400,
}


def stn2(images):
    """Moodstocks' network: transformers at the input and before the third convolution."""
    return networks.convolutional_classifier(images, **MOODSTOCKS)


def stn3(images):
    """Arcos-García's network: a transformer before each of three convolutions."""
    return networks.convolutional_classifier(images, **ARCOS_GARCIA)


CROP = (40, 40)


def best(images):
    """Our own: a small network finds the sign in a thumbnail, and a closer look is taken."""
    thumbnails = layers.AveragePooling2D(2, **networks.CHANNELS_LAST)(images)
    crops = networks.transformed(
        [thumbnails, images],
        networks.compact_localizer(thumbnails.shape[1:]),
        output_size=CROP,
        bounds={"zoom": 2.0, "rotation": 0.5, "shift": 0.5},
        fill_mode="nearest",
    )
    return networks.compact_classifier(crops)


def best_without(images):
    """The same classifier, shown the whole image."""
    return networks.compact_classifier(layers.Resizing(*CROP, **networks.CHANNELS_LAST)(images))


def _without_transformers(stages, units):
    bare = [(filters, kernel, None) for filters, kernel, _ in stages]
    return partial(networks.convolutional_classifier, stages=bare, units=units)


CONFIGURATIONS = {
    "stn": Configuration("the article's live spatial transformer", stn, idsia),
    "constant": Configuration("one learned theta for all images", constant, idsia),
    "idsia": Configuration("the classifier alone", idsia),
    "stn2": Configuration(
        "Moodstocks' two transformers", stn2, _without_transformers(**MOODSTOCKS), COLOR_48, SGD
    ),
    "stn3": Configuration(
        "Arcos-García's three transformers",
        stn3,
        _without_transformers(**ARCOS_GARCIA),
        COLOR_48,
        SGD,
    ),
    "best": Configuration(
        "our own, a closer look at a larger image",
        best,
        best_without,
        COLOR_64,
        SMALL_STEPS,
        "all",
    ),
}
