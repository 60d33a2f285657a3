"""Image files and archives that are cut short, no images, or made to do harm."""

import io
import struct
import zipfile
import zlib

import pytest
from PIL import Image

from common.errors import DataError
from gtsrb.archives import ImageFiles
from gtsrb.decoding import decode


def encoded(kind):
    out = io.BytesIO()
    Image.effect_noise((40, 40), 50).convert("RGB").save(out, kind)
    return out.getvalue()


def png_of(width, height):
    """The beginning of a PNG file that says it is of this size."""

    def chunk(name, data):
        return (
            struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0"))


@pytest.mark.parametrize("kind", ["PNG", "PPM", "JPEG", "WEBP"])
def test_whole_images_are_read(kind):
    assert decode(encoded(kind), "sign").size == (40, 40)


@pytest.mark.parametrize("kind", ["PNG", "PPM", "JPEG", "WEBP"])
@pytest.mark.parametrize("share", [0.05, 0.5, 0.9])
def test_images_cut_short_are_refused(kind, share):
    data = encoded(kind)
    with pytest.raises(DataError, match=r"^sign is no readable image \(.+\)\. Fetch it again"):
        decode(data[: int(share * len(data))], "sign")


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", r"no readable image \(empty\)"),
        (b"hello", r"no readable image \(of no format that Pillow knows\)"),
        (b"P6\n-3 4\n255\n", r"no readable image \(.+\)"),
        (png_of(60_000, 60_000), r"too large: Pillow reads at most 178,956,970 pixels\. Scale"),
        (png_of(0, 0), r"no readable image \(.+\)"),
    ],
)
def test_what_is_no_image_is_refused(data, reason):
    with pytest.raises(DataError, match=rf"^sign is .*{reason}"):
        decode(data, "sign")


@pytest.fixture
def archive(tmp_path):
    path = tmp_path / "signs.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as files:
        files.writestr("a.ppm", encoded("PPM"))
    return path


@pytest.mark.parametrize("share", [0.0, 0.3, 0.95])
def test_an_archive_cut_short_is_refused(archive, share):
    archive.write_bytes(archive.read_bytes()[: int(share * archive.stat().st_size)])
    with pytest.raises(DataError, match="is no complete zip archive"):
        ImageFiles(archive)


def changed(archive, place, value):
    """Writes two bytes into the local header and the central directory of the only file."""
    data = bytearray(archive.read_bytes())
    for signature, offset in ((b"PK\3\4", 0), (b"PK\1\2", 2)):
        start = data.index(signature) + offset
        data[start + place : start + place + 2] = struct.pack("<H", value)
    archive.write_bytes(data)


@pytest.mark.parametrize(
    ("place", "value", "reason"), [(6, 1, "encrypted"), (8, 77, "compression method")]
)
def test_an_archive_that_cannot_be_unpacked_is_refused(archive, place, value, reason):
    changed(archive, place, value)
    with pytest.raises(DataError, match=rf"Cannot read a.ppm.*{reason}.*again"):
        ImageFiles(archive).read("a.ppm")


def test_damage_inside_an_archive_is_noticed(archive):
    data = bytearray(archive.read_bytes())
    data[len(data) // 2] ^= 0xFF
    archive.write_bytes(data)
    with pytest.raises(DataError, match=r"Cannot read a\.ppm"):
        ImageFiles(archive).read("a.ppm")


def test_nothing_is_written_where_an_archive_says(tmp_path):
    path = tmp_path / "inner" / "signs.zip"
    path.parent.mkdir()
    with zipfile.ZipFile(path, "w") as files:
        files.writestr("../evil.ppm", encoded("PPM"))
    assert decode(ImageFiles(path).read("../evil.ppm"), "sign").size == (40, 40)
    assert {found.name for found in tmp_path.rglob("*")} == {"inner", "signs.zip"}
