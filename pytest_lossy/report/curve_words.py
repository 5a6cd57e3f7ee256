"""A curve in words: where its knee and its operating limit lie, one sentence that every report prints."""

from __future__ import annotations

from pytest_lossy.report import formatting
from pytest_lossy.report.lookup import Lookup
from pytest_lossy.results.document import Curve, Estimate, Limit

__all__ = ["bytes_text", "curve_notes", "curve_sentence", "knee_interval", "knee_text", "limit_text"]


def _end(lookup: Lookup, curve: Curve, value: float | None, tried: float | None) -> str:
    if value is not None:
        return formatting.position(value)
    return "beyond" if tried is None else f"beyond {formatting.level(tried)}"


def knee_interval(lookup: Lookup, curve: Curve) -> str:
    """Print the interval of the knee's level, ``[14.9, 20.1]``; an end that replicates left open says beyond which level.

    Empty where the knee has no interval.
    """
    position = curve.knee.position if curve.knee else None
    if position is None or (position.level.low is None and position.level.high is None):
        return ""
    levels = [point.level for point in curve.points]
    low = _end(lookup, curve, position.level.low, min(levels, default=None))
    high = _end(lookup, curve, position.level.high, max(levels, default=None))
    return f"[{low}, {high}]"


def knee_text(lookup: Lookup, curve: Curve) -> str:
    """Print the knee, ``q17.3 [14.9, 20.1]``, or why there is none in two or three words."""
    knee = curve.knee
    if knee is None:
        return formatting.ABSENT
    if knee.status == "resolved" and knee.position is not None and knee.position.level.value is not None:
        name = f"{lookup.parameter(curve.codec)}{formatting.position(knee.position.level.value)}"
        return f"{name} {knee_interval(lookup, curve)}".rstrip()
    return {"not_resolved": "not resolved", "beyond_range": "beyond the levels tried"}.get(knee.status, "not defined")


def limit_text(lookup: Lookup, codec: str, limit: Limit | None) -> str:
    """Print an operating limit, ``q30``, or that there is none."""
    if limit is None:
        return formatting.ABSENT
    if limit.status == "found" and limit.level is not None:
        return lookup.level_name(codec, limit.level)
    return "none shown to be safe" if limit.status == "none" else "not defined"


def bytes_text(lookup: Lookup, curve: Curve, share: Estimate | float | None) -> str:
    """Print a share of bytes with what it is of, ``24.1% of the bytes of q95``; empty where it is unknown."""
    number = share.value if isinstance(share, Estimate) else share
    if number is None or curve.bytes_of is None:
        return ""
    return f"{formatting.percent(number)} of the bytes of {lookup.level_name(curve.codec, curve.bytes_of)}"


def curve_sentence(lookup: Lookup, curve: Curve) -> str:
    """Say in one sentence where the knee is, what the operating limit is and what share of the bytes it needs.

    Empty where neither was computed.
    """
    parts = []
    at_limit = bytes_text(lookup, curve, curve.limit.byte_share) if curve.limit else ""
    if curve.knee is not None:
        found = knee_text(lookup, curve)
        if curve.knee.status == "resolved":
            position = curve.knee.position
            share = bytes_text(lookup, curve, position.byte_share) if position and not at_limit else ""
            parts.append(f"knee at {found}{f', at {share}' if share else ''}")
        else:
            words = {"not_resolved": "knee not resolved", "beyond_range": "no knee within the levels tried"}
            parts.append(words.get(curve.knee.status, "knee not defined"))
    if curve.limit is not None:
        found = limit_text(lookup, curve.codec, curve.limit)
        if curve.limit.status == "found":
            parts.append(f"operating limit {found}{f', at {at_limit}' if at_limit else ''}")
        else:
            words = {"none": "no level is shown to be safe"}
            parts.append(words.get(curve.limit.status, "operating limit not defined"))
    text = "; ".join(parts)
    return f"{text[0].upper()}{text[1:]}." if text else ""


def curve_notes(lookup: Lookup, curve: Curve) -> list[str]:
    """Say what stands behind :func:`curve_sentence`: requirement, second opinion, slices that end earlier.

    Why a knee is not resolved is ``Knee.explanation``, which reports print beside the sentence.
    """
    notes = []
    knee, limit = curve.knee, curve.limit
    if knee is not None:
        if knee.status == "resolved" and knee.explanation:
            notes.append(knee.explanation)
        if knee.status == "resolved" and knee.censored:
            notes.append(f"{formatting.percent(knee.censored)} of the replicates cross at none of the levels tried.")
        if knee.second_opinion is not None and knee.second_opinion.value is not None:
            at = f"{lookup.parameter(curve.codec)}{formatting.position(knee.second_opinion.value)}"
            spread = formatting.interval(knee.second_opinion.low, knee.second_opinion.high, formatting.position)
            notes.append(f"Second opinion: a two-segment fit breaks at {at} {spread}".rstrip() + ".")
    if limit is not None:
        if limit.requirement:
            source = "from thresholds.yaml" if limit.gated else "no gate is set, so the knee's tolerance stands in"
            notes.append(f"Safe means {limit.requirement} ({source}).")
        if limit.ended_by is not None:
            notes.append(f"{lookup.level_name(curve.codec, limit.ended_by)} is the first level not shown to be safe.")
        if limit.explanation:
            notes.append(limit.explanation)
    tags = [f"{entry.slice} ({limit_text(lookup, curve.codec, entry)})" for entry in _earlier(lookup, curve)]
    if tags:
        more = f" and {len(tags) - 6} more" if len(tags) > 6 else ""
        notes.append(f"Tags with a milder limit: {', '.join(tags[:6])}{more}.")
    return list(dict.fromkeys(notes))


def _earlier(lookup: Lookup, curve: Curve) -> list[Limit]:
    """Give the tags whose limit is milder than that of all samples."""
    limit = curve.limit
    if limit is None or limit.status != "found" or limit.level is None:
        return []
    whole = lookup.severity(curve.codec, limit.level)
    return [
        entry
        for entry in curve.slice_limits
        if entry.status == "none" or (entry.level is not None and lookup.severity(curve.codec, entry.level) < whole)
    ]
