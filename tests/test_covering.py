"""The choice of parameters that slow backends run: no value, no pair of values is lost."""

import importlib
import itertools
import pathlib
import types

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import selection
from tests.covering import covering, thinned

pytestmark = pytest.mark.once

ROOT = pathlib.Path(__file__).parents[1]
PARAMETRIZED = "tests/transforms/test_some_family.py"


def held(rows, strength):
    """What `strength` columns of some row hold, with the columns."""
    return {
        (columns, tuple(row[column] for column in columns))
        for row in rows
        for columns in itertools.combinations(range(len(row)), strength)
    }


@st.composite
def tables(draw):
    """Some combinations of two to four parameters of up to five values, as tests list them."""
    sizes = draw(st.lists(st.integers(1, 5), min_size=2, max_size=4))
    product = list(itertools.product(*map(range, sizes)))
    return draw(st.lists(st.sampled_from(product), unique=True, min_size=1))


@given(tables(), st.sampled_from([0, 1, 2]))
def test_nothing_is_lost(rows, strength):
    places = covering(rows, strength)
    kept = [rows[place] for place in places]
    assert held(kept, strength) == held(rows, strength)
    assert places == sorted(set(places))
    # Each was taken for something that those before it lack.
    assert len(kept) <= len(held(rows, strength))


@given(tables())
def test_it_does_not_depend_on_the_order_of_sets(rows):
    # xdist's workers choose for themselves, and text has another hash in each.
    assert covering([tuple(f"{value}" for value in row) for row in rows]) == covering(rows)


@pytest.mark.parametrize(
    ("sizes", "strength", "at_most"),
    [
        ((2, 3), 0, 1),
        ((2, 2), 1, 2),
        ((2, 5, 3), 1, 5),
        ((2, 2, 2), 2, 5),
        ((2, 5, 3, 2, 2), 2, 20),
    ],
)
def test_it_is_small(sizes, strength, at_most):
    rows = list(itertools.product(*map(range, sizes)))
    assert len(covering(rows, strength)) <= at_most


def item(name, **parameters):
    """What pytest collects, as far as it matters here."""
    found = types.SimpleNamespace(nodeid=name)
    if parameters:
        found.callspec = types.SimpleNamespace(params=parameters)
        found.nodeid += f"[{'-'.join(map(str, parameters.values()))}]"
    return found


def test_functions_are_thinned_one_by_one():
    items = [item("a::plain")]
    for name, sides in (("a::one", (1, 2)), ("a::other", (1, True))):  # True is not 1
        items += [item(name, side=side, mode=mode) for side in sides for mode in "xy"]
    kept, left = thinned(items, lambda item: 1 if "o" in item.nodeid else None)
    assert [i.nodeid for i in kept] == [
        *("a::plain", "a::one[1-x]", "a::one[2-y]", "a::other[1-x]", "a::other[True-y]")
    ]
    assert sorted(i.nodeid for i in kept + left) == sorted(i.nodeid for i in items)
    assert thinned(items, lambda item: None) == (items, [])
    kept, _ = thinned(items, lambda item: 0)
    assert [i.nodeid for i in kept] == ["a::plain", "a::one[1-x]", "a::other[1-x]"]


def test_objects_without_a_text_of_their_own_are_different_parameters():
    items = [item("a::one", fn=object()) for _ in range(2)]
    assert thinned(items, lambda item: 2) == (items, [])


def collected(function):
    """What pytest makes of a test of a module, by its `parametrize` marks."""
    choices = [()]
    for mark in getattr(function, "pytestmark", []):
        if mark.name == "parametrize":
            names, rows = mark.args
            if isinstance(names, str):
                names, rows = [names], [[row] for row in rows]
            choices = [(*one, *zip(names, row, strict=True)) for one in choices for row in rows]
    return [item(f"{PARAMETRIZED}::{function.__name__}", **dict(choice)) for choice in choices]


@pytest.mark.parametrize("module", ["test_flows", "test_matrix_families", "test_projective"])
def test_every_value_of_a_family_is_run_on_jax(module):
    # A quarter of them, as it once was, was never in three dimensions, or never without aligned
    # corners.
    module = importlib.import_module(f"tests.transforms.{module}")
    for name, function in vars(module).items():
        items = collected(function) if name.startswith("test_") else []
        kept, _ = selection.choose(items, "jax")
        for parameter in items[0].callspec.params if len(items) > 1 else ():
            runs, wanted = (
                {repr(one.callspec.params[parameter]) for one in some} for some in (kept, items)
            )
            assert runs == wanted, (name, parameter)


def test_the_longest_path_says_how_strong():
    for backend, levels in selection.STRENGTH.items():
        for path, level in levels.items():
            assert selection.strength(f"{path}[1]", backend) == level
    assert selection.strength("elsewhere/test_x.py::test_y", "jax") is None


def test_every_path_is_there():
    levels = [path for levels in selection.STRENGTH.values() for path in levels]
    for path in (*selection.ONCE, *selection.ON_ONE_BACKEND, *selection.COMPILED, *levels):
        file, _, name = path.partition("[")[0].partition("::")
        assert (ROOT / file).exists(), path
        assert f"def {name}" in (ROOT / file).read_text("utf-8") if name else True, path
    assert set(selection.PAGES) <= {page.stem for page in (ROOT / "docs").rglob("*.md")}
