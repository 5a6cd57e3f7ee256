"""resize: Pillow and plain averages as oracles, sizes, rate, refusals."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pictures import natural, psnr, white_noise
from PIL import Image

from pytest_lossy.codecs.base import Codec, Media, round_trip
from pytest_lossy.codecs.registry import build_codec
from pytest_lossy.codecs.resize import ResizeCodec, ResizeOptions, scaled_size
from pytest_lossy.errors import CodecError

FILTERS = ("nearest", "area", "bilinear", "bicubic", "lanczos")
options = st.builds(ResizeOptions, filter=st.sampled_from(FILTERS), upscale_filter=st.sampled_from(FILTERS))


@settings(max_examples=80, deadline=None)
@given(
    height=st.integers(1, 60),
    width=st.integers(1, 60),
    frames=st.integers(0, 3),
    scale=st.floats(0.001, 1),
    option=options,
    seed=st.integers(0, 9),
)
def test_round_trip_keeps_shape_and_type_and_is_repeatable(
    height: int, width: int, frames: int, scale: float, option: ResizeOptions, seed: int
) -> None:
    codec = ResizeCodec(option)
    clip = np.stack([white_noise(height, width, seed + index) for index in range(max(1, frames))])
    media = clip if frames else clip[0]
    first, second = round_trip(codec, media, scale), round_trip(codec, media, scale)
    assert first.media.shape == media.shape
    assert first.media.dtype == np.uint8
    assert np.array_equal(first.media, second.media)
    small = scaled_size(height, width, scale)
    assert min(small) >= 1
    assert first.payload_bits == 24 * small[0] * small[1] * max(1, frames)


@given(height=st.integers(1, 30), width=st.integers(1, 30), option=options, seed=st.integers(0, 9))
def test_scale_one_changes_nothing(height: int, width: int, option: ResizeOptions, seed: int) -> None:
    image = white_noise(height, width, seed)
    assert np.array_equal(round_trip(ResizeCodec(option), image, 1).media, image)


def test_area_is_the_mean_of_the_covered_pixels() -> None:
    image = natural(24, 36, 0)
    small = ResizeCodec().shrink(image, 0.5)
    means = image.reshape(12, 2, 18, 2, 3).mean(axis=(1, 3))
    assert small.shape == (12, 18, 3)
    assert np.abs(small - means).max() <= 1  # Pillow rounds once per axis, halves up


def test_nearest_repeats_pixels_on_the_way_back() -> None:
    image = natural(20, 30, 1)
    codec = ResizeCodec(ResizeOptions(filter="area", upscale_filter="nearest"))
    decoded = round_trip(codec, image, 0.5).media
    assert np.array_equal(decoded, codec.shrink(image, 0.5).repeat(2, axis=0).repeat(2, axis=1))


@pytest.mark.parametrize("name", FILTERS)
def test_filters_are_pillows(name: str) -> None:
    image = natural(31, 45, 2)
    kind = {"nearest": 0, "lanczos": 1, "bilinear": 2, "bicubic": 3, "area": 4}[name]  # Pillow's documented values
    small = Image.fromarray(image).resize((18, 12), kind)
    codec = ResizeCodec(ResizeOptions(filter=name, upscale_filter=name))
    assert np.array_equal(codec.shrink(image, 0.4), np.asarray(small))
    assert np.array_equal(codec.enlarge(np.asarray(small), 31, 45), np.asarray(small.resize((45, 31), kind)))


@pytest.mark.parametrize(
    ("size", "scale", "expected"),
    [((100, 60), 0.5, (50, 30)), ((5, 3), 0.5, (3, 2)), ((7, 7), 0.001, (1, 1)), ((3, 9), 0.1, (1, 1))],
)
def test_sizes_round_halves_up_and_keep_a_pixel(size: tuple[int, int], scale: float, expected: tuple[int, int]) -> None:
    assert scaled_size(*size, scale) == expected


def test_smaller_scales_cost_less_and_lose_more() -> None:
    codec = ResizeCodec()
    images = [natural(96, 128, seed) for seed in range(3)]
    results = [[round_trip(codec, image, scale) for image in images] for scale in codec.levels.default]
    bits = [sum(result.payload_bits for result in row) for row in results]
    quality = [np.mean([psnr(image, one.media) for image, one in zip(images, row, strict=True)]) for row in results]
    assert all(np.diff(bits) < 0)
    assert all(np.diff(quality) < 0)


@pytest.mark.parametrize("level", [0, -1, 1.01, float("nan")])
def test_scales_outside_the_range_are_refused(level: float) -> None:
    with pytest.raises(CodecError, match=r"resize: level .* is outside"):
        ResizeCodec().encode(natural(8, 8, 0), level)


def test_clips_and_other_types_are_refused() -> None:
    with pytest.raises(CodecError, match=r"needs uint8 \(H, W, 3\), got uint8 \(2, 8, 8, 3\)"):
        ResizeCodec().encode(np.zeros((2, 8, 8, 3), np.uint8), 0.5)


@pytest.mark.parametrize("cut", [0, 5, 20])
def test_damaged_data_are_told(cut: int) -> None:
    codec = ResizeCodec()
    encoded = codec.encode(natural(8, 8, 0), 0.5)
    with pytest.raises(CodecError, match="damaged"):
        codec.decode(replace(encoded, data=encoded.data[:cut]))


def test_registry_and_fingerprint() -> None:
    codec = build_codec("resize", {"filter": "lanczos"})
    assert isinstance(codec, Codec)
    assert (codec.media, codec.parameter) == (Media.IMAGE, "scale")
    assert codec.levels.severity(0.25) > codec.levels.severity(0.5)
    assert "filter=lanczos" in codec.fingerprint()
    assert codec.fingerprint() != ResizeCodec().fingerprint()
    with pytest.raises(CodecError, match="filter"):
        build_codec("resize", {"filter": "sinc"})
