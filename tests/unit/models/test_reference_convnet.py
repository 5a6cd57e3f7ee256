"""The classifier of the reference suite: shapes, its loss and its shipped weights."""

from __future__ import annotations

import importlib.util
import math
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from pytest_lossy.data.base import Sample
from pytest_lossy.data.mini_classification import MiniClassification
from pytest_lossy.tasks.classification import ClassificationTask

SPECS = Path(__file__).parents[3] / "model_specs"
WEIGHTS = SPECS / "weights" / "convnet-mini.safetensors"


@pytest.fixture(scope="module")
def script() -> Iterator[ModuleType]:
    """``train_convnet.py`` as Python runs it: with its own folder first on the path."""
    sys.path.insert(0, str(SPECS))
    try:
        spec = importlib.util.spec_from_file_location("reference_train_convnet", SPECS / "train_convnet.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        yield module
    finally:
        sys.path.remove(str(SPECS))
        sys.modules.pop("convnet", None)


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def _ramp(label: int) -> Sample:
    """Brightness of 100 and more that grows from left to right by one a pixel."""
    media = np.broadcast_to(np.arange(100, 132, dtype=np.uint8)[None, :, None], (24, 32, 3)).copy()
    return Sample(id="ramp", media=media, target=label)


class _Recorder(torch.nn.Module):
    """Keeps what it is trained with, and gives class 0 all the probability."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(()))
        self.seen: list[Tensor] = []

    def forward(self, images: Tensor) -> Tensor:
        self.seen += list(images)
        return torch.nn.functional.one_hot(torch.zeros(len(images), dtype=torch.long), 14) * 50.0 * self.weight


class TestNetwork:
    @pytest.mark.parametrize("size", [(96, 96), (33, 47), (1, 1), (200, 50)])
    def test_any_input_size(self, script: ModuleType, size: tuple[int, int]) -> None:
        network = script.build(num_classes=5).eval()
        with torch.inference_mode():
            assert network(torch.randn(2, 3, *size)).shape == (2, 5)

    @pytest.mark.parametrize("arguments", [{"num_classes": 0}, {"widths": ()}, {"widths": (8, 0)}])
    def test_bad_arguments(self, script: ModuleType, arguments: dict[str, Any]) -> None:
        with pytest.raises(ValueError, match="must be positive"):
            script.build(**arguments)

    def test_gradients_reach_every_layer(self, script: ModuleType) -> None:
        torch.manual_seed(0)
        network = script.build().train()
        script.loss(network, [_ramp(0), _ramp(9)], torch.Generator().manual_seed(1)).backward()
        for name, parameter in network.named_parameters():
            assert parameter.grad is not None, name
            assert torch.isfinite(parameter.grad).all(), name
            assert parameter.grad.abs().sum() > 0, name


class TestLoss:
    def test_a_mirrored_turn_is_the_other_turn(self, script: ModuleType) -> None:
        """What is certain of class 0 pays for every other class; digits are never mirrored."""
        names = MiniClassification(MiniClassification.Options()).classes
        assert [names[label] for label in script.MIRRORED] == [names[4], names[5], *names[6:]]
        assert (names[4], names[5]) == ("turn-left", "turn-right")
        assert all(script.MIRRORED[script.MIRRORED[label]] == label for label in script.MIRRORED)
        for label in range(14):
            recorder = _Recorder()
            script.loss(recorder, [_ramp(label)] * 24, torch.Generator().manual_seed(label))
            mirrored = {bool(image[0, 12, 0] > image[0, 12, -1]) for image in recorder.seen}
            assert mirrored == ({True, False} if label in script.MIRRORED else {False}), names[label]

    def test_labels_follow_the_mirror(self, script: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
        targets: list[int] = []

        def kept(scores: Tensor, labels: Tensor, **options: float) -> Tensor:
            targets.extend(labels.tolist())
            return scores.sum()

        monkeypatch.setattr(script.functional, "cross_entropy", kept)
        recorder = _Recorder()
        script.loss(recorder, [_ramp(4), _ramp(5), _ramp(2), _ramp(13)] * 6, torch.Generator().manual_seed(5))
        for place, (image, target) in enumerate(zip(recorder.seen, targets, strict=True)):
            mirrored = bool(image[0, 12, 0] > image[0, 12, -1])
            assert target == ((5, 4, 2, 13) if mirrored else (4, 5, 2, 13))[place % 4]

    def test_pictures_move_and_change_brightness_within_limits(self, script: ModuleType) -> None:
        recorder = _Recorder()
        script.loss(recorder, [_ramp(0)] * 60, torch.Generator().manual_seed(2))
        mean, std = script.MEAN[0], script.STD[0]
        middles = []
        for image in recorder.seen:
            row = (image[0, 12] * std + mean) * 255
            gain = float(row.diff().max())  # one level a pixel before the change
            assert 1 - script.GAIN <= gain <= 1 + script.GAIN
            middles.append(round(float(row[16]) / gain) - 116)
            assert -script.SHIFT <= middles[-1] <= script.SHIFT
        assert len(set(middles)) > 8

    def test_it_depends_on_its_generator_alone(self, script: ModuleType) -> None:
        first, again, other = _Recorder(), _Recorder(), _Recorder()
        for recorder, seed in ((first, 1), (again, 1), (other, 2)):
            script.loss(recorder, [_ramp(3)] * 4, torch.Generator().manual_seed(seed))
        assert all(torch.equal(a, b) for a, b in zip(first.seen, again.seen, strict=True))
        assert not torch.equal(first.seen[0], other.seen[0])

    def test_label_smoothing_is_the_declared_one(self, script: ModuleType) -> None:
        value = script.loss(_Recorder(), [_ramp(0)], torch.Generator().manual_seed(1)).item()
        # All but exp(-50) of the probability is class 0's; the other 13 share the smoothing with it, at 50 nats each.
        assert math.isclose(value, script.SMOOTHING * 13 / 14 * 50, rel_tol=1e-5)


class TestWeights:
    def test_strict_match(self, script: ModuleType) -> None:
        state = load_file(WEIGHTS)
        network = script.build()
        network.load_state_dict(state, strict=True)
        assert all(t.dtype == torch.float16 for t in state.values() if t.is_floating_point())
        assert all(torch.isfinite(t).all() for t in network.state_dict().values() if t.is_floating_point())
        assert WEIGHTS.stat().st_size < 4_000_000

    def test_it_has_learnt_and_compression_hurts(self, script: ModuleType) -> None:
        network = script.build().eval()
        network.load_state_dict(load_file(WEIGHTS))
        data = MiniClassification(MiniClassification.Options(split="test", count=56))
        samples = [data.load(index) for index in range(len(data))]
        images = torch.stack([torch.from_numpy(sample.media.copy()).permute(2, 0, 1) for sample in samples])
        with torch.inference_mode():
            scores = network(script.normalise(images)).numpy()
        task = ClassificationTask(data.classes)
        evidence = [task.evidence(one, sample.target) for one, sample in zip(scores, samples, strict=True)]
        clean = task.reduce(evidence, np.ones((1, len(samples))))["top1"][0]
        assert clean > 0.55  # four of each class; chance is a fourteenth
        assert clean == pytest.approx(script.hits(network, samples, None).float().mean().item())
        assert script.hits(network, samples, 2).float().mean() < 0.8 * clean
