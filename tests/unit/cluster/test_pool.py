"""The driver's side of a cluster, with workers that are threads of this process and die, refuse or fail when told to."""

from __future__ import annotations

import itertools
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import wait as wait_for
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pytest_lossy.analysis.comparison import Replicates
from pytest_lossy.cases import IndexedSpec
from pytest_lossy.cluster.backend import WorkerLostError
from pytest_lossy.cluster.pool import Pool
from pytest_lossy.cluster.remote_model import RemoteModel
from pytest_lossy.cluster.requests import CaseRequest
from pytest_lossy.cluster.shipping import pack_repository, plan_shipment
from pytest_lossy.cluster.work import Answer, Evaluate, Facts, Finish, Finished, Job, Node, Open, Trouble, WorkerSetup
from pytest_lossy.cluster.worker import Worker
from pytest_lossy.codecs.registry import build_codec
from pytest_lossy.engine.inputs import case_inputs
from pytest_lossy.engine.runtime import ModelRuntime, RuntimeOptions
from pytest_lossy.errors import CodecError, MissingInputError, ProcessDiedError
from pytest_lossy.results.environment import describe_environment
from pytest_lossy.results.evidence import CaseEvidence, SampleCost
from pytest_lossy.results.rows import unloaded_info
from pytest_lossy.results.store import RunStore
from pytest_lossy.specs.index import index_specs
from tests.plugin import toy

Do = Callable[[str, Job], tuple[Answer, Finished | None]]
BATCHES, BATCH = 6, 5


class Threads:
    """A cluster of two machines, ``a`` and ``b``, whose workers take turns on them."""

    def __init__(self, do: Do) -> None:
        self.do, self.sent, self.lost = do, list[tuple[str, Job]](), set[str]()
        self.no_room: str | None = None
        self.forgets = False
        self._numbers, self._pool = itertools.count(), ThreadPoolExecutor(8)
        self.stopped: list[str] = []

    def start(self) -> tuple[str, Any]:
        worker = f"{'ab'[next(self._numbers) % 2]}-{time.monotonic_ns()}"
        return worker, self._pool.submit(lambda: Node(worker[0], worker[0], describe_environment([])))

    def send(self, worker: str, job: Job) -> Future[Any]:
        self.sent.append((worker, job))
        return self._pool.submit(self.do, worker, job)

    def ready(self, calls: Sequence[Future[Any]], timeout: float) -> list[Future[Any]]:
        return list(wait_for(calls, timeout, return_when="FIRST_COMPLETED").done)

    def greeted(self, call: Future[Node]) -> Node:
        return call.result()

    def answer(self, call: Future[Any]) -> tuple[Answer, Any]:
        found: tuple[Answer, Any] = call.result()
        return found

    def fetch(self, reference: Finished) -> Finished | None:
        return None if self.forgets else reference

    def progress(self, workers: Sequence[Any]) -> dict[Any, int]:
        return dict.fromkeys(workers, 1)

    def places(self) -> set[str]:
        return {"a", "b"}

    def shortage(self) -> str | None:
        return self.no_room

    def stop(self, running: Sequence[Any], asked: Sequence[Any]) -> None:
        self.stopped += [*running, *asked]
        self._pool.shutdown(wait=False)


@pytest.fixture
def spec(tmp_path: Path) -> IndexedSpec:
    root = tmp_path / "repository"
    toy.write_images(root, count=BATCHES * BATCH - 2)
    [found] = index_specs([toy.write_spec(root)], root)
    return found


@pytest.fixture
def store(tmp_path: Path) -> RunStore:
    return RunStore(tmp_path / "run")


@pytest.fixture
def begin(store: RunStore, spec: IndexedSpec) -> Iterator[Callable[..., tuple[Pool, Threads]]]:
    """Start a pool of workers that do what they are told."""
    pools: list[Pool] = []

    def start(do: Do, *, workers: int = 2, requests: Sequence[CaseRequest] | None = None) -> tuple[Pool, Threads]:
        backend = Threads(do)
        pool = Pool(backend, store, workers)
        pools.append(pool)
        pool.start(wanted(spec) if requests is None else requests)
        return pool, backend

    yield start
    for pool in pools:
        pool.close()


