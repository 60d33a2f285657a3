"""A theta that the images have gone through already: what is refused, and what shapes it makes."""

import keras
import numpy as np
import pytest

from keras_stn import SpatialTransformer
from tests.backend import to_numpy, traced
from tests.layers.models import MeanFeatures, random_images

LAST = {"data_format": "channels_last"}
IMAGES = random_images(2, 8, 9, 1)
SIZED = (4, 5)
INITIAL = {
    # name: (layer's options, theta's shape, theta's dtype, message)
    "a family that does not compose": (
        {"transform": "thin_plate_spline"},
        (None, 32),
        "float32",
        r"`initial_theta` composes transforms.*Received: transform=ThinPlateSpline.*'affine'",
    ),
    "several": (
        {"num_transforms": 2},
        (None, 6),
        "float32",
        r"`initial_theta` composes transforms.*Received: .*num_transforms=2.*'affine'",
    ),
    "another length": (
        {},
        (None, 5),
        "float32",
        r"`initial_theta` must have shape \(batch, 6\) or \(batch, 2, 3\) for Affine\(\)\. "
        r"Received: initial_theta\.shape=\((None|2), 5\)\. Pass thetas of the layer's own family",
    ),
    "another family": (
        {"transform": "similarity"},
        (None, 6),
        "float32",
        r"`initial_theta` must have shape \(batch, 4\) for Similarity.*Received: .*shape=\(.*, 6\)",
    ),
    "matrices of another family": (
        {"transform": "projective"},
        (None, 3, 3),
        "float32",
        r"`initial_theta` must have shape \(batch, 8\) for Projective.*Received: .*, 3, 3\)",
    ),
    "no batch": (
        {},
        (6,),
        "float32",
        r"`initial_theta` must have shape \(batch, 6\) or .*Received: initial_theta\.shape=\(6,\)",
    ),
    "integers": (
        {},
        (None, 6),
        "int32",
        r"`initial_theta` must be floating point\. Received: initial_theta\.dtype=int32\. Cast it",
    ),
    "a source": (
        {},
        (None, 8, 9, 1),
        "float32",
        r"`SpatialTransformer` must be called on images, or on images and source in one list\. "
        r"Received: a second argument, `initial_theta`, of shape \((None|2), 8, 9, 1\).*Call it on "
        r"\[images, source\]",
    ),
}


@pytest.mark.parametrize(
    ("options", "shape", "dtype", "message"), INITIAL.values(), ids=INITIAL.keys()
)
def test_a_wrong_initial_theta_is_refused_before_anything_runs(options, shape, dtype, message):
    stn = SpatialTransformer(MeanFeatures(), **options, **LAST)
    theta = keras.KerasTensor(shape, dtype)
    values = np.ones([2 if size is None else size for size in shape], dtype)
    for call in (
        lambda: stn(keras.Input((8, 9, 1)), initial_theta=theta),
        lambda: stn(keras.Input((8, 9, 1)), theta),
        lambda: stn(IMAGES, initial_theta=values),
        lambda: stn(IMAGES, values),
    ):
        with pytest.raises(ValueError, match=f"(?s){message}"):
            call()
    if dtype == "float32":
        with pytest.raises(ValueError, match=f"(?s){message}"):
            stn.compute_output_shape((None, 8, 9, 1), initial_theta_shape=shape)


def test_batches_that_do_not_fit():
    stn = SpatialTransformer(MeanFeatures(), **LAST)
    wanted = (
        r"`images` and `initial_theta` must have the same batch size, or one of them a batch of "
        r"one\. Received: images\.shape=\(2, 8, 9, 1\), initial_theta\.shape=\(3, 6\)\. Pass one of"
    )
    for images in (IMAGES, keras.KerasTensor(IMAGES.shape)):
        with pytest.raises(ValueError, match=wanted):
            stn(images, initial_theta=np.zeros((3, 6), "float32"))
        wanted_of_source = r"`images` and `source` must have the same batch size.*Received: "
        with pytest.raises(ValueError, match=wanted_of_source):
            stn([images, np.zeros((3, 4, 4, 1), "float32")])


@pytest.mark.parametrize("family", ["affine", "similarity"])
def test_one_initial_theta_serves_a_whole_batch(family):
    images, rng = random_images(3, 5, 6, 1), np.random.default_rng(0)
    stn = SpatialTransformer(MeanFeatures(), transform=family, output_size=SIZED, **LAST)
    stn.build(images.shape)
    stn.head.kernel.assign(0.1 * rng.normal(size=stn.head.kernel.shape))
    theta = (stn.transform.identity() + 0.1 * rng.normal(size=(1, stn.head.units))).astype(
        "float32"
    )
    call = traced(lambda images, theta: stn(images, initial_theta=theta, return_theta=True))
    images, theta = map(keras.ops.convert_to_tensor, (images, theta))
    found = call(images, theta)
    wanted = call(images, keras.ops.repeat(theta, 3, axis=0))
    promised = stn(keras.KerasTensor(images.shape), initial_theta=theta, return_theta=True)
    for one, several, tensor in zip(found, wanted, promised, strict=True):
        assert np.ptp(to_numpy(one), axis=0).max() > 1e-3
        np.testing.assert_allclose(to_numpy(one), to_numpy(several), atol=1e-6)
        assert tuple(one.shape) == tensor.shape


def test_batches_that_are_promised():
    stn = SpatialTransformer(MeanFeatures(), output_size=SIZED, **LAST)
    for images, theta, wanted in [
        ((None, 8, 9, 1), (None, 6), None),
        ((None, 8, 9, 1), (1, 6), None),
        ((None, 8, 9, 1), (4, 2, 3), 4),
        ((1, 8, 9, 1), (4, 6), 4),
        ((4, 8, 9, 1), (None, 6), 4),
        ((4, 8, 9, 1), None, 4),
    ]:
        warped, promised = stn.compute_output_shape(images, theta, return_theta=True)
        assert (warped, promised) == ((wanted, *SIZED, 1), (wanted, 6))
