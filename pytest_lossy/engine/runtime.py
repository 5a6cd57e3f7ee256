"""One loaded model with its data and task: built in a worker when the first of its cases runs, freed after the last."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from pytest_lossy.analysis.comparison import Replicates
from pytest_lossy.cases import Case, IndexedSpec
from pytest_lossy.codecs.base import Codec
from pytest_lossy.data.base import Dataset
from pytest_lossy.data.opening import open_dataset
from pytest_lossy.engine.devices import choose_device, device_names, inference_threads
from pytest_lossy.engine.inputs import model_inputs
from pytest_lossy.engine.loaded import PictureStore, measure_evidence
from pytest_lossy.engine.media_cache import MediaCache
from pytest_lossy.engine.memory import keep_freed_memory, return_freed_memory
from pytest_lossy.engine.pipeline import Pipeline
from pytest_lossy.engine.references import ReferenceStore
from pytest_lossy.engine.sources import SourceStore
from pytest_lossy.errors import DataError, LossyError, MissingInputError, ModelError
from pytest_lossy.models.base import Model
from pytest_lossy.models.declaration import ExecutionSection, ModelSection
from pytest_lossy.models.registry import build_model, missing_files
from pytest_lossy.results.document import DataInfo, MetricInfo, ModelInfo
from pytest_lossy.results.evidence import CaseEvidence
from pytest_lossy.results.rows import unloaded_info
from pytest_lossy.tasks.base import FloatArray, Task
from pytest_lossy.tasks.extra.task import build_extra_metrics
from pytest_lossy.tasks.registry import build_task
from pytest_lossy.usercode import explain_exception

if TYPE_CHECKING:
    from pytest_lossy.engine.gallery import GalleryOfCase

__all__ = ["ModelRuntime", "RuntimeOptions", "choose_samples", "task_of"]

_SHUFFLE_SEED = 0


@dataclass(frozen=True, slots=True)
class RuntimeOptions:
    """What a process knows of the run when it loads a model."""

    device: Sequence[str] = ("auto",)
    worker: int = 0
    workers: int = 1
    samples: int | None = None
    spill: Path | None = None
    spill_bytes: int = 0
    """For this process alone."""
    cache: MediaCache | None = None


class ModelRuntime:
    """A model ready to evaluate cases. Use :meth:`load`; call :meth:`close` when done."""

    def __init__(
        self,
        spec: IndexedSpec,
        model: Model,
        task: Task,
        dataset: Dataset,
        indices: tuple[int, ...],
        device: str,
        options: RuntimeOptions,
    ) -> None:
        self.spec, self.model, self.task, self.dataset = spec, model, task, dataset
        self.indices, self.device = indices, device
        # Label-free mode keeps clean predictions beside the sources.
        spill_bytes = options.spill_bytes if spec.reference == "labels" else options.spill_bytes // 2
        threads, concurrent = inference_threads(device, options.workers)
        self.pipeline = Pipeline(
            model,
            task,
            SourceStore(dataset, options.spill, spill_bytes, _origin(spec)),
            indices,
            batch_size=spec.spec.batch_size,
            threads=threads,
            concurrent_inference=concurrent if model.thread_safe else 1,
            references=_references(spec, options.spill, spill_bytes),
            cache=options.cache,
            first=options.worker / max(1, options.workers),
            device=device,
        )
        self.clean: Replicates | None = None
        """Bootstrap replicates of the clean case, kept for the other cases of this model."""
        self.clean_by_sample: FloatArray | None = None
        """The primary metric of each sample alone in the clean case, kept likewise."""
        self._inputs: str | None = None
        self._torch_threads = torch.get_num_threads()

    @classmethod
    def load(cls, spec: IndexedSpec, options: RuntimeOptions) -> ModelRuntime:
        """Build data set, task and model.

        Raises:
            MissingInputError: files of the spec are not there; the message names what data and model lack.
            LossyError: anything else that is wrong with them, explained.
        """
        try:
            return cls._build(spec, options)
        except MissingInputError as error:
            raise _all_missing(spec, error) from None

    @classmethod
    def _build(cls, spec: IndexedSpec, options: RuntimeOptions) -> ModelRuntime:
        base = spec.path.parent
        keep_freed_memory()
        try:
            dataset = open_dataset(spec.spec.data, base)
            indices = choose_samples(len(dataset), options.samples)
            if spec.reference != "clean" and not getattr(dataset, "labelled", True):
                raise DataError(
                    f"data set '{dataset.name}' has no labels; run with --lossy-reference=clean, or write 'reference: "
                    "clean' in the spec"
                )
            task = task_of(spec, dataset.classes)
            device = choose_device(options.device, options.worker)
        except LossyError:
            raise
        except Exception as error:  # noqa: BLE001  a user's factory may raise anything
            raise DataError(f"building the data set raised {explain_exception(error)}") from None
        try:
            model = build_model(spec.spec.model, spec.spec.task, base, device)
        except LossyError:
            raise
        except Exception as error:  # noqa: BLE001  a user's builder may raise anything
            raise ModelError(f"building the model raised {explain_exception(error)}") from None
        return cls(spec, model, task, dataset, indices, device, options)

    def close(self) -> None:
        """Free the model."""
        self.model.close()
        self.clean = self.clean_by_sample = None
        return_freed_memory()
        torch.set_num_threads(self._torch_threads)

    def info(self) -> ModelInfo:
        """What the results say of this model."""
        seen = {
            "primary": self.task.primary,
            "metrics": [
                MetricInfo(
                    name=metric.name,
                    title=metric.title,
                    higher_is_better=metric.higher_is_better,
                    unit=metric.unit,
                    description=metric.description,
                )
                for metric in self.task.metrics
            ],
            "details": {**self.model.describe(), "device_name": ", ".join(device_names(self.device))},
            "data": DataInfo(
                name=self.dataset.name,
                fingerprint=self._fingerprint,
                samples=len(self.indices),
                classes=list(self.dataset.classes),
                notes=list(getattr(self.dataset, "notes", ())),
            ),
        }
        return unloaded_info(self.spec, None).model_copy(update=seen)

    @cached_property
    def _fingerprint(self) -> str | None:
        return self.dataset.fingerprint()

    def inputs(self) -> str:
        """A digest of everything that this model's evidence follows from, but the codec; see :mod:`engine.inputs`."""
        if self._inputs is None:
            self._inputs = model_inputs(self.spec, self.model.describe(), self._fingerprint, len(self.indices))
        return self._inputs

    def evaluate(
        self, case: Case, codec: Codec | None, progress: Callable[[int, int], None] | None = None
    ) -> CaseEvidence:
        """The evidence of one case, evaluated here and now.

        Raises:
            LossyError: a sample, the codec or the model failed.
        """
        evidence = self.pipeline.evaluate(codec, case.level, progress)
        section = self.spec.spec.model
        if not case.is_clean or section.execution.is_plain:
            return evidence
        note = self._execution_note(section, evidence)
        return replace(evidence, meta={**evidence.meta, "notes": [*evidence.meta["notes"], note]})

    def _execution_note(self, section: ModelSection, evidence: CaseEvidence) -> str:
        """What ``model.execution`` changes on clean data: the model is loaded again as it is, and evaluated once."""
        if self.spec.reference != "labels":
            return f"run with {section.execution}; what that changes is measured against labels alone"
        plain = section.model_copy(update={"execution": ExecutionSection()})
        model = build_model(plain, self.spec.spec.task, self.spec.path.parent, self.device)
        try:
            reference = self.pipeline.with_model(model).evaluate(None, None)
        finally:
            model.close()
        ones, name = np.ones((1, len(evidence))), self.task.primary
        found, before = (float(self.task.reduce(one.evidence, ones)[name][0]) for one in (evidence, reference))
        changed = sum(
            any(not np.array_equal(mine[key], other[key]) for key in mine)
            for mine, other in zip(evidence.evidence, reference.evidence, strict=True)
        )
        return (
            f"run with {section.execution}: {name} {found:.6g} on clean data, {before:.6g} as the model is; the evidence of "
            f"{changed} of {len(evidence)} samples differs"
        )

    def measure(self, case: Case, evidence: CaseEvidence, replicates: int) -> Replicates:
        """The metrics of a case and their bootstrap replicates."""
        return measure_evidence(self.task, evidence, replicates)

    def show(self, measured: GalleryOfCase, clean: CaseEvidence, store: PictureStore, count: int) -> str:
        """Draw and store samples of a case; what went wrong, in one line, empty where nothing did."""
        from pytest_lossy.engine.gallery import show_samples

        return show_samples(measured, clean, self, store, count)

    def higher_is_better(self) -> dict[str, bool]:
        """Direction of each aggregate metric."""
        return {metric.name: metric.higher_is_better for metric in self.task.metrics}


