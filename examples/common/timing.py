"""Times of things that take turns, so that what else the machine does hits all alike."""

from __future__ import annotations

import time

import numpy as np

WARMUP = 3  # turns, the first of which compile


def in_turns(functions, turns, warmup=WARMUP):
    """Seconds that each function takes at each turn, (turns, functions).

    Args:
        functions: Callables without arguments that return when the device has finished.
        turns: int, how many are measured; who is first changes from one to the next.
        warmup: int, how many come before.
    """
    seconds = np.empty((warmup + turns, len(functions)))
    for turn in range(warmup + turns):
        order = range(len(functions))
        for i in order if turn % 2 else reversed(order):
            started = time.perf_counter()
            functions[i]()
            seconds[turn, i] = time.perf_counter() - started
    return seconds[warmup:]


def quartiles(values, digits):
    """The median, the lower and the upper quartile."""
    return [round(float(np.quantile(values, q)), digits) for q in (0.5, 0.25, 0.75)]
