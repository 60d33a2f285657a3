"""Limits with names, limits on theta, and the function that keeps theta within them."""

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation as SciPyRotation

from keras_stn.transforms import (
    Affine,
    Attention,
    Diffeomorphic,
    Displacement,
    Projective,
    Rotation,
    Similarity,
    ThinPlateSpline,
    Translation,
    named_bounds,
)
from keras_stn.transforms.bounds import LIMITED, resolve_bounds, squash
from tests.backend import compile_or_not, gradients, to_numpy
from tests.layers.models import Shift
from tests.ops.test_gradients import differences, gradients64
from tests.transforms.cases import CASES

PI, INF = np.pi, np.inf

# Of a family with every kind of room: none, little, much, one-sided and endless.
IDENTITY = np.array([1.0, 0.0, 0.0, 0.0, -1.0, 2.0, 0.0, 0.5])
LOW = np.array([1 / 3, -0.01, -100.0, -INF, -1.0, -INF, -0.5, 0.5])
HIGH = np.array([3.0, 0.01, 100.0, INF, 0.0, 2.0, INF, 0.5])


def squashed(theta):
    return to_numpy(squash(keras.ops.convert_to_tensor(theta), IDENTITY, LOW, HIGH))


def within(theta, ulps=2):
    """Whether thetas lie between the bounds, up to float32's rounding."""
    slack = ulps * np.finfo("float32").eps * np.maximum(np.abs(LOW), np.abs(HIGH))
    return np.all((LOW - slack <= theta) & (theta <= HIGH + slack))


@pytest.mark.parametrize(
    ("family", "ndim", "low", "high"),
    [
        (Translation(), 2, [-1, -1], [1, 1]),
        (Translation(), 3, [-1, -1, -1], [1, 1, 1]),
        (Rotation(), 2, [-PI], [PI]),
        (Rotation(), 3, [-PI] * 3, [PI] * 3),
        (Attention(), 2, [1 / 3, -1, -1], [3, 1, 1]),
        (Similarity(), 2, [1 / 3, -PI, -1, -1], [3, PI, 1, 1]),
        (Similarity(), 3, [1 / 3, *[-PI] * 3, *[-1] * 3], [3, *[PI] * 3, *[1] * 3]),
        (Affine(), 2, [-3, -3, -1, -3, -3, -1], [3, 3, 1, 3, 3, 1]),
        (Projective(), 2, [*[-3, -3, -1] * 2, -0.5, -0.5], [*[3, 3, 1] * 2, 0.5, 0.5]),
        (Displacement(2), 2, [-1] * 8, [1] * 8),
        (Displacement(2, "pixels"), 2, [-INF] * 8, [INF] * 8),
        (Diffeomorphic(2), 3, [-1] * 24, [1] * 24),
        # The control points' shifts count from where these are.
        (ThinPlateSpline(2), 2, [-2, -2, 0, -2, -2, 0, 0, 0], [0, 0, 2, 0, 0, 2, 2, 2]),
    ],
    ids=repr,
)
def test_default_bounds(family, ndim, low, high):
    for found in (named_bounds(family, ndim), resolve_bounds("default", family, ndim)):
        np.testing.assert_allclose(found, [low, high], rtol=1e-15)
        assert all(bound.dtype == "float64" for bound in found)


@pytest.mark.parametrize(
    ("family", "limits", "low", "high"),
    [
        (Translation(), {"shift": 0.25}, [-0.25] * 2, [0.25] * 2),
        (Rotation(), {"rotation": 0.5}, [-0.5], [0.5]),
        (Rotation(), {"rotation": 7}, [-7], [7]),
        (Attention(), {"zoom": 2, "shift": 0}, [0.5, 0, 0], [2, 0, 0]),
        (Attention(), {"zoom": 1}, [1, -1, -1], [1, 1, 1]),
        (Similarity(), {"rotation": INF, "shift": INF}, [1 / 3, *[-INF] * 3], [3, *[INF] * 3]),
        (Displacement(2, "pixels"), {"pixels": 4}, [-4] * 8, [4] * 8),
        (
            Affine(),
            {"zoom": 2, "rotation": PI / 6, "shift": 0.5},
            [3**0.5 / 4, -1, -0.5, -1, 3**0.5 / 4, -0.5],
            [2, 1, 0.5, 1, 2, 0.5],
        ),
        (Affine(), {"zoom": 2, "rotation": 0}, [0.5, 0, -1, 0, 0.5, -1], [2, 0, 1, 0, 2, 1]),
        (
            Projective(),
            {"zoom": 1, "rotation": 0, "shift": 0, "perspective": 0.1},
            [1, 0, 0, 0, 1, 0, -0.1, -0.1],
            [1, 0, 0, 0, 1, 0, 0.1, 0.1],
        ),
    ],
    ids=repr,
)
def test_bounds_by_name(family, limits, low, high):
    for found in (named_bounds(family, **limits), resolve_bounds(limits, family, 2)):
        np.testing.assert_allclose(found, [low, high], rtol=1e-15, atol=1e-16)


