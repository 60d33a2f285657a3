"""The spatial transformer: localize, generate the grid, sample."""

from __future__ import annotations

import keras
import numpy as np
from keras import ops

from keras_stn import transforms
from keras_stn.layers.localization import count_features, default_localization_network
from keras_stn.ops.coordinates import check_output_size
from keras_stn.ops.grids import coordinate_dtype
from keras_stn.ops.sampling import check_images_shape, check_options, grid_sample


@keras.saving.register_keras_serializable(package="keras_stn")
class SpatialTransformer(keras.layers.Layer):
    """A learned, differentiable crop: looks at each image and warps it by a transform of its own.

    images -> localization network -> head -> theta -> sampling grid -> warped images

    The head, a dense layer owned by the spatial transformer, turns features into theta. Its kernel
    starts at zero and its bias at the identity, so a new model always starts by passing images
    through unchanged; and since only this *last* kernel is zero, gradients reach the head at the
    first step and the rest of the localization network from the second.

    Convention:
        theta maps **target to source** ("pull"), in normalized coordinates: a scale of 0.5 zooms
        **in** by 2. See `keras_stn.ops.affine_grid` and `keras_stn.ops.grid_sample`.

    Args:
        localization_network: A `keras.layers.Layer` or model from images to **features** of any
            shape (not to theta: the head is added). None builds a small CNN that takes images of
            any size.
        transform: Name of a family of transforms, or an instance of
            `keras_stn.transforms.Transform`.
        output_size: (height, width) or (depth, height, width) of the output, in pixels; None
            keeps that of the input.
        num_transforms: int, the number of crops taken of each image.
        interpolation: "bilinear" (trilinear for volumes), "bicubic" (tricubic) or "nearest".
            "nearest" has no gradient to theta: the localization network does not learn.
        fill_mode: "constant", "nearest", "mirror", "reflect" or "wrap".
        fill_value: float, in image intensity units; used by `fill_mode="constant"`.
        align_corners: bool. Whether -1 and 1 are the centres of the corner pixels (True, as in
            the paper) or their outer edges (False).
        antialias: bool. Whether to avoid aliasing where the crop is smaller than what it shows,
            for example with a small `output_size`; see `keras_stn.ops.grid_sample`.
        theta_regularizer: A `keras.regularizers.Regularizer`, its name, or None; its penalty on
            theta is added to the loss.
        data_format: "channels_last" or "channels_first"; None means
            `keras.config.image_data_format()`.
        **kwargs: Arguments of `keras.layers.Layer`.

    Call arguments:
        images: Float tensor.
        training: bool, passed on to the localization network.
        return_theta: bool. Whether to return theta too.

    Input shape:
        `(batch, height, width, channels)`, for volumes `(batch, depth, height, width, channels)`,
        or channels first. Batch, height, width and depth may be unknown.

    Output shape:
        `(batch, *output_size, channels)`, or with channels first `(batch, channels,
        *output_size)`. With `num_transforms=K > 1`, an axis of K before `output_size`.
        With `return_theta=True`, the pair of that and theta: `(batch, num_params)`, with several
        transforms `(batch, K, num_params)`, float32 or wider under any dtype policy.

    Raises:
        ValueError: An argument, shape or dtype that is not one of the above.

    Example:
        >>> import keras
        >>> import numpy as np
        >>> from keras_stn import SpatialTransformer
        >>> images = np.random.default_rng(0).uniform(size=(2, 28, 28, 1)).astype("float32")
        >>> stn = SpatialTransformer(data_format="channels_last")
        >>> warped, theta = stn(images, return_theta=True)
        >>> tuple(warped.shape)
        (2, 28, 28, 1)
        >>> keras.ops.convert_to_numpy(theta)[0].tolist()  # a new one passes images through
        [1.0, 0.0, 0.0, 0.0, 1.0, 0.0]

    References:
        - [Jaderberg et al., 2015, Spatial Transformer Networks](https://arxiv.org/abs/1506.02025)
    """

    def __init__(
        self,
        localization_network=None,
        transform="affine",
        *,
        output_size=None,
        num_transforms=1,
        interpolation="bilinear",
        fill_mode="constant",
        fill_value=0.0,
        align_corners=True,
        antialias=False,
        theta_regularizer=None,
        data_format=None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        if not isinstance(localization_network, (keras.layers.Layer, type(None))):
            raise ValueError(
                "`localization_network` must be a Keras layer or model, so that its weights are "
                f"found, or None. Received: localization_network={localization_network!r}. "
                "Wrap a function in a subclass of `keras.layers.Layer`."
            )
        if not isinstance(num_transforms, int) or num_transforms < 1:
            raise ValueError(
                "`num_transforms` must be a positive integer. "
                f"Received: num_transforms={num_transforms!r}. Pass 1 for a single crop."
            )
        self.localization_network = localization_network
        self.transform = transforms.get(transform)
        self.output_size = None if output_size is None else check_output_size(output_size)
        self.num_transforms = num_transforms
        self.interpolation = interpolation
        self.fill_mode = fill_mode
        self.fill_value = fill_value
        self.align_corners = align_corners
        self.antialias = antialias
        self.theta_regularizer = keras.regularizers.get(theta_regularizer)
        self.data_format = data_format or keras.config.image_data_format()
        check_options(interpolation, fill_mode, fill_value, antialias, self.data_format)
        self._uses_default_network = localization_network is None

    def build(self, images_shape):
        ndim = self._check_shape(images_shape)
        if self.localization_network is None:
            self.localization_network = default_localization_network(
                ndim, data_format=self.data_format, dtype=self.dtype_policy
            )
        features = count_features(self.localization_network, images_shape, self.compute_dtype)
        self.flatten = keras.layers.Flatten(dtype=self._theta_dtype)
        identity = np.tile(self.transform.identity(ndim), self.num_transforms)
        self.head = keras.layers.Dense(
            len(identity),
            kernel_initializer="zeros",
            # Not `bias.assign` after building: a model that is built by `fit` would lose it.
            bias_initializer=keras.initializers.Constant(identity),
            dtype=self._theta_dtype,
            name="head",
        )
        self.head.build((None, features))

    def call(self, images, training=None, return_theta=False):
        self._check_shape(images.shape)
        _check_floating(images.dtype)
        theta = self.localize(images, training=training)
        if self.theta_regularizer is not None:
            self.add_loss(self.theta_regularizer(theta))
        grid = self.sampling_grid(theta, self._target_size(ops.shape(images)))
        warped = grid_sample(
            images,
            grid,
            interpolation=self.interpolation,
            fill_mode=self.fill_mode,
            fill_value=self.fill_value,
            align_corners=self.align_corners,
            antialias=self.antialias,
            data_format=self.data_format,
        )
        return (warped, theta) if return_theta else warped

    def localize(self, images, training=None):
        """Theta of each image: (batch, P), with several transforms (batch, K, P)."""
        features = self.localization_network(images, training=training)
        theta = self.head(self.flatten(features))
        if self.num_transforms > 1:
            theta = ops.reshape(theta, (-1, *self._theta_shape(len(images.shape) - 2)))
        return theta

    def sampling_grid(self, theta, output_size):
        """Sampling grid of thetas: (batch, *output_size, n), several (batch, K, ...)."""
        params = theta.shape[-1]
        grid = self.transform.grid(
            ops.reshape(theta, (-1, params)), output_size, align_corners=self.align_corners
        )
        if self.num_transforms > 1:
            grid = ops.reshape(grid, (-1, self.num_transforms, *ops.shape(grid)[1:]))
        return grid

    @property
    def _theta_dtype(self):
        return coordinate_dtype(self.compute_dtype)

    def _theta_shape(self, ndim):
        params = self.transform.num_params(ndim)
        return (params,) if self.num_transforms == 1 else (self.num_transforms, params)

    def _spatial(self, images_shape):
        """The part of a shape that is the image's size."""
        if self.data_format == "channels_last":
            return tuple(images_shape[1:-1])
        return tuple(images_shape[2:])

    def _target_size(self, images_shape):
        return self._spatial(images_shape) if self.output_size is None else self.output_size

    def _check_shape(self, images_shape):
        """The number of spatial axes, if the shape is one the layer can take."""
        ndim = check_images_shape(images_shape, self.data_format)
        if self.output_size is not None and len(self.output_size) != ndim:
            raise ValueError(
                f"`output_size` must have as many axes as the images, {ndim}. Received: "
                f"output_size={self.output_size}, images.shape={tuple(images_shape)}. "
                "Pass (height, width) for images, (depth, height, width) for volumes."
            )
        return ndim

    def compute_output_shape(self, images_shape, return_theta=False):
        ndim = self._check_shape(images_shape)
        crops = () if self.num_transforms == 1 else (self.num_transforms,)
        size = (*crops, *self._target_size(images_shape))
        if self.data_format == "channels_last":
            warped = (images_shape[0], *size, images_shape[-1])
        else:
            warped = (images_shape[0], images_shape[1], *size)
        return (warped, (images_shape[0], *self._theta_shape(ndim))) if return_theta else warped

    def compute_output_spec(self, images, training=None, return_theta=False):
        _check_floating(images.dtype)
        warped, theta = self.compute_output_shape(images.shape, return_theta=True)
        warped = keras.KerasTensor(warped, dtype=self.compute_dtype)
        theta = keras.KerasTensor(theta, dtype=self._theta_dtype)
        return (warped, theta) if return_theta else warped

    def get_config(self):
        network = None if self._uses_default_network else self.localization_network
        return {
            **super().get_config(),
            "localization_network": keras.saving.serialize_keras_object(network),
            "transform": transforms.serialize(self.transform),
            "output_size": self.output_size,
            "num_transforms": self.num_transforms,
            "interpolation": self.interpolation,
            "fill_mode": self.fill_mode,
            "fill_value": self.fill_value,
            "align_corners": self.align_corners,
            "antialias": self.antialias,
            "theta_regularizer": keras.regularizers.serialize(self.theta_regularizer)
            if self.theta_regularizer
            else None,
            "data_format": self.data_format,
        }

    @classmethod
    def from_config(cls, config):
        config = dict(config)
        network = config.get("localization_network")
        if isinstance(network, dict):
            config["localization_network"] = keras.saving.deserialize_keras_object(network)
        return cls(**config)


def _check_floating(dtype):
    if not keras.backend.is_float_dtype(keras.backend.standardize_dtype(dtype)):
        raise ValueError(
            "`images` must be floating point: the localization network looks at them too. "
            f"Received: images.dtype={keras.backend.standardize_dtype(dtype)}. Cast them, for "
            "example with `keras.ops.cast(images, 'float32') / 255`."
        )
