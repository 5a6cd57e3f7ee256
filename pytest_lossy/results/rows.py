"""Rows and entries for what could not be measured."""

from __future__ import annotations

from pytest_lossy.cases import Case, IndexedSpec
from pytest_lossy.results.document import CaseRow, DataInfo, Experiment, ModelInfo, Retrained, Verdict

__all__ = ["error_row", "unloaded_info"]


def error_row(
    node_id: str, case: Case, primary: str, message: str, verdict: Verdict, worker: str | None = None
) -> CaseRow:
    """The row of a case that measured nothing."""
    return CaseRow(
        id=node_id,
        model=case.model,
        task=case.task,
        codec=case.label,
        codec_name=case.codec_name,
        parameter=case.parameter,
        level=case.level,
        mix=case.mix,
        reference=case.reference,
        verdict=verdict,
        outcome="none" if verdict == "not_run" else "failed",
        primary=primary,
        error=message,
        worker=worker,
    )


def unloaded_info(spec: IndexedSpec, error: str | None) -> ModelInfo:
    """What the results say of a model from its spec alone: where none has loaded it yet, or none could."""
    record, experiment = spec.spec.retrained, spec.spec.experiment
    return ModelInfo(
        name=spec.name,
        spec=spec.shown,
        task=spec.spec.task,
        architecture=spec.spec.architecture,
        tags=list(spec.spec.tags),
        reference=spec.reference,
        primary="",
        data=DataInfo(name=spec.spec.data.name or spec.spec.data.builder or ""),
        retrained=Retrained.model_validate(record.model_dump(exclude={"validation"})) if record else None,
        experiment=Experiment.model_validate(experiment.model_dump()) if experiment else None,
        error=error,
    )
