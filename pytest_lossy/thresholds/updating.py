"""New gates from what was measured: which limits of a thresholds file change, which gates are added, and what stays.

Nothing that did not run may be judged otherwise afterwards. A rule that decides cases which did not run, or that speaks of
models by a pattern, and so of models to come, keeps its limit; cases that ran get a gate of their own beside it.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from pytest_lossy.cases import Case
from pytest_lossy.errors import LossyError
from pytest_lossy.thresholds.decisions import decisions
from pytest_lossy.thresholds.editing import GatesText
from pytest_lossy.thresholds.reader import LocatedThresholds
from pytest_lossy.thresholds.rules import Thresholds
from pytest_lossy.thresholds.update_plan import IndexedCase, MeasuredCase, Subject, UpdatePlan, gate_name

__all__ = ["GateUpdate", "IndexedCase", "MeasuredCase", "WrittenGates", "update_gates"]


@dataclass(frozen=True)
class GateUpdate:
    """What became of a thresholds file."""

    text: str
    """Its whole new content."""
    diff: tuple[str, ...]
    """Unified, without line ends; empty where nothing changed."""
    thresholds: Thresholds
    """As the new text says."""
    changed: int
    added: int
    kept: int
    """Gates of cases that ran and whose limits stay, since they are as measured already or may not be touched."""
    refused: tuple[str, ...]
    """What could not be written, each with its reason."""


@dataclass(frozen=True)
class WrittenGates:
    """What to tell of a thresholds file at the end of a run that writes it."""

    file: str
    """As messages name it."""
    margin: float
    update: GateUpdate | None = None
    """None where nothing was written."""
    problem: str = ""
    """Why, then."""
    missed: tuple[str, ...] = ()
    """Gates that stay and are not met, each with its line."""


def update_gates(
    located: LocatedThresholds,
    text: str,
    indexed: Sequence[IndexedCase],
    measured: Mapping[Case, MeasuredCase],
    parse: Callable[[str], Thresholds],
    *,
    margin: float,
    new_only: bool = False,
    created: bool = False,
) -> GateUpdate:
    """Set the gates of the cases that ran to what they measured, a margin beyond the interval.

    The limits of all gates that a case has are set; a case without one gets a gate on its primary metric, or on its knee. A
    rule's limit is changed where all cases that it decides ran, to the loosest that they need; else a case gets one of its
    own, which takes precedence. No rule is removed.

    Args:
        located: the gates as they are.
        text: the file that they were read from.
        indexed: every case of every spec, mild to severe: what ran, and what must stay as it is.
        measured: of each case that should have run.
        parse: reads a changed text.
        margin: a share, 0 or more and less than 1.
        new_only: leave cases alone that have a gate.
        created: whether there is no such file yet.

    Returns:
        the new content; the same where there is nothing to change.

    Raises:
        LossyError: the new text would judge other cases otherwise, or what was measured not as passed: a defect.
    """
    plan = UpdatePlan(located, GatesText(text, located.thresholds.defaults.reference), margin)
    plan.measured = dict(measured)
    for entry in indexed:
        found = decisions(located.thresholds, entry.case, entry.primary, entry.metrics)
        for (metric, bound), decision in found.items():
            plan.winners[entry.case, metric, bound] = decision
            for rule in decision.winners:
                plan.rules[id(rule)] = rule
                plan.decided.setdefault(id(rule), []).append((entry.case, metric, bound))
        ran = measured.get(entry.case)
        if ran is None:
            continue
        if ran.problem:
            plan.refuse(entry.case, "", ran.problem)
        elif not found:
            plan.want_new(entry)
        elif new_only:
            plan.kept += len(found)
        else:
            for metric, bound in found:
                plan.want(entry.case, metric, bound)
    if not new_only:
        plan.rewrite()
    plan.add()
    for key, limit in plan.rewritten.items():
        plan.text.replace(plan.place[key], limit)
    plan.text.add(plan.additions)
    new = plan.text.result() if plan.rewritten or plan.additions else text
    thresholds = parse(new) if new != text else located.thresholds
    _verify(plan, thresholds, indexed)
    shown = located.thresholds.file or "thresholds.yaml"
    before = [] if created else text.splitlines()
    diff = difflib.unified_diff(before, new.splitlines(), "/dev/null" if created else shown, shown, lineterm="")
    return GateUpdate(
        text=new,
        diff=tuple(diff) if new != text else (),
        thresholds=thresholds,
        changed=len(plan.rewritten),
        added=len(plan.additions),
        kept=plan.kept,
        refused=tuple(plan.refused),
    )


def _verify(plan: UpdatePlan, after: Thresholds, indexed: Sequence[IndexedCase]) -> None:
    """Prove what this module promises, on the very text that will be written."""
    lost = set(plan.winners)
    for entry in indexed:
        for (metric, bound), decision in decisions(after, entry.case, entry.primary, entry.metrics).items():
            subject = (entry.case, metric, bound)
            limits = {rule.limit for rule in decision.winners}
            if subject in plan.settled:
                sound = all(plan.passes(subject, limit) for limit in limits)
            else:
                before = plan.winners.get(subject)
                sound = before is not None and limits == {rule.limit for rule in before.winners}
            if not sound:
                raise _defect(subject)
            lost.discard(subject)
    if lost:
        raise _defect(min(lost, key=str))


def _defect(subject: Subject) -> LossyError:
    case, metric, bound = subject
    return LossyError(
        f"the new gates would judge {gate_name(metric, bound)} of {case.model}::{case.name} in a way that was not measured; "
        "nothing was written. This is a defect of pytest-lossy: please report it with the file"
    )
