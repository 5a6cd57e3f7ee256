"""People: a jointed skeleton with clothes, and its 17 COCO keypoints."""

from __future__ import annotations

import math
from dataclasses import dataclass

from pytest_lossy.data.mini.camera import Vector
from pytest_lossy.data.mini.display import (
    Color,
    DisplayList,
    Material,
    Shadow,
    add,
    circle,
    cross,
    scaled,
    unit,
)
from pytest_lossy.data.mini.labels import PERSON
from pytest_lossy.data.mini.things import Footprint, Place, box_footprint, box_shadow

__all__ = ["KEYPOINTS", "POSES", "Dress", "Person", "Pose"]

KEYPOINTS: tuple[str, ...] = (
    "nose", "left_eye", "right_eye", "left_ear", "right_ear",
    "left_shoulder", "right_shoulder", "left_elbow", "right_elbow", "left_wrist", "right_wrist",
    "left_hip", "right_hip", "left_knee", "right_knee", "left_ankle", "right_ankle",
)  # fmt: skip
"""COCO's order; left and right are the person's own."""

# Shares of the body height, after the usual artists' and ergonomic tables (head one eighth, crotch at one half).
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


@dataclass(frozen=True, slots=True)
class Dress:
    """Colours and shapes of what a person wears."""

    skin: Color
    hair: Color
    top: Color
    top_second: Color
    bottom: Color
    shoes: Color
    pattern: float
    """-1 plain, else the direction of ``Material.STRIPES``."""
    period: float
    short_sleeves: bool
    long_hair: bool
    coat: float
    """How far the top reaches below the hips, as a share of the height."""
    bag: Color | None


