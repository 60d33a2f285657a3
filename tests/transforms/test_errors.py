"""What the families do not take: each error says what was expected, what came, and what to do."""

import numpy as np
import pytest

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
)
from keras_stn.transforms.matrices import AffineMaps
from tests.layers.models import Shift
from tests.transforms.cases import FAMILIES

SMALL = [
    Translation(),
    Rotation(),
    Attention(),
    Similarity(),
    Projective(),
    ThinPlateSpline(3),
]
FLOWS = [Displacement(3), Diffeomorphic(3)]
METHODS = ["transform_points", "grid", "matrix", "inverse", "compose"]
# Splines have the first two alone.
TAKE_THETA = [(f, m) for f in SMALL for m in METHODS[: 2 if f == ThinPlateSpline(3) else 5]]


def zeros(*shape):
    return np.zeros(shape, "float32")


def counts(family):
    """What a message says of the family's parameters."""
    return [family.num_params(ndim) for ndim in family.ndims]


@pytest.mark.parametrize(("family", "method"), TAKE_THETA)
@pytest.mark.parametrize("shape", [(2, 5), (3,), (2, 2, 5), (2, 0)])
def test_wrong_theta(family, method, shape):
    theta = zeros(*shape)
    arguments = {
        "transform_points": (theta, zeros(2, 4, 2)),
        "compose": (theta, theta),
        "grid": (theta, (4, 5)),
    }.get(method, (theta,))
    known = counts(family)[:1] if method == "grid" else counts(family)
    shapes = " or ".join(rf"\(batch, {count}\)" for count in known)
    if shape == (3,) and shape[0] in known:
        advice = r"Add the axis of the batch, for example with theta\[None\]\."
    else:
        advice = f"Pass {' or '.join(map(str, known))} numbers for each transform\\."
    wanted = (
        rf"(?s)`theta` must have shape {shapes} for {type(family).__name__}\(.*Received: "
        rf"theta.shape=\({', '.join(map(str, shape))},?\)\. {advice}"
    )
    with pytest.raises(ValueError, match=wanted):
        getattr(family, method)(*arguments)


def test_the_grid_of_a_volume_wants_a_volumes_theta():
    wanted = r"`theta` must have shape \(batch, 7\) for Similarity.*Received: .*Pass 7 numbers"
    with pytest.raises(ValueError, match=wanted):
        Similarity().grid(zeros(2, 4), (3, 4, 5))
    with pytest.raises(ValueError, match=r"`ThinPlateSpline` is for images. .*Use `Displacement`"):
        ThinPlateSpline().grid(zeros(2, 32), (3, 4, 5))


def test_rotations_of_images_and_volumes_do_not_compose():
    wanted = r"`theta` must have shape \(batch, 1\) for Rotation.*Received: theta.shape=\(2, 3\)"
    with pytest.raises(ValueError, match=wanted):
        Rotation().compose(zeros(2, 1), zeros(2, 3))


@pytest.mark.parametrize("family", FLOWS, ids=repr)
@pytest.mark.parametrize("shape", [(2, 5), (3,), (2, 2, 3), (2, 4, 5, 3), (2, 3, 4, 5, 1)])
@pytest.mark.parametrize("method", ["transform_points", "grid"])
def test_wrong_fields(method, shape, family):
    wanted = (
        r"(?s)`theta` must have shape \(batch, num_params\), \(batch, height, width, 2\) or "
        rf".*width, 3\) for {type(family).__name__}\(.*Received: theta.shape=.*`num_params` says"
    )
    second = (4, 5) if method == "grid" else zeros(2, 4, 2)
    with pytest.raises(ValueError, match=wanted):
        getattr(family, method)(zeros(*shape), second)


@pytest.mark.parametrize("family", FLOWS, ids=repr)
@pytest.mark.parametrize(
    ("shape", "size", "ndim"),
    [((2, 18), (3, 4, 5), 2), ((2, 81), (4, 5), 3), ((2, 4, 5, 2), (3, 4, 5), 2)],
)
def test_a_field_and_an_output_of_other_axes(family, shape, size, ndim):
    wanted = (
        rf"`output_size` must have {ndim} axes, as theta has\. Received: .*Pass \(height, width"
    )
    with pytest.raises(ValueError, match=wanted):
        family.grid(zeros(*shape), size)


@pytest.mark.parametrize("family", [family for family, _ in FAMILIES], ids=repr)
@pytest.mark.parametrize("size", [5, (5,), (5, 0), (5, 9.5), None])
def test_wrong_output_sizes(family, size):
    if size is None and isinstance(family, Displacement | Diffeomorphic):
        return  # as large as the field
    ndim = 3 if len(getattr(family, "extent", None) or ()) == 3 else 2
    wanted = r"(?s)`output_size` must hold 2 or 3 positive integers.*Received: .*Pass for example"
    with pytest.raises(ValueError, match=wanted):
        family.grid(family.identity(ndim)[None], size)


@pytest.mark.parametrize("family", [*SMALL, *FLOWS], ids=repr)
@pytest.mark.parametrize("shape", [(2, 4), (2, 4, 3), (4, 2), (2, 2, 2, 3)])
def test_wrong_points(family, shape):
    wanted = r"`points` must have shape \(batch, N, 2\)\. Received: points.shape=.*Put \(x, y\) in"
    with pytest.raises(ValueError, match=wanted):
        family.transform_points(np.tile(family.identity(), (2, 1)), zeros(*shape))


