"""What the pool needs of a cluster; Ray is one, and tests bring another."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any, Protocol

from pytest_lossy.cluster.work import Answer, Finished, Job, Node

__all__ = ["Backend", "WorkerLostError"]


class WorkerLostError(Exception):
    """A worker, or its machine, died."""


class Backend(Protocol):
    """Workers on other machines. Called from one thread, but for :meth:`fetch`."""

    def start(self) -> tuple[Hashable, Any]:
        """Ask for one more worker; its handle, and a call that is ready once it runs."""

    def send(self, worker: Hashable, job: Job) -> Any:
        """Give a worker a job; a call that is ready once it is done."""

    def ready(self, calls: Sequence[Any], timeout: float) -> list[Any]:
        """Those of ``calls`` that are done, after ``timeout`` seconds at the latest."""

    def greeted(self, call: Any) -> Node:
        """Where a worker that was started runs.

        Raises:
            WorkerLostError: it could not be started; the message says why.
        """

    def answer(self, call: Any) -> tuple[Answer, Any]:
        """The result of a job, and a reference to what :meth:`fetch` gets.

        Raises:
            WorkerLostError: the worker died.
            Exception: whatever unexpected the worker raised.
        """

    def fetch(self, reference: Any) -> Finished | None:
        """What a job left in the cluster; None where it was lost with a machine."""

    def progress(self, workers: Sequence[Hashable]) -> Mapping[Hashable, int]:
        """Samples done of the job in hand, of those workers that say so at once."""

    def places(self) -> set[str]:
        """Addresses of the machines that could run a worker."""

    def shortage(self) -> str | None:
        """Why no machine of the cluster could ever run a worker; None where one could."""

    def stop(self, running: Sequence[Hashable], asked: Sequence[Hashable]) -> None:
        """End workers now, whatever they do: those that run, and those that were only asked for."""
