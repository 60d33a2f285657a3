"""The sides of an image, for families that measure in more than normalized coordinates."""

from __future__ import annotations

import copy
import math
import numbers

from keras import ops

from keras_stn.ops.coordinates import is_unknown, number


def check_extent(extent):
    """`extent` as a tuple of 2 or 3 positive numbers or scalar tensors, or None."""
    if extent is None:
        return None
    try:
        sides = tuple(extent)
    except TypeError:
        sides = ()
    if len(sides) not in (2, 3) or not all(_is_length(side) for side in sides):
        raise ValueError(
            "`extent` must hold 2 or 3 lengths, (height, width) or (depth, height, width), or be "
            f"None. Received: extent={extent!r}. Pass for example extent=(31, 63)."
        )
    return tuple(_plain(side) for side in sides)


def _plain(side):
    """A side as a Python number, which can be saved, unless it is a tensor without a value."""
    if isinstance(side, numbers.Real):
        return int(side) if isinstance(side, numbers.Integral) else float(side)
    return side


def _is_length(side):
    if isinstance(side, numbers.Real):
        # 0 is the side of one pixel, between its centre and itself.
        return not isinstance(side, bool) and math.isfinite(side) and side >= 0
    return is_unknown(side) or (ops.is_tensor(side) and len(side.shape) == 0)


def check_sides(sides, ndim):
    """Raises `ValueError` unless `sides` has one length for each of `ndim` axes."""
    if len(sides) != ndim:
        raise ValueError(
            f"`extent` must have one length for each of the {ndim} axes that theta is for. "
            f"Received: extent={sides}. Pass (height, width) for images, (depth, height, width) "
            "for volumes."
        )


def length(side, dtype):
    """A side as a number; 1 for that of one pixel, which has none."""
    side = number(side, dtype)
    return ops.where(side == 0.0, 1.0, side) if ops.is_tensor(side) else side or 1.0


def with_extent(family, extent):
    """`family`, of its own class, for images of sides `extent`, unless it has sides already."""
    if family.extent:
        return family
    family = copy.copy(family)
    family.extent = check_extent(extent)
    return family