@pytest.mark.parametrize("family", [ThinPlateSpline(3), *FLOWS, Shift()], ids=repr)
def test_what_is_no_matrix(family):
    theta = family.identity()[None]
    name = type(family).__name__
    wanted = rf"`{name}` transforms are no matrices\. Use `grid` or `transform_points`\."
    with pytest.raises(NotImplementedError, match=wanted):
        family.matrix(theta)
    wanted = rf"Two `{name}` transforms in series are not in the family\. Compose with a family of"
    with pytest.raises(NotImplementedError, match=wanted):
        family.compose(theta, theta)


@pytest.mark.parametrize("family", [ThinPlateSpline(3), Displacement(3), Shift()], ids=repr)
def test_what_has_no_inverse(family):
    wanted = rf"inverse of a `{type(family).__name__}` transform is not in the family\. Use `Diff"
    with pytest.raises(NotImplementedError, match=wanted):
        family.inverse(family.identity()[None])


def test_a_family_of_matrices_must_say_which():
    with pytest.raises(NotImplementedError, match=r"AffineMaps must implement `parts`\."):
        AffineMaps().parts(zeros(1, 2), 2, None)


@pytest.mark.parametrize("make", [Rotation, Similarity, lambda e: Displacement(extent=e)])
@pytest.mark.parametrize(
    "extent",
    [
        5,
        "ab",
        (5,),
        (1, 2, 3, 4),
        (-1, 2),
        (np.inf, 1),
        (np.nan, 1),
        (True, 1),
        (None, 3),
        ("3", 4),
    ],
    ids=repr,
)
def test_wrong_extents(make, extent):
    wanted = (
        r"`extent` must hold 2 or 3 lengths, \(height, width\) or \(depth, height, width\), or be "
        r"None\. Received: extent=.*Pass for example extent=\(31, 63\)\."
    )
    with pytest.raises(ValueError, match=wanted):
        make(extent)


@pytest.mark.parametrize("family", [Rotation((2, 3)), Similarity((2, 3))], ids=repr)
@pytest.mark.parametrize("method", ["transform_points", "matrix", "grid"])
def test_an_extent_of_other_axes(method, family):
    theta = family.identity(3)[None]
    arguments = {"transform_points": (theta, zeros(1, 4, 3)), "grid": (theta, (2, 3, 4))}
    wanted = r"`extent` must have one length for each of the 3 axes .*Received: extent=\(2, 3\)\. P"
    with pytest.raises(ValueError, match=wanted):
        getattr(family, method)(*arguments.get(method, (theta,)))


def test_an_extent_of_other_axes_in_pixels():
    wanted = r"`extent` must have one length for each of the 3 axes .*Received: extent=\(2, 3\)\. P"
    with pytest.raises(ValueError, match=wanted):
        Displacement(3, "pixels", (2, 3)).grid(zeros(1, 81), (2, 3, 4))


@pytest.mark.parametrize("make", [ThinPlateSpline, Displacement, Diffeomorphic])
@pytest.mark.parametrize("control_points", [1, 0, True, 2.0, None, "4", (4,), (4, 1), (2, 2, 2, 2)])
def test_wrong_control_points(make, control_points):
    wanted = (
        r"`control_points` must be an integer of at least 2, or one for each axis, rows first\. "
        r"Received: control_points=.*Pass for example control_points=4\."
    )
    with pytest.raises(ValueError, match=wanted):
        make(control_points)


@pytest.mark.parametrize("make", [Displacement, Diffeomorphic])
def test_control_points_of_other_axes(make):
    wanted = (
        r"`control_points` must have one number for each of the 3 axes\. Received: "
        r"control_points=\(3, 4\)\. Pass one number for all axes, or 3\."
    )
    for method in ("num_params", "identity", "parameter_kinds"):
        with pytest.raises(ValueError, match=wanted):
            getattr(make((3, 4)), method)(3)


def test_splines_are_for_images():
    with pytest.raises(ValueError, match=r"`control_points` must be an integer .*\(2, 3, 4\)"):
        ThinPlateSpline((2, 3, 4))
    wanted = r"`ThinPlateSpline` is for images\. Received: ndim=3\. Use `Displacement` or `Diffeom"
    for method in ("num_params", "identity", "parameter_kinds"):
        with pytest.raises(ValueError, match=wanted):
            getattr(ThinPlateSpline(), method)(3)


@pytest.mark.parametrize("squarings", [-1, 2.0, True, None, "7"])
def test_wrong_squarings(squarings):
    wanted = r"`squarings` must be an integer of at least 0\. Received: squarings=.*Pass for exam"
    with pytest.raises(ValueError, match=wanted):
        Diffeomorphic(squarings=squarings)


@pytest.mark.parametrize("units", ["pixel", None, 1])
def test_wrong_units(units):
    wanted = (
        r"`units` must be one of 'normalized', 'pixels'\. Received: units=.*Choose one of these"
    )
    with pytest.raises(ValueError, match=wanted):
        Displacement(units=units)


def test_points_of_a_flow_in_pixels_need_an_extent():
    family = Displacement(3, units="pixels")
    wanted = (
        r"(?s)Vectors in pixels need `extent`, the image's sides, to move points\. Received: "
        r"Displacement\(.*Pass for example Displacement\(units='pixels', extent=\(31, 63\)\)"
    )
    for call in (
        lambda: family.transform_points(zeros(1, 18), zeros(1, 4, 2)),
        lambda: family.transform_boxes(zeros(1, 18), zeros(1, 4, 4)),
    ):
        with pytest.raises(ValueError, match=wanted):
            call()


def test_affine_keeps_its_own_message():
    wanted = r"`theta` must have shape \(batch, 12\) or \(batch, 3, 4\) .*Pass 12 numbers"
    with pytest.raises(ValueError, match=wanted):
        Affine().grid(zeros(2, 6), (3, 4, 5))
