"""A batch of one serves all, and thetas may have more leading axes than the batch."""

import keras
import numpy as np
import pytest

from keras_stn import ops
from keras_stn.transforms import Affine, Displacement, Projective, Translation
from tests.backend import BACKEND, compiled, gradients, to_numpy
from tests.layers.models import Shift
from tests.transforms.cases import CASES, SIZES, points, run, thetas

every_case = pytest.mark.parametrize(("family", "ndim"), CASES)
every_family = pytest.mark.parametrize(
    ("family", "ndim"), [(f, n) for f, n in CASES if n == 2 or "extent" not in repr(f)]
)


def composes(family):
    return type(family).compose is not Displacement.compose


def calls(family, ndim):
    """Each method of two tensors, as a function of them; and whether the second is a theta."""
    yield family.transform_points, False
    if composes(family):
        yield family.compose, True


@every_case
def test_a_batch_of_one_serves_all(family, ndim):
    theta, places = thetas(family, ndim, batch=3), points(ndim, batch=3, count=4)
    for method, of_thetas in calls(family, ndim):
        second = thetas(family, ndim, batch=3, seed=5) if of_thetas else places
        repeated = run(method, theta[[0, 0, 0]], second)
        np.testing.assert_allclose(run(method, theta[:1], second), repeated, atol=1e-6)
        repeated = run(method, theta, second[[0, 0, 0]])
        np.testing.assert_allclose(run(method, theta, second[:1]), repeated, atol=1e-6)


@every_case
def test_leading_axes_are_kept(family, ndim):
    theta = thetas(family, ndim, batch=6)
    several = theta.reshape(2, 3, -1)
    size = SIZES[ndim]
    flat = run(lambda t: family.grid(t, size), theta)
    found = run(lambda t: family.grid(t, size), several)
    np.testing.assert_allclose(found, flat.reshape(2, 3, *flat.shape[1:]), atol=1e-6)
    # The points of an image go through each of its transforms; or each has its own.
    places = points(ndim, batch=2, count=4)
    flat = run(family.transform_points, theta, np.repeat(places, 3, axis=0))
    wanted = flat.reshape(2, 3, 4, ndim)
    found = run(family.transform_points, several, places)
    np.testing.assert_allclose(found, wanted, atol=1e-6)
    own = np.repeat(places[:, None], 3, axis=1)
    np.testing.assert_allclose(run(family.transform_points, several, own), wanted, atol=1e-6)
    if composes(family):
        inner = thetas(family, ndim, batch=2, seed=5)
        flat = run(family.compose, theta, np.repeat(inner, 3, axis=0))
        found = run(family.compose, several, inner)
        np.testing.assert_allclose(found, flat.reshape(2, 3, -1), atol=1e-6)
        flat = run(family.inverse, theta)
        np.testing.assert_allclose(run(family.inverse, several), flat.reshape(2, 3, -1), atol=1e-6)


def test_boxes_of_several_crops_of_one_image():
    theta = thetas(Affine(), batch=6).reshape(2, 3, 6)
    boxes = np.array([[[-1, -1, 1, 1], [0, -0.5, 0.5, 0]]], "float32")
    found = run(Affine().transform_boxes, theta, boxes)
    flat = run(Affine().transform_boxes, theta.reshape(6, 6), boxes[[0] * 6])
    np.testing.assert_allclose(found, flat.reshape(2, 3, 2, 4), atol=1e-6)


def test_matrices_and_fields_with_leading_axes():
    matrices = thetas(Affine(), batch=6).reshape(2, 3, 2, 3)
    grid = run(lambda t: Affine().grid(t, (4, 5)), matrices)
    for found in (grid, run(lambda t: ops.affine_grid(t, (4, 5)), matrices)):
        flat = run(lambda t: Affine().grid(t, (4, 5)), matrices.reshape(6, 6))
        np.testing.assert_allclose(found, flat.reshape(2, 3, 4, 5, 2), atol=1e-6)
    flows = np.random.default_rng(0).normal(size=(2, 3, 4, 5, 2)).astype("float32")
    found = run(lambda f: Displacement().grid(f, (4, 5)), flows)
    np.testing.assert_allclose(found, to_numpy(ops.identity_grid((4, 5))) + flows, atol=1e-6)


