"""The last layer of the localization network: features in, theta out."""

from __future__ import annotations

import keras
import numpy as np
from keras import ops

from keras_stn.transforms.bounds import resolve_bounds, squash

# Features of a squared length far below this one stay as small as they are.
TINY = 1e-3


class ThetaHead(keras.layers.Dense):
    """A dense layer that starts at the identity: kernel zero, bias the identity's theta.

    It sees features of length one, unless told otherwise. How far theta moves at a step of the
    optimizer then does not depend on how large the features have grown; docs/stability.md has
    what that does to trainings.

    Args:
        transform: The family.
        ndim: Spatial axes.
        num_transforms: Thetas for each image, one after the other in the output.
        bounds: As in `SpatialTransformer`.
        normalize: bool. Whether to bring each image's features to length one.
        gain: How far theta moves from the identity, in units of how far the dense layer does.
        **kwargs: Arguments of `keras.layers.Layer`.
    """

    def __init__(self, transform, ndim, *, num_transforms, bounds, normalize, gain, **kwargs):
        identity = transform.identity(ndim)
        super().__init__(
            num_transforms * len(identity),
            kernel_initializer="zeros",
            # Not `bias.assign` after building: a model that is built by `fit` would lose it.
            bias_initializer=keras.initializers.Constant(np.tile(identity, num_transforms)),
            **kwargs,
        )
        self.identity = np.tile(identity, num_transforms)
        bounds = resolve_bounds(bounds, transform, ndim)
        self.bounds = bounds and [np.tile(bound, num_transforms) for bound in bounds]
        self.normalize = normalize
        self.gain = gain

    def call(self, features, training=None):
        if self.normalize:
            square = ops.sum(ops.square(features), axis=-1, keepdims=True)
            features = features * ops.rsqrt(square + TINY)
        theta = super().call(features, training=training)
        if self.gain != 1.0:
            identity = ops.cast(self.identity, theta.dtype)
            theta = identity + self.gain * (theta - identity)
        if self.bounds is not None:
            theta = squash(theta, self.identity, *self.bounds)
        return theta