def wanted(spec: IndexedSpec, pictures: int = 0) -> list[CaseRequest]:
    plans = {plan.label: plan for plan in spec.plans}
    return [
        CaseRequest(
            spec, case, plans.get(case.label), f"{spec.shown}::{case.name}", rank, 0 if case.is_clean else pictures
        )
        for rank, case in enumerate(spec.cases())
    ]


def part(job: Evaluate) -> CaseEvidence:
    """What a worker might say of some batches, all of which tell themselves apart."""
    numbers = [f"s{number:03}" for number in range(job.first * BATCH, job.stop * BATCH)]
    return CaseEvidence(
        ids=tuple(numbers),
        groups=(None,) * len(numbers),
        evidence=tuple({"x": np.array([int(name[1:])])} for name in numbers),
        costs=(SampleCost(1, 0, 1, 1, "x"),) * len(numbers),
        meta={"batch_size": BATCH, "notes": [], "sources": {"PNG": len(numbers)}, "source_quality": {}},
    )


def plain(worker: str, job: Job) -> tuple[Answer, Finished | None]:
    """A worker that does its work."""
    if isinstance(job, Open):
        return Answer(Facts(unloaded_info(job.spec, None), "inputs", ("a", "b", "c"), BATCHES)), None
    if isinstance(job, Finish):
        return Answer(), Finished(Replicates({"x": float(len(job.evidence))}, {}, 1), None)
    return Answer(evidence=part(job)), None


ALL = tuple(f"s{number:03}" for number in range(BATCHES * BATCH))


def test_cases_are_cut_and_joined_in_order(begin: Any, spec: IndexedSpec) -> None:
    pool, backend = begin(plain, workers=3)
    for request in wanted(spec):
        assert pool.evidence(request).ids == ALL
        pool.settle([request.case.slug])
        assert pool.finished(request.case.slug).replicates.point == {"x": float(len(ALL))}
        assert pool.finished(request.case.slug) is None, "once: a test that is run again computes again"
    pieces = [job for _, job in backend.sent if isinstance(job, Evaluate)]
    assert len(pieces) > 4, "four cases for three workers are cut"
    assert sum(job.stop - job.first for job in pieces) == 4 * BATCHES


def test_what_a_dead_worker_had_is_done_by_others(begin: Any, spec: IndexedSpec) -> None:
    deaths = Counter[str]()

    def do(worker: str, job: Job) -> tuple[Answer, Finished | None]:
        key = type(job).__name__
        deaths[key] += 1
        if deaths[key] == 1:
            raise WorkerLostError("its machine is gone")
        return plain(worker, job)

    pool, backend = begin(do)
    for request in wanted(spec):
        assert pool.evidence(request).ids == ALL
    pool.settle([request.case.slug for request in wanted(spec)])
    assert len({worker for worker, _ in backend.sent}) >= 4, "for each of the dead another was asked for"


def test_a_case_that_kills_is_given_up_and_the_others_are_not(begin: Any, spec: IndexedSpec) -> None:
    clean, first, deadly, last = wanted(spec)

    def do(worker: str, job: Job) -> tuple[Answer, Finished | None]:
        if isinstance(job, Evaluate) and job.case == deadly.case:
            raise WorkerLostError("signal 9")
        return plain(worker, job)

    pool, _ = begin(do)
    for request in (clean, first, last):
        assert pool.evidence(request).ids == ALL
    with pytest.raises(ProcessDiedError, match=r"3 processes in turn died of this case.*signal 9"):
        pool.evidence(deadly)


