"""Every spec is tried: its data are opened, its model is built, and one sample goes through both and is scored."""

from __future__ import annotations

import gc
import math
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from pytest_lossy.cases import IndexedSpec
from pytest_lossy.codecs.registry import CODECS
from pytest_lossy.doctor.findings import Finding
from pytest_lossy.engine.runtime import ModelRuntime, RuntimeOptions
from pytest_lossy.errors import ConfigurationError, LossyError, MissingInputError
from pytest_lossy.first_steps.ini_files import find_ini_file
from pytest_lossy.options import DEFAULT_SPECS, DEFAULT_THRESHOLDS
from pytest_lossy.results.evidence import CaseEvidence
from pytest_lossy.specs.index import find_specs, index_specs
from pytest_lossy.tasks.base import Task
from pytest_lossy.tasks.registry import TASKS, known_metrics
from pytest_lossy.thresholds.reader import load_thresholds
from pytest_lossy.thresholds.recovery_checks import RECOVERY_NAMES
from pytest_lossy.usercode import explain_exception

__all__ = ["check_specs"]


def check_specs(progress: Callable[[str], None], root: Path, specs: Path | None, device: str) -> Iterator[Finding]:
    """Index all specs, read thresholds.yaml, then try each model in turn. Nothing that a user's code raises escapes.

    The arguments are those of :func:`pytest_lossy.doctor.diagnose_specs`.
    """
    progress("specs")
    try:
        ini = find_ini_file(root)
    except ConfigurationError as error:
        yield from _refused("pytest's ini", error)
        return
    folder = Path(root, specs or ini.lossy("specs") or DEFAULT_SPECS)
    if not folder.exists():
        needed = specs is not None
        yield Finding(
            "spec",
            "specs",
            "broken" if needed else "absent",
            reason=f"{folder}: no such folder",
            action="correct --specs" if needed else "'pytest-lossy init' writes a first one, with a sample that runs",
            needed=needed,
        )
        return
    indexed: list[IndexedSpec] = []
    for path in find_specs(folder):
        try:
            indexed += index_specs([path], root)
        except ConfigurationError as error:
            yield from _refused(path.name, error)
    try:
        index_specs([spec.path for spec in indexed], root)
    except ConfigurationError as error:  # names that clash, which one spec alone cannot show
        yield from _refused("names", error)
    yield from _thresholds(Path(root, ini.lossy("thresholds") or DEFAULT_THRESHOLDS), root, indexed)
    for spec in indexed:
        progress(spec.name)
        yield _tried(spec, device)
        gc.collect()  # a network may hold cycles, and the next one needs the memory


def _thresholds(path: Path, root: Path, indexed: list[IndexedSpec]) -> Iterator[Finding]:
    shown = path.relative_to(root) if path.is_relative_to(root) else path
    if not path.exists():
        if indexed:
            reason, action = (
                "every case is measured and none is judged",
                "write gates, or let --lossy-update write them",
            )
            yield Finding("spec", shown.name, "absent", reason=reason, action=action, needed=False)
        return
    builtin = all(spec.spec.task in TASKS.builtin for spec in indexed)
    labels = {plan.label for spec in indexed for plan in spec.plans} | set(CODECS.names())
    try:
        found = load_thresholds(
            path, shown, metrics=known_metrics() | RECOVERY_NAMES if builtin else None, labels=labels
        )
    except ConfigurationError as error:
        yield from _refused(shown.name, error)
        return
    yield Finding("spec", shown.name, "works", f"{len(found.rules)} rules", {"rules": len(found.rules)})


def _tried(spec: IndexedSpec, device: str) -> Finding:
    optional = spec.spec.requires == "optional"
    try:
        return _measured(spec, device)
    except MissingInputError as error:
        if optional:
            reason, action = _split(str(error).splitlines()[0])
            action = " ".join(spec.spec.needs.split()) if spec.spec.needs else action
            return Finding("spec", spec.name, "absent", reason=reason, action=action, needed=False)
        return _broken(spec.name, str(error))
    except LossyError as error:
        return _broken(spec.name, str(error))
    except Exception as error:  # noqa: BLE001  a user's model or data may raise anything, and the other specs wait
        return _broken(spec.name, explain_exception(error))


def _measured(spec: IndexedSpec, device: str) -> Finding:
    """Load, predict one sample, score it."""
    started = time.perf_counter()
    runtime = ModelRuntime.load(spec, RuntimeOptions(device=(device,), samples=1))
    try:
        loaded = time.perf_counter()
        evidence = runtime.pipeline.evaluate(None, None)
        seconds = time.perf_counter() - loaded
        values = _values(runtime.task, evidence)
        count = len(runtime.dataset)
        details: dict[str, Any] = {
            "spec": spec.shown,
            "device": runtime.device,
            "load_seconds": round(loaded - started, 3),
            "sample_seconds": round(seconds, 3),
            "sample": evidence.ids[0],
            "samples": count,
            "cases": len(spec.cases()),
            "metrics": values,
        }
    finally:
        runtime.close()
    primary = runtime.task.primary
    shown = "undefined" if values.get(primary) is None else f"{values[primary]:.3g}"
    summary = (
        f"{runtime.device}; loaded in {loaded - started:.1f} s, a first sample in {seconds:.2f} s, its {primary} {shown}; "
        f"{count:,} samples, {len(spec.cases())} cases"
    )
    return Finding("spec", spec.name, "works", summary, details)


def _values(task: Task, evidence: CaseEvidence) -> dict[str, float | None]:
    """The aggregate metrics of what was scored; None where one sample leaves them undefined."""
    names = {metric.name for metric in task.metrics}
    reduced = task.reduce(evidence.evidence, np.ones((1, len(evidence))))
    values = {name: float(value[0]) for name, value in reduced.items() if name in names}
    return {name: value if math.isfinite(value) else None for name, value in values.items()}


def _broken(name: str, message: str) -> Finding:
    reason, action = _split(message)
    again = f"pytest --lossy-codec=jpeg --lossy-samples=1 --lossy-model={name}"
    return Finding(
        "spec", name, "broken", reason=reason, action=action or f"mend that, and see it in full with: {again}"
    )


def _refused(name: str, error: ConfigurationError) -> Iterator[Finding]:
    """A finding for each problem of a file."""
    for text in [str(problem) for problem in error.problems] or [str(error)]:
        yield _broken(name, text)


def _split(message: str) -> tuple[str, str | None]:
    """What is wrong and what to do: messages of ours end with a next action, those of users' code do not."""
    first, *more = [" ".join(line.split()) for line in message.splitlines() if line.strip()] or [""]
    reason, found, action = first.rpartition("; ")
    if more or not found:
        return "; ".join([first, *more]), None
    return reason, action
