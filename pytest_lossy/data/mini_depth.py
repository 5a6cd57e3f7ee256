"""Monocular depth in the mini world."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from pytest_lossy.data.mini.cache import Record
from pytest_lossy.data.mini.dataset import Split, StreetDataset, StreetOptions
from pytest_lossy.data.mini.recipe import SURVEY
from pytest_lossy.data.mini.render import Frame
from pytest_lossy.data.mini.shading import FAR

__all__ = ["MiniDepth", "MiniDepthOptions"]


class MiniDepthOptions(StreetOptions):
    """Keyword arguments of ``mini-depth``."""


class MiniDepth(StreetDataset):
    """Rendered street scenes with metric depth, through one lens at many heights and pitches; needs no download.

    A target is (H, W) float32, metres along the camera's axis, below 400; 0, unknown, in the sky. The context holds
    ``intrinsics`` (3, 3), and ``fps`` of clips.
    """

    Options = MiniDepthOptions
    name = "mini-depth"
    splits: ClassVar = {"train": Split(1031, 1000), "val": Split(2032, 200), "test": Split(3033, 200)}
    recipe = SURVEY

    @property
    def classes(self) -> tuple[str, ...]:
        """None."""
        return ()

    def _truth(self, frame: Frame) -> Record:
        return {"depth": np.where(frame.depth < np.float32(0.999 * FAR), frame.depth, np.float32(0.0))}

    def _describe(self, record: Record) -> dict[str, Any]:
        described = super()._describe(record)
        return {**described, "target": described["target"]["depth"]}
