"""Rotation matrices and what they are made of: angles in the plane, rotation vectors in space."""

from __future__ import annotations

from keras import ops

from keras_stn.transforms.sides import length

# Square of an angle below which series take the place of quotients that become 0 / 0.
SMALL = 1e-4


def num_angles(ndim):
    """1 in the plane; 3 in space, a vector along the axis whose length is the angle."""
    return 1 if ndim == 2 else 3


def rotation_matrices(angles):
    """(batch, n, n) of angles (batch, 1) or rotation vectors (batch, 3), in radians."""
    if angles.shape[1] == 1:
        cosine, sine = ops.cos(angles), ops.sin(angles)
        rows = [[cosine, -sine], [sine, cosine]]
    else:
        # Rodrigues: I + sin(t)/t K + (1 - cos(t))/t^2 K^2, K the cross product with the vector.
        square = ops.sum(ops.square(angles), axis=1, keepdims=True)
        odd, even = _sinc(square), 0.5 * ops.square(_sinc(0.25 * square))
        x, y, z = (angles[:, i : i + 1] for i in range(3))
        rows = [
            [1.0 - even * (y * y + z * z), even * x * y - odd * z, even * x * z + odd * y],
            [even * x * y + odd * z, 1.0 - even * (x * x + z * z), even * y * z - odd * x],
            [even * x * z - odd * y, even * y * z + odd * x, 1.0 - even * (x * x + y * y)],
        ]
    return ops.stack([ops.concatenate(row, axis=1) for row in rows], axis=1)


def between_sides(matrices, extent):
    """Matrices that turn places in units of length, for coordinates normalized by `extent`."""
    sides = [length(side, matrices.dtype) for side in reversed(extent)]  # (x, y[, z])
    rows = [
        ops.stack([matrices[:, i, j] * (sides[j] / sides[i]) for j in range(len(sides))], axis=-1)
        for i in range(len(sides))
    ]
    return ops.stack(rows, axis=1)


def cross(a, b):
    """(batch, 3): the cross products of vectors, in their own dtype, unlike `keras.ops.cross`."""
    (ax, ay, az), (bx, by, bz) = ops.unstack(a, axis=-1), ops.unstack(b, axis=-1)
    return ops.stack([ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx], axis=-1)


def compose_rotations(outer, inner):
    """Angles or rotation vectors of `outer` after `inner`."""
    if outer.shape[1] == 1:
        return outer + inner
    # Quaternions multiply; their vector parts are sin(t/2) along the axis.
    (w1, v1), (w2, v2) = _quaternion(outer), _quaternion(inner)
    w = w1 * w2 - ops.sum(v1 * v2, axis=1, keepdims=True)
    v = w1 * v2 + w2 * v1 + cross(v1, v2)
    # q and -q are one rotation: take the one that turns by less than half a circle.
    return _rotation_vector(ops.where(w < 0.0, -w, w), ops.where(w < 0.0, -v, v))


def _quaternion(vectors):
    square = ops.sum(ops.square(vectors), axis=1, keepdims=True)
    return ops.cos(0.5 * _root(square)), 0.5 * _sinc(0.25 * square) * vectors


def _rotation_vector(w, v):
    square = ops.sum(ops.square(v), axis=1, keepdims=True)
    small = square < SMALL * SMALL
    norm = ops.sqrt(ops.where(small, 1.0, square))
    # w >= 0: where the sine is small, the cosine is not.
    ratio = ops.where(small, 2.0 / ops.where(small, w, 1.0), 2.0 * ops.arctan2(norm, w) / norm)
    return ratio * v


def _root(square):
    """The square root, with gradient zero at zero."""
    zero = square == 0.0
    return ops.where(zero, 0.0, ops.sqrt(ops.where(zero, 1.0, square)))


def _sinc(square):
    """sin(t) / t of t's square, smooth at 0."""
    small = square < SMALL
    angle = ops.sqrt(ops.where(small, 1.0, square))
    return ops.where(small, 1.0 - square / 6.0 + ops.square(square) / 120.0, ops.sin(angle) / angle)
