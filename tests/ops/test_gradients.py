"""Gradients in float64: against finite differences of the reference and against torch."""

import keras
import numpy as np
import pytest

from keras_stn import ops
from tests import reference
from tests.backend import BACKEND, compile_or_not, dtype_name, float64, gradients, to_numpy
from tests.ops.inputs import SIZES, images, move_channels, points
from tests.ops.test_grid_sample import TORCH_MODES
from tests.oracle import torch

pytestmark = pytest.mark.gradient

EPSILON = 1e-6  # of the finite differences, normalized; no pixel is ever that near
TOLERANCE = {"rtol": 1e-6, "atol": 1e-7}

every_fill_mode = pytest.mark.parametrize("fill_mode", reference.FILL_MODES)
both_align_corners = pytest.mark.parametrize("align_corners", [True, False])
both_ndims = pytest.mark.parametrize("ndim", [2, 3])
smooth_interpolations = pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])


@pytest.fixture(params=["kernel", "portable"] if BACKEND == "torch" else ["kernel"])
def kernel(request, monkeypatch):
    """The active backend's kernel; on torch the portable one too, which is its fallback."""
    if request.param == "portable":
        from keras_stn.ops import kernels
        from keras_stn.ops.kernels import portable

        monkeypatch.setattr(kernels, "sample", portable.sample)


def gradients64(fn, *args, upstream):
    """`gradients` in float64, whatever the backend's default."""
    with float64():
        found = gradients(fn, *(np.asarray(arg, "float64") for arg in args), upstream=upstream)
    assert all(dtype_name(gradient) == "float64" for gradient in found)
    return found


def differences(fn, x, upstream):
    """Central finite differences of `sum(fn(x) * upstream)` to every element of `x`."""
    found = np.empty_like(x)
    for where in np.ndindex(x.shape):
        step = np.zeros_like(x)
        step[where] = EPSILON
        found[where] = np.sum((fn(x + step) - fn(x - step)) * upstream) / (2 * EPSILON)
    return found


def differences_of_points(grid, image, upstream, **options):
    """The same to the points of a grid, all at once: each sample depends on its own point alone."""
    found = np.empty_like(grid)
    for axis in range(grid.shape[-1]):
        step = np.zeros(grid.shape[-1])
        step[axis] = EPSILON
        ends = [reference.grid_sample(image, grid + sign * step, **options) for sign in (1, -1)]
        found[..., axis] = np.sum((ends[0] - ends[1]) * upstream, axis=-1) / (2 * EPSILON)
    return found


def adjoint(grid, upstream, sizes, **options):
    """The gradient to images, in which samples are linear: here one for each pixel, as channels."""
    batch, pixels = len(grid), np.prod(sizes)
    each = np.broadcast_to(np.eye(pixels).reshape(*sizes, pixels), (batch, *sizes, pixels))
    weights = reference.grid_sample(each, grid, **{**options, "fill_value": 0.0})
    return np.einsum("bnp,bnc->bpc", weights, upstream).reshape(batch, *sizes, -1)


@pytest.mark.usefixtures("kernel")
@both_align_corners
@every_fill_mode
@both_ndims
@smooth_interpolations
def test_to_grid_and_images(interpolation, ndim, fill_mode, align_corners, rng):
    image = images(rng, ndim, channels=2)
    grid = points(rng, SIZES[ndim], count=6, align_corners=align_corners)
    upstream = rng.normal(size=(2, 6, 2))
    options = {"fill_mode": fill_mode, "fill_value": 0.6, "align_corners": align_corners}
    options["interpolation"] = interpolation
    to_image, to_grid = gradients64(
        lambda image, grid: ops.grid_sample(image, grid, data_format="channels_last", **options),
        image,
        grid,
        upstream=upstream,
    )
    expected = differences_of_points(grid, image, upstream, **options)
    np.testing.assert_allclose(to_grid, expected, **TOLERANCE)
    expected = adjoint(grid, upstream, SIZES[ndim], **options)
    np.testing.assert_allclose(to_image, expected, **TOLERANCE)


