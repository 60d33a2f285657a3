"""The sampler on JAX: derivatives in closed form, shaped for XLA.

The derivative of a sampler to a coordinate is a sampler with other weights, so derivatives of any
order, forward and reverse, come from one rule. docs/performance.md tells what each choice gains.
"""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
from jax import lax
from jax.custom_derivatives import SymbolicZero

from keras_stn.ops.fusing import fused
from keras_stn.ops.kernels import portable
from keras_stn.ops.kernels.barrier import compute_once
from keras_stn.ops.kernels.taps import is_zero
from keras_stn.ops.kernels.windows import covers, windows


def take(pixels, indices, shape, salt=0):
    """Same meaning as `portable.take`.

    Gathers of different `salt` are never merged: each is then fused into the sum that uses it,
    where a shared one would be written to memory and read back.
    """
    if _is_small(shape):
        index = [portable.flat_index(indices, shape)]
    else:
        # JAX has no int64 unless told so: an index for each axis instead.
        pixels = pixels.reshape(shape)
        index = [jnp.arange(shape[0], dtype="int32")[:, None], *indices]
    if salt:
        index[0] = index[0] + (lax.optimization_barrier(jnp.int32(salt)) - salt)
    return pixels.at[tuple(index)].get(mode="promise_in_bounds")


def _is_small(shape):
    """Whether one index of 32 bits is known to find every pixel of images of this shape."""
    return portable.index_dtype(shape) == "int32"


def interpolate(images, axes, *, interpolation, fill_mode):
    """Same meaning as `portable.interpolate`."""
    return _interpolate(images, tuple(axes), interpolation, fill_mode, (0,) * len(axes))


@functools.partial(jax.custom_jvp, nondiff_argnums=(2, 3, 4))
def _interpolate(images, axes, interpolation, fill_mode, orders):
    salt = functools.reduce(lambda salt, order: 4 * salt + order, orders, 0)
    return portable.interpolate(
        images,
        axes,
        interpolation=interpolation,
        fill_mode=fill_mode,
        orders=orders,
        read=functools.partial(take, salt=salt),
    )


@functools.partial(_interpolate.defjvp, symbolic_zeros=True)
def _interpolate_jvp(interpolation, fill_mode, orders, primals, tangents):
    images, axes = primals
    to_images, to_axes = tangents
    samples = _interpolate(images, axes, interpolation, fill_mode, orders)
    tangent = jnp.zeros_like(samples)
    if not isinstance(to_images, SymbolicZero):
        to_images = to_images.astype(samples.dtype)
        # The transpose computes indices and weights in different loops.
        once = tuple(compute_once(x) for x in axes)
        if (
            covers(interpolation, fill_mode, orders)
            and _is_small(images.shape)
            and 0 not in images.shape
        ):
            tangent += _interpolate_by_windows(to_images, once)
        else:
            tangent += _interpolate(to_images, once, interpolation, fill_mode, orders)
    for axis, to_axis in enumerate(to_axes):
        higher = tuple(order + (i == axis) for i, order in enumerate(orders))
        if not isinstance(to_axis, SymbolicZero) and not is_zero(interpolation, higher):
            slope = _interpolate(images, axes, interpolation, fill_mode, higher)
            tangent += slope * _along_channels(to_axis, images.shape[-1])
    return samples, tangent


def _along_channels(x, channels):
    """(...) as (..., channels).

    As a product with ones: so is then its transpose, the sum over channels, which XLA's CPU
    backend computes ten times faster than a reduction.
    """
    ones = jnp.ones((1, channels), x.dtype)
    dimensions = (((x.ndim,), (0,)), ((), ()))
    return lax.dot_general(x[..., None], ones, dimensions, precision="highest")


def _interpolate_by_windows(images, axes):
    """Bilinear samples, linear in `images`: written for its transpose, a scatter of windows."""
    batch, *sizes, channels = images.shape
    starts, shape, weights = windows(axes, sizes)
    rows = images.reshape(batch * sizes[0], *sizes[1:], channels)
    first = jnp.arange(batch, dtype="int32")[:, None] * sizes[0]
    starts = jnp.broadcast_arrays(first + starts[0], *starts[1:])
    axes_of_window = tuple(range(2, 2 + len(sizes)))
    found = lax.gather(
        rows,
        jnp.stack(starts, axis=-1),
        lax.GatherDimensionNumbers(
            offset_dims=(*axes_of_window, 2 + len(sizes)),
            collapsed_slice_dims=(),
            start_index_map=tuple(range(len(sizes))),
        ),
        (*shape, channels),
        mode="promise_in_bounds",
    )
    return (found * weights[..., None]).sum(axes_of_window)


@fused
def sample(images, grid, *, interpolation, fill_mode, fill_value, align_corners, data_format):
    """Same meaning as `portable.sample`."""
    samples = portable.sample(
        images,
        grid,
        interpolation=interpolation,
        fill_mode=fill_mode,
        fill_value=fill_value,
        align_corners=align_corners,
        data_format=data_format,
        interpolate=interpolate,
        read=take,
    )
    # Else a sampler that reads these computes each of them for every read.
    return compute_once(samples) if jnp.issubdtype(samples.dtype, jnp.floating) else samples
