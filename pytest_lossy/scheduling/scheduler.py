"""The scheduler of a lossy run under pytest-xdist: cases by model, other tests as the user's ``--dist`` groups them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from xdist.scheduler import LoadScheduling

from pytest_lossy.scheduling.agenda import Agenda, Work

if TYPE_CHECKING:
    import pytest
    from xdist.workermanage import WorkerController

__all__ = ["AffinityScheduling", "group_of_test"]

_IN_FLIGHT = 2
"""A worker begins an item only once it holds the next one, which tells it what to tear down; more would be out of reach of
others (a started worker has already taken its next item out of the queue that xdist could steal from)."""

Describe = Callable[[Sequence[str]], list[Work]]
"""Node ids, in collection order -> what is known of each."""


class AffinityScheduling(LoadScheduling):  # type: ignore[misc]  # xdist is not typed
    """Keeps exactly two items in flight on each worker; see :class:`Agenda` for which.

    Args:
        config: pytest's.
        log: xdist's.
        describe: called once, when the first collection is complete.
    """

    def __init__(self, config: pytest.Config, log: Any, describe: Describe) -> None:
        super().__init__(config, log)
        self.collection: list[str] | None = None
        self._describe = describe
        self._agenda = Agenda(())

    @property
    def has_pending(self) -> bool:
        """Whether anything waits or runs."""
        return bool(self._agenda) or any(self.node2pending.values())

    @property
    def tests_finished(self) -> bool:
        """Whether nothing waits and every worker holds its last item at most; xdist then ends the workers."""
        return (
            self.collection_is_completed
            and not self._agenda
            and all(len(held) < _IN_FLIGHT for held in self.node2pending.values())
        )

    def schedule(self) -> None:
        """Called by xdist whenever a worker has collected and all first workers have."""
        if self.collection is None:
            if not self._check_nodes_have_same_collection():
                self.log("**Different tests collected, aborting run**")
                return
            self.collection = next(iter(self.node2collection.values()))
            self._agenda = Agenda(self._describe(self.collection))
        # One each before anybody gets a second: with few items all workers have something to do.
        for _ in range(_IN_FLIGHT):
            for node in self.nodes:
                self._hand_out(node, 1)
        for node in self.nodes:
            self.check_schedule(node)

    def check_schedule(self, node: WorkerController, duration: float = 0) -> None:
        """Fill a worker up, or let it end where nothing waits: an item that it still holds then runs as its last."""
        if node.shutting_down or node not in self.node2collection:
            return
        self._hand_out(node, _IN_FLIGHT - len(self.node2pending[node]))
        if len(self.node2pending[node]) < _IN_FLIGHT:
            node.shutdown()

    def mark_test_pending(self, item: str) -> None:
        """Called by pytest-rerunfailures for an item that crashed: it waits again."""
        assert self.collection is not None  # noqa: S101  something has run
        self._agenda.give_back(self.collection.index(item))
        for node in self.nodes:
            self.check_schedule(node)

    def remove_node(self, node: WorkerController) -> str | None:
        """Called by xdist when a worker died or ended: what it held waits again, but for the item that it was running.

        Returns:
            the node id of that item; None where it held none.
        """
        held = self.node2pending.pop(node)
        self._agenda.leave(node)
        if not held:
            return None
        assert self.collection is not None  # noqa: S101  it was given items
        crashed, *waiting = held
        for index in waiting:
            self._agenda.give_back(index)
        for other in self.nodes:
            self.check_schedule(other)
        return str(self.collection[crashed])

    def _hand_out(self, node: WorkerController, count: int) -> None:
        chosen: list[int] = []
        if not node.shutting_down and node in self.node2collection:
            while len(chosen) < count and (index := self._agenda.take(node)) is not None:
                chosen.append(index)
        if chosen:
            self.node2pending[node].extend(chosen)
            node.send_runtest_some(chosen)


def group_of_test(node_id: str, dist: str) -> str:
    """What an ordinary test shares with others under ``--dist``: its file, its class or module, or its group; or nothing.

    As xdist's own schedulers split a node id: a parameter may contain ``::`` and ``@``, so what follows its bracket counts.
    """
    if dist == "loadfile":
        return node_id.partition("::")[0]
    if dist == "loadscope":
        return node_id.partition("[")[0].rpartition("::")[0]
    if dist == "loadgroup" and node_id.rfind("@") > node_id.rfind("]"):
        return node_id[node_id.rfind("@") :]
    return node_id
