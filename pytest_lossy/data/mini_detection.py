"""Object detection in the mini world: vehicles, people and signs in boxes."""

from __future__ import annotations

from typing import ClassVar

from pytest_lossy.data.mini.annotation import DETECTED, boxes
from pytest_lossy.data.mini.cache import Record
from pytest_lossy.data.mini.dataset import Split, StreetDataset, StreetOptions
from pytest_lossy.data.mini.recipe import TRAFFIC
from pytest_lossy.data.mini.render import Frame

__all__ = ["MiniDetection", "MiniDetectionOptions"]


class MiniDetectionOptions(StreetOptions):
    """Keyword arguments of ``mini-detection``."""


class MiniDetection(StreetDataset):
    """Rendered street scenes with boxes; needs no download.

    A target holds ``boxes`` (n, 4) float64, x1, y1, x2, y2 of the visible pixels; ``labels`` (n,) int64, indices of
    ``classes``; ``area`` (n,) float64, visible pixels; ``iscrowd`` (n,) int64, 1 for objects of which hardly anything is
    visible, which count neither when found nor when missed. The context holds ``intrinsics`` (3, 3), and ``fps`` of clips.
    """

    Options = MiniDetectionOptions
    name = "mini-detection"
    splits: ClassVar = {"train": Split(1011, 1000), "val": Split(2012, 200), "test": Split(3013, 200)}
    recipe = TRAFFIC

    @property
    def classes(self) -> tuple[str, ...]:
        """Six classes in label order."""
        return DETECTED

    def _truth(self, frame: Frame) -> Record:
        return dict(boxes(frame))
