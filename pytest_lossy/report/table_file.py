"""``results.csv``: one row per case and metric, for spreadsheets and data frames.

Numbers keep every digit of ``results.json``. Text that a spreadsheet would take for a formula is led by an apostrophe.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator

from pytest_lossy.results.document import CaseRow, MetricInfo, MetricValue, ResultsDocument

__all__ = ["COLUMNS", "render_csv"]

COLUMNS = (
    "case",
    "model",
    "task",
    "architecture",
    "reference",
    "data",
    "codec",
    "codec_name",
    "parameter",
    "level",
    "mix",
    "role",
    "metric",
    "slice",
    "primary",
    "higher_is_better",
    "value",
    "low",
    "high",
    "retention",
    "retention_low",
    "retention_high",
    "loss",
    "loss_low",
    "loss_high",
    "bpp",
    "kbps",
    "psnr",
    "samples",
    "units",
    "seconds",
    "verdict",
    "outcome",
    "error",
)
"""Header of the file. ``slice`` is the class or tag of ``miou[road]`` or ``miou{night}``, empty for the whole data set."""

_SLICED = re.compile(r"(?P<metric>[^\[\]{}]+)(?:\[(?P<name>.+)\]|\{(?P<tag>.+)\})", re.DOTALL)
_FORMULA = re.compile(r"[\s\x00-\x20\ufeff\u200b]*[=+\-@\uff1d\uff0b\uff0d\uff20\t\r\n]")
"""How a spreadsheet recognises a formula or a command: OWASP, "CSV Injection", with the full-width forms, and whatever
blank a program may strip before it looks."""

Cell = str | float | int | bool | None


def render_csv(document: ResultsDocument) -> str:
    """Render the results as comma-separated values (RFC 4180 quoting, lines end in a line feed).

    A case that measured nothing has one row with its verdict and no metric, so that no case is missing. Undefined
    numbers are empty cells.
    """
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(COLUMNS)
    for row in _rows(document):
        writer.writerow([_printed(cell) for cell in row])
    return stream.getvalue()


def _printed(cell: Cell) -> str:
    if cell is None:
        return ""
    if isinstance(cell, bool):
        return "true" if cell else "false"
    if isinstance(cell, str):
        # readers refuse a file with a NUL, and begin a new row at a lone carriage return, which the writer does not quote
        text = cell.replace("\x00", "\\x00").replace("\r\n", "\n").replace("\r", "\n")
        return f"'{text}" if _FORMULA.match(text) else text
    return repr(cell)


def _rows(document: ResultsDocument) -> Iterator[list[Cell]]:
    models = {model.name: model for model in document.models}
    for case in document.cases:
        info = models.get(case.model)
        known = {metric.name: metric for metric in info.metrics} if info else {}
        before: list[Cell] = [
            case.id,
            case.model,
            case.task,
            info.architecture if info else None,
            case.reference,
            info.data.name if info else None,
            case.codec,
            case.codec_name,
            case.parameter,
            case.level,
            case.mix,
            case.role,
        ]
        after: list[Cell] = [
            case.bpp,
            case.kbps,
            case.psnr,
            case.samples,
            case.units,
            case.seconds,
            case.verdict,
            case.outcome,
            case.error,
        ]
        for name, value in case.metrics.items():
            yield [*before, *_measured(case, name, value, known), *after]
        if not case.metrics:
            yield [*before, *[None] * 13, *after]


def _measured(case: CaseRow, name: str, value: MetricValue, known: dict[str, MetricInfo]) -> list[Cell]:
    found = _SLICED.fullmatch(name)
    metric = found["metric"] if found else name
    info = known.get(name) or known.get(metric)
    return [
        metric,
        (found["name"] or found["tag"]) if found else None,
        name == case.primary,
        info.higher_is_better if info else None,
        value.value,
        value.low,
        value.high,
        value.retention,
        value.retention_low,
        value.retention_high,
        value.loss,
        value.loss_low,
        value.loss_high,
    ]