@dataclass(frozen=True, slots=True)
class Person:
    """One person of a scene."""

    place: Place
    height: float
    build: float
    """Limb thickness, 1 is average."""
    pose: Pose
    dress: Dress
    phase: float
    shift: tuple[float, float]
    label: int = PERSON
    counted: bool = True

    def footprint(self, time: float) -> Footprint:
        """A square as wide as the shoulders."""
        return box_footprint(self.place, time, 0.2, 0.2)

    def shadows(self, sun: Vector, time: float) -> list[Shadow]:
        """The shadow of a narrow box."""
        return box_shadow(
            box_footprint(self.place, time, 0.17, 0.13), self.height * 0.95, sun, self.place.height
        )

    def keypoints(self, time: float) -> list[Vector]:
        """World positions of the 17 keypoints, in ``KEYPOINTS`` order."""
        j = self._joints(time)
        forward, right = self.place.axes()
        left = scaled(right, -1.0)
        h = self.height
        head = j["head"]

        def face(f: float, side: float, up: float) -> Vector:
            return add(add(head, scaled(forward, f * h)), add(scaled(left, side * h), (0.0, up * h, 0.0)))

        return [
            face(0.062, 0.0, -0.01), face(0.05, 0.019, 0.012), face(0.05, -0.019, 0.012),
            face(0.005, 0.042, 0.0), face(0.005, -0.042, 0.0),
            *(j[f"{side}_{name}"] for name in ("shoulder", "elbow", "wrist", "hip", "knee", "ankle") for side in ("left", "right")),
        ]  # fmt: skip

    def _joints(self, time: float) -> dict[str, Vector]:
        forward, right = self.place.axes()
        left = scaled(right, -1.0)
        h, pose = self.height, self.pose
        swing = math.cos(self.phase + time * self.place.speed * 4.0 / h) if pose.walking else 1.0
        up: Vector = (0.0, 1.0, 0.0)

        def step(start: Vector, length: float, angle: float, out: float, side: Vector) -> Vector:
            """End of a limb that hangs down, swung forward by ``angle`` and outwards by ``out``."""
            down = add(scaled(up, -math.cos(angle) * math.cos(out)), scaled(forward, math.sin(angle)))
            return add(
                start, scaled(unit(add(down, scaled(side, math.cos(angle) * math.sin(out)))), length * h)
            )

        # The pelvis sinks as far as the straighter leg demands, so that one foot touches the ground.
        reach = []
        for k in (0, 1):
            thigh = pose.thighs[k] * swing
            knee = pose.knees[k] * (1.0 if not pose.walking else 0.6 + 0.4 * swing * (1 if k else -1))
            reach.append((_HIP - _KNEE) * math.cos(thigh) + (_KNEE - _ANKLE) * math.cos(thigh - knee))
        pelvis = add(self.place.at(time), (0.0, (max(reach) + _ANKLE) * h, 0.0))
        spine = add(scaled(up, math.cos(pose.lean)), scaled(forward, math.sin(pose.lean)))
        joints: dict[str, Vector] = {
            "pelvis": pelvis,
            "neck": add(pelvis, scaled(spine, (_SHOULDER - _HIP + 0.03) * h)),
        }
        joints["head"] = add(pelvis, scaled(spine, (_HEAD - _HIP) * h))
        chest = add(pelvis, scaled(spine, (_SHOULDER - _HIP) * h))
        for k, (name, side) in enumerate((("left", left), ("right", right))):
            thigh = pose.thighs[k] * swing
            knee = pose.knees[k] * (1.0 if not pose.walking else 0.6 + 0.4 * swing * (1 if k else -1))
            hip = add(pelvis, scaled(side, _HALF_HIPS * h))
            joints[f"{name}_hip"] = hip
            joints[f"{name}_knee"] = step(hip, _HIP - _KNEE, thigh, 0.03, side)
            joints[f"{name}_ankle"] = step(joints[f"{name}_knee"], _KNEE - _ANKLE, thigh - knee, 0.0, side)
            arm = pose.arms[k] * swing
            shoulder = add(chest, scaled(side, _HALF_SHOULDERS * h * self.build**0.5))
            joints[f"{name}_shoulder"] = shoulder
            elbow = step(shoulder, _UPPER_ARM, arm, pose.abduction[k], side)
            joints[f"{name}_elbow"] = elbow
            # Raised arms bend inwards, hanging ones forwards.
            bent_out = pose.abduction[k] + (
                0.4 if pose.abduction[k] > 1.2 else -0.6 * min(pose.elbows[k], 1.0)
            )
            joints[f"{name}_wrist"] = step(
                elbow,
                _FOREARM,
                arm + pose.elbows[k] * (0.2 if pose.abduction[k] > 1.2 else 1.0),
                bent_out,
                side,
            )
        return joints

    def emit(self, display: DisplayList, time: float) -> None:
        """Draw limbs, trunk and head, the farthest first."""
        display.label = self.label
        j, dress, h = self._joints(time), self.dress, self.height
        forward, right = self.place.axes()
        parts: list[tuple[float, object]] = []

        def distance(name: str, bias: float = 0.0) -> float:
            return math.dist(j[name], display.eye) + bias

        for side in ("left", "right"):
            parts.append((distance(f"{side}_knee", 0.02), lambda s=side: self._leg(display, j, s)))
            # A hand in front of the body is nearer than its shoulder: sort arms by the wrist.
            parts.append(
                (
                    0.5 * (distance(f"{side}_elbow") + distance(f"{side}_wrist")),
                    lambda s=side: self._arm(display, j, s),
                )
            )
        parts.append(
            (distance("pelvis", 0.01) * 0.5 + distance("neck") * 0.5, lambda: self._trunk(display, j))
        )
        parts.append((distance("head"), lambda: self._head(display, j["head"], forward, right)))
        if dress.bag is not None:
            at = add(j["right_hip"], add(scaled(right, 0.07 * h), scaled(forward, -0.02 * h)))
            parts.append(
                (math.dist(at, display.eye) - 0.02, lambda: self._bag(display, at, j["left_shoulder"]))
            )
        for _, draw in sorted(parts, key=lambda p: -p[0]):
            draw()  # type: ignore[operator]

    def _cloth(self) -> dict[str, object]:
        d = self.dress
        if d.pattern < 0:
            return {"grain": (0.2, 0.16), "shift": self.shift}
        return {
            "material": Material.STRIPES, "params": (d.period, 0.5, d.pattern), "second": d.top_second,
            "grain": (0.15, 0.1), "shift": self.shift,
        }  # fmt: skip

    def _leg(self, display: DisplayList, j: dict[str, Vector], side: str) -> None:
        h, b, d = self.height, self.build, self.dress
        knee, ankle, hip = j[f"{side}_knee"], j[f"{side}_ankle"], j[f"{side}_hip"]
        forward, _ = self.place.axes()
        toe = add(ankle, add(scaled(forward, 0.085 * h), (0.0, -0.028 * h, 0.0)))
        heel = add(ankle, add(scaled(forward, -0.02 * h), (0.0, -0.026 * h, 0.0)))
        display.limb(heel, toe, 0.024 * h, 0.02 * h, d.shoes, shift=self.shift)
        display.limb(knee, ankle, 0.036 * h * b, 0.026 * h * b, d.bottom, grain=(0.2, 0.2), shift=self.shift)
        display.limb(hip, knee, 0.052 * h * b, 0.039 * h * b, d.bottom, grain=(0.2, 0.2), shift=self.shift)

    def _arm(self, display: DisplayList, j: dict[str, Vector], side: str) -> None:
        h, b, d = self.height, self.build, self.dress
        shoulder, elbow, wrist = j[f"{side}_shoulder"], j[f"{side}_elbow"], j[f"{side}_wrist"]
        hand = add(wrist, scaled(unit(add(wrist, scaled(elbow, -1.0))), 0.045 * h))
        display.limb(wrist, hand, 0.017 * h, 0.015 * h, d.skin, grain=(0.05, 0.08), shift=self.shift)
        cloth = self._cloth()
        if d.short_sleeves:
            display.limb(elbow, wrist, 0.023 * h * b, 0.018 * h, d.skin, grain=(0.05, 0.08), shift=self.shift)
        else:
            display.limb(elbow, wrist, 0.028 * h * b, 0.022 * h * b, d.top, **cloth)  # type: ignore[arg-type]
        display.limb(shoulder, elbow, 0.036 * h * b, 0.028 * h * b, d.top, **cloth)  # type: ignore[arg-type]

    def _trunk(self, display: DisplayList, j: dict[str, Vector]) -> None:
        h, b, d = self.height, self.build, self.dress
        hips, neck = j["pelvis"], j["neck"]
        axis = unit(add(neck, scaled(hips, -1.0)))
        across = unit(cross(axis, add(display.eye, scaled(hips, -1.0))))
        _, right = self.place.axes()
        # Seen from the side a trunk is as wide as it is deep: blend both by the angle of view.
        frontal = abs(across[0] * right[0] + across[2] * right[2])
        wide = (
            math.sqrt((0.128 * frontal) ** 2 + (0.078 * math.sqrt(max(1 - frontal**2, 0.0))) ** 2)
            * h
            * b**0.7
        )
        waist, low = wide * 0.8, wide * 0.88
        surface = display.surface(
            hips,
            across,
            axis,
            d.top,
            round_u=wide * 1.15,
            **self._cloth(),  # type: ignore[arg-type]
        )
        length = (_SHOULDER - _HIP + 0.03) * h
        left_edge = ((0.35, 1.02), (0.93, 0.95), (1.0, 0.85))
        outline: list[Vector] = []

        def at(side: float, width: float, up: float) -> Vector:
            return add(hips, add(scaled(across, side * width), scaled(axis, up * length)))

        bottom = -0.12 - d.coat / (_SHOULDER - _HIP)
        hem = low * (1.0 + 2.2 * d.coat)
        for side in (-1.0, 1.0):
            edge = [
                at(side, hem, bottom), at(side, low, 0.0), at(side, waist, 0.3),
                *(at(side, wide * a, up) for a, up in left_edge[1:]), at(side, wide * 0.36, 1.06),
            ]  # fmt: skip
            outline += edge if side < 0 else edge[::-1]
        display.polygon(surface, outline)

    def _head(self, display: DisplayList, head: Vector, forward: Vector, right: Vector) -> None:
        h, d = self.height, self.dress
        away = add(display.eye, scaled(head, -1.0))
        across = unit(cross((0.0, 1.0, 0.0), away))
        up = unit(cross(unit(away), across))
        towards = unit(away)
        facing = towards[0] * forward[0] + towards[2] * forward[2]  # 1: looks at the camera
        sideways = across[0] * forward[0] + across[2] * forward[2]
        display.limb(add(head, (0.0, -0.1 * h, 0.0)), head, 0.03 * h, 0.028 * h, d.skin, grain=(0.05, 0.08))
        if d.long_hair:
            nape = add(head, add(scaled(forward, -0.025 * h), (0.0, -0.035 * h, 0.0)))
            display.disc(
                nape, across, up, 0.05 * h, d.hair, squash=1.5, bulge=True, grain=(0.2, 0.4), shift=self.shift
            )
        display.disc(
            head, across, up, 0.046 * h, d.skin, squash=1.38, bulge=True, grain=(0.06, 0.1), shift=self.shift
        )
        hair = display.surface(
            head, across, up, d.hair, round_u=0.05 * h, round_v=0.07 * h, grain=(0.25, 0.4), shift=self.shift
        )
        if facing < -0.25:
            display.polygon(
                hair, circle(add(head, (0.0, 0.012 * h, 0.0)), across, up, 0.048 * h, 0.058 * h, 12)
            )
        else:
            # A cap of hair that slides to the back of the head as it turns.
            slide = -sideways * 0.022 * h
            cap = []
            for k in range(9):
                angle = math.pi * (k / 8.0)
                cap.append(
                    add(
                        head,
                        add(
                            scaled(across, 0.049 * h * math.cos(angle)),
                            scaled(up, 0.066 * h * math.sin(angle) + 0.006 * h),
                        ),
                    )
                )
            cap.append(add(head, add(scaled(across, -0.03 * h + slide), scaled(up, 0.028 * h))))
            cap.append(add(head, add(scaled(across, 0.03 * h + slide), scaled(up, 0.028 * h))))
            display.polygon(hair, cap)
            if abs(sideways) > 0.5:
                back = add(
                    head, add(scaled(across, -math.copysign(0.024 * h, sideways)), scaled(up, 0.005 * h))
                )
                display.polygon(hair, circle(back, across, up, 0.027 * h, 0.045 * h, 8))
        if facing > 0.2 and display.size_of(0.01 * h, head) > 0.7:
            dark = display.surface(head, across, up, scaled(d.skin, 0.25))
            middle = add(head, scaled(across, sideways * 0.03 * h))
            for side in (-0.018, 0.018):
                eye = add(middle, add(scaled(across, side * h * facing), scaled(up, 0.01 * h)))
                display.polygon(dark, circle(eye, across, up, 0.008 * h, 0.005 * h, 6))
            mouth = add(middle, scaled(up, -0.032 * h))
            display.polygon(dark, circle(mouth, across, up, 0.014 * h, 0.004 * h, 6))

    def _bag(self, display: DisplayList, at: Vector, strap: Vector) -> None:
        color = self.dress.bag
        if color is None:
            return
        h = self.height
        display.limb(strap, at, 0.008 * h, 0.008 * h, scaled(color, 0.7), caps=False)
        low, high = add(at, (0.0, -0.08 * h, 0.0)), add(at, (0.0, 0.03 * h, 0.0))
        display.limb(low, high, 0.06 * h, 0.055 * h, color, grain=(0.2, 0.2), shift=self.shift, caps=False)
