"""Computes the same seeded cases on the active backend: `python -m tests.agreement.cases FILE`.

Values, and gradients to images and theta, of one warp a case; FILE is an `.npz` of float arrays.
"""

import sys

# Loaded before TensorFlow: `tests.backend` may import either.
from tests.oracle import torch  # noqa: F401  # isort: skip
import numpy as np

from keras_stn import ops
from tests import reference
from tests.backend import BACKEND, compiled, gradients, to_numpy
from tests.selection import XLA

OUTPUT_SIZES = {2: (6, 7), 3: (3, 4, 5)}
CASES = [  # in each number of axes every fill mode, and both values of align_corners with each
    (ndim, fill_mode, (index + ndim) % 2 == 0)
    for ndim in (2, 3)
    for index, fill_mode in enumerate(reference.FILL_MODES)
]


def name(ndim, fill_mode, align_corners):
    """A case's name in the file."""
    return f"{ndim}d-{fill_mode}-{'centres' if align_corners else 'edges'}"


def inputs(ndim):
    """Seeded images, thetas (both float32) and the gradient that comes from above."""
    rng = np.random.default_rng(ndim)
    image = rng.normal(size=(2, *(5, 6, 4)[:ndim], 3))
    theta = np.eye(ndim, ndim + 1).ravel() + rng.uniform(-0.5, 0.5, (2, ndim * (ndim + 1)))
    upstream = rng.normal(size=(2, *OUTPUT_SIZES[ndim], 3))
    return [array.astype("float32") for array in (image, theta, upstream)]


def compute(ndim, fill_mode, align_corners):
    """Every result of one case, by name."""
    image, theta, upstream = inputs(ndim)

    def warp(image, theta):
        grid = ops.affine_grid(theta, OUTPUT_SIZES[ndim], align_corners=align_corners)
        return ops.grid_sample(
            image,
            grid,
            fill_mode=fill_mode,
            fill_value=0.25,
            align_corners=align_corners,
            data_format="channels_last",
        )

    # Half of what XLA can compile is compiled, the other half runs eagerly: either takes long.
    compile = BACKEND in XLA and align_corners
    variant = "compiled" if compile else "eager"
    results = {f"{variant}/values": (compiled(warp) if compile else warp)(image, theta)}
    if BACKEND != "numpy":
        found = gradients(warp, image, theta, upstream=upstream, compile=compile)
        results[f"{variant}/to_image"], results[f"{variant}/to_theta"] = found
    if BACKEND == "torch":
        from keras_stn.ops import kernels
        from keras_stn.ops.kernels import portable

        native, kernels.sample = kernels.sample, portable.sample
        results["portable/values"] = warp(image, theta)
        found = gradients(warp, image, theta, upstream=upstream, compile=False)
        results["portable/to_image"], results["portable/to_theta"] = found
        kernels.sample = native
    return {key: to_numpy(value) for key, value in results.items()}


def main(path):
    """Writes all cases to `path`."""
    results = {}
    for case in CASES:
        for key, value in compute(*case).items():
            results[f"{name(*case)}/{key}"] = value
    np.savez(path, **results)


if __name__ == "__main__":
    main(sys.argv[1])
