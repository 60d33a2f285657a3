"""What tests share: seeds, hypothesis settings, what a backend leaves out, and a browser."""

import os
import shutil

# Before Keras, which may load TensorFlow.
from tests.oracle import torch  # isort: skip
import keras
import numpy as np
import pytest
from hypothesis import settings

from tests import selection

if torch:
    # On a GPU: finite differences need all bits of the networks that tests watch.
    torch.backends.cudnn.allow_tf32 = False

settings.register_profile("local", deadline=None, max_examples=25)
settings.register_profile("ci", deadline=None, max_examples=25, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "local")

BACKEND = keras.backend.backend()
collect_ignore = selection.of_other_backends(BACKEND)


def pytest_configure(config):
    """Registers the markers."""
    for marker in (
        "gradient: differentiates, which NumPy cannot",
        "once: does not depend on the backend; `python -m tests` runs it once",
    ):
        config.addinivalue_line("markers", marker)


@pytest.hookimpl(tryfirst=True)  # before pytest chooses by markers
def pytest_collection_modifyitems(config, items):
    """Marks what is run once, and leaves out what a backend cannot do or is slow at."""
    for item in items:
        if item.nodeid.startswith(selection.ONCE):
            item.add_marker("once")
            if item.get_closest_marker("gradient"):
                raise pytest.UsageError(f"{item.nodeid} differentiates: NumPy alone cannot run it")
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
    keras.utils.set_random_seed(0)
    if torch:
        torch.manual_seed(0)


@pytest.fixture(autouse=True, scope="module")
def compile_quickly(request):
    """On JAX: compiles the tests of values with few optimizations; frees what was compiled.

    Over all tests what JAX keeps would be gigabytes.
    """
    if BACKEND != "jax":
        yield
        return
    import jax

    quickly = request.node.nodeid.startswith(selection.COMPILED_QUICKLY)
    jax.config.update("jax_disable_most_optimizations", quickly)
    yield
    jax.config.update("jax_disable_most_optimizations", False)
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
