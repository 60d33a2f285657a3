"""TensorFlow's modules that are not public: without them all values and gradients are the same."""

import subprocess
import sys

import pytest

from tests.backend import BACKEND

if BACKEND != "tensorflow":
    pytest.skip("the modules are TensorFlow's", allow_module_level=True)

# TensorFlow itself has loaded them, and keeps them.
WITHOUT = """
import sys
import torch  # before TensorFlow, as in conftest.py
import tensorflow as tf
import pytest

for package, name in (
    ("tensorflow.compiler.tf2xla.python", "xla"),
    ("tensorflow.compiler.xla", "xla_data_pb2"),
):
    sys.modules[f"{package}.{name}"] = None
    if hasattr(sys.modules.get(package), name):
        delattr(sys.modules[package], name)
del tf.__internal__.get_enclosing_xla_context

from keras_stn.ops.kernels import barrier

assert barrier.xla is None
sys.exit(pytest.main(["-q", "-p", "no:cacheprovider", *sys.argv[1:]]))
"""
# Next to the identity a lack of barriers shows; one channel is packed by XLA's adjoint, eight not.
THESE = [
    "tests/ops/test_compiled.py::test_image_gradient_next_to_the_identity",
    "tests/ops/test_compiled.py::test_index_and_weight_agree_whatever_the_compiler_does",
    "tests/ops/test_barrier.py",
]


@pytest.mark.gradient
def test_without_them_the_sampler_passes_its_tests():
    command = [sys.executable, "-c", WITHOUT, *THESE]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]
    assert " passed" in done.stdout
