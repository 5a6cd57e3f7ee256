"""Clips of street scenes: nothing collides, the labelled frame is the still, neighbouring frames resemble each other."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

import numpy as np
import pytest

from pytest_lossy.data.mini.clip import around, render_clip, settled
from pytest_lossy.data.mini.recipe import TRAFFIC
from pytest_lossy.data.mini.render import render
from pytest_lossy.data.mini.scene import Scene, sample_scene
from pytest_lossy.data.mini.segmentation import MiniSegmentation
from pytest_lossy.data.mini_segmentation import MiniSegmentationData, MiniSegmentationOptions


class TestClips:
    """Paths of any scene's vehicles, walkers and camera."""

    @pytest.fixture(scope="class")
    @staticmethod
    def busy() -> list[tuple[Scene, Scene]]:
        scenes = [sample_scene(2002, index, TRAFFIC) for index in range(25)]
        return [(scene, settled(scene, around(25, 12.5))) for scene in scenes]

    def test_times(self) -> None:
        assert around(5, 10.0) == pytest.approx((-0.2, -0.1, 0.0, 0.1, 0.2))
        assert around(4, 25.0)[2] == 0.0

    def test_nothing_drives_through_anything(self, busy: list[tuple[Scene, Scene]]) -> None:
        def overlapping(scene: Scene, moment: float) -> set[tuple[int, int]]:
            boxes = [
                (min(x for x, _ in f), max(x for x, _ in f), min(z for _, z in f), max(z for _, z in f))
                for f in (thing.footprint(moment) for thing in scene.things)
            ]
            return {
                (a, b)
                for a in range(len(boxes)) for b in range(a)
                if (scene.things[a].counted or scene.things[b].counted)
                and boxes[a][0] < boxes[b][1] and boxes[a][1] > boxes[b][0]
                and boxes[a][2] < boxes[b][3] and boxes[a][3] > boxes[b][2]
            }  # fmt: skip

        crashed = 0
        for scene, calm in busy:
            for moment in (-0.96, 0.96):
                crashed += bool(overlapping(scene, moment) - overlapping(scene, 0.0))
                assert overlapping(calm, moment) <= overlapping(calm, 0.0)
        assert crashed > 3  # or the test would test nothing

    def test_the_camera_runs_into_nothing(self, busy: list[tuple[Scene, Scene]]) -> None:
        for _, calm in busy:
            if calm.speed == 0.0:
                continue
            for moment in np.linspace(-0.96, 0.96, 9):
                x, _, z = calm.camera_at(float(moment)).position
                for thing in calm.things:
                    corners = thing.footprint(float(moment))
                    assert min(math.dist((x, z), corner) for corner in corners) > 0.6

    def test_most_cameras_and_walkers_keep_moving(self, busy: list[tuple[Scene, Scene]]) -> None:
        rolling = [(scene, calm) for scene, calm in busy if scene.speed > 0]
        assert sum(calm.speed > 0 for _, calm in rolling) > len(rolling) / 2

    def test_the_middle_frame_is_the_still(self) -> None:
        scene = sample_scene(2002, 4)
        clip, frame = render_clip(scene, (128, 96), around(3, 25.0), 1)
        still = render(scene, (128, 96))
        np.testing.assert_array_equal(clip[1], still.image)
        np.testing.assert_array_equal(frame.labels, still.labels)
        assert (clip[0] != clip[1]).any()
        assert (clip[2] != clip[1]).any()

    def test_neighbouring_frames_resemble_each_other(self) -> None:
        """Frames a fiftieth of a second apart differ less than frames half a second apart, and noise differs always."""
        scene = dataclasses.replace(sample_scene(2002, 4), speed=6.0)
        frames = [render(scene, (128, 96), time).image.astype(float) for time in (0.0, 0.02, 0.5)]
        near, far = (np.abs(frames[0] - other).mean() for other in frames[1:])
        assert 0.0 < near < 0.6 * far

    def test_media_of_segmentation(self) -> None:
        assert MiniSegmentationData.media == MiniSegmentationData.media_of(MiniSegmentationOptions()) == "stills"
        options = MiniSegmentationOptions(frames=3, count=2)
        assert MiniSegmentationData.media_of(options) == "clips"
        assert len(MiniSegmentationData(options, Path())) == 2

    def test_segmentation_clips(self, tmp_path: Path) -> None:
        still = MiniSegmentation("val", 1, cache=tmp_path).load(0)
        data = MiniSegmentation("val", 1, cache=tmp_path, frames=3, fps=10.0)
        clip = data.load(0)
        assert clip.media.shape == (3, 192, 256, 3)
        assert (clip.frame, clip.context["fps"]) == (1, 10.0)
        np.testing.assert_array_equal(clip.media[1], still.media)
        np.testing.assert_array_equal(clip.target, still.target)
        np.testing.assert_array_equal(data.load(0).media, clip.media)  # from the cache
        assert clip.tags == still.tags
        assert still.frame is None
        assert data.fingerprint() != MiniSegmentation("val", 1).fingerprint()
        assert MiniSegmentation("val", 1, cache=tmp_path, size=(80, 64)).load(0).target.shape == (64, 80)
