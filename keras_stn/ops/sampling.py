"""`grid_sample`: checks its arguments and hands them to the active backend's kernel."""

from __future__ import annotations

import numbers

import keras
import numpy as np
from keras import ops

from keras_stn._types import DataFormat, FillMode, Interpolation, Tensor, TensorLike
from keras_stn.ops import kernels
from keras_stn.ops.antialiasing import antialiased_sample
from keras_stn.ops.grids import coordinate_dtype
from keras_stn.ops.symbolic import as_node

INTERPOLATIONS = ("nearest", "bilinear", "bicubic")
FILL_MODES = ("constant", "nearest", "mirror", "reflect", "wrap")
DATA_FORMATS = ("channels_last", "channels_first")


@as_node(2)
def grid_sample(
    images: TensorLike,
    grid: TensorLike,
    *,
    interpolation: Interpolation = "bilinear",
    fill_mode: FillMode = "constant",
    fill_value: float = 0.0,
    align_corners: bool = True,
    antialias: bool = False,
    data_format: DataFormat | None = None,
) -> Tensor:
    """Samples images or volumes at arbitrary places.

    Formula (bilinear, pixel coordinates (x, y)):

        samples(x, y) = sum_ij images[i, j] * max(0, 1 - |x - j|) * max(0, 1 - |y - i|)

    Bicubic: the two factors are cubic convolution kernels with a = -0.75, as in torch and ONNX.

    Convention:
        `grid` holds **source** coordinates, normalized to [-1, 1], last axis (x, y) or (x, y, z):
        x to the right, y down, z along the depth. Where a coordinate lies exactly on a pixel, the
        gradient to it is the one to its right (below).

        Images or a grid of batch size 1 serve all of the other; the gradient to them is the sum.

        Nearest neighbours: half-way between two pixels, the even one is read, counted from 0 in the
        image; just outside, -1 is odd and `size` may be even. Within `size / 2**21` pixels of
        half-way, which is what float32 may have made of it, counts as half-way. The gradient to
        the grid is zero.

        A coordinate that is NaN, infinite or beyond +-16384 is read as lying there, NaN at -16384:
        with `fill_mode="constant"` such a sample is `fill_value`, and other samples are
        unaffected; the gradient to such a coordinate is zero.

    Args:
        images: Tensor of shape (batch, height, width, channels) or (batch, depth, height, width,
            channels); with channels first, (batch, channels, ...). Integers and booleans for
            interpolation="nearest" alone.
        grid: Float tensor of shape (batch, ..., 2) for images, (batch, ..., 3) for volumes, of
            any rank >= 2: (batch, h, w, 2) is a warped image, (batch, n, 2) a list of points,
            (batch, k, h, w, 2) k crops per image.
        interpolation: "nearest", "bilinear" (trilinear for volumes) or "bicubic" (tricubic).
        fill_mode: What lies outside the image: "constant" (`fill_value`, blending in over one
            pixel), "nearest" (the edge pixel again), "mirror" (reflected about the centre of the
            edge pixel), "reflect" (reflected about its outer edge), "wrap" (periodic).
        fill_value: float, in image intensity units; used by `fill_mode="constant"`.
        align_corners: bool. Whether -1 and 1 are the centres of the corner pixels (True) or
            their outer edges (False).
        antialias: bool. Whether a sample is the mean of what lies between it and its neighbours
            in the grid, where that is more than a pixel: a warp that shrinks the image then does
            not alias. Bilinear only; the grid is (batch, ..., h, w, 2), or (batch, ..., d, h, w,
            3). Where the warp does not shrink, the result is the same. Takes five to twenty-five
            times as long; see docs/antialiasing.md.
        data_format: "channels_last" or "channels_first"; None means
            `keras.config.image_data_format()`.

    Returns:
        Samples of the images' dtype and of shape `(batch, *grid.shape[1:-1], channels)`; with
        channels first, `(batch, channels, *grid.shape[1:-1])`. Arithmetic runs in float32 at least.

    Raises:
        ValueError: A shape, dtype or mode that is not one of the above.

    Example:
        >>> import numpy as np
        >>> from keras_stn import ops
        >>> image = np.array([[0.0, 1.0], [2.0, 3.0]], "float32").reshape(1, 2, 2, 1)
        >>> points = np.array([[[-1, -1], [1, -1], [0, 0]]], "float32")  # (x, y)
        >>> np.array(ops.grid_sample(image, points, data_format="channels_last")).ravel().tolist()
        [0.0, 1.0, 1.5]

    References:
        - [Jaderberg et al., 2015](https://arxiv.org/abs/1506.02025), section 3.3.
    """
    data_format = data_format or keras.config.image_data_format()
    check_options(
        interpolation, fill_mode, fill_value, antialias, data_format, align_corners=align_corners
    )
    options = {
        "interpolation": interpolation,
        "fill_mode": fill_mode,
        "fill_value": float(fill_value),
        "align_corners": bool(align_corners),
        "antialias": bool(antialias),
        "data_format": data_format,
    }
    images, grid = ops.convert_to_tensor(images), ops.convert_to_tensor(grid)
    samples_shape(images.shape, grid.shape, antialias, data_format)
    check_dtypes(images.dtype, grid.dtype, options)
    grid = ops.cast(grid, arithmetic_dtype(images.dtype, grid.dtype))
    if options.pop("antialias"):
        del options["interpolation"]
        return antialiased_sample(images, grid, **options)
    return kernels.sample(images, grid, **options)


