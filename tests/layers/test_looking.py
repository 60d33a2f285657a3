"""Looking more than once, elsewhere, and after another transformer: all sampled once."""

import keras
import numpy as np
import pytest

from keras_stn import SpatialTransformer, ops
from keras_stn.transforms import Affine
from tests.backend import BACKEND, compiled, to_numpy
from tests.layers.models import AFFINE, AFFINE_3D, MeanFeatures, random_images, set_theta

LAST = {"data_format": "channels_last"}
THETA = np.array(AFFINE, "float32")
OTHER = np.array([0.9, -0.1, -0.2, 0.15, 1.1, 0.1], "float32")


def built(*shapes, theta=THETA, network=None, **options):
    stn = SpatialTransformer(network or MeanFeatures(), **{**LAST, **options})
    stn.build(list(shapes) if len(shapes) > 1 else shapes[0])
    set_theta(stn, theta)
    return stn


def sampled(images, theta, size, **options):
    """`images` at the grid of one theta for all."""
    grid = ops.affine_grid(np.repeat(theta[None], len(images), axis=0), size)
    return to_numpy(ops.grid_sample(images, grid, **{"fill_mode": "nearest", **LAST, **options}))


def compose(outer, inner):
    return to_numpy(Affine().compose(outer[None], inner[None]))[0]


def test_crops_of_another_source():
    images, source = random_images(2, 8, 9, 1), random_images(2, 30, 20, 3, seed=1)
    stn = built(images.shape, source.shape, output_size=(5, 6))
    warped, theta = stn([images, source], return_theta=True)
    np.testing.assert_array_equal(to_numpy(theta), [THETA, THETA])
    np.testing.assert_allclose(to_numpy(warped), sampled(source, THETA, (5, 6)), atol=1e-6)


def test_the_network_sees_the_images_and_never_the_source():
    images, source = random_images(2, 8, 9, 1), random_images(2, 30, 20, 3, seed=1)
    stn = built(images.shape, source.shape)
    stn.head.kernel.assign(np.random.default_rng(0).normal(size=stn.head.kernel.shape))
    _, alone = stn(images, return_theta=True)
    for other in (source, np.zeros_like(source)):
        _, theta = stn([images, other], return_theta=True)
        np.testing.assert_array_equal(to_numpy(theta), to_numpy(alone))


def test_the_output_is_as_large_as_the_source():
    images, source = random_images(2, 8, 9, 1), random_images(2, 30, 20, 3)
    stn = built(images.shape, source.shape)
    assert tuple(stn([images, source]).shape) == (2, 30, 20, 3)
    assert stn.compute_output_shape([images.shape, source.shape]) == (2, 30, 20, 3)


def test_channels_first():
    images, source = random_images(2, 1, 8, 9), random_images(2, 3, 30, 20, seed=1)
    network = MeanFeatures(data_format="channels_first")
    options = {"network": network, "data_format": "channels_first", "num_transforms": 2}
    stn = built(images.shape, source.shape, theta=np.tile(THETA, 2), output_size=(4, 5), **options)
    warped = to_numpy(stn([images, source]))
    assert warped.shape == (2, 3, 2, 4, 5)
    wanted = np.moveaxis(sampled(np.moveaxis(source, 1, -1), THETA, (4, 5)), -1, 1)
    for k in range(2):
        np.testing.assert_allclose(warped[:, :, k], wanted, atol=1e-6)


def test_functional_model_with_source_is_saved(tmp_path):
    images, source = keras.Input((8, 9, 1)), keras.Input((30, 20, 3))
    stn = SpatialTransformer(MeanFeatures(), output_size=(4, 5), **LAST)
    model = keras.Model([images, source], stn([images, source], return_theta=True))
    set_theta(stn, THETA)
    inputs = [random_images(2, 8, 9, 1), random_images(2, 30, 20, 3)]
    wanted = [to_numpy(out) for out in model(inputs)]
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    for out, expected in zip(loaded(inputs), wanted, strict=True):
        np.testing.assert_allclose(to_numpy(out), expected, atol=1e-6)


def test_looking_three_times_composes_and_samples_once():
    images = random_images(2, 8, 9, 1)
    stn = built(images.shape, num_looks=3, output_size=(5, 6))
    warped, theta = stn(images, return_theta=True)
    wanted = compose(compose(THETA, THETA), THETA)
    np.testing.assert_allclose(to_numpy(theta), [wanted, wanted], atol=1e-6)
    np.testing.assert_allclose(to_numpy(warped), sampled(images, wanted, (5, 6)), atol=1e-5)


