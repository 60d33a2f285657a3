"""Arguments of the layers: by other libraries' names, of other kinds, and NumPy's numbers."""

import json
import re

import keras
import numpy as np
import pytest

from keras_stn import (
    AffineGridGenerator,
    BilinearSampler,
    GridSampler,
    SpatialTransformer,
    regularizers,
    transforms,
)
from tests.backend import to_numpy
from tests.layers.models import MeanFeatures, random_images

LAST = {"data_format": "channels_last"}
IMAGES = random_images(2, 8, 9, 1)
SIZED = (4, 5)


def layer(cls, **options):
    return cls(SIZED, **options) if cls is AffineGridGenerator else cls(**options)


# Other libraries' names.


@pytest.mark.parametrize(
    ("cls", "name", "ours"),
    [
        (SpatialTransformer, "locnet", "`localization_network`"),
        (SpatialTransformer, "localisation_network", "`localization_network`"),
        (SpatialTransformer, "target_size", "`output_size`"),
        (SpatialTransformer, "output_shape", "`output_size`"),
        (SpatialTransformer, "num_steps", "`num_looks`"),
        (SpatialTransformer, "localization_step", "`theta_gain`"),
        (SpatialTransformer, "padding_mode", "`fill_mode`"),
        (SpatialTransformer, "mode", "`interpolation` or `fill_mode`"),
        (GridSampler, "mode", "`interpolation` or `fill_mode`"),
        (GridSampler, "padding_mode", "`fill_mode`"),
        (GridSampler, "cval", "`fill_value`"),
        (BilinearSampler, "mode", "`fill_mode`"),
        (BilinearSampler, "fill", "`fill_value`"),
        (AffineGridGenerator, "align_corner", "`align_corners`"),
    ],
)
def test_other_libraries_names(cls, name, ours):
    wanted = (
        rf"`{cls.__name__}` must get its arguments by their names here\. Received: {name}='x'\. "
        rf"Pass {re.escape(ours)}\.$"
    )
    with pytest.raises(ValueError, match=wanted):
        layer(cls, **{name: "x"})


def test_a_size_by_another_name_is_not_passed_twice():
    wanted = r"`AffineGridGenerator` must get .*Received: size=\(4, 5\)\. Pass `output_size`"
    with pytest.raises(ValueError, match=wanted):
        AffineGridGenerator(SIZED, size=SIZED)


@pytest.mark.parametrize(
    "cls", [SpatialTransformer, GridSampler, BilinearSampler, AffineGridGenerator]
)
def test_names_that_nobody_uses_are_left_to_keras(cls):
    with pytest.raises(ValueError, match=r"Unrecognized keyword arguments .*'colour'"):
        layer(cls, colour=1)
    # No option of a grid.
    with pytest.raises(ValueError, match=r"Unrecognized keyword arguments .*'padding_mode'"):
        AffineGridGenerator(SIZED, padding_mode="zeros")
    assert layer(cls, name="mine", trainable=False).name == "mine"


def test_a_subclass_with_options_of_its_own_has_them():
    class Padded(GridSampler):
        def __init__(self, padding_mode, **options):
            super().__init__(**options)
            self.padding_mode = padding_mode

    assert Padded("zeros").padding_mode == "zeros"


# Switches and numbers.


@pytest.mark.parametrize("value", ["yes", 4, 1, None, np.ones(2, bool)], ids=repr)
@pytest.mark.parametrize(
    ("cls", "name"),
    [
        (SpatialTransformer, "align_corners"),
        (SpatialTransformer, "antialias"),
        (SpatialTransformer, "normalize_features"),
        (GridSampler, "align_corners"),
        (GridSampler, "antialias"),
        (BilinearSampler, "align_corners"),
        (AffineGridGenerator, "align_corners"),
    ],
)
def test_switches_are_true_or_false(cls, name, value):
    received = re.escape(f"Received: {name}={value!r}. Pass for example {name}=True.")
    with pytest.raises(ValueError, match=rf"`{name}` must be True or False\. {received}"):
        layer(cls, **{name: value})


