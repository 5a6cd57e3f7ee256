"""JPEG: shapes, determinism, Pillow and ITU-T T.81 as oracles, refusals."""

from __future__ import annotations

import io
import itertools
import multiprocessing
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pictures import natural, psnr, white_noise
from PIL import Image

from pytest_lossy.codecs.base import Encoded, Media
from pytest_lossy.codecs.jpeg import MAX_SIDE, JpegCodec, JpegOptions, entropy_coded_bytes
from pytest_lossy.codecs.registry import build_codec
from pytest_lossy.errors import CodecError

SUBSAMPLINGS = ("4:4:4", "4:2:2", "4:2:0")
OPTIONS = [
    JpegOptions(subsampling=subsampling, progressive=progressive, optimize=optimize)
    for subsampling, progressive, optimize in itertools.product(SUBSAMPLINGS, (False, True), (False, True))
]
options = st.sampled_from(OPTIONS)


def encode_in_another_process(arguments: tuple[int, int]) -> bytes:
    seed, level = arguments
    return JpegCodec().encode(natural(48, 40, seed), level).data


@settings(max_examples=150, deadline=None)
@given(
    height=st.integers(1, 70),
    width=st.integers(1, 70),
    level=st.integers(1, 100),
    option=options,
    seed=st.integers(0, 9),
    noisy=st.booleans(),
)
def test_round_trip_keeps_shape_and_type(
    height: int, width: int, level: int, option: JpegOptions, seed: int, noisy: bool
) -> None:
    codec = JpegCodec(option)
    image = (white_noise if noisy else natural)(max(height, 2), max(width, 2), seed)[:height, :width]
    encoded = codec.encode(image, level)
    decoded = codec.decode(encoded)
    assert decoded.shape == image.shape == encoded.shape
    assert decoded.dtype == np.uint8
    assert encoded.payload_bits == 8 * len(encoded.data)
    assert 0 < encoded.header_bits < encoded.payload_bits


@pytest.mark.parametrize("option", OPTIONS, ids=str)
def test_bytes_equal_pillows_own(option: JpegOptions) -> None:
    image = natural(37, 53, 1)
    stream = io.BytesIO()
    Image.fromarray(image).save(
        stream,
        "JPEG",
        quality=40,
        subsampling=option.subsampling,
        progressive=option.progressive,
        optimize=option.optimize,
    )
    assert JpegCodec(option).encode(image, 40).data == stream.getvalue()


def test_default_options_equal_pillows_defaults() -> None:
    image = natural(33, 65, 2)
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, "JPEG", quality=75)
    assert JpegCodec().encode(image, 75.0).data == stream.getvalue()


def test_pixels_equal_pillows_own() -> None:
    codec = JpegCodec()
    encoded = codec.encode(natural(50, 70, 3), 20)
    with Image.open(io.BytesIO(encoded.data)) as image:
        assert np.array_equal(codec.decode(encoded), np.asarray(image.convert("RGB")))


@pytest.mark.parametrize("level", [90, 100])
def test_a_large_noisy_image_fits_the_encoders_buffer(level: int, monkeypatch: pytest.MonkeyPatch) -> None:
    # python-pillow/Pillow#148: "Suspension not allowed here", "broken data stream when writing image file".
    monkeypatch.setattr("PIL.ImageFile.MAXBLOCK", 65_536)
    image = white_noise(400, 400, 0)
    codec = JpegCodec(JpegOptions(subsampling="4:4:4", progressive=True, optimize=True))
    plain = JpegCodec(JpegOptions(subsampling="4:4:4"))
    encoded = codec.encode(image, level)
    assert np.array_equal(codec.decode(encoded), plain.decode(plain.encode(image, level)))


def test_ten_repetitions_give_the_same_bytes() -> None:
    image = natural(64, 64, 4)
    assert len({JpegCodec().encode(image, 30).data for _ in range(10)}) == 1


def test_threads_give_the_same_bytes() -> None:
    codec = JpegCodec(JpegOptions(optimize=True))
    images = [natural(48, 56, seed) for seed in range(8)]
    alone = [codec.encode(image, 25).data for image in images]
    with ThreadPoolExecutor(4) as pool:
        for _ in range(3):
            assert list(pool.map(lambda image: codec.encode(image, 25).data, images)) == alone


def test_processes_give_the_same_bytes() -> None:
    jobs = [(5, 15), (6, 90)]
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        assert pool.map(encode_in_another_process, jobs) == [encode_in_another_process(job) for job in jobs]


