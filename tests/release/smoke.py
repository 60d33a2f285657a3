"""Does an installed keras-stn work? `python smoke.py`, with keras, NumPy and one backend alone.

Prints what it ran with, and exits non-zero where something is wrong.
"""

import importlib.metadata
import pathlib
import sys
import tempfile

import keras
import numpy as np

import keras_stn
from keras_stn import SpatialTransformer, ops


def main():
    """Identity, rotation, training, saving."""
    backend = keras.backend.backend()
    version = importlib.metadata.version("keras-stn")
    assert version == keras_stn.__version__
    foreign = {"tensorflow", "torch", "jax", "matplotlib"} - {backend}
    assert not foreign & {name.partition(".")[0] for name in sys.modules}, "imports another backend"

    rng = np.random.default_rng(0)
    images = rng.uniform(size=(8, 9, 9, 1)).astype("float32")
    stn = SpatialTransformer(data_format="channels_last")
    same = keras.ops.convert_to_numpy(stn(images))
    assert np.allclose(same, images, atol=1e-5), "a new layer changes images"

    # A quarter turn reads (x, y) at (-y, x): NumPy's rotation by 90 degrees.
    quarter = np.tile(np.array([[0, -1, 0, 1, 0, 0]], "float32"), (8, 1))
    grid = ops.affine_grid(quarter, (9, 9))
    turned = keras.ops.convert_to_numpy(ops.grid_sample(images, grid, data_format="channels_last"))
    assert np.allclose(turned, np.rot90(images, axes=(1, 2)), atol=1e-5), "a quarter turn is wrong"

    model = keras.Sequential([keras.Input((9, 9, 1)), stn, keras.layers.Flatten()])
    model.compile(keras.optimizers.Adam(0.01), "mse")
    shifted = np.roll(images, 1, axis=2).reshape(8, -1)
    losses = model.fit(images, shifted, epochs=5, verbose=0).history["loss"]
    assert losses[-1] < losses[0], "training does not lower the loss"
    assert not np.allclose(stn.head.get_weights()[1], [1, 0, 0, 0, 1, 0]), "theta does not learn"

    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "model.keras"
        model.save(path)
        again = keras.models.load_model(path)
    difference = again.predict(images, verbose=0) - model.predict(images, verbose=0)
    assert np.abs(difference).max() < 1e-5, "a loaded model differs"
    print(f"keras-stn {version}, Keras {keras.__version__}, {backend}: ok")


if __name__ == "__main__":
    main()
