"""Which evidence the selected cases need: their own, and that of the cases which they are compared with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pytest_lossy.cases import Case, CodecPlan, IndexedSpec
from pytest_lossy.errors import LossyError
from pytest_lossy.planning import codec_plans, selected_plans
from pytest_lossy.settings import Settings
from pytest_lossy.tasks.registry import TASKS, task_metrics, task_primary
from pytest_lossy.thresholds.recovery_checks import ask_for_recovery, recovery_directions
from pytest_lossy.thresholds.rules import Thresholds

__all__ = ["CaseRequest", "plan_requests"]


@dataclass(frozen=True)
class CaseRequest:
    """A case whose evidence is wanted."""

    spec: IndexedSpec
    case: Case
    plan: CodecPlan | None
    """Its codec; None for the clean case."""
    node_id: str
    rank: int = 0
    """Lower first within its model."""
    pictures: int = 0
    """Samples to show."""


def plan_requests(
    planned: Sequence[tuple[str, IndexedSpec, Case]],
    specs: Sequence[IndexedSpec],
    settings: Settings,
    thresholds: Thresholds,
    pictures: Mapping[str, int],
) -> tuple[list[CaseRequest], dict[str, list[str]]]:
    """List the evidence that a run needs, as far as that is known before it begins: not what a search will ask for.

    Args:
        planned: node id, spec and case of each selected item, in the run's order.
        specs: every spec of the run, selected or not.
        settings: flags and ini values.
        thresholds: whose gates on recovery ask for other models.
        pictures: slug -> samples that a case shows.

    Returns:
        the requests, each case once, and for each node id the slugs of those it waits for.
    """
    node_ids = {case.slug: node_id for node_id, _, case in planned}
    by_name = {spec.name: spec for spec in specs}
    requests: dict[str, CaseRequest] = {}
    needs: dict[str, list[str]] = {}
    chosen: dict[str, tuple[CodecPlan, ...]] = {}
    for node_id, spec, case in planned:
        plans = chosen.get(spec.name)
        if plans is None:
            plans = chosen[spec.name] = selected_plans(spec, settings)
        wanted = [(spec, spec.clean, None), *_own(spec, case, plans, settings, thresholds)]
        wanted += _recovery(spec, case, by_name, settings, thresholds)
        for one, needed, plan in wanted:
            if needed.slug not in requests:
                name = node_ids.get(needed.slug, f"{one.shown}::{one.name}::{needed.name}")
                shown = pictures.get(needed.slug, 0) if needed.slug in node_ids else 0
                requests[needed.slug] = CaseRequest(one, needed, plan, name, len(requests), shown)
        needs[node_id] = list(dict.fromkeys(needed.slug for _, needed, _ in wanted))
    return list(requests.values()), needs


Wanted = tuple[IndexedSpec, Case, CodecPlan | None]


def _own(
    spec: IndexedSpec, case: Case, chosen: tuple[CodecPlan, ...], settings: Settings, thresholds: Thresholds
) -> list[Wanted]:
    """The case itself, the levels of its knee, or those of its mix."""
    plans = {plan.label: plan for plan in chosen}
    if case.mix is not None:
        parts = thresholds.mix(case.mix).parts(spec.cases(chosen)) or []
        return [(spec, part, plans.get(part.label)) for part, _ in parts]
    if case.knee:
        plan = plans[case.label]
        return [] if settings.knee else [(spec, spec.case(plan, level), plan) for level in plan.levels]
    return [(spec, case, plans.get(case.label))]


def _recovery(
    spec: IndexedSpec, case: Case, specs: Mapping[str, IndexedSpec], settings: Settings, thresholds: Thresholds
) -> list[Wanted]:
    """Control and parent of a retrained model, where a gate of this case compares it with them."""
    record, directions = spec.spec.retrained, recovery_directions(spec, case)
    if record is None or record.control is None or not directions or case.level is None:
        return []
    if spec.spec.task not in TASKS.builtin:
        return []  # its metrics are known once it is loaded; the case will ask then
    metrics = task_metrics(spec.spec.task, extra=spec.spec.metrics, clips=spec.media == "clips")
    known = {metric.name: metric.higher_is_better for metric in metrics}
    try:
        gates = thresholds.gates_for(case, task_primary(case.task), {**known, **directions})
    except LossyError:
        return []  # the case says so
    if not ask_for_recovery([gate.metric for gate in gates]):
        return []
    wanted: list[Wanted] = []
    for name in (record.control, record.parent):
        other = specs.get(name)
        plan = codec_plans(other, settings).get(case.label) if other is not None else None
        if other is not None and plan is not None:
            wanted += [(other, other.clean, None), (other, other.case(plan, case.level), plan)]
    return wanted
