"""Gates that do nothing, that nothing can meet, or that ask for odd things: found without running a model."""

from __future__ import annotations

import fnmatch
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pytest_lossy.cases import MIX, Case
from pytest_lossy.errors import Problem
from pytest_lossy.registry import did_you_mean
from pytest_lossy.thresholds.decisions import Decision, decisions
from pytest_lossy.thresholds.recovery_checks import RECOVERY_NAMES
from pytest_lossy.thresholds.rules import NO_MILDER_THAN, Rule, Thresholds, aggregate, is_glob
from pytest_lossy.thresholds.update_plan import IndexedCase

__all__ = ["Decided", "Finding", "check_rules", "decide", "finding"]

Decided = list[tuple[IndexedCase, list[Decision]]]
"""Every case with what is decided of it."""


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """Something to look at in a thresholds file."""

    problem: Problem
    hint: bool = False
    """Odd, but not wrong in itself."""

    def __str__(self) -> str:
        place, _, message = str(self.problem).partition(": ")
        return f"{place}: {'hint: ' if self.hint else ''}{message}"


def finding(rule: Rule, message: str, *, hint: bool = False) -> Finding:
    """A finding at the line of a rule."""
    return Finding(Problem(Path(rule.file), rule.line, message), hint)


def decide(thresholds: Thresholds, indexed: Sequence[IndexedCase]) -> Decided:
    """What the rules decide of each case."""
    return [
        (entry, list(decisions(thresholds, entry.case, entry.primary, entry.metrics).values())) for entry in indexed
    ]


def check_rules(thresholds: Thresholds, decided: Decided, shares: Collection[str]) -> list[Finding]:
    """Everything that the rules alone tell.

    Args:
        thresholds: the gates.
        decided: of every case that the specs list, under each reference that its data allow; the levels of each curve mild
            to severe.
        shares: metrics that lie between 0 and 1, more being better.

    Returns:
        each thing once, by line.
    """
    found = [
        *_dead(thresholds, decided),
        *_unused_mixes(thresholds),
        *_disagreements(decided),
        *_empty_ranges(decided),
        *_impossible(decided, shares),
        *_undroppable(decided),
        *_reversed_levels(decided),
    ]
    return sorted(set(found))


def _dead(thresholds: Thresholds, decided: Decided) -> Iterable[Finding]:
    """Rules that match no case, that no metric or label is there for, or that others always take precedence over."""
    winning: set[int] = set()
    losing: dict[int, set[int]] = {}
    for _, made in decided:
        for decision in made:
            winning.update(map(id, decision.winners))
            for rule in decision.losers:
                losing.setdefault(id(rule), set()).update(winner.line for winner in decision.winners)
    for rule in thresholds.rules:
        if id(rule) in winning:
            continue
        name = NO_MILDER_THAN if rule.bound == NO_MILDER_THAN else f"{rule.metric}.{rule.bound}"
        matched = [entry for entry, _ in decided if rule.rank(entry.case) is not None]
        same = [entry for entry in matched if entry.case.reference == rule.reference]
        fallback = False
        if id(rule) in losing:
            fallback = is_glob(rule.model)  # it may be there for models to come
            lines = sorted(losing[id(rule)])
            named = ", ".join(map(str, lines[:5])) + (", ..." if len(lines) > 5 else "")
            message = (
                f"{name} never decides: line{'s' if len(lines) > 1 else ''} {named} take{'' if len(lines) > 1 else 's'} "
                "precedence in every case that it matches"
                + ("; it is there for other models alone" if fallback else "; remove it, or make those less specific")
            )
        elif not matched:
            message = _no_case(rule, decided)
        elif not same:
            whose = ", ".join(sorted({entry.case.model for entry in matched})[:5])
            message = (
                f"{name} is for '{rule.reference}', which {whose} cannot be scored against; write the other reference"
            )
        elif aggregate(rule.metric) in RECOVERY_NAMES:
            continue  # which models lack what is told by the checks on recovery
        else:
            message = _no_metric(rule, same)
        yield finding(rule, message, hint=fallback)


def _no_case(rule: Rule, decided: Decided) -> str:
    """Which part of a rule's patterns nothing matches."""
    cases = [entry.case for entry, _ in decided]
    of_model = [case for case in cases if rule.model == case.model or fnmatch.fnmatchcase(case.model, rule.model)]
    if not of_model:
        models = sorted({case.model for case in cases})
        return f"matches no case: no spec declares a model '{rule.model}'; {did_you_mean(rule.model, models)}"
    labels = sorted({case.label for case in of_model})
    if rule.codec == MIX:
        return f"matches no case: the specs do not list every level of the mix '{rule.level}'; list them, or remove the rule"
    if not is_glob(rule.codec) and rule.codec not in labels:
        return (
            f"matches no case: no spec of {rule.model} lists codec '{rule.codec}' (but {', '.join(labels)}); list it, check "
            f"with --codec {rule.codec}, or remove the rule"
        )
    where = f"level {rule.level} of {rule.codec}" if rule.level else rule.codec
    return f"matches no case: no spec of {rule.model} lists {where}; list it, name it with --level, or remove the rule"


