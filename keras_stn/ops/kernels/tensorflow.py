"""The sampler on TensorFlow: under XLA with derivatives in closed form, else op by op.

docs/performance.md tells what each choice gains.
"""

from __future__ import annotations

import functools
import itertools
import operator

import tensorflow as tf
from keras import ops

from keras_stn.ops.kernels import portable
from keras_stn.ops.kernels.barrier import compute_once, inside_xla, xla, xla_data_pb2
from keras_stn.ops.kernels.taps import is_zero, taps
from keras_stn.ops.kernels.windows import covers, windows

# Up to this many channels, all corners of a window travel as the channels of one pixel.
MAX_PACKED_CHANNELS = 4


def take(pixels, indices, shape, salt=0):
    """Same meaning as `portable.take`.

    Under XLA, gathers of different `salt` are never merged: each is then fused into the sum that
    uses it, where a shared one would be written to memory and read back.
    """
    index = portable.flat_index(indices, shape)
    if salt and xla is not None:
        (barrier,) = xla.optimization_barrier(tf.constant(salt, index.dtype))
        index = index + (barrier - salt)
    return _take(pixels, index)


@tf.custom_gradient
def _take(pixels, index):
    def backward(upstream):
        # TensorFlow's own gradient of a gather makes a scatter, twice as slow on a CPU.
        return _sum_by_index(upstream, index, tf.shape(pixels, index.dtype)[0]), None

    return tf.gather_nd(pixels, index[..., None]), backward


def _sum_by_index(values, index, count):
    """(count, channels): the sum of the `values`, (batch, points, channels), of each index."""
    values = tf.reshape(values, (-1, tf.shape(values)[-1]))
    return tf.math.unsorted_segment_sum(values, tf.reshape(index, (-1,)), count)


def interpolate(images, axes, *, interpolation, fill_mode):
    """Same meaning as `portable.interpolate`."""
    modes = {"interpolation": interpolation, "fill_mode": fill_mode}
    if inside_xla():
        return _interpolate(images, _for_all(images, axes), (0,) * len(axes), modes)
    return portable.interpolate(images, axes, read=take, **modes)


def _for_all(images, axes):
    """`axes`, (batch, points), repeated for each of the images if they are those of one grid."""
    batch, grid_batch = images.shape[0], axes[0].shape[0]
    if batch == 1 or (batch is not None and batch == grid_batch):
        return axes
    shape = tf.shape(axes[0])
    batch = tf.broadcast_dynamic_shape(tf.shape(images)[:1], shape[:1])
    return [tf.broadcast_to(x, tf.concat([batch, shape[1:]], 0)) for x in axes]


def _interpolate(images, axes, orders, modes):
    """`axes` are as many as the images, or those are one."""

    @tf.custom_gradient
    def forward(images, *axes):
        def backward(upstream):
            to_images = _spread(upstream, axes, ops.shape(images), images.shape, orders, modes)
            to_axes = _to_axes(upstream, images, axes, orders, modes)
            return tf.cast(to_images, images.dtype), *to_axes

        salt = functools.reduce(lambda salt, order: 4 * salt + order, orders, 0)
        read = functools.partial(take, salt=salt)
        return portable.interpolate(images, axes, orders=orders, read=read, **modes), backward

    return forward(images, *axes)


def _to_axes(upstream, images, axes, orders, modes):
    """The gradient to each coordinate: upstream times a sampler's derivative, summed."""
    gradients = []
    for axis, x in enumerate(axes):
        higher = tuple(order + (i == axis) for i, order in enumerate(orders))
        if is_zero(modes["interpolation"], higher):
            gradients.append(tf.zeros_like(x))
        else:
            slope = _interpolate(images, axes, higher, modes)
            # Once: else XLA reads every pixel again for each element of theta.
            gradients.append(compute_once(tf.reduce_sum(upstream * slope, axis=-1)))
    return gradients


