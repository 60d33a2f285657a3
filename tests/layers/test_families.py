"""Every family inside a model: saved, compiled, differentiated."""

import keras
import numpy as np
import pytest

from keras_stn import SpatialTransformer, ops, transforms
from keras_stn.ops.coordinates import extents
from tests.backend import BACKEND, compiled, gradients, to_numpy, traced
from tests.layers.models import MeanFeatures, random_images, randomize, set_theta
from tests.transforms.cases import thetas

NAMES = [
    "translation",
    "rotation",
    "attention",
    "similarity",
    "affine",
    "projective",
    "thin_plate_spline",
    "displacement",
    "diffeomorphic",
]
CASES = [(name, 2) for name in NAMES] + [(n, 3) for n in NAMES if n != "thin_plate_spline"]
IMAGES = {2: random_images(2, 6, 9, 2), 3: random_images(2, 3, 5, 4, 1)}

# One squaring is enough to compile, and quicker by far than seven.
COMPILED = {"diffeomorphic": transforms.Diffeomorphic(3, squarings=1)}

# Compiling takes long: of the volumes' families, those that have all the others' code.
TO_COMPILE = [(name, 2) for name in NAMES] + [
    (name, 3) for name in ("similarity", "projective", "diffeomorphic")
]

every_case = pytest.mark.parametrize(("name", "ndim"), CASES)
every_compiled_case = pytest.mark.parametrize(("name", "ndim"), TO_COMPILE)


def spatial_transformer(name, **options):
    return SpatialTransformer(MeanFeatures(), name, data_format="channels_last", **options)


@every_case
def test_saved_models_return_the_same(name, ndim, tmp_path):
    images = IMAGES[ndim]
    inputs = keras.Input(images.shape[1:])
    stn = spatial_transformer(name, num_transforms=2, align_corners=False)
    model = keras.Model(inputs, stn(inputs, return_theta=True))
    randomize(model)
    warped, theta = (to_numpy(output) for output in traced(model)(images))
    assert warped.shape == (2, 2, *images.shape[1:])
    assert theta.shape == (2, 2, transforms.get(name).num_params(ndim))
    assert np.abs(warped - images[:, None]).max() > 0.01
    assert np.abs(warped[:, 0] - warped[:, 1]).max() > 0.01
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert loaded.layers[-1].transform == transforms.get(name)
    for output, wanted in zip(traced(loaded)(images), (warped, theta), strict=True):
        np.testing.assert_array_equal(to_numpy(output), wanted)


@every_case
def test_a_new_one_passes_images_through(name, ndim):
    stn = spatial_transformer(name)
    stn.build(IMAGES[ndim].shape)
    warped = to_numpy(traced(stn)(keras.ops.convert_to_tensor(IMAGES[ndim])))
    np.testing.assert_allclose(warped, IMAGES[ndim], atol=1e-6)


@every_compiled_case
def test_compiled_is_the_same(name, ndim):
    stn = spatial_transformer(COMPILED.get(name, name))
    images = keras.ops.convert_to_tensor(IMAGES[ndim].copy())
    stn.build(images.shape)
    set_theta(stn, thetas(stn.transform, ndim, batch=1)[0])
    eager = to_numpy(stn(images))
    assert np.abs(eager - to_numpy(images)).max() > 0.01
    np.testing.assert_allclose(to_numpy(compiled(stn)(images)), eager, atol=1e-5)


@pytest.mark.gradient
@every_compiled_case
def test_compiled_gradients_to_theta(name, ndim):
    images = np.concatenate([IMAGES[ndim]] * 2)
    size = images.shape[1:-1]
    family = transforms.get(COMPILED.get(name, name)).with_extent(extents(size))
    # Two on the very pixels, where every new layer starts and rounding chooses the slope.
    theta = np.concatenate([thetas(family, ndim), thetas(family, ndim, spread=0.0)])

    def warp(theta):
        grid = family.grid(theta, size)
        return ops.grid_sample(
            keras.ops.convert_to_tensor(images), grid, data_format="channels_last"
        )

    (eager,) = gradients(warp, theta, compile=False)
    (found,) = gradients(warp, theta, compile=True)
    assert np.abs(found[:2]).max() > 0.01
    np.testing.assert_allclose(found[:2], eager[:2], rtol=1e-4, atol=1e-4)
    assert np.isfinite(found[2:]).all()
    assert found[2:].any(axis=1).all()


@pytest.mark.parametrize("name", ["rotation", "similarity"])
@pytest.mark.parametrize("ndim", [2, 3])
@pytest.mark.parametrize("align_corners", [True, False])
def test_the_sides_of_the_images_count(name, ndim, align_corners):
    # Not those of the output.
    stn = spatial_transformer(name, output_size=(3, 4, 5)[:ndim], align_corners=align_corners)
    stn.build(IMAGES[ndim].shape)
    theta = stn.transform.identity(ndim)[None] + np.float32(0.5)
    size = IMAGES[ndim].shape[1:-1]
    family = stn.transform.with_extent(tuple(n - align_corners for n in size))
    found = traced(lambda t: stn.sampling_grid(t, stn.output_size, size))(theta)
    wanted = traced(lambda t: family.grid(t, stn.output_size, align_corners=align_corners))(theta)
    np.testing.assert_array_equal(to_numpy(found), to_numpy(wanted))
    square = to_numpy(stn.transform.grid(theta, stn.output_size, align_corners=align_corners))
    assert np.abs(square - to_numpy(wanted)).max() > 0.01


@pytest.mark.skipif(BACKEND != "tensorflow", reason="sizes without a value are TensorFlow's alone")
@every_case
def test_sizes_known_only_when_called(name, ndim):
    import tensorflow as tf

    stn, images = spatial_transformer(name), IMAGES[ndim]
    stn.build((None, *[None] * ndim, images.shape[-1]))
    set_theta(stn, thetas(stn.transform, ndim, batch=1)[0])
    unknown = tf.TensorSpec([None, *[None] * ndim, images.shape[-1]], "float32")
    graph = tf.function(stn, input_signature=[unknown])
    np.testing.assert_allclose(graph(images).numpy(), stn(images).numpy(), atol=1e-6)
