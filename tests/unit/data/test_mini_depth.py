"""mini-depth: depth against the geometry of the ground, of objects and of two views; perfect predictions."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from data_checks import assert_protocol

from pytest_lossy.data.mini.camera import Camera
from pytest_lossy.data.mini.labels import BUILDING, GRASS, PAVEMENT, ROAD, SKY
from pytest_lossy.data.mini.recipe import SURVEY
from pytest_lossy.data.mini.render import SIZE, Frame, render
from pytest_lossy.data.mini.scene import Scene, sample_scene
from pytest_lossy.data.mini.street import KERB
from pytest_lossy.data.mini_depth import MiniDepth, MiniDepthOptions
from pytest_lossy.tasks.depth import DepthTask

SEED = MiniDepth.splits["val"].seed
COUNT = 6
WIDTH, HEIGHT = SIZE


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> MiniDepth:
    return MiniDepth(MiniDepthOptions(count=COUNT), cache=tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="module")
def scenes() -> list[Scene]:
    return [sample_scene(SEED, index, SURVEY) for index in range(COUNT)]


@pytest.fixture(scope="module")
def frames(scenes: list[Scene]) -> list[Frame]:
    return [render(scene) for scene in scenes]


def rays(camera: Camera) -> np.ndarray:
    """(H, W, 3) world directions of depth 1, by one rotation after the other, where a pixel's sample is taken."""
    column, row = np.meshgrid(np.arange(WIDTH) + 0.75, np.arange(HEIGHT) + 0.75)
    focal = camera.focal * WIDTH
    right, up, ahead = (column - WIDTH / 2) / focal, (HEIGHT / 2 - row) / focal, np.ones_like(row)
    sin, cos = np.sin(camera.roll), np.cos(camera.roll)
    right, up = right * cos - up * sin, right * sin + up * cos
    sin, cos = np.sin(camera.pitch), np.cos(camera.pitch)
    up, ahead = up * cos - ahead * sin, up * sin + ahead * cos
    sin, cos = np.sin(camera.yaw), np.cos(camera.yaw)
    return np.stack([right * cos + ahead * sin, up, ahead * cos - right * sin], axis=-1)


def test_protocol(data: MiniDepth) -> None:
    assert_protocol(data)
    assert data.classes == ()


def test_format(data: MiniDepth, frames: list[Frame]) -> None:
    for index, frame in enumerate(frames):
        sample = data.load(index)
        assert sample.target.shape == (HEIGHT, WIDTH)
        assert sample.target.dtype == np.float32
        assert np.isfinite(sample.target).all()
        assert sample.target.max() < 400.0
        sky = frame.labels == SKY
        inner = sky[1:-1, 1:-1] & sky[:-2, 1:-1] & sky[2:, 1:-1] & sky[1:-1, :-2] & sky[1:-1, 2:]
        # Of four samples one gives the depth: it may be the leaf in a sky of three.
        assert (sample.target[1:-1, 1:-1][inner] == 0.0).mean() > 0.99
        np.testing.assert_allclose(
            sample.context["intrinsics"], [[256, 0, 128], [0, 256, 96], [0, 0, 1]]
        )  # one lens for all


def test_rays_agree_with_the_camera(scenes: list[Scene]) -> None:
    for scene in scenes:
        camera = scene.camera
        points = np.array(camera.position) + 7.0 * rays(camera).reshape(-1, 3)[::977]
        np.testing.assert_allclose(camera.view(points)[:, 2], 7.0, rtol=1e-9)


def test_ground_lies_on_its_planes(data: MiniDepth, scenes: list[Scene], frames: list[Frame]) -> None:
    """Every pixel of road, pavement and grass, kerbs included, backprojects to one of the street's planes."""
    for index, (scene, frame) in enumerate(zip(scenes, frames, strict=True)):
        depth = data.load(index).target.astype(np.float64)
        ground = np.isin(frame.labels, (ROAD, PAVEMENT, GRASS)) & (frame.instances == 0) & (depth > 0) & (depth < 80)
        # Four samples vote for the label and one gives the depth: stay off the edges between classes.
        same = np.ones_like(ground)
        for axis in (0, 1):
            for shift in (-1, 1):
                same &= np.roll(frame.labels, shift, axis) == frame.labels
        ground &= same
        world = np.array(scene.camera.position) + rays(scene.camera) * depth[..., None]
        x, y, _ = world[ground].T
        flat = np.minimum(np.abs(y), np.abs(y - KERB))
        kerb = np.abs(np.abs(x) - scene.street.half_road)
        kerb[(y < -0.01) | (y > KERB + 0.01)] = np.inf
        wrong = np.minimum(flat, kerb) > 0.01 + 0.002 * depth[ground]
        assert ground.sum() > 3000
        assert wrong.mean() < 0.002, index


