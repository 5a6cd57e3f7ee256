"""The books of a run on a cluster: which models and cases are wanted, which pieces of them wait, and what came back.

Knows neither threads nor workers: the pool calls it under its lock. A case is done when its evidence is in the run's store
and its bootstrap replicates wait in the cluster.
"""

from __future__ import annotations

from collections import deque
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from typing import Any

from pytest_lossy.cases import IndexedSpec
from pytest_lossy.cluster.queue import Piece, WorkQueue
from pytest_lossy.cluster.requests import CaseRequest
from pytest_lossy.cluster.work import Evaluate, Facts, Finish, Trouble
from pytest_lossy.codecs.registry import build_codec
from pytest_lossy.engine.inputs import case_inputs
from pytest_lossy.engine.parts import join_parts
from pytest_lossy.errors import LossyError, ProcessDiedError, ResultsError
from pytest_lossy.results.evidence import CaseEvidence
from pytest_lossy.results.store import RunStore
from pytest_lossy.scheduling.costs import static_cost

__all__ = ["ATTEMPTS", "Ledger", "WantedCase", "WantedModel"]

ATTEMPTS = 3
"""How often a piece is tried whose workers die: a machine may fail by chance, a case that kills three processes does not."""

_FINISH_COST = 0.02
"""Reducing evidence, against evaluating the case."""
_LOAD_FIRST, _FINISH_FIRST = -2, -1
"""Ranks before those of cases."""


@dataclass(eq=False)
class WantedModel:
    """A model that some case needs."""

    spec: IndexedSpec
    loaded: Future[Facts] = field(default_factory=Future)
    pending: list[WantedCase] = field(default_factory=list)
    """Cases that wait for the model to be loaded once, which shows how many batches they have."""
    opening: int = 0
    """Workers that load it and were the first to."""
    deaths: int = 0
    refused: dict[str, Trouble] = field(default_factory=dict)
    """Machine -> why the model could not be loaded there."""
    facts: Facts | None = None


@dataclass(eq=False)
class WantedCase:
    """A case whose evidence is wanted."""

    request: CaseRequest
    model: WantedModel
    done: Future[None] = field(default_factory=Future)
    left: int = 0
    """Batches that wait or are in hand."""
    parts: dict[int, CaseEvidence] = field(default_factory=dict)
    """By their first batch."""
    failure: tuple[int, Exception] | None = None
    """First batch of the failed piece: of several failures the first in the data's order counts."""
    deaths: int = 0
    stored: bool = False
    """Whether its evidence is in the store; what is left is to reduce it."""
    pictures: int = 0
    finished: Any = None
    """Where replicates and pictures are, as the backend refers to it."""


