"""``@pytest.mark.lossy_spec``: a spec in Python, whose every case is an item of the marked test.

The test receives the result of its case; model and data are declared in the marker and loaded when the first case runs.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import pytest

from pytest_lossy.cases import Case, CodecPlan, IndexedSpec
from pytest_lossy.collection import marker_level
from pytest_lossy.errors import ConfigurationError, LossyError, MissingInputError
from pytest_lossy.extensions import register_extensions
from pytest_lossy.own_tests.declaration import Place, Recipe, declare, fixture_name
from pytest_lossy.own_tests.placing import place_of, rows_of, run_of
from pytest_lossy.registry import did_you_mean

if TYPE_CHECKING:
    from pytest_lossy.engine.runtime import ModelRuntime
    from pytest_lossy.own_tests.bench import Bench
    from pytest_lossy.own_tests.result import LossyResult
    from pytest_lossy.run import Run

__all__ = ["MARKER", "RESULT", "MarkedCase", "marked_case", "parametrise_spec", "result_of"]

MARKER = "lossy_spec"
RESULT = "lossy_result"
_KEYS = (
    "model", "data", "task", "codec", "level", "name", "classes", "input", "output", "batch_size", "reference", "media",
    "architecture", "tags", "metrics", "task_kwargs", "model_kwargs", "data_kwargs", "requires", "needs",
)  # fmt: skip


@dataclass(frozen=True)
class MarkedCase:
    """What the parameter of a marked test is."""

    test: str
    """Node id of the test function, without parameters."""
    spec: IndexedSpec
    recipe: Recipe
    plans: Mapping[str, CodecPlan]
    case: Case
    selected: bool
    """Whether the flags of a lossy run select it."""

    @property
    def runs_body(self) -> bool:
        """Knees and mixes are judged by their gates alone: they are no level that a body could ask about."""
        return not self.case.knee and self.case.mix is None


def marked_case(item: pytest.Item) -> MarkedCase | None:
    """The case of an item; None for any other test."""
    callspec = getattr(item, "callspec", None)
    found = callspec.params.get(RESULT) if callspec is not None else None
    return found if isinstance(found, MarkedCase) else None


def parametrise_spec(metafunc: pytest.Metafunc) -> None:
    """Give a test that carries ``lossy_spec`` one item per case: clean, then each codec mild to severe.

    Raises:
        pytest.Collector.CollectError: the marker is wrong.
    """
    definition = metafunc.definition
    marker = definition.get_closest_marker(MARKER)
    if marker is None or (RESULT not in metafunc.fixturenames and marker not in definition.own_markers):
        return  # a marker of a class or module leaves tests alone that do not take the result
    place, problem, cases = place_of(definition), None, list[MarkedCase]()
    try:
        register_extensions(metafunc.config)
        cases = _cases(definition, marker, place)
    except ConfigurationError as error:
        problem = str(error)
    except LossyError as error:
        problem = f"{place.shown}:{place.line}: {error}"
    if problem is not None:  # outside the handler: pytest would print the handled error, too
        raise pytest.Collector.CollectError(f"@pytest.mark.{MARKER} of {place.function}:\n{problem}")
    if RESULT not in metafunc.fixturenames:
        metafunc.fixturenames.append(RESULT)  # a test that does not look at the result is judged by its gates
        _HeldModel.of(metafunc.config)  # which sees to it that the result is there
    metafunc.parametrize(
        RESULT,
        [
            pytest.param(
                entry,
                id=entry.case.name,
                marks=pytest.mark.lossy(
                    model=entry.case.model, task=entry.case.task, codec=entry.case.label, level=marker_level(entry.case)
                ),
            )
            for entry in cases
        ],
        indirect=True,
    )


def _cases(definition: Any, marker: pytest.Mark, place: Place) -> list[MarkedCase]:
    if marker.args:
        raise LossyError(f"takes no positional arguments, got {marker.args[0]!r}; write model=..., data=..., task=...")
    unknown = [key for key in marker.kwargs if key not in _KEYS]
    if unknown:
        raise LossyError(f"unknown argument '{unknown[0]}'; {did_you_mean(unknown[0], _KEYS)}")
    missing = [key for key in ("model", "data", "task") if key not in marker.kwargs]
    if missing:
        raise LossyError(f"argument '{missing[0]}' is missing; add it")
    if any(definition.iter_markers("parametrize")):
        raise LossyError(
            "stands beside @pytest.mark.parametrize, and a case has one result; mark one test for each model"
        )
    name = marker.kwargs.get("name") or place.function.rpartition(".")[2].removeprefix("test_")
    spec, recipe = declare(place, **{**marker.kwargs, "name": name})
    run = run_of(definition.config)
    if run is None:
        spec = replace(spec, reference=spec.spec.reference or "labels")
        plans = {plan.label: plan for plan in spec.plans}
        return [MarkedCase(definition.nodeid, spec, recipe, plans, case, True) for case in spec.cases()]
    spec, selected, chosen = run.declared.declare(spec, definition.nodeid)
    plans = {plan.label: plan for plan in chosen}
    # Where the flags select nothing, deselected items tell so: without parameters pytest would skip the test.
    return [
        MarkedCase(definition.nodeid, spec, recipe, plans, case, bool(selected)) for case in selected or spec.cases()
    ]


def result_of(request: pytest.FixtureRequest) -> LossyResult:
    """What the fixture ``lossy_result`` returns: the case, evaluated."""
    entry: Any = getattr(request, "param", None)
    if not isinstance(entry, MarkedCase):
        pytest.fail(
            f"{request.node.name} takes {RESULT}, but declares no model; mark it with @pytest.mark.{MARKER}(model=..., "
            'data=..., task=..., codec={"jpeg": [50, 15]})',
            pytrace=False,
        )
    from pytest_lossy.own_tests.result import LossyResult

    held = _HeldModel.of(request.config)
    failure: LossyError | None = None
    try:
        row = held.measure(entry, request)
    except LossyError as error:
        failure = error
    if failure is not None:  # outside the handler, see above
        message = f"{entry.spec.name} {entry.case.name}: {failure}"
        if isinstance(failure, MissingInputError) and entry.spec.spec.requires == "optional":
            pytest.skip(message)
        pytest.fail(message, pytrace=False)
    return LossyResult(row)


class _HeldModel:
    """The model of the marked test that runs: loaded by its first case in this process, freed after its last."""

    def __init__(self, config: pytest.Config) -> None:
        self._run: Run | None = run_of(config)
        self._config = config
        self._stack = ExitStack()
        self._bench: Bench | None = None
        self._key: tuple[Any, ...] = ()
        self._test = ""
        self._objects: tuple[Any, ...] = ()
        self._loaded: ModelRuntime | LossyError | None = None

    @classmethod
    def of(cls, config: pytest.Config) -> _HeldModel:
        """The one of this pytest."""
        held: Any = config.pluginmanager.get_plugin("lossy-held-model")
        if held is None:
            held = cls(config)
            config.pluginmanager.register(held, "lossy-held-model")
        result: _HeldModel = held
        return result

    def measure(self, entry: MarkedCase, request: pytest.FixtureRequest) -> Any:
        """Evaluate a case.

        Raises:
            LossyError: it, or its model, cannot be evaluated.
        """
        from pytest_lossy.own_tests.bench import measure_case, note_failure

        item = request.node
        given = _resolved(entry.recipe, request)
        # Builders are called once; what a fixture made is compared, since it may be another object for each test.
        objects = tuple(one.value if isinstance(one, _Made) else one for one in (given.model, given.data))
        key = tuple(map(id, objects))
        if self._test != entry.test:
            self.release()
            self._test, self._bench = entry.test, self._new_bench()
        bench = self._bench
        assert bench is not None  # noqa: S101  a bench comes with the test
        if key != self._key or self._loaded is None:
            self._free()
            self._key, self._objects = key, objects
            self._loaded = self._load(entry, given, bench)
        worker = self._run.worker if self._run is not None else None
        if isinstance(self._loaded, LossyError):
            note_failure(bench, entry.spec, [entry.case], self._loaded, item.nodeid, worker)
            raise self._loaded
        row = measure_case(bench, self._loaded, entry.case, entry.plans, item.nodeid, worker)
        rows_of(item).append(row)
        return row

    def _new_bench(self) -> Bench:
        if self._run is not None:
            return self._run
        from pytest_lossy.own_tests.evaluation import bench_of_test

        return self._stack.enter_context(bench_of_test(self._config))

    def _load(self, entry: MarkedCase, given: Recipe, bench: Bench) -> ModelRuntime | LossyError:
        from pytest_lossy.own_tests.loading import build_given, load_model, open_data

        made: dict[str, Any] = {
            kind: one.value for kind in ("model", "data") if isinstance(one := getattr(given, kind), _Made)
        }
        try:
            # What a fixture made is no builder, even if it can be called.
            blank: dict[str, Any] = dict.fromkeys(made, "")
            recipe = replace(build_given(replace(given, **blank), entry.spec.name), **made)
            runtime = load_model(entry.spec, recipe, open_data(entry.spec, recipe), bench.runtime_options())
            bench.store.write_model(entry.spec.name, runtime.info())
        except LossyError as error:
            return error
        return runtime

    def pytest_itemcollected(self, item: pytest.Item) -> None:
        """Called for each item: a marked test is evaluated even if its function does not take the result."""
        names = getattr(item, "fixturenames", None)
        if names is not None and marked_case(item) is not None and RESULT not in names:
            names.append(RESULT)

    def pytest_runtest_teardown(self, nextitem: pytest.Item | None) -> None:
        """Called after each test: free the model once another one's turn has come."""
        following = marked_case(nextitem) if nextitem is not None else None
        if following is None or following.test != self._test:
            self.release()

    def release(self) -> None:
        """Free everything."""
        self._free()
        self._stack.close()
        self._bench, self._test = None, ""

    def _free(self) -> None:
        if self._loaded is not None and not isinstance(self._loaded, LossyError):
            self._loaded.close()
        self._loaded, self._key, self._objects = None, (), ()


def _resolved(recipe: Recipe, request: pytest.FixtureRequest) -> Recipe:
    """Model and data, where they are those of fixtures."""
    given = {"model": recipe.model, "data": recipe.data}
    names = {kind: name for kind, value in given.items() if (name := fixture_name(value)) is not None}
    made: dict[str, Any] = {kind: _Made(request.getfixturevalue(name)) for kind, name in names.items()}
    return replace(recipe, **made)


@dataclass(frozen=True)
class _Made:
    """What a fixture made, and no builder."""

    value: Any
