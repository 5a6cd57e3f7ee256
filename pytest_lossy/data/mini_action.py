"""Action recognition in the mini world: people who walk, run, wave, jump and so on before a moving camera."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from pytest_lossy.data.mini.cache import Record
from pytest_lossy.data.mini.clip import render_clip
from pytest_lossy.data.mini.dataset import MiniDataset, MiniOptions, Side, Split
from pytest_lossy.data.mini.motion import ACTIONS
from pytest_lossy.data.mini.stage import sample_stage
from pytest_lossy.data.mini.weather import weather_tags

__all__ = ["MiniAction", "MiniActionOptions"]


class MiniActionOptions(MiniOptions):
    """Keyword arguments of ``mini-action``."""

    size: Annotated[tuple[Side, Side], Field(description="width and height in pixels")] = (128, 96)
    frames: Annotated[int, Field(ge=2, le=128, description="of a clip")] = 16
    fps: Annotated[float, Field(gt=0, le=120, description="frames per second")] = 12.5


class MiniAction(MiniDataset):
    """Rendered clips of people who all do the same; needs no download.

    Media are (T, H, W, 3); a target is an index of ``classes``; the context holds ``fps``. Every clip is a video of its
    own, which is its group. The classes take turns, so that any first so many samples are balanced.
    """

    Options = MiniActionOptions
    media = "clips"
    name = "mini-action"
    splits: ClassVar = {"train": Split(1041, 960), "val": Split(2042, 240), "test": Split(3043, 240)}

    def __init__(self, options: MiniActionOptions, base: Path | None = None, cache: Path | None = None) -> None:
        self._size, self._frames, self._fps = options.size, options.frames, options.fps
        super().__init__(options, base, cache)

    @staticmethod
    def media_of(options: MiniActionOptions) -> Literal["stills", "clips"]:
        """Clips."""
        return "clips"

    @property
    def classes(self) -> tuple[str, ...]:
        """Eight actions in label order."""
        return ACTIONS

    def group(self, index: int) -> str | None:
        """The video, which is the sample itself.

        Raises:
            DataError: ``index`` is not in 0 to ``len - 1``.

        """
        return self.sample_id(index)

    def _variant(self) -> str:
        return f"{self._size[0]}x{self._size[1]}-{self._frames}-{self._fps:g}"

    def _draw(self, index: int) -> Record:
        label = index % len(ACTIONS)
        times = [frame / self._fps for frame in range(self._frames)]
        scene = sample_stage(self._seed, index, ACTIONS[label], self._frames / self._fps)
        media, _ = render_clip(scene, self._size, times, 0)
        return {"media": media, "tags": np.array(weather_tags(scene.light)), "label": np.array(label, np.int64)}

    def _describe(self, record: Record) -> dict[str, Any]:
        return {"target": int(record["label"]), "context": {"fps": self._fps}}
