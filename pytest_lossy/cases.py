"""What a run consists of: a deterministic list of cases, known without importing any user code."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pytest_lossy.codecs.base import Levels
from pytest_lossy.specs.schema import MediaKind, Spec

__all__ = ["CLEAN", "Case", "CodecPlan", "IndexedSpec", "MediaKind", "format_level"]

CLEAN = "clean"
"""Label and name of the case without a codec: the reference of every curve."""


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

    @property
    def name(self) -> str:
        """The last part of the node id."""
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
        return self.level is None


@dataclass(frozen=True, slots=True)
class CodecPlan:
    """One codec of one spec, with its levels mild to severe."""

    label: str
    codec_name: str
    parameter: str
    options: dict[str, Any]
    levels: tuple[float, ...]
    grid: Levels


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

    @property
    def clean(self) -> Case:
        """The reference case."""
        return Case(self.name, self.spec.task, CLEAN)

    def cases(self, plans: tuple[CodecPlan, ...] | None = None) -> list[Case]:
        """The clean case and then each level of ``plans`` (default: the spec's own)."""
        return [self.clean] + [
            Case(self.name, self.spec.task, plan.label, plan.codec_name, plan.parameter, level)
            for plan in (self.plans if plans is None else plans)
            for level in plan.levels
        ]
