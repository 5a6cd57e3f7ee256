"""mini-detection: boxes against the masks of single objects, perfect predictions, the cache, clips of the same scenes."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from data_checks import assert_protocol
from pydantic import ValidationError

from pytest_lossy.data.mini import dataset
from pytest_lossy.data.mini.annotation import DETECTED
from pytest_lossy.data.mini.people import Person
from pytest_lossy.data.mini.recipe import TRAFFIC
from pytest_lossy.data.mini.render import SIZE, Frame, render
from pytest_lossy.data.mini.scene import Scene, sample_scene
from pytest_lossy.data.mini.signs import Sign
from pytest_lossy.data.mini.vehicles import Vehicle
from pytest_lossy.data.mini_action import MiniAction
from pytest_lossy.data.mini_classification import MiniClassification
from pytest_lossy.data.mini_depth import MiniDepth
from pytest_lossy.data.mini_detection import MiniDetection, MiniDetectionOptions
from pytest_lossy.data.mini_pose import MiniPose
from pytest_lossy.errors import DataError
from pytest_lossy.tasks.detection import DetectionTask

ROOT = Path(__file__).parents[3]
SEED = MiniDetection.splits["val"].seed
COUNT = 12


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def data(cache: Path) -> MiniDetection:
    return MiniDetection(MiniDetectionOptions(count=COUNT), cache=cache)


@pytest.fixture(scope="module")
def scenes() -> list[Scene]:
    return [sample_scene(SEED, index, TRAFFIC) for index in range(COUNT)]


@pytest.fixture(scope="module")
def frames(scenes: list[Scene]) -> list[Frame]:
    return [render(scene) for scene in scenes]


def extent_of(mask: np.ndarray) -> tuple[float, ...]:
    """Pixel by pixel, unlike the product."""
    found = np.argwhere(mask)
    rows, columns = sorted(p[0] for p in found), sorted(p[1] for p in found)
    return (float(columns[0]), float(rows[0]), float(columns[-1] + 1), float(rows[-1] + 1))


def test_protocol(data: MiniDetection) -> None:
    assert_protocol(data)
    assert data.classes == DETECTED == ("car", "van", "truck", "bus", "person", "sign")
    assert data.name == "mini-detection"
    assert data.media == "stills"


def test_boxes_are_the_extents_of_the_masks(data: MiniDetection, scenes: list[Scene], frames: list[Frame]) -> None:
    total = 0
    for index, (scene, frame) in enumerate(zip(scenes, frames, strict=True)):
        target = data.load(index).target
        counted = [thing for thing in scene.things if thing.counted]
        wanted = []
        for number, thing in enumerate(counted, start=1):
            mask = frame.instances == number
            if mask.any():
                wanted.append((extent_of(mask), float(mask.sum()), thing))
        assert [tuple(box) for box in target["boxes"].tolist()] == [box for box, _, _ in wanted]
        assert target["area"].tolist() == [area for _, area, _ in wanted]
        for label, (_, _, thing) in zip(target["labels"], wanted, strict=True):
            if isinstance(thing, Person):
                assert DETECTED[label] == "person"
            elif isinstance(thing, Sign):
                assert DETECTED[label] == "sign"
            else:
                assert isinstance(thing, Vehicle)
                assert DETECTED[label] == {"lorry": "truck", "van": "van", "bus": "bus"}.get(thing.model.name, "car")
        total += len(wanted)
    assert total > 80


def test_whole_extent_is_what_the_object_covers_alone(scenes: list[Scene], frames: list[Frame]) -> None:
    width, height = SIZE
    compared = 0
    for scene, frame in zip(scenes[:2], frames[:2], strict=True):
        counted = [thing for thing in scene.things if thing.counted]
        for thing in frame.things:
            if not (frame.instances == thing.number).any():
                continue
            alone = render(dataclasses.replace(scene, things=(counted[thing.number - 1],)))
            seen = extent_of(alone.instances == 1)
            x0, y0, x1, y1 = thing.extent
            clipped = (max(x0, 0.0), max(y0, 0.0), min(x1, width), min(y1, height))
            # Pillow draws the outline itself, and one of four samples stands for a pixel.
            slack = 1.3
            assert (np.array(seen[:2]) >= np.array(clipped[:2]) - slack).all()
            assert (np.array(seen[2:]) <= np.array(clipped[2:]) + slack).all()
            if clipped == thing.extent:  # else what is outside the picture may be the topmost part
                np.testing.assert_allclose(seen, clipped, atol=slack)
                compared += 1
    assert compared > 8


def test_what_is_hardly_visible_does_not_count(data: MiniDetection, scenes: list[Scene], frames: list[Frame]) -> None:
    crowd = 0
    for index in range(3):
        scene, frame, target = scenes[index], frames[index], data.load(index).target
        counted = [thing for thing in scene.things if thing.counted]
        visible = [number for number in range(1, len(counted) + 1) if (frame.instances == number).any()]
        for k, number in enumerate(visible):
            alone = render(dataclasses.replace(scene, things=(counted[number - 1],)))
            share = (frame.instances == number).sum() / (alone.instances == 1).sum()
            sides = target["boxes"][k, 2:] - target["boxes"][k, :2]
            tiny = target["area"][k] < 16 or sides.min() < 3
            if target["iscrowd"][k]:
                crowd += 1
                assert tiny or share < 0.6
            else:
                assert not tiny
                assert share > 0.04
    assert crowd > 0


def test_sizes_and_classes_occur(cache: Path) -> None:
    data = MiniDetection(MiniDetectionOptions(split="train", count=40), cache=cache)
    targets = [data.load(index).target for index in range(40)]
    labels, area, crowd = (np.concatenate([t[name] for t in targets]) for name in ("labels", "area", "iscrowd"))
    kept = crowd == 0
    assert (np.bincount(labels[kept], minlength=6) >= 8).all()
    assert (kept & (area < 32**2)).sum() > 100
    assert (kept & (area >= 32**2) & (area < 96**2)).sum() > 40
    assert (kept & (area >= 96**2)).sum() >= 3
    assert crowd.mean() < 0.25


def test_perfect_prediction(data: MiniDetection) -> None:
    task = DetectionTask(data.classes)
    evidence = []
    for index in range(len(data)):
        target = data.load(index).target
        kept = target["iscrowd"] == 0
        found = {"boxes": target["boxes"][kept], "labels": target["labels"][kept], "scores": np.ones(kept.sum())}
        assert task.check(found, target) is None
        evidence.append(task.evidence(found, target))
    metrics = task.reduce(evidence, np.ones((1, len(evidence))))
    for name in ("ap", "ap50", "ap75", "ar100", "precision", "recall", "f1", "ap[small]", "ap[medium]"):
        assert metrics[name][0] == pytest.approx(1.0), name
    assert metrics["fp_per_image"][0] == 0.0


def test_crowds_neither_help_nor_hurt(data: MiniDetection) -> None:
    task = DetectionTask(data.classes)
    index = next(i for i in range(len(data)) if data.load(i).target["iscrowd"].any())
    target = data.load(index).target
    found = {name: target[name] for name in ("boxes", "labels")} | {"scores": np.ones(len(target["labels"]))}
    metrics = task.reduce([task.evidence(found, target)], np.ones((1, 1)))
    assert metrics["ap"][0] == pytest.approx(1.0)
    assert metrics["fp_per_image"][0] == 0.0


def test_another_process_renders_the_same(data: MiniDetection, tmp_path: Path) -> None:
    code = (
        "import hashlib, sys; from pathlib import Path;"
        "from pytest_lossy.data.mini_detection import MiniDetection, MiniDetectionOptions;"
        "s = MiniDetection(MiniDetectionOptions(), cache=Path(sys.argv[1])).load(2);"
        "print(hashlib.sha256(s.media.tobytes() + s.target['boxes'].tobytes()).hexdigest(), *s.tags)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)],
        capture_output=True, text=True, check=True, cwd=ROOT, env={**os.environ, "PYTHONHASHSEED": "11"},
    )  # fmt: skip
    sample = data.load(2)
    digest = hashlib.sha256(sample.media.tobytes() + sample.target["boxes"].tobytes()).hexdigest()
    assert done.stdout.split() == [digest, *sample.tags]


class TestCache:
    def test_second_load_reads(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        data = MiniDetection(MiniDetectionOptions(count=1), cache=tmp_path)
        first = data.load(0)
        monkeypatch.setattr(dataset, "render", None)
        again = data.load(0)
        np.testing.assert_equal(again.target, first.target)
        np.testing.assert_equal(again.context, first.context)
        np.testing.assert_array_equal(again.media, first.media)
        assert again.tags == first.tags
        assert again.media.flags.c_contiguous

    @pytest.mark.parametrize("damage", [b"", b"pytest-lossy record 1\n", None], ids=["empty", "header", "one bit"])
    def test_damage_is_rendered_again(self, tmp_path: Path, damage: bytes | None) -> None:
        data = MiniDetection(MiniDetectionOptions(count=1, size=(64, 64)), cache=tmp_path)
        whole = data.load(0)
        (file,) = (path for path in tmp_path.rglob("*") if path.is_file())
        content = file.read_bytes()
        file.write_bytes(content[:300] + bytes([content[300] ^ 1]) + content[301:] if damage is None else damage)
        np.testing.assert_array_equal(data.load(0).media, whole.media)
        assert file.read_bytes() == content

    def test_sizes_and_clips_have_their_own_files(self, tmp_path: Path) -> None:
        variants = ({"size": (64, 64)}, {"size": (96, 64)}, {"size": (64, 64), "frames": 2})
        for extra in variants:
            MiniDetection(MiniDetectionOptions(count=1, **extra), cache=tmp_path).load(0)
        assert len({path.parent for path in tmp_path.rglob("*.record")}) == len(variants)


class TestOptions:
    def test_size(self, tmp_path: Path) -> None:
        sample = MiniDetection(MiniDetectionOptions(size=(128, 80)), cache=tmp_path).load(0)
        assert sample.media.shape == (80, 128, 3)
        assert (sample.target["boxes"] <= [128, 80, 128, 80]).all()

    def test_clip(self, data: MiniDetection, tmp_path: Path) -> None:
        options = MiniDetectionOptions(count=1, frames=5, fps=12.5)
        assert MiniDetection.media_of(options) == "clips"
        assert MiniDetection.media_of(MiniDetectionOptions()) == "stills"
        clip, still = MiniDetection(options, cache=tmp_path).load(0), data.load(0)
        assert clip.media.shape == (5, 192, 256, 3)
        assert clip.frame == 2
        assert clip.context["fps"] == 12.5
        np.testing.assert_array_equal(clip.media[2], still.media)
        np.testing.assert_equal(clip.target, still.target)

    @pytest.mark.parametrize(
        "wrong", [{"split": "all"}, {"size": (8, 8)}, {"frames": 1}, {"fps": 0}, {"count": 0}, {"frame": 3}]
    )
    def test_wrong(self, wrong: dict[str, object]) -> None:
        with pytest.raises(ValidationError):
            MiniDetectionOptions.model_validate(wrong)

    def test_count_beyond_the_split(self) -> None:
        with pytest.raises(DataError, match=r"mini-detection: count 201 .* 1 to 200"):
            MiniDetection(MiniDetectionOptions(count=201))

    @pytest.mark.parametrize("index", [-1, COUNT])
    def test_wrong_index(self, data: MiniDetection, index: int) -> None:
        for method in (data.load, data.sample_id, data.group):
            with pytest.raises(DataError, match=f"no sample {index} .* 0 to {COUNT - 1}"):
                method(index)

    def test_fingerprint(self, monkeypatch: pytest.MonkeyPatch) -> None:
        variants = ({}, {"count": 3}, {"split": "test"}, {"size": (128, 96)}, {"frames": 4}, {"frames": 4, "fps": 10})
        prints = [MiniDetection(MiniDetectionOptions(**extra)).fingerprint() for extra in variants]
        assert len(set(prints)) == len(variants)
        monkeypatch.setattr(MiniDetection, "version", "next")
        assert MiniDetection(MiniDetectionOptions()).fingerprint() not in prints


def test_no_scene_is_in_two_splits_or_two_data_sets() -> None:
    families = (MiniDetection, MiniPose, MiniDepth, MiniAction, MiniClassification)
    seeds = [split.seed for family in families for split in family.splits.values()]
    assert len({*seeds, 1001, 2002, 3003}) == len(seeds) + 3
