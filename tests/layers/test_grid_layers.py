"""The grid generator and the samplers: the functions of `keras_stn.ops` as layers."""

import keras
import numpy as np
import pytest

from keras_stn import AffineGridGenerator, BilinearSampler, GridSampler, ops
from tests.backend import dtype_name, to_numpy
from tests.layers.models import AFFINE, AFFINE_3D, random_images

THETA = np.array([AFFINE, [0.5, 0, 0.25, 0, 0.5, 0]], "float32")
THETA_3D = np.array([AFFINE_3D] * 2, "float32")


def grids(*shape, seed=1):
    """Grids of which a part lies outside the image, read-only."""
    grid = np.random.default_rng(seed).uniform(-1.3, 1.3, size=shape).astype("float32")
    grid.flags.writeable = False
    return grid


@pytest.mark.parametrize("align_corners", [True, False])
@pytest.mark.parametrize(
    ("theta", "output_size"),
    [
        (THETA, (5, 7)),
        (THETA.reshape(2, 2, 3), (5, 7)),
        (THETA_3D, (3, 5, 7)),
        (THETA_3D.reshape(2, 3, 4), [3, 5, 7]),
    ],
)
def test_generates_the_grid_of_theta(theta, output_size, align_corners):
    ndim = len(output_size)
    matrices = theta.reshape(2, ndim, ndim + 1).astype("float64")
    ends = [1.0 if align_corners else 1.0 - 1.0 / size for size in output_size]
    axes = [np.linspace(-end, end, size) for end, size in zip(ends, output_size, strict=True)]
    target = np.stack([*np.meshgrid(*axes, indexing="ij")[::-1], np.ones(output_size)], axis=-1)
    wanted = np.einsum("bij,...j->b...i", matrices, target)
    layer = AffineGridGenerator(output_size, align_corners=align_corners)
    np.testing.assert_allclose(to_numpy(layer(theta)), wanted, atol=1e-6)


SAMPLERS = {
    "image": ((2, 5, 6, 3), (2, 4, 7, 2), {}),
    "points": ((2, 5, 6, 3), (2, 9, 2), {"fill_mode": "wrap"}),
    "crops": ((2, 5, 6, 3), (2, 3, 4, 7, 2), {"fill_mode": "mirror", "align_corners": False}),
    "channels_first": ((2, 3, 5, 6), (2, 4, 7, 2), {"data_format": "channels_first"}),
    "volume": ((2, 4, 5, 6, 3), (2, 3, 4, 2, 3), {"fill_value": 2.0}),
    "volume_channels_first": ((2, 3, 4, 5, 6), (2, 9, 3), {"data_format": "channels_first"}),
}


@pytest.mark.parametrize("interpolation", ["bilinear", "nearest"])
@pytest.mark.parametrize("case", SAMPLERS.values(), ids=SAMPLERS.keys())
def test_samples_as_the_function_does(case, interpolation):
    images_shape, grid_shape, options = case
    options = {"data_format": "channels_last", "interpolation": interpolation, **options}
    images, grid = random_images(*images_shape), grids(*grid_shape)
    wanted = to_numpy(ops.grid_sample(images, grid, **options))
    layer = GridSampler(**options)
    np.testing.assert_allclose(to_numpy(layer([images, grid])), wanted, atol=1e-6)
    promised = layer([keras.KerasTensor(images_shape), keras.KerasTensor(grid_shape)])
    assert tuple(promised.shape) == wanted.shape
    assert layer.compute_output_shape([images_shape, grid_shape]) == wanted.shape
    if interpolation == "bilinear":
        del options["interpolation"]
        bilinear = BilinearSampler(**options)
        np.testing.assert_allclose(to_numpy(bilinear([images, grid])), wanted, atol=1e-6)


@pytest.mark.parametrize("interpolation", ["bilinear", "nearest"])
def test_samplers_leave_their_inputs_alone(interpolation):
    images, grid = random_images(2, 5, 6, 3), grids(2, 4, 7, 2)
    tensors = [keras.ops.convert_to_tensor(x) for x in (images, grid)]
    GridSampler(interpolation=interpolation, data_format="channels_last")(tensors)
    np.testing.assert_array_equal(to_numpy(tensors[0]), images)
    np.testing.assert_array_equal(to_numpy(tensors[1]), grid)


