"""A long search for inputs on which the library is wrong: `python -m tests.fuzz --help`.

A module a target: `cases()`, a hypothesis strategy, and `check(case)`, which raises where the
active backend and an oracle that is not ours differ.
"""

# Loaded before TensorFlow.
from tests.oracle import torch  # noqa: F401
