"""Workers as the pool sees them, and the notes on their progress that the terminal shows."""

from __future__ import annotations

import contextlib
from collections.abc import Hashable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pytest_lossy.cluster.ledger import WantedModel
from pytest_lossy.cluster.queue import Piece
from pytest_lossy.cluster.work import Evaluate, Job, Node, Open

__all__ = ["Hand", "progress_text", "write_note"]


@dataclass(eq=False)
class Hand:
    """A worker and what it has in hand."""

    worker: Hashable
    name: str
    call: Any
    node: Node | None = None
    """None until it runs."""
    job: Job | None = None
    piece: Piece | None = None
    """None while it loads a model that nobody had loaded."""
    model: WantedModel | None = None

    @property
    def address(self) -> str:
        """Of its machine; empty until it runs."""
        return self.node.address if self.node is not None else ""


def progress_text(hand: Hand, done: int) -> str | None:
    """What a worker is at; None where it idles."""
    if hand.node is None:
        return f"{hand.name} starts"
    if isinstance(hand.job, Open):
        return f"{hand.job.spec.name} loads"
    if hand.job is None or hand.piece is None:
        return None
    case = hand.piece.owner
    name = f"{case.request.case.model}::{case.request.case.name}"
    facts = case.model.facts
    if not isinstance(hand.job, Evaluate) or facts is None:
        return f"{name} is reduced"
    total = facts.info.data.samples or 0
    finished = (facts.batches - case.left) * case.request.spec.spec.batch_size + done
    return f"{name} {min(finished, total)}/{total}"


def write_note(folder: Path, name: str, text: str | None) -> None:
    """Say what a worker is at, or that it idles; a courtesy, since a full disk is reported by whoever writes results."""
    path = folder / name
    with contextlib.suppress(OSError):
        if text is None:
            path.unlink(missing_ok=True)
        else:
            folder.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
