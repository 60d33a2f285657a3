"""What every family is, and how one is got by its name, its configuration or itself."""

import json

import keras
import numpy as np
import pytest

from keras_stn import SpatialTransformer, ops, transforms
from keras_stn.ops.coordinates import extents
from keras_stn.transforms import (
    Affine,
    Diffeomorphic,
    Displacement,
    Rotation,
    Similarity,
    Transform,
)
from tests import reference
from tests.backend import to_numpy, traced
from tests.layers.models import Shift, random_images, set_theta
from tests.transforms import cases
from tests.transforms.cases import SIZES, run, thetas

USERS = [Shift(), Shift(0.5)]
FAMILIES = [*(family for family, _ in cases.FAMILIES), *USERS]
CASES = [*cases.CASES, *((family, ndim) for family in USERS for ndim in (2, 3))]

every_case = pytest.mark.parametrize(("family", "ndim"), CASES, ids=repr)
both_align_corners = pytest.mark.parametrize("align_corners", [True, False])


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


@pytest.mark.parametrize(
    ("name", "cls"),
    [
        ("translation", "Translation"),
        ("rotation", "Rotation"),
        ("attention", "Attention"),
        ("similarity", "Similarity"),
        ("affine", "Affine"),
        ("projective", "Projective"),
        ("thin_plate_spline", "ThinPlateSpline"),
        ("displacement", "Displacement"),
        ("diffeomorphic", "Diffeomorphic"),
    ],
)
def test_get_by_name(name, cls):
    assert transforms.get(name) == getattr(transforms, cls)()


@pytest.mark.parametrize("family", FAMILIES, ids=repr)
def test_get_by_instance_is_the_instance(family):
    assert transforms.get(family) is family


@pytest.mark.parametrize("family", FAMILIES, ids=repr)
def test_get_by_configuration_is_the_same_family(family):
    again = transforms.get(json.loads(json.dumps(transforms.serialize(family))))
    assert again is not family
    assert again == family
    assert again.get_config() == family.get_config()
    assert repr(again) == repr(family)


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
    assert [[a == b for b in FAMILIES] for a in FAMILIES] == np.eye(len(FAMILIES)).tolist()


def test_equal_families_are_one_key():
    assert len({Affine(), Affine(), Shift(0.5), Shift(0.5), Shift(0.25)}) == 3
    assert len({Rotation((3, 4)), Rotation((3.0, 4.0)), Rotation()}) == 2


def test_repr_is_the_call_that_makes_it():
    assert repr(Affine()) == "Affine()"
    assert repr(Shift(0.5)) == "Shift(unit=0.5)"
    assert repr(Rotation((4, 7.5))) == "Rotation(extent=(4, 7.5))"
    for family, _ in cases.FAMILIES:
        assert eval(repr(family), vars(transforms)) == family


@every_case
@both_align_corners
def test_identity_is_exactly_the_identity(family, ndim, align_corners):
    identity = family.identity(ndim)
    assert isinstance(identity, np.ndarray)
    assert identity.dtype == "float32"
    assert identity.shape == (family.num_params(ndim),)
    size, theta = SIZES[ndim], identity[None]
    grid = run(lambda theta: family.grid(theta, size, align_corners=align_corners), theta)
    wanted = to_numpy(ops.identity_grid(size, align_corners=align_corners))
    np.testing.assert_array_equal(grid, wanted[None])
    np.testing.assert_allclose(wanted, reference.identity_grid(size, align_corners), atol=1e-6)
    points = wanted.reshape(1, -1, ndim)
    np.testing.assert_array_equal(run(family.transform_points, theta, points), points)


@every_case
@both_align_corners
def test_points_go_where_the_grid_does(family, ndim, align_corners):
    size, theta = SIZES[ndim], thetas(family, ndim)
    points = reference.identity_grid(size, align_corners).reshape(1, -1, ndim).astype("float32")
    family = family.with_extent(extents(size, align_corners=align_corners))
    grid = run(lambda theta: family.grid(theta, size, align_corners=align_corners), theta)
    assert grid.shape == (2, *size, ndim)
    moved = run(family.transform_points, theta, np.repeat(points, 2, axis=0))
    assert np.abs(moved - points).max() > 0.01
    np.testing.assert_allclose(moved, grid.reshape(2, -1, ndim), atol=1e-6)


@both_align_corners
@pytest.mark.parametrize(
    "make", [Rotation, Similarity, lambda e=None: Displacement(3, "pixels", e)]
)
def test_the_grid_takes_the_sides_of_the_output(make, align_corners):
    size, theta = (5, 8), thetas(make(), spread=0.5)
    sides = (4, 7) if align_corners else (5, 8)
    grids = [
        run(lambda theta, f=family: f.grid(theta, size, align_corners=align_corners), theta)
        for family in (make(), make(sides), make((5, 5)))
    ]
    np.testing.assert_array_equal(grids[0], grids[1])
    assert np.abs(grids[0] - grids[2]).max() > 0.01


