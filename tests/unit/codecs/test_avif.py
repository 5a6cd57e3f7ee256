"""AVIF: payload and header against ffmpeg's demuxer and bitstream filter, threads, limits, Pillow as oracle."""

from __future__ import annotations

import io
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from pictures import natural, psnr, white_noise
from PIL import AvifImagePlugin, Image, features

from pytest_lossy.codecs.avif import MAX_PIXELS, MAX_SIDE, AvifCodec, AvifOptions, frame_bytes, item_data
from pytest_lossy.codecs.base import UInt8Array
from pytest_lossy.codecs.iso_boxes import boxes
from pytest_lossy.errors import CodecError

FAST = AvifOptions(speed=9)
SUBSAMPLINGS = ("4:4:4", "4:2:2", "4:2:0")


def save(image: UInt8Array, **options: object) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, "AVIF", **options)
    return stream.getvalue()


@pytest.mark.parametrize("subsampling", SUBSAMPLINGS)
def test_bytes_equal_pillows_own(subsampling: str) -> None:
    image = natural(37, 53, 1)
    ours = AvifCodec(AvifOptions(speed=9, subsampling=subsampling)).encode(image, 40).data
    assert ours == save(image, quality=40, speed=9, subsampling=subsampling, max_threads=1)


def test_default_options_equal_pillows_defaults() -> None:
    image = natural(40, 40, 1)
    assert AvifCodec().encode(image, 75).data == save(image, quality=75)


