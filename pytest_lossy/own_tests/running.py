"""Hooks of a lossy run that concern Python tests: which of their cases run, who must know of them, and their gates."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import TYPE_CHECKING

import pytest

from pytest_lossy.collection import row_properties, turn_of_case
from pytest_lossy.errors import ResultsError
from pytest_lossy.own_tests.marker import MarkedCase, marked_case
from pytest_lossy.own_tests.placing import rows_of
from pytest_lossy.report.failure import failure_text

if TYPE_CHECKING:
    from pytest_lossy.run import Run

__all__ = ["OwnTestHooks"]

_EVALUATES = "evaluates"


class OwnTestHooks:
    """Registered beside the hooks of the run, once these are there."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self._problems: list[str] = []

    @pytest.hookimpl(wrapper=True)
    def pytest_collection_modifyitems(
        self, config: pytest.Config, items: list[pytest.Item]
    ) -> Generator[None, None, None]:
        """Called after collection: leave what the flags select, and put each model's cases together again."""
        others = {id(item) for item in items if (entry := marked_case(item)) is not None and not entry.selected}
        if others:
            config.hook.pytest_deselected(items=[item for item in items if id(item) in others])
            items[:] = [item for item in items if id(item) not in others]
        yield
        items[:] = _grouped(items)

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Called once the final list of items is known (in a worker, before xdist tells the controller)."""
        if session.config.option.collectonly:
            return
        tests = {
            item.nodeid: (entry.spec.name, entry.case)
            for item in session.items
            if (entry := marked_case(item)) is not None
        }
        try:
            self.run.declared.finish_collection(tests, share=not self.run.is_controller)
            if any("lossy" in getattr(item, "fixturenames", ()) for item in session.items):
                self.run.store.note(_EVALUATES)
        except ResultsError as error:
            raise pytest.UsageError(str(error)) from None
        if self.run.is_controller and not self.run.workers:
            self._check()

    @pytest.hookimpl(tryfirst=True, optionalhook=True)
    def pytest_xdist_node_collection_finished(self) -> None:
        """Called by xdist on the controller, which has collected nothing, when a worker has."""
        self.run.declared.read()
        self._check()

    def _check(self) -> None:
        """Say what flags and rules name that nothing has; rules may yet meet what the body of a test evaluates."""
        declared, complete = self.run.declared, not self.run.store.has_note(_EVALUATES)
        problems = declared.unknown_names(of_gates=complete)
        if self.run.settings.strict and complete:
            problems += declared.dead_rules()
        if problems:
            raise pytest.UsageError("pytest-lossy cannot start:\n" + "\n".join(problems))

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        """Called before each test: what an earlier attempt measured does not count."""
        rows_of(item).clear()

    @pytest.hookimpl(wrapper=True)
    def pytest_pyfunc_call(self, pyfuncitem: pytest.Function) -> Generator[None, object, object]:
        """Called to run the body of a test: gates judge what it was given or has evaluated, once it has passed."""
        entry = marked_case(pyfuncitem)
        if entry is not None and not entry.runs_body:
            pyfuncitem.obj = _no_body
        result = yield
        rows = rows_of(pyfuncitem)
        if isinstance(entry, MarkedCase):
            pyfuncitem.user_properties.extend(property for row in rows for property in row_properties(row))
        failed = [row for row in rows if row.outcome == "failed"]
        if failed:
            texts = [failure_text(row, strict=self.run.settings.strict) for row in failed]
            pytest.fail("\n\n".join(texts), pytrace=False)
        return result

    @pytest.hookimpl(wrapper=True, trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> Generator[None, None, None]:
        """Called after the last test, and before the summary: rules that only the body of a test could have met."""
        yield
        if not self.run.is_controller or session.config.option.collectonly:
            return
        if self.run.settings.strict and session.exitstatus in (0, 1):
            self._problems = self.run.declared.dead_rules()
            if self._problems:
                session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Called at the end of the terminal output."""
        for problem in self._problems:
            terminalreporter.write_line(f"--lossy-strict: {problem}", red=True)


def _no_body(**fixtures: object) -> None:
    """What a knee or a mix runs: its gates are all."""


def _grouped(items: Sequence[pytest.Item]) -> list[pytest.Item]:
    """Cases of one model together, clean first, at the place of the first; a model is then loaded once in a process."""
    by_test: dict[str, list[tuple[MarkedCase, pytest.Item]]] = {}
    for item in items:
        entry = marked_case(item)
        if entry is not None:
            by_test.setdefault(entry.test, []).append((entry, item))
    result: list[pytest.Item] = []
    for item in items:
        entry = marked_case(item)
        if entry is None:
            result.append(item)
        else:
            cases = sorted(by_test.pop(entry.test, []), key=lambda pair: turn_of_case(pair[0].case))
            result += [other for _, other in cases]
    return result
