"""Perturbed signs: warped as scikit-image warps, the same every time, and only while training."""

import keras
import numpy as np
import pytest
import skimage.data
import skimage.transform

from gtsrb import warping
from gtsrb.dataset import ImageSet
from gtsrb.warping import PERTURBATIONS, RandomWarp, Ranges
from tests.backend import to_numpy


@pytest.fixture
def photograph():
    """A float image (48, 48, 3) in [0, 1]."""
    return skimage.transform.resize(skimage.data.astronaut(), (48, 48)).astype("float32")


def test_ranges_are_reached_and_kept():
    ranges = Ranges(rotation=30, zoom=2.0, shift=0.25, stretch=1.5, shear=0.2)
    uniform = np.array([[-1.0] * 6, [0.0] * 6, [1.0] * 6], "float32")
    thetas = to_numpy(ranges.thetas(uniform)).reshape(3, 2, 3)
    np.testing.assert_allclose(thetas[1], np.eye(2, 3), atol=1e-6)
    for sign, theta in ((-1, thetas[0]), (1, thetas[2])):
        angle = sign * np.pi / 6
        rotation = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
        upper = [[1.5**sign, 0.2 * sign], [0, 1.5**-sign]]
        np.testing.assert_allclose(theta[:, :2], 2.0**sign * np.array(rotation) @ upper, rtol=1e-5)
        np.testing.assert_allclose(theta[:, 2], [0.25 * sign, 0.25 * sign])


@pytest.mark.parametrize(
    ("ranges", "matrix"),
    [
        (Ranges(rotation=40), skimage.transform.SimilarityTransform(rotation=np.radians(40))),
        (Ranges(stretch=1.3), skimage.transform.AffineTransform(scale=(1.3, 1 / 1.3))),
        (Ranges(zoom=1.5), skimage.transform.SimilarityTransform(scale=1.5)),
        # Half a half side to the right and down: the sign comes from there.
        (Ranges(shift=0.5), skimage.transform.SimilarityTransform(translation=(12, 12))),
    ],
)
def test_warp_against_scikit_image(photograph, ranges, matrix):
    warped = warping.warp(photograph[None], ranges.thetas(np.ones((1, 6), "float32")))
    centre = skimage.transform.SimilarityTransform(translation=(-23.5, -23.5))
    back = skimage.transform.SimilarityTransform(translation=(23.5, 23.5))
    expected = skimage.transform.warp(photograph, centre + matrix + back, mode="edge")
    np.testing.assert_allclose(to_numpy(warped)[0], expected, atol=1e-4)


def test_perturbed_sets_are_frozen_and_differ(photograph):
    count = warping.BATCH + 3
    images = np.round(255 * np.repeat(photograph[None], count, axis=0)).astype("uint8")
    labels = np.arange(count)
    original = ImageSet(images, labels, labels)
    sets = {name: warping.perturbed(original, r) for name, r in PERTURBATIONS.items()}
    again = warping.perturbed(original, PERTURBATIONS["rotated"])
    np.testing.assert_array_equal(sets["rotated"].images, again.images)
    for warped in sets.values():
        assert warped.images.dtype == np.uint8
        assert warped.labels is labels
        changed = np.abs(warped.images.astype(int) - images).mean(axis=(1, 2, 3))
        assert (changed > 0.5).mean() > 0.9
    assert len({warped.images.tobytes() for warped in sets.values()}) == len(sets)
    # Each image in its own way, also across batches.
    assert len(np.unique(sets["shifted"].images.reshape(count, -1), axis=0)) == count


def test_random_warp_is_anew_in_training_and_absent_in_inference(photograph):
    images = np.repeat(photograph[None], 4, axis=0)
    layer = RandomWarp(Ranges(rotation=20, zoom=1.2, shift=0.1, stretch=1.1, shear=0.1))
    first, second = (to_numpy(layer(images, training=True)) for _ in range(2))
    assert np.abs(first - second).max() > 0.05
    assert np.abs(first[0] - first[1]).max() > 0.05
    assert first.min() >= images.min() - 1e-6
    assert first.max() <= images.max() + 1e-6
    np.testing.assert_array_equal(to_numpy(layer(images, training=False)), images)
    copy = RandomWarp.from_config(layer.get_config())
    assert copy.ranges == layer.ranges
    np.testing.assert_array_equal(to_numpy(copy(images, training=True)), first)


def test_random_warp_in_a_model_survives_saving(tmp_path, photograph):
    images = keras.Input((48, 48, 3))
    model = keras.Model(images, RandomWarp(Ranges(rotation=20))(images))
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded.predict(photograph[None], verbose=0)[0], photograph)
