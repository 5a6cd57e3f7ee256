"""Read a results.json that this or another machine wrote."""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError

from pytest_lossy.errors import ResultsError
from pytest_lossy.results.document import SCHEMA_VERSION, ResultsDocument
from pytest_lossy.results.files import read_json

__all__ = ["read_results"]


def read_results(path: Path) -> ResultsDocument:
    """Read and check a results file.

    Raises:
        ResultsError: missing, damaged, of another version, or not a results file; the first problems are named.
    """
    data = read_json(path)
    version = data.get("schema_version") if isinstance(data, dict) else None
    if version != SCHEMA_VERSION:
        raise ResultsError(
            f"{path}: schema_version is {version!r}, this program reads {SCHEMA_VERSION}; run the tests again, or use the "
            "version of pytest-lossy that wrote it"
        )
    try:
        return ResultsDocument.model_validate(data)
    except ValidationError as error:
        first = "; ".join(f"{'.'.join(map(str, entry['loc']))}: {entry['msg']}" for entry in error.errors()[:3])
        raise ResultsError(f"{path}: is no results file ({error.error_count()} problems: {first}); run again") from None
