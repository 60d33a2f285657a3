"""TensorFlow's ways to use the samplers: data pipelines, graphs, vectorized_map, SavedModel."""

import keras
import numpy as np
import pytest

from keras_stn import ops
from tests import reference
from tests.backend import BACKEND, assert_close, to_numpy
from tests.ops.inputs import SIZES, images, points

if BACKEND != "tensorflow":
    pytest.skip("the transformations of TensorFlow", allow_module_level=True)

import tensorflow as tf

MODES = [
    {"interpolation": "bilinear", "fill_mode": "constant", "fill_value": 0.6},
    {"interpolation": "bilinear", "fill_mode": "wrap"},
    {"interpolation": "bicubic", "fill_mode": "mirror"},
    {"interpolation": "nearest", "fill_mode": "nearest"},
]

some_modes = pytest.mark.parametrize(
    "options", MODES, ids=[f"{o['interpolation']}-{o['fill_mode']}" for o in MODES]
)
graph_or_xla = pytest.mark.parametrize("xla", [False, True], ids=["graph", "xla"])


def sampler(options):
    return lambda image, grid: ops.grid_sample(image, grid, data_format="channels_last", **options)


def pipeline_theta(rng):
    """A fixed theta that puts no target of a 3 by 4 output on a kink of the images below."""
    return np.eye(2, 3)[None] * 0.83 + rng.uniform(-0.05, 0.05, (1, 2, 3))


@some_modes
def test_data_pipeline_of_several_sizes(options, rng):
    sizes = [(4, 5), (7, 3), (1, 6), (12, 12)]
    given = [rng.normal(size=(*size, 3)).astype("float32") for size in sizes]
    theta = pipeline_theta(rng).astype("float32")

    def crop(image):
        assert image.shape.as_list() == [None, None, 3]
        return sampler(options)(image[None], ops.affine_grid(theta, (3, 4)))[0]

    dataset = tf.data.Dataset.from_generator(
        lambda: iter(given), output_signature=tf.TensorSpec((None, None, 3))
    )
    batches = list(dataset.map(crop, num_parallel_calls=2).batch(3))
    assert [batch.shape.as_list() for batch in batches] == [[3, 3, 4, 3], [1, 3, 4, 3]]
    grid = reference.affine_grid(theta, (3, 4))
    expected = [reference.grid_sample(image[None], grid, **options)[0] for image in given]
    assert_close(np.concatenate(batches), np.stack(expected), scale=3)


@pytest.mark.parametrize("shape", [keras.ops.shape, tf.shape], ids=["keras", "tensorflow"])
def test_data_pipeline_of_batches(shape, rng):
    given = images(rng, batch=5).astype("float32")
    theta = (np.eye(2, 3) + rng.uniform(-0.2, 0.2, (5, 2, 3))).astype("float32")

    def warp(image, theta):
        assert image.shape[0] is None
        return sampler(MODES[0])(image, ops.affine_grid(theta, shape(image)[1:3]))

    dataset = tf.data.Dataset.from_tensor_slices((given, theta)).batch(2).map(warp)
    expected = reference.grid_sample(given, reference.affine_grid(theta, SIZES[2]), **MODES[0])
    assert_close(np.concatenate(list(dataset)), expected, scale=3)


def test_data_pipeline_keeps_integers(rng):
    given = rng.integers(0, 255, size=(4, 4, 5, 3)).astype("uint8")
    grid = points(rng, SIZES[2], batch=4).astype("float32")
    dataset = tf.data.Dataset.from_tensor_slices((given, grid)).batch(3)
    found = np.concatenate(list(dataset.map(sampler(MODES[3]))))
    assert found.dtype == np.uint8
    assert np.array_equal(found, reference.grid_sample(given, grid, **MODES[3]))


@some_modes
@graph_or_xla
@pytest.mark.parametrize("shape", [(None, 4, 5, 3), (None, None, None, None)], ids=str)
def test_unknown_shapes(shape, xla, options, rng):
    fn = tf.function(
        sampler(options),
        input_signature=[tf.TensorSpec(shape), tf.TensorSpec((None, None, 2))],
        jit_compile=xla,
    )
    for batch in (1, 3):
        image = images(rng, batch=batch).astype("float32")
        grid = points(rng, SIZES[2], batch=batch, count=7).astype("float32")
        assert_close(fn(image, grid), reference.grid_sample(image, grid, **options), scale=3)
    assert fn.experimental_get_tracing_count() == 1


