"""From spec files to pytest items: ``LossyFile -> ModelCollector -> LossyItem``.

Collecting imports no user code, and no torch either: the engine is imported when the first model loads, so that
``--collect-only`` and the controller of an xdist run stay light.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pytest

from pytest_lossy.cases import KNEE, Case, IndexedSpec, format_level
from pytest_lossy.errors import LossyError, MissingInputError, ProcessDiedError, ResultsError
from pytest_lossy.planning import selected_plans
from pytest_lossy.report.failure import failure_text
from pytest_lossy.results.document import CaseRow
from pytest_lossy.results.rows import error_row, unloaded_info
from pytest_lossy.tasks.registry import TASKS, task_primary

if TYPE_CHECKING:
    from pytest_lossy.engine.loaded import LoadedModel
    from pytest_lossy.run import Run

__all__ = ["LossyFile", "LossyItem", "ModelCollector", "marker_level", "order_items", "row_properties", "turn_of_case"]


class LossyFile(pytest.File):
    """One spec file."""

    spec: IndexedSpec
    run: Run

    @classmethod
    def of(cls, parent: pytest.Collector, path: Path, spec: IndexedSpec, run: Run) -> LossyFile:
        """Make the collector of one spec."""
        file: LossyFile = cls.from_parent(parent, path=path)
        file.spec, file.run = spec, run
        return file

    def collect(self) -> Iterator[ModelCollector]:
        """The spec's model, if the flags select any of its cases."""
        if self.run.cases_of(self.spec):
            collector: ModelCollector = ModelCollector.from_parent(self, name=self.spec.name)
            yield collector


class ModelCollector(pytest.Collector):
    """One model: loaded before its first case runs in a worker, freed after its last."""

    def __init__(self, name: str, parent: LossyFile) -> None:
        super().__init__(name, parent)
        self.spec, self.run = parent.spec, parent.run
        self.runtime: LoadedModel | None = None
        self.load_error: LossyError | None = None
        self._explained = False
        self.codecs = {plan.label: plan for plan in selected_plans(self.spec, self.run.settings)}

    def collect(self) -> Iterator[LossyItem]:
        """The model's cases, clean first, then each codec mild to severe."""
        for case in self.run.cases_of(self.spec):
            item: LossyItem = LossyItem.from_parent(self, name=case.name, case=case)
            yield item

    def setup(self) -> None:
        """Called before the first case of the model: load it. Its error, if any, is raised by each item in turn."""
        try:
            self.runtime = self.run.load_model(self.spec)
            info = self.runtime.info()
        except LossyError as error:
            self.load_error = error
            info = unloaded_info(self.spec, str(error))
        with contextlib.suppress(ResultsError):  # a full disk is told by the first case that cannot store its row
            self.run.store.write_model(self.spec.name, info)

    def teardown(self) -> None:
        """Called after the last case of the model in this worker: free it."""
        if self.runtime is not None:
            self.runtime.close()
        self.run.release_other_models()
        self.runtime = self.load_error = None

    def explain_load_error(self) -> str:
        """The whole reason once per worker, then one line per case."""
        text = str(self.load_error)
        if self._explained:
            return f"model '{self.spec.name}' is not available: {text.splitlines()[0]}"
        self._explained = True
        return f"model '{self.spec.name}' ({self.spec.shown}) is not available: {text}"


