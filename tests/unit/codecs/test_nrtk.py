"""NRTK's perturbers as codecs, with the real package; what it asks of a perturber, with perturbers that break it."""

from __future__ import annotations

import pickle
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from pytest_lossy.codecs.base import Codec, UInt8Array, round_trip
from pytest_lossy.codecs.jpeg import JpegCodec
from pytest_lossy.codecs.nrtk import NrtkCodec, NrtkOptions
from pytest_lossy.codecs.registry import build_codec
from pytest_lossy.doctor.codecs import check_codec
from pytest_lossy.engine.media_cache import worth_caching
from pytest_lossy.errors import CodecError

BLUR = "nrtk.impls.perturb_image.photometric.blur:GaussianBlurPerturber"
ALBUMENTATIONS = "nrtk.impls.perturb_image:AlbumentationsPerturber"

THEIRS = '''
import numpy as np
from nrtk.interfaces import PerturbImage


class Add(PerturbImage):
    """What it does wrong, if anything, is in its arguments."""

    def __init__(self, amount, shape=False, kind=None, raises=False, shift=0):
        super().__init__()
        self.amount, self.shape, self.kind, self.raises, self.shift = amount, shape, kind, raises, shift

    def perturb(self, *, image, boxes=None, **more):
        if self.raises:
            raise ZeroDivisionError("in a perturber")
        found = np.clip(image.astype(int) + self.amount, 0, 255).astype(self.kind or np.uint8)
        image[:] = 0  # a side effect on the input stays with the input
        moved = [(type(box)(np.add(box.min_vertex, self.shift), np.add(box.max_vertex, self.shift)), scores)
                 for box, scores in boxes]
        return (found[1:] if self.shape else found), moved

    def get_config(self):
        return {}


class Noise(Add):
    seed = None

    def __init__(self, amount, seed=None):
        super().__init__(amount)
        self.seed, self.random = seed, np.random.default_rng(seed)

    def perturb(self, *, image, boxes=None, **more):
        noise = self.random.normal(0, self.amount, image.shape)
        return np.clip(image + noise, 0, 255).astype(np.uint8), boxes


def add(strength):
    return Add(amount=2 * strength)


def nothing(strength):
    return strength
'''


def codec(perturber: str, parameter: str, **more: Any) -> NrtkCodec:
    options = {"minimum": 0, "maximum": 100, "higher_is_more_compressed": True, **more}
    return NrtkCodec(NrtkOptions(perturber=perturber, parameter=parameter, **options))


@pytest.fixture
def theirs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    pytest.importorskip("nrtk")
    (tmp_path / "their_perturbers.py").write_text(THEIRS, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "their_perturbers", raising=False)
    return "their_perturbers"


@pytest.fixture(scope="module")
def picture() -> UInt8Array:
    random = np.random.default_rng(3)
    blocks = np.kron(random.integers(20, 235, (6, 8, 3)), np.ones((8, 8, 1), int))
    return np.clip(blocks + random.normal(0, 4, blocks.shape), 0, 255).astype(np.uint8)


def test_a_perturber_of_the_package_is_a_codec(picture: UInt8Array) -> None:
    pytest.importorskip("nrtk")
    cv2 = pytest.importorskip("cv2")
    blur = codec(BLUR, "ksize", levels_default=[3, 7])
    assert isinstance(blur, Codec)
    for size in (3, 7):
        found = round_trip(blur, picture, size)
        assert np.array_equal(found.media, cv2.GaussianBlur(picture, ksize=(size, size), sigmaX=0))
        assert found.payload_bits == 8 * picture.size
    again = pickle.loads(pickle.dumps(blur))
    assert np.array_equal(round_trip(again, picture, 7).media, found.media)
    clip = np.stack([picture, picture[::-1]])
    assert np.array_equal(round_trip(blur, clip, 7).media[0], round_trip(blur, picture, 7).media)
    with pytest.raises(CodecError, match=r"ksize 6: ValueError.*Must be >= 1 and odd"):
        blur.encode(picture, 6)
    assert check_codec("nrtk").state == "works"


def test_its_jpeg_exchanges_red_and_blue(picture: UInt8Array) -> None:
    pytest.importorskip("nrtk")
    pytest.importorskip("albumentations")
    jpeg = codec(
        ALBUMENTATIONS,
        "q",
        kwargs={"perturber": "ImageCompression", "parameters": {"quality_range": ["{level}", "{level}"], "p": 1.0}},
        higher_is_more_compressed=False,
        minimum=1,
        seed=0,
    )
    ours = round_trip(JpegCodec(), np.ascontiguousarray(picture[..., ::-1]), 15).media[..., ::-1]
    assert np.array_equal(round_trip(jpeg, picture, 15).media, ours)
    assert not np.array_equal(ours, round_trip(JpegCodec(), picture, 15).media)


def test_the_level_goes_where_it_is_said(picture: UInt8Array, theirs: str) -> None:
    brighter = np.clip(picture.astype(int) + 10, 0, 255)
    for found in (
        codec(f"{theirs}:Add", "amount"),
        codec(f"{theirs}:Add", "strength", kwargs={"amount": "{level}"}),
    ):
        before = picture.copy()
        assert np.array_equal(round_trip(found, picture, 10).media, brighter)
        assert np.array_equal(picture, before)
    assert np.array_equal(round_trip(codec(f"{theirs}:add", "strength"), picture, 5).media, brighter)


