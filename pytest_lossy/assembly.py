"""From the files of a run to one document: every planned case has a row, whatever became of its process."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from pytest_lossy import __version__
from pytest_lossy.analysis.bootstrap import BOOTSTRAP_SEED
from pytest_lossy.cases import CLEAN, Case, IndexedSpec
from pytest_lossy.codecs.registry import build_codec
from pytest_lossy.data.source_quality import quality_summary
from pytest_lossy.engine.media_cache import merge_statistics
from pytest_lossy.errors import LossyError, ResultsError
from pytest_lossy.results.document import (
    CaseRow,
    CodecInfo,
    Curve,
    CurvePoint,
    ModelInfo,
    ResultsDocument,
    RunInfo,
    SourceQuality,
)
from pytest_lossy.results.environment import describe_environment
from pytest_lossy.results.rows import error_row, unloaded_info
from pytest_lossy.results.store import RunStore

if TYPE_CHECKING:
    from pytest_lossy.planning import Plan
    from pytest_lossy.settings import Settings

__all__ = ["assemble", "build_curves", "row_of_case"]

Planned = tuple[str, IndexedSpec, Case]
"""Node id, spec, case."""


def assemble(
    store: RunStore,
    planned: Sequence[Planned],
    plan: Plan,
    settings: Settings,
    *,
    started: datetime,
    seconds: float,
    exit_status: int,
    interrupted: bool,
    workers: int,
    command: str,
) -> ResultsDocument:
    """Read rows, models and marks of a run.

    Args:
        store: the run's files.
        planned: every case that the run set out to do, in order.
        plan: specs and gates.
        settings: flags and ini values.
        started: UTC.
        seconds: since then.
        exit_status: pytest's.
        interrupted: whether the user stopped the run; a case in progress then did not crash.
        workers: xdist workers; 0 for none.
        command: as typed.
    """
    rows = [row_of_case(store, node_id, case, interrupted=interrupted) for node_id, _, case in planned]
    specs = list({spec.name: spec for _, spec, _ in planned}.values())
    have_clean = {row.model for row in rows if row.codec == CLEAN}
    references = [store.read_row(spec.clean.slug, "references") for spec in specs if spec.name not in have_clean]
    mine = {row.id for row in rows}
    probes = [row for row in store.read_probes() if row.id not in mine]
    codecs = _codecs(planned)
    rows = _in_order([*rows, *(row for row in references if row is not None), *probes], specs, codecs)
    models = [_model(store, spec) for spec in specs]
    not_run = any(row.verdict == "not_run" and not row.error for row in rows)
    notes: dict[str, set[str]] = {}
    for row in rows:
        notes.setdefault(row.model, set()).update(row.notes)
    warnings = list(plan.warnings)
    for model in models:
        warnings += [f"{model.name}: {note}" for note in (*model.data.notes, *sorted(notes.get(model.name, ())))]
    return ResultsDocument(
        run=RunInfo(
            started=started.isoformat(timespec="seconds"),
            seconds=round(seconds, 2),
            status="interrupted" if interrupted or not_run else "complete",
            command=command,
            exit_status=exit_status,
            workers=workers,
            samples_limit=settings.samples,
            replicates=settings.replicates,
            confidence=plan.thresholds.defaults.confidence,
            tolerance=settings.tolerance,
            seed=BOOTSTRAP_SEED,
            thresholds=plan.thresholds.file,
            inconclusive=plan.thresholds.defaults.inconclusive,
            strict=settings.strict,
            cache=merge_statistics(statistics) if (statistics := store.read_cache_statistics()) else {},
            counts=dict(Counter(row.verdict for row in rows if row.role == "case")),
            warnings=warnings,
            plugin_version=__version__,
        ),
        environment=describe_environment(
            sorted({str(model.details["device_name"]) for model in models if "device_name" in model.details})
        ),
        models=models,
        codecs=codecs,
        cases=rows,
        curves=build_curves(rows),
        gallery=[sample for _, _, case in planned for sample in store.read_gallery(case.slug)],
    )


def row_of_case(store: RunStore, node_id: str, case: Case, *, interrupted: bool) -> CaseRow:
    """The row that a case left, or what its absence says: its process died, or nobody ran it."""
    try:
        row = store.read_row(case.slug)
    except ResultsError as error:
        return error_row(node_id, case, "", str(error), "error")
    if row is not None:
        return row
    if store.was_started(case.slug) and not interrupted:
        return error_row(node_id, case, "", "the process that ran this case died; run it alone to see why", "crashed")
    return error_row(node_id, case, "", "", "not_run").model_copy(update={"error": None})


def _in_order(rows: list[CaseRow], specs: Sequence[IndexedSpec], codecs: Sequence[CodecInfo]) -> list[CaseRow]:
    """By model in the order of the specs: clean, the levels of each codec mild to severe, knees, mixes."""
    position = {spec.name: index for index, spec in enumerate(specs)}
    first = {label: index for index, label in reversed(list(enumerate(row.codec for row in rows)))}
    sign = {codec.label: 1 if codec.higher_is_more_compressed else -1 for codec in codecs}

    def turn(row: CaseRow) -> tuple[float, ...]:
        kind = 0 if row.codec == CLEAN else 1 if row.level is not None else 2 if row.mix is None else 3
        severity = sign[row.codec] * row.level if row.level is not None and row.codec in sign else 0.0
        return position[row.model], kind, first[row.codec], severity

    return sorted(rows, key=turn)


def _model(store: RunStore, spec: IndexedSpec) -> ModelInfo:
    info = store.read_model(spec.name)
    if info is None:
        return unloaded_info(spec, None)
    try:
        meta = store.load_evidence(spec.clean.slug).meta
    except ResultsError:
        return info
    found = quality_summary(meta.get("source_quality", {}))
    seen = {
        "sources": meta.get("sources", {}),
        "source_quality": {codec: SourceQuality(**entry) for codec, entry in found.items()},
    }
    return info.model_copy(update={"data": info.data.model_copy(update=seen)})


def _codecs(planned: Sequence[Planned]) -> list[CodecInfo]:
    """One entry per label, from the specs: rows of crashed cases carry none."""
    found: dict[str, CodecInfo] = {}
    for _, spec, case in planned:
        if case.codec_name is None or case.label in found:
            continue
        plan = next((plan for plan in spec.plans if plan.label == case.label), None)
        try:
            codec = build_codec(case.codec_name, plan.options if plan else None)
        except LossyError:
            continue
        try:
            fingerprint = codec.fingerprint()
        except LossyError:  # its library is not installed; the case said so
            fingerprint = None
        found[case.label] = CodecInfo(
            label=case.label,
            name=case.codec_name,
            parameter=codec.parameter,
            higher_is_more_compressed=codec.levels.higher_is_more_compressed,
            minimum=codec.levels.minimum,
            maximum=codec.levels.maximum,
            fingerprint=fingerprint,
        )
    return list(found.values())


def build_curves(rows: Sequence[CaseRow]) -> list[Curve]:
    """The primary metric over the measured levels of each (model, codec), in the rows' order."""
    clean = {row.model: row for row in rows if row.codec == CLEAN}
    curves: dict[tuple[str, str], list[CaseRow]] = {}
    for row in rows:
        if row.level is not None and row.primary in row.metrics:
            curves.setdefault((row.model, row.codec), []).append(row)
    return [
        Curve(
            model=model,
            codec=codec,
            metric=points[0].primary,
            clean=clean[model].metrics.get(points[0].primary) if model in clean else None,
            points=[
                CurvePoint(
                    level=row.level,
                    case=row.id,
                    role="probe" if row.role == "probe" else "case",
                    bpp=row.bpp,
                    kbps=row.kbps,
                    psnr=row.psnr,
                    verdict=row.verdict,
                    metric=row.metrics[row.primary],
                )
                for row in points
                if row.level is not None
            ],
        )
        for (model, codec), points in curves.items()
    ]
