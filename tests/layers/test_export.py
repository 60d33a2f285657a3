"""Every family leaves Python by each backend's own exporter, for batches of any size.

One program for all of them: nothing is unrolled over the batch.
"""

import keras
import numpy as np
import pytest

from keras_stn import SpatialTransformer
from tests.backend import BACKEND, to_numpy, traced
from tests.layers.models import MeanFeatures, random_images, randomize
from tests.layers.test_families import COMPILED, every_compiled_case

if BACKEND == "numpy":
    pytest.skip("the NumPy backend exports nothing", allow_module_level=True)

IMAGES = {2: random_images(5, 6, 9, 2), 3: random_images(5, 3, 5, 4, 1)}


def exported_by_tensorflow(model, images, path):
    """A function of images, by way of a file."""
    import tensorflow as tf

    model.export(path, verbose=False)
    loaded = tf.saved_model.load(path)
    return lambda x: loaded.serve(x)  # which keeps the variables of `loaded` alive


def exported_by_jax(model, images, path):
    """The same."""
    import jax

    shape = jax.export.symbolic_shape(", ".join(["batch", *map(str, images.shape[1:])]))
    made = jax.export.export(jax.jit(lambda x: model(x, training=False)))(
        jax.ShapeDtypeStruct(shape, images.dtype)
    )
    path.write_bytes(made.serialize())
    return jax.export.deserialize(path.read_bytes()).call


def exported_by_torch(model, images, path):
    """The same."""
    import torch

    example = torch.tensor(images[:2])
    batch = {0: torch.export.Dim("batch", min=1, max=1024)}
    made = torch.export.export(model.eval(), (example,), dynamic_shapes=((batch,),))
    path = path.with_suffix(".pt2")
    torch.export.save(made, path)
    module = torch.export.load(path).module()
    return lambda x: module(torch.tensor(x))


EXPORTERS = {
    "tensorflow": exported_by_tensorflow,
    "jax": exported_by_jax,
    "torch": exported_by_torch,
}


@every_compiled_case
def test_exported(name, ndim, tmp_path):
    images = IMAGES[ndim]
    inputs = keras.Input(images.shape[1:])
    stn = SpatialTransformer(MeanFeatures(), COMPILED.get(name, name), data_format="channels_last")
    model = keras.Model(inputs, stn(inputs))
    randomize(model)
    exported = EXPORTERS[BACKEND](model, images, tmp_path / "exported")
    for batch in (1, 5):
        expected = to_numpy(traced(model)(images[:batch]))
        assert np.abs(expected - images[:batch]).max() > 0.01
        np.testing.assert_allclose(to_numpy(exported(images[:batch])), expected, atol=1e-5)
