"""From settings and specs to the cases of a run, checked on the controller before any worker starts."""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pytest_lossy.cases import CLEAN, MIX, Case, CodecPlan, IndexedSpec
from pytest_lossy.codecs.base import Levels
from pytest_lossy.codecs.registry import CODECS, build_codec, intra_twin, needs_clips
from pytest_lossy.data.registry import DATASETS
from pytest_lossy.errors import ConfigurationError, LossyError
from pytest_lossy.registry import did_you_mean
from pytest_lossy.settings import ALL, Settings
from pytest_lossy.specs.index import find_specs, index_specs, plan_codec
from pytest_lossy.specs.schema import Reference
from pytest_lossy.tasks.registry import TASKS, known_metrics, task_metrics, task_primary
from pytest_lossy.thresholds.knee_checks import knee_problems
from pytest_lossy.thresholds.reader import load_thresholds
from pytest_lossy.thresholds.recovery_checks import RECOVERY_NAMES, recovery_problems, silent_recovery_rules
from pytest_lossy.thresholds.rules import PRIMARY, Rule, Thresholds, aggregate, is_glob

__all__ = [
    "Plan",
    "all_cases",
    "codec_plans",
    "dead_rule_message",
    "directions",
    "gate_names",
    "plan_cases",
    "plan_run",
    "read_specs",
    "reference_of",
    "selected_plans",
    "shown_path",
]


@dataclass(frozen=True)
class Plan:
    """What the controller found: specs, gates, and what to tell the user about them."""

    specs: tuple[IndexedSpec, ...]
    thresholds: Thresholds
    warnings: tuple[str, ...]
    later: tuple[tuple[str, str, str], ...] = ()
    """Names that only a spec of a Python test can explain: what each is a name of, the name, the complaint. In flags that is
    a ``codec`` or ``model``, in thresholds.yaml a ``label`` or ``metric``."""
    dead: tuple[Rule, ...] = ()
    """Rules that match no case of a spec file, where Python tests may have one."""


def read_specs(settings: Settings, extra: Iterable[Path], root: Path, *, required: bool) -> list[IndexedSpec]:
    """Index the specs of ``--lossy-specs`` and those named on the command line.

    Args:
        settings: parsed options.
        extra: spec files given as paths.
        root: pytest's root directory.
        required: whether a missing default folder is an error.

    Raises:
        ConfigurationError: no spec, or every problem of all of them.
    """
    paths = set(extra)
    if settings.specs.exists():
        paths.update(find_specs(settings.specs))
    elif settings.specs_given or required:
        raise ConfigurationError(
            f"{settings.specs}: no such folder of specs; 'pytest-lossy init' writes a first one, or name the folder with "
            "--lossy-specs"
        )
    if not paths and required:
        raise ConfigurationError(f"{settings.specs}: holds no spec (*.yaml); 'pytest-lossy init' writes a first one")
    return [replace(spec, reference=reference_of(spec, settings)) for spec in index_specs(paths, root)]


def reference_of(spec: IndexedSpec, settings: Settings) -> Reference:
    """As the flag says, else the spec, else labels wherever there may be some."""
    name = spec.spec.data.name
    unlabelled = name in DATASETS.builtin and not getattr(DATASETS.load(name), "labelled", True)
    return settings.reference or spec.spec.reference or ("clean" if unlabelled else "labels")


