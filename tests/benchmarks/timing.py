"""Times of several functions in one process, measured in turn."""

import time

import numpy as np

ROUNDS = 15
SECONDS = 6.0  # after which a slow group of functions is not repeated further
MIN_ROUNDS = 5


def measure(functions):
    """Milliseconds of each function, a list a function, one entry a round.

    Every round calls every function: whatever else the machine does hits all of them alike. The
    first of its two calls is not counted: it pays for the memory that the one before gave back.
    """
    times = {name: [] for name in functions}
    for function in functions.values():
        function()  # compiles
    started = time.perf_counter()
    for done in range(ROUNDS):
        if done >= MIN_ROUNDS and time.perf_counter() - started > SECONDS:
            break
        for name, function in functions.items():
            function()
            before = time.perf_counter()
            function()
            times[name].append(1e3 * (time.perf_counter() - before))
    return times


def quartiles(values):
    """Lower quartile, median, upper quartile."""
    return np.percentile(values, [25, 50, 75])


def summary(times):
    """Median and interquartile range."""
    low, median, high = quartiles(times)
    return {"ms": float(median), "iqr": float(high - low)}


def ratio(theirs, ours):
    """Theirs over ours: median and quartiles of the ratios, round by round."""
    low, median, high = quartiles(np.array(theirs) / np.array(ours))
    return {"ratio": float(median), "low": float(low), "high": float(high)}


def geometric_mean(values):
    """The geometric mean."""
    return float(np.exp(np.mean(np.log(values))))
