"""torch, the tests' oracle in float64 on every backend. Import it from here, before TensorFlow.

Where torch is not installed, a test that uses it is skipped; it fails if REQUIRE_TORCH is set.
"""

import os

import pytest


class Missing:
    """What stands for torch where it is not installed."""

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        if os.environ.get("REQUIRE_TORCH"):
            pytest.fail("REQUIRE_TORCH is set, and torch is not installed")
        pytest.skip("torch, the oracle, is not installed")

    def __bool__(self):
        return False


try:
    import torch
except ImportError:
    torch = Missing()
