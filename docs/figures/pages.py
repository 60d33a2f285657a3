"""Tables between a page's own marks, `<!-- table: NAME -->` and `<!-- end -->`."""

from __future__ import annotations

import re


def replaced(text, tables):
    """A page's text with its tables made anew.

    Args:
        text: The page.
        tables: A dictionary from the names of tables to their lines.

    Raises:
        ValueError: The page has not exactly one place for a table.
    """
    for name, lines in tables.items():
        pattern = rf"(<!-- table: {name} -->\n).*?(<!-- end -->)"
        table = "\n".join(lines)
        text, count = re.subn(
            pattern, lambda m, new=table: f"{m[1]}{new}\n{m[2]}", text, flags=re.DOTALL
        )
        if count != 1:
            raise ValueError(f"The page has {count} places for the table {name!r}, not one.")
    return text
