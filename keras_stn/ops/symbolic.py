"""Functions and methods as nodes of functional models.

On a symbolic `KerasTensor` a decorated function adds a node to the model instead of calculating.
Keras learns the node's shape and dtype by tracing the function itself, so that they are the real
ones, and every check of an argument holds for models, too.
"""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Callable
from typing import ParamSpec, TypeVar

import keras
import numpy as np

# Traced twice, with every unknown size as one of these and then as the next: an output size that
# differs is unknown. Small, since some backends trace by calculating, and not the number of
# coordinates or parameters of anything.
_STAND_INS = (13, 17, 19, 23, 29, 31, 37, 41, 43, 47)

_FUNCTIONS: dict[str, Callable] = {}

# A decorated function keeps its signature for type checkers and editors.
Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")


def is_symbolic(*values):
    """Whether one of `values` is a symbolic `KerasTensor`."""
    return any(isinstance(value, keras.KerasTensor) for value in values)


def as_node(
    count: int,
) -> Callable[[Callable[Parameters, Result]], Callable[Parameters, Result]]:
    """Decorates a function whose first `count` parameters are tensors, all others options."""

    def decorate(function: Callable[Parameters, Result]) -> Callable[Parameters, Result]:
        _FUNCTIONS[function.__name__] = function

        @functools.wraps(function)
        def call(*args: Parameters.args, **kwargs: Parameters.kwargs) -> Result:
            if is_symbolic(*args, *kwargs.values()):
                return add_node(function, count, args, kwargs)
            return function(*args, **kwargs)

        return call

    return decorate


def add_node(function, count, args, kwargs, owner=None):
    """A node that calls `function`, or the method of that name of `owner`, on symbolic tensors."""
    bound = inspect.signature(function).bind(*args, **kwargs)
    bound.apply_defaults()
    names = list(bound.arguments)
    tensors = {name: bound.arguments[name] for name in names[:count]}
    options = {name: _plain(bound.arguments[name]) for name in names[count:]}
    if "data_format" in options and options["data_format"] is None:
        # What it means now, not where the model will be loaded.
        options["data_format"] = keras.config.image_data_format()
    return Call(function.__name__, options, owner).symbolic_call(**tensors)


def _plain(option):
    """An option as a value that can be saved."""
    if isinstance(option, (tuple, list)):
        return tuple(map(_plain, option))
    if keras.ops.is_tensor(option) or isinstance(option, (np.ndarray, np.generic)):
        return _plain(keras.ops.convert_to_numpy(option).tolist())
    return option


@keras.saving.register_keras_serializable(package="keras_stn")
class Call(keras.Operation):
    """A call of one of the library's functions, or of a family's method, in a functional model.

    Args:
        function: The function's or the method's name.
        options: All arguments that are not tensors, by name; plain values.
        owner: The `keras_stn.transforms.Transform` whose method it is; None for a function.
        name: The node's name; None makes one of the function's.
    """

    def __init__(self, function, options=None, owner=None, name=None):
        super().__init__(name=name or f"{function}_{keras.backend.get_uid(function)}")
        self.function = function
        self.options = dict(options or {})
        self.owner = owner
        self._error = None

    def call(self, **tensors):
        function = getattr(self.owner, self.function) if self.owner else _FUNCTIONS[self.function]
        try:
            return function(**tensors, **self.options)
        except Exception as error:
            self._error = error
            raise

    def compute_output_spec(self, **tensors):
        known = repr((self.options, [getattr(x, "shape", x) for x in tensors.values()]))
        first, second = [n for n in _STAND_INS if str(n) not in known][:2]
        made = self._trace(tensors, first)
        if not any(is_symbolic(x) and None in x.shape for x in tensors.values()):
            return made
        other = self._trace(tensors, second)
        pairs = zip(made.shape, other.shape, strict=True)
        return keras.KerasTensor([a if a == b else None for a, b in pairs], dtype=made.dtype)

    def _trace(self, tensors, size):
        """The output's shape and dtype with unknown sizes as `size`."""
        # A batch that is known of one tensor is the others', too.
        batches = [x.shape[0] for x in tensors.values() if getattr(x, "shape", ())]
        batch = next((n for n in batches if n not in (None, 1)), size)

        def known(x):
            if not is_symbolic(x):
                return x
            shape = [batch if x.shape[0] is None else x.shape[0], *x.shape[1:]]
            shape = [size if n is None else n for n in shape]
            return keras.KerasTensor(shape, dtype=x.dtype)

        tensors = {name: known(x) for name, x in tensors.items()}
        try:
            # NumPy calculates, on memory that holds anything.
            with np.errstate(all="ignore"):
                return super().compute_output_spec(**tensors)
        except Exception:
            if not isinstance(self._error, (ValueError, TypeError, NotImplementedError)):
                raise
            # Keras would advise to write a `compute_output_spec`, and users know no stand-ins.
            message = re.sub(rf"\b{size}\b", "None", str(self._error))
            raise type(self._error)(message) from None

    def get_config(self):
        return {
            "function": self.function,
            "options": self.options,
            "owner": keras.saving.serialize_keras_object(self.owner),
            "name": self.name,
        }

    @classmethod
    def from_config(cls, config):
        owner = keras.saving.deserialize_keras_object(config["owner"])
        options = {name: _plain(option) for name, option in config["options"].items()}
        return cls(**{**config, "owner": owner, "options": options})
