"""Small faults, planted one by one, that the tests have to find: `python -m tests.faults --help`.

`tests/test_faults.py` sees to it that each can still be planted.
"""

from __future__ import annotations

import dataclasses
import pathlib

PACKAGE = pathlib.Path(__file__).parents[2] / "keras_stn"


@dataclasses.dataclass(frozen=True)
class Fault:
    """One mistake that somebody might make.

    Args:
        name: What it is, in a few words.
        file: Where, below `keras_stn`.
        text: What stands there now; exactly once.
        replacement: What stands there after the mistake.
        tests: Files or folders below `tests` that should see it, separated by spaces.
        backends: Those on which they should, separated by spaces.
    """

    name: str
    file: str
    text: str
    replacement: str
    tests: str
    backends: str

    def planted(self, package=PACKAGE):
        """The file's text with the mistake, or `ValueError` if the place is not to be found."""
        source = (package / self.file).read_text("utf-8")
        count = source.count(self.text)
        if count != 1:
            raise ValueError(
                f"The fault {self.name!r} must find its text exactly once in keras_stn/"
                f"{self.file}. Received: {count} times {self.text!r}. The code has changed: write "
                "text and replacement in tests/faults anew, so that the mistake stays what it was."
            )
        return source.replace(self.text, self.replacement)
