"""What pytest's objects say of a test: where it stands, what it measured, and whether it is part of a lossy run."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

from pytest_lossy.own_tests.declaration import Place
from pytest_lossy.specs.index import relative_to_root

if TYPE_CHECKING:
    from pytest_lossy.results.document import CaseRow
    from pytest_lossy.run import Run

__all__ = ["default_name", "place_of", "rows_of", "run_of"]

_ROWS = pytest.StashKey[list["CaseRow"]]()


def run_of(config: pytest.Config) -> Run | None:
    """The lossy run; None without a lossy flag."""
    hooks: Any = config.pluginmanager.get_plugin("lossy-hooks")
    run: Run | None = hooks.run if hooks is not None else None
    return run


def rows_of(item: pytest.Item) -> list[CaseRow]:
    """What a test has measured so far, for whoever judges it afterwards."""
    return item.stash.setdefault(_ROWS, [])


def place_of(item: pytest.Item) -> Place:
    """Where a test stands."""
    function = item.nodeid.partition("[")[0].partition("::")[2].replace("::", ".")
    shown = relative_to_root(item.path, item.config.rootpath)
    return Place(item.path, shown, (item.location[1] or 0) + 1, function)


def default_name(node_id: str) -> str:
    """A model's name from a test's node id, which no other test has: path, classes, function and parameters."""
    path, _, rest = node_id.partition("::")
    function, _, parameters = rest.partition("[")
    dotted = f"{path.removesuffix('.py').replace('/', '.')}.{function.replace('::', '.')}"
    return re.sub(r"[^A-Za-z0-9._-]+", "-", f"{dotted}-{parameters}").strip("-")
