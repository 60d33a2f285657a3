"""JAX's transformations of the samplers: vmap, scan, jvp, linearize, checkpoint, jit of them."""

import contextlib

import numpy as np
import pytest

from keras_stn import ops, transforms
from tests.backend import BACKEND, float64
from tests.ops.inputs import SIZES, images, points

if BACKEND != "jax":
    pytest.skip("the transformations of jax", allow_module_level=True)

import jax
import jax.numpy as jnp

TOLERANCE = {"rtol": 1e-12, "atol": 1e-12}
MODES = [
    {"interpolation": "bilinear", "fill_mode": "constant", "fill_value": 0.6},
    {"interpolation": "bilinear", "fill_mode": "wrap"},
    {"interpolation": "bicubic", "fill_mode": "mirror"},
]

IDS = [f"{options['interpolation']}-{options['fill_mode']}" for options in MODES]
BOTH, GRID, IMAGES = (0, 0), (None, 0), (0, None)  # to be mapped over

some_modes = pytest.mark.parametrize("options", MODES, ids=IDS)
# Op by op, JAX compiles for seconds: once is enough.
jit_or_not = pytest.mark.parametrize(
    ("jit", "options"),
    [(lambda fn: fn, MODES[0]), *((jax.jit, options) for options in MODES)],
    ids=[f"eager-{IDS[0]}", *(f"jit-{name}" for name in IDS)],
)
batched_axes = pytest.mark.parametrize(
    "in_axes", [BOTH, GRID, IMAGES], ids=["both", "grid", "images"]
)
batched_axes_and_modes = pytest.mark.parametrize(
    ("in_axes", "options"),
    [(BOTH, MODES[0]), (GRID, MODES[0]), (IMAGES, MODES[0]), (BOTH, MODES[1]), (BOTH, MODES[2])],
)


@pytest.fixture(autouse=True)
def wide():
    """Everything here is compared in float64."""
    with float64():
        yield


def sampler(options):
    return lambda image, grid: ops.grid_sample(image, grid, data_format="channels_last", **options)


def arguments(rng, ndim=2, batch=2):
    return images(rng, ndim, batch=batch), points(rng, SIZES[ndim], batch=batch, count=5)


def assert_trees_close(actual, expected, **tolerance):
    jax.tree.map(
        lambda a, e: np.testing.assert_allclose(a, e, **(tolerance or TOLERANCE)), actual, expected
    )


def stacked(rng, in_axes, count=3, ndim=2):
    """Arguments, of which those to be mapped over have an axis more, in front."""
    columns = zip(*[arguments(rng, ndim) for _ in range(count)], strict=True)
    return [
        np.stack(column) if axis == 0 else column[0]
        for axis, column in zip(in_axes, columns, strict=True)
    ]


def loop(fn, in_axes, args, count=3):
    outputs = [
        fn(*(arg[i] if axis == 0 else arg for axis, arg in zip(in_axes, args, strict=True)))
        for i in range(count)
    ]
    return jax.tree.map(lambda *leaves: np.stack(leaves), *outputs)


@batched_axes_and_modes
def test_vmap(in_axes, options, rng):
    fn, args = jax.jit(sampler(options)), stacked(rng, in_axes)
    found = jax.jit(jax.vmap(fn, in_axes))(*args)
    assert found.shape == (3, 2, 5, 3)
    assert_trees_close(found, loop(fn, in_axes, args))


@batched_axes_and_modes
def test_vmap_of_the_gradients(in_axes, options, rng):
    fn = jax.grad(lambda *args: jnp.sum(sampler(options)(*args) ** 2), (0, 1))
    args = stacked(rng, in_axes)
    found = jax.jit(jax.vmap(fn, in_axes))(*args)
    assert all(np.any(gradient) for gradient in found)
    assert_trees_close(found, loop(jax.jit(fn), in_axes, args))