def test_decoding_twice_gives_the_same_pixels() -> None:
    codec = JpegCodec()
    encoded = codec.encode(natural(40, 40, 8), 10)
    assert np.array_equal(codec.decode(encoded), codec.decode(encoded))


@pytest.mark.parametrize("subsampling", SUBSAMPLINGS)
def test_rate_and_quality_rise_with_q(subsampling: str) -> None:
    codec = JpegCodec(JpegOptions(subsampling=subsampling))
    images = [natural(96, 128, seed) for seed in range(4)]
    sizes, qualities = [], []
    for level in (2, 5, 10, 20, 40, 60, 80, 95, 100):
        encoded = [codec.encode(image, level) for image in images]
        sizes.append(np.mean([one.payload_bits for one in encoded]))
        qualities.append(np.mean([psnr(image, codec.decode(one)) for image, one in zip(images, encoded, strict=True)]))
    assert all(np.diff(sizes) > 0)
    assert all(np.diff(qualities) > 0)
    assert qualities[-1] - qualities[0] > 3


def test_444_keeps_colour_edges_that_420_blurs() -> None:
    image = np.zeros((32, 32, 3), dtype=np.uint8)
    image[:, ::2] = (255, 0, 0)
    image[:, 1::2] = (0, 0, 255)
    fidelity = [
        psnr(image, (codec := JpegCodec(JpegOptions(subsampling=kind))).decode(codec.encode(image, 95)))
        for kind in ("4:2:0", "4:4:4")
    ]
    assert fidelity[1] > fidelity[0] + 10


def test_channels_are_not_exchanged() -> None:
    image = np.zeros((16, 16, 3), dtype=np.uint8)
    image[:] = (200, 40, 10)
    codec = JpegCodec()
    assert np.allclose(codec.decode(codec.encode(image, 95)).reshape(-1, 3), (200, 40, 10), atol=4)


@pytest.mark.parametrize("subsampling", SUBSAMPLINGS)
@pytest.mark.parametrize(("progressive", "optimize"), [(True, False), (False, True), (True, True)])
def test_progressive_and_optimize_keep_the_pixels(subsampling: str, progressive: bool, optimize: bool) -> None:
    image = natural(45, 61, 9)
    plain = JpegCodec(JpegOptions(subsampling=subsampling))
    other = JpegCodec(JpegOptions(subsampling=subsampling, progressive=progressive, optimize=optimize))
    for level in (5, 50, 95):
        first, second = plain.encode(image, level), other.encode(image, level)
        assert first.data != second.data
        assert np.array_equal(plain.decode(first), other.decode(second))


def test_optimize_is_not_larger() -> None:
    image = natural(96, 96, 10)
    optimized = JpegCodec(JpegOptions(optimize=True)).encode(image, 50).payload_bits
    assert optimized < JpegCodec().encode(image, 50).payload_bits


def scan_bytes_by_walking(data: bytes) -> int:
    """T.81 annex B, byte by byte: an independent count of what is neither marker, segment nor table."""
    position, inside, count = 2, False, 0
    while position < len(data):
        if inside:
            if data[position] == 0xFF and data[position + 1] != 0x00 and not 0xD0 <= data[position + 1] <= 0xD7:
                inside = False
                continue
            count += 1
            position += 1
            continue
        assert data[position] == 0xFF
        marker = data[position + 1]
        if marker == 0xD9:
            break
        position += 2 + (data[position + 2] << 8 | data[position + 3])
        inside = marker == 0xDA
    return count


@settings(max_examples=60, deadline=None)
@given(
    side=st.integers(1, 64),
    level=st.integers(1, 100),
    option=options,
    seed=st.integers(0, 5),
    noisy=st.booleans(),
)
def test_picture_bytes_equal_an_independent_walk(
    side: int, level: int, option: JpegOptions, seed: int, noisy: bool
) -> None:
    image = (white_noise if noisy else natural)(side + 1, 40, seed)
    encoded = JpegCodec(option).encode(image, level)
    picture = scan_bytes_by_walking(encoded.data)
    assert entropy_coded_bytes(encoded.data) == picture
    assert encoded.header_bits == encoded.payload_bits - 8 * picture


def test_picture_bytes_count_restart_markers_as_picture() -> None:
    stream = io.BytesIO()
    Image.fromarray(natural(64, 64, 0)).save(stream, "JPEG", restart_marker_blocks=2)
    data = stream.getvalue()
    assert b"\xff\xd0" in data
    assert entropy_coded_bytes(data) == scan_bytes_by_walking(data)


