"""Public names and signatures change only on purpose."""

import inspect
from pathlib import Path

import keras_stn
from tests import public_api


def test_public_names_and_signatures_are_those_on_file():
    """If this is meant: `python -m tests.public_api > tests/public_api.txt`, and the CHANGELOG."""
    on_file = (Path(__file__).parent / "public_api.txt").read_text(encoding="utf-8").splitlines()
    assert public_api.lines() == on_file


def test_defaults_after_the_first_two_arguments_are_keyword_only():
    functions = [
        thing
        for module in (keras_stn.ops, keras_stn.visualization)
        for thing in vars(module).values()
        if inspect.isfunction(thing)
    ]
    classes = [getattr(keras_stn.layers, name) for name in keras_stn.layers.__all__]
    checked = 0
    for thing in functions + [cls.__init__ for cls in classes]:
        parameters = [
            p for name, p in inspect.signature(thing).parameters.items() if name != "self"
        ]
        for parameter in parameters[2:]:
            if parameter.default is not parameter.empty:
                assert parameter.kind is parameter.KEYWORD_ONLY, (thing, parameter.name)
                checked += 1
    assert checked > 20
