"""Every public name with its signature: `python -m tests.public_api` prints what it is now."""

import inspect

import keras_stn

MODULES = ("layers", "ops", "transforms", "regularizers", "callbacks", "visualization")


def lines():
    """A line for each public function, class and method of a class."""
    found = []
    for module_name in MODULES:
        module = getattr(keras_stn, module_name)
        for name in sorted(module.__all__):
            thing = getattr(module, name)
            path = f"keras_stn.{module_name}.{name}"
            if not inspect.isclass(thing):
                found.append(f"{path}{inspect.signature(thing)}")
                continue
            found.append(f"{path}{_without_self(thing.__init__)}")
            found += [f"{path}.{method}" for method in _methods(thing)]
    return found


def _methods(cls):
    """The public methods that this package gave the class, with their signatures."""
    found = {}
    for base in reversed(cls.__mro__):
        if base.__module__.startswith("keras_stn"):
            found.update(vars(base))
    return [
        f"{name}{_without_self(thing)}"
        for name, thing in sorted(found.items())
        if inspect.isfunction(thing) and not name.startswith("_")
    ]


def _without_self(function):
    if function is object.__init__:
        return "()"
    signature = inspect.signature(function)
    return str(signature.replace(parameters=[*signature.parameters.values()][1:]))


if __name__ == "__main__":
    print("\n".join(lines()))
