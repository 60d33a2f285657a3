"""What every test shares: seeds, hypothesis settings, and the skips of the NumPy backend."""

import os

# torch is the float64 oracle in every backend's process, and has to be loaded before TensorFlow.
import torch  # isort: skip
import keras
import numpy as np
import pytest
from hypothesis import settings

settings.register_profile("local", deadline=None, max_examples=25)
settings.register_profile("ci", deadline=None, max_examples=25, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "local")


def pytest_configure(config):
    """Registers the marker of tests that differentiate."""
    config.addinivalue_line("markers", "gradient: differentiates, which NumPy cannot")


def pytest_collection_modifyitems(items):
    """Skips on the NumPy backend what needs gradients."""
    if keras.backend.backend() == "numpy":
        skip = pytest.mark.skip(reason="the NumPy backend is for inference: it has no gradients")
        for item in items:
            if item.get_closest_marker("gradient"):
                item.add_marker(skip)


@pytest.fixture(autouse=True)
def seed():
    """The same random numbers in every run."""
    keras.utils.set_random_seed(0)
    torch.manual_seed(0)


@pytest.fixture
def rng():
    """A seeded NumPy generator."""
    return np.random.default_rng(0)
