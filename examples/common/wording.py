"""Words that are shown to users."""

from __future__ import annotations


def counted(number, noun):
    """A number with its noun: "1 epoch", "1,290 images".

    Args:
        number: int.
        noun: str, in the singular; its plural ends in "s".
    """
    return f"{number:,} {noun}" + ("" if number == 1 else "s")
