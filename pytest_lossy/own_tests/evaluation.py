"""The fixture ``lossy``: evaluates a model that a test has, on data that it has."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import torch

from pytest_lossy.cases import Case, IndexedSpec
from pytest_lossy.data.base import Dataset
from pytest_lossy.data.given import media_kind
from pytest_lossy.errors import LossyError, ModelError
from pytest_lossy.extensions import register_extensions
from pytest_lossy.models.given import module_digest
from pytest_lossy.own_tests.bench import Bench, TestBench, measure_case, note_failure
from pytest_lossy.own_tests.declaration import Recipe, declare
from pytest_lossy.own_tests.declared import DeclaredSpec
from pytest_lossy.own_tests.loading import load_model, open_data
from pytest_lossy.own_tests.placing import default_name, place_of, rows_of, run_of
from pytest_lossy.own_tests.result import LossyResult, LossyResults
from pytest_lossy.settings import SettingsError, parse_settings

if TYPE_CHECKING:
    import pytest

    from pytest_lossy.results.document import CaseRow
    from pytest_lossy.run import Run

__all__ = ["Lossy", "bench_of_test", "evaluator"]


@contextmanager
def evaluator(request: pytest.FixtureRequest) -> Iterator[Lossy]:
    """What the fixture returns, for as long as its test runs."""
    register_extensions(request.config)
    run = run_of(request.config)
    if run is not None:
        yield Lossy(request.node, run, run)
        return
    with bench_of_test(request.config) as bench:
        yield Lossy(request.node, bench, None)


@contextmanager
def bench_of_test(config: pytest.Config) -> Iterator[TestBench]:
    """A place for evaluations without a lossy flag; fails the test where an ini value is wrong."""
    import pytest

    problem = None
    try:
        settings = parse_settings(config, active=False)
    except SettingsError as error:
        problem = str(error)
    if problem is not None:
        pytest.fail(problem, pytrace=False)
    folder = Path(tempfile.mkdtemp(prefix="pytest-lossy-test-"))
    try:
        yield TestBench(settings, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@dataclass(frozen=True)
class _Subject:
    """What a name stands for in one test; cases of equal subjects are measured once."""

    key: object
    codecs: Mapping[str, tuple[str, Mapping[str, Any]]]

    def goes_with(self, other: _Subject) -> bool:
        """Whether both may have one name: the same subject, and no label with two meanings."""
        return self.key == other.key and all(
            other.codecs.get(label, codec) == codec for label, codec in self.codecs.items()
        )


class Lossy:
    """What the fixture ``lossy`` is; made by :func:`evaluator`."""

    def __init__(self, item: pytest.Item, bench: Bench, run: Run | None) -> None:
        self._item, self._bench, self._run = item, bench, run
        self._subjects: dict[str, _Subject] = {}

    def evaluate(
        self,
        model: Any,
        data: Any,
        *,
        task: str,
        codec: str | Sequence[str] | Mapping[str, Any] | None = None,
        level: float | Sequence[float] | None = None,
        name: str | None = None,
        classes: Sequence[str] | None = None,
        input: Mapping[str, Any] | Callable[..., Any] | None = None,
        output: Mapping[str, Any] | Callable[..., Any] | None = None,
        batch_size: int = 8,
        reference: Literal["labels", "clean"] | None = None,
        metrics: Mapping[str, Mapping[str, Any]] | None = None,
        task_kwargs: Mapping[str, Any] | None = None,
        model_kwargs: Mapping[str, Any] | None = None,
        data_kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Evaluate a model on clean data and under compression.

        Args:
            model: a ``torch.nn.Module`` (afterwards as it was), a function ``(media, context) -> predictions`` or ``(media)
                -> predictions``, an object with such a ``predict``, or the name of a registered model.
            data: a name such as ``"mini-segmentation"``, a data set, or a sequence of Samples, of pairs (image, target), or
                of images alone.
            task: such as ``"segmentation"``.
            codec: a name, several, or a mapping of labels to levels, as ``codecs`` in a spec. None: clean data alone.
            level: of the codec; several, or None for its default grid.
            name: of the model in results and thresholds.yaml; default: of the test, with its path.
            classes: names in label order, of a sequence that has none.
            input: what a module takes: as ``model.input`` in a spec, or a function ``(media, context)``. By default (n, 3,
                H, W), float32 in 0..1.
            output: what it returns: as ``model.output`` in a spec, or a function ``(output, sizes)``.
            batch_size: samples per call.
            reference: ``"clean"``: agreement with the model's own clean predictions, which needs no labels.
            metrics: beside the task's: as in a spec, relative to the test's folder.
            task_kwargs: as in a spec.
            model_kwargs: of a model by name.
            data_kwargs: of data by name.

        Returns:
            a :class:`~pytest_lossy.own_tests.result.LossyResult` where one codec and one level are named, or no codec; else
            :class:`~pytest_lossy.own_tests.result.LossyResults`, which has the clean case as ``clean``.

        Raises:
            LossyError: what is wrong, and what to do.
        """
        __tracebackhide__ = True
        try:
            results = self._evaluated(
                name is not None,
                model=model, data=data, task=task, codec=codec, level=level, name=name or default_name(self._item.nodeid),
                classes=classes, input=input, output=output, batch_size=batch_size, reference=reference,
                metrics=metrics, task_kwargs=task_kwargs, model_kwargs=model_kwargs, data_kwargs=data_kwargs,
            )  # fmt: skip
        except LossyError as error:
            raise error.with_traceback(None) from None  # it explains itself; where we noticed says nothing
        if codec is None:
            return results[0]
        if isinstance(codec, str) and level is not None and not isinstance(level, Iterable):
            return results[1]
        return LossyResults(results[0], results[1:])

    def _evaluated(self, chosen: bool, **given: Any) -> list[LossyResult]:
        """The clean case and every level."""
        spec, recipe, dataset = self._declared(**given)
        spec = self._told_apart(spec, recipe, dataset, chosen=chosen)
        cases = spec.cases()
        if self._run is not None:
            test = self._item.nodeid
            self._run.declared.enter(
                DeclaredSpec(spec, tuple(cases), {case.name: test for case in cases}, marked=False)
            )
        return [LossyResult(row) for row in self._measured(spec, recipe, dataset, cases)]

    def _declared(self, **given: Any) -> tuple[IndexedSpec, Recipe, Dataset]:
        """The declaration and its data; whether these are clips decides what a stream codec means."""
        place = place_of(self._item)
        spec, recipe = declare(place, **given)
        dataset = open_data(spec, recipe)
        media = media_kind(dataset)
        if media != spec.media:
            spec, recipe = declare(place, media=media, **given)
        unlabelled = not getattr(dataset, "labelled", True)
        return replace(spec, reference=spec.spec.reference or ("clean" if unlabelled else "labels")), recipe, dataset

    def _told_apart(self, spec: IndexedSpec, recipe: Recipe, dataset: Dataset, *, chosen: bool) -> IndexedSpec:
        """The declaration under a name that means nothing else in this test.

        The weights of a module can be compared with those of an earlier call, so that the clean case, for one, is not
        measured again; what a function remembers cannot, and each call counts on its own.
        """
        identity: object = recipe.model if isinstance(recipe.model, str) else object()
        if isinstance(recipe.model, torch.nn.Module):
            identity = module_digest(recipe.model) or identity
        keys = {"task", "task_kwargs", "model", "data", "batch_size", "metrics"}
        section = spec.spec.model_dump(mode="json", include=keys)
        shaping = (recipe.input, recipe.output, recipe.classes)
        key = (identity, dataset.fingerprint(), dataset.name, repr(section), shaping, spec.media, spec.reference)
        mine = _Subject(key, {plan.label: (plan.codec_name, plan.options) for plan in spec.plans})
        name, number = spec.name, 1
        while name in self._subjects and not mine.goes_with(self._subjects[name]):
            if chosen:
                raise ModelError(
                    f"'{name}' already names something else that this test evaluated; give each its own name, or evaluate "
                    "all levels of a model in one call"
                )
            number += 1
            name = f"{spec.name}-{number}"
        held = self._subjects.get(name)
        self._subjects[name] = _Subject(key, {**(held.codecs if held else {}), **mine.codecs})
        return replace(spec, name=name, spec=spec.spec.model_copy(update={"name": name}))

    def _measured(self, spec: IndexedSpec, recipe: Recipe, dataset: Dataset, cases: Sequence[Case]) -> list[CaseRow]:
        worker = self._run.worker if self._run is not None else None
        test = self._item.nodeid
        try:
            runtime = load_model(spec, recipe, dataset, self._bench.runtime_options())
        except LossyError as error:
            note_failure(self._bench, spec, cases, error, test, worker)
            raise
        plans = {plan.label: plan for plan in spec.plans}
        rows = []
        try:
            self._bench.store.write_model(spec.name, runtime.info())
            for case in cases:
                rows.append(measure_case(self._bench, runtime, case, plans, test, worker))
        finally:
            rows_of(self._item).extend(rows)
            runtime.close()
        return rows
