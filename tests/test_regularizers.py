"""Penalties on theta: closed forms, gradients everywhere, and their place in a layer."""

import json

import keras
import numpy as np
import pytest
from keras import layers

from keras_stn import SpatialTransformer, transforms
from keras_stn.regularizers import (
    LATTICE,
    LEAST_AREA,
    BendingEnergy,
    GridRegularizer,
    IdentityDistance,
    LogScale,
    OutsideImage,
    outside_share,
)
from tests import reference
from tests.backend import BACKEND, gradients, to_numpy
from tests.layers.models import AFFINE, AFFINE_3D, MeanFeatures, Shift, random_images, set_theta

QUICK = BACKEND == "jax"
PENALTIES = (IdentityDistance, LogScale, OutsideImage, BendingEnergy)
FAMILIES = {
    "translation": (2, 3),
    "rotation": (2, 3),
    "attention": (2, 3),
    "similarity": (2, 3),
    "affine": (2, 3),
    "projective": (2, 3),
    "thin_plate_spline": (2,),
    "displacement": (2, 3),
    "diffeomorphic": (2, 3),
}
CASES = [(family, ndim) for family, ndims in FAMILIES.items() for ndim in ndims]


def thetas(*rows):
    return np.array(rows, "float32")


def lattice(ndim):
    """The places that penalties look at, (size, ..., ndim), last axis (x, y[, z])."""
    return reference.identity_grid((LATTICE[ndim],) * ndim)


def affine_lattice(theta, ndim):
    matrix = np.reshape(theta, (ndim, ndim + 1)).astype("float64")
    return lattice(ndim) @ matrix[:, :-1].T + matrix[:, -1]


def value(penalty, theta):
    return float(to_numpy(penalty(np.asarray(theta, "float32"))))


def gradient_of(penalty, theta):
    (gradient,) = gradients(penalty, theta)
    return gradient


# Closed forms.


@pytest.mark.parametrize(("theta", "ndim"), [(AFFINE, 2), (AFFINE_3D, 3)])
def test_penalties_of_an_affine_transform(theta, ndim):
    grid = affine_lattice(theta, ndim)
    volume = abs(np.linalg.det(np.reshape(theta, (ndim, ndim + 1))[:, :-1]))
    expected = {
        IdentityDistance: np.mean(np.sum((grid - lattice(ndim)) ** 2, axis=-1)),
        LogScale: np.log(volume) ** 2,
        OutsideImage: np.mean(np.sum(np.maximum(np.abs(grid) - 1, 0), axis=-1)),
        BendingEnergy: 0.0,
    }
    for penalty, wanted in expected.items():
        assert wanted > 1e-3 or penalty is BendingEnergy
        actual = value(penalty(2.0, transform="affine"), [theta])
        np.testing.assert_allclose(actual, 2 * wanted, rtol=1e-4, atol=1e-7, err_msg=str(penalty))


@pytest.mark.parametrize("ndim", [2, 3])
@pytest.mark.parametrize("scale", [0.5, -0.5, 0.9, 2.0])
def test_attention(scale, ndim):
    theta = [[scale, 0.25, *[0.0] * (ndim - 1)]]
    points = lattice(ndim).reshape(-1, ndim)
    moved = scale * points + theta[0][1:]
    wanted = np.mean(np.sum((moved - points) ** 2, axis=-1))
    np.testing.assert_allclose(value(IdentityDistance(1.0, "attention"), theta), wanted, rtol=1e-5)
    # A scale of -0.5 turns images by half a turn, volumes inside out.
    area = scale**ndim
    log = np.log(area) if area > 0 else np.log(LEAST_AREA) + area - LEAST_AREA
    np.testing.assert_allclose(value(LogScale(1.0, "attention"), theta), log**2, rtol=1e-4)
    wanted = np.mean(np.sum(np.maximum(np.abs(moved) - 1, 0), axis=-1))
    np.testing.assert_allclose(value(OutsideImage(1.0, "attention"), theta), wanted, atol=1e-6)


