"""Who gets which piece: order, affinity, and cases cut near the end, by simulation."""

from __future__ import annotations

import heapq

from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_lossy.cluster.queue import Piece, WorkQueue


def queue(*pieces: Piece) -> WorkQueue:
    found = WorkQueue()
    for piece in pieces:
        found.add(piece)
    return found


def test_a_worker_keeps_its_model_and_others_take_the_costliest() -> None:
    waiting = queue(
        *(Piece(model, f"{model}{n}", n, cost) for model, cost in (("a", 1.0), ("b", 3.0)) for n in (2, 1, 3))
    )
    assert [waiting.take("x", 2).owner for _ in range(2)] == ["b1", "b2"]
    assert waiting.take("y", 2).owner == "a1", "nobody holds it"
    waiting.leave("y")
    assert waiting.take("z", 2).owner == "a2"
    assert waiting.take("z", 2).owner == "a3"
    assert waiting.take("z", 2).owner == "b3", "shared rather than idle"
    assert waiting.take("z", 2) is None
    assert not waiting


def test_a_worker_gets_nothing_of_a_model_that_it_may_not_have() -> None:
    waiting = queue(Piece("a", 1, 0, 1.0))
    assert waiting.take("x", 1, lambda model: model != "a") is None
    assert waiting.take("x", 1).owner == 1


def test_pieces_can_be_taken_out() -> None:
    waiting = queue(*(Piece("a", number % 2, number, 1.0) for number in range(6)))
    assert len(waiting.discard("a", lambda piece: piece.owner == 1)) == 3
    assert waiting.discard("nobody", lambda piece: True) == []
    assert [waiting.take("x", 1).rank for _ in range(3)] == [0, 2, 4]


def test_a_whole_piece_is_not_cut() -> None:
    waiting = queue(Piece("a", 1, 0, 1.0, 0, 100, whole=True))
    piece = waiting.take("x", 4)
    assert (piece.first, piece.stop) == (0, 100)
    assert waiting.take("y", 4) is None


def test_a_single_worker_gets_whole_cases() -> None:
    waiting = queue(Piece("a", 1, 0, 1.0, 0, 100))
    piece = waiting.take("x", 1)
    assert (piece.first, piece.stop) == (0, 100)


@given(
    st.lists(st.tuples(st.sampled_from("ab"), st.integers(1, 60), st.floats(0.1, 20)), min_size=1, max_size=12),
    st.integers(1, 9),
)
@settings(max_examples=150, deadline=None)
def test_every_batch_is_given_once_and_workers_end_together(cases: list[tuple[str, int, float]], workers: int) -> None:
    """Workers that take as long as the costs say: nothing is lost, and nobody idles while another has two pieces' worth."""
    waiting = queue(*(Piece(model, n, n, cost, 0, batches) for n, (model, batches, cost) in enumerate(cases)))
    seen: dict[int, list[tuple[int, int]]] = {}
    free = [(0.0, worker) for worker in range(workers)]
    ends = []
    while free:
        now, worker = heapq.heappop(free)
        piece = waiting.take(worker, workers)
        if piece is None:
            ends.append(now)
            continue
        seen.setdefault(piece.owner, []).append((piece.first, piece.stop))
        heapq.heappush(free, (now + piece.cost, worker))
    for n, (_, batches, _) in enumerate(cases):
        edges = sorted(seen[n])
        assert [first for first, _ in edges] == [0, *(stop for _, stop in edges[:-1])]
        assert edges[-1][1] == batches
    total = sum(cost for _, _, cost in cases)
    batch = max(cost / batches for _, batches, cost in cases)
    assert max(ends) <= total / workers + max(total / (2 * workers), batch) + 1e-6 * total