@pytest.mark.parametrize("ndim", [2, 3])
@pytest.mark.parametrize("angle", [0.2, 1.0, PI / 2, 2.5, PI])
def test_affine_bounds_hold_every_rotation_and_zoom(angle, ndim, rng):
    zoom = 2.0
    low, high = (
        b.reshape(ndim, ndim + 1)[:, :ndim]
        for b in named_bounds(Affine(), ndim, zoom=zoom, rotation=angle)
    )
    angles = np.linspace(-angle, angle, 201)
    # About each axis (z in the plane), and zooms from one limit to the other.
    axes = np.eye(3)[:ndim] if ndim == 3 else np.eye(3)[2:]
    turns = [SciPyRotation.from_rotvec(a * axis).as_matrix() for a in angles for axis in axes]
    turns = np.array(turns)[:, :ndim, :ndim]
    zooms = zoom ** np.linspace(-1, 1, 21)
    every = (zooms[:, None, None, None] * turns).reshape(-1, ndim, ndim)
    assert np.all((low - 1e-12 <= every) & (every <= high + 1e-12))
    # And no more: each limit is reached.
    np.testing.assert_allclose(every.min(axis=0), low, atol=1e-3)
    np.testing.assert_allclose(every.max(axis=0), high, atol=1e-3)


@pytest.mark.parametrize(("family", "ndim"), CASES, ids=repr)
@pytest.mark.parametrize("limits", [{}, {"zoom": INF, "rotation": 0.0}, {"zoom": 1.0}], ids=str)
def test_every_familys_identity_lies_within_its_bounds(family, ndim, limits):
    kinds = set(family.parameter_kinds(ndim))
    limits = {name: limit for name, limit in limits.items() if LIMITED[name] & kinds}
    low, high = named_bounds(family, ndim, **limits)
    assert low.shape == high.shape == (family.num_params(ndim),)
    assert np.all(low <= family.identity(ndim))
    assert np.all(family.identity(ndim) <= high)
    assert len(family.parameter_kinds(ndim)) == family.num_params(ndim)


@pytest.mark.parametrize(
    "limits",
    [{"zom": 2}, {"zoom": 0.5}, {"rotation": -1}, {"shift": "far"}, {"shift": float("nan")}],
    ids=str,
)
def test_wrong_limits(limits):
    wanted = (
        r"`bounds` must name limits among 'zoom', .*each a number of at least 0, and zoom at least "
        r"1\. Received: bounds=.*Pass for example bounds="
    )
    for call in (
        lambda: named_bounds(Affine(), **limits),
        lambda: resolve_bounds(limits, Affine(), 2),
    ):
        with pytest.raises(ValueError, match=wanted):
            call()


@pytest.mark.parametrize(
    ("family", "limits", "own", "foreign"),
    [
        (Translation(), {"zoom": 2.0}, "'shift'", "'zoom'"),
        (Rotation(), {"rotation": 1.0, "shift": 1, "zoom": 2}, "'rotation'", "'shift', 'zoom'"),
        (Attention(), {"rotation": 0.5}, "'zoom', 'shift'", "'rotation'"),
        (Similarity(), {"perspective": 0.5}, "'zoom', 'rotation', 'shift'", "'perspective'"),
        (Affine(), {"pixels": 4}, "'zoom', 'rotation', 'shift'", "'pixels'"),
        (ThinPlateSpline(3), {"zoom": 2}, "'shift'", "'zoom'"),
        (Displacement(2), {"pixels": 4}, "'shift'", "'pixels'"),
        (Displacement(2, "pixels"), {"shift": 0.5}, "'pixels'", "'shift'"),
    ],
    ids=repr,
)
def test_limits_of_what_a_family_does_not_do(family, limits, own, foreign):
    wanted = (
        rf"(?s)`bounds` of .* must name limits among {own}: it has no parameters for others\. "
        rf"Received: bounds=.*Leave out {foreign}, or choose a family"
    )
    for call in (
        lambda: named_bounds(family, **limits),
        lambda: resolve_bounds(limits, family, 2),
    ):
        with pytest.raises(ValueError, match=wanted):
            call()
    assert resolve_bounds("default", family, 2) is not None


