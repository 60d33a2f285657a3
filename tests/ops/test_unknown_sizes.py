"""Sizes that nobody knows when a model is built, traced or exported."""

import keras
import numpy as np
import pytest

from keras_stn import SpatialTransformer, ops
from keras_stn.transforms import Diffeomorphic, Displacement, Rotation
from tests import reference
from tests.backend import BACKEND, to_numpy
from tests.layers.models import MeanFeatures, randomize
from tests.selection import XLA

SIZES = [(6, 9), (8, 5)]
# On NumPy, Keras traces a user's own layer on memory that holds anything.
pytestmark = pytest.mark.filterwarnings(
    "ignore:.*(overflow|invalid value) encountered:RuntimeWarning"
)


@keras.saving.register_keras_serializable("tests")
class Magnifier(keras.layers.Layer):
    """A layer of a user's own, which asks for the sizes of what it is given."""

    def call(self, images):
        sizes = keras.ops.shape(images)[1:-1]
        zoom = keras.ops.convert_to_tensor([[0.5, 0, 0.1, 0, 0.5, 0]], dtype="float32")
        shift = ops.identity_grid(sizes, align_corners=False) + 0.1
        pixels = ops.normalized_to_pixels(shift, sizes, align_corners=False)
        shift = ops.pixels_to_normalized(pixels, sizes, align_corners=False)
        zoomed = ops.grid_sample(images, ops.affine_grid(zoom, sizes), data_format="channels_last")
        options = {"align_corners": False, "fill_mode": "reflect", "data_format": "channels_last"}
        return ops.grid_sample(zoomed, shift[None], **options)


def magnified(images):
    """The same in float64."""
    size = images.shape[1:-1]
    grid = 0.5 * reference.identity_grid(size) + np.array([0.1, 0])
    zoomed = reference.grid_sample(images, np.broadcast_to(grid, (len(images), *grid.shape)))
    grid = reference.identity_grid(size, False) + 0.1
    grid = np.broadcast_to(grid, (len(images), *grid.shape))
    return reference.grid_sample(zoomed, grid, fill_mode="reflect", align_corners=False)


@keras.saving.register_keras_serializable("tests")
class Flow(keras.layers.Layer):
    """Reads images along a dense flow of half their size."""

    def __init__(self, family, **kwargs):
        super().__init__(**kwargs)
        self.family = family

    def call(self, images):
        flow = keras.ops.concatenate([images, -images], axis=-1)[:, ::2, ::2]
        grid = self.family.grid(0.3 * flow, keras.ops.shape(images)[1:-1], align_corners=False)
        own = self.family.grid(flow, align_corners=False)
        read = ops.grid_sample(images, grid, align_corners=False, data_format="channels_last")
        return read, own


def images(size, batch=2):
    return np.random.default_rng(0).uniform(size=(batch, *size, 1)).astype("float32")


def open_model(layer):
    """A model of one layer, for images of any size."""
    inputs = keras.Input((None, None, 1))
    return keras.Model(inputs, layer(inputs))


def test_a_layer_of_the_users_own():
    model = open_model(Magnifier())
    assert tuple(model.output.shape) == (None, None, None, 1)
    for size in SIZES:
        given = images(size)
        np.testing.assert_allclose(to_numpy(model(given)), magnified(given), atol=1e-5)
    np.testing.assert_allclose(model.predict(given, verbose=0), magnified(given), atol=1e-5)


@pytest.mark.parametrize("family", [Displacement(), Diffeomorphic(squarings=2)], ids=repr)
def test_flows(family):
    model = open_model(Flow(family))
    assert [tuple(x.shape) for x in model.output] == [(None, None, None, n) for n in (1, 2)]
    for size in SIZES:
        given = images(size)
        wanted = Flow(family)(given)  # whose sizes are known
        for found in (model(given), model.predict(given, verbose=0)):
            for one, other in zip(found, wanted, strict=True):
                np.testing.assert_allclose(to_numpy(one), to_numpy(other), atol=1e-5)


