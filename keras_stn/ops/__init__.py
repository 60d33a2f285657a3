"""Functions: sampling grids, sampling, points, on `keras.ops`."""

from keras_stn.ops.coordinates import identity_grid
from keras_stn.ops.grids import affine_grid
from keras_stn.ops.points import normalized_to_pixels, pixels_to_normalized
from keras_stn.ops.sampling import grid_sample

__all__ = [
    "affine_grid",
    "grid_sample",
    "identity_grid",
    "normalized_to_pixels",
    "pixels_to_normalized",
]
