"""Penalties on dense fields: all of their points, at any size; oracles in float64 NumPy."""

import math

import keras
import numpy as np
import pytest
from keras import layers

from keras_stn import transforms
from keras_stn.regularizers import (
    LEAST_AREA,
    BendingEnergy,
    IdentityDistance,
    LogScale,
    OutsideImage,
)
from tests import reference
from tests.backend import BACKEND, gradients, to_numpy, traced

PENALTIES = (IdentityDistance, LogScale, OutsideImage, BendingEnergy)
SIZES = {2: (13, 7), 3: (6, 4, 7)}
QUICK = BACKEND == "jax"


def random_field(*shape, scale=0.05, seed=0):
    return np.random.default_rng(seed).normal(0, scale, shape).astype("float32")


def oracle(field):
    """All four penalties, as in their formulas, of normalized displacements (batch, *size, n)."""
    field = np.asarray(field, "float64")
    size, ndim = field.shape[1:-1], field.shape[-1]
    points = reference.identity_grid(size)
    grid = points + field
    steps = [2 / (count - 1) if count > 1 else 1.0 for count in size]

    def slope(values, axis):
        return np.diff(values, axis=1 + axis) / steps[axis]

    def mean(values):
        return np.mean(values) if values.size else 0.0

    bends = [
        mean(np.sum(slope(slope(grid, i), j) ** 2, axis=-1))
        for i in range(ndim)
        for j in range(ndim)
    ]
    # Of each cell, the edges at its first corner; columns (x, y[, z]).
    corner = tuple(slice(0, count - 1) for count in size)
    edges = [slope(grid, axis)[(slice(None), *corner)] for axis in reversed(range(ndim))]
    area = np.linalg.det(np.stack(edges, axis=-1))
    low = np.maximum(area, LEAST_AREA)
    return {
        IdentityDistance: mean(np.sum(field**2, axis=-1)),
        LogScale: mean((np.log(low) + np.minimum(area, LEAST_AREA) - LEAST_AREA) ** 2),
        OutsideImage: mean(np.sum(np.maximum(np.abs(grid) - 1, 0), axis=-1)),
        BendingEnergy: sum(bends),
    }


def penalties(field, family="displacement"):
    """The value of each penalty."""
    both = traced(lambda field: [penalty(1.0, family)(field) for penalty in PENALTIES])
    return dict(zip(PENALTIES, both(keras.ops.convert_to_tensor(field)), strict=True))


def assert_all_close(found, wanted, rtol=1e-4):
    for penalty in PENALTIES:
        value = to_numpy(found[penalty])
        assert value.shape == ()
        assert value.dtype == "float32"
        np.testing.assert_allclose(value, wanted[penalty], rtol, 1e-6, err_msg=penalty.__name__)


@pytest.mark.parametrize(
    "size", [*SIZES.values(), (2, 2), (40, 33), (1, 9), (5, 1, 4)], ids=lambda size: str(size)
)
def test_dense_fields(size):
    field = random_field(2, *size, len(size))
    wanted = oracle(field)
    assert wanted[IdentityDistance] > 1e-3
    assert_all_close(penalties(field), wanted)


def test_no_point_of_a_field_is_overlooked():
    # One pixel out of 1,600 moves: not on the lattice of nine that flat thetas are looked at on.
    field = np.zeros((1, 40, 40, 2), "float32")
    field[0, 17, 22] = 0.3, -0.2
    wanted = oracle(field)
    assert min(wanted[penalty] for penalty in PENALTIES if penalty is not OutsideImage) > 1e-5
    assert_all_close(penalties(field), wanted)
    field[:] = 0
    field[0, 17, 39] = 0.3, -0.2
    assert_all_close(penalties(field), oracle(field))
    assert oracle(field)[OutsideImage] > 1e-4


