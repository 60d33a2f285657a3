"""JAX, everything under `jit`: `map_coordinates`, dm-pix, Keras."""

import functools

import dm_pix
import jax
import jax.numpy as jnp
import keras

from keras_stn import ops
from tests.benchmarks.cases import pixel_matrices


def contestants(shape, arrays):
    """{name: {task: function}} for one shape."""
    images, theta, upstream = (jnp.asarray(array) for array in arrays)
    sizes = shape[1:-1]

    def ours(images, theta):
        return ops.grid_sample(images, ops.affine_grid(theta, sizes), data_format="channels_last")

    # Pixel coordinates as an expert would write them for `map_coordinates`: all that differs
    # from ours is the sampler.
    def by_map_coordinates(images, theta):
        grid = ops.affine_grid(theta, sizes)
        axes = [(grid[..., -1 - axis] + 1) * ((size - 1) / 2) for axis, size in enumerate(sizes)]
        one = functools.partial(jax.scipy.ndimage.map_coordinates, order=1, mode="constant")
        channels = jax.vmap(one, (-1, None), -1)
        return jax.vmap(channels)(images, axes)

    found = {"ours": tasks(ours, images, theta, upstream)}
    found["jax map_coordinates, vmapped"] = tasks(by_map_coordinates, images, theta, upstream)
    if len(sizes) == 2:
        matrices = pixel_matrices(arrays[1], sizes)
        # dm-pix counts (row, column, channel).
        order = [1, 0]
        rotations = jnp.asarray(matrices[:, order][:, :, order])
        offsets = jnp.asarray(matrices[:, order, 2])

        def by_dm_pix(images, parameters):
            def one(image, rotation, offset):
                matrix = jnp.zeros((4, 4)).at[:2, :2].set(rotation).at[:2, 3].set(offset)
                matrix = matrix.at[2, 2].set(1).at[3, 3].set(1)
                return dm_pix.affine_transform(image, matrix, order=1, mode="constant")

            return jax.vmap(one)(images, *parameters)

        found["dm-pix affine_transform"] = tasks(by_dm_pix, images, (rotations, offsets), upstream)
        rows = jnp.asarray(matrices.reshape(-1, 9)[:, :8])
        by_keras = jax.jit(
            functools.partial(keras.ops.image.affine_transform, data_format="channels_last")
        )
        found["keras affine_transform"] = {
            "forward": lambda: jax.block_until_ready(by_keras(images, rows))
        }
    return {"jax jit": found}


def tasks(warp, images, theta, upstream):
    """The three tasks of one way to warp."""

    def loss(theta, images, upstream):
        return jnp.sum(warp(images, theta) * upstream)

    forward = jax.jit(warp)
    to_theta, to_both = jax.jit(jax.grad(loss)), jax.jit(jax.grad(loss, (0, 1)))
    return {
        "forward": lambda: jax.block_until_ready(forward(images, theta)),
        "d theta": lambda: jax.block_until_ready(to_theta(theta, images, upstream)),
        "d theta + image": lambda: jax.block_until_ready(to_both(theta, images, upstream)),
    }
