"""torch: its own two functions as written by hand, kornia, Keras; all on the same tensors.

On a GPU where there is one, as Keras does.
"""

import keras
import kornia
import numpy as np
import torch
import torch.nn.functional as F

from keras_stn import ops
from tests.benchmarks.cases import pixel_matrices


def contestants(shape, arrays):
    """{name: {task: function}} for one shape."""
    device = keras.ops.zeros(()).device
    # Channels first for everyone: it is the layout of torch.
    images, theta, upstream = (torch.tensor(array, device=device) for array in arrays)
    images, upstream = (x.movedim(-1, 1).contiguous() for x in (images, upstream))
    sizes = shape[1:-1]

    def ours(images, theta):
        return ops.grid_sample(images, ops.affine_grid(theta, sizes), data_format="channels_first")

    def native(images, theta):
        grid = F.affine_grid(theta, images.shape, align_corners=True)
        return F.grid_sample(images, grid, align_corners=True)

    found = {"ours": tasks(ours, images, theta, upstream)}
    found["torch F.affine_grid + F.grid_sample"] = tasks(native, images, theta, upstream)
    if len(sizes) == 2:
        matrices = pixel_matrices(arrays[1], sizes)
        inverse = np.linalg.inv(matrices)[:, :2].astype("float32")
        inverse = torch.tensor(inverse, device=device)

        def by_kornia(images, inverse):
            return kornia.geometry.transform.warp_affine(images, inverse, sizes, align_corners=True)

        found["kornia warp_affine"] = tasks(by_kornia, images, inverse, upstream)
        rows = torch.tensor(matrices.reshape(-1, 9)[:, :8], device=device)

        def by_keras(images, rows):
            # It writes into the transforms that it is given.
            return keras.ops.image.affine_transform(
                images, rows.clone(), data_format="channels_first"
            )

        forward = tasks(by_keras, images, rows, upstream)["forward"]
        found["keras affine_transform"] = {"forward": forward}
    return {"torch": found}


def finished():
    """Waits for the GPU, if there is one."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def tasks(warp, images, theta, upstream):
    """The three tasks of one way to warp."""

    def forward():
        with torch.no_grad():
            warp(images, theta)
        finished()

    def backward(wants_images):
        inputs = [theta.detach().requires_grad_(True)]
        source = images.detach()
        if wants_images:
            inputs.append(source.requires_grad_(True))
        torch.autograd.grad(warp(source, inputs[0]), inputs, upstream)
        finished()

    return {
        "forward": forward,
        "d theta": lambda: backward(False),
        "d theta + image": lambda: backward(True),
    }