@pytest.mark.usefixtures("kernel")
@both_align_corners
@every_fill_mode
@both_ndims
@smooth_interpolations
def test_to_theta(interpolation, ndim, fill_mode, align_corners, rng):
    image = images(rng, ndim, channels=1)
    # A small output, so that no target lands within the step of a pixel.
    size = (2, 3, 2)[:ndim]
    theta = np.eye(ndim, ndim + 1).ravel() + rng.uniform(-0.3, 0.3, (2, ndim * (ndim + 1)))
    upstream = rng.normal(size=(2, *size, 1))
    options = {"fill_mode": fill_mode, "fill_value": 0.6, "align_corners": align_corners}
    options["interpolation"] = interpolation

    def warp(theta):
        grid = ops.affine_grid(theta, size, align_corners=align_corners)
        return ops.grid_sample(
            keras.ops.convert_to_tensor(image, dtype="float64"),
            grid,
            data_format="channels_last",
            **options,
        )

    def reference_warp(theta):
        grid = reference.affine_grid(theta, size, align_corners)
        return reference.grid_sample(image, grid, **options)

    (to_theta,) = gradients64(warp, theta, upstream=upstream)
    np.testing.assert_allclose(to_theta, differences(reference_warp, theta, upstream), **TOLERANCE)


def torch_gradients(image, theta, size, upstream, mode, padding_mode, align_corners):
    """Gradients to images (channels last) and theta by torch's own operators, in float64."""
    image = torch.tensor(image, dtype=torch.float64, requires_grad=True)
    theta = torch.tensor(theta, dtype=torch.float64, requires_grad=True)
    ndim = len(size)
    grid = torch.nn.functional.affine_grid(
        theta.reshape(-1, ndim, ndim + 1),
        (image.shape[0], image.shape[-1], *size),
        align_corners=align_corners,
    )
    samples = torch.nn.functional.grid_sample(
        image.movedim(-1, 1),
        grid,
        mode=mode,
        padding_mode=padding_mode,
        align_corners=align_corners,
    ).movedim(1, -1)
    found = torch.autograd.grad((samples * torch.tensor(upstream)).sum(), [image, theta])
    return [gradient.numpy() for gradient in found]


@pytest.mark.usefixtures("kernel")
@pytest.mark.parametrize(("fill_mode", "padding_mode", "align_corners"), TORCH_MODES)
@pytest.mark.parametrize(
    ("ndim", "data_format", "interpolation"),
    [
        (2, "channels_first", "bilinear"),
        (2, "channels_last", "bicubic"),
        (3, "channels_last", "bilinear"),
    ],
)
def test_torch_agrees(
    ndim, data_format, interpolation, fill_mode, padding_mode, align_corners, rng
):
    image = images(rng, ndim)
    size = (4, 5, 3)[:ndim]
    theta = np.eye(ndim, ndim + 1).ravel() + rng.uniform(-0.4, 0.4, (2, ndim * (ndim + 1)))
    upstream = rng.normal(size=(2, *size, 3))

    def warp(image, theta):
        return ops.grid_sample(
            image,
            ops.affine_grid(theta, size, align_corners=align_corners),
            interpolation=interpolation,
            fill_mode=fill_mode,
            align_corners=align_corners,
            data_format=data_format,
        )

    to_image, to_theta = gradients64(
        warp,
        move_channels(image, data_format),
        theta,
        upstream=move_channels(upstream, data_format),
    )
    expected = torch_gradients(
        image, theta, size, upstream, interpolation, padding_mode, align_corners
    )
    np.testing.assert_allclose(to_image, move_channels(expected[0], data_format), **TOLERANCE)
    np.testing.assert_allclose(to_theta, expected[1], **TOLERANCE)


@pytest.mark.usefixtures("kernel")
@pytest.mark.parametrize(("fill_mode", "padding_mode"), [m[:2] for m in TORCH_MODES if m[2]])
def test_on_a_pixel_it_is_the_derivative_to_the_right(fill_mode, padding_mode, rng):
    # Every pixel of a 5 by 5 image, and one pixel out: exact in binary under align_corners=True.
    image = images(rng, sizes=(5, 5), batch=1)
    y, x = np.mgrid[-1:6, -1:6]
    grid = reference.to_normalized(np.stack([x, y], axis=-1)[None], 5)
    upstream = rng.normal(size=(1, 7, 7, 3))
    given = torch.tensor(grid, requires_grad=True)
    samples = torch.nn.functional.grid_sample(
        torch.tensor(image).movedim(-1, 1), given, padding_mode=padding_mode, align_corners=True
    ).movedim(1, -1)
    (expected,) = torch.autograd.grad((samples * torch.tensor(upstream)).sum(), given)

    _, to_grid = gradients64(
        lambda image, grid: ops.grid_sample(
            image, grid, fill_mode=fill_mode, data_format="channels_last"
        ),
        image,
        grid,
        upstream=upstream,
    )
    np.testing.assert_allclose(to_grid, expected.numpy(), **TOLERANCE)
    inner = image[0, 1:-1, 2:] - image[0, 1:-1, 1:-1]  # to x, at pixels 1 to 3
    by_hand = (inner * upstream[0, 2:5, 2:5]).sum(-1) * 2  # 2 pixels a unit of x
    np.testing.assert_allclose(to_grid[0, 2:5, 2:5, 0], by_hand, **TOLERANCE)


