"""Families of transforms, each from theta to the places to read."""

from __future__ import annotations

from keras_stn.transforms import base
from keras_stn.transforms.affine import Affine
from keras_stn.transforms.attention import Attention
from keras_stn.transforms.base import Transform, TransformLike, serialize
from keras_stn.transforms.bounds import named_bounds
from keras_stn.transforms.diffeomorphic import Diffeomorphic
from keras_stn.transforms.displacement import Displacement
from keras_stn.transforms.projective import Projective
from keras_stn.transforms.rotation import Rotation
from keras_stn.transforms.similarity import Similarity
from keras_stn.transforms.thin_plate_spline import ThinPlateSpline
from keras_stn.transforms.translation import Translation

_FAMILIES = {
    "translation": Translation,
    "rotation": Rotation,
    "attention": Attention,
    "similarity": Similarity,
    "affine": Affine,
    "projective": Projective,
    "thin_plate_spline": ThinPlateSpline,
    "displacement": Displacement,
    "diffeomorphic": Diffeomorphic,
}


def get(identifier: TransformLike) -> Transform:
    """A family from its name, its serialized form, or itself."""
    return base.get(identifier, _FAMILIES)


__all__ = [
    "Affine",
    "Attention",
    "Diffeomorphic",
    "Displacement",
    "Projective",
    "Rotation",
    "Similarity",
    "ThinPlateSpline",
    "Transform",
    "Translation",
    "get",
    "named_bounds",
    "serialize",
]
