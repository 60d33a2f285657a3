"""The arrays to train on, from the bundled sample, local archives or a download."""

from __future__ import annotations

import hashlib
import zipfile
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from tqdm import tqdm

from common.errors import DataError
from common.files import whole_or_absent
from gtsrb import archives, splits
from gtsrb.archives import ImageFiles
from gtsrb.decoding import decode
from gtsrb.preprocessing import VERSION

SAMPLE = Path(__file__).with_name("sample.zip")
TRAIN_IMAGES = 39_209
TEST_IMAGES = 12_630


@dataclass(frozen=True)
class ImageSet:
    """Images of one set: uint8 (n, size, size, channels), labels and tracks of each, (n,)."""

    images: np.ndarray
    labels: np.ndarray
    tracks: np.ndarray

    def __len__(self):
        return len(self.labels)

    def where(self, mask):
        """The part of the set for which `mask` is true."""
        return ImageSet(self.images[mask], self.labels[mask], self.tracks[mask])

    def with_images(self, images):
        """The same set with other images."""
        return replace(self, images=images)

    @property
    def num_tracks(self):
        """How many physical signs the set shows."""
        return len(set(self.tracks.tolist()))


@dataclass(frozen=True)
class Dataset:
    """What a run trains, validates and, where the test set is at hand, tests on."""

    description: str
    train: ImageSet
    validation: ImageSet
    test: ImageSet | None = None

    def with_every(self, step):
        """The same with every `step`-th frame of each track to train on, at least its last.

        Later frames are larger: the car drives towards the sign.
        """
        _, track = np.unique(self.train.tracks, return_inverse=True)
        mask = np.zeros(len(self.train), bool)
        for frames in np.split(
            np.argsort(track, kind="stable"), np.cumsum(np.bincount(track))[:-1]
        ):
            mask[frames[::-1][::step]] = True
        return replace(self, train=self.train.where(mask))

    def with_validation_in_training(self):
        """The same with all images to train on, for a final model."""
        parts = (self.train, self.validation)
        arrays = (
            np.concatenate([getattr(part, name) for part in parts])
            for name in ("images", "labels", "tracks")
        )
        return replace(self, train=ImageSet(*arrays))


def load_sample(preprocessing):
    """The real images bundled with the repository, preprocessed."""
    images = _read_training_set(SAMPLE, preprocessing, cache=None)
    count = round(splits.SAMPLE_VALIDATION_SHARE * images.num_tracks)
    return _split("the bundled sample of real GTSRB images", images, count)


def load_path(path, preprocessing, cache):
    """The official archives, or folders extracted from them, at `path`.

    Args:
        path: A folder with the official archives, the extracted folder `GTSRB`, a folder that
            holds it, or the training archive itself.
        preprocessing: What is done to every image, a `Preprocessing`.
        cache: Folder for decoded images, made if missing.
    """
    path = Path(path)
    try:
        train, test = find_training_set(path), find_test_set(path)
    except OSError as error:
        raise archives.unreadable(path, error) from None
    images = _read_training_set(train, preprocessing, cache)
    if len(images) != TRAIN_IMAGES:
        raise DataError(
            f"{train} holds {len(images):,} training images; the official archive "
            f"{archives.TRAIN_ARCHIVE} holds {TRAIN_IMAGES:,} (`GTSRB-Training_fixed.zip` is "
            "another set). Fetch the official one again."
        )
    dataset = _split(f"all of GTSRB, from {path}", images, splits.FULL_VALIDATION_TRACKS)
    if test is None:
        return dataset
    return replace(dataset, test=_read_test_set(*test, preprocessing, cache))


