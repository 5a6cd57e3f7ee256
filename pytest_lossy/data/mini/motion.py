"""What people do over time: joint angles as functions of the clock."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from pytest_lossy.data.mini.skeleton import POSES, Pose

__all__ = ["ACTIONS", "Motion", "sample_motion"]

ACTIONS: tuple[str, ...] = (
    "standing", "walking", "running", "waving", "jumping", "squatting", "jumping_jacks", "punching",
)  # fmt: skip
"""What actors do, in label order."""


@dataclass(frozen=True, slots=True)
class Motion:
    """One person's action."""

    action: str
    rate: float
    """Cycles per second; a walker's cycle is two steps."""
    size: float
    """Amplitude, 1 is average."""
    phase: float
    """Of the cycle at time 0, radians."""
    side: int
    """0 where the left arm waves, 1 for the right."""
    base: Pose
    """What the joints that take no part do."""

    def at(self, time: float) -> tuple[Pose, float]:
        """The pose after ``time`` seconds, and how far the lower foot is off the ground in body heights."""
        return _MOVES[self.action](self, 2.0 * math.pi * self.rate * time + self.phase)

    @property
    def speed(self) -> float:
        """Along the heading, body heights per second: four swings of a leg of 0.475 heights per cycle."""
        if self.action == "walking":
            return 4.0 * 0.475 * math.sin(_STRIDE * self.size) * self.rate
        if self.action == "running":
            return 4.0 * 0.475 * math.sin(_RUN * self.size) * self.rate * 1.3  # a third of the way is flown
        return 0.0


_STRIDE, _RUN = 0.42, 0.72
_RATES: dict[str, tuple[float, float]] = {
    "standing": (0.1, 0.3), "walking": (0.8, 1.05), "running": (1.3, 1.6), "waving": (1.2, 2.2),
    "jumping": (1.1, 1.6), "squatting": (0.65, 1.0), "jumping_jacks": (0.9, 1.3), "punching": (1.1, 1.8),
}  # fmt: skip


def sample_motion(rng: np.random.Generator, action: str) -> Motion:
    """Draw how one person does ``action``.

    Looks are no clue: who stands may stand in mid-stride, with an arm raised or crouching, and elbows are bent by any
    amount where the action leaves them free.
    """
    names = ("standing", "phoning", "hands_on_hips") if action != "standing" else tuple(POSES)
    base = POSES[names[int(rng.integers(len(names)))]]

    def near(values: tuple[float, float], spread: float = 0.09) -> tuple[float, float]:
        return (values[0] + float(rng.normal(0, spread)), values[1] + float(rng.normal(0, spread)))

    mirrored = rng.random() < 0.5
    fields = [
        near(v[::-1] if mirrored else v) for v in (base.thighs, base.knees, base.arms, base.abduction, base.elbows)
    ]
    knees = (max(fields[1][0], 0.0), max(fields[1][1], 0.0))
    if action in {"walking", "running"}:
        bent = float(rng.uniform(0.2, 1.4) if action == "walking" else rng.uniform(0.7, 1.7))
        fields[4] = near((bent, bent))
    pose = Pose(fields[0], knees, fields[2], fields[3], fields[4], base.lean + float(rng.normal(0, 0.03)))
    low, high = _RATES[action]
    return Motion(
        action,
        float(rng.uniform(low, high)),
        float(rng.uniform(0.8, 1.2)),
        float(rng.uniform(0.0, 2.0 * math.pi)),
        int(rng.integers(2)),
        pose,
    )


def _stand(motion: Motion, angle: float) -> tuple[Pose, float]:
    """Nobody stands perfectly still."""
    return dataclasses.replace(motion.base, lean=motion.base.lean + 0.012 * math.sin(angle)), 0.0


def _stride(motion: Motion, angle: float, swing: float, bend: tuple[float, float], arms: float) -> Pose:
    """Legs half a cycle apart; the knee of the leg that travels forwards is bent; arms swing against the legs."""
    forth = math.sin(angle)
    thighs = (swing * forth, -swing * forth)
    knees = tuple(bend[0] + bend[1] * max(0.0, way * math.cos(angle)) ** 1.5 for way in (1, -1))
    return dataclasses.replace(
        motion.base, thighs=thighs, knees=(knees[0], knees[1]), arms=(-arms * forth, arms * forth),
        abduction=(0.12, 0.12),
    )  # fmt: skip


