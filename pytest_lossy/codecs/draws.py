"""Seeded losses: one number per frame or packet, compared with the share that is lost.

Because a unit's number does not depend on the level, losses are nested: what is lost at 10 % is also lost at 20 %.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator

from pytest_lossy.codecs.base import UInt8Array

__all__ = ["clip_key", "evenly_spaced", "uniform_draws"]


def uniform_draws(seed: int, key: str) -> Iterator[float]:
    """Endless numbers in [0, 1), the same for the same ``seed`` and ``key`` in every version of Python.

    The standard library promises that for ``random.Random.random``; numpy promises no such thing for its generators
    (NEP 19).
    """
    source = random.Random(f"{seed}/{key}")  # noqa: S311  repeatable, not secret
    while True:
        yield source.random()


def clip_key(media: UInt8Array, *, independent: bool) -> str:
    """What tells one clip's losses from another's: its length and, where ``independent``, its first frame.

    Args:
        media: (T, H, W, 3), uint8.
        independent: False gives all clips of one length the same losses.
    """
    if not independent:
        return str(len(media))
    return f"{len(media)}/{hashlib.sha256(media[0].tobytes()).hexdigest()}"


def evenly_spaced(index: int) -> float:
    """The van der Corput sequence in base 2, at ``index`` >= 0, in [0, 1).

    Whoever takes the indices below 1/2 takes every second one, below 1/4 every fourth; other shares are spread as
    evenly as a nested pattern allows (discrepancy O(log n / n); van der Corput 1935).
    """
    value, weight = 0.0, 0.5
    while index:
        value += weight * (index & 1)
        index >>= 1
        weight /= 2
    return value
