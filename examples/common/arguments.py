"""Types of command line arguments."""

from __future__ import annotations

import argparse
from pathlib import Path

HIGHEST = 2**32 - 1  # also of what NumPy takes as a seed


def positive(text):
    """An int of at least 1, for argparse."""
    return _whole_number(text, 1)


def seed(text):
    """An int that NumPy and the backends take as a seed, for argparse."""
    return _whole_number(text, 0)


def _whole_number(text, least):
    try:
        value = int(text)
    except ValueError:
        value = None
    if value is None or not least <= value <= HIGHEST:
        raise argparse.ArgumentTypeError(
            f"must be a whole number from {least} to {HIGHEST}, not {text!r}"
        )
    return value


def given_path(text):
    """A `Path`, for argparse; an empty string, as of a variable that is not set, is none."""
    return Path(not_empty(text))


def not_empty(text):
    """A string that is not empty, for argparse."""
    if not text.strip():
        raise argparse.ArgumentTypeError("is empty: name a file or a folder")
    return text
