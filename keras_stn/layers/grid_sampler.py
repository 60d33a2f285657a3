"""The layers that read images at a grid."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras

from keras_stn._types import (
    Config,
    DataFormat,
    FillMode,
    Interpolation,
    OutputShape,
    Shape,
    Tensor,
)
from keras_stn.layers.arguments import cast_images, compute_dtype_of
from keras_stn.layers.foreign_names import refuse_foreign_names
from keras_stn.layers.sampling_layer import SamplingLayer
from keras_stn.ops.sampling import samples_shape


@keras.saving.register_keras_serializable(package="keras_stn")
class GridSampler(SamplingLayer):
    """Samples images or volumes at a grid; `keras_stn.ops.grid_sample` as a layer.

    Convention:
        The grid holds **source** coordinates, normalized to [-1, 1], last axis (x, y) or
        (x, y, z); see `keras_stn.ops.grid_sample`, also for NaN and infinite coordinates.

    Args:
        interpolation: "nearest", "bilinear" (trilinear for volumes) or "bicubic" (tricubic).
        fill_mode: "constant", "nearest", "mirror", "reflect" or "wrap".
        fill_value: float, in image intensity units; used by `fill_mode="constant"`.
        align_corners: bool. Whether -1 and 1 are the centres of the corner pixels (True) or
            their outer edges (False).
        antialias: bool. Whether to avoid aliasing where the grid shrinks the images; see
            `keras_stn.ops.grid_sample`.
        data_format: "channels_last" or "channels_first"; None means
            `keras.config.image_data_format()`.
        **kwargs: Arguments of `keras.layers.Layer`.

    Call arguments:
        inputs: The pair `[images, grid]`. Images are cast to the layer's compute dtype; the grid
            never is.

    Input shape:
        `[(batch, height, width, channels), (batch, ..., 2)]`, or for volumes
        `[(batch, depth, height, width, channels), (batch, ..., 3)]`; with channels first,
        images are `(batch, channels, ...)`.

    Output shape:
        `(*grid.shape[:-1], channels)`, or `(batch, channels, *grid.shape[1:-1])`.

    Raises:
        ValueError: A shape, dtype or mode that is not one of the above.

    Example:
        >>> import numpy as np
        >>> from keras_stn import GridSampler
        >>> images = np.ones((2, 8, 8, 3), "float32")
        >>> points = np.zeros((2, 5, 2), "float32")
        >>> tuple(GridSampler(data_format="channels_last")([images, points]).shape)
        (2, 5, 3)

    References:
        - [Jaderberg et al., 2015](https://arxiv.org/abs/1506.02025), section 3.3.
    """

    def __init__(
        self,
        *,
        interpolation: Interpolation = "bilinear",
        fill_mode: FillMode = "constant",
        fill_value: float = 0.0,
        align_corners: bool = True,
        antialias: bool = False,
        data_format: DataFormat | None = None,
        **kwargs: Any,
    ) -> None:
        refuse_foreign_names(GridSampler, kwargs)
        super().__init__(
            interpolation=interpolation,
            fill_mode=fill_mode,
            fill_value=fill_value,
            align_corners=align_corners,
            antialias=antialias,
            data_format=data_format,
            **kwargs,
        )

    def call(self, inputs: Sequence[Tensor]) -> Tensor:
        images, grid = self._pair(inputs)
        return self._sample(cast_images(images, self.compute_dtype), grid)

    def compute_output_shape(self, input_shape: Shape) -> OutputShape:
        images_shape, grid_shape = self._pair(input_shape)
        return samples_shape(images_shape, grid_shape, self.antialias, self.data_format)

    def compute_output_spec(self, inputs: Sequence[Tensor]) -> Tensor:
        images, grid = self._pair(inputs)
        shape = self.compute_output_shape([images.shape, grid.shape])
        return keras.KerasTensor(shape, dtype=compute_dtype_of(images.dtype, self.compute_dtype))

    def _pair(self, inputs):
        if not isinstance(inputs, (list, tuple)) or len(inputs) != 2:
            one = not isinstance(inputs, (list, tuple))
            shapes = [tuple(getattr(x, "shape", ())) for x in ([inputs] if one else inputs)]
            raise ValueError(
                f"`{type(self).__name__}` must be called on a list of two tensors, [images, grid]. "
                f"Received: {'one tensor' if one else f'{len(inputs)} inputs'} of shape "
                f"{', '.join(map(str, shapes))}. Pass both in one list."
            )
        return inputs


@keras.saving.register_keras_serializable(package="keras_stn")
class BilinearSampler(GridSampler):
    """Bilinear (for volumes trilinear) sampling at a grid: the sampler of the paper.

    `GridSampler` with `interpolation="bilinear"`; see there for shapes, conventions and errors.

    Args:
        fill_mode: "constant", "nearest", "mirror", "reflect" or "wrap".
        fill_value: float, in image intensity units; used by `fill_mode="constant"`.
        align_corners: bool. Whether -1 and 1 are the centres of the corner pixels (True) or
            their outer edges (False).
        antialias: bool. Whether to avoid aliasing where the grid shrinks the images; see
            `keras_stn.ops.grid_sample`.
        data_format: "channels_last" or "channels_first"; None means
            `keras.config.image_data_format()`.
        **kwargs: Arguments of `keras.layers.Layer`.

    Example:
        >>> import numpy as np
        >>> from keras_stn import AffineGridGenerator, BilinearSampler
        >>> image = np.arange(9, dtype="float32").reshape(1, 3, 3, 1)
        >>> mirror = np.array([[-1, 0, 0, 0, 1, 0]], "float32")
        >>> grid = AffineGridGenerator((3, 3))(mirror)
        >>> mirrored = BilinearSampler(data_format="channels_last")([image, grid])
        >>> np.array(mirrored)[0, :, :, 0].tolist()
        [[2.0, 1.0, 0.0], [5.0, 4.0, 3.0], [8.0, 7.0, 6.0]]

    References:
        - [Jaderberg et al., 2015](https://arxiv.org/abs/1506.02025), equation 5.
    """

    def __init__(
        self,
        *,
        fill_mode: FillMode = "constant",
        fill_value: float = 0.0,
        align_corners: bool = True,
        antialias: bool = False,
        data_format: DataFormat | None = None,
        **kwargs: Any,
    ) -> None:
        refuse_foreign_names(BilinearSampler, kwargs)
        super().__init__(
            interpolation="bilinear",
            fill_mode=fill_mode,
            fill_value=fill_value,
            align_corners=align_corners,
            antialias=antialias,
            data_format=data_format,
            **kwargs,
        )

    def get_config(self) -> Config:
        config = super().get_config()
        del config["interpolation"]
        return config
