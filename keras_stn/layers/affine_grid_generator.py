"""The layer that turns thetas into sampling grids."""

from __future__ import annotations

from typing import Any

import keras

from keras_stn._types import Config, OutputShape, Shape, Sizes, Tensor
from keras_stn.layers.foreign_names import refuse_foreign_names
from keras_stn.ops.coordinates import check_output_size
from keras_stn.ops.grids import affine_grid, coordinate_dtype, count_leading
from keras_stn.ops.sampling import check_flag


@keras.saving.register_keras_serializable(package="keras_stn")
class AffineGridGenerator(keras.layers.Layer):
    """Sampling grids of affine transforms; `keras_stn.ops.affine_grid` as a layer.

    Convention:
        theta maps **target to source**, normalized coordinates; see `keras_stn.ops.affine_grid`.

    Args:
        output_size: (height, width) or (depth, height, width) of the output, in pixels.
        align_corners: bool. Whether -1 and 1 are the centres of the corner pixels (True, as in
            the paper) or their outer edges (False).
        **kwargs: Arguments of `keras.layers.Layer`.

    Call arguments:
        theta: Float tensor; never narrowed by a mixed-precision policy.

    Input shape:
        `(batch, 6)` or `(batch, 2, 3)` for images, `(batch, 12)` or `(batch, 3, 4)` for volumes;
        with more leading axes, such as `(batch, K, 6)` for K crops per image.

    Output shape:
        `(batch, *output_size, n)`, last axis (x, y) or (x, y, z), float32 or wider; theta's leading
        axes in place of the batch.

    Raises:
        ValueError: A wrong `output_size` or theta's shape.

    Example:
        >>> import numpy as np
        >>> from keras_stn import AffineGridGenerator
        >>> identity = np.array([[1, 0, 0, 0, 1, 0]], "float32")
        >>> tuple(AffineGridGenerator((32, 48))(identity).shape)
        (1, 32, 48, 2)

    References:
        - [Jaderberg et al., 2015](https://arxiv.org/abs/1506.02025), section 3.2.
    """

    def __init__(self, output_size: Sizes, *, align_corners: bool = True, **kwargs: Any) -> None:
        refuse_foreign_names(AffineGridGenerator, kwargs)
        super().__init__(autocast=False, **kwargs)
        self.output_size = check_output_size(output_size)
        self.align_corners = check_flag("align_corners", align_corners)

    def call(self, theta: Tensor) -> Tensor:
        return affine_grid(theta, self.output_size, align_corners=self.align_corners)

    def compute_output_shape(self, theta_shape: Shape) -> OutputShape:
        ndim = len(self.output_size)
        leading = tuple(theta_shape)[: count_leading(theta_shape, ndim)]
        return (*leading, *self.output_size, ndim)

    def compute_output_spec(self, theta: Tensor) -> Tensor:
        shape = self.compute_output_shape(theta.shape)
        return keras.KerasTensor(shape, dtype=coordinate_dtype(theta.dtype))

    def get_config(self) -> Config:
        return {
            **super().get_config(),
            "output_size": self.output_size,
            "align_corners": self.align_corners,
        }
