"""Recovery over a whole run: every retrained model beside its control and its parent, and each retraining over its seeds."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence

from pytest_lossy.analysis.recovery import Arms, Recovered, recover
from pytest_lossy.results.document import (
    CaseRow,
    Estimate,
    ModelInfo,
    Recovery,
    RecoverySummary,
    ResultsDocument,
    Retrained,
)
from pytest_lossy.results.replicates import StoredReplicates

__all__ = ["OTHER_SAMPLES", "Load", "add_recoveries", "find_recoveries", "summarise_recoveries"]

OTHER_SAMPLES = "not paired: parent, control and retrained model were measured on different samples"

Load = Callable[[str, str], StoredReplicates | None]
"""Model and name of a case -> what it measured; None where it did not run."""


def add_recoveries(document: ResultsDocument, load: Load) -> ResultsDocument:
    """A document with what its retrained models won back, and with summaries over the seeds of each retraining."""
    found = find_recoveries(document, load)
    summaries = summarise_recoveries(found, document.models)
    return document.model_copy(update={"recovery": found, "recovery_summary": summaries})


def find_recoveries(document: ResultsDocument, load: Load) -> list[Recovery]:
    """What each retrained model of a run won back, per level and aggregate metric.

    Args:
        document: the run's rows and models.
        load: replicates of a case, whether or not it has a row.

    Returns:
        in the order of the rows; models whose parent or control was not measured at a level, and label-free ones, whose
        agreement is with themselves, have no entry there.
    """
    return [entry for model in document.models for entry in _of_model(document, model, load)]


def _of_model(document: ResultsDocument, model: ModelInfo, load: Load) -> Iterator[Recovery]:
    record = model.retrained
    if record is None or record.control is None or model.reference != "labels":
        return
    names = (model.name, record.control, record.parent)
    for row in document.cases:
        if row.model != model.name or row.level is None:
            continue
        case = row.id.rpartition("::")[2]
        levels, cleans = [load(name, case) for name in names], [load(name, "clean") for name in names]
        found = [stored for stored in (*levels, *cleans) if stored is not None]
        if len(found) < 2 * len(names):
            continue
        paired = len({stored.samples for stored in found}) == 1
        retrained, control, parent, retrained_clean, control_clean, parent_clean = found
        arms = Arms(retrained, retrained_clean, control, control_clean, parent, parent_clean)
        for metric in model.metrics:
            if metric.name not in retrained.point:
                continue
            values = (
                recover(
                    arms,
                    metric.name,
                    higher_is_better=metric.higher_is_better,
                    confidence=document.run.confidence,
                )
                if paired
                else _UNPAIRED
            )
            yield _entry(row, row.level, record, metric.name, values)


def _entry(row: CaseRow, level: float, record: Retrained, metric: str, values: Recovered) -> Recovery:
    return Recovery(
        model=row.model,
        parent=record.parent,
        control=record.control or "",
        codec=row.codec,
        level=level,
        trained_on=row.codec == record.codec and level in record.levels,
        metric=metric,
        recovery=values.recovery,
        gain=values.gain,
        naive=values.naive,
        clean_cost=values.clean_cost,
        note=values.note,
    )


_UNDEFINED = Estimate(value=None)
_UNPAIRED = Recovered(_UNDEFINED, _UNDEFINED, _UNDEFINED, _UNDEFINED, OTHER_SAMPLES)


def summarise_recoveries(recoveries: Sequence[Recovery], models: Iterable[ModelInfo]) -> list[RecoverySummary]:
    """The mean, smallest and largest of what the seeds of one retraining won back; single seeds are left out.

    The ends say how much training runs differ, which the intervals of single models omit.

    Args:
        recoveries: as :func:`find_recoveries` finds them.
        models: with their records, by which seeds are told apart.
    """
    records = {model.name: model.retrained for model in models}
    groups: dict[tuple[object, ...], list[tuple[Retrained, Recovery]]] = {}
    for entry in recoveries:
        record = records.get(entry.model)
        if record is not None:
            key = (
                entry.parent,
                record.codec,
                tuple(record.levels),
                record.iterations,
                entry.codec,
                entry.level,
                entry.metric,
            )
            groups.setdefault(key, []).append((record, entry))
    return [_summary(members) for members in groups.values() if len({record.seed for record, _ in members}) > 1]


def _summary(members: Sequence[tuple[Retrained, Recovery]]) -> RecoverySummary:
    record, first = members[0]
    entries = [entry for _, entry in sorted(members, key=lambda member: member[0].seed)]
    undefined = sum(entry.recovery.value is None for entry in entries)
    return RecoverySummary(
        parent=first.parent,
        codec=first.codec,
        trained_levels=list(record.levels),
        trained_on=first.trained_on,
        level=first.level,
        metric=first.metric,
        models=[entry.model for entry in entries],
        seeds=len({seen.seed for seen, _ in members}),
        recovery=_spread([entry.recovery for entry in entries]),
        gain=_spread([entry.gain for entry in entries]),
        naive=_spread([entry.naive for entry in entries]),
        clean_cost=_spread([entry.clean_cost for entry in entries]),
        note=f"no recovery for {undefined} of {len(entries)} models" if undefined else "",
    )


def _spread(estimates: Sequence[Estimate]) -> Estimate:
    """Mean, smallest and largest; null where one is undefined: a mean of the others would flatter."""
    values = [estimate.value for estimate in estimates if estimate.value is not None]
    if len(values) < len(estimates):
        return _UNDEFINED
    return Estimate(value=math.fsum(values) / len(values), low=min(values), high=max(values))
