"""Keeps XLA from computing sampling coordinates twice.

XLA may fuse a cheap producer into each of its consumers, and a sum of products is rounded in more
than one way, by which of them goes into a fused multiply-add. For a coordinate next to a pixel
centre the index in one fusion and the weight in another then disagree by a whole pixel: at
theta = identity, where every spatial transformer starts, thousands of pixels get another's
gradient.

An optimization barrier is the tool against it on accelerators. XLA's CPU backend removes barriers
before it fuses; there the coordinates pass through a gather that changes nothing, which it does
not duplicate.
"""

from __future__ import annotations

import keras

if keras.backend.backend() == "jax":
    import jax
    import jax.numpy as jnp

    @jax.custom_jvp
    def compute_once(x):
        """`x`, materialized: no consumer recomputes it."""
        return jax.lax.platform_dependent(
            x,
            cpu=lambda x: x.at[jnp.arange(x.shape[0])].get(mode="promise_in_bounds"),
            default=jax.lax.optimization_barrier,
        )

    @compute_once.defjvp
    def _(primals, tangents):
        return compute_once(*primals), tangents[0]

elif keras.backend.backend() == "tensorflow":
    import tensorflow as tf

    # Not in `tf.raw_ops`; jax2tf takes the XLA operations from the same module.
    from tensorflow.compiler.tf2xla.python import xla

    def inside_xla():
        """Whether what is being traced will be compiled by XLA."""
        return tf.__internal__.get_enclosing_xla_context() is not None

    @tf.custom_gradient
    def _materialized(x):
        (once,) = xla.optimization_barrier(x)
        once = tf.ensure_shape(once, x.shape)
        # The gradient too: without it XLA reads every pixel again for each element of theta.
        return tf.gather(once, tf.range(tf.shape(once)[0])), _materialized

    def compute_once(x):
        """`x`, materialized: no consumer recomputes it."""
        # The op exists under XLA only; outside it TensorFlow never computes a tensor twice.
        return _materialized(x) if inside_xla() else x

else:

    def compute_once(x):
        """`x`: this backend never computes a tensor twice."""
        return x
