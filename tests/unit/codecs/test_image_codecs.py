"""What holds for every codec of stills: shapes, refusals, rate and quality, determinism, colour, other decoders."""

from __future__ import annotations

import importlib.util
import io
import itertools
import multiprocessing
import shutil
import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pictures import natural, psnr, white_noise
from PIL import Image

from pytest_lossy.codecs.base import Codec, Encoded, Media, UInt8Array, round_trip
from pytest_lossy.codecs.registry import build_codec
from pytest_lossy.data.mini_segmentation import MiniSegmentation
from pytest_lossy.errors import CodecError


@dataclass(frozen=True)
class Case:
    """A codec with options, and what is known of it."""

    path: str
    best_psnr: float
    """What the best level keeps of a frame of the mini world, in dB."""
    options: dict[str, Any] = field(default_factory=dict)

    def build(self) -> Codec:
        return build_codec(self.path, self.options)


CASES = {
    "jpeg": Case("pytest_lossy.codecs.jpeg:JpegCodec", 38),
    "jpeg-444": Case("pytest_lossy.codecs.jpeg:JpegCodec", 48, {"subsampling": "4:4:4"}),
    "webp": Case("pytest_lossy.codecs.webp:WebpCodec", 37),
    "avif": Case("pytest_lossy.codecs.avif:AvifCodec", 38, {"speed": 8}),
    "avif-444": Case("pytest_lossy.codecs.avif:AvifCodec", 47, {"speed": 8, "subsampling": "4:4:4"}),
    "jxl": Case("pytest_lossy.codecs.jpeg_xl:JpegXlCodec", 43, {"effort": 4}),
    "jpeg2000": Case("pytest_lossy.codecs.jpeg2000:Jpeg2000Codec", 46),
}
NEEDS_IMAGECODECS = {"jxl", "jpeg2000"}
absent = importlib.util.find_spec("imagecodecs") is None


def parameters(names: list[str]) -> list[Any]:
    skip = pytest.mark.skipif(absent, reason="needs imagecodecs")
    return [pytest.param(name, marks=[skip] if name in NEEDS_IMAGECODECS else []) for name in names]


every_case = pytest.mark.parametrize("name", parameters(list(CASES)))
every_codec = pytest.mark.parametrize("name", parameters(["jpeg", "webp", "avif", "jxl", "jpeg2000"]))
newer_codec = pytest.mark.parametrize("name", parameters(["webp", "avif", "jxl", "jpeg2000"]))


def build(name: str) -> Codec:
    return CASES[name].build()


def best_level(codec: Codec) -> float:
    return codec.levels.minimum if codec.levels.higher_is_more_compressed else codec.levels.maximum


def worst_level(codec: Codec) -> float:
    return codec.levels.maximum if codec.levels.higher_is_more_compressed else codec.levels.minimum


@lru_cache
def street(index: int) -> UInt8Array:
    """A frame of the mini world: (192, 256, 3)."""
    return MiniSegmentation("val", 3).load(index).media


def encode_in_another_process(job: tuple[str, int, float]) -> bytes:
    name, seed, level = job
    return build(name).encode(natural(41, 56, seed), level).data


@st.composite
def levels_of(draw: st.DrawFn, codec: Codec) -> float:
    levels = codec.levels
    if levels.integral:
        return draw(st.integers(int(levels.minimum), int(levels.maximum)))
    return draw(st.floats(levels.minimum, levels.maximum))


@every_case
@settings(max_examples=40, deadline=None)
@given(data=st.data(), height=st.integers(1, 40), width=st.integers(1, 40), seed=st.integers(0, 9), noisy=st.booleans())
def test_any_size_and_level_keeps_shape_and_type(
    name: str, data: st.DataObject, height: int, width: int, seed: int, noisy: bool
) -> None:
    codec = build(name)
    image = (white_noise if noisy else natural)(max(height, 2), max(width, 2), seed)[:height, :width]
    encoded = codec.encode(image, data.draw(levels_of(codec)))
    decoded = codec.decode(encoded)
    assert decoded.shape == image.shape == encoded.shape
    assert decoded.dtype == np.uint8
    assert 0 <= encoded.header_bits < encoded.payload_bits <= 8 * len(encoded.data)


