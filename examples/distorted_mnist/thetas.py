"""Random transforms of digits, as thetas of the library's families.

Every function draws `count` thetas that map a canvas to the digit on it (target to source), in
normalized coordinates whose -1 and 1 are the centres of the corner pixels.
"""

from __future__ import annotations

import numpy as np

from keras_stn.transforms import ThinPlateSpline

DIGIT = 28  # pixels a side of MNIST's images
BOX = 20  # pixels a side of the box that each digit was scaled to
SPLINE = ThinPlateSpline(control_points=4)


def rotated(rng, count, size):
    """R: turned by up to 90 degrees either way. Thetas of `Affine`."""
    return placed(size, angle=rng.uniform(-np.pi / 2, np.pi / 2, count))


def rotated_scaled_translated(rng, count, size):
    """RTS: turned by up to 45 degrees, scaled by 0.7 to 1.2, anywhere. Thetas of `Affine`."""
    scale = rng.uniform(0.7, 1.2, count)
    shift = rng.uniform(-1, 1, (count, 2)) * room(size, scale)[:, None]
    angle = rng.uniform(-np.pi / 4, np.pi / 4, count)
    return placed(size, angle=angle, scale=scale, shift=shift)


def translated(rng, count, size):
    """Anywhere. Thetas of `Affine`."""
    return placed(size, shift=rng.uniform(-1, 1, (count, 2)) * room(size))


def projected(rng, count, size, spread=5.0):
    """P: scaled by 0.75 to 1, corners moved by a normal `spread` in pixels. Of `Projective`."""
    corners = np.array([[-1, -1], [1, -1], [-1, 1], [1, 1]])
    moved = np.zeros((count, 4, 2))
    left = np.arange(count)
    while len(left):  # one in fifty folds, which no view of a digit does
        scale = rng.uniform(0.75, 1, (len(left), 1, 1))
        moved[left] = scale * corners + rng.normal(0, spread * 2 / (size - 1), (len(left), 4, 2))
        left = left[~convex(moved[left])]
    return homographies(moved, np.broadcast_to(corners, moved.shape))


def bent(rng, count, size, spread=1.5):
    """E: scaled by 0.75 to 1, control points moved by a normal `spread` in pixels. Of `SPLINE`."""
    scale = rng.uniform(0.75, 1, (count, 1))
    moves = rng.normal(0, spread * 2 / (size - 1), (count, SPLINE.num_params()))
    return (SPLINE.identity() / scale + moves).astype("float32")


def room(size, scale=1.0):
    """How far, in pixels, a digit's box times `scale` can lie from a canvas's centre.

    Of a digit that is turned, or lies off the centre of its own image, a few pixels may be cut off
    at the canvas's edge.
    """
    return np.maximum(size - BOX * scale, 0) / 2


def placed(size, *, angle=0.0, scale=1.0, shift=(0.0, 0.0)):
    """Thetas (count, 6) of digits on canvases of `size` pixels, turned, scaled and moved.

    Args:
        size: int, pixels a side of the canvas.
        angle: (count,), radians, by which each digit is turned.
        scale: (count,), by which it is enlarged.
        shift: (count, 2), in pixels, (x, y), how far its centre lies from the canvas's.
    """
    shift = np.atleast_2d(shift)
    angle, scale, _ = np.broadcast_arrays(angle, scale, shift[:, 0])
    # From the canvas to the digit: undo the shift, then the scale and the turn.
    cos, sin = np.cos(angle) / scale, np.sin(angle) / scale
    linear = np.stack([np.stack([cos, sin], -1), np.stack([-sin, cos], -1)], axis=1)
    back = -np.einsum("bij,bj->bi", linear, np.broadcast_to(shift, (len(angle), 2)))
    # Both squares span [-1, 1] from corner pixel to corner pixel.
    linear *= (size - 1) / (DIGIT - 1)
    back *= 2 / (DIGIT - 1)
    return np.concatenate([linear, back[..., None]], axis=-1).reshape(-1, 6).astype("float32")


def convex(corners):
    """Which quadrilaterals (count, 4, 2) are convex and not turned over, as bools (count,).

    Corners are in the order of reading: upper left, upper right, lower left, lower right.
    """
    around = corners[:, [0, 1, 3, 2]]
    sides = np.roll(around, -1, axis=1) - around
    x, y = np.moveaxis(sides, -1, 0)
    return (x * np.roll(y, -1, axis=1) - y * np.roll(x, -1, axis=1) > 0).all(axis=1)


def homographies(target, source):
    """Thetas (count, 8) of `Projective` that take four target points to four source points.

    Args:
        target: (count, 4, 2), (x, y).
        source: (count, 4, 2).
    """
    one, zero = np.ones_like(target[..., :1]), np.zeros_like(target)
    # u (g x + h y + 1) = a x + b y + c, and alike for v: linear in a to h.
    rows = []
    for axis in range(2):
        own = np.concatenate([target, one], axis=-1)
        other = np.concatenate([zero, 0 * one], axis=-1)
        pair = [own, other] if axis == 0 else [other, own]
        rows.append(np.concatenate([*pair, -source[..., axis : axis + 1] * target], axis=-1))
    system = np.concatenate(rows, axis=1)
    right = np.concatenate([source[..., 0], source[..., 1]], axis=1)
    return np.linalg.solve(system, right[..., None])[..., 0].astype("float32")
