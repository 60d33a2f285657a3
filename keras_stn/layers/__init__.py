"""Keras layers."""

from keras_stn.layers.affine_grid_generator import AffineGridGenerator
from keras_stn.layers.grid_sampler import BilinearSampler, GridSampler
from keras_stn.layers.spatial_transformer import SpatialTransformer

__all__ = ["AffineGridGenerator", "BilinearSampler", "GridSampler", "SpatialTransformer"]