@every_case
def test_constants_and_extremes(name: str) -> None:
    codec = build(name)
    # OpenJPEG misses its target on black or white thumbnails (see Jpeg2000Codec).
    nearly = 15 if name == "jpeg2000" else 3
    checkers = np.zeros((33, 18, 3), np.uint8)
    checkers[::2, ::2] = checkers[1::2, 1::2] = 255
    for level in (best_level(codec), worst_level(codec)):
        for value in (0, 1, 127, 128, 254, 255):
            image = np.full((19, 30, 3), value, np.uint8)
            error = codec.decode(codec.encode(image, level)).astype(int) - image
            assert np.abs(error).max() <= (nearly if level == best_level(codec) else 40), (level, value)
        assert codec.decode(codec.encode(checkers, level)).shape == checkers.shape
        assert codec.decode(codec.encode(white_noise(37, 37, 0), level)).shape == (37, 37, 3)


@every_case
def test_bytes_and_psnr_fall_with_compression(name: str) -> None:
    codec = build(name)
    images = [street(0), street(1), natural(96, 128, 3)]
    grid = sorted({*codec.levels.default, best_level(codec), worst_level(codec)}, key=codec.levels.severity)
    sizes, qualities = [], []
    for level in grid:
        encoded = [codec.encode(image, level) for image in images]
        sizes.append(np.mean([one.payload_bits for one in encoded]))
        qualities.append(np.mean([psnr(image, codec.decode(one)) for image, one in zip(images, encoded, strict=True)]))
    assert all(severe <= 1.01 * mild for mild, severe in itertools.pairwise(sizes))
    assert all(severe <= mild + 0.1 for mild, severe in itertools.pairwise(qualities))
    assert sizes[0] > 10 * sizes[-1]
    assert qualities[0] > qualities[-1] + 10


@newer_codec
@settings(max_examples=15, deadline=None)
@given(data=st.data())
def test_any_two_levels_are_ordered(name: str, data: st.DataObject) -> None:
    codec = build(name)
    images = [street(0)[:96, :128], natural(64, 96, 1)]
    mild, severe = sorted((data.draw(levels_of(codec)) for _ in range(2)), key=codec.levels.severity)
    first, second = ([codec.encode(image, level) for image in images] for level in (mild, severe))
    assert sum(e.payload_bits for e in second) <= 1.03 * sum(e.payload_bits for e in first)
    fidelity = [
        np.mean([psnr(image, codec.decode(one)) for image, one in zip(images, encoded, strict=True)])
        for encoded in (first, second)
    ]
    assert fidelity[1] <= fidelity[0] + 0.5


@every_case
def test_the_best_level_stays_above_its_stated_psnr(name: str) -> None:
    codec = build(name)
    for index in range(3):
        image = street(index)
        assert psnr(image, codec.decode(codec.encode(image, best_level(codec)))) > CASES[name].best_psnr


@pytest.mark.real
@every_case
def test_the_best_level_on_photographs(name: str, real_data: Path) -> None:
    files = sorted((real_data / "coco128" / "images").glob("*.jpg"))[:40:8]
    codec = build(name)
    values = []
    for file in files:
        with Image.open(file) as opened:
            image = np.asarray(opened.convert("RGB"))
        with np.errstate(divide="ignore"):  # a grey photograph may come back unchanged
            values.append(psnr(image, codec.decode(codec.encode(image, best_level(codec)))))
    # 3 dB of tolerance: photographs of strong colours lose more to subsampled chroma than the mini world.
    assert np.median(values) > CASES[name].best_psnr - 3


@every_codec
def test_same_input_same_bytes(name: str) -> None:
    codec, image = build(name), natural(64, 72, 4)
    level = codec.levels.default[2]
    assert len({build(name).encode(image, level).data for _ in range(10)}) == 1
    encoded = codec.encode(image, level)
    assert len({codec.decode(encoded).tobytes() for _ in range(10)}) == 1


