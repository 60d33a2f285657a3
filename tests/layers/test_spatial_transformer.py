"""The spatial transformer: what it computes, and the shapes and dtypes that it promises."""

import keras
import numpy as np
import pytest
from keras import layers

from keras_stn import SpatialTransformer, ops
from tests.backend import dtype_name, to_numpy
from tests.layers.models import (
    AFFINE,
    AFFINE_3D,
    MeanFeatures,
    functional_network,
    random_images,
    sequential_network,
    set_theta,
)

THETAS = {2: np.array([AFFINE], "float32"), 3: np.array([AFFINE_3D], "float32")}
CASES = {
    "image": ((2, 7, 9, 3), {}),
    "image_of_another_size": ((2, 7, 9, 3), {"output_size": (5, 4)}),
    "channels_first": ((2, 3, 7, 9), {"data_format": "channels_first"}),
    "edges": ((2, 7, 9, 3), {"align_corners": False, "fill_mode": "reflect"}),
    "filled": ((2, 7, 9, 3), {"fill_mode": "constant", "fill_value": 5.0}),
    "nearest": ((2, 7, 9, 3), {"interpolation": "nearest"}),
    "volume": ((2, 4, 5, 6, 2), {}),
    "volume_of_another_size": ((2, 4, 5, 6, 2), {"output_size": (3, 6, 2)}),
    "volume_channels_first": ((2, 2, 4, 5, 6), {"data_format": "channels_first"}),
}


def spatial_transformer(**options):
    options = {"data_format": "channels_last", **options}
    network = MeanFeatures(data_format=options["data_format"])
    return SpatialTransformer(network, **options)


@pytest.fixture(params=CASES.values(), ids=CASES.keys())
def case(request):
    """Images and the options of a spatial transformer that takes them."""
    shape, options = request.param
    return random_images(*shape), {"data_format": "channels_last", **options}


def expected(images, thetas, options):
    """What the functions of `keras_stn.ops` make of images and one theta."""
    options = {"fill_mode": "nearest", **options}
    channels_last = options["data_format"] == "channels_last"
    size = images.shape[1:-1] if channels_last else images.shape[2:]
    size = options.pop("output_size", None) or size
    align_corners = options.get("align_corners", True)
    thetas = np.repeat(thetas, len(images), axis=0)
    grid = ops.affine_grid(thetas, size, align_corners=align_corners)
    return to_numpy(ops.grid_sample(images, grid, **options))


def test_warps_by_theta(case):
    images, options = case
    theta = THETAS[images.ndim - 2]
    stn = spatial_transformer(**options)
    stn.build(images.shape)
    set_theta(stn, *theta)
    wanted = expected(images, theta, options)
    assert np.abs(wanted).max() > 0.1
    np.testing.assert_allclose(to_numpy(stn(images)), wanted, atol=1e-6)


def test_flips_by_the_mirror():
    images = random_images(2, 5, 6, 3)
    stn = spatial_transformer()
    stn.build(images.shape)
    set_theta(stn, [-1, 0, 0, 0, 1, 0])
    np.testing.assert_allclose(to_numpy(stn(images)), images[:, :, ::-1], atol=1e-6)


@pytest.mark.parametrize("num_transforms", [1, 3])
def test_promises_what_comes_out(case, num_transforms):
    images, options = case
    stn = spatial_transformer(num_transforms=num_transforms, **options)
    promised = stn(keras.KerasTensor(images.shape), return_theta=True)
    real = stn(images, return_theta=True)
    assert [tuple(x.shape) for x in promised] == [tuple(x.shape) for x in real]
    assert [x.dtype for x in promised] == [dtype_name(x) for x in real]
    shapes = stn.compute_output_shape(images.shape, return_theta=True)
    assert list(shapes) == [tuple(x.shape) for x in real]
    warped = stn(keras.KerasTensor(images.shape))
    assert (warped.shape, warped.dtype) == (promised[0].shape, promised[0].dtype)
    assert stn.compute_output_shape(images.shape) == shapes[0]


@pytest.mark.parametrize(
    ("options", "shape", "warped", "theta"),
    [
        ({}, (None, None, None, 3), (None, None, None, 3), (None, 6)),
        ({"output_size": (4, 5)}, (None, None, None, 3), (None, 4, 5, 3), (None, 6)),
        ({"num_transforms": 2}, (None, None, 8, 3), (None, 2, None, 8, 3), (None, 2, 6)),
        ({}, (None, None, None, None, 1), (None, None, None, None, 1), (None, 12)),
        (
            {"data_format": "channels_first", "num_transforms": 2},
            (None, 3, None, None),
            (None, 3, 2, None, None),
            (None, 2, 6),
        ),
    ],
)
def test_keeps_unknown_sizes_unknown(options, shape, warped, theta):
    stn = spatial_transformer(**options)
    assert stn.compute_output_shape(shape) == warped
    assert stn.compute_output_shape(shape, return_theta=True) == (warped, theta)
    outputs = stn(keras.Input(batch_shape=shape), return_theta=True)
    assert tuple(x.shape for x in outputs) == (warped, theta)


