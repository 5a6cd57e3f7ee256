"""From what a test hands over to a model that is ready to evaluate cases."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch

from pytest_lossy.cases import IndexedSpec
from pytest_lossy.data.base import Dataset
from pytest_lossy.data.given import adapt_dataset, media_kind
from pytest_lossy.data.opening import open_dataset
from pytest_lossy.engine.devices import choose_device
from pytest_lossy.engine.runtime import ModelRuntime, RuntimeOptions, choose_samples, task_of
from pytest_lossy.errors import DataError, LossyError, ModelError
from pytest_lossy.models.base import Model
from pytest_lossy.models.given import adapt_model, build_seeded
from pytest_lossy.models.registry import build_model
from pytest_lossy.own_tests.declaration import Recipe
from pytest_lossy.usercode import explain_exception

__all__ = ["build_given", "load_model", "open_data"]


def build_given(recipe: Recipe, name: str) -> Recipe:
    """Call what a marker declares: functions and classes that make the model or the data.

    Raises:
        LossyError: what they raise, explained.
    """
    model, data = recipe.model, recipe.data
    if isinstance(model, type) or (
        callable(model) and not hasattr(model, "predict") and not isinstance(model, torch.nn.Module)
    ):
        model = _careful(lambda: build_seeded(model, {}), ModelError, f"building the model {name}")
    if callable(data) and (isinstance(data, type) or not hasattr(data, "__len__")):
        data = _careful(data, DataError, f"building the data of {name}")
    return replace(recipe, model=model, data=data)


def open_data(spec: IndexedSpec, recipe: Recipe) -> Dataset:
    """The data of a declaration.

    Raises:
        LossyError: they cannot be used.
    """
    try:
        if isinstance(recipe.data, str):
            dataset = open_dataset(spec.spec.data, spec.path.parent)
            return dataset if recipe.classes is None else adapt_dataset(dataset, dataset.name, recipe.classes)
        return adapt_dataset(recipe.data, f"{spec.shown}:{spec.name}", recipe.classes)
    except LossyError:
        raise
    except Exception as error:  # noqa: BLE001  a user's data set may raise anything
        raise DataError(f"the data of {spec.name} raised {explain_exception(error)}") from None


def load_model(spec: IndexedSpec, recipe: Recipe, dataset: Dataset, options: RuntimeOptions) -> ModelRuntime:
    """Make a declaration ready to be evaluated; whoever closes it gives borrowed objects back as they were.

    Raises:
        LossyError: data, task or model cannot be used.
    """
    if spec.reference != "clean" and not getattr(dataset, "labelled", True):
        raise DataError(
            f'the data of {spec.name} have no labels; write reference="clean" for agreement with the model\'s own clean '
            "predictions"
        )
    found = _careful(lambda: media_kind(dataset), DataError, f"the data of {spec.name}")
    if found != spec.media:
        raise DataError(f'the data of {spec.name} are {found}; write media="{found}"')
    classes = _careful(lambda: dataset.classes, DataError, f"the data of {spec.name}")
    task = task_of(spec, classes)
    device = choose_device(options.device, options.worker)
    model = _careful(lambda: _model(spec, recipe, device), ModelError, f"the model {spec.name}")
    indices = choose_samples(len(dataset), options.samples)
    return ModelRuntime(spec, model, task, dataset, indices, device, options)


def _model(spec: IndexedSpec, recipe: Recipe, device: str) -> Model:
    task = spec.spec.task
    if isinstance(recipe.model, str):
        section = spec.spec.model
        if not callable(recipe.input) and not callable(recipe.output):
            return build_model(section, task, spec.path.parent, device)
        from pytest_lossy.models.names import MODELS

        recipe = replace(recipe, model=build_seeded(MODELS.load(recipe.model), section.kwargs))
    return adapt_model(
        recipe.model, task, device, source=f"the model {spec.name}", input=recipe.input, output=recipe.output
    )


def _careful(action: Callable[[], Any], kind: type[LossyError], what: str) -> Any:
    """Explain what a user's code raises."""
    try:
        return action()
    except LossyError:
        raise
    except Exception as error:  # noqa: BLE001
        raise kind(f"{what} raised {explain_exception(error)}") from None
