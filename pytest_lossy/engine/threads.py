"""Batches in the calling thread or in several: each takes one through all stages, and the results keep the data's order.

On a CPU every model call uses one intra-op thread, since convolutions give other bits with another number; parallelism comes
from batches.
"""

from __future__ import annotations

import contextlib
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from queue import SimpleQueue
from typing import TypeVar

import torch

from pytest_lossy.engine.memory import in_main_arena, return_now_and_then

__all__ = ["Progress", "one_torch_thread", "run_here", "run_in_threads"]

Progress = Callable[[int, int], None]
"""Called with samples done and samples in all."""

T = TypeVar("T")

_POLL_SECONDS = 0.25  # how soon Ctrl-C is noticed while batches run
_TRIES = 16
"""Threads that may turn out to be of no use."""


@contextlib.contextmanager
def one_torch_thread() -> Iterator[None]:
    """One intra-op thread in the calling thread, and afterwards as many as before."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def run_here(
    work: Callable[[int], list[T]], order: Sequence[int], sizes: Sequence[int], threads: int, progress: Progress | None
) -> list[list[T]]:
    """Do all batches in the calling thread. Pytest's main thread also allocates fastest: it has the main arena.

    Args:
        work: called with a batch's number.
        order: in which the batches are done.
        sizes: samples of each batch.
        threads: 1.
        progress: called after each batch.

    Raises:
        Exception: what ``work`` raised; of several failures the first in the data's order.
    """
    results: list[list[T]] = [[] for _ in order]
    failures: dict[int, Exception] = {}
    done = 0
    with one_torch_thread():
        for number in order:
            if failures and number > min(failures):
                continue
            try:
                results[number] = work(number)
            except Exception as error:  # noqa: BLE001  raised below, once no earlier batch can fail
                failures[number] = error
                continue
            return_now_and_then()
            done += sizes[number]
            if progress is not None:
                progress(done, sum(sizes))
    if failures:
        raise failures[min(failures)]
    return results


def run_in_threads(
    work: Callable[[int], list[T]], order: Sequence[int], sizes: Sequence[int], threads: int, progress: Progress | None
) -> list[list[T]]:
    """Do as many batches at once as there are threads; see :func:`run_here`, which does the same."""
    stop, failed = threading.Event(), len(order)
    waiting = deque(order)
    futures: list[Future[list[T]]] = [Future() for _ in order]

    def toil() -> None:
        nonlocal failed
        torch.set_num_threads(1)
        while waiting and not stop.is_set():
            try:
                number = waiting.popleft()
            except IndexError:
                return
            if number > failed:
                futures[number].set_result([])
                continue
            try:
                futures[number].set_result(work(number))
                return_now_and_then()
            except BaseException as error:  # noqa: BLE001  raised in the calling thread
                failed = min(failed, number)  # a race costs a batch, never the first failure
                futures[number].set_exception(error)

    crew = _start(toil, min(threads, len(order)))
    try:
        _follow(futures, sizes, progress)
        return [future.result() for future in futures]
    finally:
        stop.set()
        for thread in crew:
            thread.join()


def _start(toil: Callable[[], None], count: int) -> list[threading.Thread]:
    """Threads that allocate from the main arena, where freed memory is kept, if they can be had in a few tries.

    A new thread inherits the arena of one that has ended, or shares one that exists; which, is decided as it begins. One
    that is no use waits until enough others are found, for otherwise the next would inherit the same.
    """
    crew: list[threading.Thread] = []
    idle: list[threading.Thread] = []
    enough = threading.Event()
    verdicts: SimpleQueue[bool] = SimpleQueue()

    def begin(whatever: bool) -> None:
        useful = in_main_arena() or whatever
        verdicts.put(useful)
        if useful:
            toil()
        else:
            enough.wait()

    try:
        while len(crew) < count:
            thread = threading.Thread(target=begin, args=(len(idle) >= _TRIES,), name=f"lossy_{len(crew)}", daemon=True)
            thread.start()
            (crew if verdicts.get() else idle).append(thread)
    finally:
        enough.set()
    for thread in idle:
        thread.join()
    return crew


def _follow(futures: list[Future[list[T]]], sizes: Sequence[int], progress: Progress | None) -> None:
    """Wait for all batches, or for the first that failed, and report progress."""
    total, pending = sum(sizes), set(futures)
    size_of = dict(zip(futures, sizes, strict=True))
    done = 0
    while pending:
        finished, pending = wait(pending, timeout=_POLL_SECONDS, return_when=FIRST_COMPLETED)
        done += sum(size_of[future] for future in finished)
        if progress is not None:
            progress(done, total)
        if any(future.exception() is not None for future in finished):
            # Batches before the failed one run on: of several failures the first in order is reported.
            first = min(index for index, future in enumerate(futures) if future.done() and future.exception())
            wait(futures[:first])
            return