def test_no_bounds():
    assert resolve_bounds(None, Affine(), 2) is None


@pytest.mark.parametrize(
    "bounds", [([0.5, -1, -1], [2, 1, 1]), (np.array([0.5, -1, -1]), (2, 1, 1))]
)
def test_bounds_by_thetas(bounds):
    low, high = resolve_bounds(bounds, Attention(), 2)
    assert (low.tolist(), high.tolist()) == ([0.5, -1, -1], [2, 1, 1])


def test_bounds_by_numbers_are_for_every_parameter():
    low, high = resolve_bounds((-1, 2), Attention(), 2)
    assert (low.tolist(), high.tolist()) == ([-1] * 3, [2] * 3)


@pytest.mark.parametrize(
    "bounds",
    [3, "defaults", ([0, 1],), ([0, 0], [1, 1]), ("a", "b"), [0, 1, 2]],
    ids=repr,
)
def test_bounds_of_another_kind(bounds):
    wanted = (
        r"(?s)`bounds` must be None, 'default', a dictionary of limits, or the pair .* for 3 "
        r"parameters. Received: bounds=.*Pass for example"
    )
    with pytest.raises(ValueError, match=wanted):
        resolve_bounds(bounds, Attention(), 2)


@pytest.mark.parametrize(
    "bounds",
    [([1.5, 0, 0], [2, 1, 1]), (0.1, 2), (2, 0), (None, 1), ([np.nan, 0, 0], [2, 1, 1])],
    ids=repr,
)
def test_bounds_without_the_identity(bounds):
    wanted = r"(?s)`bounds` must hold the identity, \[1.0, 0.0, 0.0\]. Received: .*Widen them\."
    with pytest.raises(ValueError, match=wanted):
        resolve_bounds(bounds, Attention(), 2)


def test_a_family_without_names_takes_pairs():
    wanted = r"(?s)`Shift` does not name its parameters. Implement `parameter_kinds`, or give"
    with pytest.raises(NotImplementedError, match=wanted):
        resolve_bounds("default", Shift(), 2)
    low, high = resolve_bounds((-0.5, 0.5), Shift(), 2)
    assert (low.tolist(), high.tolist()) == ([-0.5, -0.5], [0.5, 0.5])


def test_squash_keeps_the_identity_exactly():
    theta = IDENTITY.astype("float32")
    np.testing.assert_array_equal(squashed(np.stack([theta] * 3)), np.stack([theta] * 3))


