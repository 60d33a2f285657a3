"""Batches of more pixels than 32 bits can count, without the memory that they take."""

import math

import keras
import numpy as np
import pytest

from keras_stn import ops
from keras_stn.ops.kernels import portable
from tests.backend import BACKEND, gradients, to_numpy
from tests.ops.inputs import SIZES, images, points

LARGE = (33, 8192, 8192, 1)
MODES = [
    {"interpolation": "nearest", "fill_mode": "wrap"},
    {"interpolation": "bilinear", "fill_mode": "constant", "fill_value": 0.5},
    {"interpolation": "bilinear", "fill_mode": "mirror", "antialias": True},
]
some_modes = pytest.mark.parametrize("options", MODES, ids=str)


def place(indices, shape):
    """Of the pixel at `indices`, (image, *indices), in the list of all pixels."""
    return sum(i * math.prod(shape[axis + 1 : -1]) for axis, i in enumerate(indices))


@pytest.mark.skipif(BACKEND == "jax", reason="JAX counts along each axis instead")
@pytest.mark.parametrize(
    "shape", [LARGE, (2, 2**15, 2**15, 3), (5, 2000, 1000, 1000, 1), (2**16, 2**16, 1, 1)]
)
def test_flat_indices(shape):
    first, last = [0] * (len(shape) - 2), [size - 1 for size in shape[1:-1]]
    indices = [
        keras.ops.convert_to_tensor([pair], dtype="int32") for pair in zip(first, last, strict=True)
    ]
    found = to_numpy(portable.flat_index(indices, shape)).astype("int64")
    assert found.shape == (shape[0], 2)
    for image in (0, shape[0] - 1):
        assert found[image].tolist() == [
            place((image, *indices), shape) for indices in (first, last)
        ]


def test_which_indices_are_long():
    most = portable.MOST_ELEMENTS
    assert portable.index_dtype((1, 1, most, 1)) == "int32"
    # Channels count: TensorFlow's gather finds elements by them.
    for shape in ((1, 1, most + 1, 1), (1, 2**15, 2**15, 2), LARGE):
        assert portable.index_dtype(shape) == "int64"
    for shape in ((None, 4, 5, 3), (2, 4, 5, None)):
        assert portable.index_dtype(shape) == "int64"


@some_modes
@pytest.mark.parametrize("channels", [3, 6])
def test_long_indices_find_the_same(channels, options, rng, monkeypatch):
    image = images(rng, channels=channels).astype("float32")
    grid = points(rng, SIZES[2], count=6).reshape(2, 2, 3, 2).astype("float32")

    def fn(image, grid):
        return ops.grid_sample(image, grid, data_format="channels_last", **options)

    def results():
        found = [to_numpy(fn(image, grid))]
        # An antialiased gradient takes XLA a minute.
        if BACKEND == "torch" or (BACKEND != "numpy" and "antialias" not in options):
            found += gradients(fn, image, grid, compile=True)
        return found

    seen, before = set(), portable.index_dtype

    def noting(shape):
        seen.add(before(shape))
        return before(shape)

    monkeypatch.setattr(portable, "index_dtype", noting)
    short = results()
    if BACKEND == "torch":  # whose own kernel needs no such indices in some modes
        seen.add("int32")
    assert seen == {"int32"}
    seen.clear()
    monkeypatch.setattr(portable, "MOST_ELEMENTS", 1)
    if BACKEND == "jax":
        import jax

        jax.clear_caches()
    for long, expected in zip(results(), short, strict=True):
        np.testing.assert_allclose(long, expected, rtol=1e-5, atol=1e-5)
    assert seen <= {"int64"}
    assert seen or BACKEND == "torch"


@pytest.mark.skipif(BACKEND != "jax", reason="traces without memory")
@some_modes
def test_jax_counts_along_each_axis(options, monkeypatch):
    import jax

    def one_index(*_):
        raise AssertionError("one index for all axes")

    monkeypatch.setattr(portable, "flat_index", one_index)
    # Which has one index for images and rows.
    monkeypatch.setattr("keras_stn.ops.kernels.jax._interpolate_by_windows", one_index)
    shapes = (
        jax.ShapeDtypeStruct(LARGE, np.float32),
        jax.ShapeDtypeStruct((33, 2, 3, 2), np.float32),
    )

    def fn(image, grid):
        return ops.grid_sample(image, grid, data_format="channels_last", **options)

    assert jax.eval_shape(fn, *shapes).shape == (33, 2, 3, 1)
    to_image, to_grid = jax.eval_shape(
        lambda *args: jax.grad(lambda *args: fn(*args).sum(), (0, 1))(*args), *shapes
    )
    assert (to_image.shape, to_grid.shape) == (LARGE, (33, 2, 3, 2))
    # Which takes one index for all axes where that is enough.
    with pytest.raises(AssertionError, match="one index"):
        jax.eval_shape(fn, jax.ShapeDtypeStruct((33, 81, 83, 1), np.float32), shapes[1])
