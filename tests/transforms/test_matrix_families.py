"""Translation, attention, rotation and similarity against scikit-image's and SciPy's transforms."""

import keras
import numpy as np
import pytest
from scipy.spatial.distance import pdist
from scipy.spatial.transform import Rotation as SciPyRotation
from skimage.transform import EuclideanTransform, SimilarityTransform

from keras_stn import SpatialTransformer
from keras_stn.transforms import Attention, Rotation, Similarity, Translation
from tests import reference
from tests.backend import gradients, to_numpy
from tests.ops.test_gradients import differences, gradients64
from tests.transforms.cases import homogeneous, points, run, thetas

SIZE, VOLUME = (6, 11), (4, 7, 5)
WIDE, DEEP = (1.0, 2.5), (3.0, 2.0, 5.0)  # extents
CASES = [
    (Translation(), 2),
    (Translation(), 3),
    (Attention(), 2),
    (Attention(), 3),
    (Rotation(), 2),
    (Rotation(WIDE), 2),
    (Rotation(), 3),
    (Rotation(DEEP), 3),
    (Similarity(), 2),
    (Similarity(WIDE), 2),
    (Similarity(), 3),
    (Similarity(DEEP), 3),
]
ANGLES = [0.0, 1e-4, 0.7, -2.0, np.pi / 2, np.pi, 4.5]
# Rotation vectors: none, tiny, around the switch to series at a length of 0.01, and beyond pi.
UNIT = np.array([2.0, -1.0, 2.0]) / 3.0
LENGTHS = [0.0, 1e-30, 1e-12, 1e-5, 0.0099, 0.0101, 0.3, 1.5, np.pi - 1e-3, np.pi, 3.5, 6.0, 20.0]

every_case = pytest.mark.parametrize(("family", "ndim"), CASES, ids=repr)
both_align_corners = pytest.mark.parametrize("align_corners", [True, False])


def oracle_matrices(family, theta, ndim):
    """Homogeneous matrices in float64, with SciPy's rotations."""
    matrices = np.tile(np.eye(ndim + 1), (len(theta), 1, 1))
    scale, shift, angles = np.ones(len(theta)), np.zeros(ndim), None
    if isinstance(family, Translation):
        shift = theta
    elif isinstance(family, Attention):
        scale, shift = theta[:, 0], theta[:, 1:]
    elif isinstance(family, Rotation):
        angles = theta
    else:
        scale, angles, shift = theta[:, 0], theta[:, 1:-ndim], theta[:, -ndim:]
    if angles is not None:
        if ndim == 2:  # about the z axis
            angles = np.concatenate([np.zeros((len(theta), 2)), angles], axis=1)
        turns = SciPyRotation.from_rotvec(angles).as_matrix()[:, :ndim, :ndim]
        sides = np.diag((family.extent or [1.0] * ndim)[::-1])
        matrices[:, :ndim, :ndim] = np.linalg.inv(sides) @ turns @ sides
    matrices[:, :ndim, :ndim] *= scale[:, None, None]
    matrices[:, :ndim, ndim] = shift
    return matrices


def in_pixels(grid, size, align_corners):
    """A normalized grid (*size, n) in pixels (x, y[, z])."""
    columns = [
        reference.to_pixels(grid[..., i], n, align_corners) for i, n in enumerate(size[::-1])
    ]
    return np.stack(columns, axis=-1).reshape(-1, len(size))


def pixels(size):
    """Every pixel (x, y[, z]) of an image."""
    return np.stack(np.meshgrid(*map(np.arange, size), indexing="ij")[::-1], -1).reshape(
        -1, len(size)
    )


def about_the_centre(transform, size):
    """A scikit-image transform of pixels, about the image's centre."""
    centre = (np.array(size[::-1]) - 1) / 2
    there, back = (EuclideanTransform(translation=sign * centre) for sign in (-1, 1))
    return there + transform + back


@both_align_corners
@pytest.mark.parametrize("own", [False, True], ids=["output's sides", "own sides"])
def test_rotation_is_skimages_in_pixels(own, align_corners):
    sides = np.array(SIZE) - align_corners
    family = Rotation(tuple(sides.tolist()) if own else None)
    theta = np.array(ANGLES, "float32")[:, None]
    grids = run(lambda theta: family.grid(theta, SIZE, align_corners=align_corners), theta)
    for angle, grid in zip(theta[:, 0], grids, strict=True):
        wanted = about_the_centre(EuclideanTransform(rotation=float(angle)), SIZE)(pixels(SIZE))
        found = in_pixels(grid, SIZE, align_corners)
        np.testing.assert_allclose(found, wanted, atol=1e-5)
        # Rigid: no distance between pixels changes.
        np.testing.assert_allclose(pdist(found), pdist(pixels(SIZE)), atol=1e-5)


