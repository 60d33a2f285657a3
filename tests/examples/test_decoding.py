"""Pictures in every form that users have: each gives the pixels that it has in 8-bit RGB."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from common.errors import DataError
from gtsrb import dataset
from gtsrb.archives import ImageFiles
from gtsrb.configurations import COLOR_64, GREY_32
from gtsrb.decoding import decode


def _sign(mode):
    """A real sign, upright and not square, as an array."""
    with ImageFiles(dataset.SAMPLE) as files:
        name = files.names(".webp")[40]
        sign = Image.open(io.BytesIO(files.read(name))).convert("RGB")
    return np.asarray(sign.resize((41, 47)).convert(mode))


def _encoded(image, kind="PNG", **options):
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def _png16(pixels):
    """A 16-bit PNG of grey values or RGB, which Pillow cannot write in colour."""

    def chunk(name, data):
        return (
            struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        )

    height, width = pixels.shape[:2]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels)
    header = struct.pack(">IIBBBBB", width, height, 16, 2 if pixels.ndim == 3 else 0, 0, 0, 0)
    parts = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + parts


def _tiff(pixels):
    return _encoded(Image.fromarray(pixels), "TIFF")


def _same(data, expected, atol=1):
    image = decode(data, "sign")
    assert image.mode == "RGB"
    if expected.ndim == 2:
        expected = np.repeat(expected[..., None], 3, axis=-1)
    np.testing.assert_allclose(np.int32(image), np.int32(expected), atol=atol)


def test_sixteen_bits_are_scaled():
    grey, color = _sign("L"), _sign("RGB")
    _same(_png16(257 * np.uint16(grey)), grey, atol=0)
    _same(_png16(256 * np.uint16(grey)), grey)
    _same(_png16(257 * np.uint16(color)), color)
    _same(_encoded(Image.fromarray(257 * np.uint16(grey))), grey, atol=0)  # as Pillow writes it
    _same(_tiff(257 * np.uint16(grey)), grey, atol=0)
    # A picture that was made 16 bits without a thought: its values end at 255.
    _same(_png16(np.uint16(grey)), grey, atol=0)


@pytest.mark.parametrize("white", [1, 255, 65535])
def test_floats_are_scaled_by_the_white_that_they_keep_to(white):
    grey = _sign("L")
    floats = np.float32(grey / 255 * white)
    _same(_tiff(floats), grey, atol=0)
    floats[:2, :2] *= 1.05  # an overshoot
    floats[5:7, 5:7] = -0.05 * white
    expected = np.round(255 * np.clip(floats / white, 0, 1))
    _same(_tiff(floats), expected, atol=0)


def test_integers_of_32_bits_are_scaled_by_the_white_that_they_keep_to():
    grey = _sign("L")
    for white in (255, 65535, 2**31 - 1):
        pixels = np.round(grey / 255 * white).astype("int32")
        _same(_tiff(pixels), grey, atol=1)
    unsigned = np.round(grey / 255 * (2**32 - 1)).astype("uint32")
    assert unsigned.max() > 2**31  # Pillow takes it for negative
    sample_format = struct.pack("<HHI", 339, 3, 1)
    signed = _tiff(unsigned.view("int32"))
    assert sample_format + b"\2" in signed
    _same(signed.replace(sample_format + b"\2", sample_format + b"\1"), grey, atol=1)


@pytest.mark.parametrize(
    ("low", "high"), [(0.5, np.nan), (np.nan, 1), (0, np.inf), (-3, 1), (-2, 2), (0, 1e10)]
)
def test_grey_values_without_a_known_white_are_refused(low, high):
    pixels = np.full((4, 4), 0.5, "float32")
    pixels[1, 2], pixels[3, 3] = low, high
    with pytest.raises(
        DataError, match=r"^sign is no readable image \(its pixels go from .* to .*: expected black"
    ):
        decode(_tiff(pixels), "sign")


def test_palette_and_single_bits():
    quantized = Image.fromarray(_sign("RGB")).quantize(200)
    _same(_encoded(quantized), np.asarray(quantized.convert("RGB")), atol=0)
    _same(_encoded(quantized, "GIF"), np.asarray(quantized.convert("RGB")), atol=0)
    bits = Image.fromarray(_sign("L")).convert("1")
    for kind in ("PNG", "TIFF", "PPM"):
        _same(_encoded(bits, kind), 255 * np.uint8(bits), atol=0)


def test_transparent_pixels_show_white():
    color, grey = _sign("RGB"), _sign("L")
    alpha = np.zeros(grey.shape, "uint8")
    alpha[:, 10:] = 255
    alpha[:, 20:] = 100
    share = alpha[..., None] / 255
    rgba = Image.fromarray(np.dstack([color, alpha]))
    _same(_encoded(rgba), share * color + (1 - share) * 255)
    _same(_encoded(rgba, "WEBP", lossless=True, exact=True), share * color + (1 - share) * 255)
    la = Image.merge("LA", [Image.fromarray(grey), Image.fromarray(alpha)])
    _same(_encoded(la), share[..., 0] * grey + (1 - share[..., 0]) * 255)
    opaque = Image.fromarray(color).convert("RGBA")
    _same(_encoded(opaque), color, atol=0)
    # One entry of a palette, one grey value, one colour.
    quantized = Image.fromarray(color).quantize(200)
    index = np.asarray(quantized)[20, 20]
    expected = np.array(quantized.convert("RGB"))
    expected[np.asarray(quantized) == index] = 255
    _same(_encoded(quantized, transparency=int(index)), expected, atol=0)
    _same(_encoded(quantized, transparency=bytes(int(index)) + b"\0"), np.where(
        (np.asarray(quantized) <= index)[..., None], 255, np.array(quantized.convert("RGB"))
    ), atol=0)  # fmt: skip
    value = int(grey[20, 20])
    hidden = _encoded(Image.fromarray(grey), transparency=value)
    _same(hidden, np.where(grey == value, 255, grey), atol=0)
    value = tuple(map(int, color[20, 20]))
    hidden = _encoded(Image.fromarray(color), transparency=value)
    _same(hidden, np.where((color == value).all(-1, keepdims=True), 255, color), atol=0)


def test_cmyk_jpeg():
    color = _sign("RGB")
    cmyk = Image.fromarray(color).convert("CMYK")
    _same(_encoded(cmyk, "TIFF"), color, atol=0)
    _same(_encoded(cmyk, "JPEG", quality=100, subsampling=0), color, atol=6)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP"])
def test_pictures_are_turned_upright(kind):
    color = _sign("RGB")
    for orientation, operation in (
        (2, Image.Transpose.FLIP_LEFT_RIGHT),
        (3, Image.Transpose.ROTATE_180),
        (6, Image.Transpose.ROTATE_90),
        (8, Image.Transpose.ROTATE_270),
    ):
        exif = Image.Exif()
        exif[0x0112] = orientation
        stored = Image.fromarray(color).transpose(operation)
        options = {"JPEG": {"quality": 100, "subsampling": 0}, "WEBP": {"lossless": True}}
        data = _encoded(stored, kind, exif=exif, **options.get(kind, {}))
        _same(data, color, atol=6 if kind == "JPEG" else 0)
    grey = 257 * np.uint16(_sign("L"))
    turned = Image.fromarray(np.ascontiguousarray(np.rot90(grey)))
    exif[0x0112] = 6
    _same(_encoded(turned, "PNG", exif=exif), _sign("L"), atol=0)


def test_broken_metadata_is_no_matter():
    color = _sign("RGB")
    exif = b"Exif\0\0II*\0\x08\0\0\0\xff\xff\x12\x01\x03\0\x01\0\0\0"
    _same(_encoded(Image.fromarray(color), "PNG", exif=exif), color, atol=0)


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "TIFF", "PNG"])
def test_the_first_frame_is_taken(kind):
    first = Image.fromarray(_sign("RGB")).quantize(100).convert("RGB")
    options = {"lossless": True} if kind == "WEBP" else {}
    frames = [Image.new("RGB", first.size, "blue"), Image.new("RGB", first.size, "red")]
    data = _encoded(first, kind, save_all=True, append_images=frames, **options)
    _same(data, np.asarray(first), atol=0)


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (300, 1), (2, 3)])
@pytest.mark.parametrize("preprocessing", [GREY_32, COLOR_64])
def test_tiny_pictures_give_finite_pixels(size, preprocessing):
    pixels = preprocessing(decode(_encoded(Image.new("L", size, 77)), "sign"))
    assert pixels.shape == preprocessing.shape
    assert np.ptp(pixels) == 0
    if preprocessing.color:
        assert (pixels == 77).all()


def test_large_photos_are_read_without_a_warning(monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)  # warnings are errors in these tests
    _same(_encoded(Image.new("RGB", (40, 40), "red")), np.full((40, 40, 3), (255, 0, 0)), atol=0)
    with pytest.raises(
        DataError, match=r"^sign is too large: Pillow reads at most 2,000 pixels\. Sc"
    ):
        decode(_encoded(Image.new("RGB", (60, 60))), "sign")


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF", "TIFF", "BMP", "PPM", "ICO", "TGA"])
def test_damage_is_a_picture_or_a_data_error(kind):
    rng = np.random.default_rng(0)
    data = _encoded(Image.fromarray(_sign("RGB")), kind)
    lines = []
    for _ in range(60):
        broken = bytearray(data)
        for place in rng.integers(len(data) // 4, size=8):  # the head, where it hurts
            broken[place] = rng.integers(256)
        try:
            image = decode(bytes(broken), "sign")
        except DataError as error:
            lines.append(str(error))
        else:
            assert image.mode == "RGB"
    assert lines or kind in ("BMP", "PPM", "TGA")
    assert all("\n" not in line for line in lines)
