"""Documents at the edges of the schema, each by name: what a renderer must survive."""

from __future__ import annotations

from documents import (
    GRIDS,
    JPEG,
    case,
    curve_of,
    document,
    gate,
    metric_info,
    model_info,
    recovered,
    value,
)

from pytest_lossy.results.document import Curve, CurvePoint, Estimate, MetricValue, ResultsDocument

EMPTY = MetricValue(value=None)


def _points(codec: str, *points: tuple[float, str, MetricValue], bpp: float | None = None) -> list[CurvePoint]:
    return [
        CurvePoint(level=level, case=f"c{level}", verdict=verdict, metric=metric, bpp=bpp)
        for level, verdict, metric in points
    ]


def _one_level() -> ResultsDocument:
    rows, curve = curve_of(model_info(), JPEG, (15,))
    return document(rows, curves=[curve])


def _nulls() -> ResultsDocument:
    rows = [
        case(level=level, verdict="ungated", metrics={"miou": EMPTY}, samples=0, units=0, parameter=None)
        for level in (95, 50, 5)
    ]
    points = [CurvePoint(level=row.level or 0, case=row.id, verdict="ungated", metric=EMPTY) for row in rows]
    return document(rows, curves=[Curve(model="segnet-mini", codec="jpeg", metric="miou", clean=EMPTY, points=points)])


def _broken_line() -> ResultsDocument:
    """An error in the middle of a curve, a crash and a row that never ran at its end."""
    rows, curve = curve_of(model_info(), JPEG, GRIDS["jpeg"])
    lost = {3: "error", 6: "crashed", 7: "not_run"}
    for index, verdict in lost.items():
        change = {
            "verdict": verdict,
            "outcome": "none" if verdict == "not_run" else "failed",
            "metrics": {},
            "gates": [],
        }
        change["error"] = "Traceback\n  two lines" if verdict == "error" else None
        rows[index] = rows[index].model_copy(update=change)
        curve.points[index] = curve.points[index].model_copy(update={"verdict": verdict, "metric": EMPTY, "bpp": None})
    return document(rows, curves=[curve], status="interrupted", exit_status=2)


def _gated_beyond_sense() -> ResultsDocument:
    """Gates of every bound, on a metric that the curve does not show, with no clean value to compare with."""
    gates = [
        gate(
            bound="max_loss",
            quantity="loss",
            required=0.05,
            limit=0.05,
            comparison="<=",
            observed=None,
            low=None,
            high=None,
        ),
        gate(bound="max_drop", required=0.0, limit=1.0),
        gate(bound="min", quantity="value", required=0.5, limit=0.5),
        gate(metric="accuracy", verdict="inconclusive", reason="fewer than 30 units"),
    ]
    row = case(verdict="failed", outcome="failed", gates=gates, metrics={"miou": value(0.6, 0.7)})
    point = CurvePoint(level=15, case=row.id, verdict="failed", metric=row.metrics["miou"])
    return document([row], curves=[Curve(model="segnet-mini", codec="jpeg", metric="miou", points=[point])])


def _errors_lower_is_better() -> ResultsDocument:
    info = model_info("depth", primary="abs_rel", metrics=[metric_info("abs_rel", higher=False, unit="m")])
    rows, curve = curve_of(info, JPEG, GRIDS["jpeg"])
    return document(rows, models=[info], curves=[curve])


EDGES: dict[str, ResultsDocument] = {
    "nothing": document(),
    "nothing at all": document(models=[], codecs=[], exit_status=5),
    "clean only": document([case(codec="clean", metrics={"miou": value(0.6, 1.0)})]),
    "one level": _one_level(),
    "nulls": _nulls(),
    "broken line": _broken_line(),
    "every bound, no clean": _gated_beyond_sense(),
    "lower is better": _errors_lower_is_better(),
    "ungated": document([case(level=n, verdict="ungated", metrics={"miou": value(0.6, 1.2)}) for n in (95, 5)]),
    "model error": document(
        [case(verdict="error", outcome="failed", error="cannot load", level=n) for n in (50, 5)],
        models=[model_info(error="cannot load")],
    ),
    "model error, no rows": document(models=[model_info(error="segnet.py:3: no such file; check `model:`")]),
    "not run": document([case(level=n, verdict="not_run", outcome="none") for n in (50, 5)], status="interrupted"),
    "strict": document([case(verdict="ungated", outcome="failed")], strict=True),
    "undeclared names": document(
        [case("stranger", "odd", 3, verdict="passed", metrics={"miou": value(0.5, 0.9)})],
        models=[],
        codecs=[],
        curves=[
            Curve(
                model="stranger",
                codec="odd",
                metric="miou",
                points=_points("odd", (3, "passed", value(0.5, 0.9)), (1, "error", EMPTY)),
            ),
            Curve(model="ghost", codec="odd", metric="x", points=[]),
        ],
    ),
    "huge and tiny": document(
        [case(level=5, metrics={"miou": MetricValue(value=1e300, low=-1e300, high=1e300)})],
        curves=[
            Curve(
                model="segnet-mini",
                codec="jpeg",
                metric="miou",
                clean=MetricValue(value=1e-300),
                points=_points("jpeg", (5, "passed", MetricValue(value=1e300, low=-1e300, high=1e300)), bpp=1e-30),
            )
        ],
    ),
    "one unit, one group": document(
        [case(samples=12, units=1, notes=["within-sequence only"], metrics={"miou": value(0.6, 1.0)})]
    ),
    "recovery": document(
        [case()], recovery=[recovered(), recovered(recovery=Estimate(value=None), note="nothing to recover")]
    ),
    "exit status": document([case()], exit_status=3),
}