def _spread(samples, axes, shape, static_shape, orders, modes):
    """The adjoint of `_interpolate`: adds each sample to the pixels that it was read from."""
    scatter = _spread_taps
    if covers(*modes.values(), orders) and None not in static_shape[1:] and static_shape[0] != 0:
        if static_shape[-1] <= MAX_PACKED_CHANNELS:
            scatter = _spread_packed
        elif xla is not None:
            scatter = _spread_windows

    @tf.custom_gradient
    def forward(samples, *axes):
        def backward(upstream):
            to_samples = _interpolate(upstream, axes, orders, modes)
            return to_samples, *_to_axes(samples, upstream, axes, orders, modes)

        # It computes indices and weights in different loops.
        once = [compute_once(x) for x in axes]
        images = scatter(samples, once, shape, orders, modes)
        return tf.ensure_shape(tf.reshape(images, shape), static_shape), backward

    return forward(samples, *axes)


def _spread_taps(samples, axes, shape, orders, modes):
    total = 0.0
    for corner in itertools.product(
        *(
            taps(x, size, order=order, **modes)
            for x, size, order in zip(axes, shape[1:-1], orders, strict=True)
        )
    ):
        weight = functools.reduce(operator.mul, (weight for _, weight in corner))
        index = portable.flat_index([index for index, _ in corner], shape)
        total += _sum_by_index(weight[..., None] * samples, index, _count(shape))
    return total


def _count(shape):
    """The number of pixels, in the dtype of their indices, of images of this `shape`."""
    dtype = portable.index_dtype(shape)
    return functools.reduce(operator.mul, (tf.cast(size, dtype) for size in shape[:-1]))


def _weighted(samples, weights):
    """Samples (batch, points, channels), once for each of the weights (batch, points, *window)."""
    for _ in weights.shape[2:]:
        samples = samples[:, :, None]
    return weights[..., None] * samples


def _spread_packed(samples, axes, shape, orders, modes):
    batch, *sizes, channels = shape
    starts, window, weights = windows(axes, sizes)
    updates = _weighted(samples, weights)
    updates = tf.reshape(updates, (*tf.unstack(tf.shape(samples))[:2], -1))
    packed = _sum_by_index(updates, portable.flat_index(starts, shape), _count(shape))
    packed = tf.reshape(packed, (batch, *sizes, -1, channels))
    total = 0.0
    for corner, offsets in enumerate(itertools.product(*map(range, window))):
        # Windows are clipped to the image: those that would move out of it hold nothing.
        inner = [slice(0, size - by) for size, by in zip(sizes, offsets, strict=True)]
        moved = packed[(slice(None), *inner, corner)]
        total += tf.pad(moved, [(0, 0), *((by, 0) for by in offsets), (0, 0)])
    return total


def _spread_windows(samples, axes, shape, orders, modes):
    batch, *sizes, channels = shape
    starts, window, weights = windows(axes, sizes)
    updates = _weighted(samples, weights)
    # The first axis of the image and that of the batch as one.
    first = portable.flat_index(starts[:1], (batch, sizes[0], 1))
    starts = tf.stack([first, *(tf.cast(start, first.dtype) for start in starts[1:])], axis=-1)
    numbers = xla_data_pb2.ScatterDimensionNumbers(
        update_window_dims=range(1, 2 + len(window)),
        scatter_dims_to_operand_dims=range(len(window)),
        index_vector_dim=1,
    )
    scalar = tf.TensorSpec((), samples.dtype)
    return xla.scatter(
        tf.zeros((batch * sizes[0], *sizes[1:], channels), samples.dtype),
        tf.reshape(starts, (-1, len(window))),
        tf.reshape(updates, (-1, *window, channels)),
        tf.function(operator.add, autograph=False).get_concrete_function(scalar, scalar),
        numbers,
    )


@tf.custom_gradient
def _depends_on(grid, samples):
    """`samples`, with a gradient to `grid`: zero, where TensorFlow would find none."""
    return tf.identity(samples), lambda upstream: (tf.zeros_like(grid), upstream)


def sample(images, grid, **options):
    """Same arguments and meaning as `portable.sample`."""
    samples = portable.sample(images, grid, interpolate=interpolate, read=take, **options)
    if not samples.dtype.is_floating:
        return samples
    if options["interpolation"] == "nearest":
        samples = _depends_on(grid, samples)
    # Else a sampler that reads these computes each of them for every read.
    return compute_once(samples)
