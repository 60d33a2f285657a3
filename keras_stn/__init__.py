"""Spatial transformer networks for Keras 3, on TensorFlow, JAX and PyTorch."""

from keras_stn import callbacks, layers, ops, regularizers, transforms, visualization
from keras_stn.layers import AffineGridGenerator, BilinearSampler, GridSampler, SpatialTransformer

__version__ = "0.1.0"

__all__ = [
    "AffineGridGenerator",
    "BilinearSampler",
    "GridSampler",
    "SpatialTransformer",
    "__version__",
    "callbacks",
    "layers",
    "ops",
    "regularizers",
    "transforms",
    "visualization",
]