def test_of_several_failures_the_first_in_the_datas_order_is_told(begin: Any, spec: IndexedSpec) -> None:
    def do(worker: str, job: Job) -> tuple[Answer, Finished | None]:
        if isinstance(job, Evaluate) and job.case.level == 5:
            time.sleep(0.05 * (BATCHES - job.first))  # the later the batch, the sooner it fails
            return Answer(trouble=Trouble.of(CodecError(f"batch {job.first}"), loading=False, places={})), None
        return plain(worker, job)

    pool, _ = begin(do, workers=4)
    with pytest.raises(CodecError, match="batch 0"):
        pool.evidence(wanted(spec)[-1])
    assert pool.evidence(wanted(spec)[1]).ids == ALL


def refuse(*addresses: str) -> Do:
    def do(worker: str, job: Job) -> tuple[Answer, Finished | None]:
        if worker[0] in addresses and not isinstance(job, Finish):
            found = MissingInputError("/node/repository/data: no such folder")
            return Answer(trouble=Trouble.of(found, loading=True, places={"/node/repository": "/home/me"})), None
        return plain(worker, job)

    return do


@pytest.mark.parametrize("lacking", ["a", "b"])
def test_a_model_whose_data_one_machine_lacks_runs_on_the_other(begin: Any, spec: IndexedSpec, lacking: str) -> None:
    pool, backend = begin(refuse(lacking))
    for request in wanted(spec):
        assert pool.evidence(request).ids == ALL
    tried = [worker for worker, job in backend.sent if worker[0] == lacking and not isinstance(job, Finish)]
    assert len(tried) <= 1
    for warning in pool.warnings():
        assert "could not be loaded on" in warning
        assert "/home/me/data: no such folder" in warning, "the path as the user knows it"


def test_a_model_that_no_machine_can_load_is_an_error_at_once(begin: Any, spec: IndexedSpec) -> None:
    pool, _ = begin(refuse("a", "b"))
    with pytest.raises(MissingInputError, match=r"^/home/me/data: no such folder"):
        pool.open(spec)
    for request in wanted(spec):
        with pytest.raises(MissingInputError):
            pool.evidence(request)


def test_when_no_machine_is_left_nobody_waits(begin: Any, spec: IndexedSpec) -> None:
    def do(worker: str, job: Job) -> tuple[Answer, Finished | None]:
        backend.no_room = "all machines are gone"
        raise WorkerLostError("gone")

    pool, backend = begin(do)
    with pytest.raises(ProcessDiedError):
        pool.evidence(wanted(spec)[0])


@pytest.mark.parametrize(("error", "told"), [(ConnectionError("reset"), ProcessDiedError), (KeyError("x"), KeyError)])
def test_when_the_cluster_is_gone_nobody_waits(
    begin: Any, spec: IndexedSpec, monkeypatch: pytest.MonkeyPatch, error: Exception, told: type[Exception]
) -> None:
    def ready(self: Threads, calls: Sequence[Any], timeout: float) -> list[Any]:
        raise error

    monkeypatch.setattr(Threads, "ready", ready)
    pool, _ = begin(plain)
    with pytest.raises(told):
        pool.open(spec)
    for request in wanted(spec):
        with pytest.raises(told):
            pool.evidence(request)


def test_closing_ends_all_waiting(begin: Any, spec: IndexedSpec) -> None:
    go = threading.Event()

    def do(worker: str, job: Job) -> tuple[Answer, Finished | None]:
        if isinstance(job, Evaluate):
            go.wait(30)
        return plain(worker, job)

    pool, backend = begin(do)
    pool.open(spec)
    with ThreadPoolExecutor(1) as waiting:
        answer = waiting.submit(pool.evidence, wanted(spec)[0])
        time.sleep(0.3)
        started = time.monotonic()
        pool.close()
        with pytest.raises(ProcessDiedError, match="the run ended"):
            answer.result(timeout=10)
    assert time.monotonic() - started < 5
    assert len(backend.stopped) == 2
    go.set()