class Ledger:
    """What is wanted and what there is.

    Args:
        store: of the run; evidence goes there.
    """

    def __init__(self, store: RunStore) -> None:
        self._store = store
        self.queue = WorkQueue()
        self.finishing: deque[WantedCase] = deque()
        """Cases whose evidence waits to be reduced, which any worker can do without their model."""
        self.models: dict[str, WantedModel] = {}
        self.cases: dict[str, WantedCase] = {}
        self._over: Exception | None = None

    # What is wanted

    def model(self, spec: IndexedSpec) -> WantedModel:
        """The entry of a model."""
        found = self.models.get(spec.name)
        if found is None:
            found = self.models[spec.name] = WantedModel(spec)
        return found

    def want(self, request: CaseRequest) -> WantedCase:
        """The entry of a case; a new one waits at once."""
        found = self.cases.get(request.case.slug)
        if found is not None:
            return found
        model = self.model(request.spec)
        case = self.cases[request.case.slug] = WantedCase(request, model, pictures=request.pictures)
        if self._over is not None:
            _fail(case.done, self._over)
        elif model.facts is not None:
            self._enqueue(case, model.facts)
        elif model.loaded.done():
            _fail(case.done, model.loaded.exception() or ProcessDiedError("the run ended"))
        else:
            model.pending.append(case)
            self.want_model(model, static_cost(request.case, request.spec.media))
        return case

    def want_model(self, model: WantedModel, cost: float = 1.0) -> None:
        """See that somebody loads a model; what waits for it says how much that matters."""
        if self._over is not None:
            _fail(model.loaded, self._over)
        elif not model.loaded.done():
            self.queue.add(Piece(model.spec.name, model, _LOAD_FIRST, cost))

    def want_finish(self, request: CaseRequest) -> WantedCase:
        """A new entry for a case whose evidence is stored: it is only to be reduced and drawn."""
        case = WantedCase(request, self.model(request.spec), stored=True, pictures=request.pictures)
        self.cases[request.case.slug] = case
        if self._over is not None:
            _fail(case.done, self._over)
        else:
            self._enqueue_finish(case)
        return case

    def _enqueue(self, case: WantedCase, facts: Facts) -> None:
        """Let a case of a known model wait, or only its reduction where its evidence is there already."""
        try:
            there = self._has_evidence(case.request, facts)
        except LossyError as error:
            _fail(case.done, error)
            return
        if there:
            case.stored = True
            self._enqueue_finish(case)
            return
        case.left = facts.batches
        cost = static_cost(case.request.case, case.request.spec.media)
        # What `model.execution` changes is told of the whole clean case.
        whole = case.request.case.is_clean and not case.model.spec.spec.model.execution.is_plain
        self.queue.add(Piece(case.model.spec.name, case, case.request.rank, cost, 0, facts.batches, whole))

    def _has_evidence(self, request: CaseRequest, facts: Facts) -> bool:
        """Whether the store has the case's evidence: this run's, or an earlier one's of the same inputs."""
        slug = request.case.slug
        if not self._store.has_evidence(slug):
            return False
        if self._store.is_restored(slug):
            try:
                if self._store.load_evidence(slug).meta.get("inputs") != _inputs(request, facts):
                    return False
            except ResultsError:  # what an earlier run left damaged is computed again
                return False
            self._store.confirm(slug)
        return True

    def _enqueue_finish(self, case: WantedCase) -> None:
        """Let the reduction of stored evidence wait; pictures need the model, and the clean evidence first."""
        slug = case.request.spec.clean.slug
        clean = self.cases.get(slug)
        if case.pictures and clean is not None and not clean.stored and not clean.done.done():
            clean.done.add_done_callback(lambda _: self._enqueue_finish(case))
        elif case.pictures and self._store.has_evidence(slug):
            self.queue.add(Piece(case.model.spec.name, case, _FINISH_FIRST, _FINISH_COST))
        else:
            case.pictures = 0
            self.finishing.append(case)

    def job(self, piece: Piece) -> Evaluate | Finish | None:
        """What a worker is sent for a piece of a case; None where nobody needs it any more.

        Raises:
            LossyError: stored evidence cannot be read.
        """
        case: WantedCase = piece.owner
        request = case.request
        if case.stored:
            evidence = self._store.load_evidence(request.case.slug)
            clean = self._store.load_evidence(request.spec.clean.slug) if case.pictures else None
            classes = case.model.facts.classes if case.model.facts is not None else ()
            return Finish(
                request.spec, request.plan, request.case, request.node_id, classes, evidence, clean, case.pictures
            )
        if case.failure is not None and piece.first > case.failure[0]:
            self._settle(case, piece)
            return None
        return Evaluate(request.spec, request.plan, request.case, piece.first, piece.stop)

    # What came back

    def opened(self, model: WantedModel, facts: Facts) -> None:
        """A model was loaded; only the first time counts."""
        if model.loaded.done():
            return
        model.facts = facts
        model.loaded.set_result(facts)
        pending, model.pending = model.pending, []
        for case in pending:
            self._enqueue(case, facts)

    def not_opened(self, model: WantedModel, error: Exception) -> None:
        """A model cannot be loaded anywhere."""
        _fail(model.loaded, error)
        pending, model.pending = model.pending, []
        for case in pending:
            _fail(case.done, error)
        for piece in self.queue.discard(model.spec.name, lambda piece: isinstance(piece.owner, WantedCase)):
            self.broken(piece, error)

    def evaluated(self, piece: Piece, evidence: CaseEvidence) -> None:
        """A piece of a case came back."""
        piece.owner.parts[piece.first] = evidence
        self._settle(piece.owner, piece)

    def reduced(self, piece: Piece, reference: Any) -> None:
        """Replicates and pictures of a case wait in the cluster."""
        case: WantedCase = piece.owner
        case.finished = reference
        if not case.done.done():
            case.done.set_result(None)

    def again(self, piece: Piece) -> None:
        """A piece was in the hands of a worker that died, or that could not load its model."""
        case: WantedCase = piece.owner
        if case.stored and not case.pictures:
            self.finishing.appendleft(case)
        else:
            self.queue.add(piece)

    def without_pictures(self, piece: Piece) -> None:
        """A case cannot be drawn; it is reduced all the same."""
        piece.owner.pictures = 0
        self.finishing.append(piece.owner)

    def broken(self, piece: Piece, error: Exception) -> None:
        """A piece of a case failed for good."""
        case: WantedCase = piece.owner
        if case.stored:
            # What fails to be reduced elsewhere is reduced on the driver, where it fails as it would without a cluster;
            # but not where workers died of it.
            if isinstance(error, ProcessDiedError):
                _fail(case.done, error)
            elif not case.done.done():
                case.done.set_result(None)
            return
        if case.failure is None or piece.first < case.failure[0]:
            case.failure = (piece.first, error)
        for later in self.queue.discard(
            case.model.spec.name, lambda other: other.owner is case and other.first > piece.first
        ):
            case.left -= later.stop - later.first
        self._settle(case, piece)

    def _settle(self, case: WantedCase, piece: Piece) -> None:
        """A piece is no longer outstanding; after the last the case's evidence is stored, or its failure told."""
        case.left -= piece.stop - piece.first
        facts = case.model.facts
        if case.left or facts is None:
            return
        if case.failure is not None:
            _fail(case.done, case.failure[1])
            return
        evidence = join_parts([case.parts[first] for first in sorted(case.parts)])
        case.parts.clear()
        try:
            meta = {**evidence.meta, "inputs": _inputs(case.request, facts)}
            self._store.save_evidence(case.request.case.slug, replace(evidence, meta=meta))
        except LossyError as error:
            _fail(case.done, error)
            return
        case.stored = True
        self._enqueue_finish(case)

    def end(self, error: Exception) -> None:
        """Nothing more will be done: tell everybody who waits."""
        self._over = self._over or error
        self.finishing.clear()
        for model in self.models.values():
            self.queue.discard(model.spec.name, lambda piece: True)
            _fail(model.loaded, error)
        for case in self.cases.values():
            _fail(case.done, error)

    @property
    def over(self) -> bool:
        """Whether nothing more will be done."""
        return self._over is not None


def _inputs(request: CaseRequest, facts: Facts) -> str:
    codec = build_codec(request.plan.codec_name, request.plan.options) if request.plan is not None else None
    return case_inputs(facts.inputs, codec, request.case.level)


def _fail(future: Future[Any], error: BaseException) -> None:
    if not future.done():
        future.set_exception(error)