def test_no_points_and_no_transforms():
    family = Translation()
    assert run(family.transform_points, np.zeros((2, 3, 2)), np.zeros((2, 0, 2))).shape == (
        *(2, 3),
        *(0, 2),
    )
    assert run(lambda t: family.grid(t, (4, 5)), np.zeros((0, 3, 2))).shape == (0, 3, 4, 5, 2)


@pytest.mark.parametrize(
    ("first", "second"), [((3, 2), (2, 4, 2)), ((3, 5, 2), (3, 4, 4, 2)), ((2, 3, 2), (3, 4, 2))]
)
def test_other_batches_are_refused(first, second):
    wanted = r"`theta` and `points` must have the same batch size, or one of them 1\. Received: "
    with pytest.raises(ValueError, match=wanted + r"theta.shape=.*, points.shape=.*Pass one for"):
        Translation().transform_points(np.zeros(first), np.zeros(second))


def test_batches_of_compositions_are_refused():
    wanted = r"`outer` and `inner` must have the same batch size.*outer.shape=\(3, 2\)"
    with pytest.raises(ValueError, match=wanted):
        Translation().compose(np.zeros((3, 2)), np.zeros((2, 2)))


@pytest.mark.gradient
@pytest.mark.parametrize("family", [Affine(), Projective(), Shift(0.5)], ids=repr)
def test_the_gradient_to_what_is_shared_is_the_sum(family):
    theta, places = thetas(family, batch=1), keras.ops.array(points(batch=3, count=4))
    upstream = np.random.default_rng(1).normal(size=places.shape).astype("float32")
    (shared,) = gradients(lambda t: family.transform_points(t, places), theta, upstream=upstream)
    repeated = np.repeat(theta, 3, axis=0)
    (each,) = gradients(lambda t: family.transform_points(t, places), repeated, upstream=upstream)
    np.testing.assert_allclose(shared, each.sum(0, keepdims=True), rtol=1e-4, atol=1e-5)


def test_batches_nobody_knows_yet():
    theta, places = keras.Input((None, 6)), keras.Input((4, 2))
    model = keras.Model([theta, places], Affine().transform_points(theta, places))
    assert tuple(model.output.shape) == (None, None, 4, 2)
    given = thetas(Affine(), batch=6).reshape(2, 3, 6), points(batch=2, count=4)
    wanted = run(Affine().transform_points, *given)
    np.testing.assert_allclose(to_numpy(model(list(given))), wanted, atol=1e-6)
    one = to_numpy(model([given[0], given[1][:1]]))
    np.testing.assert_allclose(one[0], wanted[0], atol=1e-6)


@pytest.mark.skipif(BACKEND != "tensorflow", reason="where a graph has unknown batches")
@pytest.mark.parametrize("shapes", [((None, None, 6), (None, 4, 2)), ((None, 6), (None, 4, 2))])
def test_graphs_of_any_batch(shapes):
    import tensorflow as tf

    specs = [tf.TensorSpec(shape) for shape in shapes]
    graph = tf.function(lambda t, p: Affine().transform_points(t, p), input_signature=specs)
    rank = len(shapes[0])
    for batches in ((2, 2), (1, 2), (2, 1)):
        theta = thetas(Affine(), batch=3 * batches[0] if rank == 3 else batches[0])
        theta = theta.reshape(batches[0], *[3] * (rank - 2), 6)
        given = theta, points(batch=batches[1], count=4)
        wanted = compiled(Affine().transform_points)(*given)
        np.testing.assert_allclose(graph(*given), wanted, atol=1e-6)
