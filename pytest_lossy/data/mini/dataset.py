"""What the data sets of the mini world have in common: splits, names, groups, the cache."""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from pytest_lossy.data.base import Sample, SourceInfo
from pytest_lossy.data.mini import GENERATOR_VERSION
from pytest_lossy.data.mini.cache import Record, RecordCache
from pytest_lossy.data.mini.clip import around, render_clip
from pytest_lossy.data.mini.recipe import STREET, Recipe
from pytest_lossy.data.mini.render import Frame, render
from pytest_lossy.data.mini.scene import sample_scene
from pytest_lossy.data.mini.weather import weather_tags
from pytest_lossy.errors import DataError

__all__ = ["MiniDataset", "MiniOptions", "Side", "Split", "StreetDataset", "StreetOptions"]

Side = Annotated[int, Field(ge=64, le=1024)]


@dataclass(frozen=True, slots=True)
class Split:
    """A part of the world that shares no scene with the others."""

    seed: int
    size: int


class MiniOptions(BaseModel):
    """Keyword arguments that every mini data set takes."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    split: Literal["train", "val", "test"] = "val"
    count: Annotated[int | None, Field(ge=1, description="the first so many samples; default: the whole split")] = None


class StreetOptions(MiniOptions):
    """Keyword arguments of the data sets of street scenes."""

    size: Annotated[tuple[Side, Side], Field(description="width and height in pixels")] = (256, 192)
    frames: Annotated[
        int | None,
        Field(ge=2, le=64, description="give clips of so many frames, of which the middle one is labelled"),
    ] = None
    fps: Annotated[float, Field(gt=0, le=120, description="frames per second of clips")] = 25.0


class MiniDataset(ABC):
    """Rendered samples; satisfies ``pytest_lossy.data.base.Dataset``.

    A sample is rendered when it is first loaded and read from the on-disk cache afterwards, with identical bits either
    way. Every scene is drawn independently, so that each sample is its own group.

    Args:
        options: which split, how many samples, how large.
        base: not used; the registry hands it to every data set.
        cache: root folder of the cache; None for ``$PYTEST_LOSSY_CACHE`` or the user's cache.

    Raises:
        DataError: a count outside the split.
    """

    media: ClassVar[Literal["stills", "clips"]] = "stills"
    name: ClassVar[str]
    splits: ClassVar[Mapping[str, Split]]
    version: ClassVar[str] = "1"
    """Changes whenever samples do though the renderer does not: part of the fingerprint and of the cache's path."""

    def __init__(self, options: MiniOptions, base: Path | None = None, cache: Path | None = None) -> None:
        split = self.splits[options.split]
        if options.count is not None and options.count > split.size:
            raise DataError(
                f"{self.name}: count {options.count} is not possible; split '{options.split}' takes 1 to {split.size}, "
                "or none for all"
            )
        self._split, self._seed = options.split, split.seed
        self._count = split.size if options.count is None else options.count
        self._cache = RecordCache(cache, f"{self.name}-{self.version}-{self._variant()}")

    @property
    @abstractmethod
    def classes(self) -> tuple[str, ...]:
        """Class names in label order; empty where the task has none."""

    @abstractmethod
    def _variant(self) -> str:
        """What distinguishes these samples from those of other options, as a folder's name."""

    @abstractmethod
    def _draw(self, index: int) -> Record:
        """Render sample ``index``: ``media``, ``tags``, and whatever :meth:`_describe` needs."""

    @abstractmethod
    def _describe(self, record: Record) -> dict[str, Any]:
        """``target`` and any other field of the sample from a record without ``media`` and ``tags``."""

    def __len__(self) -> int:
        return self._count

    def sample_id(self, index: int) -> str:
        """Such as ``val-0007``.

        Raises:
            DataError: ``index`` is not in 0 to ``len - 1``.

        """
        if not 0 <= index < self._count:
            raise DataError(
                f"{self.name}: no sample {index} in split '{self._split}'; indices run from 0 to {self._count - 1}"
            )
        return f"{self._split}-{index:04d}"

    def group(self, index: int) -> str | None:
        """None: every scene is drawn independently.

        Raises:
            DataError: ``index`` is not in 0 to ``len - 1``.

        """
        self.sample_id(index)
        return None

    def load(self, index: int) -> Sample:
        """Read the sample from the cache, or render and store it; threads and processes may do so at once.

        Raises:
            DataError: ``index`` is not in 0 to ``len - 1``.

        """
        identity = self.sample_id(index)
        record = self._cache.read(self._split, index)
        if record is None:
            record = self._draw(index)
            self._cache.write(self._split, index, record)
        media, tags = record.pop("media"), tuple(record.pop("tags").tolist())
        source = SourceInfo(format="rendered")
        described = self._describe(record)
        return Sample(id=identity, media=media, group=self.group(index), tags=tags, source=source, **described)

    def fingerprint(self) -> str:
        """SHA-256 of the generator's version and the choice of samples."""
        parts = [self.name, GENERATOR_VERSION, self.version, self._variant(), self._split, self._count]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


class StreetDataset(MiniDataset):
    """Street scenes by a recipe, with ground truth for the still or for the middle frame of a clip."""

    recipe: ClassVar[Recipe] = STREET

    def __init__(self, options: StreetOptions, base: Path | None = None, cache: Path | None = None) -> None:
        self._size, self._frames, self._fps = options.size, options.frames, options.fps
        super().__init__(options, base, cache)

    @staticmethod
    def media_of(options: StreetOptions) -> Literal["stills", "clips"]:
        """Clips where ``frames`` is given."""
        return "stills" if options.frames is None else "clips"

    @abstractmethod
    def _truth(self, frame: Frame) -> Record:
        """Ground truth of the labelled frame, by name."""

    def _variant(self) -> str:
        size = f"{self._size[0]}x{self._size[1]}"
        return size if self._frames is None else f"{size}-{self._frames}-{self._fps:g}"

    def _draw(self, index: int) -> Record:
        scene = sample_scene(self._seed, index, self.recipe)
        if self._frames is None:
            frame = render(scene, self._size)
            media = frame.image
        else:
            media, frame = render_clip(scene, self._size, around(self._frames, self._fps), self._frames // 2)
        focal = np.array(frame.focal, np.float64)
        return {"media": media, "tags": np.array(weather_tags(scene.light)), "focal": focal, **self._truth(frame)}

    def _describe(self, record: Record) -> dict[str, Any]:
        context: dict[str, Any] = {"intrinsics": self._intrinsics(float(record.pop("focal")))}
        if self._frames is None:
            return {"target": record, "context": context}
        return {"target": record, "context": {**context, "fps": self._fps}, "frame": self._frames // 2}

    def _intrinsics(self, focal: float) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
        """(3, 3), pixels; the principal point is the middle of the frame."""
        width, height = self._size
        return np.array([[focal, 0.0, width / 2], [0.0, focal, height / 2], [0.0, 0.0, 1.0]])
