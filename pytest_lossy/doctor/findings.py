"""One thing that was tried, and how it reads: no checks and no printing here."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

__all__ = ["Finding", "State", "exit_status", "finding_lines", "heading_lines", "verdict_line"]

State = Literal["works", "absent", "untested", "broken"]
"""``absent``: optional, and not here. ``untested``: cannot be tried without options that only a user knows."""

WIDTH = 80
_NAME, _STATE, _TIME = 14, 9, 9
_TEXT = 4


@dataclass(frozen=True, slots=True)
class Finding:
    """What trying one thing showed."""

    area: Literal["machine", "codec", "spec"]
    name: str
    state: State
    summary: str = ""
    """A line for people: versions, names, sizes."""
    details: Mapping[str, Any] = field(default_factory=dict)
    """The same and more for programs: exact builtins, as JSON has them."""
    reason: str | None = None
    """Why it does not work, or what is remarkable."""
    action: str | None = None
    """What to do about it."""
    needed: bool = True
    """Whether ``broken`` is a failure of the whole."""

    def as_json(self) -> dict[str, Any]:
        """Exact builtins."""
        return {**asdict(self), "details": dict(self.details)}


def exit_status(findings: Iterable[Finding]) -> int:
    """1 where something that is needed is broken, otherwise 0."""
    return int(any(finding.needed and finding.state == "broken" for finding in findings))


def heading_lines(area: str) -> list[str]:
    """What stands above the findings of an area."""
    if area == "codec":
        head = f"{'codec':{_NAME}}{'':{_STATE}}{'encode':>{_TIME - 1}}{'decode':>{_TIME}}   ms per frame; versions"
        return ["", head]
    if area == "spec":
        return ["", "specs: each model built, one sample predicted and scored"]
    return [area]


def finding_lines(finding: Finding) -> list[str]:
    """A finding as lines of at most 80 columns, where words allow it."""
    start = f"{finding.name:{_NAME - 1}} {finding.state:{_STATE}}"
    if len(finding.name) >= _NAME and finding.area == "spec":  # model names may be long: the text begins below them
        return [start.rstrip(), *_explained(finding, finding.summary)]
    if finding.area == "codec":
        times = (finding.details.get("encode_ms"), finding.details.get("decode_ms"))
        start += f"{_milliseconds(times[0]):>{_TIME - 1}}{_milliseconds(times[1]):>{_TIME}}   "
    lines = [line.rstrip() for line in _wrapped(finding.summary, start, " " * len(start))]
    return [*lines, *_explained(finding)]


def _explained(finding: Finding, summary: str = "") -> list[str]:
    """Indented lines: why, and what to do."""
    lines: list[str] = []
    for text in filter(None, (summary, finding.reason, finding.action and f"-> {finding.action}")):
        lines += _wrapped(text, " " * _TEXT, " " * (_TEXT + 3 if text.startswith("->") else _TEXT))
    return lines


def verdict_line(findings: Iterable[Finding]) -> str:
    """The last line."""
    found = list(findings)
    counts = {
        state: sum(finding.state == state for finding in found) for state in ("works", "absent", "untested", "broken")
    }
    text = ", ".join(f"{number} {state}" for state, number in counts.items() if number)
    broken = [finding.name for finding in found if finding.state == "broken" and finding.needed]
    return f"{text}; repair: {', '.join(broken)}" if broken else f"{text}; all that is needed works"


def _milliseconds(value: float | None) -> str:
    return "" if value is None else f"{value:.1f}"


def _wrapped(text: str, first: str, later: str) -> list[str]:
    return textwrap.wrap(
        text, WIDTH, initial_indent=first, subsequent_indent=later, break_long_words=False, break_on_hyphens=False
    ) or [first]
