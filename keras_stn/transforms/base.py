"""What a family of transforms is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self, TypeAlias

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from keras_stn._types import Config, Extent, Family, Shape, Sizes, Tensor, TensorLike
from keras_stn.ops.grids import coordinate_dtype
from keras_stn.ops.points import bounding_boxes, box_corners, check_points
from keras_stn.transforms.methods import METHODS, as_method


class Transform:
    """A family of spatial transforms, all from target to source coordinates.

    A family says how many numbers one transform takes, which of them is the identity, and where
    a transform sends points. `SpatialTransformer` needs no more than that. To add a family of
    your own, subclass `Transform`, implement `num_params`, `identity`, `grid` and
    `transform_points`, and register the class with `keras.saving.register_keras_serializable` so
    that models that use it can be saved. What follows then works for your family, too: nodes of
    functional models, a batch of one that serves all, and more leading axes than the batch.

    Convention:
        theta maps **target to source** ("pull"), in normalized coordinates, x to the right, y
        down, z along the depth, all in [-1, 1]. Of two tensors, such as theta and points, a batch
        of one serves the whole batch of the other. Thetas (batch, K, num_params) are K transforms
        per image; points (batch, N, n) then go through each of them, and the result has the
        leading axes (batch, K).
    """

    # How many spatial axes the family can have.
    ndims: tuple[int, ...] = (2, 3)

    def __init_subclass__(cls, **kwargs):
        super().__init_subclass__(**kwargs)
        for name, count in METHODS.items():
            if name in vars(cls):
                setattr(cls, name, as_method(count)(vars(cls)[name]))

    def num_params(self, ndim: int = 2) -> int:
        """Parameters of one transform of `ndim` spatial axes, an int."""
        raise NotImplementedError(f"{type(self).__name__} must implement `num_params`.")

    def identity(self, ndim: int = 2) -> NDArray[np.float32]:
        """The identity's theta, a float32 NumPy vector of length `num_params(ndim)`."""
        raise NotImplementedError(f"{type(self).__name__} must implement `identity`.")

    def grid(self, theta: TensorLike, output_size: Sizes, *, align_corners: bool = True) -> Tensor:
        """Sampling grid (batch, *output_size, ndim) of thetas (batch, num_params)."""
        raise NotImplementedError(f"{type(self).__name__} must implement `grid`.")

    def transform_points(self, theta: TensorLike, points: TensorLike) -> Tensor:
        """Source points of target `points`, both (batch, N, ndim) and normalized."""
        raise NotImplementedError(f"{type(self).__name__} must implement `transform_points`.")

    def matrix(self, theta: TensorLike) -> Tensor:
        """Homogeneous matrices (batch, n + 1, n + 1), acting on (x, y, 1)."""
        raise NotImplementedError(
            f"`{type(self).__name__}` transforms are no matrices. Use `grid` or `transform_points`."
        )

    def inverse(self, theta: TensorLike) -> Tensor:
        """Thetas of the inverse transforms: source to target."""
        raise NotImplementedError(
            f"The inverse of a `{type(self).__name__}` transform is not in the family. Use "
            "`Diffeomorphic` for flows, or a family of matrices, where you need inverses."
        )

    def compose(self, outer: TensorLike, inner: TensorLike) -> Tensor:
        """Thetas of `outer` after `inner`: the point x goes to outer(inner(x))."""
        raise NotImplementedError(
            f"Two `{type(self).__name__}` transforms in series are not in the family. Compose "
            "with a family of matrices, or call `transform_points` of one on the grid of another."
        )

    def parameter_kinds(self, ndim: int = 2) -> Sequence[str]:
        """What each parameter is, for `keras_stn.transforms.named_bounds`.

        A string for each: "scale", "rotation", "shift", "diagonal" or "shear" (of a matrix),
        "perspective" or "pixels".
        """
        raise NotImplementedError(
            f"`{type(self).__name__}` does not name its parameters. Implement `parameter_kinds`, "
            "or give bounds as the pair (lowest theta, highest theta)."
        )

    def with_extent(self, extent: Extent) -> Self:
        """The family for images whose sides are `extent`, rows first; see `Similarity`."""
        return self

    @as_method(METHODS["transform_boxes"])
    def transform_boxes(self, theta: TensorLike, boxes: TensorLike) -> Tensor:
        """Source boxes of target `boxes`, both (batch, N, 2 ndim), normalized.

        A box is (x_min, y_min, x_max, y_max), for volumes (x_min, y_min, z_min, x_max, ...). The
        result is the smallest box around the moved corners.
        """
        return bounding_boxes(self.transform_points(theta, box_corners(boxes)))

    def get_config(self) -> Config:
        """Arguments of `__init__`, plain values only."""
        return {}

    @classmethod
    def from_config(cls, config: Config) -> Self:
        """The family that `get_config` described."""
        return cls(**config)

    def _count_leading(self, shape: Shape) -> int:
        """The number of axes of a theta's shape that come before those of a single transform."""
        if len(shape) > 2 and shape[-1] not in self._counts().values():
            return 1  # a theta of the family's own form
        return len(shape) - 1

    def _counts(self, ndims=None):
        """The number of parameters for each number of spatial axes that the family can have."""
        counts = {}
        for ndim in ndims or self.ndims:
            try:
                counts[ndim] = self.num_params(ndim)
            except ValueError:  # control points that are given for another number of axes
                if ndims:
                    raise
        return counts

    def _checked(self, theta, ndim=None):
        """Theta in at least float32, and its number of spatial axes; `ValueError` if it has none.

        `ndim`: the only number of axes to accept.
        """
        theta = ops.convert_to_tensor(theta)
        counts = self._counts(ndim and [ndim])
        for n, count in counts.items():
            if len(theta.shape) == 2 and theta.shape[1] == count:
                return ops.cast(theta, coordinate_dtype(theta.dtype)), n
        numbers = " or ".join(map(str, counts.values()))
        advice = f"Pass {numbers} numbers for each transform."
        if len(theta.shape) == 1 and theta.shape[0] in counts.values():
            advice = "Add the axis of the batch, for example with theta[None]."
        wanted = " or ".join(f"(batch, {count})" for count in counts.values())
        raise ValueError(
            f"`theta` must have shape {wanted} for {self!r}. Received: "
            f"theta.shape={tuple(theta.shape)}. {advice}"
        )

    def _checked_with_points(self, theta, points):
        """Both checked, in the wider of their dtypes, and the number of spatial axes."""
        theta, ndim = self._checked(theta)
        points = ops.convert_to_tensor(points)
        check_points(points.shape, ndim)
        return *widened(theta, points), ndim

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and self.get_config() == other.get_config()

    def __hash__(self) -> int:
        # Not of the arguments' repr: 3 and 3.0 are equal.
        return hash(type(self))

    def __repr__(self) -> str:
        arguments = ", ".join(f"{name}={value!r}" for name, value in self.get_config().items())
        return f"{type(self).__name__}({arguments})"


# A family itself, its name, or what `serialize` made of it.
TransformLike: TypeAlias = Family | Transform | Config


def widened(*tensors):
    """`tensors` in float64 if one of them is, else in float32: TensorFlow mixes no dtypes."""
    dtypes = [coordinate_dtype(tensor.dtype) for tensor in tensors]
    return [ops.cast(tensor, min(dtypes, key="float64 float32".index)) for tensor in tensors]


def serialize(transform: Transform) -> Config:
    """A family as plain values, for `get_config`."""
    return keras.saving.serialize_keras_object(transform)


def get(identifier, families):
    """A `Transform` from itself, its name in `families`, or its serialized form."""
    if isinstance(identifier, Transform):
        return identifier
    if isinstance(identifier, str) and identifier in families:
        return families[identifier]()
    if isinstance(identifier, dict):
        transform = keras.saving.deserialize_keras_object(identifier)
        if isinstance(transform, Transform):
            return transform
    raise ValueError(
        f"`transform` must be one of {', '.join(map(repr, families))} or an instance of "
        f"`keras_stn.transforms.Transform`. Received: transform={identifier!r}. "
        "Pass for example transform='affine'."
    )
