"""The files of a report, by name: what a run writes and what ``pytest-lossy report`` rebuilds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from pytest_lossy.analysis.budget import Budget
from pytest_lossy.results.document import ResultsDocument

__all__ = ["report_files"]


def report_files(
    document: ResultsDocument, pictures: Mapping[str, bytes] | None = None, budgets: Sequence[Budget] = ()
) -> Iterator[tuple[str, bytes]]:
    """Render each file when it is asked for; one that cannot be drawn does not cost those before it.

    Args:
        document: everything but pixels.
        pictures: path as in ``GallerySample.pictures`` -> encoded picture.
        budgets: bits to choose levels under; round numbers within the run's rates where there are none.

    Yields:
        name in the report folder, content.
    """
    from pytest_lossy.report.html import render_html
    from pytest_lossy.report.markdown import render_markdown
    from pytest_lossy.report.table_file import render_csv

    yield "results.csv", _utf8(render_csv(document))
    yield "summary.md", _utf8(render_markdown(document, budgets))
    yield "index.html", _utf8(render_html(document, pictures, budgets))


def _utf8(text: str) -> bytes:
    """Encode text that may hold file names which are not UTF-8."""
    return text.encode("utf-8", "backslashreplace")
