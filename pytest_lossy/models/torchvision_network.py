"""Torchvision models by name, with the transforms that belong to their weights."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torchvision

from pytest_lossy.data.base import Context, UInt8Array
from pytest_lossy.errors import MissingInputError, ModelError
from pytest_lossy.models.preprocessing import Batch, Placement, Prepare
from pytest_lossy.models.torch_network import TorchNetwork, load_weights
from pytest_lossy.registry import did_you_mean

__all__ = ["TorchvisionNetwork", "local_file", "own_transforms", "published_file", "published_weights"]

DEFAULT = "DEFAULT"


def published_weights(name: str, weights: str | None) -> Any | None:
    """The entry of torchvision's weights enumeration that a spec names; None where it names a file or nothing.

    Raises:
        ModelError: torchvision has no such model.
    """
    if name not in torchvision.models.list_models():
        raise ModelError(f"torchvision has no model '{name}'; {did_you_mean(name, torchvision.models.list_models())}")
    if weights is None or "." in weights or "/" in weights:
        return None
    known = torchvision.models.get_model_weights(name)
    members = {member.name: member for member in known}
    if weights == DEFAULT and members:
        return known.DEFAULT
    if weights not in members:
        raise ModelError(
            f"torchvision has no weights '{weights}' for {name}; {did_you_mean(weights, [*members, DEFAULT])} A file's name "
            "has a suffix"
        )
    return members[weights]


def published_file(entry: Any) -> Path:
    """Where torchvision keeps these published weights, whether they are there or not."""
    return Path(torch.hub.get_dir()) / "checkpoints" / Path(str(entry.url)).name


def local_file(entry: Any) -> Path:
    """Where the published weights lie on this machine, after a download if need be.

    Raises:
        MissingInputError: they are not there and cannot be downloaded.
    """
    path = published_file(entry)
    if not path.exists():
        try:
            torch.hub.load_state_dict_from_url(
                entry.url, map_location="cpu", progress=False, check_hash=True, weights_only=True
            )
        except Exception as error:  # noqa: BLE001  no network shows as any of a dozen classes
            raise MissingInputError(
                f"{path}: the weights {entry} are not there and cannot be downloaded ({error}); fetch {entry.url} elsewhere "
                "and place it at that path"
            ) from None
    return path


class TorchvisionNetwork(TorchNetwork):
    """A model of ``torchvision.models``, built without its own download.

    Args:
        name: as ``torchvision.models.list_models()`` knows it.
        kwargs: for the builder.
        weights: a state dict on disk; None keeps the random initialisation.
        classes: of the published weights, which fix the size of the head; None to leave it to ``kwargs``.
        sha256: of the weights.
        device: ``cpu``, ``cuda`` or ``cuda:N``.
    """

    def __init__(
        self,
        name: str,
        kwargs: Mapping[str, Any],
        weights: Path | None,
        classes: int | None,
        sha256: str | None,
        device: str,
    ) -> None:
        builder = torchvision.models.get_model_builder(name)
        accepted = inspect.signature(builder).parameters
        complete: dict[str, Any] = {"weights": None}
        if "weights_backbone" in accepted:
            complete["weights_backbone"] = None  # otherwise torchvision downloads a backbone
        if classes is not None:
            complete["num_classes"] = classes
        if weights is not None and "aux_loss" in accepted:
            complete["aux_loss"] = any(key.startswith("aux_classifier") for key in load_weights(weights))
        super().__init__(builder, {**complete, **kwargs}, weights, sha256, device, source=f"torchvision's {name}")
        self._name = name

    def describe(self) -> dict[str, Any]:
        """Format, name, parameters, device, weights."""
        return {**super().describe(), "format": "torchvision", "name": self._name}


def own_transforms(name: str, entry: Any | None, task: str, device: str) -> Prepare:
    """The pre-processing published with a model's weights (its default weights where ``entry`` is None).

    Clips are cut to the frames that ``context["frames"]`` lists, where the data set gives them.

    Raises:
        ModelError: torchvision publishes no weights, and so no transforms, for this model.
    """
    known = torchvision.models.get_model_weights(name)
    if entry is None and not list(known):
        raise ModelError(f"torchvision publishes no transforms for {name}; declare 'model.input'")
    transform = (entry or known.DEFAULT).transforms()
    as_list = task in ("detection", "pose")

    def prepare(media: Sequence[UInt8Array], context: Sequence[Context]) -> list[Batch]:
        tensors, placements = [], []
        for one, facts in zip(media, context, strict=True):
            frames = one[np.asarray(facts["frames"])] if one.ndim == 4 and "frames" in facts else one
            # The transforms expect (..., C, H, W).
            tensor = transform(torch.from_numpy(np.array(frames)).movedim(-1, -3).to(device))
            source = (one.shape[-3], one.shape[-2])
            size = (int(tensor.shape[-2]), int(tensor.shape[-1]))
            tensors.append(tensor)
            placements.append(Placement(source, size, size))
        if as_list:  # torchvision's detectors take images of different sizes and resize them themselves
            return [Batch(tensors, placements, list(range(len(tensors))))]
        by_shape: dict[tuple[int, ...], list[int]] = {}
        for position, tensor in enumerate(tensors):
            by_shape.setdefault(tuple(tensor.shape), []).append(position)
        return [
            Batch(
                torch.stack([tensors[position] for position in positions]),
                [placements[position] for position in positions],
                positions,
            )
            for positions in by_shape.values()
        ]

    return prepare