def test_picture_bytes_skip_comments_that_look_like_scans() -> None:
    stream = io.BytesIO()
    Image.fromarray(natural(32, 32, 0)).save(stream, "JPEG", comment=b"\xff\xda\xff\xd9" * 20)
    plain = io.BytesIO()
    Image.fromarray(natural(32, 32, 0)).save(plain, "JPEG")
    assert entropy_coded_bytes(stream.getvalue()) == entropy_coded_bytes(plain.getvalue())


def test_headers_weigh_more_in_small_files() -> None:
    codec = JpegCodec()
    small, large = codec.encode(natural(16, 16, 0), 10), codec.encode(natural(256, 256, 0), 90)
    assert small.header_bits / small.payload_bits > 0.5 > 10 * large.header_bits / large.payload_bits


@pytest.mark.parametrize(
    ("level", "word"),
    [
        (0, "outside"),
        (-3, "outside"),
        (101, "outside"),
        (50.5, "whole"),
        (float("nan"), "outside"),
        (float("inf"), "outside"),
    ],
)
def test_bad_levels_are_refused(level: float, word: str) -> None:
    assert word in (JpegCodec.levels.problem(level) or "")
    with pytest.raises(CodecError, match=word):
        JpegCodec().encode(natural(8, 8, 0), level)


@pytest.mark.parametrize("level", [1, 100, 15.0])
def test_good_levels_have_no_problem(level: float) -> None:
    assert JpegCodec.levels.problem(level) is None


def test_default_grid_runs_mild_to_severe() -> None:
    levels = JpegCodec.levels
    assert list(levels.default) == sorted(levels.default, key=levels.severity)
    assert levels.severity(5) > levels.severity(95)
    assert all(levels.problem(level) is None for level in levels.default)


@pytest.mark.parametrize(
    "media",
    [
        np.zeros((8, 8), np.uint8),
        np.zeros((8, 8, 4), np.uint8),
        np.zeros((8, 8, 1), np.uint8),
        np.zeros((2, 8, 8, 3), np.uint8),
        np.zeros((8, 8, 3), np.float32),
        np.zeros((8, 8, 3), np.uint16),
        np.zeros((0, 8, 3), np.uint8),
        np.zeros((8, 0, 3), np.uint8),
    ],
    ids=lambda media: f"{media.dtype}{media.shape}",
)
def test_wrong_media_are_refused(media: np.ndarray) -> None:
    with pytest.raises(CodecError, match=r"needs uint8 \(H, W, 3\), got"):
        JpegCodec().encode(media, 50)


@pytest.mark.parametrize("shape", [(MAX_SIDE + 1, 1, 3), (1, MAX_SIDE + 1, 3)])
def test_too_large_a_side_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(CodecError, match=f"larger than {MAX_SIDE}"):
        JpegCodec().encode(np.zeros(shape, np.uint8), 50)


def test_the_largest_side_is_accepted() -> None:
    codec = JpegCodec()
    image = np.zeros((1, MAX_SIDE, 3), np.uint8)
    assert codec.decode(codec.encode(image, 50)).shape == image.shape


def test_views_and_read_only_arrays_encode_like_copies() -> None:
    image = natural(40, 40, 0)
    image.setflags(write=False)
    view = image[::2, ::-1]
    assert JpegCodec().encode(view, 50).data == JpegCodec().encode(view.copy(), 50).data


def test_fingerprint_changes_with_every_option() -> None:
    assert len({JpegCodec(option).fingerprint() for option in OPTIONS}) == len(OPTIONS)
    assert JpegCodec().fingerprint() == JpegCodec(JpegOptions()).fingerprint()


def test_fingerprint_names_the_libraries(monkeypatch: pytest.MonkeyPatch) -> None:
    before = JpegCodec().fingerprint()
    monkeypatch.setattr("PIL.__version__", "0.0.0")
    assert JpegCodec().fingerprint() != before
    assert "libjpeg-turbo=" in before


def test_options_are_checked() -> None:
    with pytest.raises(CodecError, match="subsampling"):
        build_codec("jpeg", {"subsampling": "4:1:1"})
    with pytest.raises(CodecError, match="chroma"):
        build_codec("jpeg", {"chroma": 1})


def test_declared_media_is_image() -> None:
    assert JpegCodec.media is Media.IMAGE


def test_damaged_data_do_not_decode_as_something_else() -> None:
    with pytest.raises(OSError, match="cannot identify"):
        JpegCodec().decode(Encoded(b"\x89PNG\r\n\x1a\n", 64, (1, 1, 3)))
