"""Fewer combinations of parameters, which still hold every value, or every pair of values."""

import itertools


def covering(rows, strength=2):
    """The places of some of `rows` that hold whatever `strength` columns hold together.

    Greedy: takes the row with the most combinations that no row before it has, the first of equals.

    Args:
        rows: list of tuples of hashable values, one per parameter: the combinations to choose from.
        strength: int, 0 for one of them, 1 for every value of every parameter, 2 for every pair of
            values of two parameters that `rows` hold, and so on.
    """
    combinations = [
        set(itertools.combinations(enumerate(row), min(strength, len(row)))) for row in rows
    ]
    wanted, chosen = set().union(*combinations), []
    while wanted:
        best = max(range(len(rows)), key=lambda place: len(combinations[place] & wanted))
        wanted -= combinations[best]
        chosen.append(best)
    return sorted(chosen)


def values(item):
    """What stands for a test's parameters: their `repr`, by which 1 is not True."""
    parameters = item.callspec.params
    return tuple(repr(parameters[name]) for name in sorted(parameters))


def thinned(items, strength):
    """The `items` of pytest to run, and those to leave out.

    `strength(item)` is that of the covering of its function's parameters; None keeps them all.
    """
    functions = {}
    for item in items:
        if hasattr(item, "callspec") and strength(item) is not None:
            functions.setdefault(item.nodeid.partition("[")[0], []).append(item)
    left = set()
    for group in functions.values():
        kept = covering([values(item) for item in group], strength(group[0]))
        left.update(group[place].nodeid for place in set(range(len(group))).difference(kept))
    return (
        [item for item in items if item.nodeid not in left],
        [item for item in items if item.nodeid in left],
    )
