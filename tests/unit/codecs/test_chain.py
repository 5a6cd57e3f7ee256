"""chain: equals its steps done by hand; media, rate, levels, mistakes with their lines."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pictures import natural, white_noise
from pydantic import ValidationError

from pytest_lossy.codecs.base import Codec, Encoded, Levels, Media, UInt8Array, round_trip
from pytest_lossy.codecs.chain import ChainCodec, ChainOptions
from pytest_lossy.codecs.registry import build_codec
from pytest_lossy.codecs.resize import ResizeCodec, ResizeOptions
from pytest_lossy.errors import CodecError
from pytest_lossy.specs.validation import validate
from pytest_lossy.specs.yaml_source import load_yaml


class Noting:
    """A clip codec that keeps upper bits and notes the shapes and rates that it sees; not in the registry."""

    name, parameter, media = "noting", "shift", Media.CLIP
    levels = Levels(0, 7, (1, 4), higher_is_more_compressed=True)
    seen: list[tuple[tuple[int, ...], float, float | None]] = []  # noqa: RUF012

    def encode(self, media: UInt8Array, level: float, *, fps: float | None = None) -> Encoded:
        self.seen.append((media.shape, level, fps))
        return Encoded((media >> int(level) << int(level)).tobytes(), 1_000, media.shape, 10)

    def decode(self, encoded: Encoded) -> UInt8Array:
        return np.frombuffer(encoded.data, np.uint8).reshape(encoded.shape)

    def fingerprint(self) -> str:
        return "noting()"


class Cropping(Noting):
    """Breaks its contract."""

    def decode(self, encoded: Encoded) -> UInt8Array:
        return super().decode(encoded)[:, 1:]


class Refusing(Noting):
    def encode(self, media: UInt8Array, level: float, *, fps: float | None = None) -> Encoded:
        raise CodecError("noting: does not like it")


def chain(*steps: Any) -> ChainCodec:
    return ChainCodec(ChainOptions(steps=steps))


def panning(frames: int = 4, height: int = 40, width: int = 56) -> UInt8Array:
    scene = natural(height + frames, width + frames, 0)
    return np.stack([scene[index : index + height, index : index + width] for index in range(frames)])


IMAGE_STEPS = (
    "jpeg 80",
    "jpeg 15",
    "resize 0.5",
    "resize 0.77",
    {"codec": "jpeg", "level": 40, "subsampling": "4:4:4"},
)
CLIP_STEPS = ("h264 30", "frame-drop 40", "packet-loss 10", {"codec": "h264", "level": 40, "bframes": 0, "gop": 2})


@settings(max_examples=40, deadline=None)
@given(
    steps=st.lists(st.sampled_from([*IMAGE_STEPS, *CLIP_STEPS]), min_size=1, max_size=3),
    height=st.integers(1, 30),
    width=st.integers(1, 30),
    frames=st.integers(0, 3),
    seed=st.integers(0, 5),
)
def test_round_trip_keeps_shape_and_type_and_is_repeatable(
    steps: list[Any], height: int, width: int, frames: int, seed: int
) -> None:
    codec = chain(*steps)
    clip = np.stack([white_noise(height, width, seed + index) for index in range(max(1, frames))])
    media = clip if frames else clip[0]
    level = codec.levels.default[0]
    first, second = round_trip(codec, media, level), round_trip(chain(*steps), media, level)
    assert first.media.shape == media.shape
    assert first.media.dtype == np.uint8
    assert np.array_equal(first.media, second.media)
    assert first.payload_bits == second.payload_bits > first.header_bits >= 0
    if codec.media is Media.CLIP or not frames:
        own = media if media.ndim == 4 or codec.media is Media.IMAGE else media[None]
        encoded = codec.encode(own, level)
        assert encoded == codec.encode(own, level)
        assert encoded.payload_bits == first.payload_bits


def test_a_chain_of_one_step_is_that_step() -> None:
    image = natural(33, 47, 0)
    alone, chained = round_trip(build_codec("jpeg"), image, 30), round_trip(chain("jpeg"), image, 30)
    assert np.array_equal(alone.media, chained.media)
    assert (alone.payload_bits, alone.header_bits) == (chained.payload_bits, chained.header_bits)


def test_steps_follow_one_another_as_by_hand() -> None:
    image = natural(40, 60, 1)
    jpeg = build_codec("jpeg")
    shrunk = ResizeCodec().shrink(image, 0.5)
    twice = round_trip(jpeg, round_trip(jpeg, shrunk, 80).media, 20)
    expected = ResizeCodec().enlarge(twice.media, 40, 60)
    result = round_trip(chain("resize 0.5", "jpeg 80", "jpeg"), image, 20)
    assert shrunk.shape == (20, 30, 3)
    assert np.array_equal(result.media, expected)
    assert (result.payload_bits, result.header_bits) == (twice.payload_bits, twice.header_bits)


def test_stills_and_streams_as_by_hand() -> None:
    clip = panning()
    jpeg, h264 = build_codec("jpeg"), build_codec("h264", {"gop": 2, "bframes": 0})
    stream = round_trip(h264, round_trip(jpeg, clip, 50).media, 35, fps=12)
    codec = chain("jpeg 50", {"codec": "h264", "gop": 2, "bframes": 0})
    assert (codec.media, codec.parameter) == (Media.CLIP, "crf")
    result = round_trip(codec, clip, 35, fps=12)
    assert np.array_equal(result.media, stream.media)
    assert result.payload_bits == stream.payload_bits
    backwards = round_trip(chain({"codec": "h264", "gop": 2, "bframes": 0, "level": 35}, "jpeg"), clip, 50, fps=12)
    other = round_trip(jpeg, round_trip(h264, clip, 35, fps=12).media, 50)
    assert np.array_equal(backwards.media, other.media)
    assert backwards.payload_bits == other.payload_bits
    assert backwards.header_bits == other.header_bits


def test_a_still_meets_the_intra_variant_with_the_options_that_it_knows() -> None:
    image = natural(40, 56, 0)
    expected = round_trip(
        build_codec("h264-intra", {"preset": "fast"}), round_trip(build_codec("jpeg"), image, 60).media, 30
    )
    codec = chain("jpeg 60", {"codec": "h264", "gop": 7, "preset": "fast"})
    result = round_trip(codec, image, 30)
    assert np.array_equal(result.media, expected.media)
    assert result.payload_bits == expected.payload_bits
    assert "h264-intra(" in codec.fingerprint()


def test_a_still_at_a_constant_rate_stays_a_clip_of_one_frame() -> None:
    image = natural(40, 56, 0)
    rate = build_codec("h264-cbr")
    result = round_trip(chain("jpeg 60", "h264-cbr"), image, 500)
    assert np.array_equal(result.media, round_trip(rate, round_trip(build_codec("jpeg"), image, 60).media, 500).media)


@pytest.mark.parametrize("last", [True, False])
def test_clip_codecs_see_small_frames_the_rate_and_the_level(last: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Noting, "seen", [])
    steps = ["resize 0.5", "test_chain:Noting"] if last else ["resize 0.5", "test_chain:Noting 3", "jpeg"]
    round_trip(chain(*steps), panning(), 3 if last else 50, fps=12.5)
    assert Noting.seen == [((4, 20, 28, 3), 3, 12.5)]


def test_what_follows_the_last_compression_happens_at_the_receiver() -> None:
    clip = panning()
    result = round_trip(chain("test_chain:Noting 4", "resize", "frame-drop 0"), clip, 0.5)
    expected = ResizeCodec().enlarge(ResizeCodec().shrink(clip >> 4 << 4, 0.5), 40, 56)
    assert np.array_equal(result.media, expected)
    assert (result.payload_bits, result.header_bits) == (1_000, 10)
    dropped = round_trip(chain("test_chain:Noting 0", "frame-drop"), clip, 50)
    assert np.array_equal(dropped.media, round_trip(build_codec("frame-drop"), clip, 50).media)
    assert dropped.payload_bits == 1_000


def test_without_compression_the_last_steps_raw_pixels_count() -> None:
    clip = panning()
    assert round_trip(chain("frame-drop 0", "resize"), clip, 0.5).payload_bits == 4 * 20 * 28 * 24
    kept = len(build_codec("frame-drop").kept(ResizeCodec().shrink(clip, 0.5), 50))  # type: ignore[attr-defined]
    assert round_trip(chain("resize 0.5", "frame-drop"), clip, 50).payload_bits == kept * 20 * 28 * 24


def test_repeated_resizing_is_undone_once() -> None:
    image = natural(40, 56, 3)
    codec = chain("resize 0.5", {"codec": "resize", "upscale_filter": "bicubic"})
    expected = ResizeCodec(ResizeOptions(upscale_filter="bicubic")).enlarge(
        ResizeCodec().shrink(ResizeCodec().shrink(image, 0.5), 0.5), 40, 56
    )
    assert np.array_equal(round_trip(codec, image, 0.5).media, expected)


@pytest.mark.parametrize(
    ("steps", "parameter", "grid", "media"),
    [
        (("jpeg 80", "h264"), "crf", (23, 30, 35, 40, 45, 50), Media.CLIP),
        (("jpeg", "h264 35"), "q", (95, 75, 50, 30, 15, 10, 5), Media.CLIP),
        (("resize 0.5", "jpeg 80"), "q", (80,), Media.IMAGE),
        (("resize", "jpeg 80"), "scale", (0.75, 0.5, 0.35, 0.25, 0.125), Media.IMAGE),
        (("frame-drop 10",), "percent", (10,), Media.CLIP),
    ],
)
def test_levels_are_those_of_the_swept_step(
    steps: tuple[str, ...], parameter: str, grid: tuple[float, ...], media: Media
) -> None:
    codec = build_codec("chain", {"steps": list(steps)})
    assert isinstance(codec, Codec)
    assert (codec.parameter, codec.levels.default, codec.media) == (parameter, grid, media)
    swept = build_codec(next(step for step in [*steps, steps[-1]] if " " not in step or step is steps[-1]).split()[0])
    assert replace(codec.levels, default=()) == replace(swept.levels, default=())


def test_swept_steps_follow_the_level_and_fixed_ones_do_not() -> None:
    image = natural(40, 56, 0)
    jpeg = build_codec("jpeg")
    first = round_trip(chain("jpeg", "jpeg 30"), image, 5).media
    assert np.array_equal(first, round_trip(jpeg, round_trip(jpeg, image, 5).media, 30).media)
    last = round_trip(chain("jpeg 30", "jpeg 60"), image, 5).media  # all levels given: the last one is swept
    assert np.array_equal(last, round_trip(jpeg, round_trip(jpeg, image, 30).media, 5).media)
    with pytest.raises(CodecError, match=r"chain: level 101 is outside 1..100"):
        chain("jpeg 30", "jpeg").encode(image, 101)


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        ([], "at least 1 item"),
        (["jpg 80"], "unknown codec 'jpg'; did you mean 'jpeg'?"),
        (["jpeg 101"], "jpeg: level 101 is outside 1..100; choose from 1..100"),
        (["jpeg 50.5"], "jpeg: level 50.5 is not a whole number"),
        (["resize 0"], "resize: level 0 is outside 0.001..1"),
        (["jpeg nan"], "level 'nan' is not a number"),
        (["jpeg high"], "level 'high' is not a number; write, for example, 'jpeg 80'"),
        (["jpeg 80 4:4:4"], "not of the form 'name' or 'name level'"),
        ([""], "not of the form 'name' or 'name level'"),
        ([80], "a step is 'name', 'name level' or a mapping with 'codec', not 80"),
        ([{"level": 80}], "codec\n  Field required"),
        ([{"codec": "jpeg", "level": "80"}], "valid number"),
        ([{"codec": "jpeg", "subsamplin": "4:4:4"}], "jpeg: unknown option 'subsamplin'; did you mean 'subsampling'?"),
        ([{"codec": "jpeg", "subsampling": "4:1:1"}], "jpeg: subsampling: Input should be"),
        (["jpeg", "h264"], "2 steps have no level (jpeg, h264)"),
        (["jpeg", "resize", "jpeg 3"], "2 steps have no level (jpeg, resize)"),
        (["chain"], "a chain cannot be a step of a chain"),
        ([{"codec": "chain", "steps": ["jpeg"]}], "a chain cannot be a step of a chain"),
        ([{"codec": "pytest_lossy.codecs.chain:ChainCodec", "steps": ["jpeg"]}], "name a single codec"),
        (["pathlib:Path"], "is no codec that a chain can hold"),
        (["no.such:Thing"], "cannot import 'no.such'"),
    ],
)
def test_mistakes_are_told(steps: list[Any], message: str) -> None:
    with pytest.raises(ValidationError) as caught:
        ChainOptions(steps=steps)
    assert message in str(caught.value)
    with pytest.raises(CodecError, match="codec 'chain'"):
        build_codec("chain", {"steps": steps})


def test_every_mistake_of_a_spec_has_its_line(tmp_path: Path) -> None:
    path = tmp_path / "spec.yaml"
    path.write_text(
        "codecs:\n"
        "  twice:\n"
        "    codec: chain\n"
        "    steps:\n"
        "      - jpg 80\n"
        "      - {codec: jpeg, level: 80}\n"
        "      - resize 7\n"
        "    levels: [35]\n"
    )
    source = load_yaml(path, Path("spec.yaml"))
    written = {"steps": source.data["codecs"]["twice"]["steps"]}
    _, problems = validate(ChainOptions, source, written, ("codecs", "twice"), beside=("codec", "levels"))
    assert [str(problem) for problem in sorted(problems)] == [
        "spec.yaml:5: codecs.twice.steps.0: unknown codec 'jpg'; did you mean 'jpeg'?",
        "spec.yaml:7: codecs.twice.steps.2: resize: level 7 is outside 0.001..1; choose from 0.001..1",
    ]


def test_a_failing_step_is_named() -> None:
    with pytest.raises(CodecError, match=r"^chain: step 2 \(test_chain:Refusing\): noting: does not like it$"):
        chain("jpeg 80", "test_chain:Refusing").encode(panning(), 1)
    with pytest.raises(CodecError, match=r"^chain: step 1 \(test_chain:Refusing 1\): noting: does not like it$"):
        chain("test_chain:Refusing 1", "jpeg").encode(panning(), 50)
    with pytest.raises(CodecError, match=r"chain: step 1 \(test_chain:Cropping 1\) returned .* has to keep the shape"):
        chain("test_chain:Cropping 1", "jpeg").encode(panning(), 50)
    with pytest.raises(CodecError, match=r"chain: step 1 \(test_chain:Cropping\) returned .* has to keep the shape"):
        round_trip(chain("test_chain:Cropping"), panning(), 1)


@pytest.mark.parametrize("cut", [0, 3, 12, -1])
def test_damaged_data_are_told(cut: int) -> None:
    codec = chain("jpeg 30", "jpeg")
    encoded = codec.encode(natural(8, 8, 0), 5)
    with pytest.raises(CodecError, match="chain: damaged data"):
        codec.decode(replace(encoded, data=encoded.data[:cut]))


@given(st.binary(max_size=80))
def test_garbage_is_refused(data: bytes) -> None:
    codec = chain("jpeg 30", "jpeg")
    for content in (data, b"LCH1\0\0\0\2{}" + data):
        with pytest.raises(CodecError, match="chain: damaged data"):
            codec.decode(Encoded(content, 0, (8, 8, 3)))


def test_fingerprint_is_that_of_all_steps() -> None:
    texts = [
        chain(*steps).fingerprint()
        for steps in (
            ("jpeg 80", "jpeg"),
            ("jpeg 81", "jpeg"),
            ("jpeg", "jpeg 80"),
            ("jpeg",),
            ("resize 0.5", "jpeg"),
            (*IMAGE_STEPS[4:], "jpeg"),
            ({"codec": "resize", "level": 0.5, "filter": "lanczos"}, "jpeg"),
        )
    ]
    assert len(set(texts)) == len(texts)
    assert (
        chain("jpeg 80", "jpeg 5").fingerprint() == chain("jpeg 80", "jpeg").fingerprint()
    )  # 5 is the default grid alone
    assert build_codec("jpeg").fingerprint() in texts[0]
    assert "@80.0" in texts[0]


def test_images_only_chains_refuse_clips_and_clip_chains_stills() -> None:
    with pytest.raises(CodecError, match=r"chain: needs uint8 \(H, W, 3\), got uint8 \(4, 40, 56, 3\)"):
        chain("jpeg").encode(panning(), 5)
    with pytest.raises(CodecError, match=r"chain: needs uint8 \(T, H, W, 3\)"):
        chain("frame-drop").encode(panning()[0], 5)
