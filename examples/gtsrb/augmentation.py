"""What happens to training images, and to no others: layers of the model, idle in inference.

Light and colour are changed by Keras's own layers, shapes by `warping.RandomWarp`. As parts of the
model they run on its device, and their random numbers are put back when a run is resumed.
"""

from __future__ import annotations

from keras import layers

from gtsrb.warping import PERTURBATIONS, RandomWarp, Ranges

_RANGE = {"value_range": (0.0, 1.0), "data_format": "channels_last"}

OTHER_VIEWS = Ranges(rotation=15, zoom=1.25, shift=0.12, stretch=1.1, shear=0.1)


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
    return [RandomWarp(PERTURBATIONS["all three"])]


def everything():
    """Shape, then brightness and contrast: as other photographs of the same signs could be."""
    return [RandomWarp(OTHER_VIEWS), *brightness()]


AUGMENTATIONS = {
    "none": none,
    "brightness": brightness,
    "perturbed": perturbed,
    "all": everything,
}
