"""TensorFlow's modules that are not public: without them all values and gradients are the same."""

import subprocess
import sys

import pytest

from tests.backend import BACKEND

if BACKEND != "tensorflow":
    pytest.skip("the modules are TensorFlow's", allow_module_level=True)

WITHOUT = """
import sys
import tensorflow as tf
import numpy as np

for package, name in (
    ("tensorflow.compiler.tf2xla.python", "xla"),
    ("tensorflow.compiler.xla", "xla_data_pb2"),
):
    sys.modules[f"{package}.{name}"] = None
    if package in sys.modules and hasattr(sys.modules[package], name):
        delattr(sys.modules[package], name)
del tf.__internal__.get_enclosing_xla_context

from keras_stn import ops, SpatialTransformer
from keras_stn.ops.kernels import barrier

assert barrier.xla is None
rng = np.random.default_rng(0)

def inputs(channels, size, near):
    theta = np.eye(2, 3)[None] + near * rng.uniform(-1, 1, (2, 2, 3))
    shape = (2, size, size, channels)
    args = [tf.constant(array, tf.float32) for array in (rng.normal(size=shape), theta)]
    return args, rng.normal(size=shape)

def results(options, upstream, size):
    def fn(image, theta):
        with tf.GradientTape() as tape:
            tape.watch([image, theta])
            grid = ops.affine_grid(theta, (size, size))
            samples = ops.grid_sample(image, grid, data_format="channels_last", **options)
            loss = tf.reduce_sum(samples * upstream)
        return samples, *tape.gradient(loss, [image, theta])
    return fn

for channels, options in (
    (3, {}), (6, {}), (3, {"fill_mode": "wrap"}), (3, {"interpolation": "nearest"}),
):
    # Large enough that XLA computes coordinates twice where nothing stops it.
    size = 224 if options == {} and channels == 3 else 24
    near = 1e-6 if size == 224 else 0.2
    args, upstream = inputs(channels, size, near)
    fn = results(options, upstream.astype("float32"), size)
    expected = fn(*args)
    for xla in (False, True):
        found = tf.function(fn, jit_compile=xla)(*args)
        # Next to the identity, where pixels lie, either slope may be the gradient to theta.
        for a, b in list(zip(found, expected))[: 2 if near == 1e-6 else 3]:
            assert np.abs(a - b).max() < 1e-3 * (1 + np.abs(b).max()), (channels, options, xla)
SpatialTransformer()(tf.ones((1, 8, 8, 1)))
print("all the same")
"""


@pytest.mark.gradient
def test_without_them_everything_is_the_same():
    done = subprocess.run([sys.executable, "-c", WITHOUT], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.splitlines()[-1] == "all the same"
