"""Derivatives of derivatives, in float64: against finite differences of our own first gradients.

The loss is `sum(samples * upstream)`. It is differentiated once to theta or to the images, along a
direction, and then to everything that this depends on.
"""

import keras
import numpy as np
import pytest

from keras_stn import ops
from tests import reference
from tests.backend import BACKEND, compiled, dtype_name, float64, to_numpy, traced
from tests.ops.inputs import SIZES, images, points

pytestmark = pytest.mark.gradient

EPSILON = 1e-6  # of the finite differences, normalized; no pixel is ever that near
FILL_MODES = ("constant", "nearest", "mirror", "wrap")
OUTPUT_SIZE = {2: (2, 3), 3: (2, 3, 2)}
IMAGES, THETA, UPSTREAM = range(3)

every_fill_mode = pytest.mark.parametrize("fill_mode", FILL_MODES)
both_ndims = pytest.mark.parametrize("ndim", [2, 3])
both_interpolations = pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
first_to = pytest.mark.parametrize("first", [IMAGES, THETA], ids=["images", "theta"])


def gradient(fn, argument):
    """The gradient of a scalar function to one of its arguments, itself differentiable."""
    if BACKEND == "jax":
        import jax

        return jax.grad(fn, argument)
    if BACKEND == "tensorflow":
        import tensorflow as tf

        def by_tape(*args):
            with tf.GradientTape() as tape:
                tape.watch(args[argument])
                value = fn(*args)
            return tape.gradient(value, args[argument])

        return by_tape
    import torch

    def by_autograd(*args):
        args = [arg.requires_grad_() if arg.is_leaf else arg for arg in args]
        return torch.autograd.grad(fn(*args), args[argument], create_graph=True)[0]

    return by_autograd


def along(fn, argument, direction):
    """The derivative of a scalar function along a direction of one of its arguments."""
    derivative = gradient(fn, argument)
    return lambda *args: keras.ops.sum(derivative(*args) * direction)


def problem(rng, ndim, **options):
    """A loss of images, theta and upstream, and arguments for it: seeded, away from all kinks."""
    size = OUTPUT_SIZE[ndim]
    image = images(rng, ndim, channels=2)
    theta = np.eye(ndim, ndim + 1).ravel() + rng.uniform(-0.3, 0.3, (2, ndim * (ndim + 1)))
    where = points(rng, SIZES[ndim], count=int(np.prod(size)), reach=0.4)
    # At `theta` the grid is at `where`; it moves with theta as an affine grid does.
    offset = where.reshape(2, *size, ndim) - reference.affine_grid(theta, size)

    def loss(image, theta, upstream):
        grid = ops.affine_grid(theta, size) + keras.ops.convert_to_tensor(offset, "float64")
        samples = ops.grid_sample(image, grid, data_format="channels_last", **options)
        return keras.ops.sum(samples * upstream)

    return loss, [image, theta, rng.normal(size=(2, *size, 2))]


def tensors(*arrays):
    return [keras.ops.convert_to_tensor(array, dtype="float64") for array in arrays]


def check(rng, first, transform, *, ndim, **options):
    """The derivative along a direction of argument `first`, differentiated to every argument."""
    loss, args = problem(rng, ndim, fill_value=0.6, **options)
    direction = rng.normal(size=args[first].shape)
    # The loss is linear in the images.
    seconds = [argument for argument in range(3) if (first, argument) != (IMAGES, IMAGES)]
    with float64():
        slope = along(loss, first, tensors(direction)[0])
        evaluate = traced(slope)

        def gradients(*args):
            return [gradient(slope, argument)(*args) for argument in seconds]

        found = transform(gradients)(*tensors(*args))
        for argument, actual in zip(seconds, found, strict=True):
            assert dtype_name(actual) == "float64"
            actual = to_numpy(actual.detach() if BACKEND == "torch" else actual)
            assert actual.shape == args[argument].shape
            for _ in range(2):
                step = rng.normal(size=actual.shape)
                # In the images and in upstream the slope is linear: no step is too long.
                epsilon = EPSILON if argument == THETA else 1.0
                ends = []
                for sign in (1, -1):
                    moved = list(args)
                    moved[argument] = args[argument] + sign * epsilon * step
                    end = evaluate(*tensors(*moved))
                    ends.append(float(to_numpy(end.detach() if BACKEND == "torch" else end)))
                expected = (ends[0] - ends[1]) / (2 * epsilon)
                assert expected != 0
                scale = np.abs(actual * step).sum()
                np.testing.assert_allclose((actual * step).sum(), expected, atol=1e-7 * scale)


@first_to
@every_fill_mode
@both_ndims
@both_interpolations
@pytest.mark.skipif(BACKEND == "jax", reason="op by op, JAX compiles for minutes: see below")
def test_eager(interpolation, ndim, fill_mode, first, rng):
    check(rng, first, lambda fn: fn, ndim=ndim, interpolation=interpolation, fill_mode=fill_mode)


@pytest.mark.skipif(BACKEND != "jax", reason="the others do all of the above")
def test_op_by_op(rng):
    check(rng, THETA, lambda fn: fn, ndim=2, interpolation="bilinear", fill_mode="constant")


# Each compiles for seconds, bicubic for twenty, and tricubic for minutes.
COMPILED = [("bilinear", 2, "constant", THETA)]
if BACKEND == "jax":  # which has no others
    COMPILED += [("bilinear", 2, "nearest", IMAGES), ("bilinear", 3, "wrap", IMAGES)]
    COMPILED += [("bicubic", 2, "mirror", THETA)]


@pytest.mark.parametrize(("interpolation", "ndim", "fill_mode", "first"), COMPILED)
@pytest.mark.skipif(BACKEND == "torch", reason="torch has no XLA: see test_torch_transformations")
def test_compiled(interpolation, ndim, fill_mode, first, rng):
    check(rng, first, compiled, ndim=ndim, interpolation=interpolation, fill_mode=fill_mode)


@pytest.mark.skipif(BACKEND != "jax", reason="jacfwd is JAX's")
def test_hessians_by_all_orders_of_modes(rng):
    import jax

    loss, args = problem(rng, 2, interpolation="bilinear", fill_mode="mirror")
    modes = jax.jacfwd, jax.jacrev
    with float64():
        found = [
            to_numpy(jax.jit(outer(inner(loss, THETA), THETA))(*tensors(*args)))
            for outer in modes
            for inner in modes
        ]
    hessian = found[0]
    np.testing.assert_allclose(hessian, hessian.transpose(2, 3, 0, 1), atol=1e-11)
    # Each image has its own theta: nothing mixes them.
    assert not hessian[0, :, 1].any()
    assert np.linalg.matrix_rank(hessian[0, :, 0]) == 6
    for other in found[1:]:
        np.testing.assert_allclose(other, hessian, rtol=1e-11, atol=1e-11)


def test_the_check_can_fail(rng, monkeypatch):
    # Steps over many kinks: no derivative.
    monkeypatch.setattr("tests.ops.test_second_derivatives.EPSILON", 1e-1)
    with pytest.raises(AssertionError, match="Not equal to tolerance"):
        check(rng, THETA, traced, ndim=2, interpolation="bilinear", fill_mode="mirror")