@batched_axes
def test_vmap_over_volumes(in_axes, rng):
    fn, args = jax.jit(sampler({"fill_mode": "nearest"})), stacked(rng, in_axes, ndim=3)
    assert_trees_close(jax.vmap(fn, in_axes)(*args), loop(fn, in_axes, args))


@batched_axes
@pytest.mark.parametrize("fill_mode", ["constant", "wrap"])
def test_vmap_of_nearest(fill_mode, in_axes, rng):
    fn = sampler({"fill_mode": fill_mode, "interpolation": "nearest", "fill_value": 0.6})
    args = stacked(rng, in_axes)
    assert_trees_close(jax.jit(jax.vmap(fn, in_axes))(*args), loop(fn, in_axes, args))


def test_gradient_of_vmap(rng):
    # To images that all share: the sum over the mapped axis.
    fn, (image, grid) = sampler(MODES[0]), stacked(rng, GRID)
    mapped = jax.grad(lambda image: jnp.sum(jax.vmap(fn, GRID)(image, grid) ** 2))
    single = jax.grad(lambda image, grid: jnp.sum(fn(image, grid) ** 2))
    expected = sum(single(image, one) for one in grid)
    assert_trees_close(jax.jit(mapped)(image), expected)


@pytest.mark.parametrize("options", MODES[:2], ids=IDS[:2])  # bicubic compiles for 20 seconds
def test_scan(options, rng):
    image = images(rng)
    thetas = np.eye(2, 3).ravel() + rng.uniform(-0.3, 0.3, (3, 2, 6))

    def step(image, theta):
        grid = ops.affine_grid(theta, SIZES[2])
        warped = sampler(options)(image, grid)
        return warped, jnp.mean(warped)

    def by_scan(image, thetas):
        last, means = jax.lax.scan(step, image, thetas)
        return jnp.sum(last**2) + jnp.sum(means), last

    def by_loop(image, thetas):
        total = 0.0
        for theta in thetas:
            image, mean = jax.jit(step)(image, theta)
            total += mean
        return jnp.sum(image**2) + total, image

    by_scan, by_loop = (jax.value_and_grad(fn, (0, 1), has_aux=True) for fn in (by_scan, by_loop))
    found, expected = jax.jit(by_scan)(image, thetas), by_loop(image, jnp.asarray(thetas))
    assert np.any(found[1][0])
    assert np.abs(found[1][1]).min() > 0
    assert_trees_close(found, expected, rtol=1e-10, atol=1e-10)


@jit_or_not
def test_jvp(jit, options, rng):
    fn, primals = sampler(options), arguments(rng)
    tangents = [rng.normal(size=primal.shape) for primal in primals]
    evaluate = jax.jit(fn)
    value, tangent = jit(lambda p, t: jax.jvp(fn, p, t))(primals, tuple(tangents))
    assert_trees_close(value, evaluate(*primals))
    ends = [
        evaluate(*(p + step * t for p, t in zip(primals, tangents, strict=True)))
        for step in (1e-6, -1e-6)
    ]
    np.testing.assert_allclose(tangent, (ends[0] - ends[1]) / 2e-6, rtol=1e-6, atol=1e-6)


@jit_or_not
def test_linearize_and_vjp_are_adjoint(jit, options, rng):
    fn, primals = sampler(options), arguments(rng)
    tangents = tuple(rng.normal(size=primal.shape) for primal in primals)
    cotangent = rng.normal(size=(2, 5, 3))

    def forward(primals, tangents):
        value, linear = jax.linearize(fn, *primals)
        return value, linear(*tangents)

    def backward(primals, cotangent):
        value, pull = jax.vjp(fn, *primals)
        return value, pull(cotangent)

    value, pushed = jit(forward)(primals, tangents)
    other, pulled = jit(backward)(primals, cotangent)
    assert_trees_close(value, other)
    assert_trees_close(pushed, jax.jit(lambda p, t: jax.jvp(fn, p, t)[1])(primals, tangents))
    products = [
        [np.sum(a * b) for a, b in zip(pulled, tangents, strict=True)],
        np.sum(cotangent * pushed),
    ]
    assert np.abs(products[0]).min() > 1e-3
    np.testing.assert_allclose(sum(products[0]), products[1], **TOLERANCE)


