"""The bottom-up pose model of the reference suite: its shapes, and its decoder on maps drawn from the truth."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_lossy.data.base import Sample
from pytest_lossy.data.mini_pose import MiniPose
from pytest_lossy.tasks.pose import PoseTask

SPECS = Path(__file__).parents[3] / "model_specs"

CELL = 4
"""Pixels of the side of one cell of the maps."""

CLOSE = 0.375 * CELL
"""Pixels within which the peak of a Gaussian comes back, though those of two keypoints or the border may disturb it."""


def _module(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"reference_{name}", SPECS / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


pafnet, decoding = _module("pafnet"), _module("pafnet_decoding")


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Threads that wait for one another are slow where the processor is busy."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def training(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The training script; it imports its neighbours by name, as a script does."""
    monkeypatch.syspath_prepend(str(SPECS))
    monkeypatch.setitem(sys.modules, "pafnet", pafnet)
    monkeypatch.setitem(sys.modules, "pafnet_decoding", decoding)
    return _module("train_pafnet")


class _Fixed(torch.nn.Module):
    """A network that says the same of every picture."""

    def __init__(self, maps: torch.Tensor) -> None:
        super().__init__()
        self.maps = torch.nn.Parameter(maps)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.maps


def _maps(people: np.ndarray[Any, Any], size: tuple[int, int], spread: float = 4.0) -> torch.Tensor:
    """Logits and fields of (n, 17, 3) keypoints, drawn cell by cell as the paper defines them."""
    rows, columns = -(-size[0] // CELL), -(-size[1] // CELL)
    y, x = (np.mgrid[:rows, :columns] + 0.5) * CELL
    heat = np.full((17, rows, columns), 1e-6)
    fields = np.zeros((len(decoding.LIMBS), 2, rows, columns))
    for person in people:
        for keypoint, (px, py, seen) in enumerate(person):
            if seen:
                gaussian = np.exp(-((x - px) ** 2 + (y - py) ** 2) / (2 * spread**2))
                heat[keypoint] = np.maximum(heat[keypoint], gaussian)
        for field, (first, second) in zip(fields, decoding.LIMBS, strict=True):
            start, way = person[first, :2], person[second, :2] - person[first, :2]
            length = np.hypot(*way)
            if person[first, 2] and person[second, 2] and length >= CELL / 2:
                unit = way / length
                along = (x - start[0]) * unit[0] + (y - start[1]) * unit[1]
                aside = np.abs((x - start[0]) * unit[1] - (y - start[1]) * unit[0])
                field[:, (along >= -CELL / 2) & (along <= length + CELL / 2) & (aside <= 0.8 * spread)] = unit[:, None]
    heat = np.clip(heat, 1e-6, 1 - 1e-4)
    maps = np.concatenate([np.log(heat / (1 - heat)), fields.reshape(-1, rows, columns)])
    return torch.from_numpy(maps.astype(np.float32))[None]


def _standing(x: float, top: float, height: float) -> np.ndarray[Any, Any]:
    """Somebody upright and facing us, arms a little away from the body."""
    right_half = [(0.055, 0.2), (0.12, 0.36), (0.15, 0.5), (0.05, 0.5), (0.06, 0.74), (0.06, 0.96)]
    face = [(0.0, 0.1), (0.02, 0.08), (-0.02, 0.08), (0.04, 0.09), (-0.04, 0.09)]
    body = [(side * dx, dy) for dx, dy in right_half for side in (1, -1)]
    shape = np.array(face + body)
    return np.column_stack([x + height * shape[:, 0], top + height * shape[:, 1], np.full(17, 2.0)])


@pytest.mark.parametrize("size", [(1, 1), (17, 33), (64, 80)])
def test_maps_have_a_quarter_of_the_pictures_size_rounded_up(size: tuple[int, int]) -> None:
    network = pafnet.build().eval()
    with torch.inference_mode():
        maps = network(torch.zeros(2, 3, *size))
    assert maps.shape == (2, 17 + 2 * len(decoding.LIMBS), -(-size[0] // CELL), -(-size[1] // CELL))


def test_an_untrained_network_sees_no_keypoints() -> None:
    torch.manual_seed(3)
    network = pafnet.build().eval()
    with torch.inference_mode():
        probability = network(torch.zeros(1, 3, 64, 64))[:, :17].sigmoid()
    assert probability.mean().item() == pytest.approx(0.01, abs=0.005)


def test_padding_leaves_the_rest_of_the_picture_alone() -> None:
    """What lies far from the border comes out alike whether or not the picture needs padding."""
    torch.manual_seed(5)
    network = pafnet.build(widths=(4, 4, 4, 4)).eval()
    picture = torch.randn(1, 3, 1, 1).expand(1, 3, 160, 160).contiguous()
    with torch.inference_mode():
        whole, less = network(picture), network(picture[..., :155, :157])
    # A picture of one colour that repeats its border has the same maps at the top left whatever its size.
    torch.testing.assert_close(less[..., :20, :20], whole[..., :20, :20])


@pytest.mark.parametrize("arguments", [{"keypoints": 0}, {"limbs": 0}, {"widths": (8, 8, 8)}, {"widths": (8, 8, 0, 8)}])
def test_impossible_sizes_are_refused(arguments: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="must be positive"):
        pafnet.build(**arguments)


def test_perfect_maps_of_two_people_give_a_perfect_score() -> None:
    people = np.stack([_standing(40.3, 10.7, 90.0), _standing(75.6, 20.2, 70.0)])
    (found,) = decoding.decode(_maps(people, (120, 120)), [(120, 120)])
    assert found["keypoints"].shape == (2, 17, 3)
    ordered = found["keypoints"][np.argsort(found["keypoints"][:, 0, 0])]
    assert np.abs(ordered[..., :2] - people[..., :2]).max() < CLOSE
    boxes = np.concatenate([people[..., :2].min(axis=1), people[..., :2].max(axis=1)], axis=1)
    task = PoseTask()
    target = {"keypoints": people, "boxes": boxes}
    assert task.check(found, target) is None
    metrics = task.reduce([task.evidence(found, target)], np.ones((1, 1)))
    assert metrics["ap"][0] == pytest.approx(1.0)
    assert metrics["pck"][0] == 1.0


def test_rendered_people_are_told_apart() -> None:
    """Maps drawn from the mini world's labels, crowded streets and all, come back as its people."""
    data, task = MiniPose(MiniPose.Options(split="val", count=6)), PoseTask()
    evidence = []
    for index in range(len(data)):
        sample = data.load(index)
        target = sample.target
        wanted = (target["iscrowd"] == 0) & (target["num_keypoints"] > 0)
        size = sample.media.shape[:2]
        (found,) = decoding.decode(_maps(target["keypoints"][wanted], size), [size])
        assert task.check(found, target) is None
        evidence.append(task.evidence(found, target))
    metrics = task.reduce(evidence, np.ones((1, len(evidence))))
    assert metrics["ap50"][0] > 0.9
    assert metrics["ap"][0] > 0.85


def test_people_who_overlap_keep_their_own_limbs() -> None:
    """Two who walk towards each other with their arms crossed over: nearest neighbours would swap the wrists."""
    people = np.stack([_standing(50.0, 8.0, 100.0), _standing(72.0, 8.0, 100.0)])
    people[0, 9, :2], people[1, 10, :2] = (80.0, 60.0), (42.0, 66.0)  # a left and a right wrist reach across
    (found,) = decoding.decode(_maps(people, (120, 130)), [(120, 130)])
    ordered = found["keypoints"][np.argsort(found["keypoints"][:, 0, 0])]
    assert len(ordered) == 2
    assert np.abs(ordered[..., :2] - people[..., :2]).max() < CLOSE


def test_unseen_keypoints_are_assumed_without_confidence() -> None:
    person = _standing(60.0, 10.0, 100.0)
    person[[13, 14, 15, 16], 2] = 0  # the legs are hidden
    (found,) = decoding.decode(_maps(person[None], (130, 120)), [(130, 120)])
    assert found["keypoints"].shape == (1, 17, 3)
    assert (found["keypoints"][0, 13:, 2] == 0).all()
    assert (found["keypoints"][0, :13, 2] > 0.5).all()
    assert np.abs(found["keypoints"][0, 13:, :2] - person[13:, :2]).max() < 8
    assert found["scores"][0] < 13 / 17


def test_an_empty_street_has_nobody() -> None:
    (found,) = decoding.decode(_maps(np.zeros((0, 17, 3)), (31, 45)), [(31, 45)])
    assert found["keypoints"].shape == (0, 17, 3)
    assert found["scores"].shape == (0,)
    assert found["boxes"].shape == (0, 4)
    assert PoseTask().check(found, {"keypoints": np.zeros((0, 17, 3)), "boxes": np.zeros((0, 4))}) is None


def test_each_picture_of_a_batch_is_decoded_alone_and_alike() -> None:
    maps = torch.cat([_maps(_standing(40.0, 5.0, 80.0)[None], (90, 91)), _maps(np.zeros((0, 17, 3)), (90, 91))])
    first = decoding.decode(maps, [(90, 91)] * 2)
    again = decoding.decode(maps.flip(0), [(90, 91)] * 2)[::-1]
    assert [len(one["scores"]) for one in first] == [1, 0]
    for one, other in zip(first, again, strict=True):
        assert all(np.array_equal(one[name], other[name]) for name in one)


@settings(max_examples=30, deadline=None)
@given(column=st.floats(0.6, 18.4), row=st.floats(0.6, 10.4), spread=st.floats(0.8, 3.0))
def test_peaks_are_found_to_a_fraction_of_a_cell(column: float, row: float, spread: float) -> None:
    """A sampled Gaussian's top comes back within rounding: its logarithm is a parabola."""
    y, x = np.mgrid[:12, :20]
    value = np.clip(0.9 * np.exp(-((x - column) ** 2 + (y - row) ** 2) / (2 * spread**2)), 1e-12, None)
    peaks = decoding.find_peaks(np.log(value / (1 - value)))
    assert len(peaks) == 1
    assert peaks[0, 0] == pytest.approx(column, abs=1e-3)
    assert peaks[0, 1] == pytest.approx(row, abs=1e-3)


def test_noise_gives_well_formed_people() -> None:
    maps = torch.randn(1, 17 + 2 * len(decoding.LIMBS), 24, 32, generator=torch.Generator().manual_seed(7))
    (found,) = decoding.decode(maps, [(48, 64)])
    assert np.isfinite(found["keypoints"]).all()
    assert (found["scores"] <= 1).all()
    assert (found["boxes"][:, :2] >= 0).all()
    assert (found["boxes"][:, 2:] <= (64, 48)).all()


def test_training_targets_are_what_the_decoder_reads(training: ModuleType) -> None:
    """The vectorised targets of three people, one of whom has hidden legs, give those people back."""
    people = np.stack([_standing(30.0, 6.0, 60.0), _standing(60.0, 10.0, 80.0), _standing(112.0, 12.0, 75.0)])
    people[1, 13:, 2] = 0
    heights = torch.tensor([60.0, 80.0, 75.0])
    each, fields = training.targets(torch.from_numpy(people).float(), heights, (100, 140))
    expected = torch.stack(
        [
            _maps(person[None], (100, 140), max(training.LEAST_SPREAD, 0.04 * h))[0, :17].sigmoid()
            for person, h in zip(people, heights.tolist(), strict=True)
        ]
    )
    torch.testing.assert_close(each, expected, atol=2e-4, rtol=0)
    maps = torch.cat([torch.logit(each.amax(dim=0).clamp(1e-6, 1 - 1e-4)), fields.flatten(0, 1)])[None]
    (found,) = decoding.decode(maps, [(100, 140)])
    ordered = found["keypoints"][np.argsort(found["keypoints"][:, 0, 0])]
    seen = people[..., 2] > 0
    assert np.array_equal(ordered[..., 2] > 0, seen)
    assert np.abs(ordered[..., :2] - people[..., :2])[seen].max() < CLOSE


def test_keypoints_stay_on_their_pixels_in_every_crop(training: ModuleType) -> None:
    """Keypoint k is a square whose brightness says k: shifted, resized or mirrored, it must stay under its label."""
    size = (192, 256)
    points = np.array([(18.0 + 26 * (k % 9), 40.0 + 90 * (k // 9), 2.0) for k in range(17)])
    picture = np.zeros((*size, 3), np.uint8)
    for k, (x, y, _) in enumerate(points.astype(int)):
        picture[y - 5 : y + 5, x - 5 : x + 5] = 60 + 8 * k
    target = {
        "keypoints": points[None],
        "num_keypoints": np.array([17]),
        "iscrowd": np.array([0]),
        "boxes": np.array([[10.0, 20.0, 250.0, 150.0]]),
        "head_size": np.array([14.0]),
    }
    sample = Sample(id="one", media=picture, target=target)
    swapped = (0, 2, 1, 4, 3, 6, 5, 8, 7, 10, 9, 12, 11, 14, 13, 16, 15)
    mirrored = []
    for seed in range(40):
        pixels, moved, *_ = training.crop(sample, torch.Generator().manual_seed(seed))
        assert pixels.shape == (3, *training.CROP)
        seen: dict[int, float] = {}
        for k, (x, y, _) in enumerate(moved[0].tolist()):
            if 1 <= x < training.CROP[1] - 1 and 1 <= y < training.CROP[0] - 1:
                seen[k] = float(pixels[0, int(y), int(x)])
        if len(seen) < 3:
            continue
        plain = {k: value / (60 + 8 * k) for k, value in seen.items()}
        mirror = {k: value / (60 + 8 * swapped[k]) for k, value in seen.items()}
        spread = {name: np.ptp([*gains.values()]) for name, gains in (("plain", plain), ("mirror", mirror))}
        assert min(spread.values()) < 0.03
        if len(seen) > 6:  # fewer may look alike either way
            mirrored.append(spread["mirror"] < spread["plain"])
    assert len(mirrored) >= 10
    assert 0.2 < np.mean(mirrored) < 0.8


def test_the_loss_depends_on_its_generator_alone_and_prefers_the_truth(training: ModuleType) -> None:
    data = MiniPose(MiniPose.Options(split="val", count=2))
    samples = [data.load(0), data.load(1)]

    random = torch.Generator().manual_seed(4)
    crops = [training.crop(sample, random) for sample in samples]
    drawn = [training.targets(points, heights, training.CROP) for _, points, heights, _ in crops]
    truth = torch.stack(
        [torch.cat([torch.logit(h.amax(dim=0).clamp(1e-6, 1 - 1e-4)), f.flatten(0, 1)]) for h, f in drawn]
    )
    nothing = torch.cat([torch.full_like(truth[:, :17], -5.0), torch.zeros_like(truth[:, 17:])], dim=1)

    def loss(maps: torch.Tensor, seed: int) -> float:
        return float(training.loss(_Fixed(maps), samples, torch.Generator().manual_seed(seed)).detach())

    assert loss(truth, 4) == loss(truth, 4)
    assert loss(truth, 4) < loss(nothing, 4)
    assert loss(truth, 4) < loss(truth, 5)  # the truth of other crops
    untrue = truth.clone()
    untrue[:, 17:] *= -1  # limbs that point backwards
    assert loss(truth, 4) < loss(untrue, 4)


def test_a_crop_without_people_has_a_loss_that_silence_makes_small(training: ModuleType) -> None:
    empty = {
        "keypoints": np.zeros((0, 17, 3)), "num_keypoints": np.zeros(0, int), "iscrowd": np.zeros(0, int),
        "boxes": np.zeros((0, 4)), "head_size": np.zeros(0),
    }  # fmt: skip
    sample = Sample(id="none", media=np.zeros((192, 256, 3), np.uint8), target=empty)
    sizes = [side // CELL for side in training.CROP]

    def loss(logit: float) -> float:
        maps = torch.zeros(1, 17 + 2 * len(decoding.LIMBS), *sizes)
        maps[:, :17] = logit
        return float(training.loss(_Fixed(maps), [sample], torch.Generator().manual_seed(1)).detach())

    assert 0 < loss(-12.0) < loss(-3.0)


def _misplacement(training: ModuleType, people: np.ndarray[Any, Any], logits: torch.Tensor) -> float:
    points, heights = torch.from_numpy(people).float(), torch.full((len(people),), 90.0)
    each, _ = training.targets(points, heights, (120, 160))
    everybody = each.amax(dim=0).expand_as(each)
    return float(training.misplacement(logits.expand(len(people), -1, -1, -1), each, everybody, points, heights))


def _logits(training: ModuleType, people: np.ndarray[Any, Any]) -> torch.Tensor:
    """Of which each softmax is that person's Gaussians."""
    each, _ = training.targets(torch.from_numpy(people).float(), torch.full((len(people),), 90.0), (120, 160))
    return each.amax(dim=0).clamp(min=1e-9).log()


def test_keypoints_in_their_place_are_not_misplaced(training: ModuleType) -> None:
    people = np.stack([_standing(45.0, 10.0, 90.0), _standing(105.0, 14.0, 90.0)])
    truth = _logits(training, people)
    assert _misplacement(training, people, truth) == pytest.approx(0.0, abs=1e-3)
    # A softmax knows no level: what counts is the place.
    assert _misplacement(training, people, truth + 3) == pytest.approx(_misplacement(training, people, truth), abs=1e-5)


def test_left_and_right_exchanged_are_misplaced_and_half_each_is_too(training: ModuleType) -> None:
    people = _standing(60.0, 10.0, 90.0)[None]
    exchanged = people[:, training.FLIPPED]
    truth, mirrored = _logits(training, people), _logits(training, exchanged)
    both = torch.maximum(truth, mirrored)
    right, wrong, undecided = (_misplacement(training, people, maps) for maps in (truth, mirrored, both))
    assert right < undecided < wrong
    # Where the two places lie apart, half a probability at each costs the logarithm of 2.
    apart = people.copy()
    apart[:, [k for k in range(17) if k not in (9, 10)], 2] = 0
    assert _misplacement(training, apart, both) == pytest.approx(np.log(2), abs=0.02)


def test_unlabelled_keypoints_cannot_be_misplaced(training: ModuleType) -> None:
    person = _standing(60.0, 10.0, 90.0)
    person[5:, 2] = 0
    truth, noise = _logits(training, person[None]), torch.randn(17, 30, 40, generator=torch.Generator().manual_seed(2))
    noise[:5] = truth[:5]
    assert _misplacement(training, person[None], noise) == pytest.approx(0.0, abs=1e-3)
    nobody = np.concatenate([person[:, :2], np.zeros((17, 1))], axis=1)[None]
    assert _misplacement(training, nobody, noise) == 0.0
