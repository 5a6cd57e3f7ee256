"""Builders of synthetic results documents: small pieces with defaults, and whole documents."""

from __future__ import annotations

import math
from typing import Any

from pytest_lossy.results.document import (
    CaseRow,
    CodecInfo,
    Curve,
    CurvePoint,
    DataInfo,
    Environment,
    Estimate,
    GateResult,
    Knee,
    Limit,
    MetricInfo,
    MetricValue,
    ModelInfo,
    Position,
    Recovery,
    ResultsDocument,
    RetainedArea,
    RunInfo,
)

JPEG = CodecInfo(
    label="jpeg",
    name="jpeg",
    parameter="q",
    higher_is_more_compressed=False,
    minimum=1,
    maximum=95,
    fingerprint="pillow 12.0 libjpeg-turbo 3.1 4:2:0",
)
H264 = CodecInfo(
    label="h264",
    name="h264",
    parameter="crf",
    higher_is_more_compressed=True,
    minimum=0,
    maximum=51,
    fingerprint="x264 164 preset=medium gop=12",
)
WEBP = CodecInfo(label="webp", name="webp", parameter="q", higher_is_more_compressed=False, minimum=1, maximum=95)
GRIDS = {
    "jpeg": (95, 75, 50, 30, 20, 15, 10, 5),
    "h264": (18, 23, 28, 33, 38, 43, 47, 51),
    "webp": (95, 75, 50, 30, 20, 15, 10, 5),
}
CODECS = {codec.label: codec for codec in (JPEG, H264, WEBP)}
CLASSES = ("road", "person", "bicycle", "pole")


def metric_info(name: str = "miou", *, higher: bool = True, unit: str = "") -> MetricInfo:
    return MetricInfo(name=name, title=f"Title of {name}", higher_is_better=higher, unit=unit)


def model_info(name: str = "segnet-mini", **changes: Any) -> ModelInfo:
    values: dict[str, Any] = {
        "name": name,
        "spec": f"model_specs/{name}.yaml",
        "task": "segmentation",
        "architecture": "encoder-decoder",
        "tags": ["street"],
        "primary": "miou",
        "metrics": [metric_info("miou"), metric_info("accuracy")],
        "details": {"format": "torch", "parameters": 1234567, "device": "cpu"},
        "data": DataInfo(
            name="mini-segmentation",
            fingerprint="5f2c81",
            samples=240,
            classes=list(CLASSES),
            sources={"PNG RGB": 240},
        ),
    }
    return ModelInfo(**(values | changes))


def value(clean: float, share: float, *, higher: bool = True, spread: float = 0.03) -> MetricValue:
    """A metric at ``share`` of ``clean`` retained, with an interval of about ``spread``."""
    number = clean * share if higher else clean / share
    loss = clean - number if higher else number - clean
    return MetricValue(
        value=number,
        low=number - spread,
        high=number + spread * 0.9,
        retention=share,
        retention_low=share - spread,
        retention_high=share + spread,
        loss=loss,
        loss_low=loss - spread,
        loss_high=loss + spread,
    )


def gate(**changes: Any) -> GateResult:
    values: dict[str, Any] = {
        "metric": "miou",
        "bound": "max_drop",
        "limit": 0.1,
        "quantity": "retention",
        "observed": 0.8,
        "low": 0.77,
        "high": 0.83,
        "required": 0.9,
        "comparison": ">=",
        "verdict": "failed",
        "met": False,
        "file": "thresholds.yaml",
        "line": 12,
    }
    return GateResult(**(values | changes))


def case(model: str = "segnet-mini", codec: str = "jpeg", level: float | None = 15, **changes: Any) -> CaseRow:
    info = CODECS.get(codec)
    suffix = "clean" if codec == "clean" else f"{codec}-{info.parameter if info else 'level'}{level:g}"
    values: dict[str, Any] = {
        "id": f"model_specs/{model}.yaml::{model}::{suffix}",
        "model": model,
        "task": "segmentation",
        "codec": codec,
        "codec_name": None if codec == "clean" else codec,
        "parameter": info.parameter if info else None,
        "level": None if codec == "clean" else level,
        "verdict": "passed",
        "outcome": "passed",
        "primary": "miou",
        "samples": 240,
        "units": 240,
        "seconds": 3.2,
    }
    return CaseRow(**(values | changes))


def run_info(cases: list[CaseRow], **changes: Any) -> RunInfo:
    counts: dict[str, int] = {}
    for row in cases:
        if row.role == "case":
            counts[row.verdict] = counts.get(row.verdict, 0) + 1
    values: dict[str, Any] = {
        "started": "2025-03-02T09:30:00Z",
        "seconds": 754.0,
        "status": "complete",
        "command": "pytest --lossy-codec=jpeg,h264 -n2",
        "exit_status": int(any(row.outcome == "failed" for row in cases)),
        "workers": 2,
        "replicates": 2000,
        "confidence": 0.95,
        "seed": 0,
        "thresholds": "thresholds.yaml",
        "counts": counts,
        "plugin_version": "0.1.0",
    }
    return RunInfo(**(values | changes))


