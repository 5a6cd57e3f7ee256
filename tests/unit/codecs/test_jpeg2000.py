"""JPEG 2000: the target PSNR, the transforms, packets against other walks of the codestream."""

from __future__ import annotations

import io
import re
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pictures import natural, psnr, white_noise
from PIL import Image, features

from pytest_lossy.codecs.jpeg2000 import Jpeg2000Codec, Jpeg2000Options, packet_bytes
from pytest_lossy.data.mini_segmentation import MiniSegmentation
from pytest_lossy.errors import CodecError

imagecodecs = pytest.importorskip("imagecodecs")


def packets_by_search(codestream: bytes) -> int:
    """Coded data never holds two bytes above ff8f (T.800, B.10.1 and C.2), so markers can be found by search."""
    found = re.findall(rb"\xff\x93(.*?)(?=\xff\x90\x00\x0a|\xff\xd9\Z)", codestream, re.DOTALL)
    return sum(map(len, found))


@pytest.mark.parametrize("level", [22, 27.5, 30, 36, 42, 44])
def test_the_level_is_the_psnr(level: float) -> None:
    codec = Jpeg2000Codec()
    images = [MiniSegmentation("val", 2).load(0).media, natural(120, 160, 0), white_noise(100, 100, 0)]
    for image in images:
        assert psnr(image, codec.decode(codec.encode(image, level))) == pytest.approx(level, abs=1)


def test_fractional_levels_count() -> None:
    image = natural(100, 100, 0)
    sizes = [Jpeg2000Codec().encode(image, level).payload_bits for level in (27, 27.25, 27.5, 28)]
    assert sizes == sorted(sizes)
    assert len(set(sizes)) == 4


def test_the_codestream_is_raw_irreversible_and_transforms_colour() -> None:
    data = Jpeg2000Codec().encode(natural(256, 300, 0), 30).data
    assert data[:4] == b"\xff\x4f\xff\x51", "SOC and SIZ, no JP2 signature box"
    style = data[data.index(b"\xff\x52") :]
    # T.800, A.6.1: Scod, progression, layers, component transform; levels, block sizes, style, wavelet.
    assert style[8] == 1, "component transform on"
    assert style[9] == 5, "levels of decomposition"
    assert style[13] == 0, "9/7 irreversible"


def test_resolutions_are_the_levels_of_decomposition_plus_one() -> None:
    data = Jpeg2000Codec(Jpeg2000Options(resolutions=3)).encode(natural(256, 300, 0), 30).data
    assert data[data.index(b"\xff\x52") + 9] == 2
    small = Jpeg2000Codec(Jpeg2000Options(resolutions=3)).encode(natural(17, 300, 0), 30).data
    assert small[small.index(b"\xff\x52") + 9] == 1, "the coarsest keeps at least 8 pixels a side"


@settings(max_examples=40, deadline=None)
@given(height=st.integers(1, 80), width=st.integers(1, 80), level=st.floats(20, 50), seed=st.integers(0, 9))
def test_packets_equal_a_search_for_markers(height: int, width: int, level: float, seed: int) -> None:
    encoded = Jpeg2000Codec().encode(white_noise(height, width, seed), level)
    assert encoded.payload_bits == 8 * len(encoded.data)
    assert encoded.payload_bits - encoded.header_bits == 8 * packets_by_search(encoded.data)


@pytest.mark.skipif(not features.check("jpg_2000"), reason="this Pillow has no JPEG 2000")
@pytest.mark.parametrize("tile", [(16, 16), (32, 20), (64, 64)])
def test_packets_of_many_tiles(tile: tuple[int, int]) -> None:
    stream = io.BytesIO()
    Image.fromarray(natural(64, 48, 0)).save(stream, "JPEG2000", no_jp2=True, tile_size=tile, irreversible=True)
    data = stream.getvalue()
    tiles = -(-48 // tile[0]) * -(-64 // tile[1])
    assert data.count(b"\xff\x90\x00\x0a") == tiles
    assert packet_bytes(data) == packets_by_search(data)


def test_a_tile_part_of_unknown_length_reaches_to_the_end() -> None:
    data = bytearray(Jpeg2000Codec().encode(natural(40, 40, 0), 30).data)
    expected = packet_bytes(bytes(data))
    start = data.index(b"\xff\x90\x00\x0a")
    data[start + 6 : start + 10] = bytes(4)
    assert packet_bytes(bytes(data)) == expected


@pytest.mark.skipif(not features.check("jpg_2000"), reason="this Pillow has no JPEG 2000")
@pytest.mark.parametrize("level", [21, 30, 42])
def test_pillows_openjpeg_keeps_the_same_picture(level: int) -> None:
    image = natural(256, 270, 5)
    codec = Jpeg2000Codec()
    stream = io.BytesIO()
    Image.fromarray(image).save(
        stream, "JPEG2000", no_jp2=True, quality_mode="dB", quality_layers=[level], irreversible=True, mct=1
    )
    with Image.open(stream) as other:
        theirs = np.asarray(other)
    # Two builds of one library with another order of packets; usually every pixel is equal.
    with np.errstate(divide="ignore"):
        fidelity = psnr(codec.decode(codec.encode(image, level)), theirs)
    assert fidelity > 45


def test_without_the_library_every_call_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    image = natural(8, 8, 0)
    encoded = Jpeg2000Codec().encode(image, 30)
    monkeypatch.setitem(sys.modules, "imagecodecs", None)
    codec = Jpeg2000Codec()
    for call in (lambda: codec.encode(image, 30), lambda: codec.decode(encoded), codec.fingerprint):
        with pytest.raises(CodecError, match=r"jpeg2000: needs imagecodecs; pip install 'pytest-lossy\[jxl\]'"):
            call()


def test_fingerprint_names_the_libraries() -> None:
    fingerprint = Jpeg2000Codec().fingerprint()
    assert f"imagecodecs={imagecodecs.__version__}" in fingerprint
    assert f"openjpeg={imagecodecs.jpeg2k_version().split()[1]}" in fingerprint
