"""A batch of one on either side serves all of the other: values, gradients, graphs, models."""

import functools

import keras
import numpy as np
import pytest

from keras_stn import ops
from tests import reference
from tests.backend import BACKEND, assert_close, compiled, gradients, to_numpy, traced
from tests.ops.inputs import SIZES, images, move_channels, points

BATCH = 3
either = pytest.mark.parametrize(("batch", "grid_batch"), [(1, BATCH), (BATCH, 1)])
MODES = [
    {"interpolation": interpolation, "fill_mode": fill_mode, "fill_value": 0.6}
    for interpolation in ("nearest", "bilinear", "bicubic")
    for fill_mode in reference.FILL_MODES
]
MODES.append({"antialias": True, "fill_mode": "constant", "fill_value": 0.6})
MODES.append({"antialias": True, "fill_mode": "wrap"})
FEW = [MODES[5], MODES[12]]  # XLA compiles for each
every_mode = pytest.mark.parametrize("options", MODES, ids=lambda o: "-".join(map(str, o.values())))


def inputs(rng, batch, grid_batch, ndim=2):
    """Images and a grid (..., 2, 3, n), which antialiasing takes too."""
    grid = points(rng, SIZES[ndim], batch=grid_batch, count=6, reach=0)
    shape = (1, 2, 3)[-ndim:]
    return images(rng, ndim, batch=batch).astype("float32"), grid.reshape(
        grid_batch, *shape, ndim
    ).astype("float32")


def repeated(array):
    """A batch of three, of what may be one."""
    return np.broadcast_to(array, (BATCH, *array.shape[1:])).copy()


def sampler(**options):
    return functools.partial(ops.grid_sample, **{"data_format": "channels_last", **options})


@every_mode
@either
def test_values(batch, grid_batch, options, rng):
    cases = ((2, "channels_last"), (2, "channels_first"), (3, "channels_last"))
    for ndim, data_format in cases[: 1 if BACKEND == "jax" else 3]:
        image, grid = inputs(rng, batch, grid_batch, ndim)
        image = move_channels(image, data_format)
        given = {**options, "data_format": data_format}
        sample = traced(sampler(**given))
        # The reference has no antialiasing.
        alone = (
            sample if "antialias" in options else functools.partial(reference.grid_sample, **given)
        )
        expected = to_numpy(alone(repeated(image), repeated(grid)))
        assert_close(sample(image, grid), expected, scale=3)


@pytest.mark.gradient
@pytest.mark.parametrize(
    ("options", "compile"),
    [
        *((options, None) for options in (FEW if BACKEND == "jax" else MODES)),
        *((options, True) for options in FEW if BACKEND == "tensorflow"),
    ],
    ids=str,
)
@either
def test_the_gradient_to_the_shared_one_is_the_sum(compile, batch, grid_batch, options, rng):
    image, grid = inputs(rng, batch, grid_batch)
    upstream = rng.normal(size=(BATCH, 2, 3, 3)).astype("float32")
    fn = sampler(**options)
    found = gradients(fn, image, grid, upstream=upstream, compile=compile)
    expected = gradients(fn, repeated(image), repeated(grid), upstream=upstream)
    if batch == 1:
        expected[0] = expected[0].sum(0, keepdims=True)
    else:
        expected[1] = expected[1].sum(0, keepdims=True)
    assert expected[0].any()
    for gradient, wanted in zip(found, expected, strict=True):
        np.testing.assert_allclose(gradient, wanted, rtol=1e-4, atol=1e-4)


@pytest.mark.gradient
@pytest.mark.parametrize("channels", [3, 6])  # packed in XLA's adjoint, and not
@either
def test_compiled_gradients_of_channels(batch, grid_batch, channels, rng):
    image, grid = inputs(rng, batch, grid_batch)
    image = rng.normal(size=(*image.shape[:-1], channels)).astype("float32")
    found = gradients(sampler(), image, grid, compile=True)
    expected = gradients(sampler(), repeated(image), repeated(grid))
    shared = 0 if batch == 1 else 1
    expected[shared] = expected[shared].sum(0, keepdims=True)
    for gradient, wanted in zip(found, expected, strict=True):
        np.testing.assert_allclose(gradient, wanted, rtol=1e-4, atol=1e-4)


