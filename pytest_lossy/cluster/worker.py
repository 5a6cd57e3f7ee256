"""One worker of a cluster: holds one model at a time, evaluates batches, reduces evidence. Knows nothing of Ray.

It gets everything by value and returns everything by value, for its machine may share no disk with the driver.
"""

from __future__ import annotations

import platform
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from pytest_lossy.analysis.comparison import Replicates
from pytest_lossy.cases import CodecPlan, IndexedSpec
from pytest_lossy.cluster.node import NodeFolder
from pytest_lossy.cluster.registered import unpack_registered
from pytest_lossy.cluster.shipping import translate_path
from pytest_lossy.cluster.work import (
    Answer,
    Evaluate,
    Facts,
    Finish,
    Finished,
    Job,
    Node,
    Pictures,
    Trouble,
    WorkerSetup,
)
from pytest_lossy.codecs.base import Codec
from pytest_lossy.codecs.registry import build_codec
from pytest_lossy.cores import usable_cores
from pytest_lossy.engine.gallery import GalleryOfCase
from pytest_lossy.engine.loaded import measure_evidence
from pytest_lossy.engine.media_cache import MediaCache
from pytest_lossy.engine.runtime import ModelRuntime, RuntimeOptions, task_of
from pytest_lossy.errors import LossyError
from pytest_lossy.paths import media_cache_folder
from pytest_lossy.results.document import GallerySample
from pytest_lossy.results.environment import describe_environment
from pytest_lossy.tasks.base import Task

__all__ = ["Worker"]


class Worker:
    """Runs jobs, one at a time; :meth:`progress` and :meth:`leave` may be called beside them.

    Args:
        setup: of the run.
        archive: the user's repository.
        base: where folders of runs lie; default: one per user in the temporary folder.

    Raises:
        ResultsError: this machine's disk refuses.
    """

    def __init__(self, setup: WorkerSetup, archive: bytes, base: Path | None = None) -> None:
        self._setup = setup
        self._folder = NodeFolder(setup.run, archive, base)
        _extend_python_path(setup, self._folder.repository)
        unpack_registered(setup.registered)
        folder = media_cache_folder() if setup.own_cache else setup.cache
        self._cache = MediaCache(folder, setup.cache_bytes) if folder is not None else None
        self._runtime: ModelRuntime | None = None
        self._tasks: dict[str, Task] = {}
        self._done = 0

    def describe(self) -> Node:
        """Where this worker runs, and with what."""
        return Node(platform.node(), "", describe_environment([]))

    def run(self, job: Job) -> tuple[Answer, Finished | None]:
        """Do one job.

        Returns:
            what the driver needs at once, and what it may fetch later.
        """
        self._done = 0
        if isinstance(job, Finish) and not (job.pictures and job.clean):
            return self._told(Answer()), Finished(self._replicates(job, self._task(job)), None)
        try:
            runtime = self._load(job.spec)
        except LossyError as error:
            return self._told(Answer(trouble=self._trouble(error, loading=True))), None
        if isinstance(job, Finish):
            return self._told(Answer()), Finished(self._replicates(job, runtime.task), self._draw(job, runtime))
        if not isinstance(job, Evaluate):
            return self._told(Answer(self._facts(runtime))), None
        try:
            codec = _codec(job.plan)
            if (job.first, job.stop) == (0, runtime.pipeline.batches):
                evidence = runtime.evaluate(job.case, codec, self._count)
            else:
                evidence = runtime.pipeline.evaluate(codec, job.case.level, self._count, slice(job.first, job.stop))
        except LossyError as error:
            return self._told(Answer(trouble=self._trouble(error, loading=False))), None
        return self._told(Answer(evidence=evidence)), None

    def progress(self) -> int:
        """Samples done of the job in hand."""
        return self._done

    def leave(self) -> None:
        """Remove what this worker left on its machine. Jobs in progress may fail from here on."""
        self._folder.leave()

    def _count(self, done: int, _: int) -> None:
        self._done = done

    def _told(self, answer: Answer) -> Answer:
        return replace(answer, cache=self._cache.statistics) if self._cache is not None else answer

    def _trouble(self, error: LossyError, *, loading: bool) -> Trouble:
        return Trouble.of(error, loading=loading, places={str(self._folder.repository): str(self._setup.root)})

    def _load(self, spec: IndexedSpec) -> ModelRuntime:
        """A model, in place of the one that was loaded before."""
        if self._runtime is None or self._runtime.spec.name != spec.name:
            if self._runtime is not None:
                self._runtime.close()
                self._runtime = None
            options = RuntimeOptions(
                device=(self._setup.device,),
                workers=max(1, int(usable_cores() // max(1.0, self._setup.cpus))),
                samples=self._setup.samples,
                spill=self._folder.spill if self._setup.spill_bytes else None,
                spill_bytes=self._setup.spill_bytes,
                cache=self._cache,
            )
            self._runtime = ModelRuntime.load(self._here(spec), options)
        return self._runtime

    def _here(self, spec: IndexedSpec) -> IndexedSpec:
        """A spec of the driver, where its files lie on this machine."""
        return replace(spec, path=translate_path(spec.path, self._setup.root, self._folder.repository))

    def _facts(self, runtime: ModelRuntime) -> Facts:
        return Facts(runtime.info(), runtime.inputs(), tuple(runtime.dataset.classes), runtime.pipeline.batches)

    def _task(self, job: Finish) -> Task:
        """How a model is scored, without the model: what reduces evidence needs neither weights nor data."""
        if self._runtime is not None and self._runtime.spec.name == job.spec.name:
            return self._runtime.task
        if job.spec.name not in self._tasks:
            self._tasks[job.spec.name] = task_of(self._here(job.spec), job.classes)
        return self._tasks[job.spec.name]

    def _replicates(self, job: Finish, task: Task) -> Replicates:
        return measure_evidence(task, job.evidence, self._setup.replicates)

    def _draw(self, job: Finish, runtime: ModelRuntime) -> Pictures:
        codec, files = _codec(job.plan), _Kept()
        if codec is None or job.clean is None:
            return Pictures()
        measured = GalleryOfCase(job.node_id, job.case, codec, job.evidence)
        note = runtime.show(measured, job.clean, files, job.pictures)
        return Pictures(files.files, tuple(files.samples), note)


class _Kept:
    """Pictures in memory, to be sent."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.samples: list[GallerySample] = []

    def write_picture(self, name: str, content: bytes) -> str:
        self.files[name] = content
        return f"gallery/{name}"

    def write_gallery(self, slug: str, samples: Sequence[GallerySample]) -> None:
        self.samples += samples


def _codec(plan: CodecPlan | None) -> Codec | None:
    return build_codec(plan.codec_name, plan.options) if plan is not None else None


def _extend_python_path(setup: WorkerSetup, repository: Path) -> None:
    """The driver's folders of modules: those of the repository first, others last and where this machine has them."""
    for entry in reversed(setup.python_path):
        path = Path(entry)
        if path.is_relative_to(setup.root):
            sys.path.insert(1, str(translate_path(path, setup.root, repository)))
        elif path.is_dir() and entry not in sys.path:
            sys.path.append(entry)