def test_squash_is_the_formula():
    theta = (IDENTITY + np.random.default_rng(0).normal(0, 2, (50, 8))).astype("float32")
    offset = theta.astype("float64") - IDENTITY
    room = np.where(offset > 0, HIGH - IDENTITY, IDENTITY - LOW)
    free = (room > 0) & np.isfinite(room)
    safe = np.where(free, room, 1.0)
    wanted = IDENTITY + np.where(
        np.isinf(room), offset, free * safe * 2 / PI * np.arctan(PI / 2 * offset / safe)
    )
    np.testing.assert_allclose(squashed(theta), wanted, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("size", [1.0, 1e3, 1e6, 1e30, 3e38, INF])
def test_squash_stays_within_the_bounds(size):
    theta = np.stack([np.full(8, sign * size, "float32") for sign in (1, -1)])
    found = squashed(theta)
    assert np.isfinite(found).all()
    assert within(found)
    if size >= 1e6:  # and reaches what is near
        near = [0, 1, 2]
        np.testing.assert_allclose(found[:, near], [HIGH[near], LOW[near]], rtol=3e-3)


def test_squash_leaves_what_has_no_bounds():
    # To float32's rounding; columns 3, 5 and 6 are endless on one side at least.
    offsets = np.array([1e-6, 1e-3, 0.1, 1.0, 10.0], "float32")[:, None]
    theta = (IDENTITY + offsets * np.array([0, 0, 0, 1, 0, -1, 1, 0])).astype("float32")
    np.testing.assert_allclose(squashed(theta)[:, [3, 5, 6]], theta[:, [3, 5, 6]], rtol=3e-7)


def test_squash_moves_nothing_that_has_no_room():
    theta = np.stack([IDENTITY + offset for offset in (-1.0, 0.0, 1.0, 1e6)]).astype("float32")
    found = squashed(theta)
    assert found[:, 7].tolist() == [0.5] * 4
    assert found[0, 4] == -1.0  # no room below
    assert np.all(found[1:, 5] == 2.0)  # none above


@given(
    theta=st.lists(
        st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=16, max_size=16
    )
)
def test_squash_is_monotone_and_bounded(theta):
    theta = np.sort(np.array(theta, "float32").reshape(2, 8), axis=0)
    found = squashed(theta)
    assert within(found)
    # To the rounding of one number: of the values, and of differences from the identity.
    slack = 4 * np.finfo("float32").eps * (np.abs(found).max(axis=0) + np.abs(IDENTITY))
    assert np.all(found[0] <= found[1] + slack)


@pytest.mark.gradient
def test_squash_has_slope_one_at_the_identity():
    (found,) = gradients(
        lambda theta: squash(theta, IDENTITY, LOW, HIGH), IDENTITY[None].astype("float32")
    )
    # Wherever there is room on either side, and none without any.
    np.testing.assert_allclose(found, [[1, 1, 1, 1, 1, 1, 1, 0]], rtol=1e-6)


@pytest.mark.gradient
@compile_or_not
@pytest.mark.parametrize("size", [1e3, 1e6, -1e6])
def test_the_slope_of_squash_never_vanishes_in_float32(size, compile):
    theta = np.full((1, 8), size, "float32")
    (found,) = gradients(lambda theta: squash(theta, IDENTITY, LOW, HIGH), theta, compile=compile)
    room = np.where(size > 0, HIGH > IDENTITY, LOW < IDENTITY)[None]
    assert np.all(found[room] > 1e-20)  # far from float32's smallest number
    assert not found[~room].any()
    # Unlike that of a hyperbolic tangent.
    assert 1.0 - np.tanh(np.float32(size)) ** 2 == 0.0


@pytest.mark.gradient
@compile_or_not
@pytest.mark.parametrize("room", [1e-9, 2e-12, 1e-20, 1e-38, 1e-45])
def test_next_to_no_room_does_no_harm(room, compile):
    theta = np.array([[0.0, 1e-30, -1e-9, 1.0]], "float32")
    bounds = np.full(4, -room), np.full(4, room)
    (slope,) = gradients(lambda theta: squash(theta, np.zeros(4), *bounds), theta, compile=compile)
    assert np.all((slope >= 0) & (slope <= 1))
    found = to_numpy(squash(keras.ops.convert_to_tensor(theta), np.zeros(4), *bounds))
    assert np.all(np.abs(found) <= room * (1 + 1e-6))
    if room > 1e-12:  # enough to move in
        np.testing.assert_allclose(slope[0, 0], 1.0, rtol=1e-5)
        width = room * 2 / np.pi
        np.testing.assert_allclose(found, width * np.arctan(theta / width), rtol=1e-5)


@pytest.mark.gradient
def test_gradient_of_squash():
    theta = IDENTITY + np.random.default_rng(0).normal(0, 1, (4, 8))
    upstream = np.random.default_rng(1).normal(size=theta.shape)
    (found,) = gradients64(
        lambda theta: squash(theta, IDENTITY, LOW, HIGH), theta, upstream=upstream
    )

    def oracle(theta):
        offset = theta - IDENTITY
        room = np.minimum(np.where(offset > 0, HIGH - IDENTITY, IDENTITY - LOW), 1e6)
        safe = np.where(room > 0, room, 1.0)
        return np.where(room > 0, safe * 2 / PI * np.arctan(PI / 2 * offset / safe), 0.0)

    np.testing.assert_allclose(found, differences(oracle, theta, upstream), rtol=1e-5, atol=1e-6)
