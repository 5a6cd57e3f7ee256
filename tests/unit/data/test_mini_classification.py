"""mini-classification: objects are in the picture and their classes differ in detail."""

from __future__ import annotations

import hashlib
import itertools
from pathlib import Path

import numpy as np
import pytest
from data_checks import assert_protocol
from PIL import Image, ImageDraw
from pydantic import ValidationError

from pytest_lossy.data.mini.close_up import OBJECTS, sample_close_up
from pytest_lossy.data.mini.labels import CAR, SIGN, TREE
from pytest_lossy.data.mini.render import render
from pytest_lossy.data.mini.sign_faces import CLOSE_SIGNS, SIGNS, face
from pytest_lossy.data.mini.weather import WEATHER
from pytest_lossy.data.mini_classification import MiniClassification, MiniClassificationOptions
from pytest_lossy.tasks.classification import ClassificationTask

SEED = MiniClassification.splits["val"].seed


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> MiniClassification:
    return MiniClassification(MiniClassificationOptions(count=14), cache=tmp_path_factory.mktemp("cache"))


def painted(kind: str, pixels: int) -> np.ndarray:
    """A sign's face from the front, by Pillow alone."""
    picture = Image.new("RGB", (8 * pixels, 8 * pixels), (90, 110, 130))
    draw = ImageDraw.Draw(picture)
    for patch in face(kind, 0, fine=True):
        outline = [((1.1 + x) * 8 * pixels / 2.2, (1.1 - y) * 8 * pixels / 2.2) for x, y in patch.outline]
        draw.polygon(outline, fill=tuple(round(255 * c**0.45) for c in patch.color))
    return np.asarray(picture.resize((pixels, pixels), Image.Resampling.BOX), np.float64)


def test_protocol(data: MiniClassification) -> None:
    assert_protocol(data)
    assert data.classes == OBJECTS
    assert len(set(OBJECTS)) == 14
    assert data.media == "stills"


def test_format(data: MiniClassification, tmp_path: Path) -> None:
    samples = [data.load(index) for index in range(14)]
    assert [sample.target for sample in samples] == list(range(14))
    for sample in samples:
        assert sample.media.shape == (96, 96, 3)
        assert set(sample.tags) <= set(WEATHER)
        assert sample.tags
    assert len({hashlib.sha256(sample.media.tobytes()).hexdigest() for sample in samples}) == 14
    large = MiniClassification(MiniClassificationOptions(size=128), cache=tmp_path).load(0)
    assert large.media.shape == (128, 128, 3)
    for split in MiniClassification.splits.values():
        assert split.size % 14 == 0


def test_the_object_is_in_the_picture() -> None:
    """Its class covers the middle, at a size at which one can tell it."""
    wanted = {**dict.fromkeys(OBJECTS, SIGN), **dict.fromkeys(("saloon", "hatchback", "estate", "van"), CAR)}
    wanted |= dict.fromkeys(("broad-leaved", "conifer"), TREE)
    small = []
    for index in range(70):
        kind = OBJECTS[index % 14]
        scene = sample_close_up(SEED, index, kind)
        labels = render(scene, (96, 96)).labels
        middle = labels[16:80, 16:80] == wanted[kind]
        if middle.sum() < 120:
            small.append((index, kind, int(middle.sum())))
    assert len(small) <= 4, small


def test_objects_are_alone() -> None:
    for index in range(8):
        frame = render(sample_close_up(SEED, index, OBJECTS[index]), (96, 96))
        assert [thing.kind for thing in frame.things if thing.label == SIGN] == [CLOSE_SIGNS[index]]
    for index in range(8, 12):
        frame = render(sample_close_up(SEED, index, OBJECTS[index]), (96, 96))
        assert [thing.kind for thing in frame.things if thing.label == CAR] == [OBJECTS[index]]


def test_faces_differ_in_detail_only() -> None:
    limits = [kind for kind in CLOSE_SIGNS if kind.startswith("limit")]
    assert len(limits) == 4
    for one, other in itertools.combinations(CLOSE_SIGNS, 2):
        assert np.abs(painted(one, 32) - painted(other, 32)).max() > 60
    for one, other in itertools.combinations(limits, 2):
        changed = np.abs(painted(one, 32) - painted(other, 32)).max(axis=2) > 30
        assert 0.002 < changed.mean() < 0.1


def test_streets_have_none_of_these_faces() -> None:
    assert not set(SIGNS) & set(CLOSE_SIGNS)


def test_perfect_prediction(data: MiniClassification) -> None:
    task = ClassificationTask(data.classes)
    evidence = []
    for index in range(14):
        target = data.load(index).target
        scores = np.eye(14, dtype=np.float32)[target]
        assert task.check(scores, target) is None
        evidence.append(task.evidence(scores, target))
    metrics = task.reduce(evidence, np.ones((1, 14)))
    assert metrics["top1"][0] == 1.0
    assert metrics["ece"][0] == pytest.approx(0.0)


@pytest.mark.parametrize("wrong", [{"size": 16}, {"size": (96, 96)}, {"frames": 4}])
def test_wrong_options(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        MiniClassificationOptions.model_validate(wrong)