@pytest.mark.parametrize("zoom", [1.1, 2.0, 8.0])
@pytest.mark.parametrize("ndim", [2, 3])
def test_zooming_in_costs_as_much_as_zooming_out(zoom, ndim):
    penalty = LogScale(1.0, "attention")
    shift = [0.0] * ndim
    near, far = (value(penalty, [[scale, *shift]]) for scale in (1 / zoom, zoom))
    np.testing.assert_allclose(near, far, rtol=1e-4)
    np.testing.assert_allclose(near, (ndim * np.log(zoom)) ** 2, rtol=1e-4)


def test_turns_are_free():
    for angle in (0.3, 1.5, 3.1):
        assert value(LogScale(1.0, "rotation"), [[angle]]) < 1e-10
        assert value(IdentityDistance(1.0, "rotation"), [[angle]]) > 0.05


def test_outside_image_is_a_distance():
    penalty = OutsideImage(1.0, "translation")
    # Places from -1 to 1 go 1.5 to the right: those right of -0.5 are outside.
    x = np.linspace(-1, 1, LATTICE[2])
    np.testing.assert_allclose(
        value(penalty, [[1.5, 0.0]]), np.mean(np.maximum(x + 0.5, 0)), rtol=1e-5
    )
    for crop in ([0.5, 0.5, -0.5], [0.2, 0.0, 0.8], [-0.9, 0.1, 0.0]):
        assert value(OutsideImage(1.0, "attention"), [crop]) == 0.0


class Quadratic(transforms.Transform):
    """source = target + (c0 x^2 + c1 x y + c2 y^2, c3 y^2), theta holding c."""

    def num_params(self, ndim=2):
        if ndim != 2:
            raise ValueError("two axes only")
        return 4

    def identity(self, ndim=2):
        return np.zeros(4, "float32")

    def grid(self, theta, output_size, *, align_corners=True):
        points = keras.ops.convert_to_tensor(reference.identity_grid(output_size).astype("float32"))
        x, y = points[..., 0], points[..., 1]
        c = [keras.ops.reshape(theta[:, k], (-1, 1, 1)) for k in range(4)]
        moved = [x + c[0] * x * x + c[1] * x * y + c[2] * y * y, y + c[3] * y * y]
        return keras.ops.stack(moved, axis=-1)


def test_bending_energy_of_a_quadratic_displacement():
    # Second derivatives: 2 c0 and 2 c2 along the axes, c1 across (twice), 2 c3: constant, so that
    # the energy is exact on a lattice of any size.
    c = np.array([0.2, -0.3, 0.1, 0.25])
    wanted = (2 * c[0]) ** 2 + 2 * c[1] ** 2 + (2 * c[2]) ** 2 + (2 * c[3]) ** 2
    np.testing.assert_allclose(value(BendingEnergy(1.0, Quadratic()), [c]), wanted, rtol=1e-4)
    for k, single in enumerate([4.0, 2.0, 4.0, 4.0]):
        alone = np.eye(4)[k]
        np.testing.assert_allclose(
            value(BendingEnergy(1.0, Quadratic()), [alone]), single, rtol=1e-4
        )


def test_bending_energy_of_volumes():
    # x moves by 0.1 x y + 0.2 z^2: its mixed derivative counts twice, its second once.
    size = LATTICE[3]
    flow = np.zeros((size, size, size, 3), "float32")
    points = lattice(3)
    flow[..., 0] = 0.1 * points[..., 0] * points[..., 1] + 0.2 * points[..., 2] ** 2
    penalty = BendingEnergy(1.0, transforms.Displacement(size))
    np.testing.assert_allclose(value(penalty, flow.reshape(1, -1)), 2 * 0.1**2 + 0.4**2, rtol=1e-4)


