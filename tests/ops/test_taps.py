"""The weights of the pixels around a coordinate, and their derivatives of every order."""

import keras
import numpy as np
import pytest

from keras_stn.ops.kernels.taps import taps
from tests.backend import to_numpy

SIZE, STEP = 9, 2e-2


def weights(x, interpolation, order):
    """Of the taps at `x`, (taps, len(x))."""
    x = keras.ops.convert_to_tensor(x[None], dtype="float32")
    found = taps(x, SIZE, interpolation=interpolation, fill_mode="nearest", order=order)
    return np.concatenate([to_numpy(weight) for _, weight in found])


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
def test_each_derivative_is_the_slope_of_the_one_before(interpolation):
    x = np.array([3.1, 4.25, 5.5, 5.9], "float32")
    for order in range(6):
        after, before = (weights(x + step, interpolation, order) for step in (STEP, -STEP))
        slope = (after - before) / (2 * STEP)
        np.testing.assert_allclose(weights(x, interpolation, order + 1), slope, atol=1e-3)
    assert not slope.any()
    # The sum is 1 everywhere, so that a constant image stays constant.
    np.testing.assert_allclose(weights(x, interpolation, 0).sum(axis=0), 1.0, atol=1e-6)
