"""What docs/porting.md says of other samplers."""

import keras
import numpy as np

from keras_stn import ops


def old_tensorflow_sampler(image, x, y):
    """That of tensorflow/models by its formula, for one image (H, W) and normalized places."""
    height, width = image.shape
    x, y = (x + 1) * width / 2, (y + 1) * height / 2
    x0, y0 = np.floor(x).astype(int), np.floor(y).astype(int)
    x1, y1 = np.clip(x0 + 1, 0, width - 1), np.clip(y0 + 1, 0, height - 1)
    x0, y0 = np.clip(x0, 0, width - 1), np.clip(y0, 0, height - 1)
    return (
        (x1 - x) * (y1 - y) * image[y0, x0]
        + (x1 - x) * (y - y0) * image[y1, x0]
        + (x - x0) * (y1 - y) * image[y0, x1]
        + (x - x0) * (y - y0) * image[y1, x1]
    )


def test_the_old_sampler_is_half_a_pixel_off_and_cut_at_the_edge():
    rng = np.random.default_rng(0)
    height, width = 16, 20
    image = rng.uniform(size=(height, width))
    x, y = rng.uniform(-1.3, 1.3, (2, 500))
    expected = old_tensorflow_sampler(image, x, y)
    grid = np.stack([x + 1 / width, y + 1 / height], axis=-1)[None].astype("float32")
    found = ops.grid_sample(
        image.astype("float32")[None, ..., None],
        grid,
        align_corners=False,
        data_format="channels_last",
    )
    found = keras.ops.convert_to_numpy(found)[0, :, 0]
    column, row = (x + 1) * width / 2, (y + 1) * height / 2
    inside = (column >= 0) & (column < width - 1) & (row >= 0) & (row < height - 1)
    assert 200 < inside.sum() < 400
    np.testing.assert_allclose(found[inside], expected[inside], atol=1e-4)
    np.testing.assert_allclose(expected[~inside], 0, atol=1e-12)


def test_the_identity_of_the_old_sampler_loses_the_last_row():
    x, y = np.meshgrid(np.linspace(-1, 1, 5), np.linspace(-1, 1, 4))
    warped = old_tensorflow_sampler(np.ones((4, 5)), x, y)
    assert not warped[-1].any()
    assert not warped[:, -1].any()
    np.testing.assert_allclose(warped[:-1, :-1], 1)
