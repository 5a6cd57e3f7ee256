"""Semantic segmentation in the mini world: 11 street classes, three splits."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from pytest_lossy.data.base import Sample, SourceInfo, UInt8Array
from pytest_lossy.data.mini import GENERATOR_VERSION
from pytest_lossy.data.mini.cache import FrameCache, RecordCache
from pytest_lossy.data.mini.clip import around, render_clip
from pytest_lossy.data.mini.dataset import Split
from pytest_lossy.data.mini.labels import CLASSES
from pytest_lossy.data.mini.render import SIZE, render
from pytest_lossy.data.mini.scene import sample_scene, scene_light
from pytest_lossy.data.mini.weather import weather_tags
from pytest_lossy.errors import DataError

__all__ = ["SPLITS", "MiniSegmentation", "Split"]


SPLITS: dict[str, Split] = {"train": Split(1001, 500), "val": Split(2002, 100), "test": Split(3003, 100)}
"""Scene i of a split is drawn from the seed sequence (seed, i)."""


class MiniSegmentation:
    """Rendered street scenes with label maps; satisfies ``pytest_lossy.data.base.Dataset``.

    Images are (192, 256, 3) uint8 RGB, or clips (T, 192, 256, 3) whose middle frame is that image; targets (192, 256)
    uint8, 0-10 as in ``classes``, 255 ignored. A frame takes about 0.1 s to render and 4 ms to read from the on-disk
    cache, with identical bits either way.
    """

    def __init__(
        self,
        split: str = "val",
        count: int | None = None,
        cache: Path | None = None,
        *,
        size: tuple[int, int] = SIZE,
        frames: int | None = None,
        fps: float = 25.0,
    ) -> None:
        """Choose frames; nothing is rendered yet.

        Args:
            split: ``train`` (500 frames), ``val`` (100) or ``test`` (100).
            count: use the first ``count`` frames of the split; None for all.
            cache: root folder of the frame cache; None for ``$PYTEST_LOSSY_CACHE`` or the user's cache.
            size: width and height in pixels.
            frames: give clips of so many frames, of which number ``frames // 2`` is labelled; None for stills.
            fps: frames per second of clips.

        Raises:
            DataError: unknown split, or a count outside the split.

        """
        if split not in SPLITS:
            raise DataError(f"mini-segmentation: unknown split {split!r}; choose one of {', '.join(SPLITS)}")
        available = SPLITS[split].size
        if count is not None and (isinstance(count, bool) or not isinstance(count, int) or not 1 <= count <= available):
            raise DataError(
                f"mini-segmentation: count {count!r} is not possible; "
                f"split {split!r} takes 1 to {available}, or none for all"
            )
        self._split = split
        self._count = available if count is None else count
        self._size, self._frames, self._fps = size, frames, fps
        root = None if cache is None else Path(cache)
        self._cache, self._records = FrameCache(root), RecordCache(root, f"mini-segmentation-{self._variant()}")

    @property
    def name(self) -> str:
        """``mini-segmentation``."""
        return "mini-segmentation"

    @property
    def classes(self) -> tuple[str, ...]:
        """The 11 class names in label order."""
        return CLASSES

    def __len__(self) -> int:
        return self._count

    def sample_id(self, index: int) -> str:
        """Such as ``val-0007``.

        Raises:
            DataError: ``index`` is not in 0 to ``len - 1``.

        """
        self._check(index)
        return f"{self._split}-{index:04d}"

    def group(self, index: int) -> str | None:
        """None: every scene is drawn independently.

        Raises:
            DataError: ``index`` is not in 0 to ``len - 1``.

        """
        self._check(index)
        return None

    def load(self, index: int) -> Sample:
        """Read the frame from the cache, or render and store it; threads and processes may do so at once.

        Raises:
            DataError: ``index`` is not in 0 to ``len - 1``.

        """
        identity = self.sample_id(index)
        image, labels = self._still(index) if self._plain() else self._variation(index)
        tags = weather_tags(scene_light(SPLITS[self._split].seed, index))
        clip: dict[str, Any] = {}
        if self._frames is not None:
            clip = {"context": {"fps": self._fps}, "frame": self._frames // 2}
        source = SourceInfo(format="rendered")
        return Sample(identity, image, labels, tags=tags, source=source, **clip)

    def _still(self, index: int) -> tuple[UInt8Array, UInt8Array]:
        """Image and labels in the usual size."""
        found = self._cache.read(self._split, index, SIZE)
        if found is None:
            frame = render(sample_scene(SPLITS[self._split].seed, index))
            found = (frame.image, frame.labels)
            self._cache.write(self._split, index, *found)
        return found

    def _variation(self, index: int) -> tuple[UInt8Array, UInt8Array]:
        """Image or clip, and labels, in any size."""
        record = self._records.read(self._split, index)
        if record is None:
            scene = sample_scene(SPLITS[self._split].seed, index)
            if self._frames is None:
                frame = render(scene, self._size)
                media = frame.image
            else:
                times = around(self._frames, self._fps)
                media, frame = render_clip(scene, self._size, times, self._frames // 2)
            record = {"media": media, "labels": frame.labels}
            self._records.write(self._split, index, record)
        return record["media"], record["labels"]

    def fingerprint(self) -> str:
        """SHA-256 of the generator's version and the choice of frames."""
        parts = [self.name, GENERATOR_VERSION, self._split, self._count]
        if not self._plain():
            parts.append(self._variant())
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()

    def _plain(self) -> bool:
        return self._frames is None and self._size == SIZE

    def _variant(self) -> str:
        size = f"{self._size[0]}x{self._size[1]}"
        return size if self._frames is None else f"{size}-{self._frames}-{self._fps:g}"

    def _check(self, index: int) -> None:
        if not 0 <= index < self._count:
            raise DataError(
                f"mini-segmentation: no sample {index} in split {self._split!r}; "
                f"indices run from 0 to {self._count - 1}"
            )