def find_training_set(path):
    """The training archive or the folder that holds the training images, at or below `path`."""
    if path.is_file():
        return path
    candidates = (
        path / archives.TRAIN_ARCHIVE,
        path / archives.TRAIN_FOLDER,
        path / Path(archives.TRAIN_FOLDER).relative_to("GTSRB"),
    )
    for candidate in candidates:
        if candidate.exists():
            return candidate
    raise DataError(
        f"No GTSRB training images at {path}. Expected {archives.TRAIN_ARCHIVE} or the extracted "
        f"folder {archives.TRAIN_FOLDER} there. `--data full` downloads the official archives."
    )


def find_test_set(path):
    """The places of the test images and of their labels, or None if they are not both there."""
    folder = path.parent if path.is_file() else path
    images = (
        folder / archives.TEST_ARCHIVE,
        folder / archives.TEST_FOLDER,
        folder / Path(archives.TEST_FOLDER).relative_to("GTSRB"),
    )
    labels = (
        folder / archives.TEST_LABELS_ARCHIVE,
        folder / archives.TEST_LABELS,
        folder / "GTSRB" / archives.TEST_LABELS,
    )
    found = next((p for p in images if p.exists()), None)
    found_labels = next((p for p in labels if p.exists()), None)
    if found is None or found_labels is None:
        return None
    # A table among other files is read as the folder that holds it.
    return found, found_labels.parent if found_labels.suffix == ".csv" else found_labels


def _split(description, images, count):
    picked = splits.validation_tracks(images.tracks.tolist(), images.labels.tolist(), count)
    in_validation = np.isin(images.tracks, sorted(picked))
    return Dataset(description, images.where(~in_validation), images.where(in_validation))


def _read_training_set(path, preprocessing, cache):
    with ImageFiles(path) as files:
        entries = archives.training_entries(files)
        return _decode(files, entries, preprocessing, cache, "training")


def _read_test_set(path, labels_path, preprocessing, cache):
    with ImageFiles(path) as files, ImageFiles(labels_path) as label_files:
        entries = archives.test_entries(files, label_files)
        images = _decode(files, entries, preprocessing, cache, "test")
    if len(images) != TEST_IMAGES:
        raise DataError(
            f"{path} and {labels_path} give {len(images):,} test images, not {TEST_IMAGES:,}. "
            f"Fetch {archives.TEST_ARCHIVE} and {archives.TEST_LABELS_ARCHIVE} again."
        )
    return images


def _decode(files, entries, preprocessing, cache, what):
    """Decodes and preprocesses all entries, or takes them from the cache."""
    cached = None
    if cache is not None:
        cached = Path(cache) / f"{what}-{_fingerprint(files, entries, preprocessing)}.npz"
    if cached is not None and cached.exists():
        images = _load_cached(cached)
        if images is not None and len(images) == len(entries):
            return images
    images = np.empty((len(entries), *preprocessing.shape), "uint8")
    for i, entry in enumerate(tqdm(entries, f"Reading {what} images", unit="image", disable=None)):
        images[i] = preprocessing(decode(files.read(entry.path), f"{entry.path} in {files.path}"))
    labels = np.array([entry.label for entry in entries], "int32")
    result = ImageSet(images, labels, np.array([entry.track for entry in entries]))
    if cached is not None:
        _save_cached(cached, result)
    return result


def _fingerprint(files, entries, preprocessing):
    """Changes when the source, its content or the preprocessing does."""
    stat = files.path.stat()
    parts = (str(files.path.resolve()), stat.st_size, stat.st_mtime_ns, VERSION, preprocessing)
    listing = "\n".join(f"{entry.path} {entry.label}" for entry in entries)
    return hashlib.sha256(f"{parts}\n{listing}".encode()).hexdigest()[:16]


def _load_cached(path):
    """The cached set, or None if the file is not whole: it is then made again."""
    try:
        # Of a file that is not whole, `np.load` would leave open what it has opened itself.
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            return ImageSet(arrays["images"], arrays["labels"], arrays["tracks"])
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None


def _save_cached(path, images):
    with whole_or_absent(path) as temporary, temporary.open("wb") as file:
        np.savez(file, images=images.images, labels=images.labels, tracks=images.tracks)