@both_align_corners
@pytest.mark.parametrize("own", [False, True], ids=["output's sides", "own sides"])
def test_similarity_is_skimages_in_pixels(own, align_corners):
    sides = np.array(SIZE) - align_corners
    family = Similarity(tuple(sides.tolist()) if own else None)
    rng = np.random.default_rng(0)
    theta = np.stack(
        [rng.uniform(0.3, 2, 7), ANGLES, rng.uniform(-1, 1, 7), rng.uniform(-1, 1, 7)], axis=1
    ).astype("float32")
    grids = run(lambda theta: family.grid(theta, SIZE, align_corners=align_corners), theta)
    for (scale, angle, *shift), grid in zip(theta.astype("float64"), grids, strict=True):
        transform = SimilarityTransform(
            scale=scale, rotation=angle, translation=np.array(shift) * sides[::-1] / 2
        )
        found = in_pixels(grid, SIZE, align_corners)
        wanted = about_the_centre(transform, SIZE)(pixels(SIZE))
        np.testing.assert_allclose(found, wanted, atol=2e-5)
        np.testing.assert_allclose(pdist(found), scale * pdist(pixels(SIZE)), atol=2e-5)


@both_align_corners
def test_volumes_turn_as_scipy_turns_voxels(align_corners):
    vectors = np.array([length * UNIT for length in LENGTHS], "float32")
    grids = run(lambda v: Rotation().grid(v, VOLUME, align_corners=align_corners), vectors)
    voxels = pixels(VOLUME)
    centre = (np.array(VOLUME[::-1]) - 1) / 2
    for vector, grid in zip(vectors, grids, strict=True):
        turned = SciPyRotation.from_rotvec(vector).apply(voxels - centre) + centre
        found = in_pixels(grid, VOLUME, align_corners)
        np.testing.assert_allclose(found, turned, atol=1e-5)
        np.testing.assert_allclose(pdist(found), pdist(voxels), atol=1e-5)


@both_align_corners
def test_in_a_layer_the_sides_are_those_of_the_images(align_corners):
    # A square crop of a wide image: rigid where it is read, in the image.
    stn = SpatialTransformer(transform="rotation", output_size=(4, 4), align_corners=align_corners)
    theta = np.array([[0.8]], "float32")
    found = in_pixels(to_numpy(stn.sampling_grid(theta, (4, 4), SIZE))[0], SIZE, align_corners)
    read = in_pixels(reference.identity_grid((4, 4), align_corners), SIZE, align_corners)
    turn = about_the_centre(EuclideanTransform(rotation=0.8), SIZE)
    np.testing.assert_allclose(found, turn(read), atol=1e-5)
    np.testing.assert_allclose(pdist(found), pdist(read), atol=1e-5)


def test_an_axis_of_one_pixel_has_a_side_of_one():
    theta = np.array([[np.pi / 2]], "float32")
    grid = run(lambda theta: Rotation().grid(theta, (1, 5)), theta)
    # The row turns into a column, of which one pixel's height is the unit.
    np.testing.assert_allclose(grid[0, 0, :, 0], 0.0, atol=1e-6)
    np.testing.assert_allclose(grid[0, 0, :, 1], [-4, -2, 0, 2, 4], atol=1e-5)


@every_case
def test_matrix(family, ndim):
    theta = thetas(family, ndim, batch=5, spread=1.5)
    found = run(family.matrix, theta)
    wanted = oracle_matrices(family, theta.astype("float64"), ndim)
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=2e-6)


@every_case
def test_points_and_grids_are_moved_by_the_matrix(family, ndim):
    theta = thetas(family, ndim, batch=5, spread=0.5)
    matrices = oracle_matrices(family, theta.astype("float64"), ndim)
    target = points(ndim, batch=5)
    moved = run(family.transform_points, theta, target)
    np.testing.assert_allclose(moved, homogeneous(matrices, target), atol=5e-6)
    size = (3, 6, 4)[:ndim]
    square = family.with_extent((1.0,) * ndim)  # unless it has sides of its own
    grid = run(lambda theta: square.grid(theta, size), theta)
    wanted = reference.affine_grid(matrices[:, :ndim].reshape(5, -1), size)
    np.testing.assert_allclose(grid, wanted, atol=5e-6)


@every_case
def test_the_inverse_is_the_inverse_matrix(family, ndim):
    theta = thetas(family, ndim, batch=5, spread=0.3)
    wanted = np.linalg.inv(oracle_matrices(family, theta.astype("float64"), ndim))
    found = run(lambda theta: family.matrix(family.inverse(theta)), theta)
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=5e-6)
    target = points(ndim, batch=5)
    back = run(
        lambda t, p: family.transform_points(family.inverse(t), family.transform_points(t, p)),
        theta,
        target,
    )
    np.testing.assert_allclose(back, target, atol=1e-5)


