"""Where a process's evaluations go: into the lossy run, or into a folder that lives as long as the test."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from pytest_lossy.cases import Case, CodecPlan, IndexedSpec
from pytest_lossy.engine.casework import CaseContext, CaseFailureError, run_case
from pytest_lossy.engine.runtime import ModelRuntime, RuntimeOptions
from pytest_lossy.errors import LossyError, MissingInputError
from pytest_lossy.results.document import CaseRow, Verdict
from pytest_lossy.results.rows import error_row, unloaded_info
from pytest_lossy.results.store import RunStore
from pytest_lossy.settings import Settings
from pytest_lossy.tasks.registry import TASKS, task_primary
from pytest_lossy.thresholds.rules import Thresholds

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["Bench", "TestBench", "measure_case", "note_failure"]


class Bench(Protocol):
    """What evaluating needs; a lossy run is one."""

    settings: Settings
    store: RunStore

    def case_context(self) -> CaseContext:
        """What every case shares."""

    def runtime_options(self) -> RuntimeOptions:
        """How models are loaded."""


class TestBench:
    """Evaluations of a test without a lossy flag: no gates, no cache, nothing that outlives the folder.

    Args:
        settings: ini values.
        folder: of the test.
    """

    __test__ = False

    def __init__(self, settings: Settings, folder: Path) -> None:
        self.settings, self._folder = settings, folder
        self.store = RunStore(folder / "run")

    def case_context(self) -> CaseContext:
        """Without gates."""
        return CaseContext(self.store, Thresholds(), self.settings.replicates, strict=False, tolerance=0.05)

    def runtime_options(self) -> RuntimeOptions:
        """Sources are decoded once, into the folder; xdist's workers share processors and devices."""
        workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT") or 1)
        number = int("".join(filter(str.isdigit, os.environ.get("PYTEST_XDIST_WORKER", ""))) or 0)
        return RuntimeOptions(
            device=self.settings.device,
            worker=number % workers,
            workers=workers,
            spill=self._folder / "sources",
            spill_bytes=self.settings.spill_bytes // workers,
        )


def measure_case(
    bench: Bench,
    runtime: ModelRuntime,
    case: Case,
    plans: Mapping[str, CodecPlan],
    test: str,
    worker: str | None,
) -> CaseRow:
    """Evaluate and judge one case, and store its row.

    Args:
        bench: where the row goes.
        runtime: the loaded model.
        case: what to evaluate.
        plans: the model's codecs by label.
        test: node id of the test.
        worker: of xdist.

    Raises:
        LossyError: it could not be evaluated; the row says so, too.
    """
    bench.store.start(case.slug)
    try:
        row = run_case(runtime.spec.row_id(case), case, plans, runtime, bench.case_context())
    except LossyError as error:
        verdict: Verdict = error.verdict if isinstance(error, CaseFailureError) else "error"
        bench.store.write_row(case.slug, _failed_row(runtime.spec, case, str(error), verdict, test, worker))
        raise
    row = row.model_copy(update={"test": test})
    bench.store.write_row(case.slug, row)
    return row


def note_failure(
    bench: Bench, spec: IndexedSpec, cases: Sequence[Case], error: LossyError, test: str, worker: str | None
) -> None:
    """Store what keeps a model from being evaluated, in the row of each of its cases."""
    skipped = isinstance(error, MissingInputError) and spec.spec.requires == "optional"
    message, verdict = (f"skipped: {error}", "not_run") if skipped else (str(error), "error")
    for case in cases:
        bench.store.start(case.slug)
        bench.store.write_row(case.slug, _failed_row(spec, case, message, verdict, test, worker))  # type: ignore[arg-type]
    bench.store.write_model(spec.name, unloaded_info(spec, str(error)))


def _failed_row(
    spec: IndexedSpec, case: Case, message: str, verdict: Verdict, test: str, worker: str | None
) -> CaseRow:
    primary = task_primary(case.task) if case.task in TASKS.builtin else ""
    row = error_row(spec.row_id(case), case, primary, message, verdict, worker)
    return row.model_copy(update={"test": test})
