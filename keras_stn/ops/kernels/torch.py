"""The sampler on PyTorch: its native kernel, about ten times faster than gathers on a CPU.

PyTorch differentiates that kernel once, in reverse mode only; the rest comes from the portable
sampler, which means the same.
"""

from __future__ import annotations

import functools

import torch
import torch.nn.functional as F

from keras_stn.ops.coordinates import FAR_OUTSIDE, bounded, clamp, to_normalized, to_pixels
from keras_stn.ops.kernels import portable
from keras_stn.ops.kernels.taps import fold, nearest_pixel

_PADDING_MODES = {
    "constant": "zeros",
    "nearest": "border",
    "mirror": "reflection",  # torch reflects about pixel centres under align_corners=True,
    "reflect": "reflection",  # about pixel edges under align_corners=False
}
# In the order of the numbers that `torch.ops.aten` knows them by.
_MODES = ("bilinear", "nearest", "bicubic")
_PADDINGS = ("zeros", "border", "reflection")


def sample(images, grid, *, interpolation, fill_mode, fill_value, align_corners, data_format):
    """Same arguments and meaning as `portable.sample`."""
    options = {
        "interpolation": interpolation,
        "fill_mode": fill_mode,
        "align_corners": align_corners,
    }
    native = _is_native(images, grid, fill_value=fill_value, **options)
    options |= {"fill_value": fill_value, "data_format": data_format}
    samples = (_sample if native else portable.sample)(images, grid, **options)
    if interpolation == "nearest" and samples.is_floating_point() and grid.requires_grad:
        # Less a zero whose gradient is zero, where there would be none.
        samples = samples - clamp(grid.flatten()[:1], 0.0, 0.0).sum().to(samples.dtype)
    return samples


def _sample(images, grid, *, fill_value, data_format, **options):
    """By the native kernel."""
    interpolation, fill_mode = options["interpolation"], options["fill_mode"]
    channels_last = data_format == "channels_last"
    source = images.movedim(images.ndim - 1, 1) if channels_last else images
    ndim = source.ndim - 2
    # The kernel takes grids of the images' rank: other ranks become one long row of points.
    native_rank = grid.ndim == ndim + 2
    if interpolation == "nearest":
        grid = _at_pixels(_bounded(grid.detach()), source.shape[2:], **options)
    points = grid if native_rank else grid.reshape(grid.shape[0], -1, *[1] * (ndim - 1), ndim)
    if torch.jit.is_tracing():
        # A batch of one here may be a larger one in the exported program.
        points = points + torch.zeros_like(source[(slice(None), *[slice(0, 1)] * (ndim + 1))])
    # Copies nothing: of one image or grid each reads, or is read by, all of the others.
    if source.shape[0] == 1:
        source = source.expand(points.shape[0], *source.shape[1:])
    elif points.shape[0] == 1:
        points = points.expand(source.shape[0], *points.shape[1:])
    samples = _read(source.to(grid.dtype), points, *options.values())
    if not native_rank:
        samples = samples.reshape(*source.shape[:2], *grid.shape[1:-1])
    if fill_mode == "constant" and fill_value != 0:
        sizes = source.shape[2:]
        axes = portable.pixel_axes(grid, sizes, **options)
        share = portable.missing_share(axes, sizes, interpolation=interpolation)
        samples = samples + portable.fill_with(share, fill_value).unsqueeze(1)
    samples = samples.to(images.dtype)
    return samples.movedim(1, samples.ndim - 1) if channels_last else samples


def _is_native(images, grid, *, interpolation, fill_mode, fill_value, align_corners):
    reflects_other_way = fill_mode == ("reflect" if align_corners else "mirror")
    blends_by_selection = interpolation == "nearest" and fill_mode == "constant" and fill_value != 0
    return (
        fill_mode in _PADDING_MODES
        and not reflects_other_way
        and not blends_by_selection
        and not (interpolation == "bicubic" and images.ndim == 5)
        and 0 not in images.shape
        and 0 not in grid.shape
        and images.is_floating_point()
    )


def _read(images, grid, interpolation, fill_mode, align_corners):
    """The native kernel, differentiable as often as one likes."""
    if not torch.compiler.is_compiling():
        return _GridSample.apply(images, grid, interpolation, fill_mode, align_corners)
    # The compiler takes no function with a forward mode, and differentiates once in any case.
    return F.grid_sample(
        images,
        bounded(grid),
        mode=interpolation,
        padding_mode=_PADDING_MODES[fill_mode],
        align_corners=align_corners,
    )


def _bounded(grid):
    """`coordinates.bounded` without its gradient: the kernel may crash on a NaN or an infinity."""
    grid = grid.nan_to_num(nan=-FAR_OUTSIDE, posinf=FAR_OUTSIDE, neginf=-FAR_OUTSIDE)
    return grid.clamp_(-FAR_OUTSIDE, FAR_OUTSIDE)


