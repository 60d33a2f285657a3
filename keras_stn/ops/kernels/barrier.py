"""Keeps XLA from computing sampling coordinates twice.

XLA may fuse a cheap producer into each of its consumers, and a sum of products is rounded in more
than one way, by which of them goes into a fused multiply-add. For a coordinate next to a pixel
centre the index in one fusion and the weight in another then disagree by a whole pixel: at
theta = identity, where every spatial transformer starts, thousands of pixels get another's
gradient.

An optimization barrier is the tool against it on accelerators. XLA's CPU backend removes barriers
before it fuses, but it fuses nothing across a loop, and a loop that never runs costs nothing.

Fusion also costs time where what is expensive is computed again for each of many uses: by every
read of a flow that another flow is read from, by every pixel and probe of an antialiased sample.
"""

from __future__ import annotations

import keras

from keras_stn.ops.fusing import fused

if keras.backend.backend() == "jax":
    import jax

    def _never(x):
        # False for every number, NaN too; what the compiler does not know is that.
        x = x[:1, :1]
        return ((x < 0) & (x > 0)).any()

    def _through_a_loop(x):
        return jax.lax.while_loop(_never, lambda x: -x, x)

    @jax.custom_jvp
    def _materialized(x):
        return jax.lax.platform_dependent(
            x, cpu=_through_a_loop, default=jax.lax.optimization_barrier
        )

    @_materialized.defjvp
    def _(primals, tangents):
        return _materialized(*primals), tangents[0]

    @fused
    def compute_once(x):
        """`x`, (batch, points, ...), materialized: no consumer recomputes it."""
        return _materialized(x)

    def _through_a_branch(x):
        # XLA fuses nothing across one either; and the transpose of a branch is a branch.
        return jax.lax.cond(_never(jax.lax.stop_gradient(x)), lambda x: -x, lambda x: x, x)

    @fused
    def compute_both_once(x):
        """`x`, (batch, points, ...), and the gradient to it: both materialized."""
        return jax.lax.platform_dependent(
            compute_once(x), cpu=_through_a_branch, default=jax.lax.optimization_barrier
        )

elif keras.backend.backend() == "tensorflow":
    import tensorflow as tf

    # Not in `tf.raw_ops`; jax2tf takes the XLA operations from the same modules. They are not
    # public: where TensorFlow has moved them we do without.
    try:
        from tensorflow.compiler.tf2xla.python import xla
        from tensorflow.compiler.xla import xla_data_pb2
    except ImportError:
        xla = xla_data_pb2 = None
    _context = getattr(getattr(tf, "__internal__", None), "get_enclosing_xla_context", None)

    def inside_xla():
        """Whether what is being traced will be, or may be, compiled by XLA."""
        return not tf.executing_eagerly() if _context is None else _context() is not None

    def _never(x):
        # False for every number, NaN too; what the compiler does not know is that.
        x = x[:1, :1]
        return tf.reduce_any((x < 0) & (x > 0))

    @tf.custom_gradient
    def _materialized(x):
        on_cpus_alone = tf.config.list_logical_devices("CPU") == tf.config.list_logical_devices()
        if on_cpus_alone or xla is None:
            (once,) = tf.while_loop(_never, lambda x: (-x,), (x,))
        else:
            (once,) = xla.optimization_barrier(x)
        return once, lambda upstream: upstream

    def compute_once(x):
        """`x`, (batch, points, ...), materialized: no consumer recomputes it."""
        # Outside XLA TensorFlow never computes a tensor twice.
        return _materialized(x) if inside_xla() else x

    @tf.custom_gradient
    def compute_both_once(x):
        """`x`, (batch, points, ...), and the gradient to it: both materialized."""
        return compute_once(x), compute_both_once

else:

    def compute_once(x):
        """`x`: this backend never computes a tensor twice."""
        return x

    compute_both_once = compute_once
