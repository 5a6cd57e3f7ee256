"""The hooks that pytest-lossy calls in conftest files and other plugins. Imports nothing heavy: every run loads it.

A plugin that must also work without pytest-lossy marks its implementations with ``@pytest.hookimpl(optionalhook=True)``.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pytest_lossy.extensions import ExtensionRegistry

__all__ = ["pytest_lossy_case_finished", "pytest_lossy_register", "pytest_lossy_results"]


@pytest.hookspec(historic=True)
def pytest_lossy_register(registry: ExtensionRegistry) -> None:
    """Called once in every process that needs codecs, tasks, data sets or models by name: add your own.

    In a lossy run that is the controller and each xdist worker, before any spec is read; without a lossy flag the process
    whose tests use pytest-lossy's fixtures or markers, when the first one does. Names hold until that pytest ends. The
    conftest file of a folder that pytest enters later is called when pytest loads it, which is too late for spec files.

    Args:
        registry: has the methods ``codec``, ``task``, ``data`` and ``model``, each called with a name and a class or
            function, or with ``"package.module:name"``, which is imported when the name is first used.
    """


@pytest.hookspec()
def pytest_lossy_case_finished(config: pytest.Config, row: dict[str, Any]) -> None:
    """Called in a lossy run for every case whose test has ended, whatever became of it.

    Only the controller calls it, one case at a time and in the order in which cases end: with xdist workers, too, it needs
    no locks. The row and the evidence lie on disk by then. A test that is run again (pytest-rerunfailures) counts when its
    last attempt ended. A call that raises does not fail the test or end the run: the summary says what it raised.

    Args:
        config: pytest's.
        row: an entry of ``cases`` in ``results.json``: plain builtins, numbers that are undefined are None. What only all
            cases together can say (knees, recovery) comes with :func:`pytest_lossy_results`.
    """


@pytest.hookspec()
def pytest_lossy_results(config: pytest.Config, document: dict[str, Any], folder: Path) -> None:
    """Called once at the end of a lossy run that had cases, on the controller, after everything has been written.

    A run that was interrupted has results, too; ``document["run"]["status"]`` says so. A call that raises is told in the
    summary and changes no outcome.

    Args:
        config: pytest's.
        document: the content of ``results.json``, plain builtins.
        folder: where it lies, beside ``index.html``, ``summary.md`` and ``evidence/``.
    """
