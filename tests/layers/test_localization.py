"""The default localization network and its thumbnail."""

import keras
import numpy as np
import pytest

from keras_stn.layers.localization import Thumbnail, area_weights, default_localization_network
from tests.backend import BACKEND, compiled, dtype_name, to_numpy
from tests.layers.models import random_images

SIZES = [1, 2, 3, 5, 7, 8, 16, 33, 224]


def exact_weights(source, target):
    """The overlap of [i, i + 1) target pixels with [j, j + 1) source pixels, in float64."""
    scale = source / target
    weights = np.zeros((target, source))
    for i in range(target):
        for j in range(source):
            overlap = min((i + 1) * scale, j + 1) - max(i * scale, j)
            weights[i, j] = max(overlap, 0.0) / scale
    return weights


@pytest.mark.parametrize("source", SIZES)
@pytest.mark.parametrize("target", [1, 2, 3, 5, 16, 32])
def test_weights_are_shares_of_area(source, target):
    weights = to_numpy(area_weights(source, target))
    assert weights.shape == (target, source)
    assert weights.min() >= 0
    np.testing.assert_allclose(weights.sum(axis=1), 1.0, atol=1e-5)
    np.testing.assert_allclose(weights, exact_weights(source, target), atol=1e-5)


@pytest.mark.parametrize("size", SIZES)
def test_same_size_is_the_identity(size):
    np.testing.assert_array_equal(to_numpy(area_weights(size, size)), np.eye(size))


@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
@pytest.mark.parametrize(
    ("sizes", "target"), [((6, 8), (3, 2)), ((1, 9), (1, 3)), ((4, 6, 10), (2, 3, 5))]
)
def test_integer_ratios_are_means_of_blocks(sizes, target, data_format):
    images = random_images(2, *sizes, 3)
    blocks = [n for size, t in zip(sizes, target, strict=True) for n in (t, size // t)]
    means = images.reshape(2, *blocks, 3).mean(axis=tuple(range(2, 2 * len(sizes) + 1, 2)))
    if data_format == "channels_first":
        images, means = np.moveaxis(images, -1, 1), np.moveaxis(means, -1, 1)
    thumbnail = Thumbnail(target, data_format=data_format)
    np.testing.assert_allclose(to_numpy(thumbnail(images)), means, atol=1e-6)
    assert thumbnail.compute_output_shape(images.shape) == means.shape


@pytest.mark.parametrize("sizes", [(1, 1), (2, 3), (5, 7), (9, 4), (40, 3), (3, 2, 6)])
def test_shrinks_and_enlarges(sizes):
    images = random_images(2, *sizes, 3)
    target = (4, 5, 3)[: len(sizes)]
    wanted = images.astype("float64")
    for axis, (source, size) in enumerate(zip(sizes, target, strict=True), start=1):
        shrunk = np.tensordot(wanted, exact_weights(source, size), axes=(axis, 1))
        wanted = np.moveaxis(shrunk, -1, axis)
    thumbnail = to_numpy(Thumbnail(target, data_format="channels_last")(images))
    np.testing.assert_allclose(thumbnail, wanted, atol=1e-5)
    # A mean: nothing brighter or darker than the image, and as bright on the whole.
    assert images.min() - 1e-6 <= thumbnail.min()
    assert thumbnail.max() <= images.max() + 1e-6
    np.testing.assert_allclose(thumbnail.mean(), images.mean(), atol=1e-5)


def test_one_thumbnail_takes_images_of_every_size():
    thumbnail = Thumbnail((4, 5), data_format="channels_last")
    inputs = keras.Input((None, None, 2))
    model = keras.Model(inputs, thumbnail(inputs))
    assert model.output_shape == (None, 4, 5, 2)
    for shape in [(2, 8, 9, 2), (1, 3, 20, 2)]:
        images = random_images(*shape)
        wanted = to_numpy(thumbnail(images))
        np.testing.assert_allclose(model.predict(images, verbose=0), wanted, atol=1e-6)


@pytest.mark.skipif(BACKEND != "tensorflow", reason="only TensorFlow has sizes known at run time")
def test_sizes_known_at_run_time():
    import tensorflow as tf

    thumbnail = Thumbnail((4, 5), data_format="channels_last")
    signature = [tf.TensorSpec((None, None, None, 2), "float32")]
    dynamic = tf.function(thumbnail.__call__, input_signature=signature)
    for shape in [(2, 8, 9, 2), (1, 3, 20, 2), (3, 1, 1, 2)]:
        images = random_images(*shape)
        wanted = to_numpy(thumbnail(images))
        np.testing.assert_allclose(to_numpy(dynamic(images)), wanted, atol=1e-6)
    assert dynamic.experimental_get_tracing_count() == 1


def test_compiled_is_the_same():
    thumbnail = Thumbnail((4, 5), data_format="channels_last")
    images = keras.ops.convert_to_tensor(random_images(2, 7, 9, 2))
    wanted = to_numpy(thumbnail(images))
    np.testing.assert_allclose(to_numpy(compiled(thumbnail)(images)), wanted, atol=1e-6)


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_narrow_images_keep_their_dtype(policy):
    images = random_images(2, 33, 9, 1)
    thumbnail = Thumbnail((4, 5), data_format="channels_last", dtype=policy)
    small = thumbnail(images)
    assert dtype_name(small) == policy.removeprefix("mixed_")
    wide = to_numpy(Thumbnail((4, 5), data_format="channels_last")(images))
    small = to_numpy(keras.ops.cast(small, "float32"))
    np.testing.assert_allclose(small, wide, atol=1e-2)


@pytest.mark.parametrize(
    ("shape", "parameters"), [((None, None, None, 3), 56_128), ((None, 9, 8, 7, 1), 110_176)]
)
def test_default_network_has_64_features_of_images_of_any_size(shape, parameters):
    network = default_localization_network(len(shape) - 2, data_format="channels_last", dtype=None)
    features = network(keras.KerasTensor(shape))
    assert tuple(features.shape) == (shape[0], 64)
    assert network.count_params() == parameters


def test_default_network_is_the_same_in_training():
    network = default_localization_network(2, data_format="channels_last", dtype=None)
    images = random_images(2, 20, 31, 1)
    features = to_numpy(network(images, training=True))
    assert np.ptp(features) > 1e-3
    np.testing.assert_array_equal(features, to_numpy(network(images, training=False)))
