"""What tests share: seeds, hypothesis settings, skips of the NumPy backend, and a browser."""

import collections
import os
import shutil

# torch is the float64 oracle in every backend's process, and has to be loaded before TensorFlow.
import torch  # isort: skip
import keras
import numpy as np
import pytest
from hypothesis import settings

# On a GPU: finite differences need all bits of the networks that tests watch.
torch.backends.cudnn.allow_tf32 = False

settings.register_profile("local", deadline=None, max_examples=25)
settings.register_profile("ci", deadline=None, max_examples=25, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "local")


def pytest_configure(config):
    """Registers the marker of tests that differentiate."""
    config.addinivalue_line("markers", "gradient: differentiates, which NumPy cannot")


# Where something takes seconds that elsewhere just runs, a quarter of the parameters of a test is
# enough; `ALL_PARAMETERS=1 python -m tests` runs all of them.
EXPORTED = (
    "tests/layers/test_export.py::test_in_the_formats_of_others",
    "tests/layers/test_export.py::test_options",
)
THINNED = {
    "tensorflow": EXPORTED,
    "torch": EXPORTED,
    "jax": (  # compiles for seconds
        *EXPORTED,
        "tests/ops/test_gradients.py::test_compiled_and_in_float32[bicubic",
        "tests/ops/test_gradients.py::test_to_grid_and_images[kernel-bicubic-3",
        "tests/ops/test_gradients.py::test_to_theta[kernel-bicubic-3",
        "tests/transforms/",
        "tests/callbacks/",
        "tests/test_regularizers.py",
        "tests/layers/test_families.py",
        "tests/examples/test_cost.py",
        "tests/examples/test_distorted_mnist.py",
        "tests/examples/test_distortions.py",
        "tests/examples/test_models.py",
    ),
}


def pytest_collection_modifyitems(config, items):
    """Skips on the NumPy backend what needs gradients, and thins out what a backend is slow at."""
    if not os.environ.get("ALL_PARAMETERS"):
        thin(config, items, THINNED.get(keras.backend.backend(), ()))
    if keras.backend.backend() == "numpy":
        skip = pytest.mark.skip(reason="the NumPy backend is for inference: it has no gradients")
        for item in items:
            if item.get_closest_marker("gradient"):
                item.add_marker(skip)


def thin(config, items, tests):
    """Deselects three of four parameters of every test whose name begins as one of `tests`."""
    kept, left, counts = [], [], collections.Counter()
    for item in items:
        costly = item.nodeid.startswith(tests) and hasattr(item, "callspec")
        function = item.nodeid.partition("[")[0]
        (left if costly and counts[function] % 4 else kept).append(item)
        counts[function] += 1
    items[:] = kept
    if left:
        config.hook.pytest_deselected(items=left)


@pytest.fixture(autouse=True)
def seed():
    """The same random numbers in every run."""
    keras.utils.set_random_seed(0)
    torch.manual_seed(0)


@pytest.fixture(autouse=True, scope="module")
def empty_caches():
    """Frees what JAX compiled for the tests of one module: gigabytes, over all of them."""
    yield
    if keras.backend.backend() == "jax":
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