def test_generator_leaves_theta_alone():
    theta = THETA.copy()
    theta.flags.writeable = False
    tensor = keras.ops.convert_to_tensor(theta)
    layer = AffineGridGenerator((5, 7))
    np.testing.assert_array_equal(to_numpy(layer(theta)), to_numpy(layer(tensor)))
    np.testing.assert_array_equal(to_numpy(tensor), theta)


@pytest.mark.parametrize(
    ("images", "grid", "data_format", "samples"),
    [
        ((None, None, None, 3), (None, 4, 7, 2), "channels_last", (None, 4, 7, 3)),
        ((None, 8, 8, 3), (2, None, 2), "channels_last", (2, None, 3)),
        ((2, 3, 8, 8), (None, None, None, 2), "channels_first", (2, 3, None, None)),
        ((None, None, None, None, 1), (None, 5, 3), "channels_last", (None, 5, 1)),
    ],
)
def test_samplers_keep_unknown_sizes_unknown(images, grid, data_format, samples):
    layer = BilinearSampler(data_format=data_format)
    assert layer.compute_output_shape([images, grid]) == samples
    inputs = [keras.Input(batch_shape=images), keras.Input(batch_shape=grid)]
    assert tuple(layer(inputs).shape) == samples


def test_generator_keeps_an_unknown_batch_unknown():
    layer = AffineGridGenerator((5, 7))
    assert layer.compute_output_shape((None, 6)) == (None, 5, 7, 2)
    assert tuple(layer(keras.Input((2, 3))).shape) == (None, 5, 7, 2)


def functional():
    images, theta = keras.Input((None, None, 1)), keras.Input((6,))
    grid = AffineGridGenerator((5, 7))(theta)
    samples = BilinearSampler(data_format="channels_last")([images, grid])
    return keras.Model([images, theta], samples)


def subclassed():
    class Warp(keras.Model):
        def __init__(self):
            super().__init__()
            self.generator = AffineGridGenerator((5, 7))
            self.sampler = GridSampler(data_format="channels_last")

        def call(self, inputs):
            images, theta = inputs
            return self.sampler([images, self.generator(theta)])

    return Warp()


@pytest.mark.parametrize("model", [functional, subclassed])
def test_models_of_the_layers_take_images_of_every_size(model):
    model = model()
    for batch, height, width in [(2, 8, 9), (1, 8, 9), (2, 13, 6)]:
        images, theta = random_images(batch, height, width, 1), THETA[:batch]
        grid = ops.affine_grid(theta, (5, 7))
        wanted = to_numpy(ops.grid_sample(images, grid, data_format="channels_last"))
        np.testing.assert_allclose(to_numpy(model([images, theta])), wanted, atol=1e-6)
        predicted = model.predict([images, theta], verbose=0)
        np.testing.assert_allclose(predicted, wanted, atol=1e-6)


def test_sequential_model_of_the_generator():
    model = keras.Sequential([keras.Input((6,)), AffineGridGenerator((5, 7))])
    wanted = to_numpy(ops.affine_grid(THETA, (5, 7)))
    np.testing.assert_allclose(model.predict(THETA, verbose=0), wanted, atol=1e-6)


def test_nearest_keeps_integer_labels():
    labels = np.random.default_rng(0).integers(0, 200, size=(2, 5, 6, 1)).astype("uint8")
    grid = ops.affine_grid(np.array([[-1, 0, 0, 0, 1, 0]] * 2, "float32"), (5, 6))
    layer = GridSampler(interpolation="nearest", data_format="channels_last")
    flipped = layer([labels, grid])
    assert dtype_name(flipped) == "uint8"
    np.testing.assert_array_equal(to_numpy(flipped), labels[:, :, ::-1])
    promised = layer([keras.KerasTensor(labels.shape, "uint8"), keras.KerasTensor(grid.shape)])
    assert promised.dtype == "uint8"


def test_data_format_follows_keras():
    assert keras.config.image_data_format() == "channels_last"
    keras.config.set_image_data_format("channels_first")
    try:
        assert GridSampler().data_format == "channels_first"
    finally:
        keras.config.set_image_data_format("channels_last")
