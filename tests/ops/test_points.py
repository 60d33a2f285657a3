"""Points and boxes, normalized and in pixels."""

import itertools

import keras
import numpy as np
import pytest
from skimage.transform import EuclideanTransform

from keras_stn import ops
from keras_stn.ops.points import bounding_boxes, box_corners
from keras_stn.transforms import Affine, Attention, Projective, Rotation, Translation
from tests import reference
from tests.backend import BACKEND, assert_close, dtype_name, float64, gradients, to_numpy, traced

SIZES = [(5, 9), (1, 4), (3, 1), (4, 6, 7), (2, 1, 3)]

both_align_corners = pytest.mark.parametrize("align_corners", [True, False])


def to_pixels(points, size, align_corners=True):
    return traced(lambda p: ops.normalized_to_pixels(p, size, align_corners=align_corners))(points)


def to_normalized(points, size, align_corners=True):
    return traced(lambda p: ops.pixels_to_normalized(p, size, align_corners=align_corners))(points)


every_size = pytest.mark.parametrize("size", SIZES)


@both_align_corners
@every_size
@pytest.mark.parametrize("boxes", [False, True], ids=["points", "boxes"])
@pytest.mark.parametrize("leading", [(), (4,), (2, 3), (2, 3, 2)])
def test_normalized_to_pixels_is_the_reference(leading, boxes, size, align_corners, rng):
    ndim = len(size)
    points = rng.uniform(-2, 2, size=(*leading, ndim * (1 + boxes))).astype("float32")
    found = to_pixels(points, size, align_corners)
    sizes = size[::-1] * (1 + boxes)  # (x, y[, z]), for boxes twice
    wanted = [
        reference.to_pixels(points[..., axis], n, align_corners) for axis, n in enumerate(sizes)
    ]
    assert_close(found, np.stack(wanted, axis=-1))


@both_align_corners
@every_size
@pytest.mark.parametrize("boxes", [False, True], ids=["points", "boxes"])
def test_pixels_to_normalized_is_the_inverse(boxes, size, align_corners, rng):
    points = rng.uniform(-2, 2, size=(2, 3, len(size) * (1 + boxes))).astype("float32")
    pixels = to_pixels(points, size, align_corners)
    found = to_normalized(pixels, size, align_corners)
    # An axis of one pixel has no extent between centres: every coordinate is that pixel's.
    lost = np.array([align_corners and n == 1 for n in size[::-1] * (1 + boxes)])
    assert_close(found, np.where(lost, 0.0, points))


@both_align_corners
@every_size
def test_the_identity_grid_in_pixels_counts_them(size, align_corners):
    grid = ops.identity_grid(size, align_corners=align_corners)
    found = to_pixels(grid, size, align_corners)
    index = np.stack(np.indices(size)[::-1], axis=-1).astype("float64")
    assert_close(found, index)
    back = to_normalized(index.astype("float32"), size, align_corners)
    assert_close(back, to_numpy(grid))


def test_align_corners_is_the_default():
    corner = np.array([[1.0, -1.0]], "float32")
    assert to_numpy(ops.normalized_to_pixels(corner, (5, 9))).tolist() == [[8, 0]]
    outer = ops.normalized_to_pixels(corner, (5, 9), align_corners=False)
    assert to_numpy(outer).tolist() == [[8.5, -0.5]]
    assert to_numpy(ops.pixels_to_normalized([[8.0, 0.0]], (5, 9))).tolist() == [[1, -1]]


@pytest.mark.parametrize("convert", [ops.normalized_to_pixels, ops.pixels_to_normalized])
def test_dtypes(convert):
    for dtype in ("float16", "bfloat16", "int32", "float32"):
        assert dtype_name(convert(keras.ops.ones((2, 2), dtype=dtype), (5, 9))) == "float32"
    if BACKEND != "numpy":  # which lowers float64 itself
        with float64():
            found = convert(keras.ops.ones((2, 2), dtype="float64"), (5, 9))
        assert dtype_name(found) == "float64"


@pytest.mark.parametrize("convert", [ops.normalized_to_pixels, ops.pixels_to_normalized])
@pytest.mark.parametrize(
    ("shape", "size", "wanted"),
    [
        ((2, 3), (5, 9), r"2 coordinates, or boxes 4, .* of 2 axes.*shape=\(2, 3\).*Put \(x, y\)"),
        ((2, 4), (3, 5, 9), r"3 coordinates, or boxes 6, .*shape=\(2, 4\).*Put \(x, y, z\)"),
        ((), (5, 9), r"2 coordinates, or boxes 4, .*Received: points.shape=\(\)"),
    ],
)
def test_wrong_points(convert, shape, size, wanted):
    with pytest.raises(ValueError, match=rf"(?s)`points` must have {wanted}"):
        convert(np.zeros(shape, "float32"), size)


