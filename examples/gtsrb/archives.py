"""The official GTSRB files, packed or extracted: finds them, checks them, lists what they hold."""

from __future__ import annotations

import csv
import io
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from common.errors import DataError

TRAIN_ARCHIVE = "GTSRB_Final_Training_Images.zip"
TEST_ARCHIVE = "GTSRB_Final_Test_Images.zip"
TEST_LABELS_ARCHIVE = "GTSRB_Final_Test_GT.zip"

TRAIN_FOLDER = "GTSRB/Final_Training/Images"
TEST_FOLDER = "GTSRB/Final_Test/Images"
TEST_LABELS = "GT-final_test.csv"

NUM_CLASSES = 43


def unreadable(path, error):
    """The `DataError` of a path that the user may not read, from its `OSError`."""
    return DataError(f"Cannot read {path} ({error.strerror}). Pass --data that you may read.")


@dataclass(frozen=True)
class Entry:
    """One image of a set: where it is, what it shows, which physical sign it was taken of."""

    path: str
    label: int
    track: str


class ImageFiles:
    """The files below a folder or in an archive, read the same way packed or extracted.

    A context manager: the archive is open until the block ends.
    """

    def __init__(self, path):
        self.path = Path(path)
        self._archive = None
        if self.path.is_dir():
            return
        try:
            self._archive = zipfile.ZipFile(self.path)
        except FileNotFoundError:
            raise DataError(f"{self.path} does not exist.") from None
        except PermissionError as error:
            raise unreadable(self.path, error) from None
        except (zipfile.BadZipFile, OSError) as error:
            raise DataError(
                f"{self.path} is no complete zip archive ({error}). Delete it and fetch it again."
            ) from None

    def names(self, suffix):
        """Names, with forward slashes, of all files with this ending."""
        if self._archive is not None:
            names = self._archive.namelist()
        else:
            names = [p.relative_to(self.path).as_posix() for p in self.path.rglob(f"*{suffix}")]
        return sorted(name for name in names if name.lower().endswith(suffix))

    def read(self, name):
        """The bytes of one file."""
        try:
            if self._archive is not None:
                return self._archive.read(name)
            return (self.path / name).read_bytes()
        # A `RuntimeError` is an encrypted file, or one compressed in a way that is not known.
        except (KeyError, OSError, RuntimeError, zipfile.BadZipFile, zlib.error) as error:
            raise DataError(
                f"Cannot read {name} in {self.path} ({error}). Fetch or extract the archive again."
            ) from None

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        if self._archive is not None:
            self._archive.close()


def training_entries(files):
    """Entries of the official training set, by its `GT-000CC.csv` files."""
    tables = [n for n in files.names(".csv") if PurePosixPath(n).name.startswith("GT-0")]
    entries = []
    for table in tables:
        folder = PurePosixPath(table).parent
        for row in read_table(files, table):
            label = _label(row, table, files)
            name = row["Filename"]
            entries.append(Entry(str(folder / name), label, f"{label:05d}/{name.split('_')[0]}"))
    labels = {entry.label for entry in entries}
    if labels != set(range(NUM_CLASSES)):
        raise DataError(
            f"{files.path} holds {len(labels)} of the {NUM_CLASSES} classes. Expected the folders "
            f"{TRAIN_FOLDER}/00000 to 00042, each with its GT-000CC.csv: the content of "
            f"{TRAIN_ARCHIVE}."
        )
    return entries


def test_entries(files, label_files):
    """Entries of the official test set; the labels come in an archive of their own."""
    tables = [n for n in label_files.names(".csv") if PurePosixPath(n).name == TEST_LABELS]
    if not tables:
        raise DataError(f"{label_files.path} holds no {TEST_LABELS}. Fetch {TEST_LABELS_ARCHIVE}.")
    images = {PurePosixPath(name).name: name for name in files.names(".ppm")}
    entries = []
    for row in read_table(label_files, tables[0]):
        name = row["Filename"]
        if name not in images:
            raise DataError(f"{files.path} lacks {name}. Fetch {TEST_ARCHIVE} again.")
        entries.append(Entry(images[name], _label(row, tables[0], label_files), name))
    return entries


def read_table(files, table):
    """The rows of an official table, as dicts."""
    text = io.StringIO(files.read(table).decode("utf-8"))
    rows = list(csv.DictReader(text, delimiter=";"))
    missing = {"Filename", "ClassId"} - set(rows[0] if rows else ())
    if missing:
        raise DataError(
            f"{table} in {files.path} has no column {' and '.join(sorted(missing))}. Expected the "
            "official table, separated by ';': Filename;Width;Height;Roi.X1;...;ClassId."
        )
    return rows


def _label(row, table, files):
    if not row["ClassId"].isdigit() or int(row["ClassId"]) >= NUM_CLASSES:
        raise DataError(
            f"{table} in {files.path} gives {row['Filename']} the class {row['ClassId']!r}. "
            f"Expected a number from 0 to {NUM_CLASSES - 1}."
        )
    return int(row["ClassId"])
