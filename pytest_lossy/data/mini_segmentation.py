"""The mini world's segmentation split as a registered data set."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from pytest_lossy.data.mini.segmentation import MiniSegmentation

__all__ = ["MiniSegmentationData", "MiniSegmentationOptions"]


class MiniSegmentationOptions(BaseModel):
    """Keyword arguments of ``mini-segmentation``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    split: Literal["train", "val", "test"] = "val"
    count: Annotated[int | None, Field(ge=1, description="the first so many scenes; default: the whole split")] = None


class MiniSegmentationData(MiniSegmentation):
    """Rendered street scenes with label maps; needs no download."""

    Options = MiniSegmentationOptions

    def __init__(self, options: MiniSegmentationOptions, base: Path) -> None:
        super().__init__(split=options.split, count=options.count)
