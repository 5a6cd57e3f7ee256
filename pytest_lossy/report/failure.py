"""The text of one failed case: a first line that stands alone in pytest's short summary, then a table of its gates."""

from __future__ import annotations

from pytest_lossy.results.document import CaseRow, GateResult

__all__ = ["failure_text"]


def failure_text(row: CaseRow, *, strict: bool) -> str:
    """Explain a row whose outcome is ``failed``.

    Args:
        row: a measured case.
        strict: whether missing gates and straddling intervals fail.
    """
    level = row.id.rpartition("::")[2] if row.level is None else f"{row.codec} {row.parameter}={row.level:g}"
    missed = [gate for gate in row.gates if gate.verdict == "failed"] or [
        gate for gate in row.gates if gate.verdict == "inconclusive"
    ]
    if not missed:
        return f"{row.model} at {level}: no gate matches this case, and --lossy-strict asks for one"
    first = missed[0]
    lines = [f"{row.model} at {level}: {_sentence(first)} ({first.file}:{first.line})"]
    header = ("gate", "required", "measured", "interval", "verdict", "line")
    table = [
        (
            f"{_subject(gate)}.{gate.bound}",
            f"{gate.quantity} {gate.comparison} {gate.required:.4g}",
            _number(gate, gate.observed),
            f"{_number(gate, gate.low)} .. {_number(gate, gate.high)}",
            gate.verdict,
            f"{gate.file}:{gate.line}",
        )
        for gate in row.gates
    ]
    widths = [max(len(entry[column]) for entry in (header, *table)) for column in range(len(header))]
    for entry in (header, *table):
        lines.append("  " + "  ".join(cell.ljust(width) for cell, width in zip(entry, widths, strict=True)).rstrip())
    lines += [f"  {_subject(gate)}.{gate.bound}: {gate.reason}" for gate in row.gates if gate.reason]
    if row.knee is not None:
        lines.append(f"  {row.knee.explanation} {row.samples} samples")
    if row.bpp is not None:
        psnr = f", {row.psnr:.1f} dB PSNR" if row.psnr is not None else ""
        lines.append(f"  at {row.bpp:.3g} bits per pixel{psnr}, {row.samples} samples")
    if all(gate.verdict == "inconclusive" for gate in missed):
        why = "--lossy-strict fails it" if strict else "decided by the point estimate"
        what = "nothing shows on which side of the gate it lies" if first.reason else "the interval straddles the gate"
        lines.append(f"  {what}; {why}" if row.knee is not None else f"  the interval straddles the gate; {why}")
    return "\n".join(lines)


def _sentence(gate: GateResult) -> str:
    if gate.quantity == "knee":
        return _knee_sentence(gate)
    relation = "<" if gate.comparison == ">=" else ">"
    if gate.observed is None:
        return f"{gate.quantity} of {gate.metric} is undefined"
    if gate.met:
        return f"{gate.metric} {gate.quantity} {gate.observed:.4g} is not shown to be {gate.comparison} {gate.required:.4g}"
    if gate.bound == "max_drop" and gate.quantity == "retention":
        return f"{gate.metric} drops by {100 * (1 - gate.observed):.1f}%, more than {100 * gate.limit:g}%"
    return f"{gate.metric} {gate.quantity} {gate.observed:.4g} {relation} {gate.required:.4g}"


def _knee_sentence(gate: GateResult) -> str:
    place = f"the knee of {gate.metric}" + ("" if gate.observed is None else f" at {gate.observed:.4g}")
    if gate.observed is None and gate.verdict == "failed":
        return f"{place} is milder than every level tried, and than {gate.required:g}"
    if gate.observed is None or gate.met:
        return f"{place} is not shown to be no milder than {gate.required:g}"
    return f"{place} is milder than {gate.required:g}"


def _subject(gate: GateResult) -> str:
    return "knee" if gate.quantity == "knee" else gate.metric


def _number(gate: GateResult, value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}" if gate.quantity == "knee" else f"{value:.4f}"