def test_thin_plate_splines(rng):
    spline = transforms.ThinPlateSpline(3)
    control = spline.identity().astype("float64")
    moved = control + 0.2 * rng.normal(size=control.shape)
    theta = moved[None].astype("float32")

    def u(square):
        return np.where(square > 0, 0.5 * square * np.log(np.where(square > 0, square, 1)), 0)

    centres = control.reshape(-1, 2)
    kernel = u(np.sum((centres[:, None] - centres) ** 2, axis=-1))
    plane = np.concatenate([np.ones((9, 1)), centres], axis=1)
    system = np.block([[kernel, plane], [plane.T, np.zeros((3, 3))]])
    weights = np.linalg.solve(system, np.concatenate([moved.reshape(9, 2), np.zeros((3, 2))]))
    points = lattice(2)
    radial = u(np.sum((points[..., None, :] - centres) ** 2, axis=-1))
    features = np.concatenate([radial, np.ones((*points.shape[:2], 1)), points], axis=-1)
    grid = features @ weights
    wanted = np.mean(np.sum((grid - points) ** 2, axis=-1))
    np.testing.assert_allclose(value(IdentityDistance(1.0, spline), theta), wanted, rtol=1e-3)
    wanted = np.mean(np.sum(np.maximum(np.abs(grid) - 1, 0), axis=-1))
    np.testing.assert_allclose(value(OutsideImage(1.0, spline), theta), wanted, rtol=1e-3)
    step = 2 / (LATTICE[2] - 1)
    wanted = 0.0
    for i in (0, 1):
        for j in (0, 1):
            bend = np.diff(np.diff(grid, axis=i), axis=j) / step**2
            wanted += np.mean(np.sum(bend**2, axis=-1))
    assert wanted > 0.1
    np.testing.assert_allclose(value(BendingEnergy(1.0, spline), theta), wanted, rtol=1e-3)
    right, down = np.diff(grid, axis=1)[:-1], np.diff(grid, axis=0)[:, :-1]
    areas = (right[..., 0] * down[..., 1] - right[..., 1] * down[..., 0]) / step**2
    assert areas.min() > LEAST_AREA
    np.testing.assert_allclose(
        value(LogScale(1.0, spline), theta), np.mean(np.log(areas) ** 2), rtol=1e-3
    )