def task_of(spec: IndexedSpec, classes: Sequence[str]) -> Task:
    """How a spec's model is scored, given the classes of its data; needs neither model nor data.

    Raises:
        LossyError: the task, or one of the spec's own metrics, cannot be built.
    """
    return build_task(
        spec.spec.task,
        classes,
        spec.spec.task_kwargs,
        extra=build_extra_metrics(spec.spec.metrics, spec.path.parent),
        clips=spec.media == "clips",
        label_free=spec.reference == "clean",
    )


def _all_missing(spec: IndexedSpec, found: MissingInputError) -> MissingInputError:
    """What was found missing, the model's files that are, too, and what the spec says of where they come from."""
    lines = [str(found)]
    lines += [
        line for line in missing_files(spec.spec.model, spec.path.parent) if line.partition(":")[0] not in lines[0]
    ]
    if spec.spec.needs:
        lines.append(textwrap.indent(spec.spec.needs.strip(), "  "))
    return MissingInputError("\n".join(lines))


def _origin(spec: IndexedSpec) -> str:
    """Where a factory's data come from; models whose specs name the same share decoded samples."""
    section = spec.spec.data
    return (
        "" if section.builder is None else f"{spec.path.parent}\0{section.builder}\0{section.kwargs!r}\0{section.tags}"
    )


def _references(spec: IndexedSpec, spill: Path | None, limit: int) -> ReferenceStore | None:
    if spec.reference == "labels":
        return None
    return ReferenceStore(spill / "references" / spec.name if spill is not None else None, limit)


def choose_samples(count: int, samples: int | None) -> tuple[int, ...]:
    """All samples, or the first of a fixed shuffle; always in the data set's order, so that batches stay alike."""
    if samples is None or samples >= count:
        return tuple(range(count))
    order = np.random.Generator(np.random.PCG64(_SHUFFLE_SEED)).permutation(count)
    return tuple(sorted(int(index) for index in order[:samples]))