def test_random_perturbers_repeat_for_a_picture_and_differ_between_pictures(picture: UInt8Array, theirs: str) -> None:
    noise = codec(f"{theirs}:Noise", "amount", seed=7)
    flat = np.full((40, 50, 3), 128, np.uint8)
    first = round_trip(noise, flat, 10).media
    round_trip(noise, picture, 10)
    assert np.array_equal(round_trip(noise, flat, 10).media, first)
    assert np.array_equal(round_trip(codec(f"{theirs}:Noise", "amount", seed=7), flat, 10).media, first)
    other = round_trip(noise, np.full_like(flat, 129), 10).media.astype(int) - 129
    assert abs(np.corrcoef((first.astype(int) - 128).ravel(), other.ravel())[0, 1]) < 0.1
    double = round_trip(noise, flat, 20).media.astype(int) - 128  # the same noise, twice as strong
    assert np.corrcoef((first.astype(int) - 128).ravel(), double.ravel())[0, 1] > 0.99
    assert not np.array_equal(round_trip(codec(f"{theirs}:Noise", "amount", seed=8), flat, 10).media, first)
    with pytest.raises(CodecError, match=r"Noise is random; add 'seed: 0'"):
        codec(f"{theirs}:Noise", "amount").encode(flat, 10)


@pytest.mark.parametrize(
    ("perturber", "more", "message"),
    [
        ("Add", {"kwargs": {"shape": True}}, r"returned uint8 \(47, 64, 3\) for uint8 \(48, 64, 3\)"),
        ("Add", {"kwargs": {"kind": "float32"}}, r"returned float32 \(48, 64, 3\)"),
        ("Add", {"kwargs": {"shift": 3}}, "moves objects by up to 3 pixels"),
        ("Add", {"kwargs": {"color": 1}}, "cannot be built at amount 5: TypeError"),
        ("Addd", {}, "did you mean 'Add'"),
        ("nothing", {"kwargs": {"strength": "{level}"}}, "made a int"),
        ("Add", {"minimum": 10}, "level 5 is outside 10..100"),
    ],
)
def test_what_a_perturber_must_not_do(
    picture: UInt8Array, theirs: str, perturber: str, more: dict[str, Any], message: str
) -> None:
    with pytest.raises(CodecError, match=message):
        codec(f"{theirs}:{perturber}", "amount", **more).encode(picture, 5)


def test_stale_pictures_are_impossible(theirs: str, tmp_path: Path) -> None:
    own, blur = codec(f"{theirs}:Add", "amount"), codec(BLUR, "ksize")
    assert not worth_caching(own)
    assert not worth_caching(blur)
    steps = [{"codec": "nrtk", **blur.options.model_dump(), "level": 3}, "webp"]
    assert worth_caching(build_codec("chain", {"steps": steps}))
    steps[0] = {"codec": "nrtk", **own.options.model_dump(), "level": 3}
    assert not worth_caching(build_codec("chain", {"steps": steps}))  # their code is not versioned
    assert "nrtk=" in blur.fingerprint()
    before = own.fingerprint()
    assert codec(f"{theirs}:Add", "amount", kwargs={"shift": 0}).fingerprint() != before
    (tmp_path / "their_perturbers.py").write_text(THEIRS + "\n# changed\n", encoding="utf-8")
    assert own.fingerprint() != before


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"perturber": "GaussianBlurPerturber"}, "not of the form package.module:Class"),
        ({"parameter": "k-size"}, "parameter"),
        ({"minimum": 9, "maximum": 3}, "exchange them"),
        ({"kwargs": {"seed": 1}}, "write 'seed' beside kwargs"),
        ({"seed": -1}, "seed"),
        ({"levels_default": [3, 200]}, "level 200 is outside"),
        ({"kwarg": {}}, "kwarg"),
    ],
)
def test_mistakes_in_a_spec_are_found_before_anything_runs(changes: dict[str, Any], message: str) -> None:
    good = {"perturber": BLUR, "parameter": "ksize", "minimum": 1, "maximum": 99, "higher_is_more_compressed": True}
    assert NrtkCodec(NrtkOptions(**good)).levels.default == (1, 26, 50, 74, 99)
    with pytest.raises(ValidationError) as caught:
        NrtkOptions(**(good | changes))
    assert message in str(caught.value)


def test_without_the_package_one_is_told_what_to_install(monkeypatch: pytest.MonkeyPatch, picture: UInt8Array) -> None:
    monkeypatch.setitem(sys.modules, "nrtk", None)
    monkeypatch.setitem(sys.modules, "nrtk.interfaces", None)
    blur = codec(BLUR, "ksize")
    with pytest.raises(CodecError, match=r"pip install 'pytest-lossy\[nrtk\]'"):
        blur.encode(picture, 3)
    assert "perturber=nrtk." in blur.fingerprint()