def test_bending_of_a_quadratic_does_not_depend_on_the_size():
    # x moves by 0.1 x y + 0.2 y^2: its mixed derivative counts twice, its second once.
    for size in ((9, 9), (21, 16), (3, 5)):
        x, y = np.moveaxis(reference.identity_grid(size), -1, 0)
        field = np.stack([0.1 * x * y + 0.2 * y**2, 0 * x], axis=-1)[None].astype("float32")
        penalty = traced(BendingEnergy(1.0, "displacement"))
        value = penalty(keras.ops.convert_to_tensor(field))
        np.testing.assert_allclose(to_numpy(value), 2 * 0.1**2 + 0.4**2, rtol=1e-3)


@pytest.mark.parametrize("ndim", SIZES)
def test_fields_in_pixels(ndim):
    size = SIZES[ndim]
    field = random_field(2, *size, ndim, scale=0.2)
    halves = (np.array(size[::-1]) - 1) / 2
    found = penalties(field, transforms.Displacement(units="pixels"))
    assert_all_close(found, oracle(field / halves))
    # Of an image that is larger than the field.
    sides = tuple(3 * count for count in size)
    found = penalties(field, transforms.Displacement(units="pixels", extent=sides))
    assert_all_close(found, oracle(2 * field / np.array(sides[::-1])))


@pytest.mark.parametrize("ndim", SIZES)
def test_dense_velocities(ndim):
    # The velocity -0.4 x shrinks, and is linear: by squaring, x goes to (1 - 0.4 / 128)^128 x.
    size = SIZES[ndim]
    points = reference.identity_grid(size)
    velocity = np.stack([-0.4 * points, 0.2 + 0 * points]).astype("float32")
    shrunk = (1 - 0.4 / 2**7) ** 2**7
    field = np.stack([(shrunk - 1) * points, 0.2 + 0 * points])
    wanted = oracle(field)
    np.testing.assert_allclose(wanted[LogScale], (ndim * np.log(shrunk)) ** 2 / 2, rtol=1e-9)
    assert_all_close(penalties(velocity, "diffeomorphic"), wanted, rtol=1e-3)


FINER = {
    "displacement": (transforms.Displacement, 12),
    "displacement by axis": (transforms.Displacement, (15, 3)),
    "displacement of a volume": (transforms.Displacement, (4, 8, 6)),
}


@pytest.mark.parametrize(("family", "points"), FINER.values(), ids=FINER.keys())
def test_flat_thetas_of_fine_lattices_are_looked_at_at_every_control_point(family, points):
    size = points if isinstance(points, tuple) else (points,) * 2
    family = family(points)
    lattice = tuple(max(count, {2: 9, 3: 5}[len(size)]) for count in size)
    assert max(size) > 9 or len(size) == 3
    thetas = np.zeros((math.prod(size), *size, len(size)), "float32")
    # Each theta moves one control point, and is noticed.
    thetas.reshape(len(thetas), len(thetas), -1)[np.arange(len(thetas)), np.arange(len(thetas))] = 1
    flat = thetas.reshape(len(thetas), -1)
    grids = to_numpy(family.grid(flat, lattice)).astype("float64")
    field = grids - reference.identity_grid(lattice)
    fine = [axis for axis, count in enumerate(size) if count == lattice[axis]]
    peak = np.abs(field).max(axis=tuple(range(1, field.ndim)))
    assert peak.min() > (0.9 if len(fine) == len(size) else 0.4)
    assert_all_close(penalties(flat, family), oracle(field), rtol=1e-3)


def test_a_spline_of_many_control_points():
    spline = transforms.ThinPlateSpline(11)
    theta = (spline.identity() + random_field(2, 242, scale=0.02)).astype("float32")
    field = to_numpy(spline.grid(theta, (11, 11))) - reference.identity_grid((11, 11))
    assert_all_close(penalties(theta, spline), oracle(field), rtol=5e-3)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_narrow_fields_are_measured_in_float32(dtype):
    field = keras.ops.cast(random_field(1, 6, 7, 2), dtype)
    wide = to_numpy(keras.ops.cast(field, "float32"))
    assert_all_close(penalties(field), oracle(wide))