def plan_run(
    settings: Settings, specs: list[IndexedSpec], root: Path, python: Callable[[], bool] = lambda: False
) -> Plan:
    """Check codecs, levels and thresholds against the specs.

    Args:
        settings: parsed options.
        specs: of files.
        root: pytest's root directory.
        python: whether Python tests may bring specs of their own; what those may explain is then left for later.

    Raises:
        ConfigurationError: names that nothing knows, levels out of range, bad thresholds, rules that disagree.
    """
    problems, later = _unknown_names(settings, specs)
    if later and not python():
        # Without spec files there is nothing that a pattern of models could miss.
        problems, later = [*(text for kind, _, text in later if specs or kind != "model"), *problems], []
    if problems:
        raise ConfigurationError("\n".join(problems))
    try:
        thresholds, warnings = _read_thresholds(settings, specs, root)
    except ConfigurationError:
        if not python():
            raise
        thresholds, warnings = _read_thresholds(settings, specs, root, strangers=True)
        later += _strange_names(thresholds, specs)
    by_spec = [(spec, all_cases(spec, settings, thresholds)) for spec in specs]
    everything = [case for _, cases in by_spec for case in cases]
    dead = thresholds.unmatched(everything)
    undecided = dead if dead and python() else []
    messages = [dead_rule_message(rule) for rule in dead if not undecided]
    messages += [
        f"{rule.place}: {rule.metric}: matches no retrained model; write one with 'pytest-lossy retrain SPEC', or remove it"
        for rule in silent_recovery_rules(thresholds.rules, by_spec)
    ]
    impossible: list[str] = []
    for name in settings.codecs:
        stills = [spec.name for spec in specs if spec.media == "stills"]
        if name in CODECS and needs_clips(name) and stills:
            warnings.append(f"--lossy-codec={name} is for clips and was not run on the stills of {', '.join(stills)}")
            impossible.append(warnings[-1])
    if impossible and not any(selected_plans(spec, settings) for spec in specs):
        raise ConfigurationError("\n".join(impossible))  # nothing runs, so that no report would tell
    if settings.strict and messages:
        raise ConfigurationError("\n".join(messages))
    clashes = knee_problems([knee for spec in specs for knee in _knees(spec, settings)], thresholds)
    plans = {spec.name: codec_plans(spec, settings) for spec in specs}
    clashes += recovery_problems(thresholds.rules, by_spec, plans)
    for spec, cases in by_spec:
        if spec.spec.task not in TASKS.builtin:
            continue
        known = {**directions(spec), **dict.fromkeys(RECOVERY_NAMES, True)}  # who can have one was checked above
        for case in cases:
            try:
                thresholds.gates_for(case, task_primary(case.task), known)
            except ConfigurationError as error:
                clashes += error.problems
    if clashes:
        raise ConfigurationError(clashes)
    if settings.knee:
        problems = _single_levels(specs, settings, thresholds)
        if problems:
            raise ConfigurationError("\n".join(problems))
        warnings += [
            f"{spec.name} is label-free: it has no retention, and --lossy-knee searches nothing there"
            for spec in specs
            if spec.reference == "clean" and plan_cases(spec, settings, thresholds)
        ]
    return Plan(tuple(specs), thresholds, tuple(warnings + messages), tuple(later), tuple(undecided))


def dead_rule_message(rule: Rule) -> str:
    """What is wrong with a rule that matches no case."""
    return (
        f"{rule.place}: matches no case: no {rule.model} / {rule.codec}{f' / {rule.level}' if rule.level else ''}; "
        + ("its codecs must list every level of the mix" if rule.codec == MIX else "remove the rule or correct it")
    )


def plan_cases(spec: IndexedSpec, settings: Settings, thresholds: Thresholds) -> list[Case]:
    """The cases of one spec that the flags select; empty where they select none.

    Clean, the levels, the knees that a rule gates, and the mixes of those levels. ``--lossy-knee`` is there to evaluate
    few levels: then clean and the knee of each curve are all.
    """
    if settings.models and not any(fnmatch.fnmatchcase(spec.name, pattern) for pattern in settings.models):
        return []
    if settings.tasks and spec.spec.task not in settings.tasks:
        return []
    plans = selected_plans(spec, settings)
    if not plans:
        return []
    if settings.knee:
        return [spec.clean, *(spec.knee(plan) for plan in plans if spec.reference == "labels")]
    cases = spec.cases(plans)
    knees = [case for case in map(spec.knee, plans) if _is_gated(case, spec, thresholds)]
    return [*cases, *knees, *(case for case in thresholds.mix_cases(cases) if _is_gated(case, spec, thresholds))]


