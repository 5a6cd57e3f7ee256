"""The SegNet of the reference suite: shapes, gradients, weights and its training script."""

from __future__ import annotations

import argparse
import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch.nn import functional

from pytest_lossy.data.mini.labels import CLASSES
from pytest_lossy.data.mini.segmentation import MiniSegmentation

SPECS = Path(__file__).parents[2] / "model_specs"
WEIGHTS = SPECS / "weights" / "segnet-mini.safetensors"

needs_weights = pytest.mark.skipif(not WEIGHTS.exists(), reason=f"no weights at {WEIGHTS}; run train_segnet.py")


@pytest.fixture(scope="module")
def script() -> Iterator[ModuleType]:
    """``train_segnet.py`` as Python runs it: with its own folder first on the path."""
    sys.path.insert(0, str(SPECS))
    try:
        spec = importlib.util.spec_from_file_location("lossy_train_segnet", SPECS / "train_segnet.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        yield module
    finally:
        sys.path.remove(str(SPECS))
        sys.modules.pop("segnet", None)


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


class TestNetwork:
    @pytest.mark.parametrize("size", [(32, 48), (33, 47), (1, 1), (17, 64), (192, 256), (50, 5)])
    def test_any_input_size(self, script: ModuleType, size: tuple[int, int]) -> None:
        model = script.build(num_classes=7).eval()
        with torch.no_grad():
            assert model(torch.randn(2, 3, *size)).shape == (2, 7, *size)

    def test_padding_changes_nothing_far_from_it(self, script: ModuleType) -> None:
        torch.manual_seed(0)
        model = script.build(num_classes=4, widths=(8, 8)).eval()
        image = torch.randn(1, 3, 64, 64)
        with torch.no_grad():
            whole, cropped = model(image), model(image[..., :61])
        torch.testing.assert_close(whole[..., :30], cropped[..., :30])

    def test_gradients_pass_through_unpooling(self, script: ModuleType) -> None:
        torch.manual_seed(0)
        model = script.build()
        loss = functional.cross_entropy(model(torch.randn(2, 3, 48, 40)), torch.randint(0, 11, (2, 48, 40)))
        loss.backward()
        for name, parameter in model.named_parameters():
            assert parameter.grad is not None, name
            assert torch.isfinite(parameter.grad).all(), name
            assert parameter.grad.abs().sum() > 0, name

    def test_maxima_return_to_their_places(self) -> None:
        x = torch.rand(1, 2, 8, 8)
        pooled, places = functional.max_pool2d(x, 2, return_indices=True)
        back = functional.max_unpool2d(pooled, places, 2)
        assert torch.equal(back[back > 0], x[back > 0])

    @pytest.mark.parametrize("arguments", [{"num_classes": 0}, {"widths": ()}, {"widths": (8, 0)}])
    def test_bad_arguments(self, script: ModuleType, arguments: dict[str, object]) -> None:
        with pytest.raises(ValueError, match="must be positive"):
            script.build(**arguments)

    def test_size(self, script: ModuleType) -> None:
        assert sum(p.numel() for p in script.build().parameters()) == 422_827


@needs_weights
class TestWeights:
    def test_strict_match(self, script: ModuleType) -> None:
        state = load_file(WEIGHTS)
        model = script.build()
        model.load_state_dict(state, strict=True)
        assert all(t.dtype == torch.float16 for t in state.values() if t.is_floating_point())
        assert all(torch.isfinite(t).all() for t in model.state_dict().values() if t.is_floating_point())
        assert WEIGHTS.stat().st_size < 4_000_000

    def test_it_has_learnt_and_compression_hurts(self, script: ModuleType, tmp_path: Path) -> None:
        model = script.build()
        model.load_state_dict(load_file(WEIGHTS))
        data = MiniSegmentation("test", 10, cache=tmp_path)
        samples = [data.load(index) for index in range(len(data))]
        images = torch.stack([torch.from_numpy(s.media.transpose(2, 0, 1).copy()) for s in samples])
        labels = torch.stack([torch.from_numpy(s.target) for s in samples])
        clean, per_class = script.mean_iou(model, images, labels, len(CLASSES), "cpu")
        assert clean > 0.42  # ten frames: the whole split gives a tenth more
        assert per_class.max() <= 1.0
        severe = torch.stack([script.compressed(image, 5) for image in images])
        assert script.mean_iou(model, severe, labels, len(CLASSES), "cpu")[0] < 0.8 * clean


class TestTraining:
    def test_class_weights(self, script: ModuleType) -> None:
        labels = torch.zeros(2, 10, 10, dtype=torch.uint8)
        labels[0, :2] = 1  # a fifth of the one image that holds it
        labels[1, :, 5:] = 2
        # Frequencies 130/200, 20/100, 50/100: the median is class 2's.
        expected = np.sqrt(0.5 / np.array([0.65, 0.2, 0.5]))
        np.testing.assert_allclose(script.class_weights(labels, 3).numpy(), expected, rtol=1e-6)

    def test_ignored_pixels_weigh_nothing(self, script: ModuleType) -> None:
        labels = torch.full((1, 4, 4), 255, dtype=torch.uint8)
        labels[0, 0, 0] = 0
        assert torch.isfinite(script.class_weights(labels, 2)).all()

    def test_rate(self, script: ModuleType) -> None:
        rates = [script.rate_at(i, 100) for i in range(100)]
        assert max(rates) == rates[9] == pytest.approx(script.PEAK_RATE)
        assert rates[:10] == sorted(rates[:10])
        assert rates[10:] == sorted(rates[10:], reverse=True)
        assert rates[-1] < 0.01 * script.PEAK_RATE

    def test_batches_follow_from_the_iteration(self, script: ModuleType) -> None:
        images = torch.randint(0, 256, (20, 3, 4, 6), dtype=torch.uint8)
        labels = images[:, 0]
        one, two = (script.batch(images, labels, 3, seed=1) for _ in range(2))
        assert torch.equal(one[0], two[0])
        assert one[0].shape == (script.BATCH, 3, 4, 6)
        assert not torch.equal(one[0], script.batch(images, labels, 4, seed=1)[0])
        assert not torch.equal(one[0], script.batch(images, labels, 3, seed=2)[0])

    def test_flips_take_the_labels_along(self, script: ModuleType) -> None:
        ramp = torch.arange(6, dtype=torch.uint8).expand(8, 4, 6)
        batches = [script.batch(ramp.unsqueeze(1).expand(8, 3, 4, 6), ramp, k, seed=1) for k in range(4)]
        pixels, target = (torch.cat(parts) for parts in zip(*batches, strict=True))
        flipped = target[:, 0, 0] == 5
        assert flipped.any()
        assert not flipped.all()
        assert torch.equal(pixels[:, 0, 0, 0] > pixels[:, 0, 0, -1], flipped)

    def test_miou_averages_classes_with_ground_truth(self, script: ModuleType) -> None:
        class Constant(torch.nn.Module):
            def forward(self, images: torch.Tensor) -> torch.Tensor:
                scores = torch.zeros(len(images), 3, *images.shape[-2:])
                scores[:, 2, :, :2] = 1  # class 2 has no ground truth; the rest is class 0
                return scores

        labels = torch.zeros(1, 4, 4, dtype=torch.uint8)
        labels[0, :2] = 1
        labels[0, 3] = 255
        value, per_class = script.mean_iou(Constant(), torch.zeros(1, 3, 4, 4, dtype=torch.uint8), labels, 3, "cpu")
        # Class 0: truth 4, found 6, hit 2; class 1: truth 8, hit 0.
        assert per_class[0] == pytest.approx(2 / 8)
        assert value == pytest.approx((2 / 8 + 0) / 2)

    def test_a_resumed_run_ends_where_a_whole_one_does(
        self, script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        generator = torch.Generator().manual_seed(0)
        images = torch.randint(0, 256, (16, 3, 32, 32), dtype=torch.uint8, generator=generator)
        labels = torch.randint(0, 11, (16, 32, 32), dtype=torch.uint8, generator=generator)
        monkeypatch.setattr(script, "load", lambda split: (images, labels))
        monkeypatch.setattr(script, "CHECKPOINT_EVERY", 2)

        def options(name: str) -> argparse.Namespace:
            return argparse.Namespace(out=tmp_path / f"{name}.safetensors", iterations=4, seed=1, device="cpu")

        whole = script.train(options("whole")).state_dict()
        real, calls = script.batch, []

        def interrupted(images: torch.Tensor, labels: torch.Tensor, iteration: int, seed: int) -> object:
            calls.append(iteration)
            if len(calls) == 4:
                raise KeyboardInterrupt
            return real(images, labels, iteration, seed)

        monkeypatch.setattr(script, "batch", interrupted)
        with pytest.raises(KeyboardInterrupt):
            script.train(options("resumed"))
        assert (tmp_path / "resumed.checkpoint").exists()
        resumed = script.train(options("resumed")).state_dict()
        assert calls == [0, 1, 2, 3, 2, 3]
        for name, tensor in whole.items():
            assert torch.equal(tensor, resumed[name]), name

    def test_shipped_file(self, script: ModuleType, tmp_path: Path) -> None:
        model = script.build(num_classes=3, widths=(4, 6))
        digest = script.save(model, tmp_path / "small.safetensors")
        assert len(digest) == 64
        state = load_file(tmp_path / "small.safetensors")
        for name, tensor in model.state_dict().items():
            assert torch.equal(tensor.float(), state[name].float()), name
