"""Hooks of a lossy run that hand results on to other code: each case when its test has ended, and everything at the end."""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING, Any

import pytest

from pytest_lossy.extensions import call_hook

if TYPE_CHECKING:
    from pytest_lossy.cases import Case, IndexedSpec
    from pytest_lossy.run import Run

__all__ = ["TellingHooks"]


class TellingHooks:
    """Registered on the controller, beside the hooks of the run."""

    def __init__(self, config: pytest.Config, run: Run) -> None:
        self.config, self.run = config, run
        self._problems: dict[str, int] = {}
        self._again: set[str] = set()

    @pytest.hookimpl(trylast=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Called for every phase of every test; xdist calls a worker's death a phase of its own."""
        if report.when == "setup":
            self._again.discard(report.nodeid)
        if report.outcome == "rerun":  # type: ignore[comparison-overlap]  # of pytest-rerunfailures
            self._again.add(report.nodeid)
        if report.nodeid in self._again:
            return  # another attempt follows, which begins with its setup
        if report.when not in ("teardown", "???") or not self._is_wanted("pytest_lossy_case_finished"):
            return
        for row_id, case in self._cases_of(report.nodeid):
            from pytest_lossy.assembly import row_of_case

            row = row_of_case(self.run.store, row_id, case, interrupted=False)
            self._call("pytest_lossy_case_finished", row=row.model_dump(mode="json"))

    def _cases_of(self, node_id: str) -> list[tuple[str, Case]]:
        if self.run.is_case_id(node_id):
            found = self.run.case_of(node_id)
            return [(node_id, found[1])] if found is not None else []
        measured: list[tuple[IndexedSpec, Case]] = self.run.declared.of_test(node_id)
        if not measured and self.run.workers:
            self.run.declared.read()  # what the body of a test has evaluated in a worker
            measured = self.run.declared.of_test(node_id)
        return [(spec.row_id(case), case) for spec, case in measured]

    @pytest.hookimpl(wrapper=True, trylast=True)
    def pytest_sessionfinish(self) -> Generator[None, None, None]:
        """Called after the last test; what follows ``yield`` comes after the report is written, and before the summary."""
        yield
        hooks: Any = self.config.pluginmanager.get_plugin("lossy-hooks")
        document = hooks.document if hooks is not None else None
        if document is not None and self._is_wanted("pytest_lossy_results"):
            folder = self.run.folder.root
            self._call("pytest_lossy_results", document=document.model_dump(mode="json"), folder=folder)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Called at the end of the terminal output: what hooks raised."""
        for problem, count in self._problems.items():
            times = f", {count} times" if count > 1 else ""
            terminalreporter.write_line(f"lossy: {problem}{times}", yellow=True)

    def _is_wanted(self, name: str) -> bool:
        return bool(getattr(self.config.hook, name).get_hookimpls())

    def _call(self, name: str, **arguments: Any) -> None:
        problem = call_hook(self.config, name, **arguments)
        if problem is not None:
            self._problems[problem] = self._problems.get(problem, 0) + 1
