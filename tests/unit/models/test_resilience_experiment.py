"""The controlled experiment on decoders: its networks, its training script, its specs and its shipped weights."""

from __future__ import annotations

import hashlib
import importlib.util
import itertools
import shutil
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import nn
from torch.nn import functional

from pytest_lossy.data.base import Sample
from pytest_lossy.data.mini.segmentation import MiniSegmentation
from pytest_lossy.data.mini_depth import MiniDepth
from pytest_lossy.specs.index import find_specs, index_specs

ROOT = Path(__file__).parents[3]
FOLDER = ROOT / "model_specs" / "resilience"


@pytest.fixture(scope="module")
def script() -> Iterator[ModuleType]:
    """``train.py`` as Python runs it: with its own folder first on the path."""
    sys.path.insert(0, str(FOLDER))
    try:
        spec = importlib.util.spec_from_file_location("resilience_train", FOLDER / "train.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules["resilience_train"] = module  # where dataclasses look their annotations up
        spec.loader.exec_module(module)
        yield module
    finally:
        sys.path.remove(str(FOLDER))
        sys.modules.pop("networks", None)
        sys.modules.pop("resilience_train", None)


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def parameters(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def arms(script: ModuleType, task: str) -> dict[str, nn.Module]:
    return {arm: script.Network(task, arm, 1).build().eval() for arm in script.ARMS}


def sample(seed: int = 0, task: str = "seg") -> Sample:
    """A frame whose target tells its place: labels by columns, depth that grows by rows."""
    random = np.random.default_rng(seed)
    media = random.integers(0, 256, (192, 256, 3), dtype=np.uint8)
    columns, rows = np.arange(256) // 64, np.arange(1, 193, dtype=np.float32)
    target = np.tile(columns.astype(np.uint8), (192, 1)) if task == "seg" else np.repeat(rows[:, None], 256, axis=1)
    return Sample(id=str(seed), media=media, target=target)


class TestNetworks:
    @pytest.mark.parametrize("size", [(32, 48), (33, 47), (1, 1), (17, 64), (192, 256), (50, 5)])
    @pytest.mark.parametrize(("task", "channels"), [("seg", 11), ("depth", 1)])
    def test_any_input_size(self, script: ModuleType, task: str, channels: int, size: tuple[int, int]) -> None:
        images = torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(0))
        for network in arms(script, task).values():
            with torch.inference_mode():
                answer = network(images)
            assert answer.shape == (2, channels, *size)
            assert torch.isfinite(answer).all()
            if task == "depth":
                assert answer.min() > 0.2999
                assert answer.max() < 400.01

    @pytest.mark.parametrize("task", ["seg", "depth"])
    def test_the_arms_are_of_like_size(self, script: ModuleType, task: str) -> None:
        one, two = (parameters(network) for network in arms(script, task).values())
        assert min(one, two) > 150_000
        assert max(one, two) < 220_000
        assert max(one, two) / min(one, two) < 1.1

    def test_the_dilated_arm_has_one_resolution_and_no_skips(self, script: ModuleType) -> None:
        """Each layer of its body takes what the one before gave, at a quarter of the picture's resolution."""
        network = script.Network("seg", "dilated", 1).build().eval()
        seen: list[tuple[Any, Any]] = []
        for layer in network.body:
            layer.register_forward_hook(lambda _, given, taken: seen.append((given, taken)))
        with torch.inference_mode():
            network(torch.randn(1, 3, 64, 96))
        assert {tuple(taken.shape[-2:]) for _, taken in seen} == {(16, 24)}
        for (_, before), ((given,), _) in itertools.pairwise(seen):
            assert given is before

    @pytest.mark.parametrize("task", ["seg", "depth"])
    def test_a_seed_draws_the_weights(self, script: ModuleType, task: str) -> None:
        for arm in script.ARMS:
            one, again, other = (script.Network(task, arm, seed).build().state_dict() for seed in (1, 1, 2))
            assert all(torch.equal(one[name], again[name]) for name in one)
            assert not all(torch.equal(one[name], other[name]) for name in one)

    @pytest.mark.parametrize("task", ["seg", "depth"])
    def test_gradients_reach_every_layer(self, script: ModuleType, task: str) -> None:
        loss = script.depth_loss if task == "depth" else script.segmentation_loss(torch.ones(11))
        for network in arms(script, task).values():
            loss(network.train(), [sample(1, task), sample(2, task)], torch.Generator().manual_seed(1)).backward()
            for name, parameter in network.named_parameters():
                assert parameter.grad is not None, name
                assert torch.isfinite(parameter.grad).all(), name
                assert parameter.grad.abs().sum() > 0, name

    def test_what_it_is_told_of_its_place_is_the_whole_pictures(self, script: ModuleType) -> None:
        where = script.places(4, 8)
        assert where.shape == (2, 4, 8)
        np.testing.assert_allclose(where[0, 0].numpy(), np.arange(-7, 8, 2) / 8)
        np.testing.assert_allclose(where[1, :, 3].numpy(), np.arange(-3, 4, 2) / 4)
        image = torch.randn(1, 3, 32, 48)
        for network in arms(script, "seg").values():
            with torch.inference_mode():
                assert torch.equal(network(image), network(image, script.places(32, 48)[None]))
                assert not torch.equal(network(image), network(image, script.places(64, 48)[None, :, 32:]))

    @pytest.mark.parametrize(
        ("build", "arguments"),
        [
            ("encoder_decoder", {"num_classes": 0}),
            ("encoder_decoder", {"widths": (8,)}),
            ("encoder_decoder", {"widths": (8, 0)}),
            ("dilated", {"num_classes": 0}),
            ("dilated", {"width": 0}),
            ("dilated", {"dilations": ()}),
            ("dilated", {"dilations": (1, 0)}),
        ],
    )
    def test_bad_arguments(self, script: ModuleType, build: str, arguments: dict[str, Any]) -> None:
        with pytest.raises(ValueError, match="must be positive"):
            getattr(script, build)(**arguments)


class TestTraining:
    def test_parts_keep_their_places_and_targets(self, script: ModuleType) -> None:
        """Media whose red tells the column: target and place follow it, in mirrored parts too."""
        media = np.zeros((192, 256, 3), np.uint8)
        media[:] = np.arange(256, dtype=np.uint8)[None, :, None]
        ramp = Sample(id="ramp", media=media, target=media[:, :, 0].copy())
        images, where, targets = script.augmented([ramp] * 40, torch.Generator().manual_seed(3))
        assert images.shape == (40, 3, *script.CROP)
        assert where.shape == (40, 2, *script.CROP)
        assert targets.shape == (40, *script.CROP)
        mirrored = targets[:, 0, 0] > targets[:, 0, -1]
        assert mirrored.any()
        assert not mirrored.all()
        columns = (where[:, 0] + 1) * 128 - 0.5  # in the picture as it was shown, mirrored or not
        shown = torch.where(mirrored[:, None, None], 255 - targets.float(), targets.float())
        torch.testing.assert_close(columns, shown, atol=1e-3, rtol=0)
        gains = (images[:, 0] * script.STD[0] + script.MEAN[0]) * 255 / targets.clamp(min=1)
        for gain, target in zip(gains, targets, strict=True):
            kept = gain[(target > 0) & (target < 200)]  # the brightest are clipped
            assert kept.min() >= 1 - script.GAIN - 1e-3
            assert kept.max() <= 1 + script.GAIN + 1e-3
            assert kept.max() - kept.min() < 1e-3

    def test_perfect_answers_cost_nothing(self, script: ModuleType) -> None:
        class Oracle(nn.Module):
            def forward(self, images: torch.Tensor, where: torch.Tensor) -> torch.Tensor:
                if self.classes:
                    labels = ((where[:, 0] + 1) * 2).long()
                    mirrored = torch.stack(
                        [3 - label if flip else label for label, flip in zip(labels, self.flips, strict=True)]
                    )
                    return functional.one_hot(mirrored, 11).permute(0, 3, 1, 2) * 100.0
                return ((where[:, 1:] + 1) * 96 + 0.5) * self.scale

        oracle = Oracle()
        oracle.classes, oracle.scale = 0, 1.0
        samples = [sample(seed, "depth") for seed in range(4)]
        assert script.depth_loss(oracle, samples, torch.Generator().manual_seed(1)) < 1e-4
        oracle.scale = np.e  # one unit of log depth everywhere, and no error in its gradients
        value = script.depth_loss(oracle, samples, torch.Generator().manual_seed(1))
        assert value.item() == pytest.approx(1, abs=1e-4)
        oracle.classes = 11
        oracle.flips = [
            bool(targets[0, 0] > targets[0, -1])
            for targets in script.augmented([sample(seed) for seed in range(4)], torch.Generator().manual_seed(1))[2]
        ]
        loss = script.segmentation_loss(torch.ones(11))
        assert loss(oracle, [sample(seed) for seed in range(4)], torch.Generator().manual_seed(1)) < 1e-4

    def test_unknown_pixels_cost_nothing(self, script: ModuleType) -> None:
        class Constant(nn.Module):
            def forward(self, images: torch.Tensor, where: torch.Tensor) -> torch.Tensor:
                return torch.where(where[:, 1:] < 0, 3.0, 7.0)

        known = np.full((192, 256), 7.0, np.float32)
        known[:96] = 0
        half = Sample(id="half", media=np.zeros((192, 256, 3), np.uint8), target=known)
        assert script.depth_loss(Constant(), [half], torch.Generator().manual_seed(1)) < 1e-6
        nothing = Sample(id="none", media=half.media, target=np.full((192, 256), 255, np.uint8))
        labelled = Sample(id="some", media=half.media, target=np.zeros((192, 256), np.uint8))
        loss = script.segmentation_loss(torch.ones(2))

        class Zero(nn.Module):
            def forward(self, images: torch.Tensor, where: torch.Tensor) -> torch.Tensor:
                return (
                    functional.one_hot(torch.zeros(images[:, 0].shape, dtype=torch.long), 2).permute(0, 3, 1, 2) * 9.0
                )

        pair = [nothing, labelled]
        assert loss(Zero(), pair, torch.Generator().manual_seed(1)).item() == pytest.approx(
            np.log1p(np.exp(-9.0)), 1e-3
        )

    def test_class_weights(self, script: ModuleType) -> None:
        labels = np.zeros((2, 10, 10), np.uint8)
        labels[0, :2] = 1  # a fifth of the one image that holds it
        labels[1, :, 5:] = 2
        # Frequencies 130/200, 20/100, 50/100: the median is class 2's.
        expected = np.sqrt(0.5 / np.array([0.65, 0.2, 0.5]))
        np.testing.assert_allclose(script.class_weights(labels, 3).numpy(), expected, rtol=1e-6)

    def test_the_command(
        self, script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """Two iterations of one network: weights, digest in the spec, scores; the same bits again; nothing else."""
        few = MiniSegmentation("train", 3, cache=tmp_path / "cache")
        monkeypatch.setattr(script, "data_of", lambda task, split: few)
        monkeypatch.setattr(script, "loss_of", lambda task: script.segmentation_loss(torch.ones(11)))
        monkeypatch.setattr(script, "HERE", tmp_path)
        monkeypatch.setattr(script, "BATCH", 2)
        monkeypatch.setattr(script, "CROP", (48, 64))
        monkeypatch.setattr(script, "QUALITIES", (10,))
        name = "resilience-seg-dilated.s2"
        shutil.copy(FOLDER / f"{name}.yaml", tmp_path)
        script.main(["*-seg-dilated.s2", "--iterations", "2"])
        weights = tmp_path / "weights" / f"{name}.safetensors"
        digest = hashlib.sha256(weights.read_bytes()).hexdigest()
        assert f'  sha256: "{digest}"\n' in (tmp_path / f"{name}.yaml").read_text()
        assert [path.name for path in weights.parent.iterdir()] == [weights.name]
        assert "val clean: miou" in capsys.readouterr().out
        script.main([name, "--iterations", "2", "--out", str(tmp_path / "again")])
        assert (tmp_path / "again" / weights.name).read_bytes() == weights.read_bytes()
        before = weights.stat()
        script.main([name, "--missing", "--iterations", "2"])
        assert weights.stat() == before

    def test_no_such_network(self, script: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
        with pytest.raises(SystemExit):
            script.main(["resilience-pose-*"])
        assert "no network matches resilience-pose-*; there are resilience-seg-encdec.s1" in capsys.readouterr().err

    def test_a_spec_without_its_line_is_not_touched(self, script: ModuleType, tmp_path: Path) -> None:
        spec = tmp_path / "net.yaml"
        spec.write_text("model: {sha256: 'abc'}\n")
        with pytest.raises(ValueError, match=r"net.yaml: found 0 lines"):
            script.write_digest(spec, "0" * 64)
        assert spec.read_text() == "model: {sha256: 'abc'}\n"


class TestSpecs:
    def test_two_tasks_two_arms_three_seeds(self, script: ModuleType) -> None:
        specs = index_specs(find_specs(FOLDER), ROOT)
        assert {spec.name for spec in specs} == {network.name for network in script.NETWORKS}
        places = [(spec.spec.experiment.name, spec.spec.experiment.arm) for spec in specs if spec.spec.experiment]
        assert set(Counter(places).values()) == {3}
        assert len(Counter(places)) == 4
        by_name = {network.name: network for network in script.NETWORKS}
        for spec in specs:
            network, place = by_name[spec.name], spec.spec.experiment
            assert place is not None
            assert place.seed == network.seed
            assert place.name == {"seg": "segmentation-decoder", "depth": "depth-decoder"}[network.task]
            assert place.arm == {"encdec": "encoder-decoder", "dilated": "dilated"}[network.arm]
            assert spec.spec.tags == ("controlled",)

    def test_within_an_experiment_nothing_but_the_arm_differs(self) -> None:
        for task in ("seg", "depth"):
            specs = index_specs(sorted(FOLDER.glob(f"resilience-{task}-*.yaml")), ROOT)
            shared = [(s.spec.task, s.spec.data, s.plans, s.spec.batch_size, s.spec.model.input) for s in specs]
            assert len(specs) == 6
            assert all(one == shared[0] for one in shared)

    def test_weights_belong_to_their_specs(self, script: ModuleType) -> None:
        total = 0
        for spec in index_specs(find_specs(FOLDER), ROOT):
            model = spec.spec.model
            assert model.weights is not None
            path = FOLDER / model.weights
            total += path.stat().st_size
            assert path.stat().st_size < 500_000
            assert hashlib.sha256(path.read_bytes()).hexdigest() == model.sha256
            state = load_file(path)
            function = {"./networks.py:encoder_decoder": "encoder_decoder", "./networks.py:dilated": "dilated"}
            network = getattr(script, function[str(model.torch)])(**model.kwargs)
            network.load_state_dict(state, strict=True)
            assert all(t.dtype == torch.float16 for t in state.values() if t.is_floating_point())
            assert all(torch.isfinite(t).all() for t in network.state_dict().values() if t.is_floating_point())
        assert total < 5_000_000

    @pytest.mark.parametrize(("task", "metric"), [("seg", "miou"), ("depth", "delta1")])
    def test_they_answer_far_better_than_a_constant(
        self, script: ModuleType, tmp_path: Path, task: str, metric: str
    ) -> None:
        """The constant is the one that suits the very frames that are scored: their commonest class, their median depth."""
        data = MiniSegmentation("test", 6, cache=tmp_path)
        if task == "depth":
            data = MiniDepth(MiniDepth.Options(split="test", count=6), cache=tmp_path)
        targets = np.stack([data.load(index).target for index in range(len(data))])

        class Constant(nn.Module):
            def forward(self, images: torch.Tensor) -> torch.Tensor:
                shape = (len(images), *images.shape[-2:])
                if task == "depth":
                    return torch.full(shape, float(np.median(targets[targets > 0])))[:, None]
                commonest = int(np.bincount(targets[targets < 255]).argmax())
                return functional.one_hot(torch.full(shape, commonest), 11).permute(0, 3, 1, 2).float()

        constant = script.score(Constant(), task, data, None)[metric]
        assert constant > 0
        for network in script.NETWORKS:
            if network.task == task and network.seed == 1:
                module = network.build()
                module.load_state_dict(load_file(FOLDER / "weights" / f"{network.name}.safetensors"))
                clean = script.score(module, task, data, None)[metric]
                assert clean > 1.3 * constant, (network.name, clean, constant)
                if (
                    task == "seg"
                ):  # depth hardly reacts to compression on so few frames: ground-plane geometry carries it
                    assert script.score(module, task, data, 4)[metric] < 0.9 * clean
