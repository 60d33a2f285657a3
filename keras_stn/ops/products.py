"""Matrix products of coordinates: in all of their precision, on accelerators too.

A GPU's matrix unit rounds float32 to the ten bits of TF32 where its backend lets it: JAX and
TensorFlow do unless told otherwise, PyTorch if told so, and under its autocast there are even fewer
bits. A coordinate of -1 to 1 is then wrong by a few thousandths, several pixels of a large image.
"""

from __future__ import annotations

import keras
from keras import ops

if keras.backend.backend() == "jax":
    import jax.numpy as jnp

    def product(a, b):
        """`a @ b`, tensors of one dtype, of which nothing is rounded before it is added up."""
        return jnp.matmul(a, b, precision="highest")

else:
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        def may_round(x):
            """Whether a matrix product with `x` may be computed with fewer bits than it has."""
            return tf.config.list_logical_devices("CPU") != tf.config.list_logical_devices()

    elif keras.backend.backend() == "torch":
        import torch

        def may_round(x):
            """Whether a matrix product with `x` may be computed with fewer bits than it has."""
            return x.is_cuda or torch.is_autocast_enabled(x.device.type)

    else:

        def may_round(x):
            """Whether a matrix product with `x` may be computed with fewer bits than it has."""
            return False

    def product(a, b):
        """`a @ b`, tensors of one dtype, of which nothing is rounded before it is added up."""
        dtype = a.dtype
        if may_round(a):  # what no matrix unit shortens: such products are small
            a, b = (ops.cast(x, "float64") for x in (a, b))
        return ops.cast(a @ b, dtype)
