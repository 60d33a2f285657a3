"""What a family of transforms is."""

from __future__ import annotations

import keras


class Transform:
    """A family of spatial transforms, all from target to source coordinates.

    A family says how many numbers one transform takes, which of them is the identity, and where
    a transform sends points. `SpatialTransformer` needs no more than that. To add a family of
    your own, subclass `Transform`, implement the methods below, and register the class with
    `keras.saving.register_keras_serializable` so that models that use it can be saved.

    Convention:
        theta maps **target to source** ("pull"), in normalized coordinates, x to the right, y
        down, z along the depth, all in [-1, 1].
    """

    def num_params(self, ndim=2):
        """Parameters of one transform of `ndim` spatial axes, an int."""
        raise NotImplementedError(f"{type(self).__name__} must implement `num_params`.")

    def identity(self, ndim=2):
        """The identity's theta, a float32 NumPy vector of length `num_params(ndim)`."""
        raise NotImplementedError(f"{type(self).__name__} must implement `identity`.")

    def grid(self, theta, output_size, *, align_corners=True):
        """Sampling grid (batch, *output_size, ndim) of thetas (batch, num_params)."""
        raise NotImplementedError(f"{type(self).__name__} must implement `grid`.")

    def transform_points(self, theta, points):
        """Source points of target `points`, both (batch, N, ndim) and normalized."""
        raise NotImplementedError(f"{type(self).__name__} must implement `transform_points`.")

    def get_config(self):
        """Arguments of `__init__`, plain values only."""
        return {}

    @classmethod
    def from_config(cls, config):
        """The family that `get_config` described."""
        return cls(**config)

    def __eq__(self, other):
        return type(self) is type(other) and self.get_config() == other.get_config()

    def __hash__(self):
        return hash((type(self), repr(sorted(self.get_config().items()))))

    def __repr__(self):
        arguments = ", ".join(f"{name}={value!r}" for name, value in self.get_config().items())
        return f"{type(self).__name__}({arguments})"


def serialize(transform):
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
