"""How to read an image at a grid. `sample` is the active backend's kernel."""

import keras

if keras.backend.backend() == "torch":
    from keras_stn.ops.kernels.torch import sample
elif keras.backend.backend() == "jax":
    from keras_stn.ops.kernels.jax import sample
elif keras.backend.backend() == "tensorflow":
    from keras_stn.ops.kernels.tensorflow import sample
else:
    from keras_stn.ops.kernels.portable import sample

__all__ = ["sample"]
