"""The networks that the example can train, each a choice among the parts of `networks`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from gtsrb import networks
from gtsrb.preprocessing import Preprocessing
from gtsrb.recipes import ADAM, SGD, Recipe

GREY_32 = Preprocessing(size=32, color=False)
COLOR_48 = Preprocessing(size=48, color=True)


@dataclass(frozen=True)
class Configuration:
    """One network and what it wants to be trained on and by.

    Attributes:
        summary: str, what it is, for the command line's help.
        network: Function from images, floats in [0, 1], to logits (batch, 43).
        preprocessing: What is done to every image before the network sees it.
        recipe: How it is trained.
        augmentation: str, its own choice of `augmentation.AUGMENTATIONS`.
    """

    summary: str
    network: Callable
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


def stn2(images):
    """Moodstocks' network: transformers at the input and before the third convolution."""
    return networks.convolutional_classifier(
        images,
        [(150, 7, (200, 300, 200)), (200, 4, None), (300, 4, (150, 150, 150))],
        units=350,
    )


def stn3(images):
    """Arcos-García's network: a transformer before each of three convolutions."""
    return networks.convolutional_classifier(
        images,
        [(200, 7, (250, 250, 250)), (250, 4, (150, 200, 300)), (350, 4, (150, 200, 300))],
        units=400,
    )


CONFIGURATIONS = {
    "stn": Configuration("the article's live spatial transformer", stn),
    "constant": Configuration("one learned theta for all images", constant),
    "idsia": Configuration("the classifier alone", idsia),
    "stn2": Configuration("Moodstocks' two transformers", stn2, COLOR_48, SGD),
    "stn3": Configuration("Arcos-García's three transformers", stn3, COLOR_48, SGD),
}
