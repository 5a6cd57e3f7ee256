"""Conclusions of large runs: the same whatever fits in memory, and no row is looked at for every curve."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pytest_lossy import conclusions
from pytest_lossy.conclusions import Evaluated, conclude
from pytest_lossy.results.replicates import StoredReplicates
from pytest_lossy.results.store import RunStore
from pytest_lossy.thresholds.rules import Thresholds
from tests.unit.analysis.measured_runs import MadeRun


class Counting(RunStore):
    """Counts what it reads."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.read: list[str] = []

    def load_replicates(self, slug: str) -> StoredReplicates | None:
        self.read.append(slug)
        return super().load_replicates(slug)


@pytest.fixture
def run(tmp_path: Path) -> tuple[MadeRun, Counting]:
    made, store = MadeRun(), Counting(tmp_path / ".run")
    for number, name in enumerate("abc"):
        for codec in ("jpeg", "webp"):
            made.add(name, codec=codec, seed=number)
    for row_id, stored in made.stored.items():
        store.save_replicates("@".join(row_id.split("::")[1:]), stored)
    return made, store


def test_what_does_not_fit_in_memory_is_read_again_to_the_same_end(
    run: tuple[MadeRun, Counting], monkeypatch: pytest.MonkeyPatch
) -> None:
    made, store = run
    whole = conclude(made.document, store, Thresholds())
    assert len(store.read) == len(set(store.read)) == 27, "everything fits: each case is read once"
    assert whole.rate_differences
    assert whole.resilience is not None
    store.read.clear()
    monkeypatch.setattr(conclusions, "_KEPT_BYTES", 1)
    assert conclude(made.document, store, Thresholds()) == whole
    assert len(store.read) > 27


def test_replicates_in_memory_are_bounded(run: tuple[MadeRun, Counting]) -> None:
    made, store = run
    one = next(iter(made.stored.values())).replicates["m"].nbytes
    evaluated = Evaluated(made.document, store, kept_bytes=3 * one)
    held: dict[str, Any] = evaluated._loaded
    for row in made.document.cases:
        assert evaluated.replicates(row) is not None
        assert len(held) <= 3
    store.read.clear()
    assert evaluated.replicates(made.document.cases[-1]) is not None
    assert store.read == [], "what was used last is still there"
    assert evaluated.replicates(made.document.cases[0]) is not None
    assert len(store.read) == 1
    assert evaluated.measured("nobody", "clean") is None


def test_each_curve_looks_at_its_own_rows() -> None:
    made = MadeRun()
    made.add("a")
    made.add("a", codec="webp")
    rows = Evaluated(made.document, RunStore(Path("nowhere"))).rows
    assert {key: len(found) for key, found in rows.items()} == {("a", "clean"): 1, ("a", "jpeg"): 4, ("a", "webp"): 4}
