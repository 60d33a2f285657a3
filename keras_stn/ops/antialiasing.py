"""Sampling without aliasing where a warp shrinks the image.

Every sample stands for a piece of the source: the parallelogram that the grid's Jacobian makes of
one target pixel. Where its sides are longer than a source pixel, the sample becomes the mean of
probes spread along them, read from a pyramid of smaller and smaller images (mip map; Williams,
1983) at the level where the probes leave no gaps; between two levels it blends. Probes on either
side of each axis, instead of one in the middle, follow the footprint's shape, and allow a finer
level; where one side is longer than the others, all probes spread along it.
"""

from __future__ import annotations

import functools
import itertools
import math
import operator

from keras import ops

from keras_stn.ops import kernels
from keras_stn.ops.axes import channels_to_first, channels_to_last
from keras_stn.ops.coordinates import bounded, clamp, number, to_normalized, to_pixels
from keras_stn.ops.fusing import fused
from keras_stn.ops.kernels.barrier import compute_both_once
from keras_stn.ops.kernels.portable import ROUNDING, fill_with
from keras_stn.ops.kernels.taps import fold

MAX_LEVELS = 9  # shrinks 256 times before it aliases

# A level takes part from where a target pixel is `FADE_IN` of its pixels long, and alone decides
# from `FADED_IN` on. Chosen, with the two below, by PSNR against a triangle filter on photographs
# (docs/antialiasing.md); `FADED_IN` < 2 `FADE_IN`, so that no more than two levels blend.
FADE_IN, FADED_IN = 0.75, 1.1
# The distance between the two probes along a side of r pixels of their level is
# SPREAD (r - blur / r), or 0: what, on top of the level's own blur, makes a triangle filter's.
SPREAD = 0.75
BLUR_OF_IMAGE, BLUR_OF_LEVEL = 1.0, 2.0


@fused
def antialiased_sample(images, grid, *, fill_mode, fill_value, align_corners, data_format):
    """`kernels.sample`, bilinear, with the footprint of every sample taken into account.

    `grid` is (batch, ..., *target_size, n): its neighbours along the target's axes tell how far
    apart the samples lie.
    """
    plain = kernels.sample(
        images,
        grid,
        interpolation="bilinear",
        fill_mode=fill_mode,
        fill_value=fill_value,
        align_corners=align_corners,
        data_format=data_format,
    )
    if 0 in grid.shape:
        return plain
    if data_format == "channels_first":
        images, plain = channels_to_last(images), channels_to_last(plain)
    sizes = ops.shape(images)[1:-1]
    pixels = _pixels(grid, sizes, align_corners)
    # Here and below: else XLA computes all that comes before again for every place and every pixel
    # that it is used for.
    sides = [[compute_both_once(x) for x in side] for side in _sides(pixels)]
    lengths = [_length(side) for side in sides]
    leans = [_lean(axis, lengths) for axis in range(len(lengths))]

    levels, level_sizes = _pyramid(ops.cast(images, grid.dtype), sizes, fill_mode)
    atlas, starts = _atlas(levels, level_sizes)
    coarse, blend = _levels(_gap(lengths, leans), len(levels))
    fine = ops.maximum(coarse - 1.0, 0.0)
    samples = 0.0
    for level, weight in ((coarse, blend), (fine, 1.0 - blend)):
        probes = _probes(pixels, sides, lengths, leans, level)
        axes = _axes_of_level(probes, level, sizes, level_sizes, fill_mode)
        read = _read(atlas, starts, [compute_both_once(x) for x in axes], level)
        # The mean of the probes, which lie along axis 1.
        mean = ops.sum(compute_both_once(read), axis=1) / 2.0 ** len(sizes)
        samples = samples + ops.expand_dims(weight, -1) * mean
    if fill_mode == "constant":
        present = ops.expand_dims(_present_share(pixels, sides, sizes), -1)
        samples = samples * present + fill_with(1.0 - present, fill_value)
    # Coordinates that rounding put a hair too far apart do not shrink anything.
    shrinks = ops.expand_dims(functools.reduce(_larger, lengths) > 1.0 + ROUNDING, -1)
    samples = ops.where(shrinks, ops.cast(samples, plain.dtype), plain)
    return channels_to_first(samples) if data_format == "channels_first" else samples


def _pixels(grid, sizes, align_corners):
    """Pixel coordinates of a grid: one tensor an axis, rows first."""
    return [
        to_pixels(bounded(x), size, align_corners=align_corners)
        for x, size in zip(reversed(ops.unstack(grid, axis=-1)), sizes, strict=True)
    ]


