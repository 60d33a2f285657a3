"""Methods of families as nodes of functional models."""

from __future__ import annotations

import functools

import keras

from keras_stn.ops.coordinates import check_output_size
from keras_stn.ops.grids import coordinate_dtype

METHODS = ("grid", "transform_points", "matrix", "inverse", "compose")


def as_node(method):
    """`method` of a family; on a symbolic `KerasTensor`, a node that calls it."""

    @functools.wraps(method)
    def call(self, *args, **options):
        if any(isinstance(arg, keras.KerasTensor) for arg in args):
            return TransformMethod(self, method.__name__, options).symbolic_call(*args)
        return method(self, *args, **options)

    return call


@keras.saving.register_keras_serializable(package="keras_stn")
class TransformMethod(keras.Operation):
    """A family's method as a node of a functional model."""

    def __init__(self, transform, method, options=None, name=None):
        super().__init__(name=name)
        self.transform = transform
        self.method = method
        self.options = dict(options or {})

    def call(self, *args):
        return getattr(self.transform, self.method)(*args, **self.options)

    def compute_output_spec(self, theta, *args):
        dtype = coordinate_dtype(theta.dtype)
        if self.method == "grid":
            size = check_output_size(args[0] if args else self.options["output_size"])
            shape = (theta.shape[0], *size, len(size))
        elif self.method == "transform_points":
            shape, dtype = args[0].shape, coordinate_dtype(args[0].dtype)
        elif self.method == "matrix":
            ndim = next(n for n in (2, 3) if self._holds(theta.shape, n))
            shape = (theta.shape[0], ndim + 1, ndim + 1)
        else:
            shape = theta.shape
        return keras.KerasTensor(shape, dtype=dtype)

    def _holds(self, shape, ndim):
        # Affine thetas may be matrices already.
        return shape[1:] in ((self.transform.num_params(ndim),), (ndim, ndim + 1))

    def get_config(self):
        return {
            "transform": keras.saving.serialize_keras_object(self.transform),
            "method": self.method,
            "options": self.options,
            "name": self.name,
        }

    @classmethod
    def from_config(cls, config):
        transform = keras.saving.deserialize_keras_object(config["transform"])
        return cls(**{**config, "transform": transform})
