"""What the methods of every family can do, whoever wrote the family.

They become nodes of functional models, take thetas with more leading axes than the batch, and let a
batch of one serve all.
"""

from __future__ import annotations

import functools
import inspect
import math
from collections.abc import Callable
from typing import Concatenate, TypeAlias, TypeVar

import numpy as np
from keras import ops

from keras_stn.ops.symbolic import Parameters, Result, add_node, is_symbolic

# The methods, and how many of their first arguments are tensors.
METHODS = {
    "grid": 1,
    "transform_points": 2,
    "transform_boxes": 2,
    "matrix": 1,
    "inverse": 1,
    "compose": 2,
}
# Tensors that are no thetas: their last two axes are not the batch's.
PLACES = ("transform_points", "transform_boxes")

Owner = TypeVar("Owner")
Method: TypeAlias = Callable[Concatenate[Owner, Parameters], Result]


def as_method(
    count: int,
) -> Callable[[Method[Owner, Parameters, Result]], Method[Owner, Parameters, Result]]:
    """Decorates a method of a family whose first `count` parameters are tensors."""

    def decorate(
        method: Method[Owner, Parameters, Result],
    ) -> Method[Owner, Parameters, Result]:
        names = list(inspect.signature(method).parameters)[1 : 1 + count]

        @functools.wraps(method)
        def call(self: Owner, *args: Parameters.args, **kwargs: Parameters.kwargs) -> Result:
            if is_symbolic(*args, *kwargs.values()):
                return add_node(method.__get__(self), count, args, kwargs, owner=self)
            given = [args[i] if i < len(args) else kwargs.get(names[i]) for i in range(count)]
            shapes = [_shape(x) for x in given]
            leading = _leading_counts(self, method.__name__, shapes)
            if min(leading) >= 1:  # else the method says what is wrong
                _check_batches(names, shapes, leading)
            if max(leading) <= 1:
                return method(self, *args, **kwargs)
            options = {name: option for name, option in kwargs.items() if name not in names}
            fold = functools.partial(method, self)
            return _with_one_leading_axis(fold, given, leading, args[count:], options)

        return call

    return decorate


def _shape(x):
    return tuple(x.shape) if hasattr(x, "shape") else np.shape(x)


def _leading_counts(family, method, shapes):
    """The number of leading axes of each tensor; none of any where one of them has too few."""
    leading = [family._count_leading(shape) for shape in shapes]
    if method in PLACES:
        leading[1] = len(shapes[1]) - 2
    return leading if min(leading) >= 1 else [0] * len(leading)


def _check_batches(names, shapes, leading):
    """Raises `ValueError` unless the leading axes are equal, or 1."""
    for sizes in zip(*(shape[:n] for shape, n in zip(shapes, leading, strict=True)), strict=False):
        several = {size for size in sizes if isinstance(size, int) and size != 1}
        if len(several) > 1:
            received = (f"{name}.shape={shape}" for name, shape in zip(names, shapes, strict=True))
            raise ValueError(
                f"`{names[0]}` and `{names[1]}` must have the same batch size, or one of them 1. "
                f"Received: {', '.join(received)}. Pass one for all, or one for each."
            )


def _with_one_leading_axis(method, tensors, leading, args, options):
    """`method` on tensors whose leading axes have been made one, and its result with all again."""
    tensors = [ops.convert_to_tensor(x) for x in tensors]
    shapes = [ops.shape(x) for x in tensors]
    depth = max(leading)
    fronts = [(*shape[:n], *[1] * (depth - n)) for shape, n in zip(shapes, leading, strict=True)]
    common = tuple(functools.reduce(_joint, sizes) for sizes in zip(*fronts, strict=True))
    flat = []
    for x, shape, n, front in zip(tensors, shapes, leading, fronts, strict=True):
        rest = shape[n:]
        if len(tensors) > 1:
            x = ops.broadcast_to(ops.reshape(x, (*front, *rest)), (*common, *rest))
        flat.append(ops.reshape(x, (math.prod(common), *rest)))
    result = method(*flat, *args, **options)
    return ops.reshape(result, (*common, *ops.shape(result)[1:]))


def _joint(size, other):
    """The size to which two broadcast."""
    if isinstance(size, int) and size == 1:
        return other
    if not ops.is_tensor(size) or (isinstance(other, int) and other == 1):
        return size
    return ops.where(size == 1, other, size)
