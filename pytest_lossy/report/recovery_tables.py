"""What retraining won back, for every renderer: one table per retrained model, and the mean over the seeds of each."""

from __future__ import annotations

from dataclasses import dataclass

from pytest_lossy.report import formatting
from pytest_lossy.report.lookup import Lookup
from pytest_lossy.results.document import Estimate, ModelInfo, Recovery, RecoverySummary

__all__ = [
    "RECOVERY_CLAIM",
    "RecoveryTable",
    "RecoveryView",
    "SeedTable",
    "recovery_points",
    "recovery_share",
    "recovery_text",
    "recovery_view",
]

RECOVERY_CLAIM = (
    "arXiv 2007.14314 reports that retraining on compressed imagery \u201crecovers network performance by up to 78.4 "
    "%\u201d: the largest figure over its own models, data and levels"
)
"""Shown beside what was measured, and used by nothing."""

NOTHING = "nothing to recover"


@dataclass(frozen=True, slots=True)
class RecoveryTable:
    """One retrained model: its primary metric per level, mild to severe, then its other metrics."""

    number: int | None
    """Position of the model, for its anchor."""
    model: str
    metric: str
    training: str
    """How it was made, in a sentence."""
    rows: list[Recovery]
    others: list[Recovery]
    cost: Estimate
    """Of the primary metric on clean samples."""


@dataclass(frozen=True, slots=True)
class SeedTable:
    """One retraining over its seeds, of the primary metric, mild to severe."""

    parent: str
    metric: str
    trained: str
    """Codec and levels."""
    seeds: int
    rows: list[RecoverySummary]
    cost: Estimate


@dataclass(frozen=True, slots=True)
class RecoveryView:
    """Everything that a section on recovery shows."""

    models: list[RecoveryTable]
    seeds: list[SeedTable]
    best: Recovery | None
    """The largest certain recovery of a primary metric at a trained level: by the lower end of its interval."""


def recovery_view(lookup: Lookup) -> RecoveryView:
    """Collect the recoveries of a document."""
    primary = [entry for entry in lookup.document.recovery if _is_primary(lookup, entry.model, entry.metric)]
    certain = [(entry.recovery.low, entry) for entry in primary if entry.trained_on and entry.recovery.low is not None]
    best = max(certain, key=lambda pair: pair[0], default=None)
    return RecoveryView(_models(lookup, primary), _seeds(lookup), best[1] if best else None)


def _is_primary(lookup: Lookup, model: str, metric: str) -> bool:
    return metric == (lookup.primary(model) or metric)


def _models(lookup: Lookup, primary: list[Recovery]) -> list[RecoveryTable]:
    numbers = {name: number for number, name in enumerate(lookup.model_names, 1)}
    tables = []
    for model in dict.fromkeys(entry.model for entry in primary):
        rows = _by_severity(lookup, [entry for entry in primary if entry.model == model])
        others = [entry for entry in lookup.document.recovery if entry.model == model and entry not in rows]
        tables.append(
            RecoveryTable(
                number=numbers.get(model),
                model=model,
                metric=rows[0].metric,
                training=_training(lookup, model, rows[0]),
                rows=rows,
                others=sorted(
                    others, key=lambda entry: (entry.metric, entry.codec, lookup.severity(entry.codec, entry.level))
                ),
                cost=rows[0].clean_cost,
            )
        )
    return tables


def _by_severity(lookup: Lookup, entries: list[Recovery]) -> list[Recovery]:
    labels = list(dict.fromkeys(entry.codec for entry in entries))
    return sorted(entries, key=lambda entry: (labels.index(entry.codec), lookup.severity(entry.codec, entry.level)))


def _training(lookup: Lookup, model: str, entry: Recovery) -> str:
    """Say in a sentence from what, on what and for how long a model was fine-tuned, and its control."""
    own, control = lookup.models.get(model), lookup.models.get(entry.control)
    text = f"Fine-tuned from {entry.parent}{_levels(lookup, own)}"
    if own is not None and own.retrained is not None:
        record = own.retrained
        text += f": {_effort(own)}, seed {record.seed}"
    if control is not None and control.retrained is not None:
        text += f"; its control {entry.control} on clean samples: {_effort(control)}"
    else:
        text += f"; its control is {entry.control}"
    return f"{text}."


def _levels(lookup: Lookup, model: ModelInfo | None) -> str:
    record = model.retrained if model is not None else None
    if record is None or record.codec is None or not record.levels:
        return ""
    return f" on {_trained(lookup, record.codec, record.levels)}"


def _trained(lookup: Lookup, codec: str, levels: list[float]) -> str:
    return f"{codec} {', '.join(lookup.level_name(codec, level) for level in levels)}"


def _effort(model: ModelInfo) -> str:
    record = model.retrained
    if record is None:
        return ""
    return f"{formatting.count(record.iterations, 'iteration')}, {formatting.duration(record.seconds)}"


def _seeds(lookup: Lookup) -> list[SeedTable]:
    groups: dict[tuple[str, str, tuple[float, ...]], list[RecoverySummary]] = {}
    for entry in lookup.document.recovery_summary:
        if _is_primary(lookup, entry.models[0] if entry.models else entry.parent, entry.metric):
            groups.setdefault((entry.parent, entry.codec, tuple(entry.trained_levels)), []).append(entry)
    return [
        SeedTable(
            parent=parent,
            metric=rows[0].metric,
            trained=_trained(lookup, codec, list(levels)),
            seeds=max(row.seeds for row in rows),
            rows=sorted(rows, key=lambda row: lookup.severity(row.codec, row.level)),
            cost=rows[0].clean_cost,
        )
        for (parent, codec, levels), rows in groups.items()
    ]


def recovery_text(entry: Recovery | RecoverySummary) -> str:
    """Print a recovery with its interval, or that there was nothing to recover."""
    return recovery_share(entry.recovery) if entry.recovery.value is not None else NOTHING


def recovery_share(value: Estimate) -> str:
    """Print a share with its interval, ``43.1% [35.2%, 51.0%]``."""
    return formatting.with_interval(value.value, value.low, value.high, formatting.percent)


def recovery_points(value: Estimate) -> str:
    """Print a signed difference in the metric's units with its interval."""
    return formatting.with_interval(value.value, value.low, value.high, formatting.signed)
