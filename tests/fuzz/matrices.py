"""Families whose transforms are matrices: points, grids, products and inverses against NumPy's."""

import functools

import numpy as np
from hypothesis import strategies as st

from keras_stn.transforms import Affine, Projective
from tests import reference
from tests.backend import to_numpy, traced
from tests.fuzz.inputs import seeds
from tests.transforms import test_projective
from tests.transforms.cases import CASES, homogeneous, points
from tests.transforms.test_matrix_families import oracle_matrices

SIZES = {2: [(5, 8), (1, 4), (3, 1)], 3: [(3, 5, 4), (1, 2, 3)]}
MATRICES = [(family, ndim) for family, ndim in CASES if hasattr(family, "_sides")]
MATRICES += [(Projective(), 2), (Projective(), 3)]
# Rounding, relative to the sum of the magnitudes of a product's terms.
TOLERANCE = 2e-5
# Matrices with a larger ratio of singular values are not inverted.
CONDITION = 100.0


@functools.cache
def methods(family, size, align_corners):
    """All that a family can do, the same function for the same arguments."""

    def run(outer, inner, places):
        return (
            family.matrix(outer),
            family.transform_points(outer, places),
            family.grid(outer, size, align_corners=align_corners),
            family.matrix(family.compose(outer, inner)),
            family.matrix(family.inverse(outer)),
        )

    return traced(run)


@st.composite
def cases(draw):
    """A family, an output size, `align_corners`, two thetas less the identity, and a seed."""
    family, ndim = draw(st.sampled_from(MATRICES))
    numbers = st.one_of(st.just(0.0), st.floats(-2, 2, width=32), st.floats(-40, 40, width=32))
    count = family.num_params(ndim)
    offsets = [draw(st.lists(numbers, min_size=count, max_size=count)) for _ in range(2)]
    size = draw(st.sampled_from(SIZES[ndim]))
    return family, ndim, size, draw(st.booleans()), offsets, draw(seeds)


def matrices(family, theta, ndim):
    """Homogeneous matrices, float64."""
    theta = np.asarray(theta, "float64")
    if isinstance(family, Projective):
        return test_projective.matrices(theta, ndim)
    if isinstance(family, Affine):
        last = np.broadcast_to(np.eye(ndim + 1)[-1:], (len(theta), 1, ndim + 1))
        return np.concatenate([theta.reshape(-1, ndim, ndim + 1), last], axis=1)
    return oracle_matrices(family, theta, ndim)


def check(case):
    """Raises `AssertionError` where the backend and NumPy differ."""
    family, ndim, size, align_corners, offsets, seed = case
    outer, inner = (
        (family.identity(ndim) + np.array([offset], "float32")).astype("float32")
        for offset in offsets
    )
    places = points(ndim, batch=1, seed=seed)
    run = methods(family, size, align_corners)
    with np.errstate(all="ignore"):  # where a matrix has no inverse
        found = [to_numpy(result) for result in run(outer, inner, places)]
    matrix, moved, grid, composed, inverse = found
    one, two = (matrices(family, theta, ndim) for theta in (outer, inner))
    assert_near(matrix, one, np.abs(one).max())
    check_points(moved, one, places)
    # In a grid, the sides are those of the output unless the family has its own.
    sides = [max(n - align_corners, 1) for n in size]
    targets = reference.identity_grid(size, align_corners).reshape(1, -1, ndim)
    on_grid = matrices(family.with_extent(sides), outer, ndim)
    check_points(grid.reshape(1, -1, ndim), on_grid, targets)
    # What has no last entry to divide by is no matrix of the family.
    terms = np.abs(one) @ np.abs(two)
    product = one @ two
    if np.abs(product[0, -1, -1]) > 0.05 * terms[0, -1, -1]:
        last = np.abs(product[0, -1, -1])
        scale = terms.max() / last
        assert_near(
            composed, product / product[:, -1:, -1:], scale * max(terms[0, -1, -1] / last, 1)
        )
    condition = np.linalg.cond(one)[0]
    if condition < CONDITION:
        wanted = np.linalg.inv(one)
        last, largest = np.abs(wanted[0, -1, -1]), np.abs(wanted).max()
        if last > 0.05 * largest:
            assert_near(inverse, wanted / wanted[:, -1:, -1:], condition * (largest / last) ** 2)


def check_points(moved, matrix, places):
    """Moved points, where the horizon is not near."""
    ones = np.ones((*places.shape[:-1], 1))
    terms = np.concatenate([np.abs(places), ones], axis=-1) @ np.abs(matrix[0]).T
    denominators = np.concatenate([places, ones], axis=-1) @ matrix[0, -1]
    clear = np.abs(denominators) > 0.05 * terms[..., -1]
    wanted = homogeneous(matrix, places)
    scale = terms.max() / np.abs(denominators) * (terms[..., -1] / np.abs(denominators))
    assert moved.shape == wanted.shape
    error = np.abs(moved - wanted).max(axis=-1) / scale
    assert (error[clear] < TOLERANCE).all(), (error[clear].max(), moved, wanted)


def assert_near(found, wanted, scale):
    """Equal up to rounding, which is relative to `scale`."""
    np.testing.assert_allclose(found, wanted, rtol=0, atol=TOLERANCE * max(scale, 1.0))