@every_case
def test_compose_is_the_product_of_matrices(family, ndim):
    outer, inner = (thetas(family, ndim, batch=5, spread=1.0, seed=seed) for seed in (2, 3))
    one, two = (oracle_matrices(family, t.astype("float64"), ndim) for t in (outer, inner))
    found = run(lambda a, b: family.matrix(family.compose(a, b)), outer, inner)
    np.testing.assert_allclose(found, one @ two, rtol=1e-5, atol=1e-5)
    if not isinstance(family, Translation) and (ndim, family.num_params(2)) != (2, 1):
        assert np.abs(one @ two - two @ one).max() > 0.1  # the order matters
    target = points(ndim, batch=5)
    composed = run(
        lambda a, b, p: family.transform_points(family.compose(a, b), p), *(outer, inner, target)
    )
    wanted = homogeneous(one, homogeneous(two, target))
    np.testing.assert_allclose(composed, wanted, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("family", [Attention(), Similarity()], ids=repr)
@pytest.mark.parametrize("ndim", [2, 3])
def test_the_inverse_of_a_collapse_is_not_finite(family, ndim):
    theta = np.ones((1, family.num_params(ndim)), "float32")
    theta[0, 0] = 0.0
    with np.errstate(divide="ignore", invalid="ignore"):
        assert not np.isfinite(to_numpy(family.inverse(theta))[0, 0])


def test_rotation_vectors_of_every_length():
    vectors = np.array([length * UNIT for length in LENGTHS], "float32")
    wanted = SciPyRotation.from_rotvec(vectors).as_matrix()
    found = run(Rotation().matrix, vectors)[:, :3, :3]
    np.testing.assert_allclose(found, wanted, atol=1e-6)
    # A tiny rotation is not lost beside the identity's ones.
    lengths = np.array(LENGTHS)
    small = (lengths > 0) & (lengths < 0.02)
    np.testing.assert_allclose(found[small, 0, 1], wanted[small, 0, 1], rtol=1e-6)


def test_rotation_vectors_compose_as_scipys():
    rng = np.random.default_rng(0)
    units = rng.normal(size=(4, 3))
    units /= np.linalg.norm(units, axis=1, keepdims=True)
    vectors = np.array([length * unit for length in LENGTHS for unit in (UNIT, *units)], "float32")
    # Every one after every other, also after itself and after what undoes it.
    outer, inner = (v.reshape(-1, 3) for v in np.broadcast_arrays(vectors[:, None], vectors[None]))
    outer, inner = np.concatenate([outer, -vectors]), np.concatenate([inner, vectors])
    found = run(Rotation().compose, outer, inner).astype("float64")
    wanted = SciPyRotation.from_rotvec(outer) * SciPyRotation.from_rotvec(inner)
    turned = SciPyRotation.from_rotvec(found).as_matrix()
    np.testing.assert_allclose(turned, wanted.as_matrix(), atol=5e-6)
    assert np.linalg.norm(found, axis=1).max() <= np.pi + 1e-6
    np.testing.assert_allclose(found[-len(vectors) :], 0.0, atol=5e-6)


def test_tiny_rotation_vectors_add_up():
    outer = np.array([[1e-9, 0, 0], [3e-7, -2e-7, 1e-7], [1e-5, 2e-5, 0], [0, 0, 0]], "float32")
    inner = np.array([[0, 2e-9, 0], [1e-7, 2e-7, -3e-7], [0, -1e-5, 1e-5], [0, 0, 0]], "float32")
    found = run(Rotation().compose, outer, inner)
    np.testing.assert_allclose(found, outer + inner, rtol=1e-5, atol=3e-10)


@pytest.mark.gradient
@every_case
@pytest.mark.parametrize("where", ["identity", "elsewhere"])
def test_gradient_to_theta(family, ndim, where):
    theta = thetas(family, ndim, spread=0.0 if where == "identity" else 0.5).astype("float64")
    target = points(ndim, count=5).astype("float64")
    upstream = np.random.default_rng(2).normal(size=target.shape)
    (found,) = gradients64(
        lambda theta: family.transform_points(
            theta, keras.ops.convert_to_tensor(target, dtype="float64")
        ),
        theta,
        upstream=upstream,
    )
    wanted = differences(
        lambda theta: homogeneous(oracle_matrices(family, theta, ndim), target), theta, upstream
    )
    assert np.abs(wanted).min() > 1e-3
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-6)


@pytest.mark.gradient
@pytest.mark.parametrize("scale", [0.0, 1e-6, 0.1, 1.0])
def test_gradient_of_composed_rotation_vectors(scale):
    rng = np.random.default_rng(0)
    outer, inner = scale * rng.normal(size=(2, 3, 3))
    upstream = rng.normal(size=(3, 3))
    found = gradients64(Rotation().compose, outer, inner, upstream=upstream)

    def oracle(outer, inner):
        turns = SciPyRotation.from_rotvec(outer) * SciPyRotation.from_rotvec(inner)
        return turns.as_rotvec()

    wanted = [
        differences(lambda outer: oracle(outer, inner), outer, upstream),
        differences(lambda inner: oracle(outer, inner), inner, upstream),
    ]
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-6)


@pytest.mark.gradient
@pytest.mark.parametrize(("family", "ndim"), [(Rotation(), 3), (Similarity(), 3)], ids=repr)
def test_gradients_of_tiny_rotations_are_finite_in_float32(family, ndim):
    noise = np.array([0.0, 1e-45, 1e-30, 1e-20, 1e-8, 1e-4], "float32")[:, None]
    theta = np.concatenate([family.identity(ndim) + noise, family.identity(ndim) - noise])
    for fn in (family.matrix, family.inverse, lambda t: family.compose(t, t)):
        (found,) = gradients(fn, theta)
        assert np.isfinite(found).all()
