"""Regular lattices of control points, from corner to corner of the image."""

from __future__ import annotations

import numbers
import operator

import numpy as np


def check_control_points(control_points, ndims=(2, 3)):
    """`control_points` as an int, or a tuple of one int an axis; at least 2 a side."""
    several = isinstance(control_points, (tuple, list))
    sides = control_points if several else (control_points,)
    if not all(map(_is_count, sides)) or (several and len(sides) not in ndims):
        raise ValueError(
            "`control_points` must be an integer of at least 2, or one for each axis, rows first. "
            f"Received: control_points={control_points!r}. Pass for example control_points=4."
        )
    return tuple(map(operator.index, sides)) if several else operator.index(control_points)


def _is_count(value):
    """Whether `value` is an integer of at least 2, NumPy's too."""
    return isinstance(value, numbers.Integral) and not isinstance(value, bool) and value >= 2


def lattice_size(control_points, ndim):
    """Control points along each axis, rows first."""
    if isinstance(control_points, int):
        return (control_points,) * ndim
    if len(control_points) != ndim:
        raise ValueError(
            f"`control_points` must have one number for each of the {ndim} axes. Received: "
            f"control_points={control_points}. Pass one number for all axes, or {ndim}."
        )
    return control_points


def lattice(size):
    """Normalized coordinates (n_points, n) of a lattice's points, as a float64 NumPy array."""
    axes = [np.linspace(-1.0, 1.0, n) for n in size]
    return np.stack(np.meshgrid(*axes, indexing="ij")[::-1], axis=-1).reshape(-1, len(size))
