"""The depth model of the reference suite: generator, discriminator, their losses, their game and the shipped weights."""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import math
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML
from safetensors.torch import load_file

from pytest_lossy.data.base import Sample
from pytest_lossy.data.mini_depth import MiniDepth
from pytest_lossy.models.declaration import OutputSection
from pytest_lossy.models.depth_maps import DepthMaps
from pytest_lossy.models.preprocessing import Placement
from pytest_lossy.retrain.loop import Schedule
from pytest_lossy.retrain.weights import save_half
from pytest_lossy.tasks.depth import DepthTask

SPECS = Path(__file__).parents[3] / "model_specs"
WEIGHTS = SPECS / "weights" / "depth-gan-mini.safetensors"
SMALL = (4, 6, 8)


@pytest.fixture(scope="module")
def script() -> Iterator[ModuleType]:
    """``train_depth_gan.py`` as Python runs it: with its own folder first on the path."""
    sys.path.insert(0, str(SPECS))
    try:
        spec = importlib.util.spec_from_file_location("lossy_train_depth_gan", SPECS / "train_depth_gan.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        yield module
    finally:
        sys.path.remove(str(SPECS))
        sys.modules.pop("depth_gan", None)


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def street(index: int, height: int = 64, width: int = 64) -> Sample:
    """Noise above a plane: sky without depth in the upper rows."""
    random = np.random.default_rng(index)
    depth = np.repeat(30.0 / np.arange(1, height + 1)[:, None], width, axis=1).astype(np.float32)
    depth[: height // 4] = 0
    return Sample(f"street-{index}", random.integers(0, 256, (height, width, 3), dtype=np.uint8), depth)


class Streets:
    """A data set of :func:`street` that answers to ``MiniDepth``'s way of building it."""

    Options = MiniDepth.Options

    def __init__(self, options: object) -> None:
        del options

    def __len__(self) -> int:
        return 20

    def load(self, index: int) -> Sample:
        return street(index)

    def fingerprint(self) -> str:
        return "streets"


class TestGenerator:
    @pytest.mark.parametrize("size", [(32, 48), (33, 47), (1, 1), (17, 64), (192, 256), (50, 5)])
    def test_any_input_size_gives_usable_metres(self, script: ModuleType, size: tuple[int, int]) -> None:
        model = script.build().eval()
        with torch.no_grad():
            depth = model(torch.randn(2, 3, *size) * 20)
        assert depth.shape == (2, 1, *size)
        assert depth.dtype == torch.float32
        assert 0.3 - 1e-6 <= depth.min() <= depth.max() <= 400 + 1e-3

    def test_half_precision_arithmetic_still_gives_single(self, script: ModuleType) -> None:
        with torch.autocast("cpu", torch.bfloat16):
            assert script.build(SMALL)(torch.randn(2, 3, 16, 16)).dtype == torch.float32

    def test_equal_seeds_build_equal_networks(self, script: ModuleType) -> None:
        image, depths = torch.randn(1, 3, 40, 40), []
        for _ in range(2):
            torch.manual_seed(3)
            with torch.no_grad():
                depths.append(script.build(SMALL).eval()(image))
        assert torch.equal(*depths)

    def test_gradients_reach_every_weight(self, script: ModuleType) -> None:
        torch.manual_seed(0)
        model = script.build()
        model(torch.randn(2, 3, 64, 48)).log().abs().sum().backward()
        for name, parameter in model.named_parameters():
            assert parameter.grad is not None, name
            assert torch.isfinite(parameter.grad).all(), name
            assert parameter.grad.abs().sum() > 0, name

    def test_every_pixel_counts_everywhere(self, script: ModuleType) -> None:
        torch.manual_seed(0)
        model = script.build().eval()
        image = torch.randn(1, 3, 192, 256, requires_grad=True)
        model(image)[0, 0, 191, 255].backward()
        assert image.grad is not None
        assert (image.grad[0].abs().sum(0) > 0).float().mean() > 0.9  # through the summary of the whole picture

    def test_places_are_centres_of_blocks(self, script: ModuleType) -> None:
        height, width = 6, 10
        places = sys.modules["depth_gan"]._places(torch.zeros(1, 1, 4, 6), height, width)[0].numpy()
        columns = (np.arange(width) + 0.5) / width * 2 - 1
        rows = (np.arange(height) + 0.5) / height * 2 - 1
        np.testing.assert_allclose(places[0, 0, :5], columns.reshape(5, 2).mean(1), atol=1e-6)
        np.testing.assert_allclose(places[1, :3, 0], rows.reshape(3, 2).mean(1), atol=1e-6)
        assert places[0, 0, 5] > 1  # padding continues the ramp

    @pytest.mark.parametrize("widths", [(), (8,), (8, 0)])
    def test_bad_widths(self, script: ModuleType, widths: tuple[int, ...]) -> None:
        with pytest.raises(ValueError, match="positive"):
            script.build(widths)


class TestDiscriminator:
    def test_a_score_sees_seventy_pixels(self, script: ModuleType) -> None:
        torch.manual_seed(0)
        judge = script.Discriminator().eval()
        image = torch.randn(1, 3, 160, 160, requires_grad=True)
        scores = judge(image, torch.randn(1, 1, 160, 160), torch.ones(1, 1, 160, 160))
        scores[0, 0, scores.shape[2] // 2, scores.shape[3] // 2].backward()
        assert image.grad is not None
        seen = image.grad[0].abs().sum(0) > 0
        assert seen.any(0).sum() == seen.any(1).sum() == 70

    def test_unknown_pixels_are_not_judged(self, script: ModuleType) -> None:
        judge = script.Discriminator().eval()
        image, depth = torch.randn(1, 3, 64, 64), torch.randn(1, 1, 64, 64)
        known = (torch.rand(1, 1, 64, 64) < 0.5).float()
        with torch.no_grad():
            one, two = (judge(image, depth + shift * (1 - known), known) for shift in (0.0, 5.0))
            other = judge(image, depth + 5.0 * known, known)
        assert torch.equal(one, two)
        assert not torch.equal(one, other)


class TestLosses:
    @given(st.floats(0.1, 9.0), st.integers(0, 99))
    @settings(max_examples=20, deadline=None)
    def test_a_wrong_scale_costs_its_logarithm(self, script: ModuleType, scale: float, seed: int) -> None:
        truth = torch.rand(2, 1, 12, 16, generator=torch.Generator().manual_seed(seed)) * 50 + 1
        truth[:, :, :4] = 0
        value = script.reconstruction((truth.clamp(min=1) * scale).log(), truth)
        assert value.item() == pytest.approx(abs(math.log(scale)), abs=1e-5)

    def test_the_sum_of_its_definition(self, script: ModuleType) -> None:
        random = np.random.default_rng(0)
        truth = random.uniform(1, 60, (2, 1, 9, 11)) * (random.random((2, 1, 9, 11)) < 0.8)
        guess = random.normal(2, 1, truth.shape)
        known = truth > 0
        error = guess - np.log(np.where(known, truth, 1))
        expected = np.abs(error[known]).mean()
        for step in (1, 2, 4):
            e, k = error[..., ::step, ::step], known[..., ::step, ::step]
            for axis in (2, 3):
                both = np.logical_and(*(np.take(k, np.arange(k.shape[axis] - 1) + lag, axis) for lag in (0, 1)))
                expected += script.SMOOTHNESS / 3 * np.abs(np.diff(e, axis=axis))[both].mean()
        value = script.reconstruction(torch.from_numpy(guess), torch.from_numpy(truth))
        assert value.item() == pytest.approx(expected, rel=1e-5)

    def test_nothing_known_costs_nothing(self, script: ModuleType) -> None:
        assert script.reconstruction(torch.randn(1, 1, 8, 8), torch.zeros(1, 1, 8, 8)).item() == 0

    def test_augmentation_draws_from_its_generator_alone(self, script: ModuleType) -> None:
        samples = [street(index) for index in range(8)]
        network = script.build(SMALL).eval()
        first = script.loss(network, samples, torch.Generator().manual_seed(1))
        torch.rand(5)
        assert torch.equal(first, script.loss(network, samples, torch.Generator().manual_seed(1)))
        assert not torch.equal(first, script.loss(network, samples, torch.Generator().manual_seed(2)))

    def test_flips_take_the_depth_along(self, script: ModuleType) -> None:
        ramp = np.tile(np.arange(1, 9, dtype=np.uint8), (4, 1))
        samples = [Sample(str(k), np.repeat(ramp[..., None], 3, 2), ramp.astype(np.float32)) for k in range(16)]
        images, depth = script.augmented(samples, torch.Generator().manual_seed(0), torch.device("cpu"))
        flipped = depth[:, 0, 0, 0] == 8
        assert flipped.any()
        assert not flipped.all()
        assert torch.equal(images[:, 0, 0, 0] > images[:, 0, 0, -1], flipped)


class TestGame:
    def test_the_second_player_joins_late_and_is_trusted_later(self, script: ModuleType) -> None:
        players = script.Players(Schedule(1000), Schedule(500), 0.5, "cpu")
        weights = [players.weight_at(iteration) for iteration in range(1500)]
        assert max(weights[:751]) == 0 < weights[751]
        assert weights == sorted(weights)
        assert weights[775] == pytest.approx(0.5 * script.BEGINNER / 2)
        assert weights[800] == weights[1300] == pytest.approx(0.5 * script.BEGINNER)
        assert weights[1351] == weights[-1] == pytest.approx(0.5 * script.EXPERT)

    def test_the_rate_restarts_warm(self, script: ModuleType) -> None:
        players = script.Players(Schedule(100, 4e-3), Schedule(50, 2e-3), 1.0, "cpu")
        rates = [players.rate_at(iteration) for iteration in range(150)]
        assert (max(rates[:100]), max(rates[100:])) == pytest.approx((4e-3, 2e-3))
        assert rates[99] < 1e-5 < rates[100]
        assert rates[-1] < 1e-4 * 2

    def test_who_moves_when(self, script: ModuleType) -> None:
        players = script.Players(Schedule(100), Schedule(50), 1.0, "cpu")
        samples = [street(index) for index in range(4)]

        def moved(iteration: int) -> list[bool]:
            before = [[p.detach().clone() for p in part.parameters()] for part in parts]
            players.step(iteration, samples)
            pairs = [zip(old, part.parameters(), strict=True) for old, part in zip(before, parts, strict=True)]
            return [any(not torch.equal(old, new) for old, new in pair) for pair in pairs]

        parts = (players.generator, players.discriminator)
        assert moved(10) == [True, False]
        assert moved(90) == [True, True]

    def test_persuasion_changes_the_generators_move(self, script: ModuleType) -> None:
        moves = []
        for adversarial in (0.0, 1.0):
            players = script.Players(Schedule(100), Schedule(50), adversarial, "cpu")
            # In all weights: bfloat16 may round a small part of a gradient away, and Adam's first step is
            # the sign of each gradient, which a few of them alone need not change.
            players.step(140, [street(index) for index in range(4)])
            moves.append(torch.cat([weight.detach().flatten() for weight in players.generator.parameters()]))
        assert not torch.equal(*moves)

    def test_a_resumed_run_ends_where_a_whole_one_does(
        self, script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(script, "MiniDepth", Streets)
        monkeypatch.setattr(script, "CHECKPOINT_EVERY", 6)
        monkeypatch.setattr(script, "BATCH", 2)

        def options(name: str) -> argparse.Namespace:
            out = tmp_path / f"{name}.safetensors"
            return argparse.Namespace(out=out, iterations=5, restart=3, adversarial=1.0, seed=1, device="cpu")

        whole = script.train(options("whole")).state_dict()
        real, calls = script.Players.step, []

        def interrupted(self: object, iteration: int, samples: object) -> object:
            calls.append(iteration)
            if len(calls) == 8:
                raise KeyboardInterrupt
            return real(self, iteration, samples)

        monkeypatch.setattr(script.Players, "step", interrupted)
        with pytest.raises(KeyboardInterrupt):
            script.train(options("resumed"))
        assert (tmp_path / "resumed.checkpoint").exists()
        resumed = script.train(options("resumed")).state_dict()
        assert calls == [0, 1, 2, 3, 4, 5, 6, 7, 6, 7]  # the game is on from 4: its state came back too
        for name, tensor in whole.items():
            assert torch.equal(tensor, resumed[name]), name

    def test_the_generator_alone_is_shipped(self, script: ModuleType, tmp_path: Path) -> None:
        players = script.Players(Schedule(10), Schedule(5), 1.0, "cpu")
        save_half(players.generator, tmp_path / "weights.safetensors")
        assert load_file(tmp_path / "weights.safetensors").keys() == script.build().state_dict().keys()


def test_true_depth_scores_perfectly(tmp_path: Path) -> None:
    sample = MiniDepth(MiniDepth.Options(split="test", count=1), cache=tmp_path).load(0)
    size = sample.target.shape
    output = torch.from_numpy(sample.target)[None, None].clamp(min=0.3)
    (depth,) = DepthMaps(OutputSection())(output, [Placement(size, size, size)])
    task = DepthTask()
    assert task.check(depth, sample.target) is None
    metrics = task.reduce([task.evidence(depth, sample.target)], np.ones((1, 1)))
    assert metrics["delta1"][0] == 1
    assert metrics["abs_rel"][0] == 0


class TestWeights:
    def test_strict_match_and_digest(self, script: ModuleType) -> None:
        state = load_file(WEIGHTS)
        script.build().load_state_dict(state, strict=True)
        assert all(t.dtype == torch.float16 for t in state.values() if t.is_floating_point())
        assert all(torch.isfinite(t).all() for t in state.values())
        assert WEIGHTS.stat().st_size < 4_000_000
        declared = YAML(typ="safe").load(SPECS / "depth-gan-mini.yaml")["model"]["sha256"]
        assert hashlib.sha256(WEIGHTS.read_bytes()).hexdigest() == declared
