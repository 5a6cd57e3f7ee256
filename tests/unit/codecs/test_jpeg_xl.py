"""JPEG XL: the codestream without its container, the optional library, fractional levels."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from pictures import natural, psnr

from pytest_lossy.codecs.base import Encoded
from pytest_lossy.codecs.jpeg_xl import JpegXlCodec, JpegXlOptions, codestream_bytes
from pytest_lossy.errors import CodecError

imagecodecs = pytest.importorskip("imagecodecs")

FAST = JpegXlOptions(effort=3)


def test_the_file_is_a_naked_codestream() -> None:
    encoded = JpegXlCodec().encode(natural(40, 50, 0), 2)
    assert encoded.data[:2] == b"\xff\x0a"
    assert encoded.payload_bits == 8 * len(encoded.data)


def test_a_container_is_not_payload() -> None:
    image = natural(70, 50, 0)
    naked = JpegXlCodec(FAST).encode(image, 2)
    file = imagecodecs.jpegxl_encode(image, lossless=False, distance=2.0, effort=3, usecontainer=True, numthreads=1)
    assert file[4:8] == b"JXL "
    assert len(file) > len(naked.data)
    assert naked.data in file
    assert codestream_bytes(file) == len(naked.data)


def test_parts_of_a_container_count_without_their_numbers() -> None:
    parts = [b"\xff\x0aabc", b"defg", b"h"]
    file = b"\0\0\0\x0cJXL \r\n\x87\n"
    for number, part in enumerate(parts):
        file += (12 + len(part)).to_bytes(4, "big") + b"jxlp" + number.to_bytes(4, "big") + part
    file += b"\0\0\0\x0cExif\0\0\0\0"
    assert codestream_bytes(file) == sum(map(len, parts))


def test_beyond_level_5_the_container_is_left_out() -> None:
    """libjxl wraps what is longer than 262144 pixels a side, asked or not."""
    image = np.zeros((1, 262_145, 3), np.uint8)
    encoded = JpegXlCodec(JpegXlOptions(effort=1)).encode(image, 5)
    assert encoded.data[4:8] == b"JXL "
    start = encoded.data.index(b"\xff\x0a", 12)
    assert encoded.payload_bits <= 8 * (len(encoded.data) - start)
    assert encoded.payload_bits > 8 * (len(encoded.data) - 200)
    assert JpegXlCodec().decode(encoded).shape == image.shape


def test_fractional_levels_count() -> None:
    image = natural(96, 96, 1)
    codec = JpegXlCodec(FAST)
    distances = [0.1, 0.15, 0.5, 1, 1.25, 2.5]
    encoded = [codec.encode(image, distance) for distance in distances]
    sizes = [one.payload_bits for one in encoded]
    qualities = [psnr(image, codec.decode(one)) for one in encoded]
    assert sizes == sorted(sizes, reverse=True)
    assert len(set(sizes)) == len(sizes)
    assert qualities == sorted(qualities, reverse=True)


def test_the_scale_ends_where_libjxl_begins_to_scale_down() -> None:
    """There it halves the resolution and encodes more finely, so that bytes grow: not our scale, whatever the version."""
    image = natural(128, 128, 1)
    version = tuple(map(int, imagecodecs.jpegxl_version().split()[1].split(".")[:2]))
    halves = 10 if version >= (0, 12) else 20

    def size(distance: float) -> int:
        return len(imagecodecs.jpegxl_encode(image, distance=distance, lossless=False, effort=7, numthreads=1))

    assert size(halves) > 1.1 * size(halves - 0.1)
    levels = JpegXlCodec.levels
    sizes = [size(distance) for distance in (*levels.default, levels.maximum)]
    assert sizes == sorted(sizes, reverse=True)
    with pytest.raises(CodecError, match="outside"):
        JpegXlCodec().encode(image, 10)


def test_the_lightest_level_is_still_lossy() -> None:
    image = natural(64, 64, 1)
    codec = JpegXlCodec(FAST)
    assert not np.array_equal(codec.decode(codec.encode(image, 0.1)), image)
    with pytest.raises(CodecError, match=r"level 0.05 is outside 0.1..9.9"):
        codec.encode(image, 0.05)


def test_bytes_equal_the_librarys_own() -> None:
    image = natural(45, 61, 3)
    expected = imagecodecs.jpegxl_encode(image, distance=1.5, lossless=False, effort=7, numthreads=1)
    assert JpegXlCodec().encode(image, 1.5).data == bytes(expected)


def test_without_the_library_every_call_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    image = natural(8, 8, 0)
    encoded = JpegXlCodec().encode(image, 1)
    monkeypatch.setitem(sys.modules, "imagecodecs", None)
    codec = JpegXlCodec()
    for call in (lambda: codec.encode(image, 1), lambda: codec.decode(encoded), codec.fingerprint):
        with pytest.raises(CodecError, match=r"jxl: needs imagecodecs; pip install 'pytest-lossy\[jxl\]'"):
            call()


def test_a_library_without_the_format_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(imagecodecs.JPEGXL, "available", False)
    with pytest.raises(CodecError, match=r"jxl: imagecodecs .* was built without JPEGXL"):
        JpegXlCodec().encode(natural(8, 8, 0), 1)


def test_levels_are_checked_before_the_library_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "imagecodecs", None)
    with pytest.raises(CodecError, match="outside"):
        JpegXlCodec().encode(natural(8, 8, 0), 26)


def test_the_library_is_not_imported_with_the_codecs() -> None:
    code = (
        "import sys; from pytest_lossy.codecs import jpeg_xl, jpeg2000; "
        "jpeg_xl.JpegXlCodec(); jpeg2000.Jpeg2000Codec(); sys.exit('imagecodecs' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_fingerprint_names_the_libraries() -> None:
    fingerprint = JpegXlCodec().fingerprint()
    assert f"imagecodecs={imagecodecs.__version__}" in fingerprint
    assert f"libjxl={imagecodecs.jpegxl_version().split()[1]}" in fingerprint


def test_another_format_is_refused() -> None:
    with pytest.raises(CodecError, match="jxl: cannot decode"):
        JpegXlCodec().decode(Encoded(b"\xff\x4f\xff\x51" + bytes(60), 0, (8, 8, 3)))
