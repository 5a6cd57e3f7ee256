"""Read a results.json that this or another machine wrote."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from pytest_lossy.errors import ResultsError
from pytest_lossy.results.document import SCHEMA_VERSION, CodecInfo, ResultsDocument
from pytest_lossy.results.files import read_json

__all__ = ["read_codecs", "read_results", "read_seconds"]


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


class _Lean(BaseModel):
    """A few parts of a results file, which may have a hundred thousand rows; the others are not even built."""

    model_config = ConfigDict(extra="ignore")


class _Codecs(_Lean):
    schema_version: int
    codecs: list[CodecInfo]


class _TimedRow(_Lean):
    id: str
    seconds: float


class _Timed(_Lean):
    cases: list[_TimedRow]


def read_codecs(path: Path) -> list[CodecInfo]:
    """The codecs of a results file; none where there is no such file, or none that this program reads."""
    try:
        found = _Codecs.model_validate_json(path.read_bytes())
    except (OSError, ValidationError):
        return []
    return found.codecs if found.schema_version == SCHEMA_VERSION else []


def read_seconds(path: Path) -> dict[str, float]:
    """Seconds of each row of a results file, by node id, where they are known; none where there is no such file."""
    try:
        found = _Timed.model_validate_json(path.read_bytes())
    except (OSError, ValidationError):
        return {}
    return {row.id: row.seconds for row in found.cases if row.seconds}
