"""Dtype policies: images in the compute dtype, theta and the grid never below float32."""

import keras
import numpy as np
import pytest

from keras_stn import AffineGridGenerator, GridSampler, SpatialTransformer
from tests.backend import BACKEND, dtype_name, to_numpy
from tests.layers.models import MeanFeatures, random_images

LAST = {"data_format": "channels_last"}
WIDTH = 512
IDENTITY = np.array([[1, 0, 0, 0, 1, 0]], "float32")
# Half a unit in the last place of a number in [0.5, 1).
ROUNDING = {"mixed_float16": 2.0**-12, "mixed_bfloat16": 2.0**-9}
POLICIES = list(ROUNDING)


def stripes():
    """Columns of 0 and 1 in turn: an error of a tenth of a pixel is an error of a tenth."""
    return np.tile(np.arange(WIDTH, dtype="float32") % 2, (1, 4, 1))[..., None]


def spatial_transformer(cls=SpatialTransformer, **options):
    return cls(MeanFeatures(), data_format="channels_last", **options)


def worst_error(tensor):
    return np.abs(to_numpy(keras.ops.cast(tensor, "float32")) - stripes()).max()


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("network", [None, MeanFeatures()], ids=["default", "own"])
def test_theta_stays_wide_and_images_narrow(policy, network):
    images = random_images(2, 8, 9, 1)
    stn = SpatialTransformer(network, dtype=policy, data_format="channels_last")
    promised = stn(keras.KerasTensor(images.shape), return_theta=True)
    real = stn(images, return_theta=True)
    dtypes = [policy.removeprefix("mixed_"), "float32"]
    assert [dtype_name(x) for x in real] == dtypes
    assert [x.dtype for x in promised] == dtypes
    assert dtype_name(stn.sampling_grid(real[1], (8, 9))) == "float32"
    assert {v.dtype for v in stn.trainable_variables} == {"float32"}


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("align_corners", [True, False])
def test_identity_is_exact_to_rounding(policy, align_corners):
    stn = spatial_transformer(dtype=policy, align_corners=align_corners)
    assert worst_error(stn(stripes())) <= ROUNDING[policy]


class NarrowGrid(SpatialTransformer):
    """What goes wrong if nobody takes care: the grid in the compute dtype."""

    def sampling_grid(self, *args):
        return keras.ops.cast(super().sampling_grid(*args), self.compute_dtype)


@pytest.mark.parametrize("policy", POLICIES)
def test_the_test_above_notices_a_narrow_grid(policy):
    assert worst_error(spatial_transformer(NarrowGrid, dtype=policy)(stripes())) > 0.05


@pytest.mark.parametrize("policy", POLICIES)
def test_layers_of_the_pieces_keep_the_grid_wide(policy):
    # Next to the edge, where half precision is coarsest: rounded, theta moves the grid by 0.1 px.
    theta = IDENTITY * np.float32(0.9991)
    grid = AffineGridGenerator((4, WIDTH), dtype=policy)(theta)
    assert dtype_name(grid) == "float32"
    wide = AffineGridGenerator((4, WIDTH))(theta)
    np.testing.assert_array_equal(to_numpy(grid), to_numpy(wide))
    identity = AffineGridGenerator((4, WIDTH), dtype=policy)(IDENTITY)
    sampler = GridSampler(dtype=policy, data_format="channels_last")
    samples = sampler([stripes(), identity])
    assert dtype_name(samples) == policy.removeprefix("mixed_")
    assert worst_error(samples) <= ROUNDING[policy]


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_pure_half_precision_keeps_the_head_wide(dtype):
    stn = spatial_transformer(dtype=dtype)
    warped, theta = stn(keras.ops.cast(stripes(), dtype), return_theta=True)
    assert (dtype_name(warped), dtype_name(theta)) == (dtype, "float32")
    assert dtype_name(stn.head.kernel) == "float32"
    assert worst_error(warped) <= ROUNDING[f"mixed_{dtype}"]


def given_theta(policy):
    """A model of images and a theta that they have gone through, both as its outputs too."""
    images, theta = keras.Input((4, WIDTH, 1)), keras.Input((6,))
    stn = spatial_transformer(dtype=policy)
    return keras.Model([images, theta], stn(images, initial_theta=theta, return_theta=True))