@every_codec
def test_four_threads_give_the_same_bytes_and_pixels(name: str) -> None:
    codec = build(name)
    level = codec.levels.default[2]
    images = [natural(48, 56 + seed, seed) for seed in range(8)]
    alone = [codec.encode(image, level) for image in images]
    pixels = [codec.decode(one).tobytes() for one in alone]
    with ThreadPoolExecutor(4) as pool:
        for _ in range(2):
            assert list(pool.map(lambda image: codec.encode(image, level), images)) == alone
            assert list(pool.map(lambda one: codec.decode(one).tobytes(), alone)) == pixels


def test_two_processes_give_the_same_bytes() -> None:
    names = [name for name in CASES if not (absent and name in NEEDS_IMAGECODECS)]
    jobs = [(name, seed, build(name).levels.default[seed]) for name in names for seed in (1, 4)]
    here = [encode_in_another_process(job) for job in jobs]
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        assert pool.map(encode_in_another_process, jobs, chunksize=1) == here


@every_codec
def test_views_and_read_only_arrays_encode_like_copies(name: str) -> None:
    codec, image = build(name), natural(40, 40, 0)
    image.setflags(write=False)
    level = codec.levels.default[1]
    for view in (image, image[::2, ::-1], image[..., ::-1], image.transpose(1, 0, 2)):
        assert codec.encode(view, level).data == codec.encode(np.array(view, order="C"), level).data


@every_codec
def test_levels_out_of_range_are_refused(name: str) -> None:
    codec = build(name)
    outside = [codec.levels.minimum - 1, codec.levels.maximum + 1, float("nan"), float("inf"), -float("inf")]
    for level in outside:
        with pytest.raises(CodecError, match=f"{codec.name}: level .* is outside"):
            codec.encode(natural(8, 8, 0), level)
    if codec.levels.integral:
        with pytest.raises(CodecError, match="whole number"):
            codec.encode(natural(8, 8, 0), 50.5)


@every_codec
@pytest.mark.parametrize(
    "media",
    [
        np.zeros((8, 8), np.uint8),
        np.zeros((8, 8, 4), np.uint8),
        np.zeros((8, 8, 1), np.uint8),
        np.zeros((2, 8, 8, 3), np.uint8),
        np.zeros((8, 8, 3), np.float32),
        np.zeros((8, 8, 3), np.int8),
        np.zeros((8, 0, 3), np.uint8),
    ],
    ids=lambda media: f"{media.dtype}{media.shape}",
)
def test_wrong_media_are_refused(name: str, media: np.ndarray) -> None:
    codec = build(name)
    with pytest.raises(CodecError, match=rf"{codec.name}: needs uint8 \(H, W, 3\), got"):
        codec.encode(media, codec.levels.default[0])