def test_an_extent_of_ones_own_stays():
    for family in (Rotation((3, 4)), Similarity((3, 4)), Displacement(3, "pixels", (3, 4))):
        assert family.with_extent((5, 6)) is family
    assert Rotation().with_extent((5, 6)) == Rotation((5, 6))
    assert Similarity().with_extent((5, 6)) == Similarity((5, 6))
    pixels = Displacement((3, 4), "pixels")
    assert pixels.with_extent((5, 6)) == Displacement((3, 4), "pixels", (5, 6))
    for family in (Displacement(), Affine(), Shift()):
        assert family.with_extent((5, 6)) is family


class Halved:
    """Makes a family turn, or move, by half of what theta says; with an argument of its own."""

    def __init__(self, note, **options):
        super().__init__(**options)
        self.note = note

    def transform_points(self, theta, points):
        return super().transform_points(0.5 * theta, points)


@pytest.mark.parametrize(
    ("base", "options"),
    [
        (Rotation, {}),
        (Similarity, {}),
        (Displacement, {"units": "pixels"}),
        (Diffeomorphic, {"units": "pixels"}),
    ],
)
def test_a_users_family_stays_one_for_images_of_known_sides(base, options):
    family = type("Half", (Halved, base), {})("ours", **options)
    known = family.with_extent((5, 6))
    assert (type(known), known.note, known.extent) == (type(family), "ours", (5, 6))
    assert family.extent is None
    theta = thetas(family)
    moved = known.transform_points(theta, cases.points())
    wanted = base(**options, extent=(5, 6)).transform_points(0.5 * theta, cases.points())
    np.testing.assert_allclose(to_numpy(moved), to_numpy(wanted), atol=1e-6)


@pytest.mark.parametrize("sides", [np.array([3, 4]), np.array([3.0, 4.0], "float32"), [3, 4]])
def test_an_extent_is_saved_as_plain_numbers(sides):
    for family in (Rotation(sides), Similarity(sides), Displacement(units="pixels", extent=sides)):
        config = json.loads(json.dumps(family.get_config()))
        assert config["extent"] == [3, 4]
        assert type(family).from_config(config) == family


@pytest.mark.parametrize(("family", "ndim"), cases.CASES, ids=repr)
def test_nested_lists_are_tensors_too(family, ndim):
    theta, points = thetas(family, ndim, batch=1), cases.points(ndim, batch=1, count=2)
    wanted = run(family.transform_points, theta, points)
    moved = traced(lambda: family.transform_points(theta.tolist(), points.tolist()))()
    np.testing.assert_allclose(to_numpy(moved), wanted, atol=1e-6)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("family", [family for family, _ in cases.FAMILIES], ids=repr)
def test_arithmetic_is_never_below_float32(family, dtype):
    ndim = len(getattr(family, "extent", None) or (0, 0))
    theta = keras.ops.cast(thetas(family, ndim), dtype)
    points = keras.ops.cast(cases.points(ndim), dtype)
    results = traced(lambda t, p: (family.grid(t, SIZES[ndim]), family.transform_points(t, p)))(
        theta, points
    )
    assert {keras.backend.standardize_dtype(result.dtype) for result in results} == {"float32"}


@every_case
def test_thetas_and_points_stay_as_they_are(family, ndim):
    arrays = thetas(family, ndim), cases.points(ndim)
    copies = [array.copy() for array in arrays]
    for array in arrays:
        array.flags.writeable = False
    tensors = [keras.ops.convert_to_tensor(copy.copy()) for copy in copies]
    run(lambda theta: family.grid(theta, SIZES[ndim]), arrays[0])
    traced(family.transform_points)(*tensors)
    for tensor, copy in zip(tensors, copies, strict=True):
        np.testing.assert_array_equal(to_numpy(tensor), copy)


@pytest.mark.parametrize("num_transforms", [1, 2])
def test_a_family_of_ones_own_warps_and_is_saved(tmp_path, num_transforms):
    images = random_images(2, 6, 8, 1)
    stn = SpatialTransformer(
        keras.layers.GlobalAveragePooling2D(),
        Shift(0.5),
        num_transforms=num_transforms,
        fill_mode="constant",
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


@pytest.mark.parametrize("name", ["affine", "projective", "thin_plate_spline", "diffeomorphic"])
@pytest.mark.parametrize("dtypes", [("float32", "float64"), ("float64", "float32")])
def test_theta_and_points_of_different_dtypes(name, dtypes):
    family = transforms.get(name)
    theta = family.identity()[None].astype(dtypes[0])
    points = np.array([[[0.5, -0.25]]], dtypes[1])
    np.testing.assert_allclose(to_numpy(family.transform_points(theta, points)), points, atol=1e-6)