@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
def test_every_transform_has_its_own_theta(data_format):
    images = random_images(2, 7, 9, 3)
    options = {"data_format": data_format, "output_size": (4, 5)}
    if data_format == "channels_first":
        images = np.moveaxis(images, -1, 1)
    thetas = np.array([AFFINE, [0.5, 0, 0.25, 0, 0.5, 0], [-1, 0, 0, 0, -1, 0]], "float32")
    stn = spatial_transformer(num_transforms=3, **options)
    stn.build(images.shape)
    set_theta(stn, *thetas)
    warped, theta = stn(images, return_theta=True)
    np.testing.assert_allclose(to_numpy(theta), [thetas, thetas], atol=1e-6)
    axis = 1 if data_format == "channels_last" else 2
    for k, crop in enumerate(np.moveaxis(to_numpy(warped), axis, 0)):
        wanted = expected(images, thetas[k : k + 1], options)
        np.testing.assert_allclose(crop, wanted, atol=1e-6)


def subclassed_model(stn):
    class Model(keras.Model):
        def __init__(self):
            super().__init__()
            self.stn = stn

        def call(self, images):
            return self.stn(images)

    return Model()


def functional_model(stn):
    images = keras.Input((None, None, 1))
    return keras.Model(images, stn(images))


MODELS = {
    "sequential": lambda stn: keras.Sequential([stn]),
    "functional": functional_model,
    "subclassed": subclassed_model,
}


@pytest.mark.parametrize("make", MODELS.values(), ids=MODELS.keys())
@pytest.mark.parametrize(
    ("network", "output_size"), [(None, None), (MeanFeatures(), (6, 5))], ids=["default", "own"]
)
def test_one_model_takes_images_of_every_size(make, network, output_size):
    options = {"output_size": output_size, "data_format": "channels_last"}
    stn = SpatialTransformer(network, **options)
    stn.build((None, None, None, 1))
    set_theta(stn, AFFINE)
    model = make(stn)
    for shape in [(2, 8, 8, 1), (1, 13, 9, 1)]:
        images = random_images(*shape)
        wanted = expected(images, THETAS[2], options)
        np.testing.assert_allclose(model.predict(images, verbose=0), wanted, atol=1e-6)


class Reshaped(layers.Layer):
    """Features of a given shape, subclassed and without `compute_output_shape`."""

    def __init__(self, shape):
        super().__init__()
        self.shape = shape

    def call(self, images):
        mean = keras.ops.mean(images, axis=(1, 2, 3))
        return keras.ops.reshape(mean, (-1, *[1] * len(self.shape))) * keras.ops.ones(self.shape)


NETWORKS = {
    "sequential": sequential_network,
    "functional": functional_network,
    "subclassed": MeanFeatures,
    "rank_1": lambda: Reshaped(()),
    "rank_2": lambda: Reshaped((3,)),
    "rank_3": lambda: Reshaped((2, 3)),
    "rank_5": lambda: Reshaped((2, 1, 3, 2)),
    "convolutional": lambda: layers.Conv2D(2, 3),
    "half": lambda: layers.GlobalAveragePooling2D(dtype="float16"),
}


@pytest.mark.parametrize("network", NETWORKS.values(), ids=NETWORKS.keys())
@pytest.mark.parametrize("num_transforms", [1, 2])
def test_any_network_starts_at_exactly_the_identity(network, num_transforms):
    images = random_images(2, 8, 9, 1)
    stn = SpatialTransformer(network(), num_transforms=num_transforms, data_format="channels_last")
    warped, theta = stn(images, return_theta=True)
    identity = np.array([1, 0, 0, 0, 1, 0], "float32")
    theta = to_numpy(theta)
    assert theta.dtype == "float32"
    assert theta.tobytes() == np.tile(identity, (2 * num_transforms, 1)).tobytes()
    crops = to_numpy(warped).reshape(2, num_transforms, 8, 9, 1)
    for k in range(num_transforms):
        np.testing.assert_allclose(crops[:, k], images, atol=1e-6)


@pytest.mark.parametrize("normalize", [True, False])
def test_theta_comes_from_the_features(normalize):
    images = random_images(2, 8, 9, 1)
    stn = SpatialTransformer(
        functional_network(), normalize_features=normalize, data_format="channels_last"
    )
    stn.build(images.shape)
    kernel = np.random.default_rng(1).normal(size=(2, 6))
    stn.head.kernel.assign(kernel)
    features = np.concatenate([images.mean(axis=(1, 2)), images.max(axis=(1, 2))], axis=1)
    if normalize:
        features /= np.sqrt(np.sum(features**2, axis=1, keepdims=True) + 1e-3)
    wanted = features @ kernel + [1, 0, 0, 0, 1, 0]
    np.testing.assert_allclose(to_numpy(stn.localize(images)), wanted, atol=1e-5)


@pytest.mark.parametrize("interpolation", ["bilinear", "nearest"])
def test_inputs_stay_as_they_are(interpolation):
    images = random_images(2, 8, 9, 1)
    stn = spatial_transformer(interpolation=interpolation)
    stn.build(images.shape)
    set_theta(stn, AFFINE)
    tensor = keras.ops.convert_to_tensor(images)
    assert np.abs(to_numpy(stn(tensor)) - images).max() > 0.1
    np.testing.assert_array_equal(to_numpy(tensor), images)
    stn(images)  # read-only: NumPy would raise
