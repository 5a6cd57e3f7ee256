"""The end of a run on the controller: files of cases -> document -> gates, comparison, pages."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from jinja2 import TemplateError

from pytest_lossy.assembly import assemble
from pytest_lossy.cases import Case, IndexedSpec
from pytest_lossy.conclusions import conclude
from pytest_lossy.report.files import report_files
from pytest_lossy.results.document import ResultsDocument
from pytest_lossy.results.fingerprints import previous_warnings
from pytest_lossy.results.pictures import read_pictures

if TYPE_CHECKING:
    from pytest_lossy.run import Run

__all__ = ["publish"]

Planned = Sequence[tuple[str, IndexedSpec, Case]]


def publish(run: Run, exit_status: int, *, interrupted: bool) -> ResultsDocument | None:
    """Assemble the results of all processes and write everything that a run leaves.

    Sets ``run.written``, ``run.written_gates`` and, where a page cannot be drawn, ``run.problem``.

    Args:
        run: the controller's, with its report folder open.
        exit_status: pytest's, so far.
        interrupted: whether the run was stopped.

    Returns:
        the document; None where no case was planned, and earlier results stay.

    Raises:
        ResultsError: the results cannot be written.

    """
    planned = _planned(run)
    if not planned:
        run.folder.discard()
        return None
    document = assemble(
        run.store,
        planned,
        replace(run.plan, warnings=(*run.plan.warnings, *run.declared.dead_rules())),
        run.settings,
        started=datetime.fromtimestamp(run.started, UTC),
        seconds=time.time() - run.started,
        exit_status=exit_status,
        interrupted=interrupted,
        workers=run.cluster.workers if run.cluster is not None else run.workers,
        command=run.command,
    )
    document = _with_run(document, _share(run))
    if run.settings.update is not None:
        document = _with_new_gates(run, document, planned, exit_status)
    document = conclude(document, run.store, run.plan.thresholds)
    document = _compared(run, document)
    machines = run.cluster.warnings() if run.cluster is not None else []
    previous = previous_warnings(run.folder.root / "results.json", document)
    document = _with_run(document, {"warnings": [*document.run.warnings, *machines, *previous]})
    _write(run, document)
    return document


def _planned(run: Run) -> list[tuple[str, IndexedSpec, Case]]:
    """All cases, in the order of the specs, whatever order they ran in: equal runs leave equal files."""
    order = {key: position for position, key in enumerate(run.matrix.cases())}
    planned = sorted(
        ((node_id, *found) for node_id in run.planned if (found := run.case_of(node_id))),
        key=lambda entry: order[entry[2].model, entry[2].name],
    )
    run.declared.read()
    return planned + [(entry.spec.row_id(case), entry.spec, case) for entry in run.declared for case in entry.cases]


def _with_run(document: ResultsDocument, changes: dict[str, Any]) -> ResultsDocument:
    return document.model_copy(update={"run": document.run.model_copy(update=changes)})


def _share(run: Run) -> dict[str, Any]:
    """What the results say of a run that is part of another."""
    shared: dict[str, Any] = {"resumed": run.resumed}
    if run.settings.shard is not None:
        shared["shard"] = "{}/{}".format(*run.settings.shard)
        shared["planned"] = [
            f"{spec.shown}::{spec.name}::{case.name}"
            for spec in run.plan.specs
            for case in run.matrix.all_machines(spec)
        ] + run.declared.all_rows()
    return shared


def _with_new_gates(run: Run, document: ResultsDocument, planned: Planned, exit_status: int) -> ResultsDocument:
    """Write the thresholds file, and judge what was measured by it."""
    from pytest_lossy.gate_update import write_gates
    from pytest_lossy.thresholds.updating import WrittenGates

    if exit_status not in (0, 1):
        problem = "the run was stopped; run it to its end"
        run.written_gates = WrittenGates(run.settings.thresholds.name, run.settings.margin, problem=problem)
        return document
    document, run.written_gates = write_gates(document, planned, run.plan, run.settings, run.store, run.root)
    return document


def _compared(run: Run, document: ResultsDocument) -> ResultsDocument:
    """The document beside its baseline, whose replicates still lie where they were."""
    if run.baseline is None:
        return document
    from pytest_lossy.comparing import compare_runs, parse_fail_rule

    rule = parse_fail_rule(run.settings.compare_fail) if run.settings.compare_fail else None
    comparison = compare_runs(run.baseline, document, run.store.folder, rule)
    return document.model_copy(update={"comparison": comparison})


def _write(run: Run, document: ResultsDocument) -> None:
    """The numbers first: a page that cannot be drawn must not cost the run."""
    results = run.folder.root / "results.json"
    run.folder.publish(results.name, document.to_json())
    run.written = [("results", results)]
    if run.settings.save is not None and document.run.status == "complete":
        from pytest_lossy.comparing import save_baseline

        kept = save_baseline(run.settings.save, run.folder.root, run.settings.baselines)
        run.written.append(("baseline", kept))
    try:
        for name, content in report_files(document, read_pictures(run.folder.root, document)):
            run.folder.write(name, content)
    except (ArithmeticError, LookupError, TypeError, ValueError, AttributeError, TemplateError) as error:
        run.problem = (
            f"a page of the report could not be drawn ({type(error).__name__}: {error}). The numbers are safe in "
            f"{results}; with a version that mends this, `pytest-lossy report` draws the pages from it"
        )
        return
    run.written.insert(0, ("report", run.folder.root / "index.html"))
