"""Bounds on theta: how far from the identity a localization network may go."""

from __future__ import annotations

import math
import numbers

import numpy as np
from keras import ops
from numpy.typing import NDArray

from keras_stn.transforms.base import Transform

# What a name limits, and how far unless told.
LIMITS = {"zoom": 3.0, "rotation": math.pi, "shift": 1.0, "perspective": 0.5, "pixels": math.inf}
# The kinds of parameters that each name limits.
LIMITED = {
    "zoom": {"scale", "diagonal", "shear"},
    "rotation": {"rotation", "diagonal", "shear"},
    "shift": {"shift"},
    "perspective": {"perspective"},
    "pixels": {"pixels"},
}
# Far enough to be no bound; float32 still resolves what is near the identity.
UNBOUNDED = 1e6
# Too little room to tell from none; its square is still a number in float32.
LEAST_ROOM = 1e-12


def named_bounds(
    transform: Transform, ndim: int = 2, **limits: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The lowest and the highest theta of a family within limits that have names.

    Args:
        transform: A `keras_stn.transforms.Transform` whose `parameter_kinds` are known.
        ndim: Spatial axes.
        **limits: Those that differ from the defaults. `zoom`: the largest magnification and
            shrinking, at least 1. `rotation`: the largest angle, in radians. `shift`: the largest
            shift of the image, or of a control point, in halves of the image. `perspective`: the
            largest change of the projective denominator from the centre to an edge. `pixels`: the
            largest displacement of a flow in pixels. An affine matrix is limited entry by entry,
            to what rotations and zooms within the limits need.

    Returns:
        Two float64 NumPy vectors of length `transform.num_params(ndim)`.

    Raises:
        ValueError: A limit with another name, out of its range, or of what the family does not do.

    Example:
        >>> from keras_stn.transforms import Attention, named_bounds
        >>> low, high = named_bounds(Attention(), zoom=2, shift=0.5)
        >>> low.tolist(), high.tolist()
        ([0.5, -0.5, -0.5], [2.0, 0.5, 0.5])
    """
    unknown = set(limits) - set(LIMITS)
    wrong = [name for name, limit in limits.items() if not _is_limit(name, limit)]
    if unknown or wrong:
        raise ValueError(
            f"`bounds` must name limits among {', '.join(map(repr, LIMITS))}, each a number "
            f"of at least 0, and zoom at least 1. Received: bounds={limits}. Pass for example "
            "bounds={'zoom': 2.0, 'rotation': 0.8, 'shift': 0.5}."
        )
    kinds = transform.parameter_kinds(ndim)
    own = [name for name in LIMITS if LIMITED[name] & set(kinds)]
    foreign = [name for name in limits if name not in own]
    if foreign:
        raise ValueError(
            f"`bounds` of {transform!r} must name limits among {', '.join(map(repr, own))}: it has "
            f"no parameters for others. Received: bounds={limits}. Leave out "
            f"{', '.join(map(repr, foreign))}, or choose a family that has parameters for it."
        )
    limits = LIMITS | limits
    zoom, angle = min(limits["zoom"], UNBOUNDED), min(limits["rotation"], math.pi)
    cosine = math.cos(angle)
    room = {
        "scale": (1.0 / zoom, zoom),
        "rotation": (-limits["rotation"], limits["rotation"]),
        "diagonal": (cosine / zoom if cosine > 0 else cosine * zoom, zoom),
        "shear": (
            -zoom * math.sin(min(angle, math.pi / 2)),
            zoom * math.sin(min(angle, math.pi / 2)),
        ),
        "perspective": (-limits["perspective"], limits["perspective"]),
        "shift": (-limits["shift"], limits["shift"]),
        "pixels": (-limits["pixels"], limits["pixels"]),
    }
    identity = transform.identity(ndim)
    low, high = np.array([room[kind] for kind in kinds], "float64").T
    # Shifts of control points are counted from where these are.
    around = [kind in ("shift", "pixels") for kind in kinds]
    return low + np.where(around, identity, 0.0), high + np.where(around, identity, 0.0)


def _is_limit(name, limit):
    least = 1.0 if name == "zoom" else 0.0
    return isinstance(limit, numbers.Real) and limit >= least


def resolve_bounds(bounds, transform, ndim):
    """`bounds` of a `SpatialTransformer` as the lowest and highest theta; None without bounds."""
    if bounds is None:
        return None
    if isinstance(bounds, str) and bounds == "default":
        bounds = {}
    if isinstance(bounds, dict):
        return named_bounds(transform, ndim, **bounds)
    identity = transform.identity(ndim).astype("float64")
    try:
        low, high = (np.broadcast_to(np.asarray(b, "float64"), identity.shape) for b in bounds)
    except (TypeError, ValueError) as error:
        raise ValueError(
            "`bounds` must be None, 'default', a dictionary of limits, or the pair (lowest theta, "
            f"highest theta) for {len(identity)} parameters. Received: bounds={bounds!r}. Pass "
            "for example bounds={'zoom': 2.0, 'shift': 0.5}."
        ) from error
    if not np.all((low <= identity) & (identity <= high)):
        raise ValueError(
            f"`bounds` must hold the identity, {identity.tolist()}. Received: lowest theta "
            f"{low.tolist()}, highest theta {high.tolist()}. Widen them."
        )
    return low, high


def squash(theta, identity, low, high):
    """Brings theta, (..., P), smoothly between `low` and `high`.

    Formula, for the room `r` from the identity to the bound on theta's side:

        identity + r (2 / pi) arctan(pi / 2 (theta - identity) / r)

    The identity stays, the slope there is 1, and it falls with the square of the distance: unlike
    that of a hyperbolic tangent it does not vanish in float32 (before 1e19), so that a theta far
    out comes back. Theta is float32 or float64: float16 does not hold `UNBOUNDED`.
    """
    above, below = (
        np.where(room < LEAST_ROOM, 0.0, np.minimum(room, UNBOUNDED))
        for room in (high - identity, identity - low)
    )
    offset = theta - ops.cast(identity, theta.dtype)
    # At the identity either side will do, but for the slope there: not one without room.
    start = np.where(below > 0.0, 0.0, -np.finfo("float32").tiny)
    room = ops.where(
        offset > ops.cast(start, theta.dtype),
        ops.cast(above, theta.dtype),
        ops.cast(below, theta.dtype),
    )
    free = room > 0.0
    width = ops.where(free, room, 1.0) * (2.0 / math.pi)
    # Of two arguments: the arctangent of one is none of LiteRT's operations, and the quotient may
    # be too large for float32.
    squashed = width * ops.arctan2(offset, width)
    return ops.cast(identity, theta.dtype) + ops.where(free, squashed, 0.0)
