"""Evidence and replicates of a case: loaded from the run's store, or computed under the case's lock.

A process that dies while it computes leaves a mark, and whatever depends on that case is an error.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from pytest_lossy.analysis.comparison import Replicates, compare
from pytest_lossy.analysis.slices import tag_units
from pytest_lossy.cases import Case
from pytest_lossy.codecs.base import Codec
from pytest_lossy.engine.case_context import CaseContext, CaseFailureError
from pytest_lossy.engine.inputs import case_inputs
from pytest_lossy.engine.loaded import LoadedModel
from pytest_lossy.engine.measured_row import measured_row
from pytest_lossy.errors import LossyError, ProcessDiedError, ResultsError
from pytest_lossy.results.document import CaseRow, MetricValue
from pytest_lossy.results.evidence import CaseEvidence
from pytest_lossy.results.replicates import StoredReplicates, samples_digest
from pytest_lossy.results.store import RunStore

__all__ = ["clean_of", "compared", "evidence_of", "measure"]


def evidence_of(
    case: Case, codec: Codec | None, runtime: LoadedModel, context: CaseContext, *, own: bool
) -> CaseEvidence:
    """Load a case's evidence, or compute it under the case's lock.

    Args:
        case: of this model.
        codec: None for the clean case.
        runtime: the loaded model.
        context: the run.
        own: whether the case is evaluated for itself; if not, a failure is not tried again.

    Raises:
        CaseFailureError: it cannot be computed, or a process died of it.
    """
    store, slug = context.store, case.slug
    inputs = case_inputs(runtime.inputs(), codec, case.level)
    stored = _stored_evidence(store, slug, inputs)
    if stored is not None:
        return stored
    with store.computing(slug):
        stored = _stored_evidence(store, slug, inputs)
        if stored is not None:
            return stored
        if store.crashed(slug):
            raise CaseFailureError(
                f"a worker died while it computed {case.model}::{case.name}; run that case alone to see why",
                "crashed",
            )
        reason = None if own else store.read_failure(slug)
        if reason is not None:
            raise _failed(case, reason)
        store.mark_computing(slug)
        try:
            progress = context.progress
            evidence = runtime.evaluate(
                case,
                codec,
                (lambda done, total: progress(case, done, total, context.purpose)) if progress else None,
            )
            evidence = replace(evidence, meta={**evidence.meta, "inputs": inputs})
            store.save_evidence(slug, evidence)
        except LossyError as error:
            store.write_failure(slug, str(error))
            verdict: Literal["error", "crashed"] = "crashed" if isinstance(error, ProcessDiedError) else "error"
            # Whoever needs this case must learn which one failed, whether it failed now or before.
            raise (CaseFailureError(str(error), verdict) if own else _failed(case, str(error))) from None
        finally:
            store.unmark_computing(slug)
        return evidence


def _stored_evidence(store: RunStore, slug: str, inputs: str) -> CaseEvidence | None:
    """A case's evidence, if this run has it, or an earlier one whose inputs were the same."""
    if not store.has_evidence(slug):
        return None
    if not store.is_restored(slug):
        return store.load_evidence(slug)
    try:
        evidence = store.load_evidence(slug)
    except ResultsError:  # what an earlier run left damaged is computed again
        return None
    if evidence.meta.get("inputs") != inputs:
        return None
    store.confirm(slug)
    return evidence


def _failed(case: Case, reason: str) -> CaseFailureError:
    return CaseFailureError(f"{case.model}::{case.name} could not be evaluated: {reason}")


def clean_of(runtime: LoadedModel, context: CaseContext, paired_with: CaseEvidence) -> Replicates:
    """Replicates of the clean case, on the very samples of ``paired_with``.

    Raises:
        CaseFailureError: the clean case failed, or has other samples.
    """
    case = runtime.spec.clean
    if runtime.clean is None:
        try:
            evidence = evidence_of(case, None, runtime, context, own=False)
        except CaseFailureError as error:
            raise CaseFailureError(f"the clean case, which every level is compared with, failed: {error}") from None
        if evidence.ids != paired_with.ids:
            raise CaseFailureError(
                "the clean case has other samples than this one: the data set changed during the run; run again"
            )
        runtime.clean = measure(case, evidence, runtime, context)
        if not context.store.was_started(case.slug):
            row = _reference_row(f"{runtime.spec.shown}::{case.model}::{case.name}", runtime, evidence, context)
            context.store.write_reference(case.slug, row)
    return runtime.clean


def measure(case: Case, evidence: CaseEvidence, runtime: LoadedModel, context: CaseContext) -> Replicates:
    """Metrics of a case and their replicates, which are stored for whatever compares cases later."""
    found = runtime.measure(case, evidence, context.replicates)
    digest = samples_digest(evidence.ids, evidence.groups)
    carried = tag_units(evidence.groups, evidence.tags)
    stored = StoredReplicates(found.point, found.replicates, found.units, digest, carried, found.outcomes)
    context.store.save_replicates(case.slug, stored)
    return found


def compared(
    case: Case, measured: Replicates, clean: Replicates | None, runtime: LoadedModel, context: CaseContext
) -> dict[str, MetricValue]:
    """Metrics with intervals, and what is retained of those of ``clean``; retention means nothing in label-free mode."""
    return compare(
        measured,
        clean,
        higher_is_better=runtime.higher_is_better(),
        confidence=context.thresholds.defaults.confidence,
        retention=case.reference == "labels",
    )


def _reference_row(node_id: str, runtime: LoadedModel, evidence: CaseEvidence, context: CaseContext) -> CaseRow:
    """The row of a clean case that had to be computed although no item asked for it."""
    clean = runtime.clean or measure(runtime.spec.clean, evidence, runtime, context)
    metrics = compare(
        clean,
        None,
        higher_is_better=runtime.higher_is_better(),
        confidence=context.thresholds.defaults.confidence,
    )
    return measured_row(
        node_id,
        runtime.spec.clean,
        evidence,
        runtime.task,
        primary=runtime.task.primary,
        metrics=metrics,
        verdict="ungated",
        outcome="none",
        role="reference",
        units=clean.units,
        worker=context.worker,
    )