@pytest.mark.parametrize("convert", [ops.normalized_to_pixels, ops.pixels_to_normalized])
@pytest.mark.parametrize("size", [5, (5,), (5, 0), (5, 9.5)])
def test_wrong_sizes(convert, size):
    with pytest.raises(ValueError, match=r"(?s)must hold 2 or 3 positive integers.*Received: "):
        convert(np.zeros((1, 2), "float32"), size)


@pytest.mark.gradient
@pytest.mark.parametrize("align_corners", [True, False])
def test_gradients_are_the_scales(align_corners):
    points = np.zeros((2, 2), "float32")
    halves = np.array([4, 2]) if align_corners else np.array([4.5, 2.5])
    for convert, slopes in (
        (ops.normalized_to_pixels, halves),
        (ops.pixels_to_normalized, 1 / halves),
    ):
        (found,) = gradients(lambda p, f=convert: f(p, (5, 9), align_corners=align_corners), points)
        np.testing.assert_allclose(found, np.tile(slopes, (2, 1)), rtol=1e-6)


def boxes(rng, ndim, batch=2, count=5):
    """Seeded boxes (batch, count, 2 ndim), float32."""
    low = rng.uniform(-1, 0.5, (batch, count, ndim))
    return np.concatenate([low, low + rng.uniform(0.1, 1, low.shape)], -1).astype("float32")


@pytest.mark.parametrize("ndim", [2, 3])
def test_corners_of_boxes(ndim, rng):
    given = boxes(rng, ndim)
    corners = to_numpy(box_corners(given))
    assert corners.shape == (2, 2**ndim * 5, ndim)
    for image, box in itertools.product(range(2), range(5)):
        sides = given[image, box].reshape(2, ndim).T
        found = corners[image].reshape(2**ndim, 5, ndim)[:, box]
        assert sorted(map(tuple, found)) == sorted(itertools.product(*sides))
    np.testing.assert_array_equal(to_numpy(bounding_boxes(box_corners(given))), given)


def moved_box(matrix, box):
    """By hand: the box around the corners of one box, moved by a homogeneous matrix."""
    corners = np.array(list(itertools.product(*box.astype("float64").reshape(2, -1).T)))
    moved = np.concatenate([corners, np.ones((len(corners), 1))], axis=1) @ matrix.T
    moved = moved[:, :-1] / moved[:, -1:]
    return np.concatenate([moved.min(axis=0), moved.max(axis=0)])


@pytest.mark.parametrize("family", [Affine(), Attention(), Translation(), Projective()], ids=repr)
@pytest.mark.parametrize("ndim", [2, 3])
def test_transform_boxes(family, ndim, rng):
    theta = family.identity(ndim) + rng.normal(0, 0.1, (2, family.num_params(ndim)))
    theta, given = theta.astype("float32"), boxes(rng, ndim)
    matrices = to_numpy(family.matrix(theta)).astype("float64")
    wanted = [
        [moved_box(m, box) for box in image] for m, image in zip(matrices, given, strict=True)
    ]
    found = family.transform_boxes(theta, given)
    np.testing.assert_allclose(to_numpy(found), wanted, atol=2e-6)
    identity = np.tile(family.identity(ndim), (2, 1))
    np.testing.assert_array_equal(to_numpy(family.transform_boxes(identity, given)), given)


def test_a_turned_box_in_pixels():
    # A square of 4 pixels about the centre, turned by 45 degrees: its diagonal is the new side.
    size, box = (21, 41), np.array([[[18, 8, 22, 12]]], "float32")
    family, theta = Rotation(extent=(20, 40)), np.array([[np.pi / 4]], "float32")
    normalized = ops.pixels_to_normalized(box, size)
    found = to_numpy(ops.normalized_to_pixels(family.transform_boxes(theta, normalized), size))
    corners = EuclideanTransform(rotation=np.pi / 4)([[-2, -2], [2, -2], [2, 2], [-2, 2]])
    wanted = np.stack([corners.min(axis=0), corners.max(axis=0)]) + np.array([20, 10])
    np.testing.assert_allclose(found[0, 0], wanted.ravel(), atol=1e-5)


@pytest.mark.parametrize("shape", [(2, 4), (2, 5, 3), (2, 5, 5), (2, 5, 2, 2)])
def test_wrong_boxes(shape):
    wanted = (
        r"(?s)`boxes` must have shape \(batch, N, 4\) or \(batch, N, 6\)\. Received: "
        r"boxes.shape=.*Put \(x_min, y_min, x_max, y_max\)"
    )
    with pytest.raises(ValueError, match=wanted):
        Affine().transform_boxes(Affine().identity()[None], np.zeros(shape, "float32"))
