"""Small archives in the official layout, made from the bundled sample's real images."""

import io
import zipfile
from pathlib import PurePosixPath

from PIL import Image

from gtsrb import archives, dataset

HEADER = "Filename;Width;Height;Roi.X1;Roi.Y1;Roi.X2;Roi.Y2;ClassId"


def sample_ppm(per_class):
    """(name, label, PPM bytes) of images of every class of the sample, of different tracks."""
    of_class = {}
    with archives.ImageFiles(dataset.SAMPLE) as files:
        for entry in archives.training_entries(files):
            of_class.setdefault(entry.label, {})[entry.track] = entry
        for label, entries in of_class.items():
            for entry in list(entries.values())[:per_class]:
                image = Image.open(io.BytesIO(files.read(entry.path)))
                buffer = io.BytesIO()
                image.convert("RGB").save(buffer, "PPM")
                yield PurePosixPath(entry.path).with_suffix(".ppm"), label, buffer.getvalue()


def write_training_archive(folder, per_class=4):
    """Writes the training archive into `folder`; returns the number of its images."""
    tables = {}
    with zipfile.ZipFile(folder / archives.TRAIN_ARCHIVE, "w") as archive:
        for path, label, data in sample_ppm(per_class):
            archive.writestr(str(path), data)
            rows = tables.setdefault(path.parent / f"GT-{label:05d}.csv", [HEADER])
            rows.append(f"{path.name};40;40;5;5;35;35;{label}")
        for table, rows in tables.items():
            archive.writestr(str(table), "\r\n".join(rows) + "\r\n")
    return sum(len(rows) - 1 for rows in tables.values())


def write_test_archives(folder, per_class=1):
    """Writes the test archives into `folder`; returns the number of images."""
    rows = [HEADER]
    with zipfile.ZipFile(folder / archives.TEST_ARCHIVE, "w") as archive:
        for i, (_, label, data) in enumerate(sample_ppm(per_class)):
            archive.writestr(f"{archives.TEST_FOLDER}/{i:05d}.ppm", data)
            rows.append(f"{i:05d}.ppm;40;40;5;5;35;35;{label}")
    with zipfile.ZipFile(folder / archives.TEST_LABELS_ARCHIVE, "w") as archive:
        archive.writestr(archives.TEST_LABELS, "\r\n".join(rows) + "\r\n")
    return len(rows) - 1
