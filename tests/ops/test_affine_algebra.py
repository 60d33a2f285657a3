"""Affine transforms composed, inverted and applied to points agree with matrices and with grids."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from keras_stn import ops
from keras_stn.transforms import Affine
from tests import reference
from tests.backend import assert_close, to_numpy
from tests.ops.inputs import images

both_ndims = pytest.mark.parametrize("ndim", [2, 3])


def thetas(rng, ndim, batch=3):
    """Invertible transforms: never far from the identity. Three, as many as a volume's axes."""
    return (Affine().identity(ndim) + rng.uniform(-0.3, 0.3, (batch, ndim * (ndim + 1)))).astype(
        "float32"
    )


def matrices(theta, ndim):
    """Homogeneous matrices, in float64."""
    rows = theta.astype("float64").reshape(-1, ndim, ndim + 1)
    last = np.broadcast_to(np.eye(ndim + 1)[-1:], (len(rows), 1, ndim + 1))
    return np.concatenate([rows, last], axis=1)


@both_ndims
def test_identity(ndim):
    identity = Affine().identity(ndim)
    assert identity.dtype == "float32"
    assert len(identity) == Affine().num_params(ndim) == ndim * (ndim + 1)
    assert matrices(identity, ndim)[0].tolist() == np.eye(ndim + 1).tolist()


@both_ndims
def test_matrix(ndim, rng):
    theta = thetas(rng, ndim)
    assert_close(Affine().matrix(theta), matrices(theta, ndim))
    assert_close(Affine().matrix(theta.reshape(-1, ndim, ndim + 1)), matrices(theta, ndim))


@both_ndims
def test_compose_is_the_product_of_the_matrices(ndim, rng):
    outer, inner = thetas(rng, ndim), thetas(rng, ndim)
    expected = matrices(outer, ndim) @ matrices(inner, ndim)
    composed = Affine().compose(outer, inner)
    assert tuple(composed.shape) == outer.shape
    assert_close(Affine().matrix(composed), expected)


@both_ndims
def test_inverse_is_the_inverse_matrix(ndim, rng):
    theta = thetas(rng, ndim)
    inverse = Affine().inverse(theta)
    assert tuple(inverse.shape) == theta.shape
    assert_close(Affine().matrix(inverse), np.linalg.inv(matrices(theta, ndim)), scale=3)


@both_ndims
def test_compose_with_the_inverse_is_the_identity(ndim, rng):
    theta = thetas(rng, ndim)
    identity = np.tile(Affine().identity(ndim), (len(theta), 1))
    inverse = Affine().inverse(theta)
    assert_close(Affine().compose(theta, inverse), identity, scale=3)
    assert_close(Affine().compose(inverse, theta), identity, scale=3)


@both_ndims
def test_transform_points_is_the_matrix_times_the_point(ndim, rng):
    theta = thetas(rng, ndim)
    points = rng.uniform(-2, 2, size=(len(theta), 7, ndim)).astype("float32")
    homogeneous = np.concatenate([points, np.ones((len(theta), 7, 1))], axis=-1)
    expected = np.einsum("bij,bnj->bni", matrices(theta, ndim), homogeneous)[..., :ndim]
    assert_close(Affine().transform_points(theta, points), expected)


@pytest.mark.parametrize("align_corners", [True, False])
@pytest.mark.parametrize("size", [(3, 5), (2, 3, 4)])
def test_grid_is_transform_points_of_the_identity_grid(size, align_corners, rng):
    ndim = len(size)
    theta = thetas(rng, ndim)
    targets = to_numpy(ops.identity_grid(size, align_corners=align_corners)).reshape(1, -1, ndim)
    points = Affine().transform_points(theta, np.repeat(targets, len(theta), axis=0))
    grid = Affine().grid(theta, size, align_corners=align_corners)
    assert_close(grid, to_numpy(points).reshape(-1, *size, ndim))


@both_ndims
def test_transform_points_of_a_composition(ndim, rng):
    outer, inner = thetas(rng, ndim), thetas(rng, ndim)
    points = rng.uniform(-1, 1, size=(len(outer), 5, ndim)).astype("float32")
    affine = Affine()
    at_once = affine.transform_points(affine.compose(outer, inner), points)
    one_by_one = affine.transform_points(outer, affine.transform_points(inner, points))
    assert_close(at_once, to_numpy(one_by_one))


@given(
    angle=st.floats(-3, 3),
    scale=st.floats(0.5, 2),
    shift=st.tuples(st.floats(-1, 1), st.floats(-1, 1)),
)
def test_inverse_of_similarities(angle, scale, shift):
    cos, sin = scale * np.cos(angle), scale * np.sin(angle)
    theta = np.array([[cos, -sin, shift[0], sin, cos, shift[1]]], "float32")
    back = Affine().compose(Affine().inverse(theta), theta)
    assert_close(back, Affine().identity()[None], scale=3)


def test_warping_by_the_inverse_undoes_a_warp(rng):
    # A quarter turn and a whole-pixel shift: no interpolation, so nothing is lost.
    image = images(rng, sizes=(5, 5), batch=1).astype("float32")
    theta = np.array([[0, -1, 0.5, 1, 0, -1]], "float32")
    options = {"fill_mode": "wrap", "align_corners": False, "data_format": "channels_last"}
    theta[:, [2, 5]] *= 0.8  # two fifths are one pixel
    warped = ops.grid_sample(image, Affine().grid(theta, (5, 5), align_corners=False), **options)
    back = Affine().grid(Affine().inverse(theta), (5, 5), align_corners=False)
    assert np.abs(to_numpy(warped) - image).max() > 0.5
    assert_close(ops.grid_sample(warped, back, **options), image, scale=3)


@pytest.mark.filterwarnings("ignore:invalid value encountered")
def test_singular_thetas_have_no_finite_inverse():
    inverse = to_numpy(Affine().inverse(np.zeros((1, 6), "float32")))
    assert not np.isfinite(inverse).all()


def test_grid_of_a_composition_reads_through_both(rng):
    outer, inner = thetas(rng, 2, batch=1), thetas(rng, 2, batch=1)
    grid = Affine().grid(Affine().compose(outer, inner), (4, 6))
    product = matrices(outer, 2) @ matrices(inner, 2)
    assert_close(grid, reference.affine_grid(product[:, :2], (4, 6)))