def test_evidence_of_an_earlier_run_counts_where_its_inputs_are_the_same(
    begin: Any, spec: IndexedSpec, store: RunStore, tmp_path: Path
) -> None:
    clean, mild, *_ = wanted(spec)
    earlier = RunStore(tmp_path / "earlier")
    whole = part(Evaluate(spec, None, clean.case, 0, BATCHES))
    assert mild.plan is not None
    same = case_inputs("inputs", build_codec("jpeg", mild.plan.options), mild.case.level)
    for request, inputs in ((clean, "of another model"), (mild, same)):
        meta = {**whole.meta, "inputs": inputs}
        earlier.save_evidence(
            request.case.slug, CaseEvidence(whole.ids, whole.groups, whole.evidence, whole.costs, (), meta)
        )
    assert store.restore(tmp_path / "earlier" / "evidence") == 2
    pool, backend = begin(plain)
    for request in wanted(spec):
        assert pool.evidence(request).ids == ALL
        assert not store.is_restored(request.case.slug)
    evaluated = {job.case.name for _, job in backend.sent if isinstance(job, Evaluate)}
    assert evaluated == {"clean", "jpeg-q50", "jpeg-q5"}


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_real_workers_measure_and_draw_as_one_process_does(
    begin: Any, spec: IndexedSpec, store: RunStore, precision: str
) -> None:
    """From shipped files alone: the repository is moved away before a worker reads it."""
    root = spec.path.parents[1]
    text = spec.path.read_text(encoding="utf-8")
    execution = f"model:\n  execution: {{precision: {precision}}}\n"
    spec.path.write_text(text.replace("model:\n", execution, 1), encoding="utf-8")
    [spec] = index_specs([spec.path], root)
    local = ModelRuntime.load(spec, RuntimeOptions(device=("cpu",)))
    expected = [local.evaluate(request.case, _codec(request)) for request in wanted(spec)]
    replicates = [
        local.measure(request.case, found, 100) for request, found in zip(wanted(spec), expected, strict=True)
    ]
    facts = local.inputs(), local.info()
    setup = WorkerSetup("run", root, (), "cpu", 1.0, None, 100, 0, None, False, 0)
    archive = pack_repository(plan_shipment(root, [], []))
    root.rename(root.with_name("elsewhere"))
    workers: dict[str, Worker] = {}
    lock = threading.Lock()

    def do(name: str, job: Job) -> tuple[Answer, Finished | None]:
        with lock:
            if name not in workers:
                workers[name] = Worker(setup, archive, root.with_name("node"))
        return workers[name].run(job)

    pool, _ = begin(do, requests=wanted(spec, pictures=1))
    model = RemoteModel(spec, pool.open(spec), pool, {plan.label: plan for plan in spec.plans}.get)
    assert (model.inputs(), model.info()) == facts
    for request, whole, drawn in zip(wanted(spec), expected, replicates, strict=True):
        pool.settle([request.case.slug])
        found = store.load_evidence(request.case.slug)
        assert found.ids == whole.ids
        assert found.meta["notes"] == whole.meta["notes"]
        assert len(whole.meta["notes"]) == (precision != "float32" and request.case.is_clean)
        assert all(np.array_equal(a[k], b[k]) for a, b in zip(found.evidence, whole.evidence, strict=True) for k in a)
        measured = model.measure(request.case, found, 100)
        assert dict(measured.point) == pytest.approx(dict(drawn.point), rel=0, abs=0, nan_ok=True)
        assert all(
            np.array_equal(measured.replicates[k], drawn.replicates[k], equal_nan=True) for k in drawn.replicates
        )
        again = model.measure(request.case, found, 100)
        assert dict(again.point) == pytest.approx(dict(drawn.point), rel=0, abs=0, nan_ok=True), "here, if need be"
        assert bool(model._pictures.get(request.case.slug)) != request.case.is_clean
    for worker in workers.values():
        worker.leave()
    assert not root.with_name("node").joinpath("run").exists()


def _codec(request: CaseRequest) -> Any:
    return build_codec(request.plan.codec_name, request.plan.options) if request.plan else None
