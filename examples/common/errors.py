"""What can be wrong with data and runs, said so that a user knows what to do."""

from __future__ import annotations

import errno

ADVICE = {
    errno.ENOSPC: "Make room there, or choose another --output.",
    errno.EDQUOT: "Make room there, or choose another --output.",
    errno.EACCES: "You have no permission there: choose another --output.",
    errno.EPERM: "You have no permission there: choose another --output.",
    errno.EROFS: "Nothing can be written there: choose another --output.",
    errno.EEXIST: "There is a file of this name: choose another --output.",
    errno.ENOTDIR: "A part of this path is a file: choose another --output.",
}


class DataError(Exception):
    """Data that is missing, broken or not what it claims to be."""


class RunError(Exception):
    """A run that is not there, or not in the state that the command needs."""


def explained(error):
    """What an `OSError` is about, and what to do, in a line.

    Args:
        error: The `OSError` of an output folder or a cache that cannot be written.
    """
    where = f"{error.filename}: " if error.filename else ""
    advice = ADVICE.get(error.errno, "Choose another --output.")
    return f"{where}{error.strerror or error}. {advice}"
