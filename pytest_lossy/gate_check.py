"""``pytest-lossy thresholds check``: a thresholds file against the specs, and against results where there are some."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pytest_lossy.cases import Case, CodecPlan, IndexedSpec
from pytest_lossy.codecs.registry import CODECS, build_codec
from pytest_lossy.data.registry import DATASETS
from pytest_lossy.errors import ConfigurationError, Problem
from pytest_lossy.planning import directions, gate_names
from pytest_lossy.registry import did_you_mean
from pytest_lossy.results.document import CaseRow
from pytest_lossy.results.reader import read_results
from pytest_lossy.specs.index import find_specs, index_specs, plan_codec
from pytest_lossy.specs.schema import Reference
from pytest_lossy.tasks.registry import TASKS, task_metrics, task_primary
from pytest_lossy.thresholds.checking import Finding, check_rules, decide, finding
from pytest_lossy.thresholds.knee_checks import knee_problems
from pytest_lossy.thresholds.measured_checks import check_measured
from pytest_lossy.thresholds.reader import load_thresholds
from pytest_lossy.thresholds.recovery_checks import recovery_directions, recovery_problems, silent_recovery_rules
from pytest_lossy.thresholds.rules import Thresholds
from pytest_lossy.thresholds.update_plan import IndexedCase

__all__ = ["CheckOptions", "check_files"]


@dataclass(frozen=True)
class CheckOptions:
    """What ``thresholds check`` was asked for."""

    files: Sequence[Path]
    specs: Sequence[Path]
    results: Path | None = None
    codecs: Sequence[str] = ()
    """Codecs that ``--lossy-codec`` adds to specs which do not list them."""
    levels: Sequence[tuple[str, tuple[float, ...]]] = ()
    """Label and levels that ``--lossy-level`` adds."""
    ignored: Sequence[str] = ()
    """Patterns of models that no spec file declares."""


def check_files(options: CheckOptions, root: Path) -> list[tuple[Path, int, list[Finding]]]:
    """Check thresholds files.

    Args:
        options: files and what they are checked against.
        root: what paths in messages are relative to.

    Returns:
        of each file: its path, how many gates it has, and what was found, by line.

    Raises:
        LossyError: a file, a spec or the results cannot be used; every problem of it.
    """
    paths: set[Path] = set()
    for path in options.specs:
        if not path.exists():
            raise ConfigurationError(f"{path}: no such spec or folder of specs; name it with --specs")
        paths.update(found.resolve() for found in find_specs(path))
    specs = index_specs(paths, root)
    if not specs:
        raise ConfigurationError(
            f"{', '.join(map(str, options.specs))}: no spec (*.yaml) to check gates against; name their folder with --specs"
        )
    plans = {spec.name: _plans(spec, options) for spec in specs}
    _check_names(options, plans)
    rows = read_results(options.results).cases if options.results is not None else []
    return [(path, *_check(path, specs, plans, rows, options)) for path in options.files]


def _check(
    path: Path,
    specs: Sequence[IndexedSpec],
    plans: dict[str, dict[str, CodecPlan]],
    rows: Sequence[CaseRow],
    options: CheckOptions,
) -> tuple[int, list[Finding]]:
    _, labels = gate_names(specs)
    # Unknown metrics are findings here, beside others.
    read = load_thresholds(path, path, metrics=None, labels=labels | {label for one in plans.values() for label in one})
    kept = [rule for rule in read.rules if not any(fnmatch.fnmatchcase(rule.model, glob) for glob in options.ignored)]
    thresholds = replace(read, rules=tuple(kept))
    variants = [replace(spec, reference=reference) for spec in specs for reference in _references(spec)]
    decided = decide(thresholds, [entry for spec in variants for entry in _indexed(spec, plans[spec.name], thresholds)])
    found = set(check_rules(thresholds, decided, _shares()))
    found.update(map(Finding, _refused(specs, plans, thresholds)))
    found.update(_silent(specs, plans, thresholds))
    found.update(check_measured(decided, rows))
    return len(thresholds.rules), sorted(found)


def _plans(spec: IndexedSpec, options: CheckOptions) -> dict[str, CodecPlan]:
    """The codecs that a spec lists or that the options add to it, by label."""
    plans = {plan.label: plan for plan in spec.plans}
    for name in options.codecs:
        if name not in plans and name in CODECS:
            plans[name] = plan_codec(name, name, build_codec(name), {})
    for label, levels in options.levels:
        if label in plans:
            plan = plans[label]
            both = sorted({*plan.levels, *levels}, key=plan.grid.severity)
            plans[label] = replace(plan, levels=tuple(both))
    return plans


def _check_names(options: CheckOptions, plans: dict[str, dict[str, CodecPlan]]) -> None:
    """Complain about codecs and levels that there are not.

    Raises:
        ConfigurationError: all of them.
    """
    labels = {label for one in plans.values() for label in one}
    problems = [
        f"--codec: unknown codec '{name}'; {did_you_mean(name, [*labels, *CODECS.names()])}"
        for name in options.codecs
        if name not in labels and name not in CODECS
    ]
    for label, levels in options.levels:
        if label not in labels:
            problems.append(f"--level: no spec lists codec '{label}'; {did_you_mean(label, labels)}")
        grids = [one[label].grid for one in plans.values() if label in one][:1]
        problems += [
            f"--level: {label}: {wrong}; choose {grid.minimum:g}..{grid.maximum:g}"
            for grid in grids
            for level in levels
            if (wrong := grid.problem(level))
        ]
    if problems:
        raise ConfigurationError("\n".join(problems))


def _references(spec: IndexedSpec) -> tuple[Reference, ...]:
    """What a model can be scored against, as its spec or a flag may say: by its own predictions always."""
    return ("clean",) if _unlabelled(spec) else ("labels", "clean")


def _unlabelled(spec: IndexedSpec) -> bool:
    name = spec.spec.data.name
    return name in DATASETS.builtin and not getattr(DATASETS.load(name), "labelled", True)


def _usual(spec: IndexedSpec) -> IndexedSpec:
    """The spec with the reference that it has without flags."""
    return replace(spec, reference=spec.spec.reference or ("clean" if _unlabelled(spec) else "labels"))


def _cases(spec: IndexedSpec, plans: dict[str, CodecPlan], thresholds: Thresholds) -> list[Case]:
    """Clean, every level mild to severe, the knee of every curve, and the mixes that a rule names."""
    cases = spec.cases(tuple(plans.values()))
    knees = [spec.knee(plan) for plan in plans.values() if spec.reference == "labels"]
    return [*cases, *knees, *thresholds.mix_cases(cases)]


def _indexed(spec: IndexedSpec, plans: dict[str, CodecPlan], thresholds: Thresholds) -> Iterable[IndexedCase]:
    builtin = spec.spec.task in TASKS.builtin
    known = directions(spec) if builtin else {}
    primary = task_primary(spec.spec.task) if builtin else ""
    for case in _cases(spec, plans, thresholds):
        yield IndexedCase(case, primary, {**known, **recovery_directions(spec, case)} if builtin else None)


def _shares() -> set[str]:
    """Metrics of the built-in tasks that lie between 0 and 1, more being better."""
    return {
        metric.name
        for name in TASKS.builtin
        for metric in task_metrics(name, clips=True)
        if metric.higher_is_better and not metric.unit
    }


def _refused(
    specs: Sequence[IndexedSpec], plans: dict[str, dict[str, CodecPlan]], thresholds: Thresholds
) -> list[Problem]:
    """What a run would refuse to start with, beside what the rules alone tell."""
    usual = [_usual(spec) for spec in specs]
    curves = [
        (spec.knee(plan), plan.grid, spec.reference == "clean") for spec in usual for plan in plans[spec.name].values()
    ]
    cases = [(spec, _cases(spec, plans[spec.name], thresholds)) for spec in usual]
    return [*knee_problems(curves, thresholds), *recovery_problems(thresholds.rules, cases, plans)]


def _silent(
    specs: Sequence[IndexedSpec], plans: dict[str, dict[str, CodecPlan]], thresholds: Thresholds
) -> list[Finding]:
    cases = [(spec, _cases(spec, plans[spec.name], thresholds)) for spec in map(_usual, specs)]
    return [
        finding(
            rule, f"{rule.metric}: matches no retrained model; write one with 'pytest-lossy retrain SPEC', or remove it"
        )
        for rule in silent_recovery_rules(thresholds.rules, cases)
    ]
