"""What happens to training images, and to no others: layers of the model, idle in inference.

Light and colour are changed by Keras's own layers, shapes by `warping.RandomWarp`. As parts of the
model they run on its device, and their random numbers are put back when a run is resumed.
"""

from __future__ import annotations

from keras import layers

from gtsrb.warping import PERTURBATIONS, RandomWarp

_RANGE = {"value_range": (0.0, 1.0), "data_format": "channels_last"}


def none():
    """Nothing."""
    return []


def brightness():
    """Brightness and contrast, the article's augmentation."""
    return [
        layers.RandomContrast(0.5, value_range=(0.0, 1.0), data_format="channels_last", seed=0),
        layers.RandomBrightness(0.3, seed=0, **_RANGE),
    ]


def perturbed():
    """The validation sets' perturbations, all three at once: to compare transformers by."""
    ranges = PERTURBATIONS["all three"]
    return [RandomWarp(ranges.rotation, ranges.zoom, ranges.shift)]


AUGMENTATIONS = {"none": none, "brightness": brightness, "perturbed": perturbed}
