"""Fetches the official archives, once."""

from __future__ import annotations

from pathlib import Path

import keras

from common.errors import DataError
from gtsrb import archives
from gtsrb.archives import ImageFiles

URL = "https://sid.erda.dk/public/archives/daaeac0d7ce1152aea9b61d9f1e19370/"
# The md5 sums are the publisher's. There is none for the training images: their archive is checked
# as a whole zip here, and by its number of images when it is read.
MD5 = {
    archives.TRAIN_ARCHIVE: None,
    archives.TEST_ARCHIVE: "c7e4e6327067d32654124b0fe9e82185",
    archives.TEST_LABELS_ARCHIVE: "fe31e9c9270bbcd7b84b7f21a9d9d9e5",
}


def download(folder, url=URL):
    """Fetches the three archives into `folder`, unless they are there; returns the folder."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for name, md5 in MD5.items():
        _fetch(folder, url, name, md5)
    return folder


def _fetch(folder, url, name, md5):
    target = folder / name
    if target.exists():
        return
    # `get_file` writes to the name it is given as it goes; a name of its own keeps a download that
    # breaks off from being taken for the archive.
    part = folder / f"{name}.part"
    part.unlink(missing_ok=True)
    try:
        keras.utils.get_file(
            part.name,
            url + name,
            cache_subdir=str(folder.resolve()),
            file_hash=md5,
            hash_algorithm="md5" if md5 else "auto",
        )
        with ImageFiles(part):  # raises unless the archive is whole
            pass
        part.rename(target)
    except DataError as error:
        raise DataError(f"What came from {url}{name} is broken: {error}") from None
    except Exception as error:  # `get_file` raises a bare Exception for every network error
        raise DataError(
            f"Could not fetch {url}{name} ({error}). Check the network and run the command again; "
            f"or fetch it by other means, and pass its folder with --data PATH."
        ) from None
    finally:
        part.unlink(missing_ok=True)
