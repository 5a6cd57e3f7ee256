"""What a spec declares of an extra metric."""

from __future__ import annotations

import re
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StrictInt, field_validator

from pytest_lossy.tasks.base import Metric

__all__ = ["METRIC_NAME", "MetricSection"]

METRIC_NAME = r"^[A-Za-z_][A-Za-z0-9_-]*$"
"""Slices are written ``name[class]`` and ``name{tag}``."""

_OVER = {"samples": "mean over the samples of", "data": "over all samples:"}


class MetricSection(BaseModel):
    """A metric object, and how its values become one number per case."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    metric: str = Field(
        description="a class or builder of an object with update, compute and reset: ./file.py:name or package.module:name, "
        "such as torchmetrics.classification:MulticlassF1Score"
    )
    kwargs: dict[str, Any] = Field(default={}, description="arguments of the class or builder")
    higher_is_better: bool = Field(description="the metric's direction, which gates and retention follow")
    over: Literal["samples", "data"] = Field(
        default="samples",
        description="samples: computed for each sample alone, then averaged. data: computed once for all samples, with an "
        "interval where the object is a torchmetrics metric whose states are sums, else without",
    )
    select: StrictInt | str | None = Field(
        default=None, description="which value, where compute returns a mapping or a vector"
    )
    arguments: str | None = Field(
        default=None,
        description="./file.py:name or package.module:name, called with a prediction and its target; returns the arguments "
        "of update as a tuple. Default: tensors as torchmetrics wants them for the task",
    )
    title: str | None = Field(default=None, description="as printed in reports; default: the metric's name")
    unit: str = Field(default="", description="such as dB; empty for a share or a plain number")

    @field_validator("metric", "arguments")
    @classmethod
    def _reference(cls, reference: str | None) -> str | None:
        if reference is not None and not re.fullmatch(r"[^:]+:[A-Za-z_][\w.]*", reference):
            raise ValueError(f"'{reference}' is not of the form ./file.py:name or package.module:name")
        return reference

    def info(self, name: str) -> Metric:
        """What reports and gates know of the metric, without building it."""
        return Metric(
            name,
            self.title or name,
            higher_is_better=self.higher_is_better,
            unit=self.unit,
            description=f"{_OVER[self.over]} {self.metric}",
        )
