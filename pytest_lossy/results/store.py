"""Files of the run in progress: rows and evidence of finished cases, and marks of those that are not.

In the report folder, see :mod:`pytest_lossy.results.report_folder`:

::

    lossy-report/
      .lock  .gitignore
      .run/              the run in progress; replaces what is below when it ends
        rows/<slug>.json  evidence/<slug>.npz  models/<name>.json
        declared/<name>.json  a spec of a Python test, and which tests measure its cases
        references/<slug>.json  a clean case that no item asked for
        probes/<slug>.json  a level that a knee asked for
        samples/<slug>.json  what the pictures in gallery/ show
        replicates/<slug>.npz  bootstrap replicates of a case that has a row
        progress/<worker>  how far each process is
        cache/<worker>.json  what each process read from the cache of encoded media
        started/<slug>   an item began; without a row, its process died
        computing/<slug> evidence is being computed; without its lock, its process died
        failed/<slug>    evidence could not be computed; the reason
        restored/<slug>  the evidence is of an earlier run, and is used if its inputs are the same
        locks/<slug>.lock
      results.json  results.csv  index.html  summary.md
      evidence/<slug>.npz  replicates/<slug>.npz  gallery/
"""

from __future__ import annotations

import glob
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Literal

from filelock import FileLock
from pydantic import ValidationError

from pytest_lossy.errors import ResultsError
from pytest_lossy.results.document import CaseRow, GallerySample, ModelInfo
from pytest_lossy.results.evidence import CaseEvidence, load_evidence, save_evidence
from pytest_lossy.results.files import read_json, write_atomically, write_json
from pytest_lossy.results.replicates import StoredReplicates, load_replicates, save_replicates

__all__ = ["RunStore"]


