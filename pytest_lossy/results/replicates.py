"""Bootstrap replicates of one case on disk, so that curves, recoveries and comparisons of runs need no evidence again.

Layout of the ``.npz``: ``metric`` (m,) names, ``point`` (m,) float64, ``replicates`` (k, B) float64 of the first k metrics,
``units``, ``samples``, and ``tag`` (t,) names with ``tag_units`` (t,), and
``outcome_metric`` (p,) names with ``outcomes`` (p, n) int8. Replicates of equal ``samples`` are paired: their
weights depend on nothing else.
"""

from __future__ import annotations

import hashlib
import io
import math
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pytest_lossy.errors import ResultsError
from pytest_lossy.results.files import write_atomically
from pytest_lossy.tasks.base import FloatArray

__all__ = ["StoredReplicates", "load_replicates", "samples_digest", "save_replicates"]

_VERSION = 1


@dataclass(frozen=True, slots=True)
class StoredReplicates:
    """What one case measured: on the full data, and under each bootstrap weighting."""

    point: Mapping[str, float]
    """Metrics and user tags, ``miou`` and ``miou{night}``, without classes such as ``miou[road]``; NaN where undefined."""
    replicates: Mapping[str, FloatArray]
    """metric -> (B,); empty where there is a single unit."""
    units: int
    samples: str
    """Of the samples and their groups, in order; see :func:`samples_digest`."""
    tag_units: Mapping[str, int] = field(default_factory=dict)
    """User tag -> how many of the units have a sample that carries it."""
    outcomes: Mapping[str, FloatArray] = field(default_factory=dict)
    """Of plain proportions of ungrouped samples: metric -> (n,) 1, 0, or NaN where a sample does not count."""


def samples_digest(ids: Sequence[str], groups: Sequence[str | None]) -> str:
    """A digest of which samples were measured, in which order and groups."""
    digest = hashlib.sha256()
    for name, group in zip(ids, groups, strict=True):
        for text in (name, "" if group is None else f"group {group}"):
            encoded = text.encode("utf-8", "surrogatepass")
            digest.update(len(encoded).to_bytes(8, "big") + encoded)
    return digest.hexdigest()


def save_replicates(path: Path, stored: StoredReplicates) -> None:
    """Write atomically; equal content gives equal bytes.

    Raises:
        ResultsError: the file cannot be written.
    """
    names = sorted(name for name in stored.point if "[" not in name)
    outcomes = {name: stored.outcomes[name] for name in sorted(stored.outcomes) if "[" not in name}
    names.sort(key=lambda name: name not in stored.replicates)
    drawn = [stored.replicates[name] for name in names if name in stored.replicates]
    arrays = {
        "version": np.array(_VERSION),
        "metric": np.array(names, dtype=np.str_),
        "point": np.array([stored.point[name] for name in names], dtype=np.float64),
        "replicates": np.stack(drawn).astype(np.float64) if drawn else np.zeros((0, 0)),
        "units": np.array(stored.units, dtype=np.int64),
        "samples": np.array(stored.samples),
        "tag": np.array(sorted(stored.tag_units), dtype=np.str_),
        "tag_units": np.array([stored.tag_units[tag] for tag in sorted(stored.tag_units)], dtype=np.int64),
    }
    if outcomes:
        arrays["outcome_metric"] = np.array(list(outcomes), dtype=np.str_)
        arrays["outcomes"] = np.nan_to_num(np.stack(list(outcomes.values())), nan=-1).astype(np.int8)
    stream = io.BytesIO()
    np.savez(stream, allow_pickle=False, **arrays)
    write_atomically(path, stream.getvalue())


def load_replicates(path: Path) -> StoredReplicates:
    """The inverse of :func:`save_replicates`.

    Raises:
        ResultsError: the file is missing or damaged.
    """
    try:
        with zipfile.ZipFile(path) as members:
            arrays = {name.removesuffix(".npy"): _array(members.read(name)) for name in members.namelist()}
        if int(arrays["version"]) != _VERSION:
            raise ResultsError(f"{path}: was written by another version of pytest-lossy; run the tests again")
        names, point, drawn = arrays["metric"].tolist(), arrays["point"], arrays["replicates"]
        if point.shape != (len(names),) or drawn.ndim != 2 or len(drawn) > len(names):
            raise ValueError("shapes disagree")
        return StoredReplicates(
            dict(zip(names, point.tolist(), strict=True)),
            dict(zip(names, drawn, strict=False)),
            int(arrays["units"]),
            str(arrays["samples"]),
            dict(zip(arrays["tag"].tolist(), arrays["tag_units"].tolist(), strict=True)),
            _outcomes(arrays),
        )
    except OSError as error:
        raise ResultsError(f"{path}: cannot be read ({error.strerror or error}); run the tests again") from None
    except (ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise ResultsError(f"{path}: is damaged ({error}); run the tests again") from None


def _array(content: bytes) -> npt.NDArray[Any]:
    """One member, as ``np.load`` reads it, in a third of the time: the headers of a run's files are the same few.

    Raises:
        ValueError: it is no array of plain numbers or text, or is cut off.
    """
    end = 10 + int.from_bytes(content[8:10], "little")
    if content[:8] != b"\x93NUMPY\x01\x00":  # another version of the format
        return np.lib.format.read_array(io.BytesIO(content), allow_pickle=False)
    shape, fortran, dtype = _described(content[:end])
    if dtype.hasobject:
        raise ValueError("it holds objects")
    return np.frombuffer(content, dtype, math.prod(shape), end).reshape(shape, order="F" if fortran else "C")


@lru_cache(maxsize=256)
def _described(header: bytes) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Shape, whether columns come first, and type."""
    shape, fortran, dtype = np.lib.format.read_array_header_1_0(io.BytesIO(header[8:]))
    return shape, fortran, dtype


def _outcomes(arrays: Mapping[str, npt.NDArray[Any]]) -> dict[str, FloatArray]:
    if "outcomes" not in arrays:
        return {}
    values = np.where(arrays["outcomes"] < 0, np.nan, arrays["outcomes"])
    return dict(zip(arrays["outcome_metric"].tolist(), values, strict=True))
