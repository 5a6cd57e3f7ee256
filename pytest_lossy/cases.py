"""What a run consists of: a deterministic list of cases, known without importing any user code."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pytest_lossy.codecs.base import Levels
from pytest_lossy.specs.schema import MediaKind, Reference, Spec

__all__ = ["CLEAN", "KNEE", "MIX", "Case", "CodecPlan", "IndexedSpec", "MediaKind", "Mix", "format_level"]

CLEAN = "clean"
"""Label and name of the case without a codec: the reference of every curve."""


MIX = "mix"
"""Label of the cases that judge a mix of levels."""

KNEE = "knee"
"""What thresholds.yaml calls the knee of a curve, where its rules name levels, and how the name of its case ends."""


def format_level(level: float) -> str:
    """A level as node ids and reports print it."""
    return f"{level:g}"


@dataclass(frozen=True, slots=True)
class Case:
    """One (model, task, codec, level): one pytest item, one row of the results."""

    model: str
    task: str
    label: str
    """The spec's codec label, or ``clean``."""
    codec_name: str | None = None
    parameter: str | None = None
    level: float | None = None
    reference: Reference = "labels"
    mix: str | None = None
    """The name of a mix of levels, whose label is ``mix``."""
    knee: bool = False
    """Whether this case judges, or searches, the knee of the curve of its label; it has no level then."""

    @property
    def name(self) -> str:
        """The last part of the node id."""
        if self.knee:
            return f"{self.label}-{KNEE}"
        if self.mix is not None:
            return f"{MIX}-{self.mix}"
        if self.level is None:
            return CLEAN
        return f"{self.label}-{self.parameter}{format_level(self.level)}"

    @property
    def slug(self) -> str:
        """Unique name of the case's files: models and labels match ``[A-Za-z0-9._-]+``, so ``@`` separates them."""
        return f"{self.model}@{self.name}"

    @property
    def is_clean(self) -> bool:
        """Whether this is the reference case."""
        return self.label == CLEAN


@dataclass(frozen=True, slots=True)
class Mix:
    """A fleet's distribution over codecs and levels, from thresholds.yaml."""

    name: str
    shares: tuple[tuple[str, float | None, float], ...]
    """Codec label, level (None for clean) and weight; the weights sum to 1."""
    line: int

    def case(self, clean: Case) -> Case:
        """The case that judges this mix for the model of ``clean``."""
        return Case(clean.model, clean.task, MIX, reference=clean.reference, mix=self.name)

    def parts(self, cases: Sequence[Case]) -> list[tuple[Case, float]] | None:
        """The cases mixed, of one model, and their weights; None where ``cases`` lack one."""
        found = {(case.label, case.level): case for case in cases}
        if any((label, level) not in found for label, level, _ in self.shares):
            return None
        return [(found[label, level], weight) for label, level, weight in self.shares]


@dataclass(frozen=True, slots=True)
class CodecPlan:
    """One codec of one spec, with its levels mild to severe."""

    label: str
    codec_name: str
    parameter: str
    options: dict[str, Any]
    levels: tuple[float, ...]
    grid: Levels

    @property
    def ends(self) -> tuple[float, float]:
        """The mildest and the most severe level: between them, a knee is searched."""
        return self.levels[0], self.levels[-1]


@dataclass(frozen=True, slots=True)
class IndexedSpec:
    """A valid spec file; nothing of it is built yet."""

    path: Path
    """Absolute."""
    shown: str
    """Relative to the root directory, with forward slashes, as in node ids."""
    name: str
    spec: Spec
    plans: tuple[CodecPlan, ...]
    media: MediaKind = "stills"
    """What the data holds: a stream codec meets stills as its intra twin, under that name."""
    reference: Reference = "labels"

    @property
    def clean(self) -> Case:
        """The reference case."""
        return Case(self.name, self.spec.task, CLEAN, reference=self.reference)

    def row_id(self, case: Case) -> str:
        """The id of a case's row, which for a case of a spec file is pytest's node id, too."""
        return f"{self.shown}::{self.name}::{case.name}"

    def cases(self, plans: tuple[CodecPlan, ...] | None = None) -> list[Case]:
        """The clean case and then each level of ``plans`` (default: the spec's own)."""
        return [self.clean] + [
            self.case(plan, level) for plan in (self.plans if plans is None else plans) for level in plan.levels
        ]

    def case(self, plan: CodecPlan, level: float) -> Case:
        """One level of a codec, listed or not."""
        return Case(self.name, self.spec.task, plan.label, plan.codec_name, plan.parameter, level, self.reference)

    def knee(self, plan: CodecPlan) -> Case:
        """The case of the knee of a codec's curve."""
        return Case(
            self.name, self.spec.task, plan.label, plan.codec_name, plan.parameter, None, self.reference, knee=True
        )
