"""Keeps XLA from computing sampling coordinates twice.

XLA may fuse a cheap producer into each of its consumers and round it differently in each (one
with a fused multiply-add, one without). For a coordinate next to a pixel centre the floor in one
fusion and the fraction in another then disagree by a whole pixel: at theta = identity, where every
spatial transformer starts, thousands of samples get the weight of one pixel on the value of
another. An optimization barrier makes the coordinates exist once, so both use the same bits.
"""

from __future__ import annotations

import keras

if keras.backend.backend() == "jax":
    import jax

    def compute_once(x):
        """`x`, materialized: no consumer recomputes it."""
        return jax.lax.optimization_barrier(x)

elif keras.backend.backend() == "tensorflow":
    import tensorflow as tf

    # Not in `tf.raw_ops`; jax2tf takes the XLA operations from the same module.
    from tensorflow.compiler.tf2xla.python import xla

    @tf.custom_gradient
    def _barrier(x):
        return xla.optimization_barrier(x), lambda upstream: upstream

    def compute_once(x):
        """`x`, materialized: no consumer recomputes it."""
        # The op exists under XLA only; outside it TensorFlow never computes a tensor twice.
        if tf.__internal__.get_enclosing_xla_context() is None:
            return x
        return _barrier(x)

else:

    def compute_once(x):
        """`x`: this backend never computes a tensor twice."""
        return x
