"""From a case to its row: own evidence first, then the clean evidence, then metrics, gates and verdict.

A case that needs another one's evidence loads it from the run's store or computes it under that case's lock, so that no
result depends on order. A process that dies while it computes leaves a mark, and whatever depends on that is an error.
"""

from __future__ import annotations

import itertools
import math
import operator
import time
from collections.abc import Mapping
from dataclasses import replace

from pytest_lossy.analysis.comparison import Replicates, unit_notes
from pytest_lossy.analysis.mixing import mix_replicates
from pytest_lossy.analysis.recovery import Recovered
from pytest_lossy.analysis.requirements import Measured
from pytest_lossy.cases import Case, CodecPlan
from pytest_lossy.codecs.base import Codec
from pytest_lossy.codecs.registry import build_codec
from pytest_lossy.engine.case_context import CaseContext, CaseFailureError, ProgressOfCase
from pytest_lossy.engine.case_evidence import clean_of, compared, evidence_of, measure
from pytest_lossy.engine.gallery import GalleryOfCase
from pytest_lossy.engine.knee_work import Curve, find_knee, search_knee
from pytest_lossy.engine.loaded import LoadedModel
from pytest_lossy.engine.measured_row import bits_per_pixel, identity, measured_row
from pytest_lossy.engine.recovery_work import OwnCase, explain_undefined, measure_recovery, recovery_metrics
from pytest_lossy.errors import LossyError, ModelError
from pytest_lossy.results.document import CaseRow, MetricValue
from pytest_lossy.results.evidence import CaseEvidence
from pytest_lossy.results.replicates import samples_digest
from pytest_lossy.thresholds.knees import judge_knee
from pytest_lossy.thresholds.recovery_checks import ask_for_recovery, recovery_directions
from pytest_lossy.thresholds.rules import Gate
from pytest_lossy.thresholds.verdicts import case_verdict, judge

__all__ = ["CaseContext", "CaseFailureError", "ProgressOfCase", "run_case"]


def run_case(
    node_id: str, case: Case, plans: Mapping[str, CodecPlan], runtime: LoadedModel, context: CaseContext
) -> CaseRow:
    """Evaluate and judge one case.

    Args:
        node_id: of the pytest item.
        case: what to evaluate.
        plans: the model's codecs by label.
        runtime: the loaded model.
        context: the run.

    Raises:
        CaseFailureError: nothing could be measured, or the gates name metrics that do not exist.
    """
    started = time.perf_counter()
    if case.mix is not None:
        return _run_mix(node_id, case, plans, runtime, context)
    if case.knee:
        return _run_knee(node_id, case, plans, runtime, context)
    codec = _codec(case, plans)
    evidence = evidence_of(case, codec, runtime, context, own=True)
    if case.is_clean:
        measured = clean = measure(case, evidence, runtime, context)
        runtime.clean = clean
    else:
        measured = measure(case, evidence, runtime, context)
        clean = clean_of(runtime, context, evidence)
    metrics = compared(case, measured, None if case.is_clean else clean, runtime, context)
    recovered = _recovered(case, measured, clean, evidence, runtime, context)
    row = measured_row(
        node_id,
        case,
        evidence,
        runtime.task,
        **_judged(case, metrics, runtime, context, recovered),
        units=measured.units,
        seconds=round(time.perf_counter() - started, 3),
        fingerprint=codec.fingerprint() if codec else None,
        worker=context.worker,
    )
    count = context.pictures.get(case.slug, 0)
    if codec is None or not count:
        return row
    note = _show_samples(GalleryOfCase(node_id, case, codec, evidence), runtime, context, count)
    return row.model_copy(update={"notes": [*row.notes, note]}) if note else row


def _show_samples(measured: GalleryOfCase, runtime: LoadedModel, context: CaseContext, count: int) -> str:
    """Store pictures of a measured case; what went wrong, empty where nothing did."""
    try:
        clean = context.store.load_evidence(runtime.spec.clean.slug)
    except LossyError as error:
        return f"no pictures of samples: {error}"
    return runtime.show(measured, clean, context.store, count)


def _run_mix(
    node_id: str, case: Case, plans: Mapping[str, CodecPlan], runtime: LoadedModel, context: CaseContext
) -> CaseRow:
    """Judge a fleet's mix of levels from the evidence of those levels; nothing is inferred that they did not need."""
    started = time.perf_counter()
    mix = context.thresholds.mix(case.mix or "")
    parts = mix.parts(runtime.spec.cases(tuple(plans.values())))
    if parts is None:
        raise CaseFailureError(
            f"{context.thresholds.file}:{mix.line}: mix '{mix.name}' has levels that are not run; "
            "run all of its levels, or take them out of the mix"
        )
    found = [evidence_of(part, _codec(part, plans), runtime, context, own=False) for part, _ in parts]
    clean = clean_of(runtime, context, found[0])
    measured = [
        clean if part.is_clean else measure(part, evidence, runtime, context)
        for (part, _), evidence in zip(parts, found, strict=True)
    ]
    shares = [share for _, share in parts]
    mixed = mix_replicates(list(zip(measured, shares, strict=True)))
    metrics = compared(case, mixed, clean, runtime, context)
    rates = [
        0.0 if part.is_clean else bits_per_pixel(evidence) for (part, _), evidence in zip(parts, found, strict=True)
    ]
    return CaseRow.model_validate(
        {
            **identity(node_id, case),
            "samples": len(found[0]),
            "bpp": None if any(part.is_clean for part, _ in parts) else math.fsum(map(operator.mul, shares, rates)),
            "shares": {part.name: share for part, share in parts},
            "notes": unit_notes(found[0].groups),
            **_judged(case, metrics, runtime, context),
            "units": mixed.units,
            "seconds": round(time.perf_counter() - started, 3),
            "worker": context.worker,
        }
    )