def test_bytes_do_not_depend_on_pillows_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where libavif tiles by threads, 8 threads split an image of this size."""
    image = np.tile(natural(256, 256, 0), (3, 4, 1))
    alone = AvifCodec(AvifOptions(speed=10)).encode(image, 30).data
    monkeypatch.setattr(AvifImagePlugin, "DEFAULT_MAX_THREADS", 8)
    assert AvifCodec(AvifOptions(speed=10)).encode(image, 30).data == alone
    assert save(image, quality=30, speed=10, max_threads=8, codec="aom") != alone


def test_decoding_uses_one_thread_and_leaves_pillow_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(AvifImagePlugin, "DEFAULT_MAX_THREADS", 7)
    seen: list[int] = []
    original = AvifImagePlugin._get_default_max_threads

    def spy() -> int:
        seen.append(original())
        return seen[-1]

    codec = AvifCodec(FAST)
    images = [natural(64, 64 + seed, seed) for seed in range(8)]
    encoded = [codec.encode(image, 50) for image in images]
    expected = [np.asarray(Image.open(io.BytesIO(one.data))) for one in encoded]
    monkeypatch.setattr(AvifImagePlugin, "_get_default_max_threads", spy)
    with ThreadPoolExecutor(4) as pool:
        decoded = list(pool.map(codec.decode, encoded))
    assert seen == [1] * 8
    assert AvifImagePlugin.DEFAULT_MAX_THREADS == 7
    assert all(np.array_equal(one, other) for one, other in zip(decoded, expected, strict=True))


def test_a_failed_decode_leaves_pillow_as_it_was() -> None:
    before = AvifImagePlugin.DEFAULT_MAX_THREADS
    encoded = AvifCodec(FAST).encode(natural(8, 8, 0), 50)
    with pytest.raises(CodecError):
        AvifCodec().decode(type(encoded)(b"", 0, encoded.shape))
    assert before == AvifImagePlugin.DEFAULT_MAX_THREADS
    assert AvifCodec().decode(encoded).shape == encoded.shape


SIZES = [(1, 1), (7, 40), (64, 64), (65, 130)]


@pytest.mark.parametrize("level", [5, 60, 100])
@pytest.mark.parametrize("shape", SIZES)
def test_payload_is_the_packet_that_ffmpeg_demuxes(shape: tuple[int, int], level: int) -> None:
    av = pytest.importorskip("av")
    encoded = AvifCodec(FAST).encode(white_noise(*shape, 0), level)
    with av.open(io.BytesIO(encoded.data)) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
    assert [8 * packet.size for packet in packets] == [encoded.payload_bits]


@pytest.mark.parametrize("level", [5, 60, 100])
@pytest.mark.parametrize("shape", SIZES)
def test_header_is_what_ffmpegs_frame_filter_drops(shape: tuple[int, int], level: int) -> None:
    """``filter_units`` parses OBUs on its own; with type 6 alone it leaves the frame, header byte and size included."""
    av = pytest.importorskip("av")
    encoded = AvifCodec(FAST).encode(white_noise(*shape, 0), level)
    with av.open(io.BytesIO(encoded.data)) as container:
        stream = container.streams.video[0]
        keep = av.BitStreamFilterContext("filter_units=pass_types=6", stream)
        kept = b"".join(bytes(out) for packet in container.demux(stream) if packet.size for out in keep.filter(packet))
    frame = (encoded.payload_bits - encoded.header_bits) // 8
    size_bytes = max(1, -(-frame.bit_length() // 7))  # leb128 holds seven bits a byte
    assert len(kept) == 1 + size_bytes + frame


def test_payload_is_what_the_item_location_box_says() -> None:
    data = AvifCodec(FAST).encode(natural(50, 60, 0), 50).data
    start = data.index(b"iloc")
    # Version 0, offsets and lengths of 4 bytes, no base offset, one item of one extent (ISO/IEC 14496-12, 8.11.3).
    assert data[start + 4 : start + 12] == bytes.fromhex("00000000 4400 0001".replace(" ", ""))
    offset, length = (int.from_bytes(data[start + at : start + at + 4], "big") for at in (18, 22))
    assert item_data(data) == data[offset : offset + length]


def test_the_colour_box_says_bt601_full_range() -> None:
    data = AvifCodec(FAST).encode(natural(16, 16, 0), 50).data
    start = data.index(b"nclx") + 4
    primaries, transfer, matrix = (int.from_bytes(data[start + 2 * k : start + 2 * k + 2], "big") for k in range(3))
    assert (primaries, transfer, matrix, data[start + 6] >> 7) == (1, 13, 6, 1)


def test_frames_are_told_from_other_units() -> None:
    def unit(kind: int, body: bytes, *, extension: bool = False) -> bytes:
        assert len(body) < 128 * 128
        size = bytes([len(body)]) if len(body) < 128 else bytes([len(body) % 128 | 128, len(body) // 128])
        return bytes([kind << 3 | extension << 2 | 2]) + b"\x08" * extension + size + body

    temporal, sequence, metadata = unit(2, b""), unit(1, bytes(11)), unit(5, b"\x32" * 40)
    assert frame_bytes(temporal + sequence + metadata) == 0
    assert frame_bytes(temporal + sequence + unit(6, bytes(300)) + metadata) == 300
    assert frame_bytes(unit(3, bytes(9)) + unit(4, bytes(200), extension=True) + unit(4, bytes(5))) == 205
    assert frame_bytes(sequence + bytes([6 << 3]) + bytes(77)) == 77, "without a size the last unit reaches to the end"
    assert frame_bytes(b"") == 0


def test_boxes_with_long_and_open_sizes() -> None:
    plain = b"\0\0\0\x0cfreeabcd"
    long = b"\0\0\0\x01mdat" + (19).to_bytes(8, "big") + b"xyz"
    rest = b"\0\0\0\0mdat" + b"to the end"
    assert list(boxes(plain + long + rest)) == [(b"free", b"abcd"), (b"mdat", b"xyz"), (b"mdat", b"to the end")]
    assert item_data(plain + long + rest) == b"xyzto the end"
    for damaged in (plain[:-1], long[:-1], b"\0\0\0\x07free", b"\0\0"):
        with pytest.raises(CodecError, match=r"box .* at byte 0"):
            list(boxes(damaged))


@pytest.mark.parametrize("shape", [(MAX_SIDE + 1, 1, 3), (1, MAX_SIDE + 1, 3)])
def test_too_large_a_side_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(CodecError, match="larger than 32768 pixels a side"):
        AvifCodec().encode(np.zeros(shape, np.uint8), 50)


def test_too_many_pixels_are_refused() -> None:
    image = np.broadcast_to(np.zeros((1, 1, 3), np.uint8), (16_385, 16_384, 3))
    with pytest.raises(CodecError, match=f"more than {MAX_PIXELS} pixels"):
        AvifCodec().encode(image, 50)


def test_the_largest_side_is_accepted() -> None:
    image = np.zeros((1, MAX_SIDE, 3), np.uint8)
    codec = AvifCodec(AvifOptions(speed=10))
    assert codec.decode(codec.encode(image, 5)).shape == image.shape


def test_444_keeps_colour_edges_that_420_blurs() -> None:
    image = np.zeros((32, 32, 3), dtype=np.uint8)
    image[:, ::2] = (255, 0, 0)
    image[:, 1::2] = (0, 0, 255)
    fidelity = [
        psnr(image, (codec := AvifCodec(AvifOptions(speed=9, subsampling=kind))).decode(codec.encode(image, 95)))
        for kind in ("4:2:0", "4:4:4")
    ]
    assert fidelity[1] > fidelity[0] + 10


def test_pillow_without_avif_or_its_encoder_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pytest_lossy.codecs.avif.ENCODER", "rav1e")
    if not features.check("avif") or AvifImagePlugin._avif.encoder_codec_available("rav1e"):
        pytest.skip("this Pillow has rav1e")
    with pytest.raises(CodecError, match="avif: cannot encode 8x8: Invalid saving codec"):
        AvifCodec().encode(natural(8, 8, 0), 50)
    monkeypatch.setattr("PIL.features.check", lambda feature: feature != "avif")
    with pytest.raises(CodecError, match=r"avif: Pillow .* was built without it"):
        AvifCodec().fingerprint()


def test_fingerprint_names_library_encoder_and_decoder() -> None:
    fingerprint = AvifCodec().fingerprint()
    assert f"libavif={features.version('avif')}" in fingerprint
    versions = dict(part.split("=", 1) for part in fingerprint[5:-1].split(","))
    # codec_versions() reads "dav1d [dec]:1.5.3, aom [enc]:3.14.1".
    for coder in ("aom", "dav1d"):
        assert f":{versions[coder]}" in AvifImagePlugin._avif.codec_versions()
