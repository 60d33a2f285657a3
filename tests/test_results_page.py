"""The page of GTSRB results says what the kept runs say."""

import importlib.util
import pathlib
import sys

import numpy as np
import pytest

DOCS = pathlib.Path(__file__).parents[1] / "docs"


@pytest.fixture(scope="module")
def page():
    """The script that rebuilds the page, as a module."""
    spec = importlib.util.spec_from_file_location("gtsrb_page", DOCS / "figures" / "gtsrb.py")
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_page_is_what_the_script_makes_of_the_kept_runs(page):
    text = page.PAGE.read_text()
    assert page.with_tables(text, page.read_runs(), page.read_costs()) == text


def test_every_picture_of_the_page_is_there(page):
    names = page.re.findall(r"\]\((images/[^)]+)\)", page.PAGE.read_text())
    assert names
    for name in names:
        assert (DOCS / name).exists(), name


def test_history_and_predictions_of_a_run_agree(page):
    for run in page.read_runs():
        share = 1 - run.errors / len(run.predictions)
        assert float(run.history[-1]["val_accuracy"]) == pytest.approx(share, abs=1e-9)
        assert len(run.history) == run.settings["epochs"]
        assert run.perturbed["as they are"] == run.errors


def _run(page, right, tracks):
    predictions = [
        {"track": track, "class": "1", "predicted": "1" if r else "2"}
        for r, track in zip(right, tracks, strict=True)
    ]
    return page.Run("run", {}, [], predictions, {})


def test_interval_is_by_track(page):
    """One track of 30 that only the first reads may as well have been another."""
    tracks = np.repeat(np.arange(20), 30)
    first = np.ones(600, bool)
    second = tracks != 7
    low, high = page.fewer_errors(_run(page, first, tracks), first, second)
    assert low == 0
    assert 60 <= high <= 120
    low, high = page.fewer_errors(_run(page, first, tracks), first, tracks % 2 == 0)
    assert low > 150
    assert high < 450


def test_table_without_a_place_is_an_error(page):
    with pytest.raises(ValueError, match="0 places for the table 'runs'"):
        page.replaced("no mark", "runs", [])
