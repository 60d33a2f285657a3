"""The operations by the paper's formulas: slow, float64, NumPy alone, nothing of `keras_stn`.

An image is extended past its edges by `np.pad`, far enough that every point lies inside it; then a
sample is the sum, over all pixels, of the pixel times one value of a kernel an axis.
"""

import functools

import numpy as np

# What lies outside an image, in the words of `np.pad`.
PAD_MODES = {
    "constant": "constant",
    "nearest": "edge",
    "mirror": "reflect",
    "reflect": "symmetric",
    "wrap": "wrap",
}
FILL_MODES = tuple(PAD_MODES)


def axis_coordinates(size, align_corners=True):
    """Normalized coordinates of the pixel centres along an axis."""
    if not align_corners:
        return (np.arange(size) + 0.5) / size * 2 - 1
    return np.linspace(-1, 1, size) if size > 1 else np.zeros(1)


def identity_grid(output_size, align_corners=True):
    """Normalized coordinates of every pixel, (*output_size, n), last axis (x, y[, z])."""
    axes = [axis_coordinates(size, align_corners) for size in output_size]
    return np.stack(np.meshgrid(*axes, indexing="ij")[::-1], axis=-1)


def affine_grid(theta, output_size, align_corners=True):
    """Equation 1 of the paper: theta times (x, y[, z], 1) for every target pixel."""
    ndim = len(output_size)
    matrices = np.asarray(theta, "float64").reshape(-1, ndim, ndim + 1)
    targets = identity_grid(output_size, align_corners)
    targets = np.concatenate([targets, np.ones((*output_size, 1))], axis=-1)
    return np.stack([targets @ matrix.T for matrix in matrices])


def to_pixels(coordinates, size, align_corners=True):
    """Pixel coordinates, 0 at the centre of the first pixel, of normalized ones."""
    coordinates = np.asarray(coordinates, "float64")
    if align_corners:
        return (coordinates + 1) / 2 * (size - 1)
    return (coordinates + 1) / 2 * size - 0.5


def to_normalized(pixels, size, align_corners=True):
    """The inverse of `to_pixels`."""
    pixels = np.asarray(pixels, "float64")
    if align_corners:
        return pixels / (size - 1) * 2 - 1
    return (pixels + 0.5) / size * 2 - 1


def grid_sample(
    images,
    grid,
    *,
    interpolation="bilinear",
    fill_mode="constant",
    fill_value=0.0,
    align_corners=True,
    data_format="channels_last",
):
    """`keras_stn.ops.grid_sample`, in float64."""
    images, grid = np.asarray(images, "float64"), np.asarray(grid, "float64")
    if data_format == "channels_first":
        images = np.moveaxis(images, 1, -1)
    sizes = images.shape[1:-1]
    samples = np.empty((*grid.shape[:-1], images.shape[-1]))
    for image, points, out in zip(images, grid, samples, strict=True):
        rows_first = [
            to_pixels(points[..., -1 - axis], size, align_corners)
            for axis, size in enumerate(sizes)
        ]
        extended, origin = extend(image, rows_first, fill_mode, fill_value)
        for where in np.ndindex(points.shape[:-1]):
            point = [x[where] + start for x, start in zip(rows_first, origin, strict=True)]
            out[where] = SAMPLERS[interpolation](extended, point)
    return np.moveaxis(samples, -1, 1) if data_format == "channels_first" else samples


def extend(image, points, fill_mode, fill_value=0.0):
    """`image` padded until it holds all `points`' neighbours, and where its first pixel went."""
    pads = []
    for x, size in zip(points, image.shape[:-1], strict=True):
        # Two pixels beyond the outermost points, as far as the cubic kernel reaches.
        before, after = np.floor(-x.min(initial=0)) + 2, np.ceil(x.max(initial=0)) - size + 2
        pads.append((int(max(before, 0)), int(max(after, 0))))
    constant = {"constant_values": fill_value} if fill_mode == "constant" else {}
    extended = np.pad(image, [*pads, (0, 0)], mode=PAD_MODES[fill_mode], **constant)
    return extended, [before for before, _ in pads]


def nearest(image, point):
    """The nearest pixel, halves to even as counted from the first pixel of the padded image."""
    return image[tuple(int(np.rint(x)) for x in point)]


def weighted(image, point, kernel):
    """The sum of all pixels, each times `kernel` of its distance to `point` along every axis."""
    weights = np.ones(())
    for x, size in zip(point, image.shape[:-1], strict=True):
        weights = weights[..., None] * kernel(np.abs(x - np.arange(size)))
    # Only the pixels that have a weight: a NaN elsewhere is none of this sample's business.
    near = weights != 0
    return weights[near] @ image[near]


def hat(distance):
    """The kernel of equation 5 of the paper."""
    return np.maximum(0, 1 - distance)


def cubic(distance, a=-0.75):
    """Cubic convolution (Keys, 1981), its free parameter `a` as in torch and ONNX."""
    inner = (a + 2) * distance**3 - (a + 3) * distance**2 + 1
    outer = a * (distance**3 - 5 * distance**2 + 8 * distance - 4)
    return np.select([distance < 1, distance < 2], [inner, outer], 0.0)


SAMPLERS = {
    "nearest": nearest,
    "bilinear": functools.partial(weighted, kernel=hat),
    "bicubic": functools.partial(weighted, kernel=cubic),
}
