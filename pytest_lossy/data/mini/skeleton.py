"""The human skeleton: proportions, poses, joint positions and the 17 COCO keypoints."""

from __future__ import annotations

import math
from dataclasses import dataclass

from pytest_lossy.data.mini.camera import Vector
from pytest_lossy.data.mini.display import add, dot, scaled, unit
from pytest_lossy.data.mini.things import Place

__all__ = ["KEYPOINTS", "POSES", "TRUNK", "Joints", "Pose", "joints", "keypoints", "turned_away"]

Joints = dict[str, Vector]
"""World positions of ``pelvis``, ``neck``, ``head``, ``left_hip``, ``right_hip``, ``left_knee`` and so on."""

KEYPOINTS: tuple[str, ...] = (
    "nose", "left_eye", "right_eye", "left_ear", "right_ear",
    "left_shoulder", "right_shoulder", "left_elbow", "right_elbow", "left_wrist", "right_wrist",
    "left_hip", "right_hip", "left_knee", "right_knee", "left_ankle", "right_ankle",
)  # fmt: skip
"""COCO's order; left and right are the person's own."""

# Shares of the body height, after the usual artists' and ergonomic tables: head one eighth, crotch at one
# half.
_HIP, _KNEE, _ANKLE, _SHOULDER, _HEAD = 0.52, 0.28, 0.045, 0.815, 0.925
_UPPER_ARM, _FOREARM = 0.165, 0.15
_HALF_SHOULDERS, _HALF_HIPS = 0.112, 0.06


@dataclass(frozen=True, slots=True)
class Pose:
    """Joint angles in radians: positive swings forward; ``abduction`` away from the body."""

    thighs: tuple[float, float]
    knees: tuple[float, float]
    arms: tuple[float, float]
    abduction: tuple[float, float]
    elbows: tuple[float, float]
    """Angle between upper arm and forearm, 0 is straight."""
    lean: float = 0.0
    walking: bool = False
    """The legs and arms swing as time passes."""
    spread: float = 0.0
    """Of each leg outwards."""
    forearms: tuple[float, float] = (0.0, 0.0)
    """Of the forearms outwards, besides what the upper arms and elbows make of them."""


POSES: dict[str, Pose] = {
    "standing": Pose((0.03, -0.04), (0.02, 0.04), (0.05, -0.05), (0.12, 0.14), (0.2, 0.25)),
    "walking": Pose((0.45, -0.38), (0.12, 0.55), (-0.45, 0.4), (0.1, 0.1), (0.3, 0.35), 0.05, True),
    "running": Pose((0.9, -0.7), (0.9, 1.3), (-0.8, 0.7), (0.15, 0.15), (1.5, 1.5), 0.18, True),
    "waving": Pose((0.05, -0.05), (0.02, 0.05), (0.1, 0.2), (0.12, 2.5), (0.2, 0.6)),
    "phoning": Pose((0.05, -0.02), (0.05, 0.02), (0.05, 0.7), (0.15, 0.3), (0.2, 2.3)),
    "pointing": Pose((0.1, -0.1), (0.05, 0.1), (0.0, 1.5), (0.1, 0.2), (0.2, 0.1)),
    "hands_on_hips": Pose((0.02, -0.02), (0.02, 0.02), (-0.35, -0.35), (0.6, 0.6), (1.5, 1.5)),
    "arms_up": Pose((0.05, -0.05), (0.05, 0.05), (0.2, 0.2), (2.7, 2.6), (0.3, 0.4)),
    "crouching": Pose((1.6, 1.4), (2.1, 2.0), (0.8, 0.9), (0.2, 0.2), (0.6, 0.5), 0.35),
}
"""Named poses; scenes blend noise into the angles."""

TRUNK = _SHOULDER - _HIP
"""Length from the hips to the shoulders, as a share of the body height."""

_UP: Vector = (0.0, 1.0, 0.0)