TRANSFORMERS = {
    "default": {},
    "own network": {"localization_network": MeanFeatures()},
    "rotation": {"localization_network": MeanFeatures(), "transform": Rotation()},
    "flow in pixels": {
        "localization_network": MeanFeatures(),
        "transform": Displacement(2, units="pixels"),
        "align_corners": False,
    },
    "antialias": {"localization_network": MeanFeatures(), "antialias": True},
    "fixed": {"output_size": (8, 8), "num_transforms": 2},
}


def transformer(name):
    return SpatialTransformer(data_format="channels_last", **TRANSFORMERS[name])


@keras.saving.register_keras_serializable("tests")
class Holder(keras.layers.Layer):
    """A layer of a user's own that holds a spatial transformer."""

    def __init__(self, inner, **kwargs):
        super().__init__(**kwargs)
        self.inner = inner

    def build(self, input_shape):
        self.inner.build(input_shape)

    def call(self, images):
        return self.inner(images)


@pytest.mark.skipif(BACKEND in XLA, reason="the export below compiles the same")
def test_layers_that_hold_a_spatial_transformer():
    inputs = keras.Input((None, None, 1))
    holders = {name: Holder(transformer(name)) for name in TRANSFORMERS}
    model = keras.Model(inputs, {name: holder(inputs) for name, holder in holders.items()})
    randomize(model)
    for size in SIZES:
        given = images(size)
        found = model(given)
        for name, holder in holders.items():
            wanted = to_numpy(holder.inner(given))
            np.testing.assert_allclose(to_numpy(found[name]), wanted, atol=1e-5, err_msg=name)


def exported(model, path):
    """A function that runs the exported model on images of any size and number."""
    if BACKEND == "tensorflow":
        import tensorflow as tf

        model.export(path, verbose=False)
        loaded = tf.saved_model.load(path)
        return lambda x: loaded.serve(x)
    if BACKEND == "jax":
        import jax

        shape = jax.export.symbolic_shape("batch, height, width, 1")
        traced = jax.jit(lambda x: model(x, training=False))
        made = jax.export.export(traced)(jax.ShapeDtypeStruct(shape, "float32"))
        return jax.jit(jax.export.deserialize(made.serialize()).call)
    import torch

    path = path.with_suffix(".pt2")
    sizes = {i: torch.export.Dim(f"size{i}", min=2, max=64) for i in range(3)}
    model.export(path, format="torch", verbose=False, dynamic_shapes=sizes)
    made = torch.export.load(path).module()
    return lambda x: made(torch.from_numpy(x))


@pytest.mark.skipif(BACKEND == "numpy", reason="NumPy exports nothing")
def test_exported_for_images_of_any_size(tmp_path):
    # PyTorch takes a size of 1 for one that is known, and a pyramid of images ends in one.
    names = [name for name in TRANSFORMERS if (BACKEND, name) != ("torch", "antialias")]
    layers = {**{name: Holder(transformer(name)) for name in names}, "magnifier": Magnifier()}
    inputs = keras.Input((None, None, 1))
    model = keras.Model(inputs, {name: layer(inputs) for name, layer in layers.items()})
    randomize(model)
    run = exported(model, tmp_path / "model")
    for size, batch in zip(SIZES, (2, 5), strict=True):
        given = images(size, batch)
        found = run(given)
        for name, wanted in model(given).items():
            np.testing.assert_allclose(
                to_numpy(found[name]), to_numpy(wanted), atol=1e-5, err_msg=name
            )


@pytest.mark.skipif(BACKEND != "jax", reason="how Keras exports from JAX to TensorFlow")
def test_a_saved_model_of_jax_for_images_of_any_size(tmp_path):
    import tensorflow as tf

    model = open_model(transformer("fixed"))
    randomize(model)
    model.export(tmp_path / "model", format="tf_saved_model", verbose=False)
    loaded = tf.saved_model.load(tmp_path / "model")
    for size in SIZES:
        given = images(size)
        np.testing.assert_allclose(loaded.serve(given), to_numpy(model(given)), atol=1e-5)