class Seen(keras.layers.Layer):
    """Features of a fixed length that are the images themselves; keeps what it saw."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def call(self, images):
        self.seen.append(images)
        return keras.ops.mean(images, axis=(1, 2))


def test_the_second_look_is_at_what_the_first_has_found():
    images = random_images(2, 8, 9, 1)
    network = Seen()
    stn = built(images.shape, network=network, num_looks=2, output_size=(5, 6))
    network.seen.clear()
    stn(images)
    first, second = map(to_numpy, network.seen)
    np.testing.assert_array_equal(first, images)
    np.testing.assert_allclose(second, sampled(images, THETA, (8, 9)), atol=1e-6)


def test_two_in_series_sample_once():
    images = random_images(2, 8, 9, 1)
    coarse, fine = built(images.shape), built(images.shape, images.shape, theta=OTHER)
    seen, first = coarse(images, return_theta=True)
    warped, theta = fine([seen, images], initial_theta=first, return_theta=True)
    wanted = compose(THETA, OTHER)
    np.testing.assert_allclose(to_numpy(theta), [wanted, wanted], atol=1e-6)
    np.testing.assert_allclose(to_numpy(warped), sampled(images, wanted, (8, 9)), atol=1e-5)
    # Twice sampled it would be blurred.
    twice = sampled(to_numpy(seen), OTHER, (8, 9))
    assert np.abs(to_numpy(warped) - twice).max() > 0.05


def test_two_in_series_in_a_functional_model(tmp_path):
    images = keras.Input((8, 9, 1))
    coarse, fine = SpatialTransformer(MeanFeatures(), **LAST), SpatialTransformer(**LAST)
    seen, first = coarse(images, return_theta=True)
    model = keras.Model(images, fine([seen, images], initial_theta=first))
    set_theta(coarse, THETA)
    set_theta(fine, OTHER)
    inputs = random_images(2, 8, 9, 1)
    wanted = sampled(inputs, compose(THETA, OTHER), (8, 9))
    np.testing.assert_allclose(to_numpy(model(inputs)), wanted, atol=1e-5)
    np.testing.assert_allclose(model.predict(inputs, verbose=0), wanted, atol=1e-5)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(to_numpy(loaded(inputs)), wanted, atol=1e-5)


def test_volumes():
    volumes, source = random_images(2, 4, 5, 6, 1), random_images(2, 8, 7, 9, 2, seed=1)
    theta = np.array(AFFINE_3D, "float32")
    stn = built(volumes.shape, source.shape, theta=theta, num_looks=2, output_size=(3, 4, 5))
    warped, found = stn([volumes, source], return_theta=True)
    np.testing.assert_allclose(to_numpy(found)[0], compose(theta, theta), atol=1e-6)
    wanted = sampled(source, compose(theta, theta), (3, 4, 5))
    np.testing.assert_allclose(to_numpy(warped), wanted, atol=1e-5)


@pytest.mark.gradient
def test_every_look_trains_the_network():
    images = random_images(8, 8, 9, 1)
    stn = SpatialTransformer(MeanFeatures(), num_looks=2, **LAST)
    model = keras.Sequential([keras.Input((8, 9, 1)), stn, keras.layers.Flatten()])
    model.compile(keras.optimizers.SGD(1.0), "mse")
    before = [to_numpy(w).copy() for w in stn.trainable_variables]
    model.fit(images, np.zeros((8, 72), "float32"), epochs=3, verbose=0)
    for old, new in zip(before, stn.trainable_variables, strict=True):
        assert np.abs(to_numpy(new) - old).max() > 1e-6, new.path


def rigid(grid, size):
    """Whether neighbours of a grid are equally far apart, in pixels, along both axes."""
    pixels = to_numpy(ops.normalized_to_pixels(grid, size))
    down = np.linalg.norm(np.diff(pixels, axis=1), axis=-1)
    right = np.linalg.norm(np.diff(pixels, axis=2), axis=-1)
    return np.allclose(down, 1, atol=1e-4) and np.allclose(right, 1, atol=1e-4)


def test_rotations_know_the_sides_of_the_image_that_is_sampled():
    size = (9, 17)
    stn = SpatialTransformer(MeanFeatures(), transform="rotation", **LAST)
    stn.build((None, *size, 1))
    theta = np.array([[0.7]], "float32")
    assert rigid(stn.sampling_grid(theta, size), size)
    # Half as many samples along both axes: still the rotation of the image's own sides.
    grid = stn.sampling_grid(theta, (5, 5), size)
    wanted = to_numpy(stn.sampling_grid(theta, size))[:, ::2, ::4]
    np.testing.assert_allclose(to_numpy(grid), wanted, atol=1e-5)


def test_bounds_hold_whatever_the_features():
    images = random_images(2, 8, 9, 1)
    limits = {"zoom": 2.0, "rotation": 0.5, "shift": 0.25}
    stn = built(images.shape, theta=np.zeros(4), transform="similarity", bounds=limits)
    for raw in ([1e6, 1e6, 1e6, -1e6], [-1e6, -1e6, 0.0, 0.0]):
        set_theta(stn, np.array(raw))
        theta = to_numpy(stn(images, return_theta=True)[1])[0]
        assert np.all(theta >= [0.5, -0.5, -0.25, -0.25])
        assert np.all(theta <= [2.0, 0.5, 0.25, 0.25])
    np.testing.assert_allclose(theta, [0.5, -0.5, 0.0, 0.0], atol=1e-4)


@pytest.mark.parametrize("bounds", [None, "default", {"zoom": 2.0}, (-3.0, [3, 3, 3, 3, 3, 3])])
def test_a_bounded_one_starts_at_the_exact_identity(bounds):
    images = random_images(2, 8, 9, 1)
    stn = SpatialTransformer(MeanFeatures(), bounds=bounds, theta_gain=0.3, **LAST)
    theta = to_numpy(stn(images, return_theta=True)[1])
    np.testing.assert_array_equal(theta, [[1, 0, 0, 0, 1, 0]] * 2)
    again = SpatialTransformer.from_config(stn.get_config())
    again.build(images.shape)
    found = []
    for layer in (stn, again):
        set_theta(layer, [0.5, 0, 0.1, 0, 0.5, -0.1])
        found.append(to_numpy(layer(images, return_theta=True)[1]))
    np.testing.assert_array_equal(*found)


def test_the_gain_scales_how_far_theta_moves():
    images = random_images(2, 8, 9, 1)
    stn = built(images.shape, theta_gain=0.1)
    identity = np.array([1, 0, 0, 0, 1, 0])
    theta = to_numpy(stn(images, return_theta=True)[1])[0]
    np.testing.assert_allclose(theta, identity + 0.1 * (THETA - identity), atol=1e-6)


@pytest.mark.gradient
def test_under_adam_theta_moves_by_the_gain():
    images = random_images(4, 8, 9, 1)
    moved = []
    for gain in (1.0, 0.1):
        keras.utils.set_random_seed(0)
        stn = SpatialTransformer(MeanFeatures(), theta_gain=gain, **LAST)
        model = keras.Sequential([keras.Input((8, 9, 1)), stn])
        model.compile(keras.optimizers.Adam(1e-3), "mse")
        model.train_on_batch(images, np.zeros_like(images))
        theta = to_numpy(stn(images, return_theta=True)[1])
        moved.append(np.abs(theta - [1, 0, 0, 0, 1, 0]).max())
    np.testing.assert_allclose(moved[1] / moved[0], 0.1, rtol=0.05)


WRONG = {
    "num_looks": (
        lambda: SpatialTransformer(num_looks=0),
        "`num_looks` must be a positive integer",
    ),
    "looks_of_splines": (
        lambda: SpatialTransformer(transform="thin_plate_spline", num_looks=2),
        "`num_looks` composes transforms.*Received: transform=ThinPlateSpline",
    ),
    "looks_of_many": (
        lambda: SpatialTransformer(num_looks=2, num_transforms=2),
        "`num_looks` composes transforms.*Received: .*num_transforms=2",
    ),
    "theta_of_many": (
        lambda: SpatialTransformer(num_transforms=2, **LAST)(
            random_images(1, 4, 4, 1), initial_theta=THETA[None]
        ),
        "`initial_theta` composes transforms.*Received: .*num_transforms=2",
    ),
    "gain": (
        lambda: SpatialTransformer(theta_gain=0),
        "`theta_gain` must be a positive number.*Received: theta_gain=0",
    ),
    "axes": (
        lambda: SpatialTransformer(**LAST)([np.zeros((1, 4, 4, 1)), np.zeros((1, 2, 4, 4, 1))]),
        "`images` and `source` must have equally many axes.*Received: images.shape",
    ),
    "bounds": (
        lambda: SpatialTransformer(bounds=(2.0, 3.0), **LAST)(random_images(1, 4, 4, 1)),
        "`bounds` must hold the identity.*Received: lowest theta",
    ),
}


@pytest.mark.parametrize(("make", "message"), WRONG.values(), ids=WRONG.keys())
def test_wrong_arguments(make, message):
    with pytest.raises(ValueError, match=f"(?s){message}"):
        make()


@pytest.mark.skipif(BACKEND == "numpy", reason="NumPy compiles nothing")
def test_compiled_is_the_same():
    images, source = random_images(2, 8, 9, 1), random_images(2, 16, 18, 2, seed=1)
    stn = built(images.shape, source.shape, num_looks=2, bounds="default", antialias=True)
    inputs = [keras.ops.convert_to_tensor(x) for x in (images, source)]
    wanted = to_numpy(stn(inputs))
    found = to_numpy(compiled(lambda a, b: stn([a, b]))(*inputs))
    np.testing.assert_allclose(found, wanted, atol=1e-5)
