"""What the layer `SpatialTransformer` costs above the operations that it is made of."""

import keras
import numpy as np

from keras_stn import SpatialTransformer, ops


def layer_and_ops(images):
    """The layer and its parts called by hand, as two functions of images."""
    size = images.shape[1:3]
    network = keras.layers.AveragePooling2D(8, data_format="channels_last")
    layer = SpatialTransformer(network, fill_mode="constant", data_format="channels_last")
    layer.build(images.shape)
    layer.head.kernel.assign(np.full(layer.head.kernel.shape, 1e-3, "float32"))

    def by_hand(images):
        features = keras.ops.reshape(network(images), (images.shape[0], -1))
        theta = keras.ops.matmul(features, layer.head.kernel.value) + layer.head.bias.value
        return ops.grid_sample(images, ops.affine_grid(theta, size), data_format="channels_last")

    return layer, by_hand


def functions(shape):
    """{name: function}, compiled as the active backend's users compile."""
    array = np.random.default_rng(0).uniform(size=shape).astype("float32")
    images = keras.ops.convert_to_tensor(array)
    layer, by_hand = layer_and_ops(images)
    backend = keras.backend.backend()
    if backend == "jax":
        import jax

        compiled = [jax.jit(fn) for fn in (lambda x: layer(x), by_hand)]
        return dict(
            zip(
                ("layer", "ops"),
                (lambda fn=fn: jax.block_until_ready(fn(images)) for fn in compiled),
                strict=True,
            )
        )
    if backend == "tensorflow":
        import tensorflow as tf

        compiled = [tf.function(fn, jit_compile=True) for fn in (layer.call, by_hand)]
        return {"layer": lambda: compiled[0](images), "ops": lambda: compiled[1](images)}
    import torch

    def without_gradients(fn):
        with torch.no_grad():
            fn(images)
        if torch.cuda.is_available():
            torch.cuda.synchronize()

    return {"layer": lambda: without_gradients(layer), "ops": lambda: without_gradients(by_hand)}