def test_numbers_of_numpy_are_plain_in_the_configuration():
    stn = SpatialTransformer(
        num_transforms=np.int64(2),
        num_looks=np.int32(1),
        output_size=np.array(SIZED),
        bounds={"zoom": np.float32(2.0), "shift": np.int64(1)},
        normalize_features=np.bool_(False),
        theta_gain=np.float32(0.5),
        fill_value=np.float32(0.25),
        align_corners=np.bool_(False),
        antialias=np.bool_(True),
        theta_regularizer=regularizers.LogScale(np.float32(0.5)),
        **LAST,
    )
    plain = SpatialTransformer(
        num_transforms=2,
        output_size=SIZED,
        bounds={"zoom": 2.0, "shift": 1.0},
        normalize_features=False,
        theta_gain=0.5,
        fill_value=0.25,
        align_corners=False,
        antialias=True,
        theta_regularizer=regularizers.LogScale(0.5),
        name=stn.name,
        **LAST,
    )
    assert json.dumps(stn.get_config()) == json.dumps(plain.get_config())
    sampler = GridSampler(fill_value=np.float64(2), align_corners=np.bool_(True)).get_config()
    assert {type(sampler[name]) for name in ("fill_value", "align_corners")} == {float, bool}
    generator = AffineGridGenerator(np.array(SIZED), align_corners=np.bool_(False))
    assert json.loads(json.dumps(generator.get_config()))["output_size"] == [*SIZED]


@pytest.mark.parametrize("family", ["ThinPlateSpline", "Displacement", "Diffeomorphic"])
def test_control_points_of_numpy(family):
    family = getattr(transforms, family)
    for points, plain in [(np.int64(4), 4), ((np.int32(3), np.uint8(5)), (3, 5))]:
        config = family(points).get_config()
        assert json.dumps(config) == json.dumps(family(plain).get_config())
        assert family(points).num_params() == family(plain).num_params()
    for wrong in (np.bool_(True), np.float64(4), np.int64(1), (np.int64(3), 2.0)):
        received = re.escape(f"Received: control_points={wrong!r}. Pass")
        with pytest.raises(ValueError, match=rf"`control_points` must be an integer.*{received}"):
            family(wrong)


@pytest.mark.parametrize("count", [np.float32(2), np.bool_(True), True, np.int64(0), "2"], ids=repr)
@pytest.mark.parametrize("name", ["num_transforms", "num_looks"])
def test_counts_are_positive_integers(name, count):
    received = re.escape(f"Received: {name}={count!r}. Pass 1")
    with pytest.raises(ValueError, match=rf"`{name}` must be a positive integer\. {received}"):
        SpatialTransformer(**{name: count})


def test_limits_that_a_family_has_no_parameters_for():
    stn = SpatialTransformer(MeanFeatures(), transform="translation", bounds={"zoom": 2.0}, **LAST)
    wanted = r"`bounds` of Translation\(\) must name limits among 'shift'.*Received: bounds=.*zoom"
    with pytest.raises(ValueError, match=wanted):
        stn(keras.Input((8, 9, 1)))


# Penalties by name.


@pytest.mark.parametrize(
    ("name", "penalty"),
    [
        ("LogScale", regularizers.LogScale),
        ("log_scale", regularizers.LogScale),
        ("IdentityDistance", regularizers.IdentityDistance),
        ("identity_distance", regularizers.IdentityDistance),
        ("OutsideImage", regularizers.OutsideImage),
        ("outside_image", regularizers.OutsideImage),
        ("BendingEnergy", regularizers.BendingEnergy),
        ("bending_energy", regularizers.BendingEnergy),
        ("l2", keras.regularizers.L2),
        ("L1", keras.regularizers.L1),
    ],
)
def test_penalties_have_names(name, penalty):
    alone = SpatialTransformer(theta_regularizer=name)
    listed = SpatialTransformer(theta_regularizer=["l1", name])
    for found in (alone.theta_regularizer, listed.theta_regularizer[1]):
        assert type(found) is penalty
        assert found.get_config() == penalty().get_config()
    again = SpatialTransformer.from_config(listed.get_config()).theta_regularizer
    assert [type(x) for x in again] == [keras.regularizers.L1, penalty]


def test_a_penalty_by_name_is_part_of_the_loss():
    stn = SpatialTransformer(MeanFeatures(), theta_regularizer="log_scale", **LAST)
    stn.build(IMAGES.shape)
    stn.head.bias.assign([0.5, 0, 0, 0, 0.5, 0])
    stn(IMAGES)
    np.testing.assert_allclose(to_numpy(stn.losses[0]), 0.01 * np.log(4) ** 2, rtol=1e-4)


@pytest.mark.parametrize("unknown", ["logscale", "", 5, ["l2", "smooth"]], ids=repr)
def test_unknown_penalties(unknown):
    received = unknown[-1] if isinstance(unknown, list) else unknown
    wanted = (
        r"`theta_regularizer` must be a regularizer, a list of them, None, or the name of one: "
        r"'IdentityDistance', .*'log_scale', .*or a name of Keras's\. Received: "
        rf"theta_regularizer={received!r}\. Pass for example theta_regularizer='log_scale'"
    )
    with pytest.raises(ValueError, match=wanted):
        SpatialTransformer(theta_regularizer=unknown)
