"""torch's transformations of the samplers: torch.compile, torch.func, gradcheck; all in float64."""

import itertools

import keras
import numpy as np
import pytest
import torch
from packaging.version import Version
from torch.autograd.gradcheck import GradcheckError
from torch.utils._python_dispatch import TorchDispatchMode

from keras_stn import ops
from tests.backend import BACKEND
from tests.ops.inputs import SIZES, images, points

if BACKEND != "torch":
    pytest.skip("the transformations of torch", allow_module_level=True)

DEVICE = keras.ops.zeros(()).device  # where Keras takes every tensor to
TOLERANCE = {"rtol": 1e-12, "atol": 1e-12}
NATIVE = [
    (2, {"interpolation": "bilinear", "fill_mode": "constant", "fill_value": 0.6}),
    (2, {"interpolation": "bicubic", "fill_mode": "mirror"}),
    (3, {"interpolation": "bilinear", "fill_mode": "nearest"}),
]
PORTABLE = [
    (2, {"interpolation": "bilinear", "fill_mode": "wrap"}),
    (3, {"interpolation": "bicubic", "fill_mode": "constant"}),
]


def cases(chosen):
    names = [f"{o['interpolation']}-{ndim}-{o['fill_mode']}" for ndim, o in chosen]
    return pytest.mark.parametrize(("ndim", "options"), chosen, ids=names)


native = cases(NATIVE)
native_and_portable = cases(NATIVE + PORTABLE)
# docs/policy.md tells what the oldest supported releases lack.
new_keras = pytest.mark.xfail(
    Version(keras.__version__) < Version("3.11"),
    raises=torch._dynamo.exc.Unsupported,
    reason="Keras 3.10 asks optree for symbolic tensors, which torch.compile cannot trace",
)
new_torch = pytest.mark.xfail(
    Version(torch.__version__) < Version("2.7"),
    raises=RuntimeError,
    strict=False,  # the portable sampler's pass, and those by the images
    reason="under vmap, PyTorch 2.6 takes no derivative that is None",
)


def sampler(options):
    return lambda image, grid: ops.grid_sample(image, grid, data_format="channels_last", **options)


def energy(options):
    """A scalar function of images and grid with derivatives of every order."""
    return lambda image, grid: torch.sin(sampler(options)(image, grid)).sum()


def arguments(rng, ndim, count=4, channels=2):
    arrays = (
        images(rng, ndim, channels=channels),
        points(rng, SIZES[ndim], count=count, reach=0.4),
    )
    return tuple(torch.tensor(array, device=DEVICE, requires_grad=True) for array in arrays)


def plain(*tensors):
    return tuple(tensor.detach() for tensor in tensors)


def assert_close(actual, expected, **tolerance):
    torch.testing.assert_close(actual, expected, **(tolerance or TOLERANCE))


# torch.compile takes half a minute for the portable sampler, and as long for backend="inductor".
@new_keras
@native
def test_compile(ndim, options, rng):
    torch.compiler.reset()
    args = arguments(rng, ndim)
    fn = energy({**options, "fill_value": 0.0})
    compiled = torch.compile(fn, backend="aot_eager", fullgraph=True)
    value = compiled(*args)
    assert_close(value, fn(*args))
    found = torch.autograd.grad(value, args)
    assert all(gradient.any() for gradient in found)
    assert_close(found, torch.autograd.grad(fn(*args), args))


@native_and_portable
@pytest.mark.parametrize("in_dims", [(0, 0), (None, 0), (0, None)], ids=["both", "grid", "images"])
def test_vmap(in_dims, ndim, options, rng):
    columns = zip(*[plain(*arguments(rng, ndim)) for _ in range(3)], strict=True)
    args = [
        torch.stack(column) if dim == 0 else column[0]
        for dim, column in zip(in_dims, columns, strict=True)
    ]

    def loop(fn):
        outputs = [
            fn(*(arg[i] if dim == 0 else arg for dim, arg in zip(in_dims, args, strict=True)))
            for i in range(3)
        ]
        if isinstance(outputs[0], tuple):
            return tuple(map(torch.stack, zip(*outputs, strict=True)))
        return torch.stack(outputs)

    fn = sampler(options)
    assert_close(torch.func.vmap(fn, in_dims)(*args), loop(fn))
    gradients = torch.func.grad(energy(options), (0, 1))
    assert_close(torch.func.vmap(gradients, in_dims)(*args), loop(gradients))


@native_and_portable
def test_func_grad(ndim, options, rng):
    args = arguments(rng, ndim)
    found = torch.func.grad(energy(options), (0, 1))(*plain(*args))
    assert_close(found, torch.autograd.grad(energy(options)(*args), args))


@native_and_portable
def test_jvp(ndim, options, rng):
    args = plain(*arguments(rng, ndim))
    tangents = tuple(torch.tensor(rng.normal(size=arg.shape), device=DEVICE) for arg in args)
    fn = sampler(options)
    value, tangent = torch.func.jvp(fn, args, tangents)
    assert_close(value, fn(*args))
    ahead, behind = (
        fn(*(a + step * t for a, t in zip(args, tangents, strict=True))) for step in (1e-6, -1e-6)
    )
    assert_close(tangent, (ahead - behind) / 2e-6, rtol=1e-6, atol=1e-6)
    _, pull = torch.func.vjp(fn, *args)
    cotangent = torch.tensor(rng.normal(size=value.shape), device=DEVICE)
    pulled = sum((a * b).sum() for a, b in zip(pull(cotangent), tangents, strict=True))
    assert_close((cotangent * tangent).sum(), pulled)


