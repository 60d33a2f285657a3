"""What docs/porting.md says of other samplers."""

import keras
import numpy as np
import pytest

from keras_stn import SpatialTransformer, ops

HEIGHT, WIDTH = 16, 20
# The old code's pixels from -1 to 1, for a size: tensorflow/models', and K. Zakka's.
SPANS = [
    pytest.param(lambda size: size, id="models"),
    pytest.param(lambda size: size - 2, id="zakka"),
]


def old_pixels(x, y, size, span):
    """Normalized places in pixels, as the old code has it."""
    height, width = size
    return (x + 1) * span(width) / 2, (y + 1) * span(height) / 2


def old_tensorflow_sampler(image, x, y, span):
    """The old sampler by its formula, for one image (H, W) and normalized places."""
    height, width = image.shape
    x, y = old_pixels(x, y, image.shape, span)
    x0, y0 = np.floor(x).astype(int), np.floor(y).astype(int)
    x1, y1 = np.clip(x0 + 1, 0, width - 1), np.clip(y0 + 1, 0, height - 1)
    x0, y0 = np.clip(x0, 0, width - 1), np.clip(y0, 0, height - 1)
    return (
        (x1 - x) * (y1 - y) * image[y0, x0]
        + (x1 - x) * (y - y0) * image[y1, x0]
        + (x - x0) * (y1 - y) * image[y0, x1]
        + (x - x0) * (y - y0) * image[y1, x1]
    )


def regions(x, y, size, span):
    """Where the old sampler's four neighbours are all in the image, and where none of them is."""
    column, row = old_pixels(x, y, size, span)
    height, width = size
    inside = (column >= 0) & (column < width - 1) & (row >= 0) & (row < height - 1)
    beyond = (column <= -1) | (column >= width) | (row <= -1) | (row >= height)
    return inside, beyond


def correction(span):
    """The page's: what theta is scaled by, and what is added then."""
    scale = np.repeat([span(WIDTH) / (WIDTH - 1), span(HEIGHT) / (HEIGHT - 1)], 3)
    return scale, np.array([0, 0, scale[0] - 1, 0, 0, scale[3] - 1])


@pytest.mark.parametrize("span", SPANS)
def test_scaled_and_shifted_places_are_the_old_ones_but_for_a_pixel_around_the_image(span):
    rng = np.random.default_rng(0)
    image = rng.uniform(0.5, 1, size=(HEIGHT, WIDTH))
    x, y = rng.uniform(-1.4, 1.4, (2, 1000))
    expected = old_tensorflow_sampler(image, x, y, span)
    scale, shift = correction(span)
    grid = np.stack([x * scale[0] + shift[2], y * scale[3] + shift[5]], axis=-1)[None]
    found = ops.grid_sample(
        image.astype("float32")[None, ..., None],
        grid.astype("float32"),
        data_format="channels_last",
    )
    found = keras.ops.convert_to_numpy(found)[0, :, 0]
    inside, beyond = regions(x, y, image.shape, span)
    between = ~inside & ~beyond
    assert inside.sum() > 300
    assert between.sum() > 50
    assert beyond.sum() > 50
    np.testing.assert_allclose(found[inside], expected[inside], atol=1e-4)
    np.testing.assert_allclose(expected[~inside], 0, atol=1e-12)
    np.testing.assert_allclose(found[beyond], 0, atol=1e-4)
    assert (found[between] > 0).all()


@pytest.mark.parametrize("activation", ["linear", "tanh"])
@pytest.mark.parametrize("span", SPANS)
def test_a_head_takes_the_old_localizers_place(span, activation):
    rng = np.random.default_rng(0)
    images = rng.uniform(size=(4, HEIGHT, WIDTH, 1)).astype("float32")
    kernel = rng.normal(0, 0.03, (HEIGHT * WIDTH, 6))
    bias = np.array([0.9, 0, 0, 0, 0.9, 0])
    scale, shift = correction(span)
    layers = [keras.layers.Flatten(data_format="channels_last")]
    if activation == "tanh":
        layers.append(keras.layers.Dense(6, activation="tanh"))
    stn = SpatialTransformer(
        keras.Sequential(layers),
        output_size=(12, 14),
        normalize_features=False,
        data_format="channels_last",
    )
    stn.build(images.shape)
    theta = images.reshape(4, -1).astype("float64") @ kernel + bias
    if activation == "tanh":
        theta = np.tanh(theta)
        layers[1].set_weights([kernel, bias])
        stn.head.set_weights([np.diag(scale), shift])
    else:
        stn.head.set_weights([kernel * scale, bias * scale + shift])
    found = keras.ops.convert_to_numpy(stn(images))[..., 0]

    y, x = np.meshgrid(np.linspace(-1, 1, 12), np.linspace(-1, 1, 14), indexing="ij")
    for image, matrix, crop in zip(images[..., 0], theta.reshape(4, 2, 3), found, strict=True):
        places = np.tensordot(matrix, [x, y, np.ones_like(x)], axes=1)
        inside, _ = regions(*places, image.shape, span)
        assert inside.mean() > 0.2
        expected = old_tensorflow_sampler(image, *places, span)
        np.testing.assert_allclose(crop[inside], expected[inside], atol=1e-4)


def test_the_identity_of_the_old_sampler_loses_the_last_row():
    x, y = np.meshgrid(np.linspace(-1, 1, 5), np.linspace(-1, 1, 4))
    warped = old_tensorflow_sampler(np.ones((4, 5)), x, y, lambda size: size)
    assert not warped[-1].any()
    assert not warped[:, -1].any()
    np.testing.assert_allclose(warped[:-1, :-1], 1)