class LossyItem(pytest.Item):
    """One case."""

    def __init__(self, name: str, parent: ModelCollector, case: Case, **kwargs: Any) -> None:
        super().__init__(name, parent, **kwargs)
        self.case, self.collector = case, parent
        self.run = parent.run
        self.add_marker(pytest.mark.lossy(model=case.model, task=case.task, codec=case.label, level=marker_level(case)))

    def setup(self) -> None:
        """Called before the case runs, after its model was loaded."""
        problem = _problem_of(lambda: self.run.store.start(self.case.slug))
        if problem is not None:
            pytest.fail(problem, pytrace=False)
        error = self.collector.load_error
        if error is None:
            return
        message = self.collector.explain_load_error()
        if isinstance(error, MissingInputError) and self.collector.spec.spec.requires == "optional":
            self._write(self._error_row(f"skipped: {error}", "not_run"))
            pytest.skip(message)
        self._write(self._error_row(str(error), _verdict_of(error)))
        # Raised from an item, pytest prints it as it is; raised from a collector, it would be repeated in full.
        pytest.fail(message, pytrace=False)

    def runtest(self) -> None:
        """Evaluate the case, store its row, and fail where a gate is missed."""
        from pytest_lossy.engine.casework import CaseFailureError

        runtime = self.collector.runtime
        assert runtime is not None, "setup() failed this item otherwise"  # noqa: S101
        failure: LossyError | None = None
        try:
            row = self.run.evaluate(self.nodeid, self.case, self.collector.codecs, runtime)
        except LossyError as error:
            failure = error
        except Exception as error:
            self._write(self._error_row(f"internal error: {type(error).__name__}: {error}", "error"))
            raise
        if failure is not None:
            # Outside the handler: pytest would print the handled error above ours.
            verdict = failure.verdict if isinstance(failure, CaseFailureError) else _verdict_of(failure)
            with contextlib.suppress(ResultsError):  # the failure itself matters more than that its row is lost
                self.run.store.write_row(self.case.slug, self._error_row(str(failure), verdict))
            pytest.fail(f"{self.case.model} {self.name}: {failure}", pytrace=False)
        self._write(row)
        self.user_properties.extend(row_properties(row))
        if row.outcome == "failed":
            pytest.fail(failure_text(row, strict=self.run.settings.strict), pytrace=False)

    def reportinfo(self) -> tuple[Path, int | None, str]:
        """Where pytest says the test stands."""
        return self.path, None, f"{self.case.model}::{self.name}"

    def _write(self, row: CaseRow) -> None:
        problem = _problem_of(lambda: self.run.store.write_row(self.case.slug, row))
        if problem is not None:
            pytest.fail(problem, pytrace=False)

    def _error_row(self, message: str, verdict: Any) -> CaseRow:
        primary = task_primary(self.case.task) if self.case.task in TASKS.builtin else ""
        return error_row(self.nodeid, self.case, primary, message, verdict, self.run.worker)


def row_properties(row: CaseRow) -> list[tuple[str, float | str]]:
    """Flat scalars for junit; exact builtins, since anything else would kill an xdist worker."""
    metric = row.metrics.get(row.primary)
    values: dict[str, float | str | None] = {"verdict": row.verdict, "bpp": row.bpp, "psnr": row.psnr}
    if metric is not None:
        values |= {
            row.primary: metric.value,
            f"{row.primary}_low": metric.low,
            f"{row.primary}_high": metric.high,
            "retention": metric.retention,
        }
    position = row.knee.position if row.knee else None
    if row.knee is not None:
        values |= {"knee": position.level.value if position else None, "knee_status": row.knee.status}
    return [(f"lossy_{name}", value) for name, value in values.items() if value is not None]


def _problem_of(action: Callable[[], None]) -> str | None:
    """What kept ``action`` from writing results; None where nothing did.

    Failing a test inside an exception handler would make pytest print the handled error, too.
    """
    try:
        action()
    except ResultsError as error:
        return str(error)
    return None


def marker_level(case: Case) -> int | str | None:
    """``-m 'lossy(level=15)'`` parses whole numbers and text, no fractions; a knee's level is ``knee``."""
    level = case.level
    if level is None:
        return KNEE if case.knee else None
    return int(level) if level == int(level) else format_level(level)


def order_items(items: list[pytest.Item]) -> list[pytest.Item]:
    """Regroup cases by model after whatever shuffled them: clean, levels, knees, mixes; other items keep their order.

    Retrained models come last, since gates on their recovery need what their parents and controls measured.
    The first case's place is kept for all of them: an ordinary test in between would make pytest free the model.
    """
    models: dict[str, list[LossyItem]] = {}
    for item in items:
        if isinstance(item, LossyItem):
            models.setdefault(item.case.model, []).append(item)
    grouped: list[pytest.Item] = [
        item
        for cases in sorted(models.values(), key=lambda cases: _is_retrained(cases[0].collector.spec))
        for item in sorted(cases, key=lambda item: turn_of_case(item.case))
    ]
    result: list[pytest.Item] = []
    for item in items:
        if not isinstance(item, LossyItem):
            result.append(item)
        elif grouped:
            result += grouped
            grouped = []
    return result


def turn_of_case(case: Case) -> int:
    """Knees and mixes need what levels measured, and every level needs clean."""
    return 0 if case.is_clean else 1 if case.level is not None else 2 if case.knee else 3


def _is_retrained(spec: IndexedSpec) -> bool:
    """Whether a model is compared with a control; the control itself is not."""
    return spec.spec.retrained is not None and spec.spec.retrained.control is not None


def _verdict_of(error: LossyError) -> Literal["error", "crashed"]:
    return "crashed" if isinstance(error, ProcessDiedError) else "error"
