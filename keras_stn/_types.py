"""The types in annotations of public names. Nothing is checked against them at run time.

They hold on every backend and import none of them: a tensor is whatever has a shape and a dtype.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, Protocol, SupportsFloat, SupportsIndex, TypeAlias


class HasShape(Protocol):
    """A NumPy array or number, a tensor or a variable of any backend, or a `KerasTensor`."""

    @property
    def shape(self) -> Any:
        """The sizes of its axes."""

    @property
    def dtype(self) -> Any:
        """The type of its entries."""


# What functions take, and what they return: a tensor of the active backend, or a `KerasTensor`.
TensorLike: TypeAlias = HasShape | list[Any] | tuple[Any, ...]
Tensor: TypeAlias = Any
# What a model takes: one batch, or several in a list or a dictionary.
Batch: TypeAlias = TensorLike | Mapping[str, Any]

# Of an image, rows first. Sizes may be tensors, symbolic dimensions, or one tensor together.
Sizes: TypeAlias = Sequence[SupportsIndex | HasShape] | HasShape
Extent: TypeAlias = Sequence[SupportsFloat | SupportsIndex | HasShape] | HasShape
# Of a tensor; None where it is unknown.
Shape: TypeAlias = Sequence[Any]
OutputShape: TypeAlias = tuple[Any, ...]

Interpolation: TypeAlias = Literal["nearest", "bilinear", "bicubic"]
FillMode: TypeAlias = Literal["constant", "nearest", "mirror", "reflect", "wrap"]
DataFormat: TypeAlias = Literal["channels_last", "channels_first"]

Family: TypeAlias = Literal[
    "translation",
    "rotation",
    "attention",
    "similarity",
    "affine",
    "projective",
    "thin_plate_spline",
    "displacement",
    "diffeomorphic",
]
Units: TypeAlias = Literal["normalized", "pixels"]
# What a `SpatialTransformer` takes by these names.
Bounds: TypeAlias = Literal["default"] | Mapping[str, float] | TensorLike
Regularizer: TypeAlias = str | dict[str, Any] | Callable[[Any], Any]

Config: TypeAlias = dict[str, Any]