@jit_or_not
def test_checkpoint(jit, options, rng):
    args = arguments(rng)

    def loss(fn):
        return lambda *args: jnp.sum(jnp.sin(fn(*args)))

    plain, again = (
        jax.grad(loss(fn), (0, 1)) for fn in (sampler(options), jax.checkpoint(sampler(options)))
    )
    assert_trees_close(jit(again)(*args), jax.jit(plain)(*args))


def stages(fn, *args):
    """The program at three stages: traced, lowered, and compiled."""
    lowered = jax.jit(fn).lower(*args)
    return [str(jax.make_jaxpr(fn)(*args)), lowered.as_text(), lowered.compile().as_text()]


@some_modes
@pytest.mark.parametrize("ndim", [2, 3])
def test_images_that_need_no_gradient_get_none(ndim, options, rng):
    if ndim == 3 and options["interpolation"] == "bicubic":
        options = {**options, "interpolation": "bilinear"}
    image, upstream = images(rng, ndim), rng.normal(size=(2, *SIZES[ndim], 3))
    theta = np.eye(ndim, ndim + 1)[None] + rng.uniform(-0.1, 0.1, (2, ndim, ndim + 1))

    def loss(image, theta):
        grid = ops.affine_grid(theta, SIZES[ndim])
        return jnp.sum(sampler(options)(image, grid) * upstream)

    for text in stages(jax.grad(loss, 1), image, theta):
        assert "gather" in text
        assert "scatter" not in text
    assert "scatter" in stages(jax.grad(loss, 0), image, theta)[0]
    assert "scatter" in stages(jax.grad(loss, 0), image, theta)[1]


@contextlib.contextmanager
def compilations():
    """A list that gets an entry for each program that XLA compiles meanwhile."""
    found, listening = [], True

    def listen(event, seconds, **_):
        if listening and event == "/jax/core/compile/backend_compile_duration":
            found.append(seconds)

    jax.monitoring.register_event_duration_secs_listener(listen)
    yield found
    listening = False


NAN, DIFFEOMORPHIC = float("nan"), transforms.Diffeomorphic(2)
# The grid's last axis, and what to call.
CALLED = {
    "affine_grid": (6, lambda image, grid: ops.affine_grid(grid[:, 0], (3, 4))),
    "grid_sample": (2, lambda image, grid: ops.grid_sample(image, grid, fill_value=NAN)),
    "antialiased": (2, lambda image, grid: ops.grid_sample(image, grid[:, None], antialias=True)),
    "diffeomorphic": (8, lambda image, grid: DIFFEOMORPHIC.grid(grid[:, 0], (3, 4))),
}


@pytest.mark.parametrize("name", CALLED)
def test_outside_jit_a_call_is_compiled_once(name, rng):
    image = jnp.asarray(images(rng), "float32")
    grid = jnp.asarray(rng.uniform(-1, 1, (2, 5, CALLED[name][0])), "float32")
    with compilations() as first:
        jax.block_until_ready(CALLED[name][1](image, grid))
    assert first
    with compilations() as second:
        jax.block_until_ready(CALLED[name][1](image, grid))
    assert not second


@pytest.mark.parametrize("antialias", [False, True])
def test_outside_jit_a_sampler_is_one_program(antialias, rng):
    image, grid = jnp.asarray(images(rng)), jnp.asarray(rng.uniform(-1, 1, (2, 1, 7, 2)))
    with compilations() as found:
        jax.block_until_ready(ops.grid_sample(image, grid, antialias=antialias))
    assert len(found) == 1


def test_inside_jit_a_sampler_is_part_of_the_callers_program(rng):
    image, grid = arguments(rng)
    equations = jax.make_jaxpr(sampler(MODES[0]))(image, grid).eqns
    # The sampler's own operations, not a call of it.
    assert "floor" in {equation.primitive.name for equation in equations}