def _sides(pixels):
    """The sides of each sample's footprint, one an axis of the target: a vector of pixels each.

    Of the differences to both neighbours the shorter one, so that a place far away next to a
    sample (a fold, a NaN) is not taken for its footprint.
    """
    ndim = len(pixels)
    sides = []
    for axis in range(-ndim, 0):
        # At either end of the axis there is one neighbour only, and a difference of 0.
        before, after = [], []
        further = [slice(None)] * (-axis - 1)
        for x in pixels:
            # Not `diff`, which PyTorch does not export to ONNX.
            step = x[(..., slice(1, None), *further)] - x[(..., slice(None, -1), *further)]
            none = ops.zeros_like(x[(..., slice(0, 1), *further)])
            before.append(ops.concatenate([none, step], axis=axis))
            after.append(ops.concatenate([step, none], axis=axis))
        to_before, to_after = _squared(before), _squared(after)
        shorter = ops.logical_or(
            ops.logical_and(to_before < to_after, to_before > 0.0), to_after == 0.0
        )
        sides.append([ops.where(shorter, b, a) for b, a in zip(before, after, strict=True)])
    return sides


def _squared(vector):
    return functools.reduce(operator.add, (x * x for x in vector))


def _larger(a, b):
    # Not `maximum`, which Keras computes in float32 on some backends.
    return ops.where(a > b, a, b)


def _length(side):
    """The length of a side, at least 1: nothing changes below, and no root of zero."""
    squared = _squared(side)
    return ops.sqrt(ops.where(squared > 1.0, squared, 1.0))


def _present_share(pixels, sides, sizes):
    """The share of each sample that is image and not fill.

    As without antialiasing, the image ends at the centre of its edge pixels, and from there
    blends into the fill: over one source pixel, or over a target pixel where that is longer.
    """
    present = 1.0
    for x, size, *steps in zip(pixels, sizes, *sides, strict=True):
        steps = [ops.where(step < 0.0, -step, step) for step in steps]
        ramp = functools.reduce(_larger, steps)
        # No longer than the image: next to a place far outside, the rest would be a ramp.
        size = number(size, x.dtype)
        ramp = clamp(ramp, 1.0, size)
        outside = _larger(-x, x - (size - 1.0))
        present = present * (1.0 - clamp(outside / ramp, 0.0, 1.0))
    return present


def _lean(axis, lengths):
    """How much longer a side is than all others: 0 for no longer, up to 1 for twice as long."""
    others = functools.reduce(_larger, [x for i, x in enumerate(lengths) if i != axis])
    return clamp(lengths[axis] / others - 1.0, 0.0, 1.0)


def _gap(lengths, leans):
    """Source pixels that a pair of probes has to bridge: the longest side, shared by its probes."""
    return functools.reduce(
        _larger, (length / (1.0 + lean) for length, lean in zip(lengths, leans, strict=True))
    )


def _levels(gap, count):
    """The coarser of the two levels to blend, and its share."""
    level = ops.floor(ops.log2(ops.stop_gradient(gap) / FADE_IN))
    level = ops.cast(ops.clip(level, 0.0, float(count - 1)), gap.dtype)
    blend = (gap / _scale(level) - FADE_IN) / (FADED_IN - FADE_IN)
    return level, ops.where(level > 0.0, clamp(blend, 0.0, 1.0), 1.0)


def _scale(level):
    """Source pixels a pixel of a level: exactly 2 ** level."""
    return ops.round(2.0**level)


def _probes(pixels, sides, lengths, leans, level):
    """Where to read for each sample: pixel coordinates (batch, probes, ...), one an axis."""
    scale = _scale(level)
    is_level = ops.cast(level > 0.0, level.dtype)
    blur = BLUR_OF_IMAGE + (BLUR_OF_LEVEL - BLUR_OF_IMAGE) * is_level
    along, across = [], []  # from the sample to either probe of a pair
    for side, length, lean in zip(sides, lengths, leans, strict=True):
        in_level = length / scale
        spread = in_level - blur / in_level
        distance = SPREAD * scale * ops.where(spread > 0.0, spread, 0.0)
        half = [0.5 * distance / length * x for x in side]
        # A long side parts the next side's pair too: at a lean of 1, the four probes lie on it at
        # equal distances. Their mean square distance from the sample is always that of two.
        root = ops.sqrt(1.0 + 0.25 * lean * lean)
        along.append([x / root for x in half])
        across.append([0.5 * lean / root * x for x in half])
    across = [across[-1], *across[:-1]]
    halves = [
        [a + b for a, b in zip(*pair, strict=True)] for pair in zip(along, across, strict=True)
    ]
    probes = []
    for signs in itertools.product((-1.0, 1.0), repeat=len(sides)):
        probe = pixels
        for sign, half in zip(signs, halves, strict=True):
            probe = [x + sign * step for x, step in zip(probe, half, strict=True)]
        probes.append(probe)
    return [ops.stack(axis, axis=1) for axis in zip(*probes, strict=True)]


