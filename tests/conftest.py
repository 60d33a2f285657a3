"""What tests share: seeds, hypothesis settings, what a backend leaves out, and a browser.

No backend is imported before tests are collected: xdist's own process, which only hands them out,
loads this file too.
"""

import os
import shutil

import numpy as np
import pytest
from hypothesis import settings

from tests import selection

settings.register_profile("local", deadline=None, max_examples=25)
settings.register_profile("ci", deadline=None, max_examples=25, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "local")


def pytest_collectstart():
    """Loads torch before any test can load Keras, and Keras TensorFlow."""
    from tests.oracle import torch

    if torch:
        # On a GPU: finite differences need all bits of the networks that tests watch.
        torch.backends.cudnn.allow_tf32 = False


def pytest_ignore_collect(collection_path):
    """Leaves out the files about another backend, which may not be installed."""
    from tests.backend import BACKEND

    return selection.is_of_another_backend(collection_path, BACKEND) or None


def pytest_configure(config):
    """Registers the markers."""
    for marker in (
        "gradient: differentiates, which NumPy cannot",
        "once: does not depend on the backend; `python -m tests` runs it once",
        "compiled: about programs as XLA compiles them for users; `python -m tests` does too",
    ):
        config.addinivalue_line("markers", marker)


@pytest.hookimpl(tryfirst=True)  # before pytest chooses by markers
def pytest_collection_modifyitems(config, items):
    """Marks the tests that are run apart, and leaves out what a backend cannot do or is slow at."""
    from tests.backend import BACKEND

    for item in items:
        if item.nodeid.startswith(selection.ONCE):
            item.add_marker("once")
            if item.get_closest_marker("gradient"):
                raise pytest.UsageError(f"{item.nodeid} differentiates: NumPy alone cannot run it")
        if item.nodeid.startswith(selection.COMPILED):
            item.add_marker("compiled")
        if BACKEND == "numpy" and item.get_closest_marker("gradient"):
            reason = "the NumPy backend is for inference: it has no gradients"
            item.add_marker(pytest.mark.skip(reason=reason))
    if not os.environ.get("ALL_PARAMETERS"):
        items[:], left = selection.choose(items, BACKEND)
        if left:
            config.hook.pytest_deselected(items=left)


@pytest.fixture(autouse=True)
def seed():
    """The same random numbers in every run."""
    import keras

    from tests.oracle import torch

    keras.utils.set_random_seed(0)
    if torch:
        torch.manual_seed(0)


@pytest.fixture(autouse=True, scope="module")
def clear_caches():
    """Frees what JAX has compiled: over all tests it would be gigabytes."""
    yield
    from tests.backend import BACKEND

    if BACKEND == "jax":
        import jax

        jax.clear_caches()


@pytest.fixture
def rng():
    """A seeded NumPy generator."""
    return np.random.default_rng(0)


@pytest.fixture(scope="module")
def browser():
    """A headless Chromium or Chrome."""
    program = next(filter(None, map(shutil.which, ("chromium", "google-chrome", "chrome"))), None)
    driver = shutil.which("chromedriver")
    if not program or not driver:
        if os.environ.get("REQUIRE_BROWSER"):
            pytest.fail("REQUIRE_BROWSER is set, and there is no Chromium with its driver")
        pytest.skip("no Chromium with its driver is installed")
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = program
    for flag in ("headless=new", "no-sandbox", "disable-dev-shm-usage", "window-size=1200,1400"):
        options.add_argument(f"--{flag}")
    started = webdriver.Chrome(options, webdriver.ChromeService(driver))
    yield started
    started.quit()
