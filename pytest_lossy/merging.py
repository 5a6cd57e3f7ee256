"""``pytest-lossy merge``: the shards of a run, or runs of different codecs or models, become one report.

Every case keeps the numbers that its run measured; what all cases say together (curves, knees, recovery, resilience) is
computed again from the replicates that each run stored, so that it equals that of one run, bit for bit.
"""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pytest_lossy.assembly import build_curves
from pytest_lossy.conclusions import conclude
from pytest_lossy.errors import ResultsError
from pytest_lossy.results.document import CaseRow, ModelInfo, ResultsDocument
from pytest_lossy.results.fingerprints import codec_differences, compare_environments
from pytest_lossy.results.reader import read_results
from pytest_lossy.results.report_folder import ReportFolder
from pytest_lossy.results.store import RunStore
from pytest_lossy.thresholds.rules import Thresholds

__all__ = ["merge"]

_MUST_AGREE = {
    "samples_limit": "--lossy-samples",
    "replicates": "--lossy-replicates",
    "confidence": "the confidence in thresholds.yaml",
    "tolerance": "--lossy-tolerance",
    "seed": "the seed of the bootstrap",
    "inconclusive": "'inconclusive' in thresholds.yaml",
    "strict": "--lossy-strict",
}
_PLACE = {"seconds", "worker"}
"""Columns of a row that say where and how fast it was computed, not what came out."""
_COPIED = ("evidence", "replicates", "gallery")


@dataclass(frozen=True)
class _Part:
    folder: Path
    document: ResultsDocument

    def path(self, kind: str, row: CaseRow) -> Path:
        return self.folder / kind / f"{_slug(row)}.npz"


def merge(folders: Sequence[Path], output: Path, *, partial: bool = False) -> ResultsDocument:
    """Merge report folders into another one, without pages.

    Args:
        folders: two or more, each with ``results.json`` and what lies beside it.
        output: a report folder; what it holds is replaced.
        partial: accept that shards or cases are missing.

    Raises:
        ResultsError: every reason at once why they cannot be merged; nothing is written then.
    """
    parts = [_read(folder) for folder in folders]
    problems = _disagreements(parts)
    rows, conflicts = _merged_rows(parts)
    problems += conflicts
    planned = _planned(parts)
    missing = [
        name for name in planned if name not in rows or (rows[name].verdict == "not_run" and not rows[name].error)
    ]
    if missing and not partial:
        problems.append(_gap(parts, missing))
    if problems:
        raise ResultsError("cannot be merged:\n" + "\n".join(problems))
    report = ReportFolder(output)
    report.open()
    try:
        for part in parts:
            _copy(part, report.store)
        document = _document(parts, _in_order(rows, planned), missing)
        document = conclude(document, report.store, Thresholds())
        report.publish("results.json", document.to_json())
    finally:
        report.close()
    return document


def _read(folder: Path) -> _Part:
    if folder.is_file():
        folder = folder.parent
    return _Part(folder, read_results(folder / "results.json"))


def _disagreements(parts: Sequence[_Part]) -> list[str]:
    """Why runs do not belong together: other settings, codecs, data or weights."""
    first, problems = parts[0], []
    models: dict[str, tuple[_Part, ModelInfo]] = {}
    for part in parts:
        for name, words in _MUST_AGREE.items():
            ours, theirs = getattr(first.document.run, name), getattr(part.document.run, name)
            if ours != theirs:
                problems.append(f"{part.folder}: {words} is {theirs!r}, in {first.folder} {ours!r}; run it alike")
        for label, found in codec_differences(first.document.codecs, part.document.codecs).items():
            problems.append(f"{part.folder}: {label} is not the codec of {first.folder}: {'; '.join(found)}")
        for model in part.document.models:
            other, known = models.setdefault(model.name, (part, model))
            for what, ours, theirs in (
                ("data", known.data.fingerprint, model.data.fingerprint),
                ("weights", known.details.get("weights_sha256"), model.details.get("weights_sha256")),
                ("reference", known.reference, model.reference),
                ("task", known.task, model.task),
            ):
                if ours != theirs and not known.error and not model.error:
                    problems.append(
                        f"{part.folder}: {model.name} has other {what} than in {other.folder} ({theirs} and {ours}); "
                        "run both on the same"
                    )
    return problems


def _merged_rows(parts: Sequence[_Part]) -> tuple[dict[str, CaseRow], list[str]]:
    """One row per case. Where two runs measured one, both must have come to the same."""
    found: dict[str, tuple[_Part, CaseRow]] = {}
    problems = []
    for part in parts:
        for row in part.document.cases:
            if row.id not in found:
                found[row.id] = (part, row)
                continue
            other, known = found[row.id]
            if known.verdict == "not_run" or (known.role != "case" and row.role == "case"):
                known, row, other, part = row, known, part, other  # noqa: PLW2901  the better one stays
                found[row.id] = (other, known)
            if row.verdict == "not_run":
                continue
            same = _results(known) == _results(row) or "case" not in (known.role, row.role)
            if not same or not _equal_files(other.path("evidence", known), part.path("evidence", row)):
                problems.append(
                    f"{row.id}: {other.folder} and {part.folder} measured different things; leave one of them out, or find "
                    "out what differs between the machines"
                )
    return {name: row for name, (_, row) in found.items()}, problems