def _walk(motion: Motion, angle: float) -> tuple[Pose, float]:
    swing = _STRIDE * motion.size
    return _stride(motion, angle, swing, (0.1, 0.85), 0.9 * swing), 0.0


def _run(motion: Motion, angle: float) -> tuple[Pose, float]:
    swing = _RUN * motion.size
    pose = _stride(motion, angle, swing, (0.3, 1.3), 0.9 * swing)
    # Off the ground while the legs are apart.
    return dataclasses.replace(pose, lean=motion.base.lean + 0.13), 0.035 * math.sin(angle) ** 2


def _wave(motion: Motion, angle: float) -> tuple[Pose, float]:
    swing = motion.size * math.sin(angle)
    arms, abduction, elbows, forearms = (
        list(v) for v in (motion.base.arms, motion.base.abduction, motion.base.elbows, motion.base.forearms)
    )
    k = motion.side
    arms[k], abduction[k], elbows[k], forearms[k] = 0.15, 2.05 + 0.25 * swing, 0.4, 0.35 + 0.5 * swing
    return dataclasses.replace(
        motion.base, arms=(arms[0], arms[1]), abduction=(abduction[0], abduction[1]),
        elbows=(elbows[0], elbows[1]), forearms=(forearms[0], forearms[1]),
    ), 0.0  # fmt: skip


def _folded(motion: Motion, depth: float, arms: float, abduction: float, lean: float) -> Pose:
    """Knees bent by ``depth`` (1 is a full squat), the weight kept over the feet."""
    return dataclasses.replace(
        motion.base, thighs=(1.55 * depth + 0.03, 1.45 * depth), knees=(2.15 * depth + 0.03, 2.05 * depth),
        arms=(arms, arms), abduction=(abduction, abduction), elbows=(0.3, 0.3), lean=lean,
    )  # fmt: skip


def _jump(motion: Motion, angle: float) -> tuple[Pose, float]:
    height = math.sin(angle)
    if height > 0.0:
        return _folded(motion, 0.06, 0.3 + 1.2 * height, 0.25, 0.05), 0.15 * motion.size * height
    depth = -0.5 * motion.size * height
    return _folded(motion, 0.06 + depth, 0.3 - 1.4 * depth, 0.2, 0.05 + 0.6 * depth), 0.0


def _squat(motion: Motion, angle: float) -> tuple[Pose, float]:
    depth = 0.5 * (1.0 - math.cos(angle)) * min(0.85 * motion.size, 1.0)
    return _folded(motion, depth, 0.1 + 1.3 * depth, 0.15, 0.03 + 0.45 * depth), 0.0


def _jack(motion: Motion, angle: float) -> tuple[Pose, float]:
    wide = 0.5 * (1.0 - math.cos(angle))
    out = 0.15 + 2.5 * wide
    pose = dataclasses.replace(
        motion.base, thighs=(0.03, -0.03), knees=(0.08, 0.08), arms=(0.05, 0.05), abduction=(out, out),
        elbows=(0.2, 0.2), spread=0.42 * motion.size * wide,
        # Bent by the kinematics once the arms are up: taken back here, so that they do not jump.
        forearms=(-0.4 if out > 1.2 else 0.12, -0.4 if out > 1.2 else 0.12),
    )  # fmt: skip
    return pose, 0.05 * motion.size * math.sin(angle) ** 2


def _punch(motion: Motion, angle: float) -> tuple[Pose, float]:
    reach = [max(0.0, way * math.sin(angle)) ** 0.7 * min(motion.size, 1.0) for way in (1, -1)]
    return dataclasses.replace(
        motion.base, thighs=(0.3, -0.25), knees=(0.35, 0.3), lean=0.1,
        arms=(0.3 + 1.2 * reach[0], 0.3 + 1.2 * reach[1]), abduction=(0.25, 0.25),
        elbows=(2.2 - 2.1 * reach[0], 2.2 - 2.1 * reach[1]),
    ), 0.0  # fmt: skip


_MOVES: dict[str, Callable[[Motion, float], tuple[Pose, float]]] = {
    "standing": _stand,
    "walking": _walk,
    "running": _run,
    "waving": _wave,
    "jumping": _jump,
    "squatting": _squat,
    "jumping_jacks": _jack,
    "punching": _punch,
}
