"""mini-pose: keypoints against pictures of single people, body proportions, visibility, perfect predictions."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

import numpy as np
import pytest
from data_checks import assert_protocol
from PIL import Image, ImageFilter

from pytest_lossy.data.mini import casting
from pytest_lossy.data.mini.people import Person
from pytest_lossy.data.mini.recipe import PEOPLE
from pytest_lossy.data.mini.render import Frame, render
from pytest_lossy.data.mini.scene import Scene, sample_scene
from pytest_lossy.data.mini.skeleton import KEYPOINTS
from pytest_lossy.data.mini.things import Place
from pytest_lossy.data.mini_pose import MiniPose, MiniPoseOptions
from pytest_lossy.tasks.keypoints import COCO_KEYPOINTS
from pytest_lossy.tasks.pose import PoseTask

SEED = MiniPose.splits["val"].seed
COUNT = 8


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> MiniPose:
    return MiniPose(MiniPoseOptions(count=COUNT), cache=tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="module")
def scenes() -> list[Scene]:
    return [sample_scene(SEED, index, PEOPLE) for index in range(COUNT)]


def near(mask: np.ndarray, reach: int) -> np.ndarray:
    """Grown by ``reach`` pixels, by Pillow."""
    picture = Image.fromarray(np.asarray(mask, np.uint8) * 255)
    return np.asarray(picture.filter(ImageFilter.MaxFilter(2 * reach + 1))) > 0


def alone(scene: Scene, heading: float, pose: str = "standing") -> tuple[Person, Frame]:
    """One person 4 m ahead of a level camera; heading 0 looks away from it."""
    rng = np.random.Generator(np.random.PCG64(3))
    camera = dataclasses.replace(scene.camera, position=(0.0, 1.2, 0.0), yaw=0.0, pitch=0.0, roll=0.0, focal=1.0)
    person = dataclasses.replace(casting.make_person(rng, Place(0.0, 4.0, heading), pose), height=1.7)
    return person, render(dataclasses.replace(scene, camera=camera, things=(person,)))


def test_protocol(data: MiniPose) -> None:
    assert_protocol(data)
    assert data.classes == ("person",)
    assert data.keypoints == KEYPOINTS == COCO_KEYPOINTS


def test_keypoints_lie_on_their_person(scenes: list[Scene], data: MiniPose) -> None:
    inside = total = 0
    for index in range(3):
        scene = scenes[index]
        counted = [thing for thing in scene.things if thing.counted]
        frame = render(scene)
        shown = [t for t in frame.things if t.keypoints is not None and (frame.instances == t.number).any()]
        target = data.load(index).target
        assert len(shown) == len(target["keypoints"])
        for thing, points in zip(shown, target["keypoints"], strict=True):
            # The rest of the scene taken away: the whole body is seen.
            single = render(dataclasses.replace(scene, things=(counted[thing.number - 1],)))
            body = near(single.instances == 1, 2 + round(0.02 * thing.height))
            for x, y, visible in points:
                if visible:
                    total += 1
                    inside += bool(body[int(y), int(x)])
    assert total > 120
    assert inside / total > 0.99


def test_visible_keypoints_are_on_visible_pixels_of_the_person(data: MiniPose, scenes: list[Scene]) -> None:
    for index in range(4):
        frame, target = render(scenes[index]), data.load(index).target
        masks = [
            frame.instances == t.number
            for t in frame.things
            if t.keypoints is not None and (frame.instances == t.number).any()
        ]
        for mask, points in zip(masks, target["keypoints"], strict=True):
            grown, face = near(mask, 1), near(mask, 1 + int(0.02 * np.ptp(np.flatnonzero(mask.any(axis=1)))) + 1)
            for name, (x, y, visible) in zip(KEYPOINTS, points, strict=True):
                if visible == 2:
                    limb = name.split("_")[-1] not in ("nose", "eye", "ear")
                    assert (grown if limb else face)[int(y), int(x)]


def test_limbs_are_never_longer_than_the_body_allows(scenes: list[Scene]) -> None:
    longest = {"elbow": 0.165, "wrist": 0.15, "knee": 0.24, "ankle": 0.235}
    starts = {"elbow": "shoulder", "wrist": "elbow", "knee": "hip", "ankle": "knee"}
    compared = 0
    for index in range(3):
        frame = render(scenes[index])
        counted = [thing for thing in scenes[index].things if thing.counted]
        for thing in frame.things:
            person = counted[thing.number - 1]
            if thing.keypoints is None or not isinstance(person, Person):
                continue
            for side in ("left", "right"):
                for end, share in longest.items():
                    a, b = (thing.keypoints[KEYPOINTS.index(f"{side}_{name}")] for name in (starts[end], end))
                    if a[2] and b[2]:
                        # Limbs that point at the camera are nearer than the body by a quarter of a metre and more.
                        nearest = thing.distance - 0.4 * person.height
                        reach = share * person.height * frame.focal / nearest
                        assert math.dist(a[:2], b[:2]) < reach * 1.25
                        compared += 1
    assert compared > 40


class TestTurnedAway:
    @pytest.fixture(scope="class")
    @staticmethod
    def scene() -> Scene:
        return sample_scene(SEED, 0, PEOPLE)

    @staticmethod
    def visible(frame: Frame) -> dict[str, float]:
        (one,) = frame.things
        assert one.keypoints is not None
        return dict(zip(KEYPOINTS, one.keypoints[:, 2].tolist(), strict=True))

    def test_from_behind(self, scene: Scene) -> None:
        seen = self.visible(alone(scene, 0.0)[1])
        assert seen["nose"] == seen["left_eye"] == seen["right_eye"] == 1.0
        assert all(seen[f"{side}_{limb}"] == 2.0 for side in ("left", "right") for limb in ("shoulder", "hip", "ear"))

    def test_from_the_front(self, scene: Scene) -> None:
        frame = alone(scene, math.pi)[1]
        assert all(self.visible(frame)[name] == 2.0 for name in KEYPOINTS)
        (one,) = frame.things
        assert one.keypoints is not None
        # The person's left is on the picture's right.
        assert one.keypoints[KEYPOINTS.index("left_shoulder"), 0] > one.keypoints[KEYPOINTS.index("right_shoulder"), 0]

    def test_from_the_side(self, scene: Scene) -> None:
        # Faces to the right of the picture: the right side is near, the left side hidden by the trunk.
        seen = self.visible(alone(scene, math.pi / 2)[1])
        assert (seen["right_ear"], seen["left_ear"]) == (2.0, 1.0)
        assert (seen["right_shoulder"], seen["left_shoulder"]) == (2.0, 1.0)
        assert (seen["right_eye"], seen["left_eye"]) == (2.0, 1.0)
        assert seen["nose"] == 2.0

    def test_height_in_pixels(self, scene: Scene) -> None:
        person, frame = alone(scene, math.pi)
        (one,) = frame.things
        assert one.height == pytest.approx(1.7 * 256 / 4.0)
        rows = np.flatnonzero((frame.instances == 1).any(axis=1))
        assert rows[-1] - rows[0] == pytest.approx(one.height, rel=0.08)
        assert person.height == 1.7


def test_people_who_do_not_count(data: MiniPose) -> None:
    for index in range(COUNT):
        sample = data.load(index)
        target = sample.target
        assert target["num_keypoints"].tolist() == (target["keypoints"][..., 2] > 0).sum(axis=1).tolist()
        assert (target["labels"] == 0).all()
        wanted = (target["iscrowd"] == 0) & (target["num_keypoints"] > 0)
        np.testing.assert_array_equal(sample.context["boxes"], target["boxes"][wanted])
        unlabelled = target["keypoints"][target["keypoints"][..., 2] == 0]
        assert (unlabelled == 0.0).all()


def test_perfect_prediction(data: MiniPose) -> None:
    task = PoseTask(data.classes)
    evidence, people = [], 0
    for index in range(COUNT):
        target = data.load(index).target
        kept = (target["iscrowd"] == 0) & (target["num_keypoints"] > 0)
        people += kept.sum()
        found = {"keypoints": target["keypoints"][kept], "scores": np.ones(kept.sum()), "boxes": target["boxes"][kept]}
        assert task.check(found, target) is None
        evidence.append(task.evidence(found, target))
    assert people > 20
    metrics = task.reduce(evidence, np.ones((1, COUNT)))
    for name in ("ap", "ap50", "ap75", "ar", "pck", "pckh"):
        assert metrics[name][0] == pytest.approx(1.0), name


def test_errors_are_noticed(data: MiniPose) -> None:
    """Joints moved by a third of each box miss."""
    task, target = PoseTask(data.classes), data.load(0).target
    kept = (target["iscrowd"] == 0) & (target["num_keypoints"] > 0)
    moved = target["keypoints"][kept].copy()
    moved[..., 0] += ((target["boxes"][kept, 3] - target["boxes"][kept, 1]) / 3)[:, None]
    found = {"keypoints": moved, "scores": np.ones(kept.sum())}
    metrics = task.reduce([task.evidence(found, target)], np.ones((1, 1)))
    assert metrics["ap"][0] < 0.2
    assert metrics["pck"][0] < 0.2


def test_clip_labels_its_middle_frame(data: MiniPose, tmp_path: Path) -> None:
    clip = MiniPose(MiniPoseOptions(count=1, frames=3), cache=tmp_path).load(0)
    assert clip.frame == 1
    np.testing.assert_array_equal(clip.media[1], data.load(0).media)
    np.testing.assert_equal(clip.target, data.load(0).target)