@pytest.mark.gradient
@graph_or_xla
@pytest.mark.parametrize(
    ("options", "shape"),
    [
        (MODES[0], (None, 4, 5, 3)),
        (MODES[0], (None, None, None, None)),
        (MODES[1], (None, None, None, None)),
    ],
    ids=str,
)
def test_gradients_of_unknown_shapes(shape, xla, options, rng):
    def gradients(image, grid):
        with tf.GradientTape() as tape:
            tape.watch([image, grid])
            loss = tf.reduce_sum(tf.sin(sampler(options)(image, grid)))
        return tape.gradient(loss, [image, grid])

    fn = tf.function(
        gradients,
        input_signature=[
            tf.TensorSpec(shape, tf.float64),
            tf.TensorSpec((None, None, 2), tf.float64),
        ],
        jit_compile=xla,
    )
    for batch in (1, 3):
        image = tf.constant(images(rng, batch=batch))
        grid = tf.constant(points(rng, SIZES[2], batch=batch, count=7))
        for found, expected in zip(fn(image, grid), gradients(image, grid), strict=True):
            assert to_numpy(expected).any()
            np.testing.assert_allclose(found, expected, rtol=1e-11, atol=1e-11)
    assert fn.experimental_get_tracing_count() == 1


@some_modes
@pytest.mark.parametrize("compile", [False, True], ids=["eager", "graph"])
def test_vectorized_map(compile, options, rng):
    image = np.stack([images(rng) for _ in range(3)]).astype("float32")
    grid = np.stack([points(rng, SIZES[2], count=7) for _ in range(3)]).astype("float32")

    def mapped(image, grid):
        return tf.vectorized_map(
            lambda args: sampler(options)(*args), (image, grid), fallback_to_while_loop=False
        )

    found = (tf.function(mapped) if compile else mapped)(tf.constant(image), tf.constant(grid))
    expected = [reference.grid_sample(i, g, **options) for i, g in zip(image, grid, strict=True)]
    assert_close(found, np.stack(expected), scale=3)


class Sampler(tf.Module):
    """Warps images by a theta that is a variable."""

    def __init__(self, theta, options, *, xla):
        super().__init__()
        self.theta = tf.Variable(theta)
        self.options = options
        spec = tf.TensorSpec((None, None, None, 3))
        self.warp = tf.function(self._warp, input_signature=[spec], jit_compile=xla)
        self.to_theta = tf.function(self._to_theta, input_signature=[spec], jit_compile=xla)

    def _warp(self, image):
        theta = tf.repeat(self.theta, tf.shape(image)[0], axis=0)
        return sampler(self.options)(image, ops.affine_grid(theta, (3, 4)))

    def _to_theta(self, image):
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(self._warp(image) ** 2)
        return tape.gradient(loss, self.theta)


# XLA compiles for each image size, before and after: one mode and one size are enough.
@pytest.mark.gradient
@pytest.mark.parametrize(
    ("xla", "options"), [*((False, options) for options in MODES[:3]), (True, MODES[0])], ids=str
)
def test_saved_model(xla, options, tmp_path, rng):
    theta = pipeline_theta(rng).astype("float32")
    module = Sampler(theta, options, xla=xla)
    tf.saved_model.save(module, str(tmp_path))
    loaded = tf.saved_model.load(str(tmp_path))
    for batch, sizes in ((3, (6, 7)),) if xla else ((1, (4, 5)), (3, (6, 7))):
        image = images(rng, batch=batch, sizes=sizes).astype("float32")
        grid = reference.affine_grid(theta.repeat(batch, 0), (3, 4))
        expected = reference.grid_sample(image, grid, **options)
        assert_close(loaded.warp(image), expected, scale=3)
        assert np.array_equal(loaded.warp(image), module.warp(image))
        assert np.array_equal(loaded.to_theta(image), module.to_theta(image))
        assert to_numpy(loaded.to_theta(image)).any()


@pytest.mark.gradient
@pytest.mark.parametrize("xla", [False, True], ids=["graph", "xla"])
def test_a_loaded_model_is_differentiated_from_outside(xla, tmp_path, rng):
    theta = pipeline_theta(rng).astype("float32")
    module = Sampler(theta, MODES[0], xla=xla)
    tf.saved_model.save(module, str(tmp_path))
    image = tf.constant(images(rng).astype("float32"))
    found = []
    loaded = tf.saved_model.load(str(tmp_path))
    for warp in (module._warp, loaded.warp):
        with tf.GradientTape() as tape:
            tape.watch(image)
            loss = tf.reduce_sum(warp(image) ** 2)
        found.append(to_numpy(tape.gradient(loss, image)))
    assert found[0].any()
    np.testing.assert_allclose(found[1], found[0], rtol=1e-5, atol=1e-5)
