"""Human pose in the mini world: people with COCO's 17 keypoints."""

from __future__ import annotations

from typing import Any, ClassVar

from pytest_lossy.data.mini.annotation import people
from pytest_lossy.data.mini.cache import Record
from pytest_lossy.data.mini.dataset import Split, StreetDataset, StreetOptions
from pytest_lossy.data.mini.recipe import PEOPLE
from pytest_lossy.data.mini.render import Frame
from pytest_lossy.data.mini.skeleton import KEYPOINTS

__all__ = ["MiniPose", "MiniPoseOptions"]


class MiniPoseOptions(StreetOptions):
    """Keyword arguments of ``mini-pose``."""


class MiniPose(StreetDataset):
    """Rendered street scenes with the joints of their people; needs no download.

    A target holds ``keypoints`` (n, 17, 3) float64, x, y in pixels and visibility 0 (outside the picture, or the person is
    too small), 1 (hidden) or 2; ``num_keypoints`` (n,) int64; ``boxes`` (n, 4) float64, x1, y1, x2, y2 of the visible
    pixels; ``area`` (n,) float64, visible pixels; ``iscrowd`` (n,) int64, 1 for people of whom hardly anything is visible;
    ``labels`` (n,) int64, 0; ``head_size`` (n,) float64, pixels. The context holds ``boxes`` (m, 4), those of the people
    that are no crowd and have keypoints, for top-down models; ``intrinsics`` (3, 3); and ``fps`` of clips.
    """

    Options = MiniPoseOptions
    name = "mini-pose"
    version = "2"
    splits: ClassVar = {"train": Split(1021, 1500), "val": Split(2022, 200), "test": Split(3023, 200)}
    recipe = PEOPLE
    keypoints = KEYPOINTS

    @property
    def classes(self) -> tuple[str, ...]:
        """``person``."""
        return ("person",)

    def _truth(self, frame: Frame) -> Record:
        return dict(people(frame))

    def _describe(self, record: Record) -> dict[str, Any]:
        described = super()._describe(record)
        target = described["target"]
        wanted = (target["iscrowd"] == 0) & (target["num_keypoints"] > 0)
        return {**described, "context": {**described["context"], "boxes": target["boxes"][wanted]}}
