"""``--lossy-update``: the thresholds file from what a run measured, and the run judged by its new gates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pytest_lossy.analysis.curves import CurveData
from pytest_lossy.analysis.requirements import Measured
from pytest_lossy.assembly import build_curves
from pytest_lossy.cases import Case, IndexedSpec
from pytest_lossy.conclusions import Evaluated
from pytest_lossy.engine.knee_work import knee_of
from pytest_lossy.errors import ConfigurationError, LossyError, ResultsError
from pytest_lossy.planning import Plan, all_cases, codec_plans, directions, gate_names, shown_path
from pytest_lossy.results.document import CaseRow, GateResult, ModelInfo, ResultsDocument
from pytest_lossy.results.files import write_atomically
from pytest_lossy.results.store import RunStore
from pytest_lossy.settings import Settings
from pytest_lossy.tasks.registry import TASKS, task_primary
from pytest_lossy.thresholds.knees import judge_knee
from pytest_lossy.thresholds.limits import MeasuredKnee
from pytest_lossy.thresholds.reader import LocatedThresholds, parse_thresholds
from pytest_lossy.thresholds.recovery_checks import recovery_directions
from pytest_lossy.thresholds.rules import Gate, Thresholds
from pytest_lossy.thresholds.updating import GateUpdate, IndexedCase, MeasuredCase, WrittenGates, update_gates
from pytest_lossy.thresholds.verdicts import case_verdict, judge

__all__ = ["write_gates"]

_BOM = "\ufeff"
_NEW_FILE = """\
# Gates of pytest-lossy: what each model must still reach at each level. Written from measurements by --lossy-update.
version: 1
"""


def write_gates(
    document: ResultsDocument,
    planned: Sequence[tuple[str, IndexedSpec, Case]],
    plan: Plan,
    settings: Settings,
    store: RunStore,
    root: Path,
) -> tuple[ResultsDocument, WrittenGates]:
    """Set the gates of the cases that ran, write the file at once and whole, and judge the rows by it.

    Args:
        document: the run's rows and models, before anything was concluded from all of them.
        planned: every case of the run: node id, spec, case.
        plan: specs and gates as the run began.
        settings: flags and ini values.
        store: the run's files.
        root: pytest's root directory.

    Returns:
        the document with new verdicts, and what to tell; the same document where nothing was written.
    """
    shown = shown_path(settings.thresholds, root)
    told = shown.as_posix()
    try:
        raw = settings.thresholds.read_bytes() if settings.thresholds.exists() else None
        specs = list({spec.name: spec for spec in (*plan.specs, *(spec for _, spec, _ in planned))}.values())
        metrics, labels = gate_names(specs)

        def parse(text: str) -> LocatedThresholds:
            return parse_thresholds(text.encode(), shown, metrics=metrics, labels=labels)

        text = _NEW_FILE if raw is None else raw.decode("utf-8-sig")
        located = parse(text)
        before = Thresholds() if raw is None else located.thresholds
        if before != plan.thresholds:
            return document, WrittenGates(
                told, settings.margin, problem="it changed while the tests ran; run them again"
            )
        rows = {row.id: row for row in document.cases}
        cases = {case: rows[node_id] for node_id, _, case in planned if node_id in rows}
        models = {model.name: model for model in document.models}
        knees = _Knees(Evaluated(document, store), specs, plan, settings)
        measured = {case: _measured(case, row, knees) for case, row in cases.items()}
        indexed = _indexed(specs, plan, settings, measured, models)
        update = update_gates(
            located,
            text,
            indexed,
            measured,
            lambda changed: parse(changed).thresholds,
            margin=settings.margin,
            new_only=settings.update == "new",
            created=raw is None,
        )
        if update.diff:
            bom = _BOM if raw is not None and raw.startswith(_BOM.encode()) else ""
            _write(settings.thresholds, (bom + update.text).encode())
    except ConfigurationError as error:
        return document, WrittenGates(told, settings.margin, problem=f"it cannot be read again: {error}")
    except (LossyError, OSError) as error:
        return document, WrittenGates(told, settings.margin, problem=str(error))
    document = _judged_again(document, update, indexed, measured, cases, settings)
    missed = [
        f"{gate.file}:{gate.line}: {row.model}::{row.id.rpartition('::')[2]}: {gate.metric}.{gate.bound}"
        for row in document.cases
        for gate in row.gates
        if gate.verdict == "failed"
    ]
    return document, WrittenGates(told, settings.margin, update, missed=tuple(missed))


def _write(path: Path, data: bytes) -> None:
    """Replace the file that a link names, not the link, and keep who may read it."""
    path = path.resolve()
    mode = path.stat().st_mode & 0o777 if path.exists() else 0o644
    try:
        write_atomically(path, data)
        path.chmod(mode)
    except ResultsError as error:
        raise ResultsError(f"it cannot be written ({error.__cause__}); mend that and run again") from None


def _measured(case: Case, row: CaseRow, knees: _Knees) -> MeasuredCase:
    if row.verdict in ("error", "crashed", "not_run"):
        reason = next((line.strip() for line in (row.error or "").splitlines() if line.strip()), "it did not run")
        return MeasuredCase(problem=f"{row.verdict.replace('_', ' ')}: {reason}")
    return MeasuredCase(metrics=row.metrics, knee=knees.of(case, row) if case.knee else None)


def _indexed(
    specs: Sequence[IndexedSpec],
    plan: Plan,
    settings: Settings,
    measured: Mapping[Case, MeasuredCase],
    models: Mapping[str, ModelInfo],
) -> list[IndexedCase]:
    """Every case of every spec, with the metrics of its task: those of models that ran as they were loaded."""
    found = []
    for spec in specs:
        model = models.get(spec.name)
        builtin = spec.spec.task in TASKS.builtin
        primary = model.primary if model is not None and model.primary else ""
        known = {metric.name: metric.higher_is_better for metric in model.metrics} if model is not None else {}
        if not known and builtin:
            primary, known = task_primary(spec.spec.task), directions(spec)
        cases = all_cases(spec, settings, plan.thresholds)
        for case in dict.fromkeys([*cases, *(case for case in measured if case.model == spec.name)]):
            names = {**known, **recovery_directions(spec, case)} if known else None
            found.append(IndexedCase(case, primary, names))
    return found


@dataclass(frozen=True)
class _Knees:
    """Finds a knee's place again, from what its levels measured."""

    run: Evaluated
    specs: Sequence[IndexedSpec]
    plan: Plan
    settings: Settings

    def of(self, case: Case, row: CaseRow) -> MeasuredKnee | None:
        spec = next(spec for spec in self.specs if spec.name == case.model)
        codec = codec_plans(spec, self.settings).get(case.label)
        levels = [one for one in self.run.document.cases if (one.model, one.codec) == (row.model, row.codec)]
        levels = [one for one in levels if one.level is not None]
        if codec is None or row.knee is None or not levels:
            return None
        grid, model = codec.grid, self.run.models[case.model]
        levels.sort(key=lambda one: grid.severity(one.level or 0.0))
        data = CurveData(
            levels=[Measured(one, self.run.replicates(one)) for one in levels],
            clean=self.run.replicates(self.run.clean.get(case.model)),
            metric=row.primary,
            higher_is_better=next((one.higher_is_better for one in model.metrics if one.name == row.primary), True),
            tolerance=self.settings.tolerance,
            confidence=self.plan.thresholds.defaults.confidence,
            searched=row.knee.evaluations is not None,
        )
        found = knee_of(data)
        return MeasuredKnee(row.knee, found.place, found.tried, grid)


