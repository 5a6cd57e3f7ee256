"""What is painted on traffic signs: for each kind, coloured outlines from back to front.

Coordinates are half widths of the face, x to the right and y up, as the reader sees them.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from pytest_lossy.data.mini.display import Color, scaled

__all__ = ["CLOSE_SIGNS", "SIGNS", "Patch", "face"]

_RED: Color = (0.5, 0.02, 0.025)
_WHITE: Color = (0.72, 0.72, 0.7)
_BLUE: Color = (0.02, 0.08, 0.38)
_BLACK: Color = (0.02, 0.02, 0.02)
_GREEN: Color = (0.02, 0.22, 0.08)
_YELLOW: Color = (0.7, 0.45, 0.02)


@dataclass(frozen=True, slots=True)
class Patch:
    """One filled outline."""

    color: Color
    outline: tuple[tuple[float, float], ...]
    glow: float = 0.0


_Painter = Callable[[int], list[Patch]]


def face(kind: str, variant: int, fine: bool) -> list[Patch]:
    """The patches of a sign.

    Args:
        kind: one of ``SIGNS`` or ``CLOSE_SIGNS``.
        variant: any number; chooses digits, arrows, the lit lamp and the colour of boards.
        fine: whether the symbols are drawn, or only the large shapes that a distant camera resolves.

    """
    base, symbols = _FACES[kind] if kind in _FACES else _CLOSE_FACES[kind]
    return base(variant) + (symbols(variant) if fine else [])


def _polygon(color: Color, *outline: tuple[float, float]) -> Patch:
    return Patch(color, outline)


def _disc(color: Color, radius: float, x: float = 0.0, y: float = 0.0, glow: float = 0.0) -> Patch:
    angles = [a * math.pi / 9 for a in range(18)]
    return Patch(color, tuple((x + radius * math.cos(a), y + radius * math.sin(a)) for a in angles), glow)


def _box(color: Color, x0: float, x1: float, y0: float, y1: float) -> Patch:
    return Patch(color, ((x0, y0), (x1, y0), (x1, y1), (x0, y1)))


def _limit(variant: int) -> list[Patch]:
    return [_disc(_RED, 1.0), _disc(_WHITE, 0.74)]


def _limit_digits(variant: int) -> list[Patch]:
    """20 or 00: a black block with its gaps cut out."""
    found = []
    for x in (-0.3, 0.3):
        found.append(_box(_BLACK, x - 0.2, x + 0.2, -0.38, 0.38))
        if x > 0 or variant % 2:
            found.append(_box(_WHITE, x - 0.07, x + 0.07, -0.24, 0.24))
        else:
            found.append(_box(_WHITE, x - 0.2, x + 0.06, 0.06, 0.22))
            found.append(_box(_WHITE, x - 0.06, x + 0.2, -0.22, -0.08))
    return found


_SEGMENTS = {"0": "abcdef", "3": "abcdg", "5": "acdfg", "6": "acdefg", "8": "abcdefg"}


def _digit(number: str, x: float) -> list[Patch]:
    """Strokes of a digit, named as those of seven-segment displays: a on top, then clockwise, g in the middle."""
    wide, tall, pen = 0.2, 0.4, 0.055
    strokes = {
        "a": (-wide, wide, tall - 2 * pen, tall), "d": (-wide, wide, -tall, 2 * pen - tall),
        "g": (-wide, wide, -pen, pen), "b": (wide - 2 * pen, wide, 0.0, tall), "c": (wide - 2 * pen, wide, -tall, 0.0),
        "e": (-wide, 2 * pen - wide, -tall, 0.0), "f": (-wide, 2 * pen - wide, 0.0, tall),
    }  # fmt: skip
    boxes = (strokes[name] for name in _SEGMENTS[number])
    return [_box(_BLACK, x + x0, x + x1, y0, y1) for x0, x1, y0, y1 in boxes]


def _number(digits: str) -> _Painter:
    """A speed limit."""
    return lambda variant: [patch for digit, x in zip(digits, (-0.27, 0.27), strict=True) for patch in _digit(digit, x)]


def _turn(way: float) -> _Painter:
    """An arrow that bends to one side."""
    arrow = (
        (-0.42, -0.6), (-0.18, -0.6), (-0.18, 0.05), (0.12, 0.05), (0.12, -0.2), (0.55, 0.18), (0.12, 0.56),
        (0.12, 0.29), (-0.42, 0.29),
    )  # fmt: skip
    return lambda variant: [_polygon(_WHITE, *((way * x, y) for x, y in arrow))]


def _crossroads(variant: int) -> list[Patch]:
    """A thick X."""
    found = []
    for way in (-1.0, 1.0):
        bar = ((-0.26, -0.4), (-0.1, -0.46), (0.26, 0.1), (0.1, 0.16))
        found.append(_polygon(_BLACK, *((way * x, y) for x, y in bar)))
    return found


def _no_entry(variant: int) -> list[Patch]:
    return [_disc(_RED, 1.0), _box(_WHITE, -0.68, 0.68, -0.17, 0.17)]


def _warning(variant: int) -> list[Patch]:
    return [
        _polygon(_RED, (-1.05, -0.75), (1.05, -0.75), (0.0, 1.05)),
        _polygon(_WHITE, (-0.68, -0.53), (0.68, -0.53), (0.0, 0.63)),
    ]


def _exclamation(variant: int) -> list[Patch]:
    return [_box(_BLACK, -0.1, 0.1, -0.16, 0.28), _disc(_BLACK, 0.11, 0.0, -0.34)]


def _give_way(variant: int) -> list[Patch]:
    return [
        _polygon(_RED, (-1.05, 0.75), (0.0, -1.05), (1.05, 0.75)),
        _polygon(_WHITE, (-0.64, 0.5), (0.0, -0.6), (0.64, 0.5)),
    ]


def _stop(variant: int) -> list[Patch]:
    octagon = [(math.cos((k + 0.5) * math.pi / 4), math.sin((k + 0.5) * math.pi / 4)) for k in range(8)]
    return [_polygon(_WHITE, *octagon), _polygon(_RED, *((x * 0.93, y * 0.93) for x, y in octagon))]


def _stop_letters(variant: int) -> list[Patch]:
    found = []
    for k in range(4):
        found.append(_box(_WHITE, -0.66 + 0.35 * k, -0.43 + 0.35 * k, -0.26, 0.26))
        found.append(_box(_RED, -0.6 + 0.35 * k, -0.49 + 0.35 * k, -0.1 + 0.05 * k, 0.1))
    return found


def _mandatory(variant: int) -> list[Patch]:
    return [_disc(_WHITE, 1.0), _disc(_BLUE, 0.93)]


def _arrow(variant: int) -> list[Patch]:
    right = ((-0.6, -0.12), (0.1, -0.12), (0.1, -0.42), (0.62, 0.0), (0.1, 0.42), (0.1, 0.12), (-0.6, 0.12))
    return [_polygon(_WHITE, *(((x, y), (-x, y), (y, x), (-y, -x))[variant % 4] for x, y in right))]


def _crossing(variant: int) -> list[Patch]:
    return [_box(_WHITE, -1.0, 1.0, -1.0, 1.0), _box(_BLUE, -0.92, 0.92, -0.92, 0.92)]


def _walker(variant: int) -> list[Patch]:
    legs = ((-0.08, 0.2), (0.1, 0.2), (0.28, -0.5), (0.14, -0.5), (0.0, -0.1), (-0.2, -0.5), (-0.32, -0.5))
    return [
        _polygon(_WHITE, (-0.7, -0.65), (0.7, -0.65), (0.0, 0.75)),
        _disc(_BLACK, 0.1, 0.0, 0.32),
        _polygon(_BLACK, *legs),
    ]


def _priority(variant: int) -> list[Patch]:
    return [
        _polygon(_WHITE, (1.05, 0.0), (0.0, 1.05), (-1.05, 0.0), (0.0, -1.05)),
        _polygon(_YELLOW, (0.68, 0.0), (0.0, 0.68), (-0.68, 0.0), (0.0, -0.68)),
    ]


def _board_ink(variant: int) -> Color:
    return _BLACK if variant % 4 > 1 else _WHITE


def _board(variant: int) -> list[Patch]:
    board = (_BLUE, _GREEN, _YELLOW, _WHITE)[variant % 4]
    return [_box(_board_ink(variant), -1.7, 1.7, -1.0, 1.0), _box(board, -1.62, 1.62, -0.92, 0.92)]


def _board_text(variant: int) -> list[Patch]:
    ink = _board_ink(variant)
    found = []
    for row in range(3):
        end = -0.9 + 0.5 * ((variant * (row + 3)) % 5)
        x = -1.3
        while x < end + 0.3:
            found.append(_box(ink, x, x + 0.2, 0.38 - 0.55 * row, 0.68 - 0.55 * row))
            x += 0.28
    up = ((0.9, -0.5), (1.1, -0.5), (1.1, 0.2), (1.3, 0.2), (1.0, 0.65), (0.7, 0.2), (0.9, 0.2))
    return [*found, _polygon(ink, *up)]


def _lights(variant: int) -> list[Patch]:
    """A traffic light: one of three lamps shines."""
    lamps: tuple[Color, ...] = ((0.9, 0.05, 0.03), (0.95, 0.5, 0.03), (0.05, 0.8, 0.35))
    found = [_box(_BLACK, -0.55, 0.55, -1.25, 1.25)]
    for k, color in enumerate(lamps):
        on = k == variant % 3
        found.append(_disc(color if on else scaled(color, 0.1), 0.32, 0.0, 0.8 - 0.8 * k, 0.8 if on else 0.0))
    return found


def _nothing(variant: int) -> list[Patch]:
    return []


_FACES: dict[str, tuple[_Painter, _Painter]] = {
    "limit": (_limit, _limit_digits),
    "no_entry": (_no_entry, _nothing),
    "warning": (_warning, _exclamation),
    "give_way": (_give_way, _nothing),
    "stop": (_stop, _stop_letters),
    "mandatory": (_mandatory, _arrow),
    "crossing": (_crossing, _walker),
    "priority": (_priority, _nothing),
    "direction": (_board, _board_text),
    "lights": (_lights, _nothing),
}

_CLOSE_FACES: dict[str, tuple[_Painter, _Painter]] = {
    **{f"limit_{digits}": (_limit, _number(digits)) for digits in ("30", "50", "60", "80")},
    "turn_left": (_mandatory, _turn(-1.0)),
    "turn_right": (_mandatory, _turn(1.0)),
    "danger": (_warning, _exclamation),
    "crossroads": (_warning, _crossroads),
}

SIGNS: tuple[str, ...] = tuple(_FACES)
"""Kinds of signs in streets."""

CLOSE_SIGNS: tuple[str, ...] = tuple(_CLOSE_FACES)
"""Kinds of signs in close-ups, told apart by their symbols alone."""