@newer_codec
def test_damaged_or_foreign_bytes_are_refused(name: str) -> None:
    codec = build(name)
    encoded = codec.encode(natural(64, 48, 0), codec.levels.default[1])
    half = encoded.data[: len(encoded.data) // 2]
    for data in (b"", b"\x89PNG\r\n\x1a\n" + bytes(50), encoded.data[:10], half):
        with pytest.raises(CodecError, match=f"{codec.name}: cannot decode"):
            codec.decode(Encoded(data, 0, encoded.shape))
    with pytest.raises(CodecError, match=f"{codec.name}: decoded uint8 .*encode again"):
        codec.decode(Encoded(encoded.data, 0, (48, 64, 3)))


@every_codec
def test_protocol_and_grid(name: str) -> None:
    codec = build(name)
    levels = codec.levels
    assert isinstance(codec, Codec)
    assert codec.media is Media.IMAGE
    assert all(levels.problem(level) is None for level in levels.default)
    assert list(levels.default) == sorted(levels.default, key=levels.severity)
    clip = np.stack([natural(10, 12, seed) for seed in range(3)])
    assert round_trip(codec, clip, levels.default[0]).media.shape == clip.shape


@newer_codec
def test_a_fingerprint_names_versions_and_every_option(name: str) -> None:
    family = type(build(name))
    fields = family.Options.model_fields
    plain = family().fingerprint()
    assert plain == family(family.Options()).fingerprint()
    assert all(f"{option}=" in plain for option in fields)
    others = {"method": 5, "speed": 7, "subsampling": "4:4:4", "effort": 3, "resolutions": 4}
    changed = {family(family.Options(**{option: others[option]})).fingerprint() for option in fields}
    assert len({plain, *changed}) == 1 + len(fields)


@newer_codec
def test_every_option_changes_bytes(name: str) -> None:
    family = type(build(name))
    image = street(0)
    others = {"method": 0, "speed": 9, "subsampling": "4:4:4", "effort": 3, "resolutions": 2}
    level = family.levels.default[1]
    plain = family().encode(image, level).data
    for option in family.Options.model_fields:
        other = family(family.Options(**{option: others[option]}))
        assert other.encode(image, level).data != plain, option


@every_codec
def test_unknown_options_are_refused(name: str) -> None:
    with pytest.raises(CodecError, match="quality"):
        build_codec(CASES[name].path, {"quality": 3})


PATCHES = [(r, g, b) for r, g, b in itertools.product((16, 235), repeat=3)] + [(90, 130, 60), (128, 128, 128)]


def patchwork() -> UInt8Array:
    """Flat patches of 32x32 pixels: saturated colours, a muted one and grey; (32, 320, 3)."""
    return np.concatenate([np.full((32, 32, 3), colour, np.uint8) for colour in PATCHES], axis=1)


@every_case
def test_flat_colours_survive(name: str) -> None:
    codec = build(name)
    decoded = codec.decode(codec.encode(patchwork(), best_level(codec)))
    centres = decoded[16, 16::32].astype(int)
    assert np.abs(centres - PATCHES).max() <= 4


def bt601(colour: tuple[int, int, int], *, full: bool) -> np.ndarray:
    """Y, Cb, Cr by ITU-R BT.601, clause 2.5, in 8 bits of full (JFIF) or limited range."""
    red, green, blue = (value / 255 for value in colour)
    luma = 0.299 * red + 0.587 * green + 0.114 * blue
    chroma = np.array([(blue - luma) / 1.772, (red - luma) / 1.402])
    return np.array([255 * luma, *(128 + 255 * chroma)] if full else [16 + 219 * luma, *(128 + 224 * chroma)])


@pytest.mark.parametrize(("name", "full"), [("jpeg", True), ("avif", True), ("avif-444", True), ("webp", False)])
def test_planes_follow_the_documented_matrix_and_range(name: str, full: bool) -> None:
    av = pytest.importorskip("av")
    codec = build(name)
    encoded = codec.encode(patchwork(), best_level(codec))
    with av.open(io.BytesIO(encoded.data)) as container:
        frame = next(container.decode(video=0))
    planes = [np.frombuffer(p, np.uint8).reshape(p.height, p.line_size)[:, : p.width] for p in frame.planes]
    for number, colour in enumerate(PATCHES):
        seen = [plane[plane.shape[0] // 2, (2 * number + 1) * plane.shape[1] // (2 * len(PATCHES))] for plane in planes]
        assert np.abs(np.array(seen) - bt601(colour, full=full)).max() <= 3, (colour, seen)


Decoder = Callable[[bytes, tuple[int, ...]], UInt8Array]


def with_cv2(data: bytes, _: tuple[int, ...]) -> UInt8Array:
    cv2 = pytest.importorskip("cv2")
    return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)[..., ::-1]


def with_imagecodecs(data: bytes, _: tuple[int, ...]) -> UInt8Array:
    return pytest.importorskip("imagecodecs").imread(data)


def with_torchvision(data: bytes, _: tuple[int, ...]) -> UInt8Array:
    torch = pytest.importorskip("torch")
    decode = getattr(pytest.importorskip("torchvision.io"), "decode_image", None)  # deprecated since 0.29
    if decode is None:
        pytest.skip("this torchvision decodes no images")
    return decode(torch.frombuffer(bytearray(data), dtype=torch.uint8)).permute(1, 2, 0).numpy()


def with_pillow(data: bytes, _: tuple[int, ...]) -> UInt8Array:
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image)


# Decoders built from other copies, some from other versions, of the same libraries.
SAME_PIXELS = [
    *itertools.product(["jpeg", "jpeg-444", "webp"], [with_cv2, with_imagecodecs, with_torchvision]),
    *itertools.product(["avif", "avif-444"], [with_cv2, with_imagecodecs]),
    *itertools.product(["jpeg2000"], [with_cv2, with_pillow]),
]


@pytest.mark.filterwarnings("ignore:The image decoding:DeprecationWarning")
@pytest.mark.parametrize(("name", "decoder"), SAME_PIXELS, ids=lambda value: getattr(value, "__name__", value))
def test_other_libraries_decode_the_same_pixels(name: str, decoder: Decoder) -> None:
    if name in NEEDS_IMAGECODECS:
        pytest.importorskip("imagecodecs")
    codec = build(name)
    for image in (street(0), natural(45, 67, 2)):
        for level in codec.levels.default[::3]:
            encoded = codec.encode(image, level)
            difference = decoder(encoded.data, image.shape).astype(int) - codec.decode(encoded)
            # libjpeg-turbo and libwebp prescribe every bit; libavif's conversion to RGB may round otherwise.
            assert np.abs(difference).max() <= 1


@pytest.mark.parametrize(
    ("name", "suffix", "largest", "average"),
    [
        ("jpeg-444", ".jpg", 4, 0.7),
        ("jpeg", ".jpg", 40, 2.0),  # ffmpeg repeats chroma samples, libjpeg interpolates them
        ("webp", ".webp", 40, 2.5),
        pytest.param("jxl", ".jxl", 1, 0.4, marks=pytest.mark.skipif(absent, reason="needs imagecodecs")),
        pytest.param("jpeg2000", ".j2k", 1, 0.1, marks=pytest.mark.skipif(absent, reason="needs imagecodecs")),
    ],
)
def test_ffmpeg_decodes_the_same_picture(
    name: str, suffix: str, largest: float, average: float, tmp_path: Path
) -> None:
    """ffmpeg has decoders of its own for JPEG, VP8 and JPEG 2000, and another libjxl."""
    if shutil.which("ffmpeg") is None:
        pytest.skip("needs ffmpeg on PATH")
    codec, image, path = build(name), street(1), tmp_path / f"picture{suffix}"
    for level in codec.levels.default[1::3]:
        encoded = codec.encode(image, level)
        path.write_bytes(encoded.data)
        command = [
            "ffmpeg",
            "-v",
            "error",
            "-i",
            str(path),
            "-sws_flags",
            "accurate_rnd+full_chroma_int",
            "-f",
            "rawvideo",
            "-pix_fmt",
            "rgb24",
            "-",
        ]
        result = subprocess.run(command, capture_output=True, check=False)
        if b"does not contain any stream" in result.stderr or b"Decoder not found" in result.stderr:
            pytest.skip(f"this ffmpeg does not decode {suffix}")
        assert result.returncode == 0, result.stderr
        other = np.frombuffer(result.stdout, np.uint8).reshape(image.shape)
        difference = other.astype(int) - codec.decode(encoded)
        assert np.abs(difference).max() <= largest
        assert np.abs(difference).mean() <= average
        # A wrong matrix or range would shift whole channels.
        assert np.abs(difference.mean(axis=(0, 1))).max() <= 1


@pytest.mark.parametrize("name", ["avif", "avif-444"])
def test_pyav_decodes_the_same_avif(name: str) -> None:
    av = pytest.importorskip("av")
    codec, image = build(name), street(1)
    encoded = codec.encode(image, 60)
    with av.open(io.BytesIO(encoded.data)) as container:
        other = next(container.decode(video=0)).to_ndarray(format="rgb24")
    difference = other.astype(int) - codec.decode(encoded)
    assert np.abs(difference).mean() <= (0.3 if name == "avif-444" else 2)
    assert np.abs(difference.mean(axis=(0, 1))).max() <= 1
