"""What the end of a run says of the gates that it wrote: lines with markup keywords of pytest's ``TerminalWriter``."""

from __future__ import annotations

from pytest_lossy.report.formatting import count
from pytest_lossy.thresholds.updating import WrittenGates

__all__ = ["gate_lines"]

Line = tuple[str, dict[str, bool]]

_DIFF_LINES = 200
"""Of a diff, unless pytest is verbose."""
_REASONS = 20


def gate_lines(written: WrittenGates, *, verbose: bool) -> list[Line]:
    """The diff of a thresholds file, then what could not be written, then what became of the file in one line."""
    update = written.update
    if update is None:
        return [(f"{written.file} is unchanged: {written.problem}", {"red": True})]
    lines: list[Line] = []
    shown = update.diff if verbose else update.diff[:_DIFF_LINES]
    lines += [(line, _markup(line)) for line in shown]
    if len(shown) < len(update.diff):
        lines.append((f"{len(update.diff) - len(shown):,} more lines, shown with -v", {}))
    lines += _listed("not written", update.refused, verbose=verbose)
    lines += _listed("kept, and not met", written.missed, verbose=verbose)
    changes = ", ".join(
        [
            f"{count(update.changed, 'gate')} changed",
            f"{update.added} added",
            f"{update.kept} kept",
            *([f"{len(update.refused)} not written"] if update.refused else []),
        ]
    )
    lines.append((f"{written.file}: {changes} (margin {100 * written.margin:g}%)", {"bold": True}))
    return lines


def _listed(title: str, texts: tuple[str, ...], *, verbose: bool) -> list[Line]:
    shown = texts if verbose else texts[:_REASONS]
    lines: list[Line] = [(f"{title}: {text}", {"yellow": True}) for text in shown]
    if len(shown) < len(texts):
        lines.append((f"{title}: {len(texts) - len(shown):,} more, shown with -v", {"yellow": True}))
    return lines


def _markup(line: str) -> dict[str, bool]:
    if line.startswith(("---", "+++", "@@")):
        return {"light": True}
    return {"green": True} if line.startswith("+") else {"red": True} if line.startswith("-") else {}
