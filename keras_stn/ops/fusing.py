"""One program instead of one for each operation, where the backend compiles them anyway.

JAX, called outside `jax.jit`, compiles and starts a program for every operation and every shape.
What consists of dozens of operations is compiled as a whole instead, as JAX compiles its own
functions.

NumPy warns, as no other backend does, where such arithmetic meets an infinite theta: it is asked
not to.
"""

from __future__ import annotations

import functools
import inspect

import keras
import numpy as np

if keras.backend.backend() == "jax":
    import jax

    def fused(fn):
        """`fn`, which takes tensors by position and all else by keyword, as one program."""
        parameters = inspect.signature(fn).parameters.values()
        options = [p.name for p in parameters if p.kind is p.KEYWORD_ONLY]
        # Inlined where a caller compiles: there it is as if this were not here.
        return jax.jit(fn, static_argnames=options, inline=True)

elif keras.backend.backend() == "numpy":

    def fused(fn):
        """`fn`, as silent about what is not finite as the other backends."""

        @functools.wraps(fn)
        def silent(*args, **kwargs):
            # Anew in each call: before NumPy 2, one of these is not to be shared by threads.
            with np.errstate(invalid="ignore", over="ignore"):
                return fn(*args, **kwargs)

        return silent

else:

    def fused(fn):
        """`fn`: this backend starts its operations at little cost."""
        return fn