@pytest.mark.parametrize("policy", POLICIES)
def test_a_theta_that_is_given_stays_wide(policy):
    # Rounded to bfloat16, the shift would be off by a third of a pixel.
    shift = 2 * 180 / (WIDTH - 1)
    theta = np.array([[1, 0, shift, 0, 1, 0]], "float32")
    wanted = stripes()[:, :, 180:]
    stn, model = spatial_transformer(dtype=policy), given_theta(policy)
    nested = keras.Model(model.inputs, model(model.inputs))
    for warped, found in (
        stn(stripes(), initial_theta=theta, return_theta=True),
        stn(stripes(), theta, return_theta=True),
        stn([stripes(), stripes()], initial_theta=theta.reshape(1, 2, 3), return_theta=True),
        model([stripes(), theta]),
        nested([stripes(), theta]),
    ):
        assert [dtype_name(x) for x in (warped, found)] == [policy[len("mixed_") :], "float32"]
        np.testing.assert_array_equal(to_numpy(found), theta)
        warped = to_numpy(keras.ops.cast(warped, "float32"))[:, :, : WIDTH - 180]
        np.testing.assert_allclose(warped, wanted, atol=ROUNDING[policy])
    assert [x.dtype for x in model.outputs] == [policy[len("mixed_") :], "float32"]


class SeenDtypes(keras.layers.Layer):
    """Features that keep the dtype of what they are of."""

    def call(self, images):
        self.seen = dtype_name(images)
        return keras.ops.mean(images, axis=(1, 2))


@pytest.mark.parametrize("policy", POLICIES)
def test_networks_and_sources_get_the_compute_dtype(policy):
    narrow = policy.removeprefix("mixed_")
    images, labels = random_images(2, 8, 9, 1), np.ones((2, 8, 9, 1), "uint8")
    network = SeenDtypes(dtype=keras.DTypePolicy(policy))
    stn = SpatialTransformer(network, num_looks=2, dtype=policy, **LAST)
    for source, wanted in [(images, narrow), (images.astype("float16"), narrow)]:
        assert dtype_name(stn([images, source])) == wanted
        assert network.seen == narrow
    # A label map stays one, and is promised to.
    nearest = SpatialTransformer(MeanFeatures(), interpolation="nearest", dtype=policy, **LAST)
    promised = nearest([keras.KerasTensor(x.shape, dtype_name(x)) for x in (images, labels)])
    assert (promised.dtype, dtype_name(nearest([images, labels]))) == ("uint8", "uint8")


@pytest.mark.parametrize("policy", POLICIES)
def test_coordinates_stay_wide_in_functional_models(policy):
    theta = IDENTITY * np.float32(0.9991)
    images, thetas = keras.Input((4, WIDTH, 1)), keras.Input((6,))
    grid = AffineGridGenerator((4, WIDTH), dtype=policy)(theta=thetas)
    samples = GridSampler(dtype=policy, **LAST)(inputs=[images, grid])
    inner = keras.Model([images, thetas], [samples, grid])
    model = keras.Model(inner.inputs, inner(inner.inputs))
    samples, grid = model([stripes(), theta])
    np.testing.assert_array_equal(to_numpy(grid), to_numpy(AffineGridGenerator((4, WIDTH))(theta)))
    wanted = to_numpy(GridSampler(**LAST)([stripes(), grid]))
    samples = to_numpy(keras.ops.cast(samples, "float32"))
    np.testing.assert_allclose(samples, wanted, atol=ROUNDING[policy])


@pytest.mark.gradient
@pytest.mark.parametrize("policy", POLICIES)
def test_trains_with_a_theta_that_is_given(policy):
    model = given_theta(policy)
    model.compile("sgd", ["mse", None], jit_compile=BACKEND == "jax")
    images = np.repeat(stripes(), 2, axis=0)
    theta = np.repeat(IDENTITY, 2, axis=0) * np.float32(0.9)
    history = model.fit([images, theta], [images, theta], verbose=0)
    assert np.isfinite(history.history["loss"]).all()
    found = model.predict([images, theta], verbose=0)[1]
    assert 1e-6 < np.abs(found - theta).max() < 0.5


@pytest.mark.skipif(BACKEND in ("jax", "numpy"), reason="Keras knows no float64 on this backend")
def test_float64_reaches_theta():
    images = random_images(2, 8, 9, 1).astype("float64")
    stn = spatial_transformer(dtype="float64")
    real = stn(images, return_theta=True)
    promised = stn(keras.KerasTensor(images.shape, "float64"), return_theta=True)
    assert [dtype_name(x) for x in real] == ["float64", "float64"]
    assert [x.dtype for x in promised] == ["float64", "float64"]
    # Further than float32 reaches: the grid is as wide as theta.
    np.testing.assert_allclose(to_numpy(real[0]), images, rtol=0, atol=1e-14)


@pytest.mark.gradient
@pytest.mark.parametrize("policy", POLICIES)
def test_trains_under_mixed_precision(policy):
    images = random_images(6, 8, 9, 1)
    stn = spatial_transformer(dtype=policy)
    model = keras.Sequential([stn])
    model.compile("sgd", "mse", jit_compile=BACKEND == "jax")
    history = model.fit(images, images[:, :, ::-1], batch_size=4, verbose=0)
    assert np.isfinite(history.history["loss"]).all()
    assert np.abs(to_numpy(stn.head.bias) - IDENTITY).max() > 1e-6
