"""The examples in the docstrings run and print what they say."""

import doctest
import importlib
import pkgutil

import pytest

import keras_stn

# A backend's kernel is imported on that backend only.
MODULES = sorted(
    module.name
    for module in pkgutil.walk_packages(keras_stn.__path__, "keras_stn.")
    if not module.name.startswith("keras_stn.ops.kernels.")
)


# Their examples train a model.
TRAIN = ("keras_stn.callbacks.gallery", "keras_stn.callbacks.monitor")


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=pytest.mark.gradient if name in TRAIN else ()) for name in MODULES],
)
def test_examples_of_module(name):
    module = importlib.import_module(name)
    results = doctest.testmod(module)
    assert results.failed == 0


def test_every_public_name_has_an_example_that_runs():
    finder = doctest.DocTestFinder(recurse=False)
    for module in (keras_stn, keras_stn.ops, keras_stn.visualization, keras_stn.regularizers):
        for name in module.__all__:
            thing = getattr(module, name)
            if callable(thing):
                tests = finder.find(thing, name)
                assert any(test.examples for test in tests), name
