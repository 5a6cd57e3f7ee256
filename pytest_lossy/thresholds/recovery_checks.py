"""Gates on recovery: which cases can have one, and what a gate that none can meet is told before any worker starts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from pytest_lossy.cases import CLEAN, MIX, Case, CodecPlan, IndexedSpec
from pytest_lossy.errors import Problem
from pytest_lossy.tasks.retraining import RECOVERY_METRICS
from pytest_lossy.thresholds.rules import Rule, aggregate, is_glob

__all__ = ["RECOVERY_NAMES", "ask_for_recovery", "recovery_directions", "recovery_problems", "silent_recovery_rules"]

RECOVERY_NAMES = frozenset(metric.name for metric in RECOVERY_METRICS)


def recovery_directions(spec: IndexedSpec, case: Case) -> dict[str, bool]:
    """The recovery metrics that a case has, and whether more of each is better; empty where there is no control.

    A recovery is of one level of a fine-tuned model. Clean has none, and neither has label-free mode, where every model
    agrees with itself.
    """
    record = spec.spec.retrained
    if record is None or record.control is None or case.level is None or case.reference != "labels":
        return {}
    return {metric.name: metric.higher_is_better for metric in RECOVERY_METRICS}


def ask_for_recovery(metrics: Sequence[str]) -> bool:
    """Whether one of the gated metrics compares models."""
    return not RECOVERY_NAMES.isdisjoint(metrics)


def recovery_problems(
    rules: Sequence[Rule],
    cases: Sequence[tuple[IndexedSpec, Sequence[Case]]],
    plans: Mapping[str, Mapping[str, CodecPlan]],
) -> list[Problem]:
    """What is wrong with the gates on recovery.

    Args:
        rules: of thresholds.yaml.
        cases: every spec of the run with all its cases, before narrowing.
        plans: model -> label -> codec, of every label that the run may evaluate on it.
    """
    found: list[Problem] = []
    specs = {spec.name: spec for spec, _ in cases}
    for rule in rules:
        if aggregate(rule.metric) not in RECOVERY_NAMES:
            continue
        messages = _unfit(rule)
        if not messages:
            messages = _unmet(rule, _matched(rule, cases), specs, plans)
        found += [Problem(Path(rule.file), rule.line, message) for message in dict.fromkeys(messages)]
    return found


def silent_recovery_rules(rules: Sequence[Rule], cases: Sequence[tuple[IndexedSpec, Sequence[Case]]]) -> list[Rule]:
    """Gates on recovery with a pattern as their model that no retrained model matches, one per line of the file."""
    found = {
        rule.line: rule
        for rule in rules
        if rule.metric in RECOVERY_NAMES
        and is_glob(rule.model)
        and not any(recovery_directions(spec, case) for spec, case in _matched(rule, cases))
    }
    return [found[line] for line in sorted(found)]


def _matched(rule: Rule, cases: Sequence[tuple[IndexedSpec, Sequence[Case]]]) -> list[tuple[IndexedSpec, Case]]:
    return [
        (spec, case)
        for spec, listed in cases
        if is_glob(rule.model) or rule.model == spec.name
        for case in listed
        if rule.reference == case.reference and rule.rank(case) is not None
    ]


def _unfit(rule: Rule) -> list[str]:
    """What no model could make good."""
    name = aggregate(rule.metric)
    if rule.metric != name:
        return [f"'{rule.metric}': {name} is of the primary metric over all samples; gate '{name}'"]
    if rule.bound not in ("min", "max"):
        return [f"{name} is a comparison already and has no '{rule.bound}'; gate it with min"]
    if rule.codec == CLEAN:
        return [f"clean has no {name}; gate it at the levels of a codec"]
    if rule.codec == MIX:
        return [f"a mix of levels has no {name}; gate it at the levels of a codec"]
    if rule.reference != "labels":
        return [f"label-free mode has no {name}: every model agrees with itself; write 'reference: labels'"]
    return []


def _unmet(
    rule: Rule,
    hit: Sequence[tuple[IndexedSpec, Case]],
    specs: Mapping[str, IndexedSpec],
    plans: Mapping[str, Mapping[str, CodecPlan]],
) -> list[str]:
    """What the matched models lack; a rule with a pattern is silent about models that were not retrained."""
    messages = []
    models = {spec.name: spec for spec, _ in hit}
    retrained = [spec for spec in models.values() if spec.spec.retrained is not None and spec.spec.retrained.control]
    if not is_glob(rule.model):
        for spec in models.values():
            if spec.spec.retrained is None:
                messages.append(
                    f"{spec.name} has no {rule.metric}: {spec.shown} has no 'retrained' section; run 'pytest-lossy retrain "
                    f"{spec.shown}' and gate the model that it writes"
                )
            elif spec.spec.retrained.control is None:
                messages.append(
                    f"{spec.name} has no {rule.metric}: it is the control that others are measured against; gate them"
                )
    for spec in retrained:
        labels = {case.label for matched, case in hit if matched.name == spec.name}
        messages += _incomparable(spec, sorted(labels), specs, plans)
    return messages


def _incomparable(
    spec: IndexedSpec,
    labels: Sequence[str],
    specs: Mapping[str, IndexedSpec],
    plans: Mapping[str, Mapping[str, CodecPlan]],
) -> list[str]:
    record = spec.spec.retrained
    assert record is not None, "the caller chose retrained models"  # noqa: S101
    messages = []
    for role, name in (("parent", record.parent), ("control", record.control or "")):
        other = specs.get(name)
        if other is None:
            messages.append(
                f"{spec.name} is compared with its {role} '{name}', which no spec of this run declares; put its spec "
                f"beside {spec.shown}, or name its file on the command line"
            )
            continue
        if other.spec.task != spec.spec.task or other.reference != spec.reference:
            messages.append(
                f"{spec.name} and its {role} '{name}' have another task or reference ({other.shown}); correct one of them"
            )
        for label in labels:
            own, theirs = plans[spec.name].get(label), plans[name].get(label)
            if own is None or theirs is None or (own.codec_name, own.options) != (theirs.codec_name, theirs.options):
                messages.append(
                    f"codec '{label}' of {spec.name} is missing or set up otherwise in the spec of its {role} "
                    f"'{name}' ({other.shown}); give both the same options"
                )
    control = specs.get(record.control or "")
    twin = control.spec.retrained if control else None
    if control is not None and (
        twin is None or twin.parent != record.parent or twin.iterations != record.iterations or twin.control is not None
    ):
        messages.append(
            f"'{control.name}' is no control of {spec.name}: {control.shown} must say that it was trained from "
            f"'{record.parent}' for {record.iterations} iterations; run 'pytest-lossy retrain' again"
        )
    return messages