def _no_metric(rule: Rule, matched: Sequence[IndexedCase]) -> str:
    known = sorted({name for entry in matched for name in entry.metrics or ()})
    if is_glob(rule.model):
        hint = did_you_mean(aggregate(rule.metric), known)
        return f"no model that it matches has a metric '{rule.metric}'; {hint}"
    case = matched[0].case
    return f"task '{case.task}' of {case.model} has no metric '{rule.metric}' here; {did_you_mean(rule.metric, known)}"


def _unused_mixes(thresholds: Thresholds) -> Iterable[Finding]:
    for mix in thresholds.mixes:
        case = Case("", "", MIX, mix=mix.name)
        rules = [rule for rule in thresholds.rules if rule.codec == MIX]
        if not any(Rule("", MIX, rule.level, "", "min", 0, "", 0).rank(case) is not None for rule in rules):
            message = (
                f"mix '{mix.name}' is gated by no rule and never judged; gate it below 'mix:' of a model, or remove it"
            )
            yield Finding(Problem(Path(thresholds.file or ""), mix.line, message))


def _disagreements(decided: Decided) -> Iterable[Finding]:
    """Equally specific rules that set different limits."""
    for entry, made in decided:
        for decision in made:
            first = decision.winners[0]
            for rule in decision.winners[1:]:
                if rule.limit != first.limit:
                    yield finding(
                        rule,
                        f"{rule.metric}.{rule.bound} of {entry.case.model}::{entry.case.name} is also set by line "
                        f"{first.line}, whose patterns are as specific; make one of the two more specific",
                    )


def _empty_ranges(decided: Decided) -> Iterable[Finding]:
    """A ``min`` above a ``max``."""
    for entry, made in decided:
        rules = {(decision.metric, decision.bound): decision.winners[0] for decision in made}
        for (metric, bound), rule in rules.items():
            other = rules.get((metric, "max"))
            if bound == "min" and other is not None and rule.limit > other.limit:
                later, earlier = (rule, other) if rule.line >= other.line else (other, rule)
                yield finding(
                    later,
                    f"no {metric} is at least {rule.limit:g} and at most {other.limit:g} (line {earlier.line}), as "
                    f"{entry.case.model}::{entry.case.name} must; correct one of them",
                )


def _impossible(decided: Decided, shares: Collection[str]) -> Iterable[Finding]:
    """Limits of shares that nothing can meet, or miss."""
    for _, made in decided:
        for decision in made:
            metric, bound, rule = decision.metric, decision.bound, decision.winners[0]
            if aggregate(metric) not in shares:
                continue
            span = f"since {metric} lies between 0 and 1"
            if (bound == "min" and rule.limit > 1) or (bound in ("max", "max_loss") and rule.limit < -1):
                yield finding(rule, f"{metric}.{bound}: {rule.limit:g} can never be met, {span}; write 0.5 or 50%")
            elif (bound == "min" and rule.limit <= 0) or (bound in ("max", "max_loss") and rule.limit >= 1):
                yield finding(
                    rule, f"{metric}.{bound}: {rule.limit:g} can never be missed, {span}; gate it closer, or remove it"
                )


def _undroppable(decided: Decided) -> Iterable[Finding]:
    """``max_drop`` of an error in label-free mode, where clean is 0."""
    for entry, made in decided:
        for decision in made:
            error = (entry.metrics or {}).get(aggregate(decision.metric)) is False
            if entry.case.reference == "clean" and decision.bound == "max_drop" and error:
                rule = decision.winners[0]
                message = f"{decision.metric} is an error and has no drop in label-free mode; gate it with 'max'"
                yield finding(rule, message)


def _reversed_levels(decided: Decided) -> Iterable[Finding]:
    """A level that is held to more than a milder one: either is a slip, or the milder gate says nothing."""
    milder: dict[tuple[str, str, str, str, str], tuple[Rule, Case]] = {}
    for entry, made in decided:
        case = entry.case
        if case.level is None and not case.is_clean:
            continue
        for decision in made:
            metric, bound = decision.metric, decision.bound
            higher = (entry.metrics or {}).get(aggregate(metric))
            if metric in RECOVERY_NAMES:  # the control falls, too
                continue
            if higher is None or (bound == "min" and not higher) or (bound == "max" and higher):
                continue
            rule = decision.winners[0]
            key = (case.model, case.label, case.reference, metric, bound)
            before = milder.get(key) or milder.get((case.model, "clean", *key[2:]))
            milder[key] = (rule, case)
            if before is None or _looseness(rule) >= _looseness(before[0]):
                continue
            yield finding(
                rule,
                f"{metric}.{bound} {rule.limit:g} asks for more at {case.name} than line {before[0].line} does at the "
                f"milder {before[1].name} ({before[0].limit:g}); where compression only costs, that gate adds nothing",
                hint=True,
            )


def _looseness(rule: Rule) -> float:
    return -rule.limit if rule.bound == "min" else rule.limit
