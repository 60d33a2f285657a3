"""Every public name with its signature: `python -m tests.public_api` prints what it is now."""

import inspect

import keras_stn

MODULES = ("layers", "ops", "transforms", "regularizers", "callbacks", "visualization")


def signatures():
    """The path and signature of each public function, constructor and method, without `self`."""
    for module_name in MODULES:
        module = getattr(keras_stn, module_name)
        for name in sorted(module.__all__):
            thing = getattr(module, name)
            path = f"keras_stn.{module_name}.{name}"
            if not inspect.isclass(thing):
                yield path, inspect.signature(thing)
                continue
            yield path, _constructor(thing)
            yield from ((f"{path}.{name}", found) for name, found in _methods(thing))


def lines():
    """A line for each, with its defaults; annotations are left to type checkers."""
    return [f"{path}{_without_annotations(signature)}" for path, signature in signatures()]


def _constructor(cls):
    if cls.__init__ is object.__init__:
        return inspect.Signature(return_annotation=None)
    return _without_self(cls.__init__)


def _methods(cls):
    """The public methods that this package gave the class, with their signatures."""
    found = {}
    for base in reversed(cls.__mro__):
        if base.__module__.startswith("keras_stn"):
            found.update(vars(base))
    return [
        (name, _without_self(thing))
        for name, thing in sorted(found.items())
        if inspect.isfunction(thing) and not name.startswith("_")
    ]


def _without_self(function):
    signature = inspect.signature(function)
    return signature.replace(parameters=[*signature.parameters.values()][1:])


def _without_annotations(signature):
    parameters = [p.replace(annotation=p.empty) for p in signature.parameters.values()]
    return inspect.Signature(parameters)


if __name__ == "__main__":
    print("\n".join(lines()))