class RunStore:
    """Files of the run in progress, shared by its processes. Every method may be called from any of them.

    Args:
        folder: ``lossy-report/.run``.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def _path(self, kind: str, slug: str, suffix: str = "") -> Path:
        return self.folder / kind / f"{slug}{suffix}"

    # Rows

    def start(self, slug: str) -> None:
        """Note that an item began. A row of an earlier attempt (a rerun of a failed test) no longer counts."""
        self._path("rows", slug, ".json").unlink(missing_ok=True)
        self._path("samples", slug, ".json").unlink(missing_ok=True)
        self._mark("started", slug)

    def was_started(self, slug: str) -> bool:
        """Whether an item began in this run."""
        return self._path("started", slug).exists()

    def write_row(self, slug: str, row: CaseRow) -> None:
        """Store the finished row of a case."""
        write_json(self._path("rows", slug, ".json"), row.model_dump(mode="json"))

    def write_reference(self, slug: str, row: CaseRow) -> None:
        """Store the row of a clean case that is no item of this run."""
        write_json(self._path("references", slug, ".json"), row.model_dump(mode="json"))

    def write_probe(self, slug: str, row: CaseRow) -> None:
        """Store the row of a level that was measured for a knee and is no item of this run."""
        write_json(self._path("probes", slug, ".json"), row.model_dump(mode="json"))

    def read_probes(self) -> list[CaseRow]:
        """The rows of all such levels, in the order of their names.

        Raises:
            ResultsError: a file is damaged.
        """
        slugs = sorted(path.name.removesuffix(".json") for path in (self.folder / "probes").glob("*.json"))
        return [row for slug in slugs if (row := self.read_row(slug, "probes")) is not None]

    def read_row(self, slug: str, kind: Literal["rows", "references", "probes"] = "rows") -> CaseRow | None:
        """The stored row; None where the case has none.

        Raises:
            ResultsError: the file is damaged.
        """
        path = self._path(kind, slug, ".json")
        if not path.exists():
            return None
        try:
            return CaseRow.model_validate(read_json(path))
        except ValidationError as error:
            raise ResultsError(f"{path}: is damaged ({error.error_count()} problems); run again") from None

    # Pictures

    def write_picture(self, name: str, content: bytes) -> str:
        """Store a picture; its path relative to ``results.json``."""
        write_atomically(self.folder / "gallery" / name, content, durable=False)
        return f"gallery/{name}"

    def write_gallery(self, slug: str, samples: Sequence[GallerySample]) -> None:
        """Store what a case's pictures show, after the pictures themselves."""
        write_json(self._path("samples", slug, ".json"), [sample.model_dump(mode="json") for sample in samples])

    def read_gallery(self, slug: str) -> list[GallerySample]:
        """What a case's pictures show; none where it has none, or where the file is damaged."""
        path = self._path("samples", slug, ".json")
        if not path.exists():
            return []
        try:
            return [GallerySample.model_validate(sample) for sample in read_json(path)]
        except (ResultsError, ValidationError, TypeError):
            return []

    # The cache of encoded media

    def write_cache_statistics(self, worker: str, statistics: Mapping[str, int | str | None]) -> None:
        """Store what one process did with the cache."""
        write_json(self._path("cache", worker, ".json"), dict(statistics))

    def read_cache_statistics(self) -> list[dict[str, Any]]:
        """What each process did with the cache, in the order of their names; damaged files are left out."""
        found = []
        for path in sorted((self.folder / "cache").glob("*.json")):
            with suppress(ResultsError):
                found.append(read_json(path))
        return found

    # Models

    def write_model(self, name: str, info: ModelInfo) -> None:
        """Store what loading a model showed; the last worker to load it wins, all write the same."""
        write_json(self._path("models", name, ".json"), info.model_dump(mode="json"))

    def read_model(self, name: str) -> ModelInfo | None:
        """What loading a model showed; None where no worker loaded it.

        Raises:
            ResultsError: the file is damaged.
        """
        path = self._path("models", name, ".json")
        if not path.exists():
            return None
        try:
            return ModelInfo.model_validate(read_json(path))
        except ValidationError as error:
            raise ResultsError(f"{path}: is damaged ({error.error_count()} problems); run again") from None

    # Specs of Python tests

    def write_declared(self, name: str, declared: Mapping[str, Any]) -> None:
        """Store what a process knows of a model that a Python test declares; exact builtins."""
        write_json(self._path("declared", name, ".json"), dict(declared))

    def read_declared(self, name: str = "*") -> list[dict[str, Any]]:
        """What processes know of such a model, or of all, in the order of their names.

        Raises:
            ResultsError: a file is damaged.
        """
        pattern = f"{glob.escape(name) if name != '*' else name}.json"
        return [read_json(path) for path in sorted((self.folder / "declared").glob(pattern))]

    def declared_state(self) -> frozenset[tuple[str, int, int]]:
        """What changes whenever :meth:`read_declared` has something new to tell; cheap to ask for."""
        try:
            entries = [(entry.name, entry.stat()) for entry in os.scandir(self.folder / "declared")]
        except OSError:
            return frozenset()
        return frozenset((name, found.st_mtime_ns, found.st_size) for name, found in entries)

    def note(self, name: str) -> None:
        """Leave a note of one word for the controller."""
        self._mark("notes", name)

    def has_note(self, name: str) -> bool:
        """Whether some process left that note."""
        return self._path("notes", name).exists()

    # Evidence

    def has_evidence(self, slug: str) -> bool:
        """Whether a case's evidence is complete."""
        return self._path("evidence", slug, ".npz").exists()

    def load_evidence(self, slug: str) -> CaseEvidence:
        """Read a case's evidence."""
        return load_evidence(self._path("evidence", slug, ".npz"))

    def save_evidence(self, slug: str, evidence: CaseEvidence) -> None:
        """Store a case's evidence and withdraw its marks."""
        save_evidence(self._path("evidence", slug, ".npz"), evidence)
        self._path("failed", slug).unlink(missing_ok=True)
        self._path("restored", slug).unlink(missing_ok=True)

    def is_restored(self, slug: str) -> bool:
        """Whether a case's evidence is of an earlier run that this one resumes."""
        return self._path("restored", slug).exists()

    def confirm(self, slug: str) -> None:
        """The restored evidence of a case has the inputs of this run: from now on it is this run's own."""
        self._path("restored", slug).unlink(missing_ok=True)

    def forget_unused(self) -> None:
        """Remove restored evidence that no case of this run asked for."""
        for mark in (self.folder / "restored").glob("*"):
            self._path("evidence", mark.name, ".npz").unlink(missing_ok=True)

    def restore(self, earlier: Path) -> int:
        """Take over the evidence of an earlier run, marked as such; what is there already stays.

        Args:
            earlier: its ``evidence`` folder.

        Returns:
            how many cases' evidence was taken over.
        """
        count = 0
        for path in sorted(earlier.glob("*.npz")):
            target = self._path("evidence", path.stem, ".npz")
            if target.exists():
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                os.link(path, target)
            except OSError:  # another file system, or one without links
                shutil.copyfile(path, target)
            self._mark("restored", path.stem)
            count += 1
        return count

    # Replicates

    def save_replicates(self, slug: str, stored: StoredReplicates) -> None:
        """Store a case's bootstrap replicates; whoever computes them writes the same."""
        save_replicates(self._path("replicates", slug, ".npz"), stored)

    def load_replicates(self, slug: str) -> StoredReplicates | None:
        """A case's bootstrap replicates; None where it has none.

        Raises:
            ResultsError: the file is damaged.
        """
        path = self._path("replicates", slug, ".npz")
        return load_replicates(path) if path.exists() else None

    @contextmanager
    def computing(self, slug: str) -> Iterator[None]:
        """Hold the case's lock, which the operating system releases if this process dies."""
        path = self._path("locks", slug, ".lock")
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(path):
            yield

    def mark_computing(self, slug: str) -> None:
        """Note, under the lock, that evidence is being computed here."""
        self._mark("computing", slug)

    def unmark_computing(self, slug: str) -> None:
        """Withdraw :meth:`mark_computing`."""
        self._path("computing", slug).unlink(missing_ok=True)

    def crashed(self, slug: str) -> bool:
        """Under the lock: whether a process died while it computed this evidence."""
        return self._path("computing", slug).exists()

    def write_failure(self, slug: str, reason: str) -> None:
        """Note why evidence could not be computed, so that no other case tries again."""
        write_atomically(self._path("failed", slug), reason.encode("utf-8", "backslashreplace"))

    def read_failure(self, slug: str) -> str | None:
        """Why evidence could not be computed; None where nothing failed."""
        path = self._path("failed", slug)
        return path.read_text(encoding="utf-8") if path.exists() else None

    def _mark(self, kind: str, slug: str) -> None:
        path = self._path(kind, slug)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(str(os.getpid()), encoding="utf-8")
        except OSError as error:
            raise ResultsError(
                f"{path}: cannot be written ({error.strerror}); free space or choose another --lossy-report"
            ) from error