def check_options(
    interpolation, fill_mode, fill_value, antialias, data_format, *, align_corners=True
):
    """Raises `ValueError` for an option that `grid_sample` does not know."""
    for name, value, known in (
        ("interpolation", interpolation, INTERPOLATIONS),
        ("fill_mode", fill_mode, FILL_MODES),
        ("data_format", data_format, DATA_FORMATS),
    ):
        if value not in known:
            raise ValueError(
                f"`{name}` must be one of {', '.join(map(repr, known))}. "
                f"Received: {name}={value!r}. Choose one of these."
            )
    if not isinstance(fill_value, numbers.Real):
        raise ValueError(
            "`fill_value` must be a number, in image intensity units. "
            f"Received: fill_value={fill_value!r}. Pass for example fill_value=0.0."
        )
    check_flag("antialias", antialias)
    check_flag("align_corners", align_corners)
    if antialias and interpolation != "bilinear":
        raise ValueError(
            "`antialias=True` is there for interpolation='bilinear' alone. "
            f"Received: interpolation={interpolation!r}. Change one of the two."
        )


def check_flag(name, value):
    """`value` as a bool, or `ValueError` unless it is True or False, NumPy's too."""
    if not isinstance(value, (bool, np.bool_)):
        raise ValueError(
            f"`{name}` must be True or False. Received: {name}={value!r}. "
            f"Pass for example {name}=True."
        )
    return bool(value)


def samples_shape(images_shape, grid_shape, antialias, data_format):
    """The shape of `grid_sample`'s result, or `ValueError` if the two shapes do not fit."""
    images_shape, grid_shape = tuple(images_shape), tuple(grid_shape)
    ndim = check_images_shape(images_shape, data_format)
    if len(grid_shape) < 2 or grid_shape[-1] != ndim:
        raise ValueError(
            f"`grid` must have shape (batch, ..., {ndim}) for images of {ndim} spatial axes. "
            f"Received: grid.shape={grid_shape}, images.shape={images_shape}. "
            f"Put the coordinates, {'(x, y)' if ndim == 2 else '(x, y, z)'}, in the last axis."
        )
    if antialias and len(grid_shape) < ndim + 2:
        raise ValueError(
            "`antialias=True` needs a grid whose neighbours are neighbours in the output, of shape "
            f"(batch, ..., {'height, width' if ndim == 2 else 'depth, height, width'}, {ndim}). "
            f"Received: grid.shape={grid_shape}. A list of points has no footprint: pass "
            "antialias=False."
        )
    batch, grid_batch = images_shape[0], grid_shape[0]
    # A batch may also be None, or one of the symbolic sizes that cannot always be compared.
    known = {size for size in (batch, grid_batch) if isinstance(size, int)}
    if len(known - {1}) == 2:
        raise ValueError(
            "`images` and `grid` must have the same batch size, or one of them a batch size of 1. "
            f"Received: images.shape={images_shape}, grid.shape={grid_shape}. "
            "Pass one grid for all images, one image for all grids, or as many of each."
        )
    if known == {1}:
        batch = grid_batch if isinstance(batch, int) else batch
    elif known:
        (batch,) = known - {1}
    if data_format == "channels_first":
        return (batch, images_shape[1], *grid_shape[1:-1])
    return (batch, *grid_shape[1:-1], images_shape[-1])


def check_images_shape(shape, data_format):
    """The number of spatial axes of a batch of images, or `ValueError`."""
    shape = tuple(shape)
    if len(shape) not in (4, 5) or 0 in shape[1:]:
        layout = "height, width"
        layout = f"{layout}, channels" if data_format == "channels_last" else f"channels, {layout}"
        raise ValueError(
            f"`images` must have shape (batch, {layout}), or one axis of depth more for volumes, "
            f"no size 0. Received: images.shape={shape}. Add the missing axis, for example "
            "`images[None]` for a single image or `images[..., None]` for grey images."
        )
    return len(shape) - 2


def check_dtypes(images_dtype, grid_dtype, options):
    """Raises `ValueError` for dtypes that cannot be sampled without losing what they hold."""
    images_dtype = keras.backend.standardize_dtype(images_dtype)
    grid_dtype = keras.backend.standardize_dtype(grid_dtype)
    interpolation, fill_value = options["interpolation"], options["fill_value"]
    if not keras.backend.is_float_dtype(images_dtype):
        if images_dtype.startswith("complex"):
            raise ValueError(
                f"`images` must hold real numbers. Received: images.dtype={images_dtype}. Sample "
                "the real and the imaginary part apart, each as floats, for example "
                "`keras.ops.cast(keras.ops.imag(images), 'float32')`: nothing is lost."
            )
        if interpolation != "nearest":
            raise ValueError(
                f"`images` must be floating point for interpolation={interpolation!r}: a blend of "
                f"integers is no integer. Received: images.dtype={images_dtype}. Cast them, for "
                "example with `keras.ops.cast(images, 'float32')`, or use interpolation='nearest'."
            )
        if options["fill_mode"] == "constant" and not _holds(images_dtype, fill_value):
            raise ValueError(
                f"`fill_value` must be a value that {images_dtype} images can hold. "
                f"Received: fill_value={fill_value}. Pass for example fill_value=0."
            )
    if not keras.backend.is_float_dtype(grid_dtype):
        raise ValueError(
            f"`grid` must be floating point. Received: grid.dtype={grid_dtype}. "
            "Pass normalized coordinates, in [-1, 1] over the image."
        )


def _holds(dtype, number):
    """Whether an integer dtype, or bool, has this number."""
    low, high = (0, 1) if dtype == "bool" else (np.iinfo(dtype).min, np.iinfo(dtype).max)
    return number == number // 1 and low <= number <= high


def arithmetic_dtype(images_dtype, grid_dtype):
    """The dtype of coordinates, weights and sums: float32 or wider."""
    dtypes = coordinate_dtype(images_dtype), coordinate_dtype(grid_dtype)
    return "float64" if "float64" in dtypes else "float32"
