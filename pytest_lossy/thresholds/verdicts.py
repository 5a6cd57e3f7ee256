"""From measured metrics and gates to the verdict of a case and the outcome of its test."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from pytest_lossy.results.document import GateResult, MetricValue, Reference, Verdict
from pytest_lossy.thresholds.rules import Gate

__all__ = ["case_verdict", "judge", "outcome"]


def judge(gate: Gate, metric: MetricValue | None, *, reference: Reference = "labels") -> GateResult:
    """Compare one gate with one measured metric.

    ``min`` and ``max`` compare the metric, ``max_drop`` the retention with ``1 - limit``, ``max_loss`` the loss. In
    label-free mode there is no retention, and ``max_drop`` bounds the absolute disagreement, the loss against what
    the clean predictions score against themselves. A gate is met at equality. It has passed or failed only where the
    whole interval lies on one side of it.
    """
    quantity: Literal["value", "retention", "loss"]
    label_free_drop = gate.bound == "max_drop" and reference == "clean"
    at_least = gate.bound in ("min", "max_drop") and not label_free_drop
    if label_free_drop:
        quantity, required = "loss", gate.limit
    elif gate.bound == "max_drop":
        # Retention is clean / metric for errors, so larger is better whichever way the metric runs. The limit is
        # subtracted in decimal: 1 - 0.1 in binary would put 0.9 on the wrong side of its own gate.
        quantity, required = "retention", round(1 - gate.limit, 12)
    elif gate.bound == "max_loss":
        quantity, required = "loss", gate.limit
    else:
        quantity, required = "value", gate.limit
    suffix = "" if quantity == "value" else f"{quantity}_"
    observed = getattr(metric, quantity) if metric is not None else None
    low = getattr(metric, f"{suffix}low") if metric is not None else None
    high = getattr(metric, f"{suffix}high") if metric is not None else None
    verdict: Literal["passed", "failed", "inconclusive"] = "inconclusive"
    reason = ""

    def meets(number: float) -> bool:
        return number >= required if at_least else number <= required

    met = observed is not None and meets(observed)
    if observed is None:
        reason = f"{quantity} of {gate.metric} is undefined here"
        if quantity != "value":
            reason += ": the clean metric is missing, 0, or its interval contains 0"
    elif low is None or high is None:
        reason = (
            "no interval: too few independent units, undefined in most replicates, or a metric that is computed once"
        )
    elif meets(low) and meets(high):
        verdict = "passed"
    elif not meets(low) and not meets(high):
        verdict = "failed"
    return GateResult(
        metric=gate.metric,
        bound=gate.bound,
        limit=gate.limit,
        quantity=quantity,
        observed=observed,
        low=low,
        high=high,
        required=required,
        comparison=">=" if at_least else "<=",
        verdict=verdict,
        met=met,
        file=gate.file,
        line=gate.line,
        reason=reason,
    )


def case_verdict(gates: Sequence[GateResult]) -> Verdict:
    """The worst of the gates' verdicts; ``ungated`` where there is none."""
    for verdict in ("failed", "inconclusive", "passed"):
        if any(gate.verdict == verdict for gate in gates):
            return verdict
    return "ungated"


def outcome(
    gates: Sequence[GateResult], inconclusive: Literal["point", "pass", "fail"], *, strict: bool
) -> Literal["passed", "failed"]:
    """What pytest reports for a case with these judged gates."""
    verdict = case_verdict(gates)
    if verdict == "failed" or (strict and verdict in ("inconclusive", "ungated")):
        return "failed"
    if verdict != "inconclusive" or inconclusive == "pass":
        return "passed"
    if inconclusive == "fail":
        return "failed"
    return "passed" if all(gate.met for gate in gates) else "failed"
