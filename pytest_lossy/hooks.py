"""Hooks that are registered only with a lossy flag; each says when pytest calls it and hands on to the rooms."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Any

import pytest

from pytest_lossy.cluster.settings import engine_problem
from pytest_lossy.collection import LossyFile, LossyItem, order_items
from pytest_lossy.engine.memory import keep_freed_memory
from pytest_lossy.errors import ConfigurationError, ResultsError
from pytest_lossy.planning import read_specs
from pytest_lossy.progress import StatusLine
from pytest_lossy.report.gate_lines import gate_lines
from pytest_lossy.report.terminal import terminal_lines
from pytest_lossy.run import Run
from pytest_lossy.scheduling.distribution import (
    choose_workers,
    distribution_problem,
    make_scheduler,
    prepare_workers,
)
from pytest_lossy.settings import SettingsError, parse_settings
from pytest_lossy.specs.index import SPEC_SUFFIXES

__all__ = ["LossyHooks", "activate", "workers_of_auto"]


def activate(config: pytest.Config) -> None:
    """Check the whole configuration and register the hooks.

    Raises:
        pytest.UsageError: exit 4, on the controller, before any worker starts.
    """
    problem = engine_problem(config) or distribution_problem(config)
    if problem is not None:
        raise pytest.UsageError(f"pytest-lossy cannot start:\n{problem}")
    without_paths = config.args_source is not pytest.Config.ArgsSource.ARGS
    named = _named_specs(config)
    try:
        run = (
            Run.in_worker(config)
            if hasattr(config, "workerinput")
            else Run.on_controller(config, named, required=without_paths)
        )
    except (SettingsError, ConfigurationError) as error:
        raise pytest.UsageError(f"pytest-lossy cannot start:\n{error}") from None
    keep_freed_memory()  # here, since threads that begin before it would have arenas of their own
    if without_paths:
        # `pytest --lossy-codec=jpeg` runs the specs wherever `testpaths` points.
        known = {Path(argument).resolve() for argument in config.args}
        config.args += [str(spec.path) for spec in run.plan.specs if spec.path not in known]
    config.pluginmanager.register(LossyHooks(config, run, without_paths), "lossy-hooks")


def workers_of_auto(config: pytest.Config) -> int | None:
    """How many workers ``-n auto`` means; None where the configuration is wrong, which :func:`activate` will say."""
    try:
        settings = parse_settings(config)
        specs = read_specs(settings, _named_specs(config), config.rootpath, required=False)
    except (SettingsError, ConfigurationError):
        return None
    return choose_workers(settings, specs)


def _named_specs(config: pytest.Config) -> list[Path]:
    """Spec files that the command line names, with or without ``::model::case``."""
    if config.args_source is not pytest.Config.ArgsSource.ARGS:
        return []
    paths = [Path(config.invocation_params.dir, argument.partition("::")[0]) for argument in config.args]
    return [path.resolve() for path in paths if path.suffix in SPEC_SUFFIXES and path.is_file()]


class LossyHooks:
    """The one plugin object of a lossy run."""

    def __init__(self, config: pytest.Config, run: Run, without_paths: bool) -> None:
        self.config, self.run, self.without_paths = config, run, without_paths
        self._status: StatusLine | None = None
        self._document: Any = None

    @property
    def document(self) -> Any:
        """The results, once they are written; None before, and where there are none."""
        return self._document

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionstart(self) -> None:
        """Called before collection and before xdist starts workers: take the report folder."""
        if self.config.option.collectonly or not self.run.is_controller:
            return
        try:
            self.run.connect()
            self.run.open()
        except ConfigurationError as error:
            raise pytest.UsageError(f"pytest-lossy cannot start:\n{error}") from None
        except ResultsError as error:
            raise pytest.UsageError(str(error)) from None
        self._status = StatusLine.start(self.config, self.run)

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_setupnodes(self, specs: Sequence[Any]) -> None:
        """Called by xdist before it starts workers: choose the device that each will see."""
        try:
            prepare_workers(self.run, specs)
        except ValueError as error:
            raise pytest.UsageError(f"pytest-lossy cannot start:\n{error}") from None

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_make_scheduler(self, config: pytest.Config, log: Any) -> Any:
        """Called by xdist before collection: bring our own scheduler."""
        return make_scheduler(self.run, config, log)

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        """Called by xdist before a worker starts: hand it what the controller froze."""
        node.workerinput["lossy"] = self.run.serialise()

    def pytest_report_header(self) -> list[str]:
        """Called once at the top of the terminal output."""
        return self.run.header_lines()

    def pytest_collect_file(self, file_path: Path, parent: pytest.Collector) -> LossyFile | None:
        """Called for every file that pytest meets: claim the specs."""
        spec = self.run.spec_of(file_path)
        return LossyFile.of(parent, file_path, spec, self.run) if spec is not None else None

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> Generator[None, None, None]:
        """Called after collection; the part after ``yield`` runs after every other plugin's shuffling."""
        yield
        items[:] = order_items(items)
        if self.without_paths:
            kept = [item for item in items if isinstance(item, LossyItem) or _is_marked(item)]
            if len(kept) < len(items):
                chosen = set(map(id, kept))
                self.config.hook.pytest_deselected(items=[item for item in items if id(item) not in chosen])
                items[:] = kept

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Called once the final list of items is known (in a worker, and on a controller without workers)."""
        self.run.set_planned([item.nodeid for item in session.items if isinstance(item, LossyItem)])

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> None:
        """Called once before the first test: hand all cases to the cluster, if there is one; tests then run as ever."""
        options = session.config.option
        if options.collectonly or (session.testsfailed and not options.continue_on_collection_errors):
            return
        try:
            self.run.submit()
        except ConfigurationError as error:
            raise pytest.UsageError(f"pytest-lossy cannot start:\n{error}") from None

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, ids: Sequence[str]) -> None:
        """Called by xdist on the controller when a worker has collected; all workers collect the same."""
        if not self.run.planned:
            self.run.set_planned([node_id for node_id in ids if self.run.is_case_id(node_id)])

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self) -> None:
        """Called for every phase of every test, before the terminal prints it."""
        if self._status is not None:
            self._status.clear()

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        """Called after the last test, or after Ctrl-C; on the controller xdist's workers have ended by then."""
        if self._status is not None:
            self._status.stop()
        self.run.end_cluster()
        self.run.store_cache_statistics()
        if not self.run.is_controller:
            return
        try:
            self._document = self.run.finish(
                int(exitstatus), interrupted=int(exitstatus) == pytest.ExitCode.INTERRUPTED
            )
        except ResultsError as error:
            self.run.problem = str(error)
            session.exitstatus = pytest.ExitCode.INTERNAL_ERROR
            return
        if self.run.problem and exitstatus == 0:
            session.exitstatus = exitstatus = pytest.ExitCode.INTERNAL_ERROR
        if exitstatus == 0 and self.run.written_gates is not None and self.run.written_gates.problem:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED
        comparison = self._document.comparison if self._document is not None else None
        if exitstatus == 0 and comparison is not None and any(change.failed for change in comparison.changes):
            session.exitstatus = pytest.ExitCode.TESTS_FAILED
        if self._document is not None and self._document.run.counts.get("not_run") and exitstatus == 0:
            missing = [row for row in self._document.cases if row.verdict == "not_run" and not row.error]
            if missing:  # a skip is explained in its row; a case that nobody ran must not look like success
                session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Called at the end of the terminal output: one section, only when cases ran."""
        if self.run.problem:
            terminalreporter.section("pytest-lossy", red=True)
            terminalreporter.write_line(self.run.problem, red=True)
        if self._document is None:
            return
        terminalreporter.section("pytest-lossy")
        verbose = self.config.get_verbosity() > 0
        for line, markup in terminal_lines(self._document, terminalreporter._tw.fullwidth, verbose=verbose):
            terminalreporter.write_line(line, **markup)
        if self.run.written_gates is not None:
            for line, markup in gate_lines(self.run.written_gates, verbose=verbose):
                terminalreporter.write_line(line, **markup)
        for label, path in self.run.published():
            terminalreporter.write_line(f"{label}: {path}")

    def pytest_unconfigure(self) -> None:
        """Called at the very end: release the report folder and remove temporary files."""
        if self._status is not None:
            self._status.stop()
        self.run.close()


def _is_marked(item: pytest.Item) -> bool:
    """Whether a Python test carries one of our markers, or evaluates a model by the fixture ``lossy``."""
    return "lossy" in getattr(item, "fixturenames", ()) or any(
        marker.name == "lossy" or marker.name.startswith("lossy_") for marker in item.iter_markers()
    )
