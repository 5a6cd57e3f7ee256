"""Which curves of a run are held against which by Bjontegaard differences.

Each codec of a model against the model's first; each model against its parent, if it was retrained, or else against the
first model of the run with the same task, data and codec. So their number grows with that of the curves and not with its
square, and every number has an anchor that the reader knows.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from pytest_lossy.analysis.bjontegaard import RateCurve, compare_rates, rate_curve
from pytest_lossy.analysis.measured_curves import MeasuredCurve, MeasuredCurves, ReplicatesOf
from pytest_lossy.results.document import RateDifference, ResultsDocument

__all__ = ["add_rate_differences"]

_FEW_LEVELS = 4
"""A Bjontegaard difference is defined on four points of a curve; of fewer it is said."""
_SMALL_OVERLAP = 0.5


def add_rate_differences(document: ResultsDocument, replicates: ReplicatesOf) -> ResultsDocument:
    """Fill ``ResultsDocument.rate_differences``, in the order of the curves; at most two for each.

    Args:
        document: rows, models, codecs and curves of the run.
        replicates: of a row; None where nothing is stored.
    """
    curves = MeasuredCurves(document, replicates)
    # Anchors are kept by their position alone, and read again for each comparison.
    first_codec: dict[str, int] = {}
    first_model: dict[tuple[object, ...], int] = {}
    found = []
    for curve in curves:
        if not curve.levels:
            continue
        anchor = first_codec.setdefault(curve.model.name, curve.position)
        if anchor != curve.position and document.curves[anchor].metric == curve.curve.metric:
            found.append(_difference("codecs", curve, curves.at(anchor), document.run.confidence))
        if curve.model.reference != "labels" or curve.model.data.fingerprint is None:
            continue  # agreement compares a model with itself only
        data = curve.model.data
        key = (
            curve.model.task,
            data.name,
            data.fingerprint,
            curve.levels[0].stored.samples,
            curve.curve.metric,
            *curve.codec,
        )
        rival = _parent(curve, curves)
        if (
            rival is None
        ):  # only such a model is one that others are held against, or its parent would be held against it
            rival = first_model.setdefault(key, curve.position)
        if rival != curve.position and document.curves[rival].metric == curve.curve.metric:
            found.append(_difference("models", curve, curves.at(rival), document.run.confidence))
    return document.model_copy(update={"rate_differences": found})


def _parent(curve: MeasuredCurve, curves: MeasuredCurves) -> int | None:
    """The curve of a retrained model's parent under the same codec and on the same data."""
    record = curve.model.retrained
    if record is None:
        return None
    alike = curves.named(record.parent, curve.curve.codec)
    found = [other for other in alike if other.levels and other.codec == curve.codec]
    return found[-1].position if found and found[-1].model.data.fingerprint == curve.model.data.fingerprint else None


def _difference(
    kind: Literal["models", "codecs"], test: MeasuredCurve, anchor: MeasuredCurve, confidence: float
) -> RateDifference:
    pair = RateDifference(
        kind=kind,
        metric=test.curve.metric,
        model=test.model.name,
        codec=test.curve.codec,
        against_model=anchor.model.name,
        against_codec=anchor.curve.codec,
    )
    ours, theirs = _rates(test), _rates(anchor)
    if ours is None or theirs is None:
        which = test if ours is None else anchor
        note = f"{which.model.name}, {which.curve.codec}: fewer than two rates with a defined metric"
        return pair.model_copy(update={"note": note})
    samples = {level.stored.samples for curve in (test, anchor) for level in curve.levels}
    found = compare_rates(
        ours,
        theirs,
        higher_is_better=test.higher_is_better,
        paired=len(samples) == 1,
        units=test.levels[0].stored.units,
        confidence=confidence,
    )
    notes = []
    if found.metric is None:
        notes.append("the curves have no bits per pixel in common")
    if found.rate is None:
        notes.append("no range of the metric is reached by both curves")
    if (found.metric is not None and found.rate_overlap < _SMALL_OVERLAP) or (
        found.rate is not None and found.metric_overlap < _SMALL_OVERLAP
    ):
        notes.append("the curves have little in common")
    if min(len(ours.log_rates), len(theirs.log_rates)) < _FEW_LEVELS:
        notes.append(f"fewer than {_FEW_LEVELS} rates")
    if len(samples) > 1:
        notes.append("other samples at some level, so no intervals")
    numbers = {
        "bd_metric": found.metric,
        "bd_rate": found.rate,
        "rate_overlap": found.rate_overlap,
        "metric_overlap": found.metric_overlap,
    }
    return pair.model_copy(update={**numbers, "note": "; ".join(notes)})


def _rates(curve: MeasuredCurve) -> RateCurve | None:
    metric = curve.curve.metric
    kept = [entry for entry in curve.levels if entry.row.bpp and np.isfinite(entry.stored.point[metric])]
    if len({entry.row.bpp for entry in kept}) < 2:
        return None
    drawn = np.zeros((0, len(kept)))
    if all(metric in entry.stored.replicates for entry in kept):
        drawn = np.stack([entry.stored.replicates[metric] for entry in kept], axis=1)
    rates = np.array([entry.row.bpp for entry in kept], dtype=np.float64)
    point = np.array([entry.stored.point[metric] for entry in kept])
    return rate_curve(rates, point, drawn, higher_is_better=curve.higher_is_better)