def _results(row: CaseRow) -> dict[str, Any]:
    """What a row measured; a reference row judged nothing, and its outcome says nothing."""
    excluded = _PLACE | ({"verdict", "outcome", "gates", "role"} if row.role != "case" else {"role"})
    return row.model_dump(mode="json", exclude=excluded)


def _equal_files(one: Path, other: Path) -> bool:
    try:
        return one.read_bytes() == other.read_bytes()
    except FileNotFoundError:
        return not one.exists() and not other.exists()


def _planned(parts: Sequence[_Part]) -> list[str]:
    """Every case of the whole run: as the shards say, else what the runs have, one after the other."""
    lists = [part.document.run.planned for part in parts]
    if any(lists):
        longest = max(lists, key=len)
        return list(dict.fromkeys([*longest, *(name for names in lists for name in names)]))
    return list(dict.fromkeys(row.id for part in parts for row in part.document.cases if row.role == "case"))


def _gap(parts: Sequence[_Part], missing: Sequence[str]) -> str:
    shares = [part.document.run.shard for part in parts]
    there = {share for share in shares if share}
    count = max((int(share.partition("/")[2]) for share in there), default=0)
    absent = [f"{number}/{count}" for number in range(1, count + 1) if f"{number}/{count}" not in there]
    which = f"shard {', '.join(absent)} is missing" if absent else "a run ended early"
    shown = ", ".join(missing[:3]) + (", ..." if len(missing) > 3 else "")
    return f"{len(missing)} cases did not run ({shown}): {which}; add its folder, resume it, or merge with --partial"


def _in_order(rows: dict[str, CaseRow], planned: Sequence[str]) -> list[CaseRow]:
    """As one run has them: by model, clean first, then as planned; what nobody planned comes after its model's cases."""
    place = {name: position for position, name in enumerate(planned)}
    models = {name.split("::")[-2]: None for name in planned} | {row.model: None for row in rows.values()}
    order = {model: position for position, model in enumerate(models)}
    return sorted(
        rows.values(),
        key=lambda row: (order[row.model], row.codec != "clean", place.get(row.id, len(place)), row.id),
    )


def _document(parts: Sequence[_Part], rows: list[CaseRow], missing: Sequence[str]) -> ResultsDocument:
    first = parts[0].document
    models: dict[str, ModelInfo] = {}
    for part in parts:
        for model in part.document.models:
            known = models.get(model.name)
            if known is None or (known.error and not model.error) or not known.data.sources:
                models[model.name] = model
    order = {row.model: position for position, row in reversed(list(enumerate(rows)))}
    codecs = {codec.label: codec for part in reversed(parts) for codec in part.document.codecs}
    shown = dict.fromkeys(row.codec for row in rows)
    warnings = [warning for part in parts for warning in part.document.run.warnings]
    for part in parts[1:]:
        for difference in compare_environments(first.environment, part.document.environment):
            warnings.append(f"{parts[0].folder} and {part.folder} ran in different environments: {difference}")
    if missing:
        warnings.append(f"{len(missing)} cases of the run did not run anywhere, such as {missing[0]}")
    runs = [part.document.run for part in parts]
    planned = next((run.planned for run in runs if run.planned), [])
    run = first.run.model_copy(
        update={
            "started": min(run.started for run in runs),
            "seconds": max(run.seconds for run in runs),
            "status": "interrupted" if missing else "complete",
            "command": runs[0].command,
            "exit_status": max(run.exit_status for run in runs),
            "workers": sum(max(1, run.workers) for run in runs),
            "shard": None,
            "planned": planned,
            "merged": [run.command for run in runs],
            "resumed": sum(run.resumed for run in runs),
            "cache": {},
            "counts": dict(Counter(row.verdict for row in rows if row.role == "case")),
            "warnings": list(dict.fromkeys(warnings)),
        }
    )
    return ResultsDocument(
        run=run,
        environment=first.environment,
        models=sorted(models.values(), key=lambda model: order.get(model.name, len(order))),
        codecs=[codecs[label] for label in shown if label in codecs]
        + [codec for label, codec in codecs.items() if label not in shown],
        cases=rows,
        curves=build_curves(rows),
        gallery=[sample for part in parts for sample in part.document.gallery],
    )


def _copy(part: _Part, store: RunStore) -> None:
    for kind in _COPIED:
        source = part.folder / kind
        if source.is_dir():
            shutil.copytree(source, store.folder / kind, dirs_exist_ok=True)


def _slug(row: CaseRow) -> str:
    return f"{row.model}@{row.id.rpartition('::')[2]}"