def test_objects_are_where_the_scene_puts_them(scenes: list[Scene], frames: list[Frame]) -> None:
    compared = 0
    for scene, frame in zip(scenes, frames, strict=True):
        counted = [thing for thing in scene.things if thing.counted]
        for thing in frame.things:
            mask = frame.instances == thing.number
            if mask.sum() < 30:
                continue
            corners = np.array([(x, 0.0, z) for x, z in counted[thing.number - 1].footprint(0.0)])
            reach = scene.camera.view(corners)[:, 2]
            # A tall thing reaches nearer or farther where the camera looks down: by its height times the pitch.
            slack = 0.6 + 3.2 * abs(np.sin(scene.camera.pitch))
            median = float(np.median(frame.depth[mask]))
            assert reach.min() - slack < median < reach.max() + slack
            compared += 1
    assert compared > 20


def test_two_views_of_one_street_agree(scenes: list[Scene]) -> None:
    """What one view measures, seen from half a metre farther on, has the depth that the other view measures."""
    agree = total = 0
    for scene in scenes[:3]:
        first = scene.camera
        x, y, z = first.position
        second = dataclasses.replace(first, position=(x + 0.1, y + 0.05, z + 0.5), yaw=first.yaw + 0.02)
        one, other = render(scene), render(dataclasses.replace(scene, camera=second))
        near = (one.depth < 60) & np.isin(one.labels, (ROAD, PAVEMENT, BUILDING))
        world = np.array(first.position) + rays(first)[near] * one.depth[near][:, None].astype(np.float64)
        right, up, ahead = second.view(world).T
        column = np.floor(right * 256 / ahead + WIDTH / 2 - 0.25).astype(int)
        row = np.floor(HEIGHT / 2 - up * 256 / ahead - 0.25).astype(int)
        inside = (column >= 0) & (column < WIDTH) & (row >= 0) & (row < HEIGHT) & (ahead > 0.5)
        measured = other.depth[row[inside], column[inside]]
        agree += int((np.abs(measured / ahead[inside] - 1.0) < 0.06).sum())
        total += int(inside.sum())
    assert total > 10_000
    assert agree / total > 0.93  # the rest is hidden in one of the views, or at an edge


def test_the_row_does_not_give_depth_away(tmp_path: Path) -> None:
    """A prediction that knows only where a pixel is, the geometric mean over scenes, is a poor one."""
    data = MiniDepth(MiniDepthOptions(split="train", count=24), cache=tmp_path)
    known = np.stack(
        [np.where(d > 0, np.log(np.maximum(d, 0.1)), np.nan) for d in (data.load(i).target for i in range(24))]
    )
    rows = np.isfinite(known).all(axis=0)
    guess = known.mean(axis=0)
    hits = np.abs(known - guess)[:, rows] < np.log(1.25)
    assert rows.sum() > 5000
    assert hits.mean() < 0.6


def test_perfect_prediction(data: MiniDepth) -> None:
    task = DepthTask()
    evidence = []
    for index in range(COUNT):
        target = data.load(index).target
        found = np.where(target > 0, target, np.float32(1.0))
        assert task.check(found, target) is None
        evidence.append(task.evidence(found, target))
    metrics = task.reduce(evidence, np.ones((1, COUNT)))
    assert metrics["abs_rel"][0] == metrics["rmse"][0] == metrics["silog"][0] == 0.0
    assert metrics["delta1"][0] == 1.0


def test_clip(data: MiniDepth, tmp_path: Path) -> None:
    clip = MiniDepth(MiniDepthOptions(count=1, frames=2), cache=tmp_path).load(0)
    assert clip.frame == 1
    np.testing.assert_array_equal(clip.target, data.load(0).target)
    np.testing.assert_array_equal(clip.media[1], data.load(0).media)
