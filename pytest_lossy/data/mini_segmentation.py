"""The mini world's segmentation split as a registered data set."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pytest_lossy.data.mini.dataset import StreetOptions
from pytest_lossy.data.mini.segmentation import MiniSegmentation

__all__ = ["MiniSegmentationData", "MiniSegmentationOptions"]


class MiniSegmentationOptions(StreetOptions):
    """Keyword arguments of ``mini-segmentation``."""


class MiniSegmentationData(MiniSegmentation):
    """Rendered street scenes with label maps; needs no download."""

    Options = MiniSegmentationOptions
    media: Literal["stills", "clips"] = "stills"

    def __init__(self, options: MiniSegmentationOptions, base: Path) -> None:
        super().__init__(options.split, options.count, size=options.size, frames=options.frames, fps=options.fps)

    @staticmethod
    def media_of(options: MiniSegmentationOptions) -> Literal["stills", "clips"]:
        """Clips where ``frames`` is given."""
        return "stills" if options.frames is None else "clips"
