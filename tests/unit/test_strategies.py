"""Strategies: what they draw is valid, and they shrink to mild compression of small, flat images."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, find, given, settings
from hypothesis import strategies as st

from pytest_lossy import strategies as lossy
from pytest_lossy.codecs.base import round_trip
from pytest_lossy.codecs.declared import LossyCodec
from pytest_lossy.codecs.registry import build_codec
from pytest_lossy.errors import LossyError

QUICK = settings(
    max_examples=1500,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow],
)


def smallest(strategy: st.SearchStrategy[Any], holds: Callable[[Any], bool], seed: int = 0) -> Any:
    return find(strategy, holds, settings=QUICK, random=random.Random(seed))


def same(first: np.ndarray, second: Any) -> bool:
    return bool(np.array_equal(first, np.asarray(second, np.uint8)))


@settings(max_examples=60, deadline=None)
@given(data=st.data(), low=st.integers(1, 20), more=st.integers(0, 20))
def test_images_keep_to_their_bounds(data: st.DataObject, low: int, more: int) -> None:
    image = data.draw(lossy.images(low, low + more))
    assert image.dtype == np.uint8
    assert image.ndim == 3
    assert image.shape[2] == 3
    assert all(low <= side <= low + more for side in image.shape[:2])


@settings(max_examples=40, deadline=None)
@given(clip=lossy.clips(3, 20, min_frames=2, max_frames=5))
def test_clips_keep_to_their_bounds_and_pan(clip: np.ndarray) -> None:
    assert clip.dtype == np.uint8
    assert 2 <= len(clip) <= 5
    assert all(3 <= side <= 20 for side in clip.shape[1:3])
    # A pan shows the last frame's pixels again, shifted by 0..4 in each direction.
    _, height, width, _ = clip.shape
    shifts = [
        np.array_equal(clip[0, y:, x:], clip[1, : height - y, : width - x])
        for y in range(min(5, height))
        for x in range(min(5, width))
    ]
    assert any(shifts) or min(height, width) < 5


def test_every_content_looks_like_its_name() -> None:
    def examples(content: lossy.Content) -> list[np.ndarray]:
        drawn: list[np.ndarray] = []

        @settings(max_examples=40, deadline=None, database=None, derandomize=True, phases=[Phase.generate])
        @given(image=lossy.images(24, 40, contents=[content]))
        def collect(image: np.ndarray) -> None:
            drawn.append(image.astype(float))

        collect()
        return [image for image in drawn if image.std(axis=(0, 1)).max() > 5 or content == "flat"]

    seen = {content: examples(content) for content in lossy.CONTENTS}
    assert min(map(len, seen.values())) > 10

    def roughness(image: np.ndarray) -> float:
        """Variance of neighbouring differences beside that of the pixels: 2 for white noise."""
        return float(np.mean(np.diff(image, axis=1) ** 2) / np.mean((image - image.mean((0, 1))) ** 2))

    assert all(len(np.unique(image.reshape(-1, 3), axis=0)) == 1 for image in seen["flat"])
    assert all(len(np.unique(image.reshape(-1, 3), axis=0)) <= 2 for image in seen["edges"])
    assert all(np.abs(np.diff(image, 2, axis=1)).max() <= 2 for image in seen["gradient"])  # a ramp, rounded
    assert np.median([roughness(image) for image in seen["noise"]]) > 1.5
    assert 0.1 < np.median([roughness(image) for image in seen["natural"]]) < 1


def test_images_shrink_to_small_and_flat() -> None:
    assert same(smallest(lossy.images(), lambda image: True), [[[0, 0, 0]]])
    assert same(smallest(lossy.images(), lambda image: image.shape[0] >= 7), np.zeros((7, 1, 3)))
    assert same(smallest(lossy.images(), lambda image: image.mean() >= 20), [[[0, 0, 60]]])
    # Not flat: two pixels, and one step of one channel.
    rough = smallest(lossy.images(), lambda image: bool(image.std(axis=(0, 1)).any()))
    assert (rough.size, rough.max()) == (6, 1)


def test_clips_shrink_to_few_frames_without_motion() -> None:
    assert same(smallest(lossy.clips(), lambda clip: len(clip) >= 3), np.zeros((3, 1, 1, 3)))
    moving = smallest(lossy.clips(), lambda clip: len(clip) > 1 and bool((clip[0] != clip[1]).any()))
    assert moving.shape == (2, 1, 1, 3)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    ("name", "breaks", "mildest"),
    [
        ("jpeg", lambda level: level <= 37, 37),
        ("h264", lambda level: level >= 41, 41),
        ("jxl", lambda level: level >= 7.245, 7.25),  # searched in steps of 0.01
        ("resize", lambda level: level < 0.3, 0.299),
        ("packet-loss", lambda level: level > 3, 3.1),
    ],
)
def test_levels_shrink_to_the_mildest_that_breaks(
    name: str, breaks: Callable[[float], bool], mildest: float, seed: int
) -> None:
    assert smallest(lossy.codec_levels(name), lambda codec: breaks(codec.level), seed).level == mildest


def test_bit_rates_are_searched_in_steps_of_one_percent() -> None:
    found = smallest(lossy.codec_levels("h264-cbr"), lambda codec: codec.level < 300).level
    assert 296 <= found < 300


def test_the_other_direction_finds_the_most_severe_that_still_holds() -> None:
    assert smallest(lossy.codec_levels("jpeg", shrink_to="severe"), lambda codec: codec.level >= 37).level == 37


def test_declared_levels_alone_are_drawn() -> None:
    declared = {"jpeg": (20, 40), "fine": {"codec": "jpeg", "subsampling": "4:4:4", "levels": [50, 90]}, "h264": None}
    seen: set[tuple[str, float]] = set()

    @settings(max_examples=400, deadline=None, database=None, derandomize=True, phases=[Phase.generate])
    @given(codec=lossy.codec_levels(declared))
    def collect(codec: LossyCodec) -> None:
        seen.add((codec.label, codec.level))

    collect()
    assert {level for label, level in seen if label == "fine"} == {50, 90}
    jpeg = {level for label, level in seen if label == "jpeg"}
    assert len(jpeg) > 10
    assert jpeg <= set(range(20, 41))
    crf = {level for label, level in seen if label == "h264"}
    assert min(crf) < 10
    assert max(crf) > 41


@pytest.mark.parametrize("seed", range(2))
def test_a_simpler_image_does_not_buy_a_more_severe_level(seed: int) -> None:
    """Flat images break at q20 and below, others from q60 on: the codec is drawn first, so q60 is what shows."""

    def breaks(pair: tuple[LossyCodec, np.ndarray]) -> bool:
        codec, image = pair
        return codec.level <= (60 if image.std(axis=(0, 1)).any() else 20)

    pair = st.tuples(lossy.codec_levels("jpeg"), lossy.images(2, contents=["gradient", "noise", "flat"]))
    codec, image = smallest(pair, breaks, seed)
    assert codec.level == 60
    assert image.shape == (2, 2, 3)


def test_a_failing_test_shows_the_mildest_compression() -> None:
    @settings(max_examples=200, deadline=None, database=None, derandomize=True)
    @given(codec=lossy.codec_levels("jpeg"), image=lossy.images(8, 24, contents=["edges"]))
    def one_grey_level_is_kept(codec: LossyCodec, image: np.ndarray) -> None:
        assert codec.level > 37, "breaks"

    with pytest.raises(AssertionError, match="breaks") as caught:
        one_grey_level_is_kept()
    assert "codec=LossyCodec('jpeg', q=37)" in "\n".join(getattr(caught.value, "__notes__", []))


def test_a_real_search_agrees_with_trying_every_level() -> None:
    """The mildest q at which a checkerboard loses more than 20 grey levels somewhere."""
    board = np.kron(np.indices((4, 4)).sum(0) % 2, np.ones((3, 3)))[..., None].repeat(3, 2).astype(np.uint8) * 100

    def lost(codec: LossyCodec) -> bool:
        return int(np.abs(codec(board).astype(int) - board).max()) > 20

    every = [q for q in range(100, 0, -1) if lost(LossyCodec.build("jpeg", q))]
    threshold = next(q for q in every if all(lower in every for lower in range(1, q)))  # from here on all break
    found = smallest(lossy.codec_levels({"jpeg": (1, threshold + 1)}), lost).level
    assert found == max(q for q in every if q <= threshold + 1)


def test_chains_shrink_to_one_mild_step() -> None:
    first = smallest(lossy.chains(), lambda codec: True)
    assert repr(first) == "LossyCodec('chain', scale=1, resize 1)"
    found = smallest(lossy.chains(["jpeg", "webp"]), lambda codec: codec.level <= 37)
    assert repr(found) == "LossyCodec('chain', q=37, jpeg 37)"
    two = smallest(lossy.chains(["jpeg", "webp"], min_steps=2), lambda codec: codec.level <= 37)
    assert repr(two) == "LossyCodec('chain', q=37, jpeg 100, jpeg 37)"


@settings(max_examples=25, deadline=None)
@given(
    codec=lossy.chains({"resize": (0.2, 1), "jpeg": None, "h264": {"gop": 2}}),
    media=lossy.images(1, 24) | lossy.clips(1, 24),
)
def test_chains_equal_their_codec_built_by_hand(codec: LossyCodec, media: np.ndarray) -> None:
    steps = codec.declaration["steps"]
    assert 1 <= len(steps) <= 3
    by_hand = round_trip(build_codec("chain", {"steps": steps}), media, steps[-1]["level"]).media
    assert np.array_equal(codec(media), by_hand)


def test_wrong_arguments_are_explained() -> None:
    for call, message in (
        (lambda: lossy.codec_levels("jpgg"), "did you mean 'jpeg'"),
        (lambda: lossy.codec_levels({"jpeg": (0, 5)}), "level 0 is outside 1..100"),
        (lambda: lossy.codec_levels("jpeg", shrink_to="best"), "write shrink_to='mild'"),
        (lambda: smallest(lossy.images(contents=["fog"]), bool), "unknown contents .'fog'.; choose from flat"),
    ):
        with pytest.raises(LossyError, match=message):
            call()
