"""Errors that users see: each message names the place, the value and the next action.

Every expected failure of this package is a :class:`LossyError`; callers print its message and nothing else. Anything
else that escapes is a defect of ours.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

__all__ = [
    "CodecError",
    "ConfigurationError",
    "DataError",
    "LossyError",
    "MetricError",
    "MissingInputError",
    "ModelError",
    "Problem",
    "ProcessDiedError",
    "ResultsError",
]


class LossyError(Exception):
    """Base of every error that is explained to the user without a traceback."""


class DataError(LossyError):
    """A data set, or one sample of it, cannot be used."""


class ModelError(LossyError):
    """A model cannot be built, or what it returned cannot be used."""


class MissingInputError(DataError, ModelError):
    """A file of a spec (weights, images, labels) is not there: specs with ``requires: optional`` skip instead."""


class ProcessDiedError(LossyError):
    """The process that evaluated a case, or the machine that it ran on, died."""


class MetricError(LossyError):
    """An extra metric of the user's cannot be built, refused its arguments, or computed no number."""


class CodecError(LossyError):
    """A codec refused its options, its level or its input."""


class ResultsError(LossyError):
    """A results folder or file cannot be read or written."""


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One complaint about one place of one file, printed as ``path:line: what; next action``."""

    path: Path
    line: int
    """1-based; 0 where the whole file is meant."""
    message: str

    def __str__(self) -> str:
        place = f"{self.path}:{self.line}" if self.line else f"{self.path}"
        return f"{place}: {self.message}"


class ConfigurationError(LossyError):
    """Every problem found in specs, thresholds or options, reported together."""

    def __init__(self, problems: list[Problem] | str) -> None:
        self.problems = [] if isinstance(problems, str) else sorted(set(problems))
        super().__init__(problems if isinstance(problems, str) else "\n".join(map(str, self.problems)))
