"""`affine_grid` against the formula in float64, at thetas that no one would choose."""

import functools

import numpy as np
from hypothesis import strategies as st

from keras_stn import ops
from tests import reference
from tests.backend import to_numpy, traced
from tests.fuzz.inputs import special

SIZES = [(1, 1), (1, 7), (5, 1), (3, 4), (2, 150), (2, 3, 4), (1, 3, 1), (5, 1, 2)]
HUGE = 1e37  # within a factor, of a sum's terms, of what float32 can hold


@functools.cache
def generator(size, align_corners):
    """`affine_grid`, the same function for the same options."""
    return traced(lambda theta: ops.affine_grid(theta, size, align_corners=align_corners))


@st.composite
def cases(draw):
    """An output size, `align_corners`, the form of theta, and two thetas, one of them wild."""
    size = draw(st.sampled_from(SIZES))
    count = len(size) * (len(size) + 1)
    theta = [
        draw(st.lists(numbers, min_size=count, max_size=count))
        for numbers in (st.floats(-2, 2, width=32), special)
    ]
    return size, draw(st.booleans()), draw(st.booleans()), theta


def check(case):
    """Raises `AssertionError` where the backend and the oracle differ."""
    size, align_corners, as_matrix, theta = case
    ndim = len(size)
    theta = np.array(theta, "float32")
    rows = theta.reshape(2, ndim, ndim + 1)
    grid = to_numpy(generator(size, align_corners)(rows if as_matrix else theta))
    assert grid.dtype == "float32"
    assert grid.shape == (2, *size, ndim)
    with np.errstate(invalid="ignore"):
        expected = reference.affine_grid(theta, size, align_corners)
    # The sum of the magnitudes of all terms: rounding is relative to it.
    magnitude = np.abs(rows.astype("float64")).sum(axis=-1)
    for image, coordinate in np.ndindex(2, ndim):
        found, wanted = grid[image, ..., coordinate], expected[image, ..., coordinate]
        if not np.isfinite(magnitude[image, coordinate]):
            assert not np.isfinite(found).any()
        elif magnitude[image, coordinate] < HUGE:
            tolerance = 1e-6 * magnitude[image, coordinate] + 1e-30
            np.testing.assert_allclose(found, wanted, rtol=0, atol=tolerance)
