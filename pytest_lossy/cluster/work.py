"""What driver and workers say to each other: jobs, answers, and errors that cross machines."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pytest_lossy import errors
from pytest_lossy.analysis.comparison import Replicates
from pytest_lossy.cases import Case, CodecPlan, IndexedSpec
from pytest_lossy.errors import LossyError, ModelError
from pytest_lossy.results.document import Environment, GallerySample, ModelInfo
from pytest_lossy.results.evidence import CaseEvidence

__all__ = [
    "Answer",
    "Evaluate",
    "Facts",
    "Finish",
    "Finished",
    "Job",
    "Node",
    "Open",
    "Pictures",
    "Trouble",
    "WorkerSetup",
]


@dataclass(frozen=True)
class WorkerSetup:
    """What is the same for every worker of a run."""

    run: str
    """Unique: workers of one run share a folder on each machine."""
    root: Path
    """pytest's root directory on the driver, whose files are shipped."""
    python_path: tuple[str, ...]
    """Of the driver's ``sys.path`` what belongs to no Python installation."""
    device: str
    """``cpu`` or ``cuda``; Ray chooses which GPU a worker sees."""
    cpus: float
    """Processors that a worker may keep busy."""
    samples: int | None
    replicates: int
    spill_bytes: int
    """For one worker."""
    cache: Path | None
    """Of encoded media; None for nowhere."""
    own_cache: bool
    """Whether each machine uses its own user's cache folder instead of ``cache``."""
    cache_bytes: int
    registered: bytes = b""
    """Names that hooks registered; see :mod:`cluster.registered`."""


@dataclass(frozen=True)
class Node:
    """Where a worker runs."""

    name: str
    address: str
    environment: Environment


@dataclass(frozen=True)
class Facts:
    """What loading a model shows."""

    info: ModelInfo
    inputs: str
    """Digest of what its evidence follows from."""
    classes: tuple[str, ...]
    batches: int


@dataclass(frozen=True)
class Open:
    """Load a model."""

    spec: IndexedSpec


@dataclass(frozen=True)
class Evaluate:
    """Evaluate some batches of a case."""

    spec: IndexedSpec
    plan: CodecPlan | None
    """None for the clean case."""
    case: Case
    first: int
    stop: int


@dataclass(frozen=True)
class Finish:
    """From the evidence of a whole case to its bootstrap replicates, and to pictures where these are wanted."""

    spec: IndexedSpec
    plan: CodecPlan | None
    case: Case
    node_id: str
    classes: tuple[str, ...]
    evidence: CaseEvidence
    clean: CaseEvidence | None = None
    pictures: int = 0
    """Samples to show; needs ``clean``."""


Job = Open | Evaluate | Finish


@dataclass(frozen=True)
class Pictures:
    """What a worker drew of a case."""

    files: dict[str, bytes] = field(default_factory=dict)
    samples: tuple[GallerySample, ...] = ()
    note: str = ""
    """What went wrong, empty where nothing did."""


@dataclass(frozen=True)
class Finished:
    """The answer to :class:`Finish`; it waits in the cluster until the case is judged."""

    replicates: Replicates
    pictures: Pictures | None


@dataclass(frozen=True)
class Trouble:
    """An expected failure on a worker: exceptions of user code cannot be sent as they are."""

    kind: str
    """The name of the class in :mod:`pytest_lossy.errors`."""
    message: str
    loading: bool = False
    """Whether the model could not be loaded there."""

    @classmethod
    def of(cls, error: LossyError, *, loading: bool, places: dict[str, str]) -> Trouble:
        """Describe an error.

        Args:
            error: as raised.
            loading: whether the model could not be loaded.
            places: paths of the worker -> paths of the driver, so that messages name the user's files.
        """
        kind = next(base.__name__ for base in type(error).__mro__ if base.__module__ == errors.__name__)
        message = str(error)
        for here, there in places.items():
            message = message.replace(here, there)
        return cls(kind, message, loading)

    def error(self) -> LossyError:
        """The error again."""
        known: Any = getattr(errors, self.kind, ModelError)
        error: LossyError = known(self.message)
        return error


@dataclass(frozen=True)
class Answer:
    """What comes back from a job, beside :class:`Finished`."""

    facts: Facts | None = None
    evidence: CaseEvidence | None = None
    trouble: Trouble | None = None
    cache: dict[str, int | str | None] | None = None
    """What this worker did with the cache of encoded media so far."""
