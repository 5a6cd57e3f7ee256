"""What all cases of a process share, and how a case fails."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from pytest_lossy.cases import Case
from pytest_lossy.engine.other_models import OtherModels
from pytest_lossy.errors import LossyError
from pytest_lossy.results.document import GateResult
from pytest_lossy.results.store import RunStore
from pytest_lossy.thresholds.rules import Thresholds
from pytest_lossy.thresholds.verdicts import outcome

__all__ = ["CaseContext", "CaseFailureError", "ProgressOfCase"]

ProgressOfCase = Callable[[Case, int, int, str], None]
"""Called with the case being computed, samples done, samples in all, and what it is computed for, if not for itself."""


class CaseFailureError(LossyError):
    """A case could not be evaluated; ``verdict`` says how."""

    def __init__(self, message: str, verdict: Literal["error", "crashed"] = "error") -> None:
        super().__init__(message)
        self.verdict: Literal["error", "crashed"] = verdict


@dataclass(frozen=True)
class CaseContext:
    """What is the same for every case of a process."""

    store: RunStore
    thresholds: Thresholds
    replicates: int
    strict: bool
    tolerance: float
    """Share of the clean metric that the knee allows to lose."""
    search: bool = False
    """Whether a knee is searched among the codec's levels, instead of found among those that the spec lists."""
    worker: str | None = None
    progress: ProgressOfCase | None = None
    purpose: str = ""
    """What other cases are computed for, such as ``jpeg-knee, evaluation 3``."""
    others: OtherModels | None = None
    """Models that gates on recovery compare with."""
    writes_gates: bool = False
    """Whether gates will be written from what is measured; old ones then fail no test."""
    pictures: Mapping[str, int] = field(default_factory=dict)
    """Slug -> how many samples the case shows, at most; cases that show none are not in it."""

    def outcome(self, judged: Sequence[GateResult]) -> Literal["passed", "failed"]:
        """What pytest reports for a case with these gates."""
        if self.writes_gates:
            return "passed"
        return outcome(judged, self.thresholds.defaults.inconclusive, strict=self.strict)
