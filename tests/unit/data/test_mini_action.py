"""mini-action: motions against what their names mean, people in view, clips on which nothing collides."""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import math
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from data_checks import assert_protocol
from pydantic import ValidationError

from pytest_lossy.data.mini.labels import PERSON
from pytest_lossy.data.mini.motion import ACTIONS, sample_motion
from pytest_lossy.data.mini.people import Person
from pytest_lossy.data.mini.render import render
from pytest_lossy.data.mini.skeleton import Joints, joints
from pytest_lossy.data.mini.stage import sample_stage
from pytest_lossy.data.mini.things import Place
from pytest_lossy.data.mini_action import MiniAction, MiniActionOptions
from pytest_lossy.tasks.action import ActionTask

ROOT = Path(__file__).parents[3]
SEED = MiniAction.splits["val"].seed
DURATION = 16 / 12.5
TIMES = np.linspace(0.0, DURATION, 33)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def data(cache: Path) -> MiniAction:
    return MiniAction(MiniActionOptions(count=8, frames=4), cache=cache)


def bodies(action: str, seed: int, times: np.ndarray = TIMES) -> list[Joints]:
    """Joints of one actor, 1 m tall and in place, at several times."""
    motion = sample_motion(np.random.Generator(np.random.PCG64(seed)), action)
    found = []
    for time in times:
        pose, lift = motion.at(float(time))
        found.append(joints(Place(0.0, 0.0, 0.0), 0.0, height=1.0, build=1.0, pose=pose, phase=0.0, lift=lift))
    return found


def span(found: list[Joints], name: str, axis: int) -> float:
    values = [body[name][axis] for body in found]
    return max(values) - min(values)


def lowest(body: Joints) -> float:
    return min(body["left_ankle"][1], body["right_ankle"][1])


SEEDS = range(6)
ANKLE = 0.045


class TestMotions:
    @pytest.mark.parametrize("action", ACTIONS)
    def test_a_cycle_repeats(self, action: str) -> None:
        motion = sample_motion(np.random.Generator(np.random.PCG64(1)), action)
        (one, lift), (later, later_lift) = motion.at(0.3), motion.at(0.3 + 1.0 / motion.rate)
        for field in dataclasses.fields(one):
            np.testing.assert_allclose(getattr(one, field.name), getattr(later, field.name), atol=1e-9)
        assert lift == pytest.approx(later_lift, abs=1e-9)

    @pytest.mark.parametrize("action", ACTIONS)
    def test_nothing_jerks(self, action: str) -> None:
        """No joint moves by more than a fifth of the body height in a fiftieth of a second."""
        for seed in SEEDS:
            found = bodies(action, seed, np.arange(0, 1.5, 0.02))
            for before, after in itertools.pairwise(found):
                assert max(math.dist(before[name], after[name]) for name in before) < 0.2

    @pytest.mark.parametrize("action", ACTIONS)
    def test_nobody_sinks_into_the_ground(self, action: str) -> None:
        for seed in SEEDS:
            feet = [lowest(body) for body in bodies(action, seed)]
            assert min(feet) > ANKLE - 0.01
            assert min(feet) < ANKLE + 0.03

    def test_standing(self) -> None:
        for seed in SEEDS:
            found = bodies("standing", seed)
            assert max(span(found, name, axis) for name in found[0] for axis in range(3)) < 0.03

    def test_everything_else_moves(self) -> None:
        for action in ACTIONS[1:]:
            for seed in SEEDS:
                found = bodies(action, seed)
                assert max(span(found, name, axis) for name in found[0] for axis in range(3)) > 0.09, (action, seed)

    def test_walking_and_running(self) -> None:
        """Legs swing against each other; running swings them faster and farther and leaves the ground."""

        def rush(action: str) -> float:
            found = [bodies(action, seed, np.arange(0, 2, 0.02)) for seed in range(20)]
            return float(np.mean([
                abs(after["left_ankle"][2] - before["left_ankle"][2]) / 0.02
                for body in found for before, after in itertools.pairwise(body)
            ]))  # fmt: skip

        for action in ("walking", "running"):
            for seed in SEEDS:
                left, right = (
                    np.array([b[f"{side}_knee"][2] - b["pelvis"][2] for b in bodies(action, seed)])
                    for side in ("left", "right")
                )
                assert np.corrcoef(left, right)[0, 1] < -0.9
        assert rush("running") > 1.8 * rush("walking")
        assert max(lowest(body) for body in bodies("running", 0)) > ANKLE + 0.02
        assert max(lowest(body) for body in bodies("walking", 0)) == pytest.approx(ANKLE, abs=1e-3)

    @pytest.mark.parametrize(("action", "flown"), [("walking", 1.0), ("running", 1.3)])
    def test_the_speed_fits_the_steps(self, action: str, flown: float) -> None:
        """A cycle is two steps, each as long as the feet are apart when both touch the ground, and what is flown."""
        for seed in SEEDS:
            motion = sample_motion(np.random.Generator(np.random.PCG64(seed)), action)
            found = bodies(action, seed, np.arange(0, 1 / motion.rate, 0.005))
            step = max(abs(body["left_ankle"][2] - body["right_ankle"][2]) for body in found)
            assert motion.speed / motion.rate == pytest.approx(2 * step * flown, rel=0.25)

    def test_waving_moves_one_arm_alone(self) -> None:
        for seed in SEEDS:
            found = bodies("waving", seed)
            moved = sorted(max(span(found, f"{side}_wrist", axis) for axis in range(3)) for side in ("left", "right"))
            assert moved[0] < 0.01
            assert moved[1] > 0.1
            assert (
                max(span(found, name, axis) for name in ("left_knee", "right_knee", "head") for axis in range(3)) < 0.01
            )
            assert max(max(b["left_wrist"][1], b["right_wrist"][1]) - b["head"][1] for b in found) > -0.05

    def test_jumping_leaves_the_ground_and_squatting_does_not(self) -> None:
        for seed in SEEDS:
            assert max(lowest(body) for body in bodies("jumping", seed)) > ANKLE + 0.1
            squat = bodies("squatting", seed)
            assert max(lowest(body) for body in squat) == pytest.approx(ANKLE, abs=1e-3)
            assert span(squat, "pelvis", 1) > 0.12

    def test_jumping_jacks_spread_arms_and_legs_together(self) -> None:
        for seed in SEEDS:
            found = bodies("jumping_jacks", seed, np.arange(0, 1.2, 0.02))
            legs = [b["right_ankle"][0] - b["left_ankle"][0] for b in found]
            hands = [b["right_wrist"][1] + b["left_wrist"][1] for b in found]
            assert max(legs) - min(legs) > 0.2
            assert np.corrcoef(legs, hands)[0, 1] > 0.8

    def test_punching_stretches_one_arm_after_the_other(self) -> None:
        for seed in SEEDS:
            found = bodies("punching", seed)
            left, right = (
                np.array([math.dist(b[f"{s}_shoulder"], b[f"{s}_wrist"]) for b in found]) for s in ("left", "right")
            )
            assert min(np.ptp(left), np.ptp(right)) > 0.08
            assert np.corrcoef(left, right)[0, 1] < -0.2

    def test_a_raised_arm_or_a_crouch_does_not_give_the_class_away(self) -> None:
        """Some who stand look, in a single picture, like some who wave, walk or squat."""
        stills = [bodies("standing", seed, np.zeros(1))[0] for seed in range(60)]
        raised = sum(max(b["left_wrist"][1], b["right_wrist"][1]) > b["head"][1] for b in stills)
        low = sum(b["pelvis"][1] < 0.4 for b in stills)
        apart = sum(abs(b["left_ankle"][2] - b["right_ankle"][2]) > 0.25 for b in stills)
        assert min(raised, low, apart) >= 3