@new_torch
@native_and_portable
@pytest.mark.parametrize("argument", [0, 1], ids=["images", "grid"])
def test_jacobians(argument, ndim, options, rng):
    args = plain(*arguments(rng, ndim, count=2))
    fn = sampler(options)
    by_rows = torch.func.jacrev(fn, argument)(*args)
    assert by_rows.any()
    assert_close(torch.func.jacfwd(fn, argument)(*args), by_rows)
    assert_close(
        torch.autograd.functional.jacobian(fn, tuple(a.clone() for a in args))[argument], by_rows
    )


@new_torch
@native_and_portable
def test_hessian(ndim, options, rng):
    args = plain(*arguments(rng, ndim, count=2))
    first = torch.func.grad(energy(options), 1)
    found = torch.func.jacrev(torch.func.jacrev(energy(options), 1), 1)(*args)
    assert found.any()
    # By columns: one coordinate moved at a time.
    for where in np.ndindex(*args[1].shape):
        step = torch.zeros_like(args[1])
        step[where] = 1e-6
        expected = (first(args[0], args[1] + step) - first(args[0], args[1] - step)) / 2e-6
        assert_close(found[(..., *where)], expected, rtol=1e-6, atol=1e-6)


@new_torch
@native_and_portable
def test_forward_over_reverse(ndim, options, rng):
    args = plain(*arguments(rng, ndim, count=2))
    found = torch.func.hessian(energy(options), 1)(*args)
    expected = torch.func.jacrev(torch.func.jacrev(energy(options), 1), 1)(*args)
    assert_close(found, expected, rtol=1e-10, atol=1e-10)


@native_and_portable
def test_per_sample_gradients(ndim, options, rng):
    # The standard example of torch.func: vmap of grad, over the batch itself.
    args = plain(*arguments(rng, ndim))

    def single(image, grid):
        return energy(options)(image[None], grid[None])

    per_sample = torch.func.vmap(torch.func.grad(single, (0, 1)))(*args)
    assert_close(per_sample, torch.func.grad(energy(options), (0, 1))(*args))


@native
def test_gradcheck(ndim, options, rng):
    args = arguments(rng, ndim, count=3, channels=1)
    fn = sampler(options)
    assert torch.autograd.gradcheck(fn, args, check_batched_grad=True)


@native
def test_gradcheck_in_forward_mode(ndim, options, rng):
    args = arguments(rng, ndim, count=3, channels=1)
    assert torch.autograd.gradcheck(sampler(options), args, check_forward_ad=True)


@native
def test_gradgradcheck(ndim, options, rng):
    args = arguments(rng, ndim, count=2, channels=1)
    assert torch.autograd.gradgradcheck(sampler(options), args, check_batched_grad=True)


def test_gradcheck_can_fail(rng):
    image, grid = arguments(rng, 2, count=3, channels=1)
    with pytest.raises(GradcheckError, match="Jacobian mismatch"):
        torch.autograd.gradcheck(lambda i: sampler(NATIVE[0][1])(i, grid) + i.detach().sum(), image)


class Masks(TorchDispatchMode):
    """Notes which gradients torch's sampling kernels were asked for: (images, grid)."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if "grid_sampler" in func.name() and "backward" in func.name():
            self.seen.append(tuple(args[-1]))
        return func(*args, **(kwargs or {}))


@native
@pytest.mark.parametrize("wanted", [(True, True), (False, True), (True, False)])
def test_images_that_need_no_gradient_get_none(wanted, ndim, options, rng):
    args = arguments(rng, ndim)
    args = tuple(arg.detach().requires_grad_(flag) for arg, flag in zip(args, wanted, strict=True))
    with Masks() as masks:
        energy(options)(*args).backward()
    (mask,) = masks.seen
    assert mask[0] == wanted[0]
    assert mask[1] or not wanted[1]
    assert tuple(arg.grad is not None for arg in args) == wanted


def test_second_derivatives_to_theta_alone(rng):
    image = arguments(rng, 2)[0].detach()
    theta = np.eye(2, 3)[None].repeat(2, 0) * 0.83
    theta = torch.tensor(theta, device=DEVICE, requires_grad=True)
    with Masks() as masks:
        samples = sampler(NATIVE[0][1])(image, ops.affine_grid(theta, (3, 4)))
        (first,) = torch.autograd.grad(samples.square().sum(), theta, create_graph=True)
        first.square().sum().backward()
    assert image.grad is None
    assert theta.grad.any()
    assert not any(mask[0] for mask in masks.seen)


@pytest.mark.parametrize("wanted", list(itertools.product([True, False], repeat=2)))
def test_portable_modes_need_no_more_gradients_either(wanted, rng):
    args = tuple(
        arg.detach().requires_grad_(flag)
        for arg, flag in zip(arguments(rng, 2), wanted, strict=True)
    )
    value = energy(PORTABLE[0][1])(*args)
    assert value.requires_grad == any(wanted)
    if any(wanted):
        value.backward()
    assert tuple(arg.grad is not None for arg in args) == wanted
