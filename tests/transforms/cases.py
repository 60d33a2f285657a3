"""Every family that the library has, and thetas of it, for the tests of the families."""

import keras
import numpy as np

from keras_stn.transforms import (
    Affine,
    Attention,
    Diffeomorphic,
    Displacement,
    Projective,
    Rotation,
    Similarity,
    ThinPlateSpline,
    Translation,
)
from tests.backend import dtype_name, float64, to_numpy, traced

# For images whose sides differ, and volumes.
SIZES = {2: (5, 8), 3: (3, 5, 4)}
# Each with the numbers of spatial axes to test it with.
FAMILIES = [
    (Translation(), (2, 3)),
    (Rotation(), (2, 3)),
    (Rotation(extent=(4, 7.5)), (2,)),
    (Rotation(extent=(2, 4, 3)), (3,)),
    (Attention(), (2, 3)),
    (Similarity(), (2, 3)),
    (Similarity(extent=(4, 7.5)), (2,)),
    (Similarity(extent=(2, 4, 3)), (3,)),
    (Affine(), (2, 3)),
    (Projective(), (2, 3)),
    (ThinPlateSpline(), (2,)),
    (ThinPlateSpline(control_points=(2, 5)), (2,)),
    (Displacement(), (2, 3)),
    (Displacement(control_points=(3, 4)), (2,)),
    (Displacement(control_points=3, units="pixels", extent=(4, 7.5)), (2,)),
    (Displacement(control_points=(2, 4, 3), units="pixels", extent=(2, 4, 3)), (3,)),
    (Diffeomorphic(control_points=3, squarings=2), (2, 3)),
    (Diffeomorphic(control_points=(4, 3), squarings=1), (2,)),
]
CASES = [(family, ndim) for family, ndims in FAMILIES for ndim in ndims]


def thetas(family, ndim=2, batch=2, spread=0.1, seed=0):
    """Seeded thetas around the identity, float32."""
    noise = np.random.default_rng(seed).normal(0, spread, (batch, family.num_params(ndim)))
    return (family.identity(ndim) + noise).astype("float32")


def points(ndim=2, batch=2, count=20, reach=1.2, seed=1):
    """Seeded normalized points in and a little around the image, float32."""
    uniform = np.random.default_rng(seed).uniform(-reach, reach, (batch, count, ndim))
    return uniform.astype("float32")


def run(fn, *arrays):
    """`fn` of arrays, each in its own dtype, as a NumPy array."""
    with float64():
        tensors = [keras.ops.convert_to_tensor(a, dtype=dtype_name(a)) for a in arrays]
        return to_numpy(traced(fn)(*tensors))


def homogeneous(matrices, places):
    """Places (batch, N, n) moved by matrices (batch, n + 1, n + 1), in float64."""
    ones = np.ones((*places.shape[:-1], 1))
    moved = np.einsum("bij,bnj->bni", matrices, np.concatenate([places, ones], axis=-1))
    return moved[..., :-1] / moved[..., -1:]
