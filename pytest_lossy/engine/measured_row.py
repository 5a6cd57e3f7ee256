"""The columns of a measured case's row: what it is, what it cost, and what a reader must know."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from pytest_lossy.analysis.comparison import unit_notes
from pytest_lossy.cases import Case
from pytest_lossy.results.document import CaseRow
from pytest_lossy.results.evidence import CaseEvidence, SampleCost
from pytest_lossy.tasks.agreement import AgreementTask
from pytest_lossy.tasks.base import Task, task_notes
from pytest_lossy.tasks.frames import FrameTask

__all__ = ["bits_per_pixel", "identity", "mean_psnr", "mean_rate", "measured_row"]


def measured_row(node_id: str, case: Case, evidence: CaseEvidence, task: Task, **fields: object) -> CaseRow:
    """Common columns of a measured case."""
    bits = sum(cost.payload_bits for cost in evidence.costs)
    headers = sum(cost.header_bits for cost in evidence.costs)
    return CaseRow.model_validate(
        {
            **identity(node_id, case),
            "bpp": None if case.is_clean else bits_per_pixel(evidence),
            "header_share": None if case.is_clean or not bits else headers / bits,
            "kbps": None if case.is_clean else mean_rate(evidence.costs),
            "psnr": None
            if case.is_clean
            else mean_psnr([cost.squared_error for cost in evidence.costs], [cost.pixels for cost in evidence.costs]),
            "samples": len(evidence),
            "batch_size": evidence.meta.get("batch_size"),
            "notes": [
                *evidence.meta.get("notes", []),
                *unit_notes(evidence.groups),
                *task_notes(task, evidence.evidence),
            ],
            **_label_free(case, evidence, task),
            **fields,
        }
    )


def identity(node_id: str, case: Case) -> dict[str, object]:
    """The columns that say which case a row is."""
    return {
        "id": node_id,
        "model": case.model,
        "task": case.task,
        "codec": case.label,
        "codec_name": case.codec_name,
        "parameter": case.parameter,
        "level": case.level,
        "mix": case.mix,
        "reference": case.reference,
    }


def bits_per_pixel(evidence: CaseEvidence) -> float:
    """Payload of all samples over their pixels."""
    return sum(cost.payload_bits for cost in evidence.costs) / sum(cost.pixels for cost in evidence.costs)


def _label_free(case: Case, evidence: CaseEvidence, task: Task) -> dict[str, object]:
    """What only a label-free row has: the model's clean answers, and how much the confidence cut matters."""
    inner = task.task if isinstance(task, FrameTask) else task
    if not isinstance(inner, AgreementTask):
        return {}
    if case.is_clean:
        return {"answers": inner.answers(evidence.evidence)}
    sensitivity = inner.sensitivity(evidence.evidence)
    return {"cut_sensitivity": {cut: value if math.isfinite(value) else None for cut, value in sensitivity.items()}}


def mean_rate(costs: Sequence[SampleCost]) -> float | None:
    """Achieved kbit/s: payload bits of all clips over their duration; None where a duration is unknown."""
    compressed = [cost for cost in costs if cost.pixels]
    if not compressed or not all(cost.duration for cost in compressed):
        return None
    return 1e3 * sum(cost.payload_bits for cost in compressed) / sum(cost.duration for cost in compressed)


def mean_psnr(squared_errors: Sequence[int], pixels: Sequence[int]) -> float | None:
    """Mean over samples of the PSNR in dB over three 8-bit channels; None where one is infinite.

    The squared error is pooled over a sample's frames: 10 log10(255^2 / MSE).
    """
    compressed = np.asarray(pixels, dtype=np.float64) > 0  # further frames of a clip cost nothing
    errors = np.asarray(squared_errors, dtype=np.float64)[compressed]
    errors = errors / (3 * np.asarray(pixels, dtype=np.float64)[compressed])
    if not len(errors) or not errors.all():
        return None
    decibels = 10 * np.log10(255.0**2 / errors)
    return float(math.fsum(decibels.tolist()) / len(decibels))
