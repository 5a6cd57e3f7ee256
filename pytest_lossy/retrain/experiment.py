"""One fine-tuning of a spec's model: its network, its training data, and a score to stop by."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from torch import nn

from pytest_lossy.cases import IndexedSpec
from pytest_lossy.codecs.base import round_trip
from pytest_lossy.data.base import Dataset
from pytest_lossy.data.opening import open_dataset
from pytest_lossy.errors import LossyError, ModelError
from pytest_lossy.models.base import Model
from pytest_lossy.models.network import NetworkModel
from pytest_lossy.models.registry import build_model
from pytest_lossy.models.torch_network import TorchNetwork
from pytest_lossy.retrain.batches import Compression
from pytest_lossy.retrain.loop import Loss
from pytest_lossy.specs.schema import Spec, TrainingSection
from pytest_lossy.tasks.base import Task
from pytest_lossy.tasks.registry import build_task
from pytest_lossy.usercode import import_callable

__all__ = ["Experiment", "hold_out", "open_experiment", "weights_folder"]

_HOLD_OUT_SEED = 0  # the same samples for every level, so that their validations compare


@dataclass
class Experiment:
    """What is trained on what."""

    network: nn.Module
    model: Model
    """The same network between its pre- and post-processing."""
    task: Task
    dataset: Dataset
    loss: Loss
    fitted: tuple[int, ...]
    """Samples that are trained on."""
    held_out: tuple[int, ...]

    def validator(self, compression: Compression | None, batch_size: int) -> Callable[[nn.Module], float]:
        """The primary metric on what was held out, through the codec, larger being better."""
        better = {metric.name: metric.higher_is_better for metric in self.task.metrics}[self.task.primary]

        def validate(_: nn.Module) -> float:
            evidence = []
            for start in range(0, len(self.held_out), batch_size):
                samples = [self.dataset.load(index) for index in self.held_out[start : start + batch_size]]
                media = [sample.media for sample in samples]
                if compression is not None:
                    levels = compression.levels
                    media = [
                        round_trip(
                            compression.codec,
                            sample.media,
                            levels[(start + place) % len(levels)],
                            fps=sample.context.get("fps"),
                        ).media
                        for place, sample in enumerate(samples)
                    ]
                predictions = self.model.predict(media, [sample.context for sample in samples])
                evidence += [
                    self.task.evidence(prediction, sample.target)
                    for prediction, sample in zip(predictions, samples, strict=True)
                ]
            value = float(self.task.reduce(evidence, np.ones((1, len(evidence))))[self.task.primary][0])
            return value if better else -value

        return validate


def open_experiment(spec: IndexedSpec, training: TrainingSection, device: str) -> Experiment:
    """Load everything that a fine-tuning needs.

    Raises:
        ModelError: the model is none that can be trained.
        LossyError: the data or the hooks cannot be loaded.
    """
    base = spec.path.parent
    model = build_model(spec.spec.model, spec.spec.task, base, device)
    network = _trainable(model, spec.spec)
    kwargs = {**spec.spec.data.kwargs, **training.data}
    dataset = open_dataset(spec.spec.data.model_copy(update={"kwargs": kwargs, "tags": None}), base)
    if dataset.fingerprint() == open_dataset(spec.spec.data, base).fingerprint():
        raise LossyError(
            f"{spec.shown}: the training data are the test data; name another split in 'training.data', such as "
            "{split: train}"
        )
    fitted, held_out = hold_out(dataset, training.hold_out)
    task = build_task(spec.spec.task, dataset.classes, spec.spec.task_kwargs)
    loss = import_callable(training.loss, base)
    return Experiment(network, model, task, dataset, loss, fitted, held_out)


def hold_out(dataset: Dataset, share: float) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Split indices into those to fit and those held out, by independent unit: no sequence lies on both sides.

    Raises:
        LossyError: there are too few units.
    """
    units: dict[str, list[int]] = {}
    for index in range(len(dataset)):
        group = dataset.group(index)
        units.setdefault(f"group {group}" if group is not None else f"sample {index}", []).append(index)
    count = max(1, round(share * len(units)))
    if len(units) <= count:
        raise LossyError(f"the training data has {len(units)} independent samples; at least two are needed")
    order = np.random.Generator(np.random.PCG64(_HOLD_OUT_SEED)).permutation(len(units))
    members = list(units.values())
    chosen = {index for unit in order[:count].tolist() for index in members[unit]}
    everything: Sequence[int] = range(len(dataset))
    return tuple(index for index in everything if index not in chosen), tuple(sorted(chosen))


def _trainable(model: Model, spec: Spec) -> nn.Module:
    network = model.network if isinstance(model, NetworkModel) else None
    if not isinstance(network, TorchNetwork):
        raise ModelError(
            f"a '{spec.model.format}' model cannot be retrained; declare the PyTorch module it came from with 'model.torch'"
        )
    module = network.module
    for parameter in module.parameters():
        parameter.requires_grad_(True)
    return module


def weights_folder(spec: IndexedSpec) -> Path:
    """Where derived weights go: beside the parent's, or in ``weights/`` beside the spec."""
    written = spec.spec.model.weights
    base = spec.path.parent
    return (base / written).parent if written and Path(written).suffix else base / "weights"
