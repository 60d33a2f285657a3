"""Families of transforms, each from theta to the places to read."""

from keras_stn.transforms import base
from keras_stn.transforms.affine import Affine
from keras_stn.transforms.base import Transform, serialize

_FAMILIES = {"affine": Affine}


def get(identifier):
    """A family from its name, its serialized form, or itself."""
    return base.get(identifier, _FAMILIES)


__all__ = ["Affine", "Transform", "get", "serialize"]
