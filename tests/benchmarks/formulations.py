"""Ways to write the same bilinear sampler for XLA: `KERAS_BACKEND=jax python -m ...formulations`.

The first table varies how the gradient to the grid is written, the second how the gradient to the
image is. docs/performance.md shows a run.
"""

import functools

import jax
import jax.numpy as jnp
from jax import lax

from keras_stn import ops
from keras_stn.ops.kernels import jax as kernel
from keras_stn.ops.kernels import portable
from keras_stn.ops.kernels.taps import fold
from tests.benchmarks.cases import SHAPES, inputs
from tests.benchmarks.timing import measure, summary

MODES = {"interpolation": "bilinear", "fill_mode": "constant"}


def axes_of(theta, shape):
    """Folded pixel coordinates, (batch, points), rows first."""
    grid = ops.affine_grid(theta, shape[1:-1])
    grid = grid.reshape(shape[0], -1, grid.shape[-1])
    return [
        fold((grid[..., -1 - i] + 1) * ((size - 1) / 2), size, **MODES)
        for i, size in enumerate(shape[1:-1])
    ]


def shared_gathers(images, axes):
    """Plain differentiation: the corners are gathered once, written to memory, read twice."""
    return portable.interpolate(images, axes, read=kernel.take, **MODES)


def slopes(images, axes, upstream, *, salted, total):
    """Closed form: upstream times a sampler with the derivative's weights, summed over channels."""
    gradients = []
    for axis in range(len(axes)):
        orders = tuple(int(i == axis) for i in range(len(axes)))
        read = functools.partial(kernel.take, salt=axis + 1 if salted else 0)
        slope = portable.interpolate(images, axes, orders=orders, read=read, **MODES)
        gradients.append(total(slope * upstream))
    return gradients


def reduction(x):
    """The sum over channels as a reduction."""
    return x.sum(-1)


def product(x):
    """The sum over channels as a matrix product with ones."""
    return lax.dot_general(x, jnp.ones(x.shape[-1]), (((2,), (0,)), ((), ())), precision="highest")


def four_scatters(images, axes):
    """One scatter a corner."""
    return portable.interpolate(images, axes, read=kernel.take, **MODES)


def packed_scatter(images, axes):
    """One scatter of all corners, packed as channels of an image that is packed the same way."""
    padded = jnp.pad(images, ((0, 0), (2, 3), (2, 3), (0, 0)))
    corners = [padded[:, y : y - 1 or None, x : x - 1 or None] for y in (0, 1) for x in (0, 1)]
    corners = [corner[:, : padded.shape[1] - 1, : padded.shape[2] - 1] for corner in corners]
    packed = jnp.concatenate(corners, axis=-1)
    y, x = axes
    low = [jnp.floor(y), jnp.floor(x)]
    batch, height, width, _ = packed.shape
    index = (jnp.arange(batch)[:, None] * height + low[0].astype("int32") + 2) * width
    read = kernel.take(packed.reshape(-1, packed.shape[-1]), index + low[1].astype("int32") + 2)
    fy, fx = ((z - f)[..., None] for z, f in zip(axes, low, strict=True))
    a, b, c, d = jnp.split(read, 4, axis=-1)
    return (1 - fy) * ((1 - fx) * a + fx * b) + fy * ((1 - fx) * c + fx * d)


def grid_gradients(shape, images, theta, upstream):
    """{name: function} for the gradient to the grid."""
    upstream = upstream.reshape(shape[0], -1, shape[-1])

    def by_autodiff(theta):
        axes, pull = jax.vjp(lambda theta: axes_of(theta, shape), theta)
        _, to_axes = jax.vjp(lambda axes: shared_gathers(images, axes), axes)
        return pull(*to_axes(upstream))

    def by_slopes(theta, salted, total):
        axes, pull = jax.vjp(lambda theta: axes_of(theta, shape), theta)
        return pull(slopes(images, axes, upstream, salted=salted, total=total))

    found = {"autodiff, shared gathers": by_autodiff}
    for salted, gathers in ((False, "shared"), (True, "own")):
        for total in (reduction, product):
            name = f"closed form, {gathers} gathers, sum by {total.__name__}"
            found[name] = functools.partial(by_slopes, salted=salted, total=total)
    return {name: run(jax.jit(fn), theta) for name, fn in found.items()}


def image_gradients(shape, images, theta, upstream):
    """{name: function} for the gradient to the image."""
    upstream = upstream.reshape(shape[0], -1, shape[-1])
    found = {
        "four scatters": four_scatters,
        "one scatter, corners packed as channels": packed_scatter,
        "one scatter of windows": kernel._interpolate_by_windows,
    }

    def gradient(sampler, theta):
        axes = axes_of(theta, shape)
        return jax.vjp(lambda images: sampler(images, axes), images)[1](upstream)

    return {
        name: run(jax.jit(functools.partial(gradient, sampler)), theta)
        for name, sampler in found.items()
    }


def run(function, *args):
    """A function of no arguments that waits for the result."""
    return lambda: jax.block_until_ready(function(*args))


def main():
    """Prints both tables, milliseconds: median ± interquartile range."""
    shapes = {name: shape for name, shape in SHAPES.items() if len(shape) == 4}
    for title, make in (("Gradient to theta", grid_gradients), ("to the image", image_gradients)):
        rows = {}
        for shape in shapes.values():
            arrays = [jnp.asarray(array) for array in inputs(shape)]
            for name, times in measure(make(shape, *arrays)).items():
                found = summary(times)
                rows.setdefault(name, []).append(f"{found['ms']:.1f} ± {found['iqr']:.1f}")
        print(f"\n| {title} | {' | '.join(shapes)} |\n|---|{'---|' * len(shapes)}")
        for name, cells in rows.items():
            print(f"| {name} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
