"""The affine family: matrices, inverses, compositions and points against NumPy's."""

import keras
import numpy as np
import pytest

from keras_stn.transforms import Affine
from tests.backend import to_numpy

AFFINE = Affine()


def thetas(ndim, seed=0, count=5):
    """Random thetas near the identity, and their homogeneous matrices in float64."""
    rng = np.random.default_rng(seed)
    rows = np.eye(ndim, ndim + 1) + 0.25 * rng.normal(size=(count, ndim, ndim + 1))
    rows = rows.astype("float32")
    last = np.broadcast_to(np.eye(ndim + 1)[-1:], (count, 1, ndim + 1))
    return rows.reshape(count, -1), np.concatenate([rows, last], axis=1)


@pytest.fixture(params=[2, 3])
def ndim(request):
    return request.param


def both_forms(theta, ndim):
    """(batch, P) and (batch, n, n + 1)."""
    return [theta, theta.reshape(len(theta), ndim, ndim + 1)]


def rows(matrices):
    return matrices[:, :-1].reshape(len(matrices), -1)


def test_matrix(ndim):
    theta, matrices = thetas(ndim)
    for form in both_forms(theta, ndim):
        np.testing.assert_array_equal(to_numpy(AFFINE.matrix(form)), matrices)


def test_inverse(ndim):
    theta, matrices = thetas(ndim)
    wanted = rows(np.linalg.inv(matrices))
    for form in both_forms(theta, ndim):
        inverse = to_numpy(AFFINE.inverse(form))
        np.testing.assert_allclose(inverse, wanted, rtol=1e-4, atol=1e-4)


def test_inverse_of_a_singular_transform_is_not_finite(ndim):
    theta = np.zeros((1, AFFINE.num_params(ndim)), "float32")
    with np.errstate(divide="ignore", invalid="ignore"):
        inverse = to_numpy(AFFINE.inverse(theta))
    assert not np.isfinite(inverse).any()


def test_compose(ndim):
    outer, outer_matrices = thetas(ndim, seed=1)
    inner, inner_matrices = thetas(ndim, seed=2)
    wanted = rows(outer_matrices @ inner_matrices)
    for a, b in zip(both_forms(outer, ndim), both_forms(inner, ndim), strict=True):
        np.testing.assert_allclose(to_numpy(AFFINE.compose(a, b)), wanted, atol=1e-5)
    assert np.abs(wanted - rows(inner_matrices @ outer_matrices)).max() > 0.1


def test_compose_is_the_outer_after_the_inner(ndim):
    outer, inner = thetas(ndim, seed=1)[0], thetas(ndim, seed=2)[0]
    points = np.random.default_rng(3).uniform(-1, 1, size=(5, 4, ndim)).astype("float32")
    moved = AFFINE.transform_points(outer, AFFINE.transform_points(inner, points))
    composed = AFFINE.transform_points(AFFINE.compose(outer, inner), points)
    np.testing.assert_allclose(to_numpy(composed), to_numpy(moved), atol=1e-5)


def test_the_inverse_undoes(ndim):
    theta, _ = thetas(ndim)
    identity = np.tile(AFFINE.identity(ndim), (len(theta), 1))
    undone = to_numpy(AFFINE.compose(AFFINE.inverse(theta), theta))
    np.testing.assert_allclose(undone, identity, atol=1e-4)


def test_transform_points(ndim):
    theta, matrices = thetas(ndim)
    points = np.random.default_rng(3).uniform(-1, 1, size=(5, 4, ndim)).astype("float32")
    homogeneous = np.concatenate([points, np.ones((5, 4, 1))], axis=-1)
    wanted = np.einsum("bij,bnj->bni", matrices, homogeneous)[..., :-1]
    for form in both_forms(theta, ndim):
        moved = to_numpy(AFFINE.transform_points(form, points))
        np.testing.assert_allclose(moved, wanted, atol=1e-5)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_arithmetic_is_never_below_float32(dtype, ndim):
    theta = keras.ops.cast(thetas(ndim)[0], dtype)
    for result in (AFFINE.matrix(theta), AFFINE.inverse(theta), AFFINE.compose(theta, theta)):
        assert keras.backend.standardize_dtype(result.dtype) == "float32"


def test_thetas_stay_as_they_are(ndim):
    theta, _ = thetas(ndim)
    copy = theta.copy()
    theta.flags.writeable = False
    tensor = keras.ops.convert_to_tensor(theta)
    for form in (theta, tensor):
        AFFINE.matrix(form), AFFINE.inverse(form), AFFINE.compose(form, form)
    np.testing.assert_array_equal(to_numpy(tensor), copy)


@pytest.mark.parametrize("shape", [(2, 5), (6,), (2, 3, 3)])
def test_wrong_theta(shape):
    advice = r"with theta\[None\]\." if len(shape) == 1 else r"Pass 6 numbers for each transform"
    wanted = rf"`theta` must have shape \(batch, 6\).*Received: theta.shape=.*{advice}"
    with pytest.raises(ValueError, match=wanted):
        AFFINE.inverse(np.zeros(shape, "float32"))


@pytest.mark.parametrize("shape", [(2, 4), (2, 4, 4), (4, 2)])
def test_wrong_points(shape):
    wanted = r"(?s)`points` must have shape \(batch, N, 2\).*Received: .*Put \(x, y\)"
    with pytest.raises(ValueError, match=wanted):
        AFFINE.transform_points(thetas(2)[0][:2], np.zeros(shape, "float32"))
