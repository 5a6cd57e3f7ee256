"""WebP: what counts as payload and header, size limits, Pillow as oracle."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pictures import natural, white_noise
from PIL import Image

from pytest_lossy.codecs.base import Encoded
from pytest_lossy.codecs.webp import MAX_SIDE, WebpCodec, WebpOptions, bitstream_bytes
from pytest_lossy.errors import CodecError


@pytest.mark.parametrize("method", [0, 4, 6])
@pytest.mark.parametrize("level", [0, 40, 100])
def test_bytes_equal_pillows_own(method: int, level: int) -> None:
    image = natural(37, 53, 1)
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, "WEBP", quality=level, method=method)
    assert WebpCodec(WebpOptions(method=method)).encode(image, level).data == stream.getvalue()


@settings(max_examples=40, deadline=None)
@given(height=st.integers(1, 60), width=st.integers(1, 60), level=st.integers(0, 100), seed=st.integers(0, 9))
def test_payload_is_the_file_without_riff(height: int, width: int, level: int, seed: int) -> None:
    encoded = WebpCodec().encode(white_noise(height, width, seed), level)
    data = encoded.data
    # RIFF's own length field covers all but the first eight bytes, the chunk's all but the first twenty.
    assert int.from_bytes(data[4:8], "little") == len(data) - 8
    assert encoded.payload_bits == 8 * int.from_bytes(data[16:20], "little") == 8 * (len(data) - 20)


def test_padding_after_a_chunk_of_odd_length_is_not_payload() -> None:
    chunks = [(b"XMP ", b"VP8"), (b"VP8 ", b"frame"), (b"EXIF", b"?"), (b"VP8 ", b"more")]
    body = b"".join(kind + len(c).to_bytes(4, "little") + c + b"\0" * (len(c) % 2) for kind, c in chunks)
    assert bitstream_bytes(b"RIFF" + (4 + len(body)).to_bytes(4, "little") + b"WEBP" + body) == len(b"framemore")


@pytest.mark.parametrize("shape", [(1, 1), (33, 70), (64, 48)])
def test_the_header_is_a_vp8_key_frames(shape: tuple[int, int]) -> None:
    """RFC 6386, 9.1: three bytes of frame tag, the start code 9d 01 2a, 14 bits each of width and height."""
    encoded = WebpCodec().encode(natural(*(max(side, 2) for side in shape), 0)[: shape[0], : shape[1]], 50)
    header = encoded.data[20 : 20 + encoded.header_bits // 8]
    assert len(header) == 10
    tag = int.from_bytes(header[:3], "little")
    assert tag & 1 == 0, "a key frame"
    assert tag >> 5 < encoded.payload_bits // 8 - 10, "the first partition fits"
    assert header[3:6] == b"\x9d\x01\x2a"
    assert (int.from_bytes(header[8:10], "little") & 0x3FFF, int.from_bytes(header[6:8], "little") & 0x3FFF) == shape


def test_metadata_of_an_extended_file_is_not_payload() -> None:
    image = natural(40, 50, 2)
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, "WEBP", quality=50, method=4, exif=b"Exif\0\0" + bytes(501), xmp=b"VP8 " * 9)
    assert stream.getvalue()[12:16] == b"VP8X"
    assert 8 * bitstream_bytes(stream.getvalue()) == WebpCodec().encode(image, 50).payload_bits


def test_payload_equals_the_packet_that_ffmpeg_reads() -> None:
    av = pytest.importorskip("av")
    for size in range(40, 48):
        encoded = WebpCodec().encode(natural(size, 51, size), 60)
        with av.open(io.BytesIO(encoded.data), format="webp_pipe") as container:
            packet = next(container.demux(video=0))
        # The demuxer hands on whole files; the chunk's length lies inside.
        assert packet.size == len(encoded.data)
        assert bytes(packet)[20:][: encoded.payload_bits // 8][3:6] == b"\x9d\x01\x2a"


@pytest.mark.parametrize("shape", [(MAX_SIDE + 1, 1, 3), (1, MAX_SIDE + 1, 3)])
def test_too_large_a_side_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(CodecError, match="larger than 16383 pixels a side"):
        WebpCodec().encode(np.zeros(shape, np.uint8), 50)


def test_the_largest_side_is_accepted() -> None:
    image = np.zeros((1, MAX_SIDE, 3), np.uint8)
    assert WebpCodec().decode(WebpCodec().encode(image, 5)).shape == image.shape


def test_pillow_without_webp_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    encoded = WebpCodec().encode(natural(8, 8, 0), 50)
    monkeypatch.setattr("PIL.features.check", lambda feature: feature != "webp")
    for call in (
        lambda: WebpCodec().encode(natural(8, 8, 0), 50),
        lambda: WebpCodec().decode(encoded),
        WebpCodec().fingerprint,
    ):
        with pytest.raises(CodecError, match=r"webp: Pillow .* was built without it"):
            call()


def test_fingerprint_names_the_library() -> None:
    from PIL import features

    assert f"libwebp={features.version('webp')}" in WebpCodec().fingerprint()


def test_a_jpeg_is_not_taken_for_a_webp() -> None:
    stream = io.BytesIO()
    Image.fromarray(natural(8, 8, 0)).save(stream, "JPEG")
    with pytest.raises(CodecError, match="cannot decode"):
        WebpCodec().decode(Encoded(stream.getvalue(), 0, (8, 8, 3)))


def test_more_effort_is_smaller_on_average() -> None:
    images = [natural(96, 96, seed) for seed in range(4)]
    fast, slow = (
        sum(WebpCodec(WebpOptions(method=method)).encode(image, 50).payload_bits for image in images)
        for method in (0, 6)
    )
    assert slow < fast
