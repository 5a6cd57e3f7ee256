"""Image classification in the mini world: close-ups of signs, vehicles and trees."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, ClassVar

import numpy as np
from pydantic import Field

from pytest_lossy.data.mini.cache import Record
from pytest_lossy.data.mini.close_up import OBJECTS, sample_close_up
from pytest_lossy.data.mini.dataset import MiniDataset, MiniOptions, Side, Split
from pytest_lossy.data.mini.render import render
from pytest_lossy.data.mini.weather import weather_tags

__all__ = ["MiniClassification", "MiniClassificationOptions"]


class MiniClassificationOptions(MiniOptions):
    """Keyword arguments of ``mini-classification``."""

    size: Annotated[Side, Field(description="width and height in pixels")] = 96


class MiniClassification(MiniDataset):
    """Rendered close-ups whose classes differ in fine detail: digits, arrows, the slope of a boot; needs no download.

    Images are (size, size, 3); a target is an index of ``classes``. The classes take turns, so that any first so many
    samples are balanced.
    """

    Options = MiniClassificationOptions
    name = "mini-classification"
    splits: ClassVar = {"train": Split(1051, 2800), "val": Split(2052, 560), "test": Split(3053, 560)}

    def __init__(self, options: MiniClassificationOptions, base: Path | None = None, cache: Path | None = None) -> None:
        self._size = options.size
        super().__init__(options, base, cache)

    @property
    def classes(self) -> tuple[str, ...]:
        """Fourteen kinds of objects in label order."""
        return OBJECTS

    def _variant(self) -> str:
        return f"{self._size}x{self._size}"

    def _draw(self, index: int) -> Record:
        label = index % len(OBJECTS)
        scene = sample_close_up(self._seed, index, OBJECTS[label])
        image = render(scene, (self._size, self._size)).image
        return {"media": image, "tags": np.array(weather_tags(scene.light)), "label": np.array(label, np.int64)}

    def _describe(self, record: Record) -> dict[str, Any]:
        return {"target": int(record["label"])}