def _is_gated(case: Case, spec: IndexedSpec, thresholds: Thresholds) -> bool:
    """Whether a rule judges this mix or knee: not one for the other reference, nor one silent about the task's metrics."""
    if spec.spec.task not in TASKS.builtin:  # its metrics are not known yet
        return any(rule.reference == case.reference and rule.rank(case) is not None for rule in thresholds.rules)
    return bool(thresholds.gates_for(case, task_primary(case.task), directions(spec)))


def _knees(spec: IndexedSpec, settings: Settings) -> list[tuple[Case, Levels, bool]]:
    """The knee of every curve that the spec or the flags name, its codec's levels, and whether the spec is label-free."""
    own = spec.reference == "clean" and settings.reference is None
    return [(spec.knee(plan), plan.grid, own) for plan in codec_plans(spec, settings).values()]


def _single_levels(specs: Sequence[IndexedSpec], settings: Settings, thresholds: Thresholds) -> list[str]:
    """Searches that have nowhere to begin or to end."""
    return [
        f"--lossy-knee: {spec.name} has only level {plan.ends[0]:g} of {plan.label}; name the two ends of the search with "
        f"--lossy-level={plan.label}:{plan.grid.default[0]:g},{plan.grid.default[-1]:g}"
        for spec in specs
        if plan_cases(spec, settings, thresholds)
        for plan in selected_plans(spec, settings)
        if spec.reference == "labels" and len(plan.levels) < 2
    ]


def directions(spec: IndexedSpec) -> dict[str, bool]:
    """The aggregate metrics of a built-in task on this data, and whether more of each is better."""
    metrics = task_metrics(
        spec.spec.task,
        extra=spec.spec.metrics,
        clips=spec.media == "clips",
        label_free=spec.reference == "clean",
    )
    return {metric.name: metric.higher_is_better for metric in metrics}


def selected_plans(spec: IndexedSpec, settings: Settings) -> tuple[CodecPlan, ...]:
    """The codecs of ``--lossy-codec``; a codec that the spec lacks runs on its default grid."""
    own = {plan.label: plan for plan in spec.plans}
    if settings.codecs == (ALL,):
        chosen = list(spec.plans)
    else:
        chosen = []
        for label in dict.fromkeys(_label_for(name, spec) for name in settings.codecs):
            if label in own:
                chosen.append(own[label])
            elif label in CODECS and not (spec.media == "stills" and needs_clips(label)):
                chosen.append(plan_codec(label, label, build_codec(label), {}))
    overrides: dict[str, list[float]] = {}
    for choice in settings.levels:  # repeated flags for one codec add up
        overrides.setdefault(_label_for(choice.label, spec), []).extend(choice.levels)
    return tuple(
        replace(plan, levels=tuple(sorted(set(overrides[plan.label]), key=plan.grid.severity)))
        if plan.label in overrides
        else plan
        for plan in chosen
    )


def codec_plans(spec: IndexedSpec, settings: Settings) -> dict[str, CodecPlan]:
    """Every codec that the spec lists or that the flags add to it, by label; the flags' levels win."""
    return {plan.label: plan for plan in (*spec.plans, *selected_plans(spec, settings))}


def _label_for(name: str, spec: IndexedSpec) -> str:
    """The label that a name on the command line means for a spec: a stream codec meets stills as its intra twin."""
    if spec.media == "clips" or name not in CODECS or any(plan.label == name for plan in spec.plans):
        return name
    return name if needs_clips(name) else intra_twin(name) or name


def all_cases(spec: IndexedSpec, settings: Settings, thresholds: Thresholds) -> list[Case]:
    """Every case that the spec lists or that the flags add, before narrowing, every knee, and every mix of a rule."""
    cases = list(dict.fromkeys([*spec.cases(), *spec.cases(selected_plans(spec, settings))]))
    return [*cases, *(case for case, *_ in _knees(spec, settings)), *thresholds.mix_cases(cases)]