def joints(
    place: Place, time: float, *, height: float, build: float, pose: Pose, phase: float, lift: float = 0.0
) -> Joints:
    """Forward kinematics from the feet up.

    Args:
        place: where the person stands and faces.
        time: seconds; walkers have moved on and swing their limbs.
        height: of the body, metres.
        build: 1 is average; broader shoulders above.
        pose: joint angles.
        phase: of the walk, radians.
        lift: of the lower foot above the ground, as a share of the body height.

    """
    forward, right = place.axes()
    swing = math.cos(phase + time * place.speed * 4.0 / height) if pose.walking else 1.0
    thighs = [angle * swing for angle in pose.thighs]
    # The knee of the leg that swings forward is bent more.
    bends = [0.6 + 0.4 * swing * way if pose.walking else 1.0 for way in (-1, 1)]
    knees = [angle * bend for angle, bend in zip(pose.knees, bends, strict=True)]

    def step(start: Vector, length: float, angle: float, out: float, side: Vector) -> Vector:
        """End of a limb that hangs down, swung forward by ``angle`` and outwards by ``out``."""
        down = add(scaled(_UP, -math.cos(angle) * math.cos(out)), scaled(forward, math.sin(angle)))
        aside = scaled(side, math.cos(angle) * math.sin(out))
        return add(start, scaled(unit(add(down, aside)), length * height))

    # The pelvis is as high as the straighter leg allows, so that one foot touches the ground.
    reach = max(
        (_HIP - _KNEE) * math.cos(thigh) + (_KNEE - _ANKLE) * math.cos(thigh - knee)
        for thigh, knee in zip(thighs, knees, strict=True)
    ) * math.cos(pose.spread)
    pelvis = add(place.at(time), (0.0, (reach + _ANKLE + lift) * height, 0.0))
    spine = add(scaled(_UP, math.cos(pose.lean)), scaled(forward, math.sin(pose.lean)))
    chest = add(pelvis, scaled(spine, TRUNK * height))
    found: Joints = {
        "pelvis": pelvis,
        "neck": add(pelvis, scaled(spine, (TRUNK + 0.03) * height)),
        "head": add(pelvis, scaled(spine, (_HEAD - _HIP) * height)),
    }
    for k, (name, side) in enumerate((("left", scaled(right, -1.0)), ("right", right))):
        hip = add(pelvis, scaled(side, _HALF_HIPS * height))
        knee = step(hip, _HIP - _KNEE, thighs[k], 0.03 + pose.spread, side)
        shoulder = add(chest, scaled(side, _HALF_SHOULDERS * height * build**0.5))
        swung, out, bent = pose.arms[k] * swing, pose.abduction[k], pose.elbows[k]
        elbow = step(shoulder, _UPPER_ARM, swung, out, side)
        # Raised arms bend inwards, hanging ones forwards.
        raised = out > 1.2
        swung_wrist = swung + bent * (0.2 if raised else 1.0)
        out_wrist = out + (0.4 if raised else -0.6 * min(bent, 1.0)) + pose.forearms[k]
        found[f"{name}_hip"], found[f"{name}_knee"] = hip, knee
        found[f"{name}_ankle"] = step(knee, _KNEE - _ANKLE, thighs[k] - knees[k], pose.spread, side)
        found[f"{name}_shoulder"], found[f"{name}_elbow"] = shoulder, elbow
        found[f"{name}_wrist"] = step(elbow, _FOREARM, swung_wrist, out_wrist, side)
    return found


def keypoints(found: Joints, place: Place, height: float) -> list[Vector]:
    """World positions of the 17 keypoints, in ``KEYPOINTS`` order."""
    forward, right = place.axes()
    left, head = scaled(right, -1.0), found["head"]

    def face(ahead: float, side: float, up: float) -> Vector:
        outward = add(scaled(left, side * height), (0.0, up * height, 0.0))
        return add(add(head, scaled(forward, ahead * height)), outward)

    limbs = ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")
    return [
        face(0.062, 0.0, -0.01),
        face(0.05, 0.019, 0.012),
        face(0.05, -0.019, 0.012),
        face(0.005, 0.042, 0.0),
        face(0.005, -0.042, 0.0),
        *(found[f"{side}_{limb}"] for limb in limbs for side in ("left", "right")),
    ]


def turned_away(found: Joints, place: Place, height: float, eye: Vector) -> list[bool]:
    """Which of the 17 keypoints the person's own head or trunk hides from ``eye``."""
    forward, right = place.axes()
    left = scaled(right, -1.0)
    towards = unit(add(eye, scaled(found["head"], -1.0)))
    ahead, aside = dot(towards, forward), dot(towards, left)
    # A nose sticks out and is seen from a little behind the side; ears are seen from behind.
    face = [ahead < -0.15, *(0.93 * ahead + 0.36 * way * aside < 0.0 for way in (1, -1))]
    ears = [way * aside < -0.15 for way in (1, -1)]
    upper = [
        _behind_trunk(found[f"{side}_{limb}"], found, height, eye)
        for limb in ("shoulder", "elbow", "wrist", "hip")
        for side in ("left", "right")
    ]
    return [*face, *ears, *upper, *[False] * 4]


def _behind_trunk(joint: Vector, found: Joints, height: float, eye: Vector) -> bool:
    """Whether the line of sight to a joint passes through the trunk, by the closest points of two segments."""
    sight = add(joint, scaled(eye, -1.0))
    spine = add(found["neck"], scaled(found["pelvis"], -1.0))
    between = add(eye, scaled(found["pelvis"], -1.0))
    a, b, c, d, e = dot(sight, sight), dot(sight, spine), dot(spine, spine), dot(sight, between), dot(spine, between)
    denominator = a * c - b * b
    share = min(max((b * e - c * d) / denominator, 0.0), 1.0) if denominator > 1e-9 else 0.0
    along = min(max((share * b + e) / c, 0.0), 1.0)
    on_spine = add(found["pelvis"], scaled(spine, along))
    passed = add(eye, scaled(sight, share))
    return (
        math.dist(passed, on_spine) < 0.07 * height and math.dist(eye, joint) > math.dist(eye, on_spine) + 0.05 * height
    )