def recovered(model: str = "a.jpeg-q10", **fields: Any) -> Recovery:
    """What one retrained model won back."""
    estimate = Estimate(value=0.42, low=0.3, high=0.5)
    base: dict[str, Any] = {
        "model": model,
        "parent": model,
        "control": model,
        "codec": "jpeg",
        "level": 10,
        "trained_on": True,
        "metric": "miou",
        "recovery": estimate,
        "gain": estimate,
        "naive": estimate,
        "clean_cost": Estimate(value=0.01),
    }
    return Recovery(**{**base, **fields})


def document(
    cases: list[CaseRow] | None = None,
    *,
    models: list[ModelInfo] | None = None,
    codecs: list[CodecInfo] | None = None,
    curves: list[Curve] | None = None,
    recovery: list[Recovery] | None = None,
    **run: Any,
) -> ResultsDocument:
    rows = cases or []
    return ResultsDocument(
        run=run_info(rows, **run),
        environment=Environment(
            python="3.11.9",
            platform="Linux",
            machine="x86_64",
            cpu="a processor",
            instruction_set="avx2",
            packages={"torch": "2.6.0", "pillow": "12.0.0", "numpy": "2.2.0"},
            devices=["cpu"],
        ),
        models=models if models is not None else [model_info()],
        codecs=codecs if codecs is not None else [JPEG],
        cases=rows,
        curves=curves or [],
        recovery=recovery or [],
    )


def retained(index: int, total: int, strength: float = 1.0) -> float:
    """A plausible retention at the ``index``-th of ``total`` levels: flat, then a knee; above 1 at first."""
    position = index / max(total - 1, 1)
    return 1.006 - 0.6 * strength * position**2.5


def between(levels: tuple[float, ...], place: float) -> float:
    """The level at a fractional index."""
    index = min(int(place), len(levels) - 2)
    return levels[index] + (place - index) * (levels[index + 1] - levels[index])


def rate_between(rates: tuple[float, ...], place: float) -> float:
    """Bits per pixel at a fractional index: rates are interpolated in their logarithm."""
    return math.exp(between(tuple(math.log(rate) for rate in rates), place))


def analysed(curve: Curve, *, knee: str = "resolved", tolerance: float = 0.05, width: float = 0.012) -> Curve:
    """Add what analysis finds: bands, an isotonic fit, and a knee where it crosses, from the points themselves."""
    fitted, points, bytes_of = 2.0, [], max(point.bpp or 0 for point in curve.points)
    for point in curve.points:
        kept = point.metric.retention
        assert kept is not None
        fitted = min(fitted, kept, 1.0)
        points.append(
            point.model_copy(update={"band_low": kept - 4 * width, "band_high": kept + 4 * width, "isotonic": fitted})
        )
    levels = tuple(point.level for point in points)
    fits = [point.isotonic or 0.0 for point in points]
    rates = tuple(point.bpp or 0.0 for point in points)
    crossing = next((i for i, fit in enumerate(fits) if fit < 1 - tolerance), None)
    position = None
    if crossing and knee == "resolved":
        place = crossing - 1 + (fits[crossing - 1] - 1 + tolerance) / (fits[crossing - 1] - fits[crossing])
        near, far = max(place - 0.6, 0.0), min(place + 0.4, len(levels) - 1)
        ends = sorted((between(levels, near), between(levels, far)))
        bits = rate_between(rates, place)
        position = Position(
            level=Estimate(value=between(levels, place), low=ends[0], high=ends[1]),
            bpp=Estimate(value=bits, low=rate_between(rates, far), high=rate_between(rates, near)),
            byte_share=Estimate(value=bits / bytes_of),
        )
    status = knee if knee != "resolved" or position else "beyond_range"
    safe = max((crossing or len(points)) - 2, 0)
    return curve.model_copy(
        update={
            "points": points,
            "bytes_of": levels[0],
            "knee": Knee(
                metric=curve.metric,
                status=status,
                tolerance=tolerance,
                position=position,
                censored=0.004,
                band_width=8 * width,
                explanation="" if status == "resolved" else "The band is wider than the tolerance.",
                second_opinion=Estimate(value=position.level.value) if position else None,
            ),
            "limit": Limit(
                metric=curve.metric,
                status="found",
                requirement="retention >= 95% at one-sided 95%",
                gated=False,
                level=levels[safe],
                case=points[safe].case,
                bpp=points[safe].bpp,
                byte_share=rates[safe] / bytes_of,
                ended_by=levels[safe + 1] if safe + 1 < len(levels) else None,
            ),
            "slice_limits": [
                Limit(metric=curve.metric, slice="night", status="none", requirement="the same", gated=False),
                Limit(
                    metric=curve.metric,
                    slice="day",
                    status="found",
                    requirement="the same",
                    gated=False,
                    level=levels[safe],
                ),
            ],
            "area": RetainedArea(over_level=Estimate(value=0.91, low=0.9, high=0.92)),
        }
    )