@pytest.mark.parametrize("penalty", PENALTIES)
def test_an_affine_spline_is_an_affine_transform(penalty):
    spline = transforms.ThinPlateSpline(3)
    matrix = np.reshape(AFFINE, (2, 3))
    control = spline.identity().reshape(-1, 2)
    moved = control @ matrix[:, :2].T + matrix[:, 2]
    same = value(penalty(1.0, spline), moved.reshape(1, -1))
    np.testing.assert_allclose(same, value(penalty(1.0, "affine"), [AFFINE]), rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("penalty", PENALTIES)
def test_the_mean_over_thetas_and_the_strength(penalty):
    family = transforms.ThinPlateSpline(3)
    rows = family.identity() + 0.3 * np.random.default_rng(1).normal(size=(6, 18))
    each = [value(penalty(1.0, family), [row]) for row in rows]
    assert np.ptp(each) > 1e-3
    for shape in [(6, 18), (2, 3, 18)]:
        several = value(penalty(0.5, family), rows.reshape(shape))
        np.testing.assert_allclose(several, 0.5 * np.mean(each), rtol=1e-4)
    default = value(penalty(transform=family), rows)
    np.testing.assert_allclose(default, 0.01 * np.mean(each), rtol=1e-4)


@pytest.mark.parametrize(("family", "ndim"), CASES)
def test_nothing_at_the_identity(family, ndim):
    identity = transforms.get(family).identity(ndim)
    for penalty in PENALTIES:
        assert abs(value(penalty(1.0, family), [identity, identity])) < 1e-9, penalty


def test_float16_thetas_are_measured_in_float32():
    theta = np.array([AFFINE], "float16")
    actual = to_numpy(IdentityDistance(1.0, "affine")(keras.ops.convert_to_tensor(theta)))
    assert actual.dtype == np.float32
    wanted = value(IdentityDistance(1.0, "affine"), theta.astype("float32"))
    np.testing.assert_allclose(actual, wanted, rtol=1e-6)


# Gradients.


@pytest.mark.gradient
@pytest.mark.parametrize(("family", "ndim"), CASES)
def test_gradients_are_finite_and_point_home(family, ndim):
    family = transforms.get(family)
    rng = np.random.default_rng(0)
    identity = family.identity(ndim)
    rows = np.stack([identity, identity + 0.1 * rng.normal(size=identity.shape)])
    for penalty in PENALTIES:
        gradient = gradient_of(penalty(1.0, family), rows.astype("float32"))
        assert np.isfinite(gradient).all(), penalty
        assert np.abs(gradient[0]).max() < 1e-3, penalty  # the identity is the minimum
        if penalty is IdentityDistance:
            assert np.vdot(gradient[1], rows[1] - identity) > 0


@pytest.mark.gradient
@pytest.mark.parametrize("penalty", PENALTIES)
@pytest.mark.parametrize(
    "theta",
    [
        [0, 0, 0, 0, 0, 0],
        [0, 0, 0.3, 0, 0, -2],
        [1, 0, 0, 1, 0, 0],
        [-1, 0, 0, 0, 1, 0],
        [1e-20, 0, 0, 0, 1e-20, 0],
        [1e4, 0, 0, 0, 1e4, 0],
        [0.01, 0, 0, 0, 0.01, 0],
    ],
    ids=["point", "point elsewhere", "line", "flip", "underflow", "huge", "bound"],
)
def test_degenerate_transforms_have_finite_penalties_and_gradients(penalty, theta):
    penalty = penalty(1.0, "affine")
    assert np.isfinite(value(penalty, [theta]))
    gradient = gradient_of(penalty, thetas(theta))
    assert np.isfinite(gradient).all()


@pytest.mark.gradient
def test_folds_have_finite_penalties_and_gradients():
    spline = transforms.ThinPlateSpline(3)
    folded = spline.identity().reshape(3, 3, 2)
    folded[1, 1] = 3.0, 0.0  # the middle beyond the right edge
    theta = folded.reshape(1, -1)
    grid = to_numpy(spline.grid(theta, (9, 9)))[0]
    assert np.diff(grid[4, :, 0]).min() < 0, "not a fold"
    for penalty in PENALTIES:
        assert 0 < value(penalty(1.0, spline), theta) < np.inf
        gradient = gradient_of(penalty(1.0, spline), theta)
        assert np.isfinite(gradient).all()
        assert np.abs(gradient).max() > 1e-3


@pytest.mark.gradient
@pytest.mark.parametrize("scale", [0.005, 0.05, 0.5, 2.0, 20.0])
def test_there_is_a_way_back_from_a_collapse(scale):
    gradient = gradient_of(LogScale(1.0, "attention"), thetas([scale, 0, 0]))
    assert np.sign(gradient[0, 0]) == np.sign(scale - 1)


@pytest.mark.gradient
def test_there_is_a_way_back_from_a_flip():
    # The area, a, is negative: descent makes it larger.
    gradient = gradient_of(LogScale(1.0, "affine"), thetas([-0.5, 0, 0, 0, 1, 0]))
    np.testing.assert_allclose(
        gradient[0, 0], 2 * (np.log(LEAST_AREA) - 0.5 - LEAST_AREA), rtol=1e-4
    )


@pytest.mark.gradient
@pytest.mark.parametrize("penalty", PENALTIES)
def test_gradients_by_finite_differences(penalty):
    spline, step = transforms.ThinPlateSpline(3), 1e-2
    rng = np.random.default_rng(3)
    theta = spline.identity() + 0.2 * rng.normal(size=18)
    direction = rng.normal(size=18) / np.sqrt(18)
    penalty = penalty(1.0, spline)
    gradient = gradient_of(penalty, theta[None].astype("float32"))
    ahead, behind = (value(penalty, [theta + s * step * direction]) for s in (1, -1))
    slope = (ahead - behind) / (2 * step)
    assert abs(slope) > 1e-3
    np.testing.assert_allclose(np.vdot(gradient, direction), slope, rtol=0.02, atol=1e-3)


# In a layer.


def layer(penalty, transform="affine", **options):
    return SpatialTransformer(
        MeanFeatures(),
        transform,
        theta_regularizer=penalty,
        data_format="channels_last",
        **options,
    )


@pytest.mark.parametrize("num_transforms", [1, 2])
@pytest.mark.parametrize("ndim", [2, 3])
@pytest.mark.parametrize("penalty", PENALTIES)
def test_a_penalty_in_a_layer(penalty, ndim, num_transforms):
    theta = AFFINE if ndim == 2 else AFFINE_3D
    rows = np.stack([theta, 1.1 * np.array(theta)])[:num_transforms]
    stn = layer(penalty(0.5), num_transforms=num_transforms)
    images = random_images(3, *[4, 5, 6][-ndim:], 1)
    stn.build(images.shape)
    set_theta(stn, *rows)
    stn(images)
    (loss,) = stn.losses
    np.testing.assert_allclose(
        to_numpy(loss), value(penalty(0.5, "affine"), rows), rtol=1e-4, atol=1e-7
    )


@pytest.mark.gradient
def test_a_list_of_penalties_is_part_of_the_loss():
    penalties = [LogScale(0.5), keras.regularizers.L2(0.25), IdentityDistance(2.0)]
    images = random_images(4, 6, 7, 1)
    stn = layer(penalties)
    model = keras.Sequential([keras.Input((6, 7, 1)), stn])
    set_theta(stn, AFFINE)
    model.compile("sgd", "mse", jit_compile=QUICK)
    loss = model.evaluate(images, 0 * images, verbose=0)
    warped = to_numpy(stn(images)).astype("float64")
    wanted = [
        value(LogScale(0.5, "affine"), [AFFINE]),
        0.25 * 4 * np.sum(np.square(AFFINE)),  # Keras's own sum over the batch
        value(IdentityDistance(2.0, "affine"), [AFFINE]),
    ]
    np.testing.assert_allclose([to_numpy(x) for x in stn.losses], wanted, rtol=1e-4)
    np.testing.assert_allclose(loss, np.mean(warped**2) + sum(wanted), rtol=1e-4)


@pytest.mark.gradient
def test_penalties_train_the_localizer():
    stn = layer([LogScale(0.1), OutsideImage(0.1)])
    model = keras.Sequential([keras.Input((6, 7, 1)), stn])
    set_theta(stn, [1.5, 0, 0.3, 0, 1.4, 0])
    model.compile(
        keras.optimizers.SGD(0.1), lambda y, x: 0.0 * keras.ops.mean(x), jit_compile=QUICK
    )
    images = random_images(4, 6, 7, 1)
    losses = model.fit(images, images, epochs=5, batch_size=4, verbose=0).history["loss"]
    assert losses[-1] < 0.9 * losses[0]


def test_penalties_know_the_size_of_the_images():
    # A turn by 0.5 of a wide image is none of the square: the layer's family knows the sides.
    images = random_images(2, 8, 32, 1)
    stn = layer(LogScale(1.0), "rotation")
    stn.build(images.shape)
    set_theta(stn, [0.5])
    stn(images)
    (loss,) = stn.losses
    assert to_numpy(loss) < 1e-9  # a turn in pixels keeps areas
    stn = layer(IdentityDistance(1.0), "rotation")
    stn.build(images.shape)
    set_theta(stn, [0.5])
    stn(images)
    wide = value(IdentityDistance(1.0, transforms.Rotation().with_extent((7, 31))), [[0.5]])
    square = value(IdentityDistance(1.0, "rotation"), [[0.5]])
    np.testing.assert_allclose(to_numpy(stn.losses[0]), wide, rtol=1e-5)
    assert wide > 1.5 * square


def test_a_penalty_of_its_own_family_keeps_it():
    own = IdentityDistance(1.0, Shift(3.0))
    assert own.with_transform(transforms.Affine()) is own
    free = IdentityDistance(1.0)
    assert free.with_transform(transforms.Affine()).transform == transforms.Affine()
    assert free.transform is None


# Configurations and files.


def through_json(thing):
    text = json.dumps(keras.saving.serialize_keras_object(thing))
    return keras.saving.deserialize_keras_object(json.loads(text))


@pytest.mark.parametrize("penalty", PENALTIES)
@pytest.mark.parametrize("family", [None, "affine", transforms.ThinPlateSpline((3, 5))])
def test_penalties_come_back(penalty, family):
    before = penalty(0.125, family)
    for after in (penalty.from_config(before.get_config()), through_json(before)):
        assert type(after) is penalty
        assert after.strength == 0.125
        assert after.transform == (None if family is None else transforms.get(family))
    assert penalty().get_config() == {"strength": 0.01, "transform": None}


def test_layers_with_penalties_come_back():
    alone = through_json(layer(LogScale(0.5)))
    assert type(alone.theta_regularizer) is LogScale
    assert alone.theta_regularizer.strength == 0.5
    stn = layer([BendingEnergy(0.25), "l2", OutsideImage(2.0, "affine")])
    after = through_json(stn).theta_regularizer
    assert [type(x) for x in after] == [BendingEnergy, keras.regularizers.L2, OutsideImage]
    assert [x.get_config() for x in after] == [x.get_config() for x in stn.theta_regularizer]


def test_models_with_penalties_come_back_from_a_file(tmp_path):
    images = random_images(3, 6, 7, 1)
    stn = layer([LogScale(0.5), IdentityDistance(2.0)], num_transforms=2)
    model = keras.Sequential([keras.Input((6, 7, 1)), stn, layers.Flatten()])
    set_theta(stn, AFFINE, [0.5, 0, 0.2, 0, 0.5, 0])
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    for each in (model, again):
        each(images)
    assert len(again.losses) == 2
    for before, after in zip(model.losses, again.losses, strict=True):
        assert to_numpy(before) > 0.1
        np.testing.assert_allclose(to_numpy(before), to_numpy(after), rtol=1e-6)


# The share outside.


@pytest.mark.parametrize("ndim", [2, 3])
def test_share_outside(ndim):
    size = (4, 5, 8)[-ndim:]
    x = np.linspace(-1, 1, 8)
    grid = reference.identity_grid(size)[None].repeat(4, axis=0)
    grid[1, ..., 0] += 1.0  # to the right
    grid[2] *= 3.0
    grid[3] += 9.0
    inside = [np.prod([np.mean(np.abs(3 * np.linspace(-1, 1, n)) <= 1) for n in size])]
    wanted = [0.0, np.mean(x + 1 > 1), 1 - inside[0], 1.0]
    shares = to_numpy(outside_share(keras.ops.convert_to_tensor(grid.astype("float32"))))
    np.testing.assert_allclose(shares, wanted, atol=1e-6)


def test_share_outside_of_crops_and_of_nan():
    grid = reference.identity_grid((3, 4)).astype("float32")
    grids = np.stack([grid, np.full_like(grid, np.nan)])[None]
    for order, wanted in [([0, 1], 0.5), ([0, 0], 0.0), ([1, 1], 1.0)]:
        share = outside_share(keras.ops.convert_to_tensor(grids[:, order]))
        np.testing.assert_allclose(to_numpy(share), [wanted], atol=1e-6)


def test_the_edge_is_inside():
    # Up to float32's rounding of a coordinate of one.
    edge = np.array([[[1 + 1e-6, -1 - 1e-6], [1.001, 0]]], "float32")
    np.testing.assert_allclose(to_numpy(outside_share(keras.ops.convert_to_tensor(edge))), [0.5])


# Errors.


def test_errors():
    with pytest.raises(ValueError, match=r"`LogScale` must know the family .*transform='affine'"):
        LogScale()(thetas(AFFINE))
    with pytest.raises(ValueError, match=r"as many parameters as Affine\(\) takes. Received: 5 in"):
        IdentityDistance(1.0, "affine")(np.zeros((2, 5), "float32"))
    with pytest.raises(ValueError, match=r"`transform` must be one of .*transform='bendy'"):
        BendingEnergy(1.0, "bendy")
    with pytest.raises(NotImplementedError, match=r"GridRegularizer must implement `penalty`"):
        GridRegularizer(1.0, "affine")(thetas(AFFINE))
