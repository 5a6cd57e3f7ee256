"""Lifting: image codecs on clips, clip codecs on stills."""

from __future__ import annotations

import numpy as np
import pytest
from pictures import natural

from pytest_lossy.codecs.base import Codec, Encoded, Levels, Media, UInt8Array, round_trip
from pytest_lossy.codecs.jpeg import JpegCodec
from pytest_lossy.codecs.registry import CODECS, build_codec, codec_options, intra_twin
from pytest_lossy.errors import CodecError, LossyError


class FakeVideo:
    """Keeps the upper bits of a clip; refuses stills."""

    name, parameter, media = "fake", "shift", Media.CLIP
    levels = Levels(0, 7, (1, 4), higher_is_more_compressed=True)

    def __init__(self) -> None:
        self.seen: list[tuple[tuple[int, ...], float | None]] = []

    def encode(self, media: UInt8Array, level: float, *, fps: float | None = None) -> Encoded:
        assert media.ndim == 4
        self.seen.append((media.shape, fps))
        return Encoded((media >> int(level)).tobytes(), 1000 + len(media), media.shape, 10)

    def decode(self, encoded: Encoded) -> UInt8Array:
        return np.frombuffer(encoded.data, np.uint8).reshape(encoded.shape)

    def fingerprint(self) -> str:
        return "fake"


def test_both_codecs_satisfy_the_protocol() -> None:
    assert isinstance(FakeVideo(), Codec)
    assert isinstance(JpegCodec(), Codec)


def test_an_image_codec_takes_a_clip_frame_by_frame() -> None:
    codec = JpegCodec()
    clip = np.stack([natural(24, 32, seed) for seed in range(3)])
    whole = round_trip(codec, clip, 20, fps=25.0)
    frames = [round_trip(codec, frame, 20) for frame in clip]
    assert whole.media.shape == clip.shape
    assert np.array_equal(whole.media, np.stack([frame.media for frame in frames]))
    assert whole.payload_bits == sum(frame.payload_bits for frame in frames)
    assert whole.header_bits == sum(frame.header_bits for frame in frames)


def test_an_image_codec_takes_a_still_as_it_is() -> None:
    codec, image = JpegCodec(), natural(24, 32, 0)
    encoded = codec.encode(image, 20)
    result = round_trip(codec, image, 20)
    assert np.array_equal(result.media, codec.decode(encoded))
    assert (result.payload_bits, result.header_bits) == (encoded.payload_bits, encoded.header_bits)


def test_a_clip_codec_takes_a_still_as_one_frame() -> None:
    codec, image = FakeVideo(), natural(8, 6, 0)
    result = round_trip(codec, image, 2, fps=30.0)
    assert codec.seen == [((1, 8, 6, 3), 30.0)]
    assert np.array_equal(result.media, image >> 2)
    assert (result.payload_bits, result.header_bits) == (1001, 10)


def test_a_clip_codec_takes_a_clip_as_a_whole() -> None:
    codec, clip = FakeVideo(), np.stack([natural(8, 6, seed) for seed in range(4)])
    result = round_trip(codec, clip, 3, fps=12.5)
    assert codec.seen == [((4, 8, 6, 3), 12.5)]
    assert np.array_equal(result.media, clip >> 3)


def test_severity_runs_with_the_codecs_direction() -> None:
    assert FakeVideo.levels.severity(4) > FakeVideo.levels.severity(1)
    assert JpegCodec.levels.severity(5) > JpegCodec.levels.severity(50)


def test_fractional_levels_where_the_codec_takes_them() -> None:
    levels = Levels(0, 15, (1.0, 2.5), higher_is_more_compressed=True, integral=False)
    assert levels.problem(2.5) is None
    assert "outside" in (levels.problem(15.5) or "")


def test_registry_knows_jpeg() -> None:
    assert "jpeg" in CODECS
    assert intra_twin("jpeg") is None
    assert codec_options("jpeg") is JpegCodec.Options


def test_unknown_codecs_get_a_suggestion() -> None:
    with pytest.raises(LossyError, match="unknown codec 'jpg'; did you mean 'jpeg'"):
        build_codec("jpg")


def test_dotted_paths_build_codecs() -> None:
    assert build_codec("test_codecs_round_trip:FakeVideo").name == "fake"
    with pytest.raises(CodecError, match="gop"):
        build_codec("test_codecs_round_trip:FakeVideo", {"gop": 3})
    with pytest.raises(LossyError, match="no_such_module"):
        build_codec("no_such_module:Codec")
    with pytest.raises(LossyError, match="did you mean 'FakeVideo'"):
        build_codec("test_codecs_round_trip:FakeVidoe")