def curve_of(
    model: ModelInfo, codec: CodecInfo, levels: tuple[float, ...], strength: float = 1.0
) -> tuple[list[CaseRow], Curve]:
    """The rows and the curve of one (model, codec), with gates, all verdicts and per-class metrics."""
    primary = next(metric for metric in model.metrics if metric.name == model.primary)
    higher = primary.higher_is_better
    clean = 0.62 if higher else 0.118
    spread = 0.03 if higher else 0.006
    rows, points = [], []
    for index, level in enumerate(levels):
        share = retained(index, len(levels), strength)
        measured = value(clean, share, higher=higher, spread=spread)
        required = 0.9
        gates = []
        if index % 4 != 1:
            verdict = (
                "passed" if share - spread >= required else "failed" if share + spread < required else "inconclusive"
            )
            gates = [
                gate(
                    metric=model.primary,
                    observed=share,
                    low=share - spread,
                    high=share + spread,
                    verdict=verdict,
                    met=share >= required,
                )
            ]
        verdict = gates[0].verdict if gates else "ungated"
        metrics = {model.primary: measured, "accuracy": value(0.91, min(share + 0.1, 1.0))}
        if model.task == "segmentation":
            metrics |= {
                f"miou[{name}]": value(0.5 + 0.08 * place, share ** (1 + place / 2))
                for place, name in enumerate(CLASSES)
            }
        row = case(
            model.name,
            codec.label,
            level,
            task=model.task,
            primary=model.primary,
            verdict=verdict,
            outcome="failed" if any(not item.met for item in gates) else "passed",
            metrics=metrics,
            bpp=2.8 * math.exp(-0.55 * index),
            psnr=44.0 - 2.4 * index,
            header_share=0.02,
            gates=gates,
            fingerprint=codec.fingerprint,
        )
        rows.append(row)
        points.append(
            CurvePoint(level=level, case=row.id, bpp=row.bpp, psnr=row.psnr, verdict=verdict, metric=measured)
        )
    reference = MetricValue(value=clean, low=clean - spread * 0.8, high=clean + spread * 0.8)
    return rows, Curve(model=model.name, codec=codec.label, metric=model.primary, clean=reference, points=points)


def full_document(models: int = 5, codecs: int = 3, levels: int = 8, **run: Any) -> ResultsDocument:
    """Models of two tasks (every third an error, lower is better) over every codec, with a clean row each."""
    families = ("encoder-decoder", "r-cnn", "gan", "two-stream", "end-to-end")
    chosen = [JPEG, H264, WEBP][:codecs]
    infos, rows, curves = [], [], []
    for number in range(models):
        depth = number % 3 == 2
        info = model_info(
            f"{'depthnet' if depth else 'segnet'}-{number}",
            task="depth" if depth else "segmentation",
            architecture=families[number % len(families)],
            primary="abs_rel" if depth else "miou",
            metrics=[metric_info("abs_rel", higher=False)] if depth else [metric_info("miou"), metric_info("accuracy")],
        )
        infos.append(info)
        clean, spread = (0.118, 0.0048) if depth else (0.62, 0.024)
        rows.append(
            case(
                info.name,
                "clean",
                task=info.task,
                primary=info.primary,
                metrics={info.primary: MetricValue(value=clean, low=clean - spread, high=clean + spread)}
                | (
                    {}
                    if depth
                    else {f"miou[{name}]": MetricValue(value=0.5 + 0.08 * i) for i, name in enumerate(CLASSES)}
                ),
                bpp=4.21,
                gates=[]
                if depth
                else [
                    gate(
                        bound="min",
                        quantity="value",
                        limit=0.5,
                        required=0.5,
                        observed=clean,
                        low=clean - spread,
                        high=clean + spread,
                        verdict="passed",
                        met=True,
                        line=4,
                    )
                ],
                verdict="ungated" if depth else "passed",
            )
        )
        for codec in chosen:
            found, curve = curve_of(info, codec, GRIDS[codec.label][:levels], 0.6 + 0.2 * (number % 3))
            rows += found
            curves.append(analysed(curve, knee="not_resolved" if number % 4 == 3 else "resolved"))
    return document(rows, models=infos, codecs=chosen, curves=curves, **run)
