"""What retraining won back at one level, for a case whose gates ask: its control and its parent are measured if need be."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from pytest_lossy.analysis.recovery import Arms, Measured, Recovered, recover
from pytest_lossy.cases import Case
from pytest_lossy.codecs.base import Codec
from pytest_lossy.codecs.registry import build_codec
from pytest_lossy.engine.loaded import LoadedModel
from pytest_lossy.engine.other_models import OtherModels
from pytest_lossy.errors import LossyError, ModelError
from pytest_lossy.results.document import Estimate, GateResult, MetricValue
from pytest_lossy.results.store import RunStore
from pytest_lossy.tasks.retraining import GAIN, NAIVE, RECOVERY
from pytest_lossy.thresholds.recovery_checks import RECOVERY_NAMES

__all__ = ["OwnCase", "explain_undefined", "measure_recovery", "recovery_metrics"]

Compute = Callable[[Case, Codec | None, LoadedModel], None]
"""Evaluates a case of a loaded model, or loads its evidence, and stores its replicates."""


@dataclass(frozen=True)
class OwnCase:
    """The retrained model's case."""

    case: Case
    measured: Measured
    clean: Measured
    samples: str
    """Digest of its samples."""


def measure_recovery(
    own: OwnCase, runtime: LoadedModel, others: OtherModels, store: RunStore, compute: Compute, confidence: float
) -> Recovered:
    """Compare a retrained model's primary metric with its control and its parent.

    Args:
        own: at the level in question.
        runtime: the retrained model.
        others: from where its control and its parent can be loaded.
        store: of the run; what the other models measured already is taken from there.
        compute: measures what is not there.
        confidence: two-sided.

    Raises:
        ModelError: control or parent cannot be measured on the same samples; the message says why.
    """
    record = runtime.spec.spec.retrained
    if record is None or record.control is None:
        raise ModelError(f"{runtime.spec.shown}: names no control")
    found: dict[str, tuple[Measured, Measured]] = {}
    for name in sorted((record.control, record.parent), key=lambda name: name != others.loaded):
        try:
            found[name] = _measured(name, own, others, store, compute)
        except LossyError as error:
            raise ModelError(f"recovery is measured against '{name}', which failed: {error}") from None
    primary = runtime.task.primary
    return recover(
        Arms(own.measured, own.clean, *found[record.control], *found[record.parent]),
        primary,
        higher_is_better=runtime.higher_is_better()[primary],
        confidence=confidence,
    )


def _measured(
    name: str, own: OwnCase, others: OtherModels, store: RunStore, compute: Compute
) -> tuple[Measured, Measured]:
    """Another model at the level of ``own``, and clean."""
    spec, plan = others.spec(name), others.plan(name, own.case.label)
    level = own.case.level
    if level is None:
        raise ModelError(f"{own.case.name} has no level")
    clean = _case(spec.clean, None, own, others, store, compute)
    codec = build_codec(plan.codec_name, plan.options)
    return _case(spec.case(plan, level), codec, own, others, store, compute), clean


def _case(
    case: Case, codec: Codec | None, own: OwnCase, others: OtherModels, store: RunStore, compute: Compute
) -> Measured:
    stored = store.load_replicates(case.slug)
    if stored is None:
        compute(case, codec, others.load(case.model))
        stored = store.load_replicates(case.slug)
    if stored is None or stored.samples != own.samples:
        raise ModelError(f"{case.model}::{case.name} has other samples than {own.case.model}; give both the same data")
    return stored


def recovery_metrics(recovered: Recovered) -> Mapping[str, MetricValue]:
    """As metrics of a row, which gates compare."""
    values = {RECOVERY: recovered.recovery, GAIN: recovered.gain, NAIVE: recovered.naive}
    return {metric.name: _value(estimate) for metric, estimate in values.items()}


def _value(estimate: Estimate) -> MetricValue:
    return MetricValue(value=estimate.value, low=estimate.low, high=estimate.high)


def explain_undefined(gate: GateResult, note: str) -> GateResult:
    """Say why there is no recovery to compare with a gate."""
    if gate.metric not in RECOVERY_NAMES or gate.observed is not None or not note:
        return gate
    return gate.model_copy(update={"reason": f"{note}; gate {GAIN.name} at this level instead"})
