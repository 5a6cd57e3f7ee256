"""The smallest parts of ``results.json``: numbers with intervals, gates, verdicts.

Numbers that are undefined or infinite are null, never NaN: JSON has no such number.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat

__all__ = ["Estimate", "GateResult", "MetricValue", "Number", "Reference", "Strict", "Verdict"]

Verdict = Literal["passed", "failed", "inconclusive", "ungated", "error", "crashed", "not_run"]
"""DESIGN, "Words": ``inconclusive`` where the interval straddles the gate, ``ungated`` where no rule matches."""

Reference = Literal["labels", "clean"]
"""What predictions are scored against."""

Number = FiniteFloat | None


class Strict(BaseModel):
    """A frozen part of the document; unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class MetricValue(Strict):
    """One metric of one case, with its interval and its comparison to the clean case of the same model."""

    value: Number
    low: Number = None
    high: Number = None
    retention: Annotated[Number, Field(description="metric / clean, for errors clean / metric")] = None
    retention_low: Number = None
    retention_high: Number = None
    loss: Annotated[Number, Field(description="clean - metric, signed so that worse is positive")] = None
    loss_low: Number = None
    loss_high: Number = None


class Estimate(Strict):
    """A number with its interval; null where it is undefined."""

    value: Number
    low: Number = None
    high: Number = None


class GateResult(Strict):
    """One requirement of thresholds.yaml, judged on one case."""

    metric: str
    """The metric's name; ``primary`` is resolved."""
    bound: Literal["min", "max", "max_drop", "max_loss", "no_milder_than"]
    limit: FiniteFloat
    quantity: Literal["value", "retention", "loss", "knee"]
    """What was compared: ``max_drop`` compares the retention with ``1 - limit``, ``no_milder_than`` the knee's level."""
    observed: Annotated[Number, Field(description="null where it is undefined, or a knee lies beyond the levels tried")]
    low: Annotated[Number, Field(description="null where there is none, or a knee's end lies beyond the levels tried")]
    high: Number
    required: Annotated[FiniteFloat, Field(description="the limit in the units of `quantity`")]
    comparison: Literal[">=", "<="]
    verdict: Literal["passed", "failed", "inconclusive"]
    met: Annotated[bool, Field(description="whether the point estimate meets the gate")]
    file: str
    line: int
    reason: str = ""
    """Why a gate could not be judged by its interval, where it could not."""