def _at_pixels(grid, sizes, *, interpolation, fill_mode, align_corners):
    """A grid of the nearest pixels' centres: our rule for what is half-way, not the kernel's."""
    axes = []
    for x, size in zip(reversed(grid.unbind(-1)), sizes, strict=True):
        x = to_pixels(x, size, align_corners=align_corners)
        if fill_mode == "reflect":  # which makes odd pixels of even ones; no other mode does
            x = fold(x, size, interpolation=interpolation, fill_mode=fill_mode)
        axes.append(to_normalized(nearest_pixel(x, size), size, align_corners=align_corners))
    return torch.stack(axes[::-1], dim=-1)


def _portable(images, grid, options):
    interpolation, fill_mode, align_corners = options
    return portable.sample(
        images,
        grid,
        interpolation=interpolation,
        fill_mode=fill_mode,
        fill_value=0.0,
        align_corners=align_corners,
        data_format="channels_first",
    )


def _portable_gradients(upstream, images, grid, options):
    fn = functools.partial(_portable, options=options)
    return torch.func.vjp(fn, images, grid)[1](upstream)


def _jvp(fn, primals, tangents):
    """The derivative of `fn` in the direction of `tangents`, None being zero.

    In reverse mode, twice: forward mode cannot be nested in all that may call this.
    """
    tangents = [
        torch.zeros_like(primal) if tangent is None else tangent
        for primal, tangent in zip(primals, tangents, strict=True)
    ]
    output, pull = torch.func.vjp(fn, *primals)
    zeros = (
        tuple(map(torch.zeros_like, output))
        if isinstance(output, tuple)
        else torch.zeros_like(output)
    )
    _, push = torch.func.vjp(pull, zeros)
    return push(tuple(tangents))[0]


class _GridSample(torch.autograd.Function):
    """`torch.nn.functional.grid_sample`, differentiable as often as one likes."""

    generate_vmap_rule = True

    @staticmethod
    def forward(images, grid, interpolation, fill_mode, align_corners):
        return F.grid_sample(
            images,
            _bounded(grid),
            mode=interpolation,
            padding_mode=_PADDING_MODES[fill_mode],
            align_corners=align_corners,
        )

    @staticmethod
    def setup_context(ctx, inputs, output):
        images, grid, *options = inputs
        ctx.options = tuple(options)
        ctx.save_for_backward(images, grid)
        ctx.save_for_forward(images, grid)

    @staticmethod
    def backward(ctx, upstream):
        wants_images, wants_grid = ctx.needs_input_grad[:2]
        to_images, to_grid = _GridSampleBackward.apply(
            upstream, *ctx.saved_tensors, wants_images, *ctx.options
        )
        return to_images if wants_images else None, to_grid if wants_grid else None, *[None] * 3

    @staticmethod
    def jvp(ctx, images_tangent, grid_tangent, *_):
        fn = functools.partial(_portable, options=ctx.options)
        return _jvp(fn, ctx.saved_tensors, (images_tangent, grid_tangent))


class _GridSampleBackward(torch.autograd.Function):
    """The gradients of `_GridSample`, again by PyTorch's kernel."""

    generate_vmap_rule = True

    @staticmethod
    def forward(upstream, images, grid, wants_images, interpolation, fill_mode, align_corners):
        operators = torch.ops.aten
        backward = (
            operators.grid_sampler_2d_backward
            if images.ndim == 4
            else operators.grid_sampler_3d_backward
        )
        bounded = _bounded(grid)
        to_images, to_grid = backward(
            upstream,
            images,
            bounded,
            _MODES.index(interpolation),
            _PADDINGS.index(_PADDING_MODES[fill_mode]),
            align_corners,
            [wants_images, True],
        )
        if fill_mode in ("mirror", "reflect"):  # elsewhere there is no slope that far outside
            to_grid = to_grid.masked_fill(bounded.abs() == FAR_OUTSIDE, 0.0)
        return to_images, to_grid

    @staticmethod
    def setup_context(ctx, inputs, output):
        *tensors, ctx.wants_images, interpolation, fill_mode, align_corners = inputs
        ctx.options = interpolation, fill_mode, align_corners
        ctx.save_for_backward(*tensors)
        ctx.save_for_forward(*tensors)

    @staticmethod
    def backward(ctx, to_images, to_grid):
        fn = functools.partial(_portable_gradients, options=ctx.options)
        if not ctx.wants_images:
            to_images = torch.zeros_like(ctx.saved_tensors[1])
        _, pull = torch.func.vjp(fn, *ctx.saved_tensors)
        return *pull((to_images, to_grid)), *[None] * 4

    @staticmethod
    def jvp(ctx, *tangents):
        fn = functools.partial(_portable_gradients, options=ctx.options)
        to_images, to_grid = _jvp(fn, ctx.saved_tensors, tangents[:3])
        return to_images if ctx.wants_images else None, to_grid
