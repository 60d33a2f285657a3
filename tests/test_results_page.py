"""The page of GTSRB results says what the kept runs say."""

import re

import numpy as np
import pytest

from tests import docs_scripts
from tests.docs_scripts import DOCS


@pytest.fixture(scope="module")
def page():
    """The script that rebuilds the page, as a module."""
    return docs_scripts.load("gtsrb")


def test_page_is_what_the_script_makes_of_the_kept_runs(page):
    text = page.PAGE.read_text()
    assert page.with_tables(text, page.read_runs(), page.read_costs()) == text


def test_every_picture_of_the_page_is_there(page):
    names = re.findall(r"\]\((images/[^)]+)\)", page.PAGE.read_text())
    assert names
    for name in names:
        assert (DOCS / name).exists(), name


def test_history_and_predictions_of_a_run_agree(page):
    runs = page.read_runs()
    assert runs
    for run in runs:
        share = 1 - run.errors / len(run.predictions)
        # In bfloat16 an image in another batch may be rounded to another class: one at most.
        one = 1.001 / len(run.predictions)
        assert float(run.history[-1]["val_accuracy"]) == pytest.approx(share, abs=one)
        assert len(run.history) == run.settings["epochs"]
        assert run.perturbed["as they are"] == run.errors


def test_interval_and_chance_are_by_track(page):
    """One track of 30 that only the first reads may as well have been another."""
    one_track = np.where(np.arange(20) == 7, 30.0, 0.0)
    low, high = page.interval(one_track)
    assert low == 0
    assert 60 <= high <= 120
    assert page.sign_flip(one_track) == 1
    every_track = np.full(20, 15.0)
    assert tuple(page.interval(every_track)) == (300, 300)
    assert page.sign_flip(every_track) < 1e-3
    assert page.sign_flip(np.zeros(20)) == 1


def test_gains_are_of_the_same_images_and_by_track(page):
    def run(predicted, tracks="aabb"):
        rows = [
            {"track": track, "class": "1", "predicted": p}
            for track, p in zip(tracks, predicted, strict=True)
        ]
        return page.Run("run", {}, [], rows, {})

    assert page.track_gains(run("1122"), run("2222")).tolist() == [2, 0]
    assert page.track_gains(run("1221"), run("2211")).tolist() == [1, -1]
    with pytest.raises(ValueError, match="different images"):
        page.track_gains(run("1111"), run("1111", "abab"))


@pytest.fixture
def seeded(page):
    """Makes runs of two signs in five pictures each, of which some are misread."""

    def run(model, seed, wrong, every=6, rotated=0):
        truth = [("a", "1")] * 5 + [("b", "2")] * 5
        rows = [
            {"track": track, "class": label, "predicted": "0" if i < wrong else label}
            for i, (track, label) in enumerate(truth)
        ]
        settings = {"model": model, "every": every, "seed": seed}
        perturbed = {"as they are": wrong, "rotated": rotated}
        return page.Run(f"{model}-every{every}-seed{seed}", settings, [], rows, perturbed)

    return run


def test_seeds_are_put_together_where_nothing_else_differs(page, seeded):
    runs = [seeded("stn", 1, 3), seeded("idsia", 0, 4), seeded("stn", 0, 1), seeded("stn", 2, 0, 1)]
    _, _, *rows = page.seeds_table(runs)
    assert rows == ["| stn-every6 | 0, 1 | **80.00 ± 14.14 %** | 1, 3 |"]


def test_pairs_are_of_the_same_seed(page, seeded):
    # The constant one has another seed beside, which tells nothing about the pair.
    runs = [
        *(seeded("stn", seed, wrong) for seed, wrong in ((0, 1), (1, 3))),
        *(seeded("constant", seed, wrong) for seed, wrong in ((0, 5), (1, 4), (2, 10))),
    ]
    _, _, row = page.seed_pairs_table(runs)
    assert row.startswith("| stn-every6 | constant-every6 | 4, 1 | 2.5 (-17 to 22) |")


def test_perturbed_signs_are_compared_in_points(page, seeded):
    runs = [
        *(seeded("stn", seed, 0, rotated=1) for seed in range(3)),
        *(seeded("constant", seed, 0, rotated=2 + seed) for seed in range(3)),
    ]
    header, _, row = page.seed_perturbed_table(runs)
    assert header == "| with | without | rotated |"
    # Of ten pictures 1, 2 and 3 fewer: 20 points, and ten times the textbook's half interval.
    assert row == "| stn-every6 | constant-every6 | 20.0 (-4.8 to 44.8) |"


def test_interval_over_seeds_is_students():
    """The textbook's: mean 2, standard error 1 / sqrt(3), t 4.303 at two degrees of freedom."""
    low, high = docs_scripts.load("gtsrb").student_interval([1, 2, 3])
    assert (low, high) == pytest.approx((2 - 2.484, 2 + 2.484), abs=1e-3)


def test_table_without_a_place_is_an_error(page):
    with pytest.raises(ValueError, match="0 places for the table 'runs'"):
        page.replaced("no mark", {"runs": []})
