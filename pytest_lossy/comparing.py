"""A run beside a baseline: ``--lossy-save``, ``--lossy-compare`` and ``pytest-lossy compare``."""

from __future__ import annotations

import math
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pytest_lossy.analysis.regression import ALPHA, Change, Pair, compare_pairs
from pytest_lossy.errors import ResultsError
from pytest_lossy.results.document import (
    CaseChange,
    CaseRow,
    Comparison,
    Curve,
    Estimate,
    KneeMove,
    ModelInfo,
    ResultsDocument,
)
from pytest_lossy.results.files import write_atomically
from pytest_lossy.results.fingerprints import codec_differences, compare_environments
from pytest_lossy.results.reader import read_results
from pytest_lossy.results.replicates import StoredReplicates, load_replicates

__all__ = ["Baseline", "FailRule", "compare_runs", "find_baseline", "parse_fail_rule", "save_baseline"]

_NAME = re.compile(r"[A-Za-z0-9._-]+")
_RULE = re.compile(r"(?P<metric>\S+)\s+(?P<kind>drop|loss)\s*>\s*(?P<limit>\d+(?:\.\d+)?)\s*(?P<percent>%?)")
_SHOWN_LOSSES = (0.005, 0.01, 0.02)


@dataclass(frozen=True, slots=True)
class FailRule:
    """``miou drop > 1%``: a certain loss of more than that fails the run."""

    text: str
    metric: str
    """``primary`` stands for each model's."""
    kind: str
    """``drop``: relative to the baseline; ``loss``: in the metric's units."""
    limit: float


@dataclass(frozen=True)
class Baseline:
    """An earlier run."""

    name: str
    """As the user named it."""
    folder: Path
    document: ResultsDocument

    def replicates(self, row: CaseRow) -> StoredReplicates | None:
        """What a row measured under every weighting; None where nothing was kept."""
        return _replicates(self.folder, row)


def parse_fail_rule(text: str) -> FailRule:
    """Read ``METRIC drop > 1%`` or ``METRIC loss > 0.01``.

    Raises:
        ValueError: it is neither; the message says what to write.
    """
    match = _RULE.fullmatch(text.strip())
    if not match or (match["kind"] == "loss" and match["percent"]):
        raise ValueError(f"{text!r} is no rule; write 'miou drop > 1%', 'primary drop > 1%' or 'ap loss > 0.01'")
    limit = float(match["limit"]) / (100 if match["percent"] else 1)
    return FailRule(text.strip(), match["metric"], match["kind"], limit)


def find_baseline(reference: str, baselines: Path, report: Path, root: Path) -> Baseline:
    """The run that a reference names: ``last``, a name given to ``--lossy-save``, or a path.

    Args:
        reference: as given.
        baselines: where named ones are kept.
        report: the report folder, whose results are ``last``.
        root: what a path is relative to.

    Raises:
        ResultsError: there is none, or it is damaged.
    """
    if reference == "last":
        folder = report
    elif _NAME.fullmatch(reference) and (baselines / reference).is_dir():
        folder = baselines / reference
    else:
        path = root / reference
        folder = path.parent if path.is_file() else path
        if not folder.is_dir():
            known = sorted(entry.name for entry in baselines.iterdir() if entry.is_dir()) if baselines.is_dir() else []
            raise ResultsError(
                f"no baseline '{reference}': it is no folder, and {baselines} has "
                f"{', '.join(known) if known else 'none yet; keep one with --lossy-save=NAME'}"
            )
    return Baseline(reference, folder, read_results(folder / "results.json"))


def save_baseline(name: str, report: Path, baselines: Path) -> Path:
    """Keep a finished report's numbers under a name, in place of what had it.

    Returns:
        the folder.

    Raises:
        ResultsError: the folder cannot be written.
    """
    folder = baselines / name
    fresh = baselines / f".{name}.new"
    try:
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(parents=True)
        if (report / "replicates").is_dir():
            shutil.copytree(report / "replicates", fresh / "replicates")
        write_atomically(fresh / "results.json", (report / "results.json").read_bytes())
        shutil.rmtree(folder, ignore_errors=True)
        fresh.replace(folder)
    except OSError as error:
        raise ResultsError(f"{folder}: cannot be written ({error.strerror or error}); choose another folder") from error
    return folder


def compare_runs(before: Baseline, after: ResultsDocument, folder: Path, rule: FailRule | None = None) -> Comparison:
    """Every case that both runs measured, its change, and whether chance explains it.

    Args:
        before: the baseline.
        after: the run to judge.
        folder: where its replicates are.
        rule: what fails.
    """
    old_rows = {row.id: row for row in before.document.cases if row.metrics}
    new_rows = {row.id: row for row in after.cases if row.metrics}
    models = {model.name: model for model in after.models}
    compared: list[tuple[CaseRow, CaseRow, str, bool]] = []
    pairs: list[Pair | None] = []
    for name, row in new_rows.items():
        old = old_rows.get(name)
        if old is None or row.role == "probe" or old.reference != row.reference:
            continue
        for metric in _metrics(row, rule):
            if metric not in old.metrics:
                continue
            better = _higher_is_better(models.get(row.model), metric)
            compared.append((old, row, metric, better))
            first, second = (
                _of_metric(stored, metric) for stored in (before.replicates(old), _replicates(folder, row))
            )
            pairs.append(
                Pair(name, first, second, metric, better) if first is not None and second is not None else None
            )
    found = iter(compare_pairs([pair for pair in pairs if pair is not None], after.run.confidence))
    changes = [
        _change(old, row, metric, better, next(found) if pair is not None else None, rule)
        for (old, row, metric, better), pair in zip(compared, pairs, strict=True)
    ]
    return Comparison(
        reference=before.name,
        started=before.document.run.started,
        alpha=ALPHA,
        changes=changes,
        moves=_moves(before.document.curves, after.curves),
        only_before=[name for name, row in old_rows.items() if name not in new_rows and row.role == "case"],
        only_after=[name for name, row in new_rows.items() if name not in old_rows and row.role == "case"],
        differences=_differences(before.document, after),
        rule=rule.text if rule else None,
    )


