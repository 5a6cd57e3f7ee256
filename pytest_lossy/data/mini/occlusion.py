"""Painter's order for objects that stand on the ground.

Two convex footprints that do not overlap can be separated by a line along one of their edges; the object on
the camera's side of that line can never be hidden by the other (Fuchs, Kedem & Naylor 1980, without the
tree).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from pytest_lossy.data.mini.camera import NEAR, Camera
from pytest_lossy.data.mini.things import Footprint

__all__ = ["back_to_front"]


def back_to_front(footprints: Sequence[Footprint], camera: Camera) -> list[int]:
    """Indices of the footprints in view, farthest first.

    Footprints that overlap, or form a cycle, fall back to the order of their centres' distances.
    """
    ex, ez = camera.position[0], camera.position[2]
    sin, cos = math.sin(camera.yaw), math.cos(camera.yaw)
    seen: list[tuple[int, float, float, float]] = []  # index, distance, first and last bearing
    for index, corners in enumerate(footprints):
        depth = [(x - ex) * sin + (z - ez) * cos for x, z in corners]
        if max(depth) < NEAR:
            continue
        side = [(x - ex) * cos - (z - ez) * sin for x, z in corners]
        bearing = [math.atan2(s, max(d, 0.05)) for s, d in zip(side, depth, strict=True)]
        # A margin, since crowns and signs reach beyond their footprints.
        margin = 0.02
        seen.append((index, sum(depth) / len(depth), min(bearing) - margin, max(bearing) + margin))
    seen.sort(key=lambda s: -s[1])
    # behind[k]: positions in ``seen`` that must be drawn before k.
    behind: list[set[int]] = [set() for _ in seen]
    for a in range(len(seen)):
        for b in range(a + 1, len(seen)):
            if seen[a][2] > seen[b][3] or seen[b][2] > seen[a][3]:
                continue
            first = _nearer(footprints[seen[a][0]], footprints[seen[b][0]], ex, ez)
            if first > 0:
                behind[a].add(b)
            elif first < 0:
                behind[b].add(a)
    order: list[int] = []
    waiting = list(range(len(seen)))
    drawn: set[int] = set()
    while waiting:
        ready = next((k for k in waiting if behind[k] <= drawn), waiting[0])
        waiting.remove(ready)
        drawn.add(ready)
        order.append(seen[ready][0])
    return order


def _nearer(a: Footprint, b: Footprint, ex: float, ez: float) -> int:
    """1 if ``a`` may hide ``b``, -1 if ``b`` may hide ``a``, 0 if no edge separates them."""
    found = _separating(a, b, ex, ez)
    return found if found else -_separating(b, a, ex, ez)


def _separating(a: Footprint, b: Footprint, ex: float, ez: float) -> int:
    """1 or -1 by the side of the camera for an edge of ``a`` that has all of ``b`` outside, else 0."""
    cx = sum(x for x, _ in a) / len(a)
    cz = sum(z for _, z in a) / len(a)
    for k in range(len(a)):
        (x0, z0), (x1, z1) = a[k], a[(k + 1) % len(a)]
        nx, nz = z1 - z0, x0 - x1
        if (cx - x0) * nx + (cz - z0) * nz > 0:
            nx, nz = -nx, -nz
        if all((x - x0) * nx + (z - z0) * nz >= -1e-6 for x, z in b):
            return -1 if (ex - x0) * nx + (ez - z0) * nz > 0 else 1
    return 0
