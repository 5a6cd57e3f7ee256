"""Decode each source once per run: raw pixels and targets spill to memory-mapped files that all workers share."""

from __future__ import annotations

import contextlib
import hashlib
import os
import threading
import warnings
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pytest_lossy.data.base import Dataset, Sample, SourceInfo
from pytest_lossy.engine.packed import pack, unpack
from pytest_lossy.errors import DataError
from pytest_lossy.results.evidence import pixel_digest
from pytest_lossy.usercode import explain_exception

__all__ = ["LoadedSample", "SourceStore"]


@dataclass(frozen=True, slots=True)
class LoadedSample:
    """A checked sample, and a hash of its pixels."""

    sample: Sample
    digest: str


class SourceStore:
    """Samples of one data set, decoded on first use and mapped from disk afterwards.

    Beyond ``limit`` bytes samples are decoded again each time, so that neither memory nor disk grows with the data set.
    A failed write (a full disk) ends spilling with one warning and costs speed, never results.

    Args:
        dataset: where samples come from.
        folder: where to spill, shared by the run's processes; None never to spill.
        limit: bytes that this process may spill.
        origin: what else tells data sets apart, such as the factory and its arguments: a fingerprint of the user's own may
            be careless.
    """

    def __init__(self, dataset: Dataset, folder: Path | None, limit: int, origin: str = "") -> None:
        self._dataset = dataset
        # Data sets of equal origin and fingerprint hold equal samples: models that share one share its spill.
        key = hashlib.sha256(f"{dataset.name}\0{dataset.fingerprint()}\0{origin}".encode()).hexdigest()[:16]
        self._folder = folder / key if folder is not None else None
        self._left = limit
        self._lock = threading.Lock()

    def load(self, index: int) -> LoadedSample:
        """One sample; its arrays may be read-only views of a mapped file.

        Raises:
            DataError: the sample is missing, damaged, or not what the protocol asks for.
        """
        path = self._folder / f"{index}.bin" if self._folder is not None else None
        if path is not None and path.exists():
            try:
                return _restore(unpack(path))
            except (OSError, ValueError, KeyError, TypeError):
                with contextlib.suppress(OSError):
                    path.unlink(missing_ok=True)  # half a file from a killed process; decode again
        loaded = self._decode(index)
        if path is not None:
            self._spill(path, loaded)
        return loaded

    def _decode(self, index: int) -> LoadedSample:
        try:
            sample = self._dataset.load(index)
        except DataError:
            raise
        except Exception as error:  # noqa: BLE001  a user's data set may raise anything
            raise DataError(f"sample {index} of '{self._dataset.name}' raised {explain_exception(error)}") from None
        media = getattr(sample, "media", None)
        shape: tuple[int, ...] = getattr(media, "shape", ())
        if (
            not isinstance(sample, Sample)
            or not isinstance(media, np.ndarray)
            or media.dtype != np.uint8
            or len(shape) not in (3, 4)
            or shape[-1] != 3
            or 0 in shape
        ):
            found = f"{media.dtype} {shape}" if isinstance(media, np.ndarray) else type(media).__name__
            raise DataError(
                f"sample {index} of '{self._dataset.name}': media must be a uint8 array (H, W, 3) or (T, H, W, 3), got "
                f"{found}; convert it in the data set"
            )
        return LoadedSample(sample, pixel_digest(media))

    def _spill(self, path: Path, loaded: LoadedSample) -> None:
        sample = loaded.sample
        try:
            data = pack(
                {
                    "id": sample.id,
                    "media": sample.media,
                    "target": sample.target,
                    "context": dict(sample.context),
                    "group": sample.group,
                    "tags": list(sample.tags),
                    "frame": None if sample.frame is None else int(sample.frame),
                    "source": asdict(sample.source) if sample.source else None,
                    "digest": loaded.digest,
                }
            )
        except TypeError:
            return  # a user's target may be any object; such samples are decoded each time
        with self._lock:
            if len(data) > self._left:
                return
            self._left -= len(data)
        temporary = path.with_suffix(f".{os.getpid()}-{threading.get_ident()}.tmp")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            temporary.write_bytes(data)
            temporary.replace(path)
        except OSError as error:
            with self._lock:
                self._left = 0
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)
            with contextlib.suppress(RuntimeWarning):  # where warnings are errors, this one must not cost the case
                warnings.warn(
                    f"decoded sources are no longer kept on disk ({error.strerror or error}); the run is slower but "
                    "complete",
                    RuntimeWarning,
                    stacklevel=2,
                )


def _restore(tree: dict[str, Any]) -> LoadedSample:
    source = tree["source"]
    return LoadedSample(
        Sample(
            id=tree["id"],
            media=tree["media"],
            target=tree["target"],
            context=tree["context"],
            group=tree["group"],
            tags=tuple(tree["tags"]),
            frame=tree["frame"],
            source=SourceInfo(**{**source, "notes": tuple(source["notes"])}) if source else None,
        ),
        tree["digest"],
    )
