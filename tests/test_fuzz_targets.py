"""The fuzzer's targets, each briefly."""

import pytest

from tests.backend import BACKEND
from tests.fuzz.__main__ import TARGETS, main

# XLA compiles for almost every example.
EXAMPLES = {"jax": 2, "tensorflow": 4}.get(BACKEND, 10)


@pytest.mark.parametrize("target", TARGETS)
def test_nothing_is_wrong(target, tmp_path, capsys):
    journal = tmp_path / "failures.txt"
    arguments = [str(EXAMPLES), "--target", target, "--seed", "0", "--output", str(journal)]
    assert main(arguments) == 0
    assert not journal.exists()
    printed = capsys.readouterr().out
    assert f"{BACKEND}, round 1, {target}, seed 0: {EXAMPLES} examples" in printed
    assert printed.splitlines()[-1].startswith(f"{BACKEND}: 1 rounds ({target} {EXAMPLES}); 0")