def _run_knee(
    node_id: str, case: Case, plans: Mapping[str, CodecPlan], runtime: LoadedModel, context: CaseContext
) -> CaseRow:
    """Find the knee of a curve, from its levels or by a search, and judge it."""
    started = time.perf_counter()
    plan, codec = plans[case.label], _codec(case, plans)
    numbers = itertools.count(1)

    def level_of(level: float) -> Measured:
        part = runtime.spec.case(plan, level)
        purpose = f"{case.name}, evaluation {next(numbers)}" if context.search else case.name
        evidence = evidence_of(part, codec, runtime, replace(context, purpose=purpose), own=False)
        clean_of(runtime, context, evidence)
        row, stored = context.store.read_row(part.slug), context.store.load_replicates(part.slug)
        if row is None or stored is None:
            row = _probe_row(node_id, part, codec, evidence, runtime, context)
            stored = context.store.load_replicates(part.slug)
        return Measured(row, stored)

    primary = runtime.task.primary
    curve = Curve(
        plan,
        lambda: context.store.load_replicates(runtime.spec.clean.slug),
        primary,
        runtime.higher_is_better()[primary],
        context.tolerance,
        context.thresholds.defaults.confidence,
    )
    found = search_knee(curve, level_of) if context.search else find_knee(curve, level_of)
    judged = [
        judge_knee(
            gate,
            found.knee,
            found.place,
            tried=found.tried,
            higher_is_more_compressed=plan.grid.higher_is_more_compressed,
        )
        for gate in _gates(case, runtime, context)
    ]
    rows = [entry.row for entry in found.levels]
    return CaseRow.model_validate(
        {
            **identity(node_id, case),
            "knee": found.knee,
            "primary": primary,
            "gates": judged,
            "verdict": case_verdict(judged),
            "outcome": context.outcome(judged),
            "samples": rows[0].samples,
            "units": rows[0].units,
            "seconds": round(time.perf_counter() - started, 3),
            "fingerprint": codec.fingerprint() if codec else None,
            "worker": context.worker,
        }
    )


def _probe_row(
    node_id: str,
    case: Case,
    codec: Codec | None,
    evidence: CaseEvidence,
    runtime: LoadedModel,
    context: CaseContext,
) -> CaseRow:
    """The row of a level that had to be measured for a knee; stored unless the level is a case of this run."""
    measured = measure(case, evidence, runtime, context)
    row = measured_row(
        f"{node_id.rpartition('::')[0]}::{case.name}",
        case,
        evidence,
        runtime.task,
        primary=runtime.task.primary,
        metrics=compared(case, measured, runtime.clean, runtime, context),
        verdict="ungated",
        outcome="none",
        role="probe",
        units=measured.units,
        fingerprint=codec.fingerprint() if codec else None,
        worker=context.worker,
    )
    if not context.store.was_started(case.slug):
        context.store.write_probe(case.slug, row)
    return row


def _codec(case: Case, plans: Mapping[str, CodecPlan]) -> Codec | None:
    plan = plans.get(case.label)
    return build_codec(plan.codec_name, plan.options) if plan else None


def _judged(
    case: Case,
    metrics: Mapping[str, MetricValue],
    runtime: LoadedModel,
    context: CaseContext,
    recovered: Recovered | None = None,
) -> dict[str, object]:
    """Metrics, gates, verdict and outcome of a row.

    Raises:
        CaseFailureError: a gate names a metric that this data does not have.
        ConfigurationError: gates contradict each other, or do not fit their metric.
    """
    gates = _gates(case, runtime, context)
    metrics = {**metrics, **(recovery_metrics(recovered) if recovered else {})}
    unknown = [gate for gate in gates if gate.metric not in metrics]
    if unknown:
        gate = unknown[0]
        raise CaseFailureError(
            f"{gate.file}:{gate.line}: gates '{gate.metric}', which this data does not have (it has "
            f"{', '.join(sorted(metrics)[:12])}, ...); correct the rule"
        )
    judged = [judge(gate, metrics[gate.metric], reference=case.reference) for gate in gates]
    if recovered is not None:
        judged = [explain_undefined(gate, recovered.note) for gate in judged]
    return {
        "primary": runtime.task.primary,
        "metrics": metrics,
        "gates": judged,
        "verdict": case_verdict(judged),
        "outcome": context.outcome(judged),
    }


def _gates(case: Case, runtime: LoadedModel, context: CaseContext) -> list[Gate]:
    directions = {**runtime.higher_is_better(), **recovery_directions(runtime.spec, case)}
    return context.thresholds.gates_for(case, runtime.task.primary, directions)


def _recovered(
    case: Case,
    measured: Replicates,
    clean: Replicates,
    evidence: CaseEvidence,
    runtime: LoadedModel,
    context: CaseContext,
) -> Recovered | None:
    """What retraining won back at this level, where a gate asks for it; None where none does.

    Raises:
        CaseFailureError: the parent's or the control's evidence cannot be had.
    """
    others = context.others
    if others is None or not ask_for_recovery([gate.metric for gate in _gates(case, runtime, context)]):
        return None

    def compute(other: Case, codec: Codec | None, loaded: LoadedModel) -> None:
        measure(other, evidence_of(other, codec, loaded, context, own=False), loaded, context)

    own = OwnCase(case, measured, clean, samples_digest(evidence.ids, evidence.groups))
    confidence = context.thresholds.defaults.confidence
    try:
        return measure_recovery(own, runtime, others, context.store, compute, confidence)
    except ModelError as error:
        raise CaseFailureError(str(error)) from None