class TestData:
    def test_protocol(self, data: MiniAction) -> None:
        assert_protocol(data)
        assert data.classes == ACTIONS
        assert len(ACTIONS) == 8
        assert data.media == MiniAction.media_of(MiniActionOptions()) == "clips"
        assert [data.group(index) for index in range(8)] == [data.sample_id(index) for index in range(8)]

    def test_format(self, data: MiniAction, cache: Path) -> None:
        sample = MiniAction(MiniActionOptions(), cache=cache).load(3)
        assert sample.media.shape == (16, 96, 128, 3)
        assert sample.context == {"fps": 12.5}
        assert sample.frame is None
        assert sample.tags
        assert [data.load(index).target for index in range(8)] == list(range(8))

    def test_perfect_prediction(self, data: MiniAction) -> None:
        task = ActionTask(data.classes)
        evidence = []
        for index in range(8):
            target = data.load(index).target
            scores = np.eye(8, dtype=np.float32)[target]
            assert task.check(scores, target) is None
            evidence.append(task.evidence(scores, target))
        assert task.reduce(evidence, np.ones((1, 8)))["top1"][0] == 1.0

    def test_splits_are_balanced(self) -> None:
        for split in MiniAction.splits.values():
            assert split.size % len(ACTIONS) == 0

    @pytest.mark.parametrize("wrong", [{"frames": 1}, {"fps": -1}, {"size": (16, 16)}, {"classes": 3}])
    def test_wrong_options(self, wrong: dict[str, object]) -> None:
        with pytest.raises(ValidationError):
            MiniActionOptions.model_validate(wrong)

    def test_another_process_renders_the_same(self, data: MiniAction, tmp_path: Path) -> None:
        code = (
            "import hashlib, sys; from pathlib import Path;"
            "from pytest_lossy.data.mini_action import MiniAction, MiniActionOptions;"
            "s = MiniAction(MiniActionOptions(frames=4), cache=Path(sys.argv[1])).load(2);"
            "print(hashlib.sha256(s.media.tobytes()).hexdigest(), s.target)"
        )
        done = subprocess.run(
            [sys.executable, "-c", code, str(tmp_path)],
            capture_output=True, text=True, check=True, cwd=ROOT, env={**os.environ, "PYTHONHASHSEED": "5"},
        )  # fmt: skip
        sample = data.load(2)
        assert done.stdout.split() == [hashlib.sha256(sample.media.tobytes()).hexdigest(), str(sample.target)]


def test_actors_are_seen() -> None:
    """In the middle of the clip the first actor is in view, large enough, and hardly hidden."""
    shares = []
    for index in range(24):
        scene = sample_stage(SEED, index, ACTIONS[index % 8], DURATION)
        actors = [thing for thing in scene.things if isinstance(thing, Person) and thing.motion is not None]
        assert 1 <= len(actors) <= 3
        frame = render(scene, (128, 96), DURATION / 2)
        alone = render(dataclasses.replace(scene, things=(actors[0],)), (128, 96), DURATION / 2)
        number = sum(thing.counted for thing in scene.things) - len(actors) + 1
        body = alone.instances == 1
        shares.append((frame.instances == number).sum() / max(body.sum(), 1))
        assert body.sum() > 60
        rows = np.flatnonzero(body.any(axis=1))
        assert 18 <= np.ptp(rows) + 1 <= 96
        assert (frame.labels == PERSON).any()
    assert np.mean(shares) > 0.9
    assert np.mean(np.array(shares) > 0.6) > 0.9
