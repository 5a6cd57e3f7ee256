"""The driver's side of a cluster: one thread that gives workers their jobs and sees them die.

All cases are handed in at once; whoever wants one waits for its future. What a dead worker had in hand is given to others.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future
from typing import Any

from pytest_lossy.cases import IndexedSpec
from pytest_lossy.cluster.backend import Backend, WorkerLostError
from pytest_lossy.cluster.hands import Hand, progress_text, write_note
from pytest_lossy.cluster.ledger import ATTEMPTS, Ledger, WantedModel
from pytest_lossy.cluster.queue import Piece
from pytest_lossy.cluster.requests import CaseRequest
from pytest_lossy.cluster.work import Answer, Evaluate, Facts, Finished, Job, Node, Open, Trouble
from pytest_lossy.errors import LossyError, ProcessDiedError
from pytest_lossy.results.evidence import CaseEvidence
from pytest_lossy.results.store import RunStore

__all__ = ["Pool"]

_POLL_SECONDS = 0.1
_NOTE_SECONDS = 0.5
_SHORTAGE_SECONDS = 1.0


class Pool:
    """Workers and what they do. Public methods may be called from any thread.

    Args:
        backend: the cluster.
        store: of the run; evidence and progress go there.
        workers: how many to ask for.
    """

    def __init__(self, backend: Backend, store: RunStore, workers: int) -> None:
        self._backend, self._store, self._wanted = backend, store, workers
        self._ledger, self._notes = Ledger(store), store.folder / "progress"
        self._lock = threading.RLock()
        self._hands: list[Hand] = []
        self._asked = self._failed_starts = 0
        self._next_note = self._next_look = 0.0
        self._stop, self._wake = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._loop, name="lossy-cluster", daemon=True)
        self.nodes: dict[str, Node] = {}
        """Every machine that a worker ran on, by address."""
        self.cache: dict[str, dict[str, int | str | None]] = {}
        """Worker -> what it did with the cache of encoded media."""

    def start(self, requests: Sequence[CaseRequest]) -> None:
        """Hand in what is known to be needed, and begin."""
        for request in requests:
            self._ledger.want(request)
        self._thread.start()

    def open(self, spec: IndexedSpec) -> Facts:
        """Wait until a model was loaded somewhere.

        Raises:
            LossyError: it cannot be loaded on any machine.
        """
        with self._lock:
            model = self._ledger.model(spec)
            if not model.pending:
                self._ledger.want_model(model)
        self._wake.set()
        facts: Facts = _wait(model.loaded)
        return facts

    def evidence(self, request: CaseRequest) -> CaseEvidence:
        """Wait for the evidence of a case, and read it.

        Raises:
            LossyError: the case could not be evaluated; asked again, it is tried again.
        """
        with self._lock:
            case = self._ledger.want(request)
        self._wake.set()
        try:
            _wait(case.done)
        except Exception:
            with self._lock:
                self._ledger.cases.pop(request.case.slug, None)
            raise
        return self._store.load_evidence(request.case.slug)

    def settle(self, slugs: Sequence[str]) -> None:
        """Wait until cases are done, for better or worse; those that were not handed in are left out."""
        for slug in slugs:
            with self._lock:
                case = self._ledger.cases.get(slug)
            if case is not None:
                with contextlib.suppress(Exception):  # whoever evaluates the case hears of it
                    _wait(case.done)

    def finished(self, slug: str) -> Finished | None:
        """Replicates and pictures of a case, once; None where the cluster does not have them (any more).

        Raises:
            ProcessDiedError: workers died of reducing its evidence.
        """
        with self._lock:
            case = self._ledger.cases.get(slug)
            if case is None:
                return None
            error = case.done.exception() if case.stored and case.done.done() else None
            reference, case.finished = case.finished, None
        if isinstance(error, ProcessDiedError):
            raise error
        return self._backend.fetch(reference) if reference is not None else None

    def finish(self, request: CaseRequest) -> Finished | None:
        """Reduce and draw a case whose evidence is stored, and wait for that; None where that is not possible."""
        with self._lock:
            self._ledger.want_finish(request)
        self._wake.set()
        self.settle([request.case.slug])
        return self.finished(request.case.slug)

    def close(self) -> None:
        """End everything, whatever is in hand."""
        self._stop.set()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(timeout=10)
        with self._lock:
            self._ledger.end(ProcessDiedError("the run ended before this case was evaluated"))
            running = [hand.worker for hand in self._hands if hand.node is not None]
            asked = [hand.worker for hand in self._hands if hand.node is None]
            self._hands.clear()
        self._backend.stop(running, asked)

    def warnings(self) -> list[str]:
        """What a reader of the results must know of the machines."""
        with self._lock:
            return [
                f"{name}: could not be loaded on {self.nodes[address].name} ({address}) and ran on other machines: "
                f"{trouble.message.splitlines()[0]}"
                for name, model in self._ledger.models.items()
                if model.facts is not None
                for address, trouble in model.refused.items()
            ]

    # The thread; everything below is called under the lock

    def _loop(self) -> None:
        try:
            while not self._stop.is_set():
                with self._lock:
                    self._hire()
                    for hand in list(self._hands):
                        while hand.node is not None and hand.call is None and self._give(hand):
                            pass
                    calls = [hand.call for hand in self._hands if hand.call is not None]
                ready = self._backend.ready(calls, _POLL_SECONDS) if calls else []
                if not calls:
                    self._wake.wait(_POLL_SECONDS)
                    self._wake.clear()
                with self._lock:
                    for hand in [hand for hand in self._hands if any(hand.call is call for call in ready)]:
                        self._returned(hand)
                    self._note_progress()
        except ConnectionError as error:
            with self._lock:
                self._ledger.end(ProcessDiedError(f"the connection to the cluster is gone: {error}"))
        except Exception as error:  # noqa: BLE001  nobody may wait for a thread that is gone
            with self._lock:
                self._ledger.end(error)

    def _hire(self) -> None:
        """Ask for as many workers as were wanted; where none can ever come, end."""
        working = any(hand.job is not None for hand in self._hands)
        if self._ledger.over or not (working or self._ledger.queue or self._ledger.finishing):
            return
        if not any(hand.node for hand in self._hands) and time.monotonic() >= self._next_look:
            self._next_look = time.monotonic() + _SHORTAGE_SECONDS
            shortage = self._backend.shortage()
            if shortage is not None:
                self._ledger.end(ProcessDiedError(f"no machine is left that could run this case: {shortage}"))
                return
        while len(self._hands) < self._wanted:
            worker, call = self._backend.start()
            self._hands.append(Hand(worker, f"ray-{self._asked}", call))
            self._asked += 1

    def _give(self, hand: Hand) -> bool:
        """Give an idle worker something to do; False where there is nothing for it."""
        ledger = self._ledger
        if ledger.finishing:
            case = ledger.finishing.popleft()
            piece = Piece(case.model.spec.name, case, 0, 0.0)
        else:
            running = sum(other.node is not None for other in self._hands)
            found = ledger.queue.take(
                hand.worker, running, lambda name: hand.address not in ledger.models[name].refused
            )
            if found is None:
                return self._join(hand)
            piece = found
        if isinstance(piece.owner, WantedModel):
            if not piece.owner.loaded.done() and not piece.owner.opening:
                self._load(hand, piece.owner)
            return True
        try:
            job = ledger.job(piece)
        except LossyError as error:
            ledger.broken(piece, error)
            return True
        if job is not None:
            hand.piece = piece
            self._send(hand, job)
        return True

    def _join(self, hand: Hand) -> bool:
        """With nothing else to do, load a model that others are loading: its cases will be shared."""
        shared = [
            model
            for model in self._ledger.models.values()
            if 0 < model.opening < len(model.pending) and hand.address not in model.refused
        ]
        if shared:
            model = min(shared, key=lambda model: model.opening / len(model.pending))
            self._ledger.queue.hold(hand.worker, model.spec.name)
            self._load(hand, model)
        return False

    def _load(self, hand: Hand, model: WantedModel) -> None:
        model.opening += 1
        hand.model = model
        self._send(hand, Open(model.spec))

    def _send(self, hand: Hand, job: Job) -> None:
        hand.job = job
        hand.call = self._backend.send(hand.worker, job)

    def _returned(self, hand: Hand) -> None:
        """A call is ready."""
        call, piece, model = hand.call, hand.piece, hand.model
        hand.call = hand.job = hand.piece = hand.model = None
        if model is not None:
            model.opening -= 1
        try:
            if hand.node is None:
                hand.node = self._backend.greeted(call)
                self.nodes.setdefault(hand.address, hand.node)
                for refused in [model for model in self._ledger.models.values() if model.refused]:
                    self._give_up(refused)
                return
            answer, reference = self._backend.answer(call)
        except WorkerLostError as error:
            self._lost(hand, piece, model, str(error))
            return
        except Exception as error:  # noqa: BLE001  user code may raise anything, and ours may have defects
            if model is not None:
                self._ledger.not_opened(model, error)
            elif piece is not None:
                self._ledger.broken(piece, error)
            return
        self._failed_starts = 0
        if answer.cache is not None:
            self.cache[hand.name] = answer.cache
        if model is not None:
            self._opened(hand, model, answer)
        elif piece is not None:
            self._worked(hand, piece, answer, reference)

    def _opened(self, hand: Hand, model: WantedModel, answer: Answer) -> None:
        if answer.trouble is not None:
            self._refused(hand, model, answer.trouble)
        elif answer.facts is not None:
            self._ledger.opened(model, answer.facts)

    def _worked(self, hand: Hand, piece: Piece, answer: Answer, reference: Any) -> None:
        case = piece.owner
        if answer.trouble is not None and answer.trouble.loading:
            if case.stored and case.pictures:
                self._ledger.without_pictures(piece)
            elif case.stored:
                self._ledger.reduced(piece, None)
            else:
                self._ledger.again(piece)
            self._refused(hand, case.model, answer.trouble)
        elif answer.trouble is not None:
            self._ledger.broken(piece, answer.trouble.error())
        elif case.stored:
            self._ledger.reduced(piece, reference)
        elif answer.evidence is not None:
            self._ledger.evaluated(piece, answer.evidence)

    def _refused(self, hand: Hand, model: WantedModel, trouble: Trouble) -> None:
        """A machine cannot load a model: another may, for not every machine holds all data."""
        model.refused.setdefault(hand.address, trouble)
        if not self._give_up(model) and not model.loaded.done() and not model.opening:
            self._ledger.want_model(model, 1.0 + len(model.pending))

    def _give_up(self, model: WantedModel) -> bool:
        """Whether every worker, or every machine that could run one, cannot load a model: then nobody waits for it."""
        hopeless = all(other.address in model.refused for other in self._hands)
        if hopeless or self._backend.places() <= model.refused.keys():
            self._ledger.not_opened(model, next(iter(model.refused.values())).error())
            return True
        return False

    def _lost(self, hand: Hand, piece: Piece | None, model: WantedModel | None, reason: str) -> None:
        """A worker died: what it had in hand is tried again elsewhere, and another worker will be asked for."""
        self._hands.remove(hand)
        self._ledger.queue.leave(hand.worker)
        write_note(self._notes, hand.name, None)
        if hand.node is None:
            self._failed_starts += 1
            if self._failed_starts >= ATTEMPTS:
                self._wanted = sum(other.node is not None for other in self._hands)
                if not self._wanted:
                    self._ledger.end(ProcessDiedError(f"the workers on the cluster do not start: {reason}"))
        if model is not None:
            model.deaths += 1
            if model.deaths >= ATTEMPTS:
                self._ledger.not_opened(model, ProcessDiedError(_died("loading this model", reason)))
            elif not model.opening:
                self._ledger.want_model(model, 1.0 + len(model.pending))
        if piece is not None:
            piece.owner.deaths += 1
            if piece.owner.deaths < ATTEMPTS:
                self._ledger.again(piece)
            else:
                self._ledger.broken(piece, ProcessDiedError(_died("this case", reason)))

    # Progress

    def _note_progress(self) -> None:
        if time.monotonic() < self._next_note:
            return
        self._next_note = time.monotonic() + _NOTE_SECONDS
        busy = [hand for hand in self._hands if hand.job is not None]
        done = self._backend.progress([hand.worker for hand in busy if isinstance(hand.job, Evaluate)])
        for hand in self._hands:
            write_note(self._notes, hand.name, progress_text(hand, done.get(hand.worker, 0)))


def _died(what: str, reason: str) -> str:
    return f"{ATTEMPTS} processes in turn died of {what}; run it alone to see why (the last: {reason})"


def _wait(future: Future[Any]) -> Any:
    """The result; Ctrl-C ends the wait."""
    while True:
        try:
            return future.result(timeout=1.0)
        except TimeoutError:
            if future.done():
                raise
