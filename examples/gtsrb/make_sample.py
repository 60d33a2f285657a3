"""Makes `sample.zip`, the real GTSRB images bundled with the repository.

    python -m gtsrb.make_sample PATH      (in examples/; PATH as for `gtsrb.py --data PATH`)

Takes of each class up to 40 tracks, splits them as training splits (`splits.validation_tracks`),
and picks 30 training and 10 validation images, as evenly over the tracks as possible. The images
are the official pixels, stored as lossless WebP, in the official layout with the official tables.
"""

from __future__ import annotations

import io
import sys
import zipfile
from collections import defaultdict
from pathlib import Path, PurePosixPath

import numpy as np

from gtsrb import archives, dataset, splits
from gtsrb.decoding import decode

TRACKS = 40
TRAINING_IMAGES = 30
VALIDATION_IMAGES = 10
# Close-ups take most of the space and are shrunk to 32x32 all the same.
LARGEST_SIDE = 64
SEED = 2011


def main(path):
    """Writes the sample from the training set at `path`."""
    with (
        archives.ImageFiles(dataset.find_training_set(Path(path))) as files,
        zipfile.ZipFile(dataset.SAMPLE, "w", zipfile.ZIP_STORED) as sample,
    ):
        chosen = choose(archives.training_entries(files), sizes(files))
        tables = defaultdict(list)
        for entry in chosen:
            data = files.read(entry.path)
            name = PurePosixPath(entry.path).with_suffix(".webp")
            tables[name.parent, entry.label].append(name.name)
            _write(sample, str(name), as_webp(data, entry.path))
        for (folder, label), names in sorted(tables.items()):
            rows = "".join(f"{name};{label}\r\n" for name in sorted(names))
            _write(sample, str(folder / f"GT-{label:05d}.csv"), f"Filename;ClassId\r\n{rows}")
    print(f"{dataset.SAMPLE}: {len(chosen):,} images, {dataset.SAMPLE.stat().st_size / 1e6:.2f} MB")


def sizes(files):
    """The larger side of every training image in pixels, from the official tables."""
    found = {}
    for table in files.names(".csv"):
        for row in archives.read_table(files, table):
            side = max(int(row["Width"]), int(row["Height"]))
            found[str(PurePosixPath(table).parent / row["Filename"])] = side
    return found


def choose(entries, side):
    """The entries of the sample, in order of their paths."""
    rng = np.random.default_rng(SEED)
    frames = defaultdict(lambda: defaultdict(list))
    for entry in entries:
        if side[entry.path] <= LARGEST_SIDE:
            frames[entry.label][entry.track].append(entry)
    tracks = {
        label: rng.permutation(sorted(found))[:TRACKS].tolist()
        for label, found in sorted(frames.items())
    }
    listed = [(track, label) for label, found in tracks.items() for track in found]
    count = round(splits.SAMPLE_VALIDATION_SHARE * len(listed))
    held_out = splits.validation_tracks(*zip(*listed, strict=True), count)
    chosen = []
    for label, found in tracks.items():
        for wanted, part in (
            (TRAINING_IMAGES, [t for t in found if t not in held_out]),
            (VALIDATION_IMAGES, [t for t in found if t in held_out]),
        ):
            queues = [rng.permutation(len(frames[label][t])).tolist() for t in part]
            # One image of every track, then a second of every track, ...
            order = [
                frames[label][track][queue[i]]
                for i in range(max(map(len, queues)))
                for track, queue in zip(part, queues, strict=True)
                if i < len(queue)
            ]
            chosen += order[:wanted]
    return sorted(chosen, key=lambda entry: entry.path)


def as_webp(data, name):
    """The same pixels as lossless WebP."""
    image = decode(data, name)
    buffer = io.BytesIO()
    image.save(buffer, "WEBP", lossless=True, quality=100, method=6)
    return buffer.getvalue()


def _write(sample, name, data):
    # A fixed date: the same images give the same file.
    sample.writestr(zipfile.ZipInfo(name, (2011, 8, 1, 0, 0, 0)), data)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(sys.argv[1])
