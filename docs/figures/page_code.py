"""Draws the pictures of pages by their own code: `python docs/figures/page_code.py [PAGE ...]`.

A page is named as in `docs`, without `.md`; none means all that draw. The pictures go into a folder
of the page's name in `docs/images`.
"""

import os
import re
import sys
from pathlib import Path

DOCS = Path(__file__).parents[1]
DRAWING = ("tutorial", "howto/high-resolution", "howto/points-and-boxes", "howto/volumes-and-flows")


def main(pages):
    """Runs the code of pages, each in the folder of its pictures."""
    for page in pages or DRAWING:
        text = (DOCS / f"{page}.md").read_text(encoding="utf-8")
        folder = DOCS / "images" / Path(page).name
        folder.mkdir(parents=True, exist_ok=True)
        os.chdir(folder)
        names = {}
        for code in re.findall(r"^```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE):
            exec(code, names)


if __name__ == "__main__":
    main(sys.argv[1:])
