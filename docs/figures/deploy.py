"""Rebuilds the table of docs/deploy.md from docs/export.json: `python docs/figures/deploy.py`.

`python -m tests.benchmarks.export` measures what it shows.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parent))

from pages import replaced

DOCS = Path(__file__).parents[1]
PAGE = DOCS / "deploy.md"
RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
NAMES = {"tensorflow": "TensorFlow", "jax": "JAX", "torch": "PyTorch"}


def page(text):
    """The page with its table made anew."""
    return replaced(text, {"exports": table(json.loads((DOCS / "export.json").read_text()))})


def table(results):
    """The lines of the table."""
    batch, height, width, channels = results["shape"]
    lines = [
        f"{batch} images of {height}×{width}×{channels}; {results['weights'] / 1e3:.0f} kB of "
        f"weights in float32; {results['machine']}.",
        "",
        "| from | format | size, kB | largest difference | ms |",
        "|---|---|---|---|---|",
    ]
    for row in results["rows"]:
        lines.append(
            f"| {NAMES[row['backend']]} | {row['format']} | {row['bytes'] / 1e3:.0f} | "
            f"{difference(row['difference'])} | {row['ms']:.1f} ± {row['iqr']:.1f} |"
        )
    return lines


def difference(value):
    """As powers of ten are written on the page: 9·10⁻⁶."""
    digit, exponent = f"{value:.0e}".split("e")
    return f"{digit}·10{str(int(exponent)).translate(RAISED)}" if value else "0"


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text("utf-8")), "utf-8")
