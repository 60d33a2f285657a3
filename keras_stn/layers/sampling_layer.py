"""What the layers share that sample images."""

from __future__ import annotations

import keras

from keras_stn._types import Config
from keras_stn.ops.sampling import check_options, grid_sample


class SamplingLayer(keras.layers.Layer):
    """A layer with the options of `keras_stn.ops.grid_sample`.

    Keras casts none of its inputs: a cast theta or grid would be rounded. Subclasses cast images.
    """

    def __init__(
        self,
        *,
        interpolation,
        fill_mode,
        fill_value,
        align_corners,
        antialias,
        data_format,
        **kwargs,
    ):
        super().__init__(autocast=False, **kwargs)
        self.data_format = data_format or keras.config.image_data_format()
        check_options(
            interpolation,
            fill_mode,
            fill_value,
            antialias,
            self.data_format,
            align_corners=align_corners,
        )
        self.align_corners = bool(align_corners)
        self.antialias = bool(antialias)
        self.interpolation = interpolation
        self.fill_mode = fill_mode
        self.fill_value = float(fill_value)

    def _sample(self, images, grid):
        return grid_sample(images, grid, **self._sampling_options())

    def _sampling_options(self):
        return {
            "interpolation": self.interpolation,
            "fill_mode": self.fill_mode,
            "fill_value": self.fill_value,
            "align_corners": self.align_corners,
            "antialias": self.antialias,
            "data_format": self.data_format,
        }

    def get_config(self) -> Config:
        return {**super().get_config(), **self._sampling_options()}