def _axes_of_level(probes, level, sizes, level_sizes, fill_mode):
    """Pixel coordinates within each sample's level, where there is something to read."""
    scale = ops.expand_dims(_scale(level), 1)
    reading_mode = "nearest" if fill_mode == "constant" else fill_mode
    level_sizes = [_look_up(axis, level) for axis in zip(*level_sizes, strict=True)]
    axes = []
    for x, size, level_size in zip(probes, sizes, level_sizes, strict=True):
        x = fold(x, size, interpolation="bilinear", fill_mode=reading_mode)
        x = (x + 0.5) / scale - 0.5
        level_size = ops.expand_dims(level_size, 1)
        if fill_mode == "wrap":
            x = ops.where(x < 0.0, x + level_size, x)
        else:
            x = clamp(x, 0.0, level_size - 1.0)
        axes.append(x)
    return axes


def _look_up(values, level):
    """`values[level]`, for few values, as a sum: nothing to gather."""
    return functools.reduce(
        operator.add,
        (
            ops.cast(level == float(i), level.dtype) * number(value, level.dtype)
            for i, value in enumerate(values)
        ),
    )


def _pyramid(images, sizes, fill_mode):
    """Images of half the size, and half of that, down to one pixel: and their sizes."""
    count = MAX_LEVELS
    if all(isinstance(size, int) for size in sizes):
        count = min(count, 1 + math.ceil(math.log2(max(sizes))))
    levels, level_sizes = [images], [tuple(sizes)]
    for _ in range(count - 1):
        for axis in range(len(sizes)):
            images = _halve(images, level_sizes[-1][axis], axis + 1, fill_mode)
        levels.append(images)
        level_sizes.append(tuple((size + 1) // 2 for size in level_sizes[-1]))
    return levels, level_sizes


def _halve(images, size, axis, fill_mode):
    """Half the size along an axis, by a triangle filter: weights 1, 3, 3, 1."""
    images = ops.moveaxis(images, axis, 1)
    first, last = images[:, :1], images[:, -1:]
    if fill_mode == "wrap":
        first, last = last, first
    padded = ops.concatenate([first, images, last, last], axis=1)
    half = (size + 1) // 2
    a, b, c, d = (padded[:, i : i + 2 * half : 2] for i in range(4))
    return ops.moveaxis((a + 3.0 * (b + c) + d) / 8.0, 1, axis)


def _atlas(levels, level_sizes):
    """All levels in one image, below each other; and the row where each begins.

    After each level, along every axis, comes one pixel more: for "wrap" the first one again.
    """
    tiles, starts, start = [], [], 0
    for level, sizes in zip(levels, level_sizes, strict=True):
        for axis, (size, longest) in enumerate(zip(sizes, level_sizes[0], strict=True), start=1):
            again = ops.take(level, [0], axis=axis)
            level = ops.concatenate([level, again], axis=axis)
            if axis > 1:
                padding = [[0, 0]] * (len(sizes) + 2)
                padding[axis] = [0, longest - size]
                level = ops.pad(level, padding)
        tiles.append(level)
        starts.append(start)
        start = start + sizes[0] + 1
    return ops.concatenate(tiles, axis=1), starts


def _read(atlas, starts, axes, level):
    """Bilinear samples of the atlas at the pixel coordinates `axes` of each sample's level."""
    rows, *others = axes
    axes = [rows + ops.expand_dims(_look_up(starts, level), 1), *others]
    grid = [to_normalized(x, size) for x, size in zip(axes, ops.shape(atlas)[1:-1], strict=True)]
    return kernels.sample(
        atlas,
        ops.stack(grid[::-1], axis=-1),
        interpolation="bilinear",
        fill_mode="constant",
        fill_value=0.0,
        align_corners=True,
        data_format="channels_last",
    )
