"""The fuzzer finds, writes down and reports what is wrong, and ends when it should."""

import re
import time

import keras
import numpy as np
import pytest
from hypothesis import strategies as st

from keras_stn import transforms
from tests import reference
from tests.backend import BACKEND
from tests.fuzz import affine_grid, families, matrices, rounds
from tests.fuzz.__main__ import main


@pytest.fixture
def journal(tmp_path):
    """A file that is not there yet."""
    return tmp_path / "failures.txt"


@pytest.fixture
def fuzz(journal):
    """Runs the command line with a fixed seed; returns the exit status."""
    return lambda *arguments: main([*arguments, "--seed", "0", "--output", str(journal)])


class Clock:
    """Stands in for the module `time`: half a second passes with every look at it."""

    now = 0.0
    strftime = staticmethod(time.strftime)

    def monotonic(self):
        self.now += 0.5
        return self.now


@pytest.fixture
def clock(monkeypatch):
    """The clock that the fuzzer looks at."""
    clock = Clock()
    monkeypatch.setattr(rounds, "time", clock)
    return clock


def test_every_family_is_among_the_targets():
    subclasses = [getattr(transforms, name) for name in transforms.__all__]
    known = {c for c in subclasses if isinstance(c, type) and c is not transforms.Transform}
    assert {type(family) for family, _ in families.CASES} == known
    affine = {type(family) for family, _ in matrices.MATRICES}
    assert affine == {c for c in known if c.matrix is not transforms.Transform.matrix}


def test_what_is_wrong_is_written_down_and_the_rest_goes_on(fuzz, journal, capsys, monkeypatch):
    right = reference.affine_grid

    def wrong(theta, output_size, align_corners=True):
        return right(theta, output_size, align_corners) + (output_size[0] >= 3)

    monkeypatch.setattr(affine_grid, "SIZES", [(1, 1), (5, 1), (3, 4)])
    monkeypatch.setattr(reference, "affine_grid", wrong)
    monkeypatch.setattr(matrices, "check", lambda case: None)
    assert fuzz("200", "--target", "affine_grid", "matrices") == 1
    printed, written = capsys.readouterr().out, journal.read_text()
    assert f"A FAILURE, see {journal}" in printed
    assert "matrices, seed 1: 200 examples" in printed
    assert f"=== {BACKEND}, affine_grid, " in written
    assert "python -m tests.fuzz 200 --target affine_grid --seed 0" in written
    # The first of the sizes on which it is wrong.
    assert "case=((5,1),False,False,[[0.0,0.0,0.0,0.0,0.0,0.0]," in re.sub(r"\s", "", written)
    assert "reproduce_failure" in written
    assert "AssertionError" in written
    assert written.count("Traceback") == 1


def test_rounds_go_on_until_the_time_is_up(fuzz, journal, clock, capsys, monkeypatch):
    def wrong(case):
        raise AssertionError("always")

    monkeypatch.setattr(affine_grid, "cases", lambda: st.just("the same"))
    monkeypatch.setattr(affine_grid, "check", wrong)
    assert fuzz("--minutes", "0.2", "--target", "affine_grid") == 1
    assert clock.now > 12
    assert "round 2, affine_grid, seed 1" in capsys.readouterr().out
    # However often it is found.
    assert journal.read_text().count("Traceback") == 1


def test_a_check_that_takes_long_ends_with_the_time(fuzz, clock, capsys, monkeypatch):
    def slow(case):
        clock.now += 20

    monkeypatch.setattr(affine_grid, "check", slow)
    assert fuzz("--minutes", "1", "--target", "affine_grid") == 0
    assert "seed 0: 3 examples, " in capsys.readouterr().out


def test_a_wrong_result_of_the_library_is_found(fuzz, journal, monkeypatch):
    class Wrong(transforms.Translation):
        def compose(self, outer, inner):
            return super().compose(outer, inner) + keras.ops.cast(1e-3, "float32")

    monkeypatch.setattr(matrices, "MATRICES", [(Wrong(), 2)])
    assert fuzz("20", "--target", "matrices") == 1
    assert "case=(Wrong()," in journal.read_text()


def test_an_interrupt_ends_it_with_a_summary(fuzz, journal, capsys, monkeypatch):
    def interrupted(case):
        raise KeyboardInterrupt

    monkeypatch.setattr(affine_grid, "check", interrupted)
    assert fuzz("20", "--target", "affine_grid", "families") == 0
    printed = capsys.readouterr().out
    assert "(affine_grid 1, families 0); 0 failures" in printed
    assert not journal.exists()


def test_what_failed_before_an_interrupt_is_written_down(fuzz, journal, monkeypatch):
    calls = []

    def failing(case):
        calls.append(case)
        if len(calls) > 5:
            raise KeyboardInterrupt
        np.testing.assert_equal(1, 2)

    monkeypatch.setattr(affine_grid, "check", failing)
    assert fuzz("20", "--target", "affine_grid") == 1
    written = journal.read_text()
    assert f"a smaller example was found than {calls[0]!r}" in written
    assert "Traceback" in written


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--target", "sampler"], "invalid choice: 'sampler'"),
        (["0"], "must be above 0. Received: 0"),
        (["--minutes", "-1"], "must be above 0. Received: -1"),
        (["10", "--minutes", "1"], "not allowed with argument"),
    ],
)
def test_arguments(arguments, message, fuzz, capsys):
    with pytest.raises(SystemExit, match="2"):
        fuzz(*arguments)
    assert message in capsys.readouterr().err
