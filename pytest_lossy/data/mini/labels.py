"""The classes of the mini world, in label order, and the colours that draw them."""

from __future__ import annotations

__all__ = [
    "BUILDING",
    "CAR",
    "CLASSES",
    "FENCE",
    "GRASS",
    "IGNORE",
    "PALETTE",
    "PAVEMENT",
    "PERSON",
    "POLE",
    "ROAD",
    "SIGN",
    "SKY",
    "TREE",
]

CLASSES: tuple[str, ...] = (
    "sky",
    "building",
    "pole",
    "road",
    "pavement",
    "tree",
    "sign",
    "fence",
    "car",
    "person",
    "grass",
)
"""Label k of a label map is ``CLASSES[k]``."""

SKY, BUILDING, POLE, ROAD, PAVEMENT, TREE, SIGN, FENCE, CAR, PERSON, GRASS = range(len(CLASSES))

IGNORE = 255
"""The label of pixels that no class can claim; metrics skip them."""

PALETTE: tuple[tuple[int, int, int], ...] = (
    (120, 170, 220),
    (125, 75, 60),
    (200, 200, 120),
    (95, 70, 120),
    (200, 130, 200),
    (60, 130, 50),
    (235, 210, 40),
    (170, 140, 110),
    (40, 70, 190),
    (220, 40, 60),
    (140, 200, 90),
)
"""RGB of each class in drawings, spaced so that neighbours in a street differ."""
