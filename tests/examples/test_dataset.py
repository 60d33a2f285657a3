"""Reading the sample and official archives: what comes out, and what is said when it cannot."""

import zipfile

import numpy as np
import pytest
from PIL import Image

from common.errors import DataError
from gtsrb import archives, dataset, splits
from gtsrb.configurations import COLOR_48, GREY_32
from gtsrb.dataset import ImageSet
from gtsrb.decoding import decode
from gtsrb.preprocessing import Preprocessing


def test_sample_holds_every_class_and_shares_no_track():
    data = dataset.load_sample(GREY_32)
    assert np.bincount(data.train.labels).tolist() == [30] * 43
    assert np.bincount(data.validation.labels).tolist() == [10] * 43
    assert not set(data.train.tracks) & set(data.validation.tracks)
    assert data.train.num_tracks > 700
    assert dataset.SAMPLE.stat().st_size <= 6e6


@pytest.mark.parametrize("preprocessing", [GREY_32, COLOR_48])
def test_archives_give_the_images_they_hold(small_official, tmp_path, preprocessing):
    data = dataset.load_path(small_official, preprocessing, tmp_path)
    assert len(data.train) + len(data.validation) == dataset.TRAIN_IMAGES
    assert len(data.test) == dataset.TEST_IMAGES
    assert data.validation.num_tracks == len(data.validation) == 43
    assert not set(data.train.tracks) & set(data.validation.tracks)
    with zipfile.ZipFile(small_official / archives.TRAIN_ARCHIVE) as archive:
        name = next(n for n in archive.namelist() if n.endswith(".ppm"))
        image = preprocessing(decode(archive.read(name), name))
    everything = np.concatenate([data.train.images, data.validation.images])
    assert (everything == image).all(axis=(1, 2, 3)).any()


def test_extracted_folders_equal_the_archives(small_official, tmp_path):
    for name in (archives.TRAIN_ARCHIVE, archives.TEST_ARCHIVE, archives.TEST_LABELS_ARCHIVE):
        with zipfile.ZipFile(small_official / name) as archive:
            archive.extractall(tmp_path / "extracted")
    packed = dataset.load_path(small_official, GREY_32, None)
    for place in (tmp_path / "extracted", tmp_path / "extracted" / "GTSRB"):
        if place.name == "GTSRB":
            (tmp_path / "extracted" / archives.TEST_LABELS).rename(place / archives.TEST_LABELS)
        extracted = dataset.load_path(place, GREY_32, None)
        for part in ("train", "validation", "test"):
            a, b = getattr(packed, part), getattr(extracted, part)
            np.testing.assert_array_equal(a.labels, b.labels)
            np.testing.assert_array_equal(a.images, b.images)


def test_the_archive_itself_may_be_named(small_official):
    data = dataset.load_path(small_official / archives.TRAIN_ARCHIVE, GREY_32, None)
    assert len(data.train) + len(data.validation) == dataset.TRAIN_IMAGES


def test_cache_is_used_and_made_again_when_broken(small_official, tmp_path, monkeypatch):
    first = dataset.load_path(small_official, GREY_32, tmp_path)
    cached = sorted(tmp_path.glob("*.npz"))
    assert len(cached) == 2
    with monkeypatch.context() as patch:
        patch.setattr(dataset, "decode", None)  # would fail if anything were decoded
        again = dataset.load_path(small_official, GREY_32, tmp_path)
    np.testing.assert_array_equal(first.train.images, again.train.images)
    for path in cached:
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    mended = dataset.load_path(small_official, GREY_32, tmp_path)
    np.testing.assert_array_equal(first.train.images, mended.train.images)


def test_broken_off_cache_write_leaves_nothing(small_official, tmp_path, monkeypatch):
    def interrupted(file, **arrays):
        file.write(b"half")
        raise KeyboardInterrupt("Ctrl-C")

    monkeypatch.setattr(np, "savez", interrupted)
    with pytest.raises(KeyboardInterrupt, match="Ctrl-C"):
        dataset.load_path(small_official, GREY_32, tmp_path)
    assert not list(tmp_path.iterdir())


def test_missing_data(tmp_path):
    with pytest.raises(DataError, match=r"No GTSRB training images at .*--data full"):
        dataset.load_path(tmp_path, GREY_32, None)


def test_broken_archive(tmp_path, small_official):
    whole = (small_official / archives.TRAIN_ARCHIVE).read_bytes()
    (tmp_path / archives.TRAIN_ARCHIVE).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match=r"no complete zip archive.*fetch it again"):
        dataset.load_path(tmp_path, GREY_32, None)


def test_archive_with_damaged_image_bytes(tmp_path, small_official):
    data = bytearray((small_official / archives.TRAIN_ARCHIVE).read_bytes())
    data[2000:2100] = bytes(100)
    (tmp_path / archives.TRAIN_ARCHIVE).write_bytes(bytes(data))
    with pytest.raises(DataError, match=r"Cannot read .*ppm"):
        dataset.load_path(tmp_path, GREY_32, None)


