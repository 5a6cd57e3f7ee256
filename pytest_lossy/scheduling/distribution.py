"""What a run tells pytest-xdist: how many workers, on which devices, and who gets which item."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pytest_lossy.cores import physical_cores
from pytest_lossy.paths import from_spec
from pytest_lossy.results.reader import read_seconds
from pytest_lossy.scheduling.agenda import Work
from pytest_lossy.scheduling.costs import estimated_costs
from pytest_lossy.scheduling.devices import (
    auto_workers,
    query_gpus,
    visible_gpus,
    worker_environments,
)
from pytest_lossy.scheduling.scheduler import AffinityScheduling, group_of_test

if TYPE_CHECKING:
    import pytest

    from pytest_lossy.cases import IndexedSpec
    from pytest_lossy.run import Run
    from pytest_lossy.settings import Settings

__all__ = ["choose_workers", "distribution_problem", "make_scheduler", "prepare_workers"]

_TEST_COST = 0.05
"""Of an ordinary test: unknown, and most often small beside a case."""


def distribution_problem(config: pytest.Config) -> str | None:
    """What cannot be distributed, with what to do; None where nothing is wrong."""
    if config.getoption("dist", "no") == "each":
        return (
            "--dist=each runs every case on every worker; use -n alone, and the same run elsewhere for another machine"
        )
    remote = [spec for spec in getattr(config.option, "tx", None) or () if not re.match(r"(\d+\*)?popen", str(spec))]
    if remote:
        return (
            f"--tx {remote[0]}: only workers on this machine are supported; run on each machine, and merge the results"
        )
    return None


def choose_workers(settings: Settings, specs: Sequence[IndexedSpec]) -> int:
    """What ``-n auto`` means for this run; ``PYTEST_XDIST_AUTO_NUM_WORKERS`` is left to xdist."""
    gpus = [] if set(settings.device) == {"cpu"} else visible_gpus(query_gpus(), os.environ)
    sizes = []
    for spec in specs:
        model = spec.spec.model
        name = model.weights or model.onnx or model.litert or model.export
        path = from_spec(spec.path.parent, name) if name else None
        sizes.append(path.stat().st_size if path is not None and path.is_file() else 0)
    return auto_workers(gpus, settings.device, max(sizes, default=0), physical_cores())


def prepare_workers(run: Run, specs: Sequence[Any]) -> None:
    """Give each worker its device and its share of the threads.

    Args:
        run: on the controller.
        specs: execnet's, one a worker; changed in place, and used again for the worker that replaces a crashed one.

    Raises:
        ValueError: a device that is not there.
    """
    devices = run.settings.device
    gpus = [] if set(devices) == {"cpu"} else visible_gpus(query_gpus(), os.environ)
    for spec, settings in zip(specs, worker_environments(gpus, devices, len(specs), os.environ), strict=True):
        spec.env = {**(spec.env or {}), **settings}


def make_scheduler(run: Run, config: pytest.Config, log: Any) -> AffinityScheduling:
    """The scheduler, which asks for costs once the items are known."""
    dist = config.getoption("dist", "load")
    measured = read_seconds(run.folder.root / "results.json")

    def describe(node_ids: Sequence[str]) -> list[Work]:
        known = {node_id: found for node_id in node_ids if (found := run.case_of(node_id)) is not None}
        costs = estimated_costs([(name, case, spec.media) for name, (spec, case) in known.items()], measured)
        works = []
        for index, node_id in enumerate(node_ids):
            if node_id in known:
                spec, case = known[node_id]
                rank = 0 if case.is_clean else 1 if case.level is not None else 2
                works.append(Work(index, f"model {spec.name}", costs[node_id], rank))
            else:
                # Whoever asked for a file, a scope or a group on one worker gets that.
                together = dist in ("loadfile", "loadscope", "loadgroup")
                group = f"test {group_of_test(node_id, dist)}" if together else "tests"
                works.append(Work(index, group, _TEST_COST, splits=not together))
        return works

    return AffinityScheduling(config, log, describe)
