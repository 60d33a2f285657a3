"""TensorFlow, under XLA and as a plain graph: the sampler that its users copy, and Keras."""

import functools

import keras
import tensorflow as tf

from keras_stn import ops
from tests.benchmarks.cases import pixel_matrices


def contestants(shape, arrays):
    """{name: {task: function}} for one shape, under XLA and without."""
    images, theta, upstream = (tf.constant(array) for array in arrays)
    sizes = shape[1:-1]

    def ours(images, theta):
        return ops.grid_sample(images, ops.affine_grid(theta, sizes), data_format="channels_last")

    found = {}
    for mode, jit_compile in (("tensorflow XLA", True), ("tensorflow graph", False)):
        options = {"images": images, "upstream": upstream, "jit_compile": jit_compile}
        found[mode] = {"ours": tasks(ours, theta, **options)}
        if len(sizes) == 2:
            found[mode]["four gather_nd"] = tasks(four_gather_nd, theta, **options)
            if not jit_compile:  # XLA has no kernel for it
                found[mode]["keras affine_transform"] = {"forward": by_keras(images, arrays[1])}
    return found


def by_keras(images, theta):
    """Keras's own warp, as a graph."""
    rows = tf.constant(pixel_matrices(theta, images.shape[1:-1]).reshape(-1, 9)[:, :8])
    warp = functools.partial(keras.ops.image.affine_transform, data_format="channels_last")
    return functools.partial(tf.function(warp), images, rows)


def four_gather_nd(images, theta):
    """The sampler of the TensorFlow tutorials, by their steps: grid, floor, clip, four gathers.

    Its weights come from the clipped corners, so it is wrong at the last row and column, and has
    no value for what lies outside; none of that is mended here.
    """
    batch, height, width, _ = images.shape
    x, y = tf.meshgrid(tf.linspace(-1.0, 1.0, width), tf.linspace(-1.0, 1.0, height))
    points = tf.stack([tf.reshape(x, [-1]), tf.reshape(y, [-1]), tf.ones([height * width])])
    source = tf.matmul(theta, tf.tile(points[None], [batch, 1, 1]))
    source = tf.reshape(source, [batch, 2, height, width])
    x = 0.5 * (source[:, 0] + 1.0) * (width - 1)
    y = 0.5 * (source[:, 1] + 1.0) * (height - 1)
    x0 = tf.cast(tf.floor(x), "int32")
    y0 = tf.cast(tf.floor(y), "int32")
    x0, x1 = (tf.clip_by_value(i, 0, width - 1) for i in (x0, x0 + 1))
    y0, y1 = (tf.clip_by_value(i, 0, height - 1) for i in (y0, y0 + 1))
    which = tf.tile(tf.range(batch)[:, None, None], [1, height, width])

    def pixels(x, y):
        return tf.gather_nd(images, tf.stack([which, y, x], axis=-1))

    corners = [pixels(x0, y0), pixels(x0, y1), pixels(x1, y0), pixels(x1, y1)]
    x0, x1, y0, y1 = (tf.cast(i, "float32") for i in (x0, x1, y0, y1))
    weights = [(x1 - x) * (y1 - y), (x1 - x) * (y - y0), (x - x0) * (y1 - y), (x - x0) * (y - y0)]
    return tf.add_n([w[..., None] * c for w, c in zip(weights, corners, strict=True)])


def tasks(warp, theta, *, images, upstream, jit_compile):
    """The three tasks of one way to warp."""

    def gradient(wants_images, theta, images, upstream):
        inputs = [theta, images] if wants_images else [theta]
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            loss = tf.reduce_sum(warp(images, theta) * upstream)
        return tape.gradient(loss, inputs)

    forward = tf.function(warp, jit_compile=jit_compile)
    to_theta, to_both = (
        tf.function(functools.partial(gradient, wants), jit_compile=jit_compile)
        for wants in (False, True)
    )
    return {
        "forward": functools.partial(forward, images, theta),
        "d theta": functools.partial(to_theta, theta, images, upstream),
        "d theta + image": functools.partial(to_both, theta, images, upstream),
    }
