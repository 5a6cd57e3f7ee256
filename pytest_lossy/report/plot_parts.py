"""The parts of a plot, as coordinates already printed: what ``plot.svg.j2`` reads."""

from __future__ import annotations

from dataclasses import dataclass

from pytest_lossy.report import svg
from pytest_lossy.report.landmarks import KneeMark, LimitMark, Tolerance

__all__ = [
    "BOTTOM",
    "HEIGHT",
    "LEFT",
    "RIGHT",
    "TOP",
    "WIDTH",
    "CleanLine",
    "GateMark",
    "Label",
    "Mark",
    "Plot",
    "Shade",
]

WIDTH, HEIGHT = 370.0, 292.0
"""Of the whole picture, in SVG units."""
LEFT, RIGHT, TOP, BOTTOM = 52.0, WIDTH - 14.0, 48.0, HEIGHT - 46.0
"""Of the frame that holds the curve."""


@dataclass(frozen=True, slots=True)
class Label:
    """A tick with its text."""

    at: str
    text: str


@dataclass(frozen=True, slots=True)
class Mark:
    """One level: its marker, and its interval where no band can show it."""

    x: str
    y: str
    verdict: str
    path: str
    text: str
    level: float
    value: float | None
    whisker: tuple[str, str] | None
    probe: bool
    """Measured by the search for the knee, and no case."""


@dataclass(frozen=True, slots=True)
class GateMark:
    """A required value at one level, with the side on which the metric has to lie."""

    x: str
    y: str
    left: str
    right: str
    upwards: bool
    text: str
    value: float


@dataclass(frozen=True, slots=True)
class CleanLine:
    """The reference: a line over the whole width and its interval."""

    y: str
    band_top: str
    band_height: str
    text: str


@dataclass(frozen=True, slots=True)
class Shade:
    """The levels that are milder than the source, from the mild end of the axis."""

    x: str
    width: str
    edge: str
    """Where they end."""
    text: str


@dataclass(frozen=True, slots=True)
class Plot:
    """Everything that one SVG shows, as coordinates already printed."""

    title: str
    description: str
    x_title: str
    y_title: str
    x_ticks: tuple[Label, ...]
    y_ticks: tuple[Label, ...]
    bands: tuple[str, ...]
    lines: tuple[str, ...]
    marks: tuple[Mark, ...]
    gates: tuple[GateMark, ...]
    clean: CleanLine | None
    shade: Shade | None
    simultaneous: tuple[str, ...]
    """Outlines of the simultaneous band of retention."""
    fits: tuple[str, ...]
    """The isotonic fit; where it is drawn, ``lines`` only join what was measured."""
    tolerance: Tolerance | None
    knee: KneeMark | None
    limit: LimitMark | None
    left: str = svg.coordinate(LEFT)
    right: str = svg.coordinate(RIGHT)
    top: str = svg.coordinate(TOP)
    bottom: str = svg.coordinate(BOTTOM)