@pytest.mark.usefixtures("kernel")
def test_on_the_last_pixel_the_fill_is_to_the_right():
    image = np.full((1, 5, 5, 1), 2.0)
    grid = reference.to_normalized(np.array([[[-1, 2], [0, 2], [4, 2], [5, 2]]]), 5)
    _, to_grid = gradients64(
        lambda image, grid: ops.grid_sample(
            image, grid, fill_value=7.0, data_format="channels_last"
        ),
        image,
        grid,
        upstream=np.ones((1, 4, 1)),
    )
    np.testing.assert_allclose(to_grid[0, :, 0], [-10, 0, 10, 0], **TOLERANCE)


@pytest.mark.usefixtures("kernel")
@every_fill_mode
def test_nearest_has_a_gradient_to_the_images_alone(fill_mode, rng):
    image, grid = images(rng), points(rng, SIZES[2], count=6)
    upstream = rng.normal(size=(2, 6, 3))
    options = {"interpolation": "nearest", "fill_mode": fill_mode, "fill_value": 0.6}
    (to_image,) = gradients64(
        lambda image: ops.grid_sample(
            image,
            keras.ops.convert_to_tensor(grid, dtype="float64"),
            data_format="channels_last",
            **options,
        ),
        image,
        upstream=upstream,
    )
    expected = adjoint(grid, upstream, SIZES[2], **options)
    np.testing.assert_allclose(to_image, expected, **TOLERANCE)


@every_fill_mode
@smooth_interpolations
def test_compiled_and_in_float32(interpolation, fill_mode, rng):
    image, grid = images(rng), points(rng, SIZES[2], count=6)
    upstream = rng.normal(size=(2, 6, 3))
    options = {"fill_mode": fill_mode, "fill_value": 0.6, "data_format": "channels_last"}
    options["interpolation"] = interpolation

    def fn(image, grid):
        return ops.grid_sample(image, grid, **options)

    exact = gradients64(fn, image, grid, upstream=upstream)
    arguments = image.astype("float32"), grid.astype("float32")
    for compile in (False, True):
        found = gradients(fn, *arguments, upstream=upstream.astype("float32"), compile=compile)
        for gradient, expected in zip(found, exact, strict=True):
            np.testing.assert_allclose(gradient, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.skipif(BACKEND != "tensorflow", reason="graphs without XLA are TensorFlow's alone")
@every_fill_mode
def test_in_a_graph_without_xla(fill_mode, rng):
    import tensorflow as tf

    image, grid = (tf.constant(array) for array in (images(rng), points(rng, SIZES[2])))

    def fn(image, grid):
        with tf.GradientTape() as tape:
            tape.watch([image, grid])
            samples = ops.grid_sample(image, grid, fill_mode=fill_mode, data_format="channels_last")
            loss = tf.reduce_sum(samples**2)
        return tape.gradient(loss, [image, grid])

    for graph, eager in zip(tf.function(fn)(image, grid), fn(image, grid), strict=True):
        assert to_numpy(eager).any()
        np.testing.assert_allclose(to_numpy(graph), to_numpy(eager), rtol=1e-12, atol=1e-12)


def test_the_checks_can_fail(rng):
    # Differences of something else must not pass for the gradient.
    image, grid = images(rng), points(rng, SIZES[2], count=6)
    upstream = rng.normal(size=(2, 6, 3))
    _, to_grid = gradients64(
        lambda image, grid: ops.grid_sample(image, grid, data_format="channels_last"),
        image,
        grid,
        upstream=upstream,
    )
    wrong = differences_of_points(grid, image, upstream, fill_mode="nearest")
    with pytest.raises(AssertionError, match="Not equal to tolerance"):
        np.testing.assert_allclose(to_grid, wrong, **TOLERANCE)


@compile_or_not
@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
def test_of_nothing(interpolation, compile):
    # A device's share of a batch, say, when there are more devices than images.
    args = np.zeros((0, 4, 5, 2), "float32"), np.zeros((0, 3, 3, 2), "float32")

    def warp(images, grid):
        return ops.grid_sample(
            images, grid, interpolation=interpolation, data_format="channels_last"
        )

    found = gradients(warp, *args, compile=compile)
    assert [gradient.shape for gradient in found] == [(0, 4, 5, 2), (0, 3, 3, 2)]
