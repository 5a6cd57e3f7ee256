"""The mini world's segmentation split as a registered data set."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["MiniSegmentationData", "MiniSegmentationOptions"]


class MiniSegmentationOptions(BaseModel):
    """Keyword arguments of ``mini-segmentation``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    split: Literal["train", "val", "test"] = "val"
    count: Annotated[
        int | None, Field(ge=1, description="the first so many scenes; default: the whole split")
    ] = None