@either
def test_lists_of_points_and_single_points(batch, grid_batch, rng):
    image, grid = inputs(rng, batch, grid_batch)
    for shape in ((6, 2), (2,), (1, 1, 1, 1, 2)):
        given = grid.reshape(grid_batch, 6, 2)[:, : np.prod(shape) // 2].reshape(grid_batch, *shape)
        found = sampler()(image, given)
        assert_close(found, to_numpy(sampler()(repeated(image), repeated(given))))


def test_no_images_at_one_grid(rng):
    image, grid = inputs(rng, 0, 1)
    assert tuple(sampler()(image, grid).shape) == (0, 2, 3, 3)


@either
@pytest.mark.parametrize("options", [MODES[0], MODES[5], MODES[-2]], ids=str)
def test_functional_models(batch, grid_batch, options, rng, tmp_path):
    image, grid = inputs(rng, batch, grid_batch)
    # Known to be one, and not known.
    for batches in ((batch if batch == 1 else None, grid_batch if batch != 1 else None), None):
        symbols = [
            keras.Input(batch_shape=(batches[i] if batches else None, *array.shape[1:]))
            for i, array in enumerate((image, grid))
        ]
        samples = sampler(**options)(*symbols)
        assert tuple(samples.shape) == (None, 2, 3, 3)
        model = keras.Model(symbols, samples)
        assert_close(model([image, grid]), to_numpy(sampler(**options)(image, grid)))
    model.save(tmp_path / "model.keras")
    assert_close(
        keras.saving.load_model(tmp_path / "model.keras")([image, grid]),
        to_numpy(sampler(**options)(image, grid)),
    )


@pytest.mark.parametrize(
    ("batch", "grid_batch", "expected"),
    [
        (None, None, None),
        (None, 1, None),
        (1, None, None),
        (None, 4, 4),
        (4, None, 4),
        (1, 4, 4),
        (4, 1, 4),
        (4, 4, 4),
        (1, 1, 1),
        (0, 1, 0),
    ],
)
def test_symbolic_shapes(batch, grid_batch, expected):
    image, grid = keras.KerasTensor((batch, 4, 5, 3)), keras.KerasTensor((grid_batch, 7, 2))
    assert tuple(sampler()(image, grid).shape) == (expected, 7, 3)


@pytest.mark.skipif(BACKEND != "tensorflow", reason="dynamic shapes are TensorFlow's")
@pytest.mark.parametrize("xla", [False, True], ids=["graph", "xla"])
@pytest.mark.parametrize("options", [MODES[0], MODES[5], MODES[9]], ids=str)
def test_unknown_batches(options, xla, rng):
    import tensorflow as tf

    def value_and_gradients(image, grid):
        with tf.GradientTape() as tape:
            tape.watch([image, grid])
            samples = sampler(**options)(image, grid)
            loss = tf.reduce_sum(tf.sin(samples))
        return samples, *tape.gradient(loss, [image, grid])

    for known in ((None, None), (None, 1), (1, None)):
        specs = [
            tf.TensorSpec((known[0], *SIZES[2], 3)),
            tf.TensorSpec((known[1], 2, 3, 2)),
        ]
        fn = tf.function(value_and_gradients, input_signature=specs, jit_compile=xla)
        for batches in ((1, BATCH), (BATCH, 1), (BATCH, BATCH)):
            if any(k not in (None, b) for k, b in zip(known, batches, strict=True)):
                continue
            args = [tf.constant(array) for array in inputs(rng, *batches)]
            for found, wanted in zip(fn(*args), value_and_gradients(*args), strict=True):
                np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-4)
        assert fn.experimental_get_tracing_count() == 1
    specs = [tf.TensorSpec((None, *SIZES[2], 3)), tf.TensorSpec((None, 2, 3, 2))]
    fn = tf.function(sampler(**options), input_signature=specs)
    args = [tf.constant(array) for array in inputs(rng, 2, 3)]
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"(?i)shapes|dim"):
        fn(*args)


@pytest.mark.skipif(BACKEND != "jax", reason="symbolic dimensions are JAX's")
@pytest.mark.parametrize("options", [MODES[0], MODES[5], MODES[9], MODES[-2]], ids=str)
def test_symbolic_dimensions(options, rng):
    import jax

    for dims in (("b", "b"), ("b", "1"), ("1", "b")):
        for constraints in ((),) if "antialias" in options else ((), ("b >= 2",)):
            scope = jax.export.SymbolicScope(constraints)
            args = [
                jax.ShapeDtypeStruct(
                    jax.export.symbolic_shape(f"{dim}, {shape}", scope=scope), np.float32
                )
                for dim, shape in zip(dims, ("4, 5, 3", "2, 3, 2"), strict=True)
            ]
            exported = jax.export.export(jax.jit(sampler(**options)))(*args)
        given = inputs(rng, *(BATCH if dim == "b" else 1 for dim in dims))
        assert_close(exported.call(*given), to_numpy(sampler(**options)(*given)))


@pytest.mark.skipif(BACKEND != "torch", reason="torch.export")
@pytest.mark.parametrize("options", [MODES[0], MODES[5], MODES[9]], ids=str)
def test_torch_export(options, rng):
    import torch

    class Sampler(torch.nn.Module):
        def forward(self, image, grid):
            return sampler(**options)(image, grid)

    for batches in ((1, BATCH), (BATCH, 1)):
        args = tuple(map(keras.ops.convert_to_tensor, inputs(rng, *batches)))
        shapes = [{0: torch.export.Dim.DYNAMIC} if b != 1 else None for b in batches]
        exported = torch.export.export(Sampler(), args, dynamic_shapes=shapes).module()
        given = [
            keras.ops.convert_to_tensor(array)
            for array in inputs(rng, *(5 if b != 1 else 1 for b in batches))
        ]
        assert_close(exported(*given), to_numpy(sampler(**options)(*given)))


def test_one_program_for_each_kind(rng):
    image, grid = inputs(rng, 1, BATCH)
    assert_close(compiled(sampler())(image, grid), to_numpy(sampler()(image, grid)))
