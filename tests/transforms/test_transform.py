"""What every family is, and how one is got by its name, its configuration or itself."""

import json

import keras
import numpy as np
import pytest

from keras_stn import SpatialTransformer, transforms
from keras_stn.transforms import Affine, Transform
from tests.backend import to_numpy
from tests.layers.models import Shift, random_images, set_theta

FAMILIES = [Affine(), Shift(), Shift(0.5)]


class Bare(Transform):
    """Implements nothing."""


@pytest.mark.parametrize(
    ("method", "arguments"),
    [
        ("num_params", ()),
        ("identity", ()),
        ("grid", (np.zeros((1, 2)), (4, 4))),
        ("transform_points", (np.zeros((1, 2)), np.zeros((1, 3, 2)))),
    ],
)
def test_the_base_names_what_is_missing(method, arguments):
    with pytest.raises(NotImplementedError, match=rf"Bare must implement `{method}`\."):
        getattr(Bare(), method)(*arguments)


def test_get_by_name():
    assert transforms.get("affine") == Affine()


@pytest.mark.parametrize("family", FAMILIES, ids=repr)
def test_get_by_instance_is_the_instance(family):
    assert transforms.get(family) is family


@pytest.mark.parametrize("family", FAMILIES, ids=repr)
def test_get_by_configuration_is_the_same_family(family):
    again = transforms.get(json.loads(json.dumps(transforms.serialize(family))))
    assert again is not family
    assert again == family


@pytest.mark.parametrize(
    "identifier", ["afine", "Affine", None, 3, Affine, {"class_name": "Dense", "config": {}}, []]
)
def test_get_of_anything_else(identifier):
    if isinstance(identifier, dict):
        identifier = keras.saving.serialize_keras_object(keras.layers.Dense(3))
    known = r"(?s)`transform` must be one of 'translation', .*'affine'"
    wanted = known + r".*Received: transform=.*Pass for example"
    with pytest.raises(ValueError, match=wanted):
        transforms.get(identifier)


def test_equality_is_that_of_class_and_arguments():
    assert Affine() == Affine()
    assert Shift(0.5) == Shift(0.5)
    assert Shift(0.5) != Shift(0.25)
    assert Shift() != Affine()
    assert Affine() != "affine"


def test_equal_families_are_one_key():
    assert len({Affine(), Affine(), Shift(0.5), Shift(0.5), Shift(0.25)}) == 3


def test_repr_is_the_call_that_makes_it():
    assert repr(Affine()) == "Affine()"
    assert repr(Shift(0.5)) == "Shift(unit=0.5)"


@pytest.mark.parametrize("family", FAMILIES, ids=repr)
@pytest.mark.parametrize("ndim", [2, 3])
@pytest.mark.parametrize("align_corners", [True, False])
def test_identity_is_the_identity(family, ndim, align_corners):
    identity = family.identity(ndim)
    assert isinstance(identity, np.ndarray)
    assert identity.dtype == "float32"
    assert identity.shape == (family.num_params(ndim),)
    size = (3, 4, 5)[:ndim]
    theta = keras.ops.convert_to_tensor(identity[None])
    grid = to_numpy(family.grid(theta, size, align_corners=align_corners))
    assert grid.shape == (1, *size, ndim)
    ends = [1.0 if align_corners else 1.0 - 1.0 / n for n in size]
    axes = [np.linspace(-end, end, n) for end, n in zip(ends, size, strict=True)]
    wanted = np.stack(np.meshgrid(*axes, indexing="ij")[::-1], axis=-1)
    np.testing.assert_allclose(grid[0], wanted, atol=1e-6)
    points = wanted.reshape(1, -1, ndim).astype("float32")
    moved = to_numpy(family.transform_points(theta, keras.ops.convert_to_tensor(points)))
    np.testing.assert_allclose(moved, points, atol=1e-6)


@pytest.mark.parametrize("family", FAMILIES, ids=repr)
def test_points_go_where_the_grid_does(family):
    rng = np.random.default_rng(0)
    theta = family.identity() + 0.3 * rng.normal(size=(2, family.num_params()))
    theta = keras.ops.convert_to_tensor(theta.astype("float32"))
    target = family.grid(keras.ops.convert_to_tensor(family.identity()[None]), (3, 4))
    points = keras.ops.repeat(keras.ops.reshape(target, (1, 12, 2)), 2, axis=0)
    grid = to_numpy(family.grid(theta, (3, 4)))
    moved = to_numpy(family.transform_points(theta, points))
    np.testing.assert_allclose(moved, grid.reshape(2, 12, 2), atol=1e-6)


@pytest.mark.parametrize("num_transforms", [1, 2])
def test_a_family_of_ones_own_warps_and_is_saved(tmp_path, num_transforms):
    images = random_images(2, 6, 8, 1)
    stn = SpatialTransformer(
        keras.layers.GlobalAveragePooling2D(),
        Shift(0.5),
        num_transforms=num_transforms,
        align_corners=False,
        data_format="channels_last",
    )
    model = keras.Sequential([keras.Input(images.shape[1:]), stn])
    # Half the unit, a quarter of the image: two pixels of eight.
    set_theta(stn, *[[1.0, 0.0]] * num_transforms)
    shifted = np.zeros_like(images)
    shifted[:, :, :-2] = images[:, :, 2:]
    shifted = shifted if num_transforms == 1 else np.stack([shifted] * 2, axis=1)
    np.testing.assert_allclose(to_numpy(model(images)), shifted, atol=1e-6)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert loaded.layers[-1].transform == Shift(0.5)
    np.testing.assert_allclose(to_numpy(loaded(images)), shifted, atol=1e-6)


def test_an_unknown_class_in_a_file_is_named():
    config = transforms.serialize(Shift(0.5))
    config["class_name"] = config["registered_name"] = "tests>Gone"
    with pytest.raises(TypeError, match=r"Could not locate class 'tests>Gone'"):
        transforms.get(config)
