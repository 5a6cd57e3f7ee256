"""Gates beside what a run measured: those that cannot hold together, that could not fail, or that fail by chance."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

from pytest_lossy.cases import Case
from pytest_lossy.results.document import CaseRow, GateResult, MetricValue
from pytest_lossy.thresholds.checking import Decided, Finding, finding
from pytest_lossy.thresholds.decisions import Decision
from pytest_lossy.thresholds.rules import NO_MILDER_THAN, Gate, Rule, aggregate
from pytest_lossy.thresholds.verdicts import judge

__all__ = ["check_measured"]

_CLOSE = 0.01
"""Share of an interval's end: a gate nearer to it than half the default margin is missed by chance."""


def check_measured(decided: Decided, rows: Sequence[CaseRow]) -> list[Finding]:
    """What only numbers tell, of the cases that a run measured.

    Args:
        decided: of every case; the levels of each curve mild to severe.
        rows: of ``results.json``; rows of other cases are ignored.

    Returns:
        each thing once, by line. Only requirements that contradict each other are more than hints.
    """
    measured: dict[tuple[str, str, str], CaseRow] = {
        (row.model, row.id.rpartition("::")[2], row.reference): row for row in rows if row.metrics
    }
    found: set[Finding] = set()
    severe = _most_severe(decided, measured)
    loose: dict[Rule, list[str | None]] = {}
    for entry, made in decided:
        case = entry.case
        row = measured.get((case.model, case.name, case.reference))
        clean = measured.get((case.model, "clean", case.reference))
        if row is None or case.knee:
            continue
        if clean is not None and case.reference == "labels":
            found.update(_contradictions(case, made, clean, entry.metrics or {}))
        worst = severe.get((case.model, case.label, case.reference)) if not case.is_clean else None
        for decision in made:
            metric = row.metrics.get(decision.metric)
            if decision.bound == NO_MILDER_THAN or metric is None:
                continue
            found.update(_near(case, decision, metric))
            loose.setdefault(decision.winners[0], []).append(_loose(case, decision, metric, worst))
    # A rule for several levels has to suit the most severe of them.
    found.update(finding(rule, texts[0], hint=True) for rule, texts in loose.items() if texts[0] and all(texts))
    return sorted(found)


def _most_severe(
    decided: Decided, measured: Mapping[tuple[str, str, str], CaseRow]
) -> dict[tuple[str, str, str], CaseRow]:
    """The most severe level measured of each curve."""
    found: dict[tuple[str, str, str], CaseRow] = {}
    for entry, _ in decided:
        case = entry.case
        row = measured.get((case.model, case.name, case.reference))
        if row is not None and case.level is not None:
            found[case.model, case.label, case.reference] = row
    return found


def _contradictions(
    case: Case, made: Sequence[Decision], clean: CaseRow, metrics: Mapping[str, bool]
) -> Iterable[Finding]:
    """Requirements on one metric that no value meets together, given what it is on clean samples."""
    of_metric: dict[str, list[Decision]] = {}
    for decision in made:
        of_metric.setdefault(decision.metric, []).append(decision)
    for name, decisions in of_metric.items():
        reference = clean.metrics.get(name)
        higher = metrics.get(aggregate(name))
        if reference is None or reference.value is None or higher is None:
            continue
        spans = [(*_span(decision, reference.value, higher), decision.winners[0]) for decision in decisions]
        low, _, floor = max(spans, key=lambda span: span[0], default=(0.0, 0.0, None))
        _, high, ceiling = min(spans, key=lambda span: span[1], default=(0.0, 0.0, None))
        if floor is not None and ceiling is not None and low > high:
            if (floor.bound, ceiling.bound) == ("min", "max"):
                continue  # the rules alone tell
            later, earlier = (floor, ceiling) if floor.line >= ceiling.line else (ceiling, floor)
            yield finding(
                later,
                f"{name} of {case.model}::{case.name} cannot be at least {low:.4g} and at most {high:.4g} (line "
                f"{earlier.line}), as clean measures {reference.value:.4g}; correct one of them",
            )
        elif not case.is_clean:
            yield from _beyond_clean(case, name, decisions, reference, higher)


def _span(decision: Decision, clean: float, higher: bool) -> tuple[float, float]:
    """The values that a gate allows."""
    limit = decision.winners[0].limit
    if decision.bound == "min":
        return limit, math.inf
    if decision.bound == "max":
        return -math.inf, limit
    if decision.bound == "max_loss":
        return (clean - limit, math.inf) if higher else (-math.inf, clean + limit)
    if clean <= 0:  # there is no retention then
        return -math.inf, math.inf
    return (clean * (1 - limit), math.inf) if higher else (-math.inf, clean / (1 - limit))


def _beyond_clean(
    case: Case, name: str, decisions: Sequence[Decision], clean: MetricValue, higher: bool
) -> Iterable[Finding]:
    """A level that is to be better than clean is."""
    bound = "min" if higher else "max"
    rule = next((decision.winners[0] for decision in decisions if decision.bound == bound), None)
    end = clean.high if higher else clean.low
    if rule is not None and end is not None and (rule.limit > end if higher else rule.limit < end):
        yield finding(
            rule,
            f"{name}.{bound} {rule.limit:g} at {case.name} asks {case.model} for more than it reaches on clean samples "
            f"({clean.value:.4g} [{clean.low:.4g}, {clean.high:.4g}]); correct it",
        )


def _near(case: Case, decision: Decision, metric: MetricValue) -> Iterable[Finding]:
    """A gate that the next equally good model misses by chance."""
    rule = decision.winners[0]
    result = _judge(case, decision, metric)
    if result.low is None or result.high is None:
        return
    name = f"{decision.metric}.{decision.bound} {rule.limit:g} at {case.name} of {case.model}"
    end = result.low if result.comparison == ">=" else result.high
    interval = f"the {result.quantity}'s interval [{result.low:.4g}, {result.high:.4g}]"
    if result.verdict == "inconclusive":
        text = f"{name} lies inside {interval}: inconclusive, and failed under --lossy-strict"
        yield finding(rule, f"{text}; leave a margin outside it, or measure more samples", hint=True)
    elif result.verdict == "passed" and abs(end - result.required) < _CLOSE * abs(end):
        text = f"{name} lies at the end of {interval}: of equally good models half would miss it under --lossy-strict"
        yield finding(rule, f"{text}; leave a margin", hint=True)


def _loose(case: Case, decision: Decision, metric: MetricValue, worst: CaseRow | None) -> str | None:
    """Where a gate would be met although the metric is certainly lower there: at the most severe level; None where not."""
    if worst is None or case.level is None or worst.level == case.level or decision.metric not in worst.metrics:
        return None
    here, there = _judge(case, decision, metric), _judge(case, decision, worst.metrics[decision.metric])
    if None in (here.low, here.high, there.low, there.high) or there.verdict != "passed":
        return None
    pair = (there.high, here.low) if here.comparison == ">=" else (here.high, there.low)
    if (pair[0] or 0.0) >= (pair[1] or 0.0):
        return None
    name = f"{decision.metric}.{decision.bound} {decision.winners[0].limit:g} at {case.name} of {case.model}"
    where = f"{worst.codec} {worst.level:g} ({there.quantity} {there.observed:.4g})"
    return f"{name} is met even at {where}: it can hardly fail; gate it closer"


def _judge(case: Case, decision: Decision, metric: MetricValue) -> GateResult:
    rule = decision.winners[0]
    gate = Gate(decision.metric, decision.bound, rule.limit, rule.file, rule.line)
    return judge(gate, metric, reference=case.reference)
