"""Matrix products of coordinates: in all of their precision, on accelerators too.

A GPU's matrix unit rounds float32 to the ten bits of TF32 where its backend lets it: JAX and
TensorFlow do unless told otherwise, PyTorch if told so, and under its autocast there are even fewer
bits. A coordinate of -1 to 1 is then wrong by thousandths, more than half a pixel of an image of
224 pixels.
"""

from __future__ import annotations

import keras
from keras import ops

if keras.backend.backend() == "jax":
    import jax.numpy as jnp

    def _product(a, b):
        return jnp.matmul(a, b, precision="highest")

elif keras.backend.backend() == "tensorflow":
    import tensorflow as tf

    def _product(a, b):
        return wide(a, b) if may_round() else a @ b

    def may_round():
        """Whether TensorFlow may compute a product of float32 with fewer bits."""
        on_cpus_alone = tf.config.list_logical_devices("CPU") == tf.config.list_logical_devices()
        return not on_cpus_alone and tf.config.experimental.tensor_float_32_execution_enabled()

elif keras.backend.backend() == "torch":
    import torch

    def _product(a, b):
        device = a.device.type
        if torch.amp.is_autocast_available(device) and torch.is_autocast_enabled(device):
            with torch.autocast(device, enabled=False):
                return _product(a, b)
        return wide(a, b) if a.is_cuda and may_round() else a @ b

    def may_round():
        """Whether PyTorch may compute a product of float32 on a GPU with fewer bits."""
        # The name of newer releases; they refuse to tell by the older one where both are used.
        precision = getattr(torch.backends.cuda.matmul, "fp32_precision", None)
        if precision is None:
            return torch.get_float32_matmul_precision() != "highest"
        return precision not in ("none", "ieee")

else:

    def _product(a, b):
        return ops.cast(a @ b, a.dtype)  # NumPy makes float32 of bfloat16


def wide(a, b):
    """`a @ b` by way of float64, which no matrix unit shortens, in the dtype of `a`."""
    return ops.cast(ops.cast(a, "float64") @ ops.cast(b, "float64"), a.dtype)


def product(a, b):
    """`a @ b`, tensors of one dtype, multiplied and summed with all of its bits."""
    return _product(a, b)