def test_wrong_count(small_official, monkeypatch):
    monkeypatch.setattr(dataset, "TRAIN_IMAGES", 39_209)
    with pytest.raises(DataError, match=r"172 training images.*holds 39,209.*another set"):
        dataset.load_path(small_official, GREY_32, None)


def test_wrong_test_count(small_official, monkeypatch):
    monkeypatch.setattr(dataset, "TEST_IMAGES", 12_630)
    with pytest.raises(DataError, match="43 test images, not 12,630"):
        dataset.load_path(small_official, GREY_32, None)


def _copy(source, target, change):
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        for name in old.namelist():
            data = change(name, old.read(name))
            if data is not None:
                new.writestr(name, data)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda n, d: b"P6 broken" if n.endswith("0.ppm") else d, "no readable image"),
        (lambda n, d: None if n.endswith("0.ppm") else d, "Cannot read"),
        (lambda n, d: None if n.endswith("00007.csv") else d, "42 of the 43 classes"),
        (
            lambda n, d: d.replace(b"Filename;", b"Name;") if n.endswith(".csv") else d,
            "no column Filename",
        ),
        (
            lambda n, d: d.replace(b";3\r\n", b";77\r\n") if n.endswith("00003.csv") else d,
            "the class '77'. Expected a number from 0 to 42",
        ),
    ],
)
def test_archive_that_is_not_what_it_claims(tmp_path, small_official, change, message):
    _copy(small_official / archives.TRAIN_ARCHIVE, tmp_path / archives.TRAIN_ARCHIVE, change)
    with pytest.raises(DataError, match=message):
        dataset.load_path(tmp_path, GREY_32, None)


def test_split_is_by_track_of_every_class_and_depends_on_tracks_alone():
    rng = np.random.default_rng(0)
    tracks = [f"{label:05d}/{t:05d}" for label in range(43) for t in range(rng.integers(7, 80))]
    labels = [int(track[:5]) for track in tracks]
    picked = splits.validation_tracks(tracks * 30, labels * 30, 147)
    assert len(picked) == 147
    assert {int(track[:5]) for track in picked} == set(range(43))
    order = rng.permutation(len(tracks))
    again = splits.validation_tracks([tracks[i] for i in order], [labels[i] for i in order], 147)
    assert picked == again
    for label in range(43):
        share = 147 * labels.count(label) / len(tracks)
        count = sum(int(track[:5]) == label for track in picked)
        assert max(1, int(share)) <= count <= max(1, int(share) + 1)


def test_cache_tells_preprocessings_apart(small_official, tmp_path):
    shapes = [
        dataset.load_path(small_official, preprocessing, tmp_path).train.images.shape[1:]
        for preprocessing in (GREY_32, COLOR_48, GREY_32, Preprocessing(32, color=True))
    ]
    assert shapes == [(32, 32, 1), (48, 48, 3), (32, 32, 1), (32, 32, 3)]


def test_every_third_frame_of_each_track():
    labels = np.array([0] * 7 + [1] * 3 + [2] * 2)
    frames = ImageSet(np.arange(12), labels, np.array([f"track {label}" for label in labels]))
    data = dataset.Dataset("frames", frames, frames)
    thinned = data.with_every(3)
    # Back from each track's last; a track shorter than that keeps its last.
    assert thinned.train.images.tolist() == [0, 3, 6, 9, 11]
    assert thinned.train.labels.tolist() == [0, 0, 0, 1, 2]
    assert thinned.validation is frames
    assert data.with_every(1).train.images.tolist() == list(range(12))


def test_final_training_set_is_everything():
    data = dataset.load_sample(GREY_32)
    final = data.with_validation_in_training()
    assert len(final.train) == len(data.train) + len(data.validation)
    assert final.train.num_tracks == data.train.num_tracks + data.validation.num_tracks
    assert final.validation is data.validation


def test_grey_preprocessing_equalises_contrast_and_takes_any_mode():
    ramp = np.tile(np.linspace(100, 110, 50), (40, 1)).astype("uint8")
    for mode in ("L", "RGB", "RGBA", "P"):
        image = GREY_32(Image.fromarray(ramp).convert(mode))
        assert image.shape == (32, 32, 1)
        assert image.dtype == np.uint8
        assert np.ptp(image) > 3 * np.ptp(ramp)


def test_color_preprocessing_keeps_colors():
    for size in (20, 200):
        image = Image.new("RGB", (size, size + 3), (200, 30, 40))
        pixels = COLOR_48(image)
        assert pixels.shape == (48, 48, 3)
        assert pixels.dtype == np.uint8
        assert (pixels == (200, 30, 40)).all()
    assert COLOR_48(Image.new("L", (9, 9), 7)).max() == 7
