"""Draws the pictures of docs/tutorial.md by its own code: `python docs/figures/tutorial.py`."""

import os
import re
from pathlib import Path

DOCS = Path(__file__).parents[1]


def main():
    """Runs the page's code in the folder of its pictures."""
    page = (DOCS / "tutorial.md").read_text(encoding="utf-8")
    folder = DOCS / "images" / "tutorial"
    folder.mkdir(parents=True, exist_ok=True)
    os.chdir(folder)
    names = {}
    for code in re.findall(r"^```python\n(.*?)^```", page, re.DOTALL | re.MULTILINE):
        exec(code, names)


if __name__ == "__main__":
    main()