def _judged_again(
    document: ResultsDocument,
    update: GateUpdate,
    indexed: Sequence[IndexedCase],
    measured: Mapping[Case, MeasuredCase],
    cases: Mapping[Case, CaseRow],
    settings: Settings,
) -> ResultsDocument:
    """The rows beside the gates that are in the file now."""
    changed = {}
    for entry in indexed:
        row, found = cases.get(entry.case), measured.get(entry.case)
        if row is None or found is None or found.problem:
            continue
        gates = update.thresholds.gates_for(entry.case, entry.primary, entry.metrics or {})
        judged = [_judge(gate, entry.case, found, row) for gate in gates]
        changed[row.id] = row.model_copy(update={"gates": judged, "verdict": case_verdict(judged)})
    rows = [changed.get(row.id, row) for row in document.cases]
    counts: dict[str, int] = {}
    for row in rows:
        if row.role == "case":
            counts[row.verdict] = counts.get(row.verdict, 0) + 1
    run = document.run.model_copy(
        update={
            "counts": counts,
            "thresholds": update.thresholds.file if update.diff else document.run.thresholds,
            "warnings": [
                *document.run.warnings,
                "this run wrote its own gates (--lossy-update): that they are met says nothing of the models",
            ],
        }
    )
    return document.model_copy(update={"cases": rows, "curves": build_curves(rows), "run": run})


def _judge(gate: Gate, case: Case, found: MeasuredCase, row: CaseRow) -> GateResult:
    if found.knee is not None:
        rises = found.knee.grid.higher_is_more_compressed
        return judge_knee(
            gate, found.knee.knee, found.knee.place, tried=found.knee.tried, higher_is_more_compressed=rises
        )
    result = judge(gate, found.metrics.get(gate.metric), reference=case.reference)
    old = next((one for one in row.gates if (one.metric, one.bound) == (gate.metric, gate.bound)), None)
    # Why a recovery is undefined was known where it was measured.
    return result.model_copy(update={"reason": old.reason}) if old is not None and result.reason else result
