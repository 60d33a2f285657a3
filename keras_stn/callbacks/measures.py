"""Numbers that tell how a localizer is. In NumPy: of a small batch, once an epoch."""

from __future__ import annotations

import numpy as np
from keras import ops

from keras_stn.regularizers import outside_share


def areas(lattice, identity):
    """The share of the image's area, or volume, that each crop covers, (batch, K).

    What is folded over counts as often as it is covered. NaN where the lattice is not finite.
    """
    whole = np.abs(_determinants(identity)).mean()
    cells = np.abs(_determinants(lattice))
    return cells.mean(axis=tuple(range(2, cells.ndim))) / whole


def _determinants(lattice):
    """The determinant of each cell of lattices (..., *size, n), from the edges at its corner."""
    n = lattice.shape[-1]
    axes = range(lattice.ndim - 1 - n, lattice.ndim - 1)
    corner = [slice(None)] * (lattice.ndim - 1 - n) + [slice(-1)] * n
    edges = []
    for axis in axes:
        others = [*corner]
        others[axis] = slice(None)  # differences are one less already
        edges.append(np.diff(lattice.astype("float64"), axis=axis)[tuple(others)])
    # det of NaN is NaN, but LAPACK says so aloud.
    with np.errstate(invalid="ignore", over="ignore"):
        return np.linalg.det(np.stack(edges, axis=-2))


def outside(grid):
    """The share of the samples outside the image, (K,): the mean over the images."""
    flat = grid.reshape(-1, *grid.shape[2:])
    share = ops.convert_to_numpy(outside_share(ops.convert_to_tensor(flat)))
    return share.reshape(grid.shape[:2]).mean(axis=0)


def norm(gradients):
    """The Euclidean norm of arrays together; what the loss does not depend on counts as 0."""
    squares = [np.sum(np.square(g.astype("float64"))) for g in gradients if g is not None]
    return float(np.sqrt(np.sum(squares)))
