"""People: a skeleton in clothes."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TypedDict

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
from pytest_lossy.data.mini.motion import Motion
from pytest_lossy.data.mini.skeleton import TRUNK, Joints, Pose, joints, keypoints, turned_away
from pytest_lossy.data.mini.things import Footprint, Place, box_footprint, box_shadow

__all__ = ["Dress", "Person"]


class _Cloth(TypedDict, total=False):
    """How ``DisplayList`` paints the fabric of the top."""

    material: Material
    params: tuple[float, ...]
    second: Color
    grain: tuple[float, float]
    shift: tuple[float, float]


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
    motion: Motion | None = None
    """What the person does; None keeps the pose, or walks where that is a walker's."""

    def footprint(self, time: float) -> Footprint:
        """A square as wide as the shoulders."""
        return box_footprint(self.place, time, 0.2, 0.2)

    def shadows(self, sun: Vector, time: float) -> list[Shadow]:
        """The shadow of a narrow box."""
        return box_shadow(box_footprint(self.place, time, 0.17, 0.13), self.height * 0.95, sun, self.place.height)

    def keypoints(self, time: float) -> list[Vector]:
        """World positions of the 17 keypoints, in ``skeleton.KEYPOINTS`` order."""
        return keypoints(self._joints(time), self.place, self.height)

    def turned_away(self, time: float, eye: Vector) -> list[bool]:
        """Which of the 17 keypoints the person's own body hides from ``eye``."""
        return turned_away(self._joints(time), self.place, self.height, eye)

    def _joints(self, time: float) -> Joints:
        if self.motion is not None:
            pose, lift = self.motion.at(time)
            return joints(self.place, time, height=self.height, build=self.build, pose=pose, phase=0.0, lift=lift)
        return joints(self.place, time, height=self.height, build=self.build, pose=self.pose, phase=self.phase)

    def emit(self, display: DisplayList, time: float) -> None:
        """Draw limbs, trunk and head, the farthest first."""
        display.label = self.label
        j, dress, h = self._joints(time), self.dress, self.height
        forward, right = self.place.axes()
        parts: list[tuple[float, Callable[[], None]]] = []

        def distance(name: str, bias: float = 0.0) -> float:
            return math.dist(j[name], display.eye) + bias

        for side in ("left", "right"):
            parts.append((distance(f"{side}_knee", 0.02), partial(self._leg, display, j, side)))
            # A hand in front of the body is nearer than its shoulder: sort arms by the wrist.
            arm = 0.5 * (distance(f"{side}_elbow") + distance(f"{side}_wrist"))
            parts.append((arm, partial(self._arm, display, j, side)))
        trunk = distance("pelvis", 0.01) * 0.5 + distance("neck") * 0.5
        parts.append((trunk, partial(self._trunk, display, j)))
        parts.append((distance("head"), partial(self._head, display, j["head"], forward, right)))
        if dress.bag is not None:
            at = add(j["right_hip"], add(scaled(right, 0.07 * h), scaled(forward, -0.02 * h)))
            bag = math.dist(at, display.eye) - 0.02
            parts.append((bag, partial(self._bag, display, at, j["left_shoulder"])))
        for _, draw in sorted(parts, key=lambda p: -p[0]):
            draw()

    def _cloth(self) -> _Cloth:
        d = self.dress
        if d.pattern < 0:
            return {"grain": (0.2, 0.16), "shift": self.shift}
        return {
            "material": Material.STRIPES, "params": (d.period, 0.5, d.pattern), "second": d.top_second,
            "grain": (0.15, 0.1), "shift": self.shift,
        }  # fmt: skip

    def _leg(self, display: DisplayList, j: Joints, side: str) -> None:
        h, b, d = self.height, self.build, self.dress
        knee, ankle, hip = j[f"{side}_knee"], j[f"{side}_ankle"], j[f"{side}_hip"]
        forward, _ = self.place.axes()
        toe = add(ankle, add(scaled(forward, 0.085 * h), (0.0, -0.028 * h, 0.0)))
        heel = add(ankle, add(scaled(forward, -0.02 * h), (0.0, -0.026 * h, 0.0)))
        display.limb(heel, toe, 0.024 * h, 0.02 * h, d.shoes, shift=self.shift)
        display.limb(knee, ankle, 0.036 * h * b, 0.026 * h * b, d.bottom, grain=(0.2, 0.2), shift=self.shift)
        display.limb(hip, knee, 0.052 * h * b, 0.039 * h * b, d.bottom, grain=(0.2, 0.2), shift=self.shift)

    def _arm(self, display: DisplayList, j: Joints, side: str) -> None:
        h, b, d = self.height, self.build, self.dress
        shoulder, elbow, wrist = j[f"{side}_shoulder"], j[f"{side}_elbow"], j[f"{side}_wrist"]
        hand = add(wrist, scaled(unit(add(wrist, scaled(elbow, -1.0))), 0.045 * h))
        display.limb(wrist, hand, 0.017 * h, 0.015 * h, d.skin, grain=(0.05, 0.08), shift=self.shift)
        cloth = self._cloth()
        if d.short_sleeves:
            display.limb(elbow, wrist, 0.023 * h * b, 0.018 * h, d.skin, grain=(0.05, 0.08), shift=self.shift)
        else:
            display.limb(elbow, wrist, 0.028 * h * b, 0.022 * h * b, d.top, **cloth)
        display.limb(shoulder, elbow, 0.036 * h * b, 0.028 * h * b, d.top, **cloth)

    def _trunk(self, display: DisplayList, j: Joints) -> None:
        h, b, d = self.height, self.build, self.dress
        hips, neck = j["pelvis"], j["neck"]
        axis = unit(add(neck, scaled(hips, -1.0)))
        across = unit(cross(axis, add(display.eye, scaled(hips, -1.0))))
        _, right = self.place.axes()
        # Seen from the side a trunk is as wide as it is deep: blend both by the angle of view.
        frontal = abs(across[0] * right[0] + across[2] * right[2])
        wide = math.sqrt((0.128 * frontal) ** 2 + (0.078 * math.sqrt(max(1 - frontal**2, 0.0))) ** 2) * h * b**0.7
        waist, low = wide * 0.8, wide * 0.88
        surface = display.surface(
            hips,
            across,
            axis,
            d.top,
            round_u=wide * 1.15,
            **self._cloth(),
        )
        length = (TRUNK + 0.03) * h
        left_edge = ((0.35, 1.02), (0.93, 0.95), (1.0, 0.85))
        outline: list[Vector] = []

        def at(side: float, width: float, up: float) -> Vector:
            return add(hips, add(scaled(across, side * width), scaled(axis, up * length)))

        bottom = -0.12 - d.coat / TRUNK
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
            display.disc(nape, across, up, 0.05 * h, d.hair, squash=1.5, bulge=True, grain=(0.2, 0.4), shift=self.shift)
        display.disc(head, across, up, 0.046 * h, d.skin, squash=1.38, bulge=True, grain=(0.06, 0.1), shift=self.shift)
        hair = display.surface(
            head, across, up, d.hair, round_u=0.05 * h, round_v=0.07 * h, grain=(0.25, 0.4), shift=self.shift
        )
        if facing < -0.25:
            display.polygon(hair, circle(add(head, (0.0, 0.012 * h, 0.0)), across, up, (0.048 * h, 0.058 * h), 12))
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
                back = add(head, add(scaled(across, -math.copysign(0.024 * h, sideways)), scaled(up, 0.005 * h)))
                display.polygon(hair, circle(back, across, up, (0.027 * h, 0.045 * h), 8))
        if facing > 0.2 and display.size_of(0.01 * h, head) > 0.7:
            dark = display.surface(head, across, up, scaled(d.skin, 0.25))
            middle = add(head, scaled(across, sideways * 0.03 * h))
            for side in (-0.018, 0.018):
                eye = add(middle, add(scaled(across, side * h * facing), scaled(up, 0.01 * h)))
                display.polygon(dark, circle(eye, across, up, (0.008 * h, 0.005 * h), 6))
            mouth = add(middle, scaled(up, -0.032 * h))
            display.polygon(dark, circle(mouth, across, up, (0.014 * h, 0.004 * h), 6))

    def _bag(self, display: DisplayList, at: Vector, strap: Vector) -> None:
        color = self.dress.bag
        if color is None:
            return
        h = self.height
        display.limb(strap, at, 0.008 * h, 0.008 * h, scaled(color, 0.7), caps=False)
        low, high = add(at, (0.0, -0.08 * h, 0.0)), add(at, (0.0, 0.03 * h, 0.0))
        display.limb(low, high, 0.06 * h, 0.055 * h, color, grain=(0.2, 0.2), shift=self.shift, caps=False)
