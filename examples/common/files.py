"""Files that are either whole or not there."""

from __future__ import annotations

import contextlib
import csv
import json
import os
from pathlib import Path


@contextlib.contextmanager
def whole_or_absent(path):
    """A temporary path beside `path`, renamed to it if the block ends without an error.

    Whatever breaks off the block (a full disk, no network, Ctrl-C) leaves `path` as it was.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".part-{os.getpid()}-{path.name}")
    try:
        yield temporary
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def save_model(model, path):
    """Saves a Keras model, never half."""
    with whole_or_absent(path) as temporary:
        model.save(temporary)


def write_json(path, value):
    """Writes a JSON file, never half."""
    with whole_or_absent(path) as temporary:
        temporary.write_text(json.dumps(value, indent=2) + "\n")


def write_csv(path, header, rows):
    """Writes a header and rows to a CSV file, never half."""
    with whole_or_absent(path) as temporary, temporary.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        writer.writerows(rows)
