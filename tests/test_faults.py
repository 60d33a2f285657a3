"""Every fault of `tests.faults` can be planted, and is one."""

import ast

import pytest

from tests import faults, selection
from tests.faults.__main__ import FAULTS, ROOT

pytestmark = pytest.mark.once


def test_there_are_enough_of_them_all_over_the_package():
    assert len({fault.name for fault in FAULTS}) == len(FAULTS) >= 30
    parts = {fault.file.partition("/")[0].removesuffix(".py") for fault in FAULTS}
    folders = {path.name for path in faults.PACKAGE.iterdir() if (path / "__init__.py").exists()}
    assert parts == folders | {"regularizers"}


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_a_fault_can_be_planted(fault):
    ast.parse(fault.planted())
    assert fault.text != fault.replacement
    assert set(fault.backends.split()) <= set(selection.BACKENDS)
    for path in fault.tests.split():
        assert (ROOT / "tests" / path).exists(), path


@pytest.mark.parametrize(("text", "count"), [("nowhere to be seen", 0), ("e", r"\d+")])
def test_a_fault_whose_place_has_changed_is_an_error(text, count):
    fault = faults.Fault("some fault", "regularizers.py", text, "", "", "")
    with pytest.raises(ValueError, match=rf"some fault.*exactly once.*Received: {count} times"):
        fault.planted()
