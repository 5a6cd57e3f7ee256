"""From raw network outputs to predictions in source coordinates: one decoder per task, by name."""

from __future__ import annotations

from collections.abc import Callable

from pytest_lossy.errors import ModelError
from pytest_lossy.models.declaration import OutputSection
from pytest_lossy.models.depth_maps import DepthMaps
from pytest_lossy.models.instances import Instances
from pytest_lossy.models.label_maps import LabelMaps
from pytest_lossy.models.network import Decode
from pytest_lossy.models.scores import ClassScores

__all__ = ["LabelMaps", "output_decoder"]

_DECODERS: dict[str, Callable[[OutputSection, str], Decode]] = {
    "action": ClassScores,
    "classification": ClassScores,
    "depth": DepthMaps,
    "detection": Instances,
    "pose": Instances,
    "segmentation": LabelMaps,
}


def output_decoder(task: str, section: OutputSection, layout: str = "nchw") -> Decode:
    """The decoder of a task's raw output.

    Args:
        task: registered name.
        section: the spec's ``model.output``.
        layout: of class scores where the section names none.

    Raises:
        ModelError: nothing can be declared for this task.
    """
    if task not in _DECODERS:
        raise ModelError(f"outputs of task '{task}' cannot be declared; name a 'model.output.function'")
    return _DECODERS[task](section, section.layout or layout)
