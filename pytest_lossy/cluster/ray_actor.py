"""The worker as a Ray actor. Imported where Ray is installed: on the driver of a Ray run, and on the cluster's machines."""

from __future__ import annotations

import functools
from dataclasses import replace
from typing import Any

import ray

from pytest_lossy.cluster.work import Answer, Finished, Job, Node, WorkerSetup
from pytest_lossy.cluster.worker import Worker

__all__ = ["WorkerActor", "actor_class"]


class WorkerActor:
    """A :class:`Worker`; what it is asked beside its work runs in a thread of its own."""

    def __init__(self, setup: WorkerSetup, archive: bytes) -> None:
        self._worker = Worker(setup, archive)

    def describe(self) -> Node:
        """Where this actor runs, and with what."""
        return replace(self._worker.describe(), address=ray.get_runtime_context().get_node_id())

    @ray.method(num_returns=2)
    def run(self, job: Job) -> tuple[Answer, Finished | None]:
        """Do one job."""
        return self._worker.run(job)

    @ray.method(concurrency_group="beside")
    def progress(self) -> int:
        """Samples done of the job in hand."""
        return self._worker.progress()

    @ray.method(concurrency_group="beside")
    def leave(self) -> None:
        """Remove what this actor left on its machine."""
        self._worker.leave()


@functools.cache
def actor_class() -> Any:
    """The class whose ``remote`` makes actors."""
    remote: Any = ray.remote  # its overloads do not know all of its options
    return remote(concurrency_groups={"beside": 1})(WorkerActor)
