"""What is measured: shapes, inputs and the three tasks."""

import numpy as np

# (batch, *sizes, channels)
SHAPES = {
    "256×32×32×1": (256, 32, 32, 1),
    "64×64×64×32": (64, 64, 64, 32),
    "16×224×224×3": (16, 224, 224, 3),
    "8×512×512×3": (8, 512, 512, 3),
    "4×32×64×64×4": (4, 32, 64, 64, 4),
}
TASKS = ("forward", "d theta", "d theta + image")
MEMORY_SHAPE = "16×224×224×3"
LAYER_SHAPE = "256×32×32×1"


def enlarged(times):
    """`SHAPES` with so many times the batch: what keeps an accelerator busy."""
    found = {}
    for batch, *rest in SHAPES.values():
        shape = (times * batch, *rest)
        found["×".join(map(str, shape))] = shape
    return found


def inputs(shape):
    """Seeded images, thetas and the gradient that comes from above; channels last, float32.

    The thetas zoom in a little, turn and shift, each image its own way; a few samples lie outside.
    """
    rng = np.random.default_rng(0)
    ndim = len(shape) - 2
    theta = 0.85 * np.eye(ndim, ndim + 1) + rng.uniform(-0.15, 0.15, (shape[0], ndim, ndim + 1))
    images, upstream = rng.uniform(size=shape), rng.normal(size=shape)
    return [array.astype("float32") for array in (images, theta, upstream)]


def pixel_matrices(theta, sizes):
    """The 3 by 3 matrices of 2-D thetas in pixels, (x, y, 1), target to source."""
    to_pixels = np.eye(3)
    for i, size in enumerate(reversed(sizes)):
        to_pixels[i] = (0, 0, (size - 1) / 2)
        to_pixels[i, i] = (size - 1) / 2
    matrices = np.tile(np.eye(3), (len(theta), 1, 1))
    matrices[:, :2] = theta
    return (to_pixels @ matrices @ np.linalg.inv(to_pixels)).astype("float32")