def _metrics(row: CaseRow, rule: FailRule | None) -> Sequence[str]:
    names = [row.primary]
    if rule is not None and rule.metric not in ("primary", row.primary) and rule.metric in row.metrics:
        names.append(rule.metric)
    return names


def _higher_is_better(model: ModelInfo | None, metric: str) -> bool:
    plain = metric.partition("[")[0].partition("{")[0]
    known = {info.name: info.higher_is_better for info in model.metrics} if model else {}
    return known.get(plain, True)


def _change(
    old: CaseRow, row: CaseRow, metric: str, higher_is_better: bool, found: Change | None, rule: FailRule | None
) -> CaseChange:
    before, after = old.metrics[metric].value, row.metrics[metric].value
    fields: dict[str, object] = {
        "case": row.id,
        "model": row.model,
        "codec": row.codec,
        "level": row.level,
        "metric": metric,
        "before": before,
        "after": after,
    }
    if before is None or after is None:
        return CaseChange.model_validate(
            {**fields, "change": Estimate(value=None), "paired": False, "verdict": "not_compared"}
        )
    difference = after - before if higher_is_better else before - after
    scale = before if higher_is_better else after
    relative = difference / abs(scale) if scale else None
    if found is None or found.p_worse_adjusted is None or found.p_better_adjusted is None:
        return CaseChange.model_validate(
            {
                **fields,
                "change": Estimate(value=difference),
                "relative": relative,
                "paired": False,
                "verdict": "unchanged" if difference == 0 else "not_compared",
            }
        )
    worse, better = found.p_worse_adjusted <= ALPHA, found.p_better_adjusted <= ALPHA
    failed = False
    if worse and rule is not None and metric == (row.primary if rule.metric == "primary" else rule.metric):
        failed = (-difference if rule.kind == "loss" else -(relative or 0.0)) > rule.limit
    return CaseChange.model_validate(
        {
            **fields,
            "change": Estimate(value=difference, low=found.low, high=found.high),
            "relative": relative,
            "paired": found.paired,
            "p": found.p_worse,
            "p_adjusted": found.p_worse_adjusted,
            "detectable": found.detectable,
            "samples_for": _samples_for(found.detectable, abs(before), row.units),
            "verdict": "worse" if worse else "better" if better else "unchanged",
            "failed": failed,
        }
    )


def _samples_for(detectable: float | None, value: float, units: int) -> dict[str, int]:
    """Independent units with which losses of a share of the metric are found; the spread falls with their root."""
    if not detectable or not value or not math.isfinite(detectable):
        return {}
    return {f"{share:.1%}": math.ceil(units * (detectable / (share * value)) ** 2) for share in _SHOWN_LOSSES}


def _moves(before: Sequence[Curve], after: Sequence[Curve]) -> list[KneeMove]:
    old = {(curve.model, curve.codec): curve for curve in before}
    found = []
    for curve in after:
        known = old.get((curve.model, curve.codec))
        if known is None or known.knee is None or curve.knee is None:
            continue
        found.append(
            KneeMove(
                model=curve.model,
                codec=curve.codec,
                knee_before=known.knee.position.level.value if known.knee.position else None,
                knee_after=curve.knee.position.level.value if curve.knee.position else None,
                status_before=known.knee.status,
                status_after=curve.knee.status,
                limit_before=known.limit.level if known.limit else None,
                limit_after=curve.limit.level if curve.limit else None,
            )
        )
    return found


def _differences(before: ResultsDocument, after: ResultsDocument) -> list[str]:
    """What else changed between two runs, in words."""
    found = []
    old: Mapping[str, ModelInfo] = {model.name: model for model in before.models}
    for model in after.models:
        known = old.get(model.name)
        if known is None:
            continue
        if known.data.fingerprint != model.data.fingerprint:
            found.append(f"{model.name}: other data")
        if known.details.get("weights_sha256") != model.details.get("weights_sha256"):
            found.append(f"{model.name}: other weights")
    for name in ("samples_limit", "replicates", "confidence"):
        if getattr(before.run, name) != getattr(after.run, name):
            found.append(f"{name} {getattr(before.run, name)} -> {getattr(after.run, name)}")
    for label, words in codec_differences(before.codecs, after.codecs).items():
        found.append(f"{label}: {'; '.join(words)}")
    return [*found, *compare_environments(before.environment, after.environment)]


def _of_metric(stored: StoredReplicates | None, metric: str) -> StoredReplicates | None:
    """What is compared of a case: all metrics of a hundred thousand cases together would not fit in memory."""
    if stored is None:
        return None
    point = {name: value for name, value in stored.point.items() if name == metric}
    drawn = {name: values.copy() for name, values in stored.replicates.items() if name == metric}
    return replace(stored, point=point, replicates=drawn, outcomes={})


def _replicates(folder: Path, row: CaseRow) -> StoredReplicates | None:
    path = folder / "replicates" / f"{row.model}@{row.id.rpartition('::')[2]}.npz"
    try:
        return load_replicates(path) if path.exists() else None
    except ResultsError:
        return None
