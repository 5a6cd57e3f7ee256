"""Evidence of one case on disk: an exact, mergeable ``.npz`` that never needs pickle.

Layout: ``id`` (n,) text, ``group`` (n,) text with ``has_group`` (n,) bool, per-sample numbers (``payload_bits``, ...), and
for each array of the task's evidence ``evidence/<name>`` (the samples' arrays joined along their first axis) with
``length/<name>`` (n,) saying how many rows belong to each sample.
"""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pytest_lossy.errors import ResultsError
from pytest_lossy.results.files import write_atomically
from pytest_lossy.tasks.base import Evidence

__all__ = ["CaseEvidence", "SampleCost", "load_evidence", "save_evidence"]

VERSION = 2


@dataclass(frozen=True, slots=True)
class SampleCost:
    """What the codec did to one sample."""

    payload_bits: int
    header_bits: int
    pixels: int
    """T * H * W of the unpadded source; 0 in the rows of a clip's further frames, since it was compressed once."""
    squared_error: int
    """Sum over pixels and channels of the squared difference to the source."""
    source_digest: str
    """Of the source's pixels and shape."""
    duration: int = 0
    """Of a clip, in microseconds; 0 for stills and where the frame rate is unknown."""


@dataclass(frozen=True)
class CaseEvidence:
    """Everything that a case measured, one entry per sample, in the data set's order."""

    ids: tuple[str, ...]
    groups: tuple[str | None, ...]
    evidence: tuple[Evidence, ...]
    costs: tuple[SampleCost, ...]
    tags: tuple[tuple[str, ...], ...] = ()
    """The user's slices of each sample; empty where no sample has any."""
    meta: dict[str, Any] = field(default_factory=dict)
    """Exact builtins: batch size, notes, source formats. Nothing that differs between equal runs."""

    def __len__(self) -> int:
        return len(self.ids)


def save_evidence(path: Path, case: CaseEvidence) -> None:
    """Write atomically.

    Raises:
        ResultsError: the file cannot be written.
    """
    arrays: dict[str, npt.NDArray[Any]] = {
        "version": np.array(VERSION),
        "id": np.array(case.ids, dtype=np.str_),
        "group": np.array([group or "" for group in case.groups], dtype=np.str_),
        "tags": np.array(["\n".join(names) for names in case.tags or ((),) * len(case)], dtype=np.str_),
        "has_group": np.array([group is not None for group in case.groups]),
        "payload_bits": np.array([cost.payload_bits for cost in case.costs], dtype=np.int64),
        "header_bits": np.array([cost.header_bits for cost in case.costs], dtype=np.int64),
        "pixels": np.array([cost.pixels for cost in case.costs], dtype=np.int64),
        "squared_error": np.array([cost.squared_error for cost in case.costs], dtype=np.int64),
        "source_digest": np.array([cost.source_digest for cost in case.costs], dtype=np.str_),
        "duration": np.array([cost.duration for cost in case.costs], dtype=np.int64),
        "meta": np.array(json.dumps(case.meta, allow_nan=False)),
    }
    for name in case.evidence[0] if case.evidence else ():
        parts = [np.asarray(sample[name]) for sample in case.evidence]
        arrays[f"evidence/{name}"] = np.concatenate(parts)
        arrays[f"length/{name}"] = np.array([len(part) for part in parts], dtype=np.int64)
    # The archive's own directory is not covered by a checksum: this list shows if a member is lost with it.
    arrays["members"] = np.array(sorted([*arrays, "members"]), dtype=np.str_)
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, array in arrays.items():
            # A fixed date: the same evidence is the same file, byte for byte.
            entry = zipfile.ZipInfo(f"{name}.npy", date_time=(1980, 1, 1, 0, 0, 0))
            entry.compress_type = zipfile.ZIP_DEFLATED
            with archive.open(entry, "w", force_zip64=True) as member:
                np.lib.format.write_array(member, array, allow_pickle=False)
    write_atomically(path, stream.getvalue())


def load_evidence(path: Path) -> CaseEvidence:
    """Read what :func:`save_evidence` wrote.

    Raises:
        ResultsError: missing, damaged, or of another version.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            # Each member is read to its end: only there does zipfile compare the checksum, and numpy may stop earlier.
            arrays = {
                name.removesuffix(".npy"): np.lib.format.read_array(io.BytesIO(archive.read(name)), allow_pickle=False)
                for name in archive.namelist()
            }
        if int(arrays["version"]) != VERSION:
            raise ResultsError(f"{path}: has version {arrays['version']}, this program reads {VERSION}; run again")
        if sorted(arrays) != arrays["members"].tolist():
            raise ValueError("members are missing")
        return _assemble(arrays)
    except ResultsError:
        raise
    # RuntimeError and its NotImplementedError: damage that reads as encryption or as a foreign compression method.
    except (
        OSError,
        ValueError,
        KeyError,
        EOFError,
        TypeError,
        RuntimeError,
        zipfile.BadZipFile,
        zlib.error,
    ) as error:
        raise ResultsError(f"{path}: is missing or damaged ({error}); run the tests again") from None


def _assemble(arrays: dict[str, npt.NDArray[Any]]) -> CaseEvidence:
    names = [name.removeprefix("evidence/") for name in arrays if name.startswith("evidence/")]
    count = len(arrays["id"])
    columns: dict[str, Sequence[npt.NDArray[Any]]] = {}
    for name in names:
        lengths = arrays[f"length/{name}"]
        if len(lengths) != count or lengths.sum() != len(arrays[f"evidence/{name}"]):
            raise ValueError(f"'{name}' does not cover {count} samples")
        columns[name] = np.split(arrays[f"evidence/{name}"], np.cumsum(lengths)[:-1]) if count else []
    groups = zip(arrays["group"].tolist(), arrays["has_group"].tolist(), strict=True)
    tags = tuple(tuple(names.split("\n")) if names else () for names in arrays["tags"].tolist())
    return CaseEvidence(
        ids=tuple(arrays["id"].tolist()),
        groups=tuple(group if has_group else None for group, has_group in groups),
        evidence=tuple({name: columns[name][index] for name in names} for index in range(count)),
        costs=tuple(
            SampleCost(*values)
            for values in zip(
                arrays["payload_bits"].tolist(),
                arrays["header_bits"].tolist(),
                arrays["pixels"].tolist(),
                arrays["squared_error"].tolist(),
                arrays["source_digest"].tolist(),
                arrays["duration"].tolist(),
                strict=True,
            )
        ),
        tags=tags if any(tags) else (),
        meta=json.loads(str(arrays["meta"])),
    )


def pixel_digest(pixels: npt.NDArray[np.uint8]) -> str:
    """A short hash of an array's shape and content."""
    digest = hashlib.blake2b(str(pixels.shape).encode(), digest_size=12)
    digest.update(np.ascontiguousarray(pixels).data)
    return digest.hexdigest()
