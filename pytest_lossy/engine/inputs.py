"""What a case's evidence follows from, as one digest: evidence of an earlier run counts only where that is the same."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_lossy.codecs.base import Codec
from pytest_lossy.paths import from_spec
from pytest_lossy.results.environment import package_versions

if TYPE_CHECKING:
    from pytest_lossy.cases import IndexedSpec

__all__ = ["case_inputs", "model_inputs"]


def model_inputs(spec: IndexedSpec, described: Mapping[str, Any], data: str | None, samples: int) -> str:
    """A digest of everything but the codec.

    Of user code the files that the spec names are read; what these import is not followed.

    Args:
        spec: the model's.
        described: what the loaded model says of itself, with the SHA-256 of its weights.
        data: the data set's fingerprint.
        samples: how many of them are evaluated.
    """
    declared = spec.spec.model_dump(
        mode="json", include={"task", "task_kwargs", "model", "data", "metrics", "batch_size"}
    )
    facts = {
        "declared": declared,
        "media": spec.media,
        "reference": spec.reference,
        "code": {name: _digest(path) for name, path in _code(declared, spec.path.parent)},
        "model": {name: described[name] for name in sorted(described) if name != "device"},
        "device": str(described.get("device", "")).partition(":")[0],
        "data": data,
        "samples": samples,
        "packages": package_versions(),
    }
    return hashlib.sha256(
        json.dumps(facts, sort_keys=True, default=str).encode("utf-8", "backslashreplace")
    ).hexdigest()


def case_inputs(model: str, codec: Codec | None, level: float | None) -> str:
    """A digest of :func:`model_inputs` and what the codec does."""
    facts = [model, codec.fingerprint() if codec is not None else None, level]
    return hashlib.sha256(json.dumps(facts).encode("utf-8", "backslashreplace")).hexdigest()


def _code(declared: Any, base: Path) -> Iterator[tuple[str, Path]]:
    """Every ``./file.py:name`` in a declaration, with its path."""
    if isinstance(declared, Mapping):
        for value in declared.values():
            yield from _code(value, base)
    elif isinstance(declared, str) and declared.startswith(("./", "../")) and ".py:" in declared:
        name = declared.rpartition(":")[0]
        yield name, from_spec(base, name)


def _digest(path: Path) -> str | None:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return None
