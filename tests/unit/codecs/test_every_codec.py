"""What holds for every codec of the registry that works here; the families' own tests go deeper."""

from __future__ import annotations

import itertools
from functools import lru_cache
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pytest_lossy.codecs.base import Media, UInt8Array
from pytest_lossy.codecs.declared import LossyCodec, codec_choices
from pytest_lossy.codecs.registry import CODECS
from pytest_lossy.errors import CodecError
from pytest_lossy.strategies import clips, codec_levels, images

NEEDED_OPTIONS: dict[str, dict[str, Any]] = {"chain": {"steps": ["resize 0.75", "jpeg 80", "h264"]}}
OTHERS = {"command", "nrtk"}
"""The user's program, tested with programs in test_command.py, and another package's perturbers, in test_nrtk.py."""
NAMES = sorted(set(CODECS.builtin) - OTHERS)
EXAMPLES = dict.fromkeys(("jpeg", "webp", "resize", "frame-drop"), 100)


@lru_cache
def built(name: str) -> LossyCodec:
    """The codec with as few options as it needs; skips where its library or hardware is absent."""
    options = NEEDED_OPTIONS.get(name, {})
    codec = codec_choices({name: options})[0].lossy
    try:
        codec.round_trip(np.full((2, 64, 64, 3), 90, np.uint8))
    except CodecError as error:
        pytest.skip(str(error))
    return codec


every_codec = pytest.mark.parametrize("name", NAMES)


def panning(frames: int, height: int, width: int, seed: int) -> UInt8Array:
    """A pan over smooth blobs and sharp bars."""
    rng = np.random.default_rng(seed)
    tall, wide = height + frames, width + 2 * frames
    coarse = rng.integers(30, 226, (tall // 12 + 2, wide // 12 + 2, 3)).astype(float)
    scene = np.kron(coarse, np.ones((12, 12, 1)))[:tall, :wide]
    for axis in (0, 1):  # a box filter makes ramps of the steps
        scene = np.apply_along_axis(lambda line: np.convolve(line, np.ones(9) / 9, "same"), axis, scene)
    scene[:, :: 2 * 12] *= 0.4
    scene += rng.normal(0, 3, scene.shape)
    clip = np.stack([scene[t : t + height, 2 * t : 2 * t + width] for t in range(frames)])
    return np.clip(np.rint(clip), 0, 255).astype(np.uint8)


def psnr(first: UInt8Array, second: UInt8Array) -> float:
    """Decibels; 60 for what is all but equal, so that means stay finite."""
    error = float(np.mean((first.astype(np.float64) - second) ** 2))
    return 60.0 if error < 0.065 else 10 * float(np.log10(255**2 / error))


def test_no_codec_is_left_out() -> None:
    assert {*NAMES, *OTHERS} == set(CODECS.builtin)


@every_codec
def test_any_medium_at_any_level_keeps_shape_and_type_and_repeats(name: str) -> None:
    codec = built(name)
    media = clips(1, 40, max_frames=4) if codec.codec.media is Media.CLIP else images(1, 48)
    declared = {name: NEEDED_OPTIONS[name]} if name in NEEDED_OPTIONS else name

    @settings(
        max_examples=EXAMPLES.get(name, 30), deadline=None, suppress_health_check=[HealthCheck.too_slow], database=None
    )
    @given(codec=codec_levels(declared), media=media)
    def holds(codec: LossyCodec, media: UInt8Array) -> None:
        before = media.copy()
        encoded = codec.encode(media)
        decoded = codec.decode(encoded)
        assert (decoded.shape, decoded.dtype) == (media.shape, np.uint8)
        assert encoded.shape == media.shape
        assert 0 <= encoded.header_bits <= encoded.payload_bits
        assert encoded.payload_bits > 0
        assert np.array_equal(media, before)
        again = codec.encode(media)
        assert (again.data, again.payload_bits) == (encoded.data, encoded.payload_bits)
        assert np.array_equal(codec.decode(again), decoded)

    holds()


@every_codec
@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.too_slow], database=None)
@given(still=images(1, 24), clip=clips(1, 24, max_frames=3), data=st.data())
def test_stills_and_clips_are_lifted(name: str, still: UInt8Array, clip: UInt8Array, data: st.DataObject) -> None:
    codec = built(name)
    level = data.draw(st.sampled_from(codec.codec.levels.default))
    if codec.on_stills is not None:
        assert codec(still, level).shape == still.shape
    assert codec(clip, level, fps=12.5).shape == clip.shape


@every_codec
def test_more_compression_takes_fewer_bits_and_is_no_closer_to_the_source(name: str) -> None:
    codec = built(name)
    levels = codec.codec.levels.default
    clip, constant_rate = codec.codec.media is Media.CLIP, codec.codec.parameter == "kbps"
    if constant_rate:  # the mildest rates are more than a small clip can use
        levels = levels[2:]
    size = (25, 144, 176) if constant_rate else (25, 64, 80)
    media = [panning(*size, 0)] if clip else [panning(1, 96, 128, seed)[0] for seed in range(2)]
    results = [
        [codec.round_trip(one, level) for one in media] for level in (levels[0], levels[len(levels) // 2], levels[-1])
    ]
    bits = [sum(result.payload_bits for result in row) for row in results]
    quality = [
        float(np.mean([psnr(result.media, one) for result, one in zip(row, media, strict=True)])) for row in results
    ]
    assert all(severe <= 1.01 * mild for mild, severe in itertools.pairwise(bits)), bits
    assert all(severe <= mild + 0.2 for mild, severe in itertools.pairwise(quality)), quality
    # libvpx and SVT-AV1 take longer than this clip to follow a rate.
    assert quality[-1] < quality[0] - (0.5 if constant_rate else 1)