def _unknown_names(settings: Settings, specs: list[IndexedSpec]) -> tuple[list[str], list[tuple[str, str, str]]]:
    """What is wrong with the names of flags, and what a spec of a Python test may still explain; see :class:`Plan`."""
    plans = {plan.label: plan for spec in specs for plan in spec.plans}
    labels = {*plans, *CODECS.names()}
    problems: list[str] = []
    later = [
        ("codec", name, f"--lossy-codec: unknown codec '{name}'; {did_you_mean(name, [*labels, ALL])}")
        for name in settings.codecs
        if name != ALL and name not in labels
    ]
    for name in settings.codecs:
        if name in CODECS and name not in plans:
            try:
                build_codec(name)
            except LossyError as error:
                problems.append(f"--lossy-codec: '{name}' cannot run with default options ({error}); list it in a spec")
    for choice in settings.levels:
        if choice.label not in labels:
            message = f"--lossy-level: unknown codec '{choice.label}'; {did_you_mean(choice.label, labels)}"
            later.append(("codec", choice.label, message))
            continue
        try:
            grid = plans[choice.label].grid if choice.label in plans else build_codec(choice.label).levels
        except LossyError as error:
            problems.append(f"--lossy-level: {error}")
            continue
        for level in choice.levels:
            wrong = grid.problem(level)
            if wrong:
                problems.append(f"--lossy-level: {choice.label}: {wrong}; choose {grid.minimum:g}..{grid.maximum:g}")
    names = [spec.name for spec in specs]
    for pattern in settings.models:
        if not any(fnmatch.fnmatchcase(name, pattern) for name in names):
            message = f"--lossy-model: '{pattern}' matches no model; {did_you_mean(pattern, names)}"
            later.append(("model", pattern, message))
    tasks = {*TASKS.names(), *(spec.spec.task for spec in specs)}
    problems += [
        f"--lossy-task: unknown task '{name}'; {did_you_mean(name, tasks)}"
        for name in settings.tasks
        if name not in tasks
    ]
    return problems, later


def _read_thresholds(
    settings: Settings, specs: list[IndexedSpec], root: Path, *, strangers: bool = False
) -> tuple[Thresholds, list[str]]:
    """The gates, and what to tell the user; ``strangers``: rules may name what no spec has."""
    path = settings.thresholds
    if not path.exists() and settings.update is not None:
        return Thresholds(), []  # this run will write it
    if not path.exists() and not settings.thresholds_given:
        return Thresholds(), [
            f"there is no {path.name}: every case is ungated; write one, or let --lossy-update write it"
        ]
    metrics, labels = gate_names(specs)
    metrics = None if strangers else metrics
    return load_thresholds(path, shown_path(path, root), metrics=metrics, labels=labels, more_labels=strangers), []


def _strange_names(thresholds: Thresholds, specs: list[IndexedSpec]) -> list[tuple[str, str, str]]:
    """Labels and metrics of rules that no spec knows, each place once; see :class:`Plan`."""
    metrics, labels = gate_names(specs)
    found: list[tuple[str, str, str]] = []
    for rule in thresholds.rules:
        metric = aggregate(rule.metric)
        if rule.codec not in (CLEAN, MIX, *labels) and not is_glob(rule.codec):
            hint = did_you_mean(rule.codec, labels)
            found.append(("label", rule.codec, f"{rule.place}: unknown codec '{rule.codec}'; {hint}"))
        if metrics is not None and metric not in (PRIMARY, *metrics):
            found.append(
                ("metric", metric, f"{rule.place}: unknown metric '{metric}'; {did_you_mean(metric, metrics)}")
            )
    return list(dict.fromkeys(found))  # a metric may have several bounds


def shown_path(path: Path, root: Path) -> Path:
    """A thresholds file as messages and results name it."""
    return path.relative_to(root) if path.is_relative_to(root) else path


def gate_names(specs: Sequence[IndexedSpec]) -> tuple[set[str] | None, set[str]]:
    """The metrics that a gate may name, None where third-party tasks may add to them, and the codec labels."""
    # Metrics of third-party tasks are known only once their code is imported, when a model loads.
    builtin_only = all(spec.spec.task in TASKS.builtin for spec in specs)
    labels = {plan.label for spec in specs for plan in spec.plans} | set(CODECS.names())
    extra = {name for spec in specs for name in spec.spec.metrics}
    return known_metrics() | RECOVERY_NAMES | extra if builtin_only else None, labels
