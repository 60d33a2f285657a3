"""The spatial transformer: localize, generate the grid, sample."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import keras
from keras import ops

from keras_stn import transforms
from keras_stn._types import (
    Bounds,
    Config,
    DataFormat,
    FillMode,
    Interpolation,
    OutputShape,
    Regularizer,
    Shape,
    Sizes,
    Tensor,
)
from keras_stn.layers.arguments import (
    cast_images,
    check_composition,
    check_count,
    check_floating,
    check_gain,
    check_initial_theta,
    check_network,
    check_shapes,
    compute_dtype_of,
    get_regularizers,
    images_and_source,
    plain_bounds,
    serialize_regularizers,
    shared_batch,
    two_shapes,
)
from keras_stn.layers.foreign_names import refuse_foreign_names
from keras_stn.layers.localization import (
    check_last_layer,
    count_features,
    default_localization_network,
    with_lone_tensors_plain,
)
from keras_stn.layers.sampling_layer import SamplingLayer
from keras_stn.layers.theta_head import ThetaHead
from keras_stn.ops.coordinates import check_output_size, extents
from keras_stn.ops.grids import coordinate_dtype
from keras_stn.ops.sampling import check_flag
from keras_stn.regularizers import GridRegularizer
from keras_stn.transforms.base import TransformLike


@keras.saving.register_keras_serializable(package="keras_stn")
class SpatialTransformer(SamplingLayer):
    """A learned, differentiable crop: looks at each image and warps it by a transform of its own.

    images -> localization network -> head -> theta -> sampling grid -> warped images

    The head, a dense layer owned by the spatial transformer, turns features, brought to length one,
    into theta. Its kernel starts at zero and its bias at the identity, so a new model always starts
    by passing images through unchanged; and since only this *last* kernel is zero, gradients reach
    the head at the first step and the rest of the localization network from the second.

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
            keeps that of the images that are sampled.
        num_transforms: int, the number of crops taken of each image.
        num_looks: int. How often to look: from the second time on, the network sees what the crop
            shows so far, and its theta is composed with the one before. The result is still
            sampled once, from the original images.
        bounds: How far theta may go from the identity. None is as far as it likes; "default" and a
            dictionary, such as `{"zoom": 2.0, "rotation": 0.8, "shift": 0.5}`, are the limits of
            `keras_stn.transforms.named_bounds`; a pair holds the lowest and the highest theta.
        normalize_features: bool. Whether the head sees each image's features brought to length
            one, which keeps localization networks alive at high learning rates; False is the
            paper's plain head. See docs/stability.md.
        theta_gain: float. How far theta moves for a change of the head's weights, 1 being
            as far as these do: with 0.1, theta learns ten times slower under Adam and its kin, a
            hundred times under plain gradient descent.
        interpolation: "bilinear" (trilinear for volumes), "bicubic" (tricubic) or "nearest".
            "nearest" has no gradient to theta: the localization network does not learn.
        fill_mode: "nearest" (as beyond the edge of the image, so that a crop that sticks out still
            has a gradient), "constant", "mirror", "reflect" or "wrap".
        fill_value: float, in image intensity units; used by `fill_mode="constant"` alone.
        align_corners: bool. Whether -1 and 1 are the centres of the corner pixels (True, as in
            the paper) or their outer edges (False).
        antialias: bool. Whether to avoid aliasing where the crop is smaller than what it shows,
            for example with a small `output_size`; see `keras_stn.ops.grid_sample`.
        theta_regularizer: A `keras.regularizers.Regularizer`, such as those of
            `keras_stn.regularizers`, its name, a list of several, or None; the penalties on theta
            are added to the loss.
        data_format: "channels_last" or "channels_first"; None means
            `keras.config.image_data_format()`.
        **kwargs: Arguments of `keras.layers.Layer`.

    Call arguments:
        images: Float tensor, or the pair `[images, source]`: the network looks at the images, and
            the crops are of the source, which may have another size and other channels (for
            example the photograph of which `images` are thumbnails, or feature maps).
        initial_theta: Thetas, (batch, num_params), of a transform that the images have gone
            through already, for example in a spatial transformer before this one: theta is
            composed with it. Pass what that one sampled as source, and it is sampled only once.
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
        localization_network: keras.layers.Layer | None = None,
        transform: TransformLike = "affine",
        *,
        output_size: Sizes | None = None,
        num_transforms: int = 1,
        num_looks: int = 1,
        bounds: Bounds | None = None,
        normalize_features: bool = True,
        theta_gain: float = 1.0,
        interpolation: Interpolation = "bilinear",
        fill_mode: FillMode = "nearest",
        fill_value: float = 0.0,
        align_corners: bool = True,
        antialias: bool = False,
        theta_regularizer: Regularizer | Sequence[Regularizer] | None = None,
        data_format: DataFormat | None = None,
        **kwargs: Any,
    ) -> None:
        refuse_foreign_names(SpatialTransformer, kwargs)
        super().__init__(
            interpolation=interpolation,
            fill_mode=fill_mode,
            fill_value=fill_value,
            align_corners=align_corners,
            antialias=antialias,
            data_format=data_format,
            **kwargs,
        )
        check_network(localization_network)
        # None until it is built.
        self.localization_network: keras.layers.Layer = localization_network
        self.transform = transforms.get(transform)
        self.output_size = None if output_size is None else check_output_size(output_size)
        self.num_transforms = check_count("num_transforms", num_transforms)
        self.num_looks = check_count("num_looks", num_looks)
        self.bounds = bounds
        self.normalize_features = check_flag("normalize_features", normalize_features)
        self.theta_gain = check_gain(theta_gain)
        self.theta_regularizer = get_regularizers(theta_regularizer)
        if self.num_looks > 1:
            check_composition("num_looks", self.transform, self.num_transforms)
        self._uses_default_network = localization_network is None
        self._is_from_config = False

    def build(self, images_shape: Shape, initial_theta_shape: Shape | None = None) -> None:
        images_shape, source_shape = two_shapes(images_shape)
        self._check_shapes(images_shape, source_shape)
        ndim = len(images_shape) - 2
        if self.localization_network is None:
            self.localization_network = default_localization_network(
                ndim, data_format=self.data_format, dtype=self.dtype_policy
            )
        elif not self._is_from_config:  # else trained weights may be on their way
            check_last_layer(self.localization_network)
        features = count_features(self.localization_network, images_shape, self.compute_dtype)
        self.flatten = keras.layers.Flatten(dtype=self._theta_dtype)
        self.head = ThetaHead(
            self.transform,
            ndim,
            num_transforms=self.num_transforms,
            bounds=self.bounds,
            normalize=self.normalize_features,
            gain=self.theta_gain,
            dtype=self._theta_dtype,
            name="head",
        )
        self.head.build((None, features))

    def call(
        self,
        images: Tensor | Sequence[Tensor],
        initial_theta: Tensor | None = None,
        training: bool | None = None,
        return_theta: bool = False,
    ) -> Tensor:
        images = keras.tree.map_structure(lambda x: cast_images(x, self.compute_dtype), images)
        images, source = images_and_source(images)
        self._check_shapes(images.shape, source.shape)
        check_floating(images.dtype)
        theta = self.localize(images, training=training)
        for _ in range(self.num_looks - 1):
            seen = self._warp(images, theta, self._spatial(ops.shape(images)))
            theta = self._family(images).compose(theta, self.localize(seen, training=training))
        if initial_theta is not None:
            initial_theta = ops.convert_to_tensor(initial_theta)
            self._check_initial_theta(initial_theta, images.shape)
            initial_theta = ops.cast(initial_theta, self._theta_dtype)
            theta = self._family(source).compose(initial_theta, theta)
        self._add_penalties(theta, source)
        warped = self._warp(source, theta, self._target_size(ops.shape(source)))
        return (warped, theta) if return_theta else warped

    def localize(self, images: Tensor, training: bool | None = None) -> Tensor:
        """Theta of each image, seen once: (batch, P), with several transforms (batch, K, P)."""
        features = self.localization_network(images, training=training)
        theta = self.head(self.flatten(features))
        if self.num_transforms > 1:
            theta = ops.reshape(theta, (-1, *self._theta_shape(len(images.shape) - 2)))
        return theta

    def sampling_grid(
        self, theta: Tensor, output_size: Sizes, image_size: Sizes | None = None
    ) -> Tensor:
        """Sampling grid of thetas: (batch, *output_size, n), several (batch, K, ...).

        `image_size`: that of the images to sample; None is as large as the output.
        """
        image_size = output_size if image_size is None else image_size
        family = self.transform.with_extent(extents(image_size, align_corners=self.align_corners))
        return family.grid(theta, output_size, align_corners=self.align_corners)

    def _family(self, images):
        """The family of transforms, for images of this size."""
        sizes = self._spatial(ops.shape(images))
        return self.transform.with_extent(extents(sizes, align_corners=self.align_corners))

    def _warp(self, images, theta, output_size):
        image_size = self._spatial(ops.shape(images))
        return self._sample(images, self.sampling_grid(theta, output_size, image_size))

    def _add_penalties(self, theta, source):
        penalties = self.theta_regularizer
        for penalty in penalties if isinstance(penalties, list) else [penalties]:
            if isinstance(penalty, GridRegularizer):
                penalty = penalty.with_transform(self._family(source))
            if penalty is not None:
                self.add_loss(penalty(theta))

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

    def _target_size(self, source_shape):
        return self._spatial(source_shape) if self.output_size is None else self.output_size

    def _check_shapes(self, images_shape, source_shape):
        check_shapes(images_shape, source_shape, self.output_size, self.data_format)

    def _check_initial_theta(self, theta, images_shape):
        check_initial_theta(theta, images_shape, self.transform, self.num_transforms)

    def compute_output_shape(
        self,
        images_shape: Shape,
        initial_theta_shape: Shape | None = None,
        return_theta: bool = False,
    ) -> OutputShape:
        images_shape, source_shape = two_shapes(images_shape)
        self._check_shapes(images_shape, source_shape)
        batch = images_shape[0]
        if initial_theta_shape is not None:
            theta = keras.KerasTensor(initial_theta_shape, dtype=self._theta_dtype)
            self._check_initial_theta(theta, images_shape)
            batch = shared_batch(images=images_shape, initial_theta=theta.shape)
        theta = (batch, *self._theta_shape(len(images_shape) - 2))
        batch = shared_batch(theta=theta, source=source_shape)
        crops = () if self.num_transforms == 1 else (self.num_transforms,)
        size = (*crops, *self._target_size(source_shape))
        if self.data_format == "channels_last":
            warped = (batch, *size, source_shape[-1])
        else:
            warped = (batch, source_shape[1], *size)
        return (warped, theta) if return_theta else warped

    def compute_output_spec(
        self,
        images: Tensor | Sequence[Tensor],
        initial_theta: Tensor | None = None,
        training: bool | None = None,
        return_theta: bool = False,
    ) -> Tensor:
        images, source = images_and_source(images)
        check_floating(images.dtype)
        theta_shape = None
        if initial_theta is not None:
            if not isinstance(initial_theta, keras.KerasTensor):
                initial_theta = ops.convert_to_tensor(initial_theta)
            self._check_initial_theta(initial_theta, images.shape)
            theta_shape = initial_theta.shape
        shapes = [images.shape, source.shape]
        warped, theta = self.compute_output_shape(shapes, theta_shape, return_theta=True)
        warped_dtype = compute_dtype_of(source.dtype, self.compute_dtype)
        warped = keras.KerasTensor(warped, dtype=warped_dtype)
        theta = keras.KerasTensor(theta, dtype=self._theta_dtype)
        return (warped, theta) if return_theta else warped

    def get_config(self) -> Config:
        network = None if self._uses_default_network else self.localization_network
        return {
            **super().get_config(),
            "localization_network": keras.saving.serialize_keras_object(network),
            "transform": transforms.serialize(self.transform),
            "output_size": self.output_size,
            "num_transforms": self.num_transforms,
            "num_looks": self.num_looks,
            "bounds": plain_bounds(self.bounds),
            "normalize_features": self.normalize_features,
            "theta_gain": self.theta_gain,
            "theta_regularizer": serialize_regularizers(self.theta_regularizer),
        }

    @classmethod
    def from_config(cls, config: Config) -> Self:
        config = dict(config)
        network = config.get("localization_network")
        if isinstance(network, dict):
            network = with_lone_tensors_plain(network)
            config["localization_network"] = keras.saving.deserialize_keras_object(network)
        layer = cls(**config)
        layer._is_from_config = True
        return layer