@pytest.mark.gradient
@pytest.mark.parametrize("family", ["displacement", "diffeomorphic"])
def test_gradients_to_every_point(family):
    field = random_field(1, 12, 11, 2, scale=0.03)

    def total(field):
        return sum(penalty(1.0, family)(field) for penalty in PENALTIES)

    (gradient,) = gradients(total, field)
    assert np.isfinite(gradient).all()
    assert np.abs(gradient).min(axis=-1).min() > 0
    if family == "diffeomorphic":  # whose own gradients have tests
        return
    direction = random_field(1, 12, 11, 2, scale=1.0, seed=1)
    ahead, behind = (
        float(to_numpy(traced(total)(keras.ops.convert_to_tensor(field + s * direction))))
        for s in (1e-3, -1e-3)
    )
    slope = (ahead - behind) / 2e-3
    np.testing.assert_allclose(np.vdot(gradient, direction), slope, rtol=0.02)


@pytest.mark.gradient
def test_of_a_network_that_predicts_fields_of_any_size():
    # What a U-Net ends in: its height and width are unknown until an image comes.
    penalty = BendingEnergy(0.5, "displacement")
    images = keras.Input((None, None, 2))
    flow = layers.Conv2D(
        2, 3, padding="same", data_format="channels_last", activity_regularizer=penalty
    )
    model = keras.Model(images, flow(images))
    model.compile(keras.optimizers.SGD(0.0), "mse", jit_compile=QUICK)
    for size in ((11, 14), (5, 6)):
        inputs = random_field(2, *size, 2, scale=0.3)
        predicted = model.predict(inputs, verbose=0)
        # Keras divides what a layer adds to the loss by the batch.
        wanted = 0.5 * oracle(predicted)[BendingEnergy] / 2
        loss = model.fit(inputs, predicted, verbose=0).history["loss"][0]
        assert wanted > 1e-3
        np.testing.assert_allclose(loss, wanted, rtol=1e-3)


@pytest.mark.skipif(BACKEND != "tensorflow", reason="only TensorFlow has sizes known at run time")
@pytest.mark.parametrize("ndim", SIZES)
def test_sizes_known_at_run_time(ndim):
    import tensorflow as tf

    signature = [tf.TensorSpec((None,) * (ndim + 1) + (ndim,), "float32")]
    dynamic = tf.function(
        lambda field: [penalty(1.0, "displacement")(field) for penalty in PENALTIES],
        input_signature=signature,
    )
    for size in (SIZES[ndim], (3,) * ndim, (1, 4, 5)[:ndim]):
        field = random_field(2, *size, ndim)
        found = dict(zip(PENALTIES, dynamic(field), strict=True))
        assert_all_close(found, oracle(field))
    assert dynamic.experimental_get_tracing_count() == 1


class Penalties(layers.Layer):
    """All penalties of what it is given, as a user's own layer might add them to the loss."""

    def __init__(self, family):
        super().__init__()
        self.family = family

    def call(self, field):
        return keras.ops.stack([penalty(1.0, self.family)(field) for penalty in PENALTIES])


# On NumPy, Keras traces such a layer on memory that holds anything.
@pytest.mark.filterwarnings("ignore:.*encountered in:RuntimeWarning")
@pytest.mark.parametrize(
    "family", [transforms.Displacement(), transforms.Diffeomorphic(squarings=2)], ids=repr
)
def test_a_layer_for_fields_of_any_size(family):
    inputs = keras.Input((None, None, 2))
    model = keras.Model(inputs, Penalties(family)(inputs))
    for size in ((5, 7), (12, 4)):
        field = random_field(2, *size, 2, scale=0.1)
        wanted = [to_numpy(penalty(1.0, family)(field)) for penalty in PENALTIES]
        np.testing.assert_allclose(to_numpy(model(field)), wanted, rtol=1e-4)


def test_other_families_take_no_fields():
    wanted = r"`theta` must have as many parameters as Affine\(\) takes. Received: 2 in its last"
    with pytest.raises(ValueError, match=wanted):
        IdentityDistance(1.0, "affine")(random_field(1, 4, 4, 2))
    wanted = r"`theta` must have as many parameters as Displacement.* takes. Received: 3 in its"
    with pytest.raises(ValueError, match=wanted):
        IdentityDistance(1.0, "displacement")(random_field(1, 4, 4, 3))
