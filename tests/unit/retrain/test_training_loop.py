"""Batches are a function of the iteration, and an interrupted training ends as an undisturbed one, bit for bit."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from pytest_lossy.codecs.jpeg import JpegCodec
from pytest_lossy.data.base import Sample
from pytest_lossy.retrain.batches import Compression, TrainingBatches
from pytest_lossy.retrain.experiment import hold_out
from pytest_lossy.retrain.loop import Fit, Progress, Schedule, fit, rate_at
from pytest_lossy.retrain.weights import save_half


class Greys:
    """Noise of a given brightness, which is the target."""

    name, classes = "greys", ()

    def __init__(self, count: int = 11, groups: int | None = None) -> None:
        self.count, self.groups, self.loads = count, groups, 0

    def __len__(self) -> int:
        return self.count

    def sample_id(self, index: int) -> str:
        return f"g{index}"

    def group(self, index: int) -> str | None:
        return None if self.groups is None else f"group {index % self.groups}"

    def load(self, index: int) -> Sample:
        self.loads += 1
        random = np.random.default_rng(index)
        level = int(random.integers(40, 200))
        media = np.clip(level + random.integers(-40, 40, (16, 16, 3)), 0, 255).astype(np.uint8)
        return Sample(self.sample_id(index), media, level / 255, group=self.group(index))

    def fingerprint(self) -> str:
        return "1"


def loss(network: nn.Module, samples: Sequence[Sample], random: torch.Generator) -> Tensor:
    pixels = torch.from_numpy(np.stack([sample.media for sample in samples])).permute(0, 3, 1, 2).float() / 255
    pixels = pixels + 0.01 * torch.randn(pixels.shape, generator=random)
    wanted = torch.tensor([sample.target for sample in samples], dtype=torch.float32)
    return ((network(pixels).mean((1, 2, 3)) - wanted) ** 2).mean()


def network() -> nn.Module:
    torch.manual_seed(3)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 1, 3))


def batches(**changes: object) -> TrainingBatches:
    data = Greys()
    return TrainingBatches(data, range(len(data)), 4, seed=5, **changes)  # type: ignore[arg-type]


def ids(samples: Sequence[Sample]) -> list[str]:
    return [sample.id for sample in samples]


def test_an_epoch_has_each_sample_at_most_once_and_the_next_another_order() -> None:
    source = batches()
    assert source.per_epoch == 2
    first, second = ([name for step in (0, 1) for name in ids(source.batch(2 * epoch + step))] for epoch in (0, 1))
    assert len(set(first)) == 8
    assert first != second
    assert [ids(batch) for batch in source.stream(1, 5)] == [ids(source.batch(number)) for number in range(1, 5)]


def test_processes_share_each_batch() -> None:
    parts = [batches(rank=rank, world=2) for rank in (0, 1)]
    for iteration in range(4):
        together = sorted(ids(batches().batch(iteration)))
        assert sorted(ids(parts[0].batch(iteration)) + ids(parts[1].batch(iteration))) == together


def test_compression_draws_levels_and_leaves_the_share_that_stays_clean() -> None:
    clean = {sample.id: sample.media for number in range(8) for sample in batches().batch(number)}
    everything = batches(compression=Compression(JpegCodec(), (5,)))
    half = batches(compression=Compression(JpegCodec(), (5, 90), share=0.5))
    found = [sample for number in range(8) for sample in half.batch(number)]
    same = [np.array_equal(sample.media, clean[sample.id]) for sample in found]
    assert not any(np.array_equal(sample.media, clean[sample.id]) for sample in everything.batch(0))
    assert 0.2 < np.mean(same) < 0.8
    again = [sample for number in range(8) for sample in half.batch(number)]
    assert all(np.array_equal(a.media, b.media) for a, b in zip(found, again, strict=True))


def test_samples_beyond_the_memory_are_decoded_again() -> None:
    data = Greys()
    source = TrainingBatches(data, range(11), 4, seed=5, memory_bytes=3 * 16 * 16 * 3)
    for number in range(6):
        source.batch(number)
    assert 11 < data.loads < 24


def test_the_rate_rises_and_falls() -> None:
    schedule = Schedule(iterations=100, rate=2.0, warm_up=0.1)
    rates = [rate_at(number, schedule) for number in range(100)]
    assert rates[0] == pytest.approx(0.2)
    assert max(rates) == rates[9] == rates[10] == pytest.approx(2.0)
    assert rates[55] == pytest.approx(1.0)
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert rates[-1] < 0.01


def trained(folder: Path, stop_at: int | None = None, schedule: Schedule | None = None) -> tuple[nn.Module, Fit | None]:
    module, checkpoint = network(), folder / "a.checkpoint"

    def report(progress: Progress) -> None:
        if progress.iteration == stop_at:
            raise KeyboardInterrupt

    try:
        result = fit(
            module,
            loss,
            batches(compression=Compression(JpegCodec(), (10, 50))),
            schedule or Schedule(iterations=12, rate=0.05, seed=2, validate_every=4),
            identity={"data": "greys"},
            checkpoint=checkpoint,
            checkpoint_every=2,
            validate=lambda net: -float(loss(net, batches().batch(0), torch.Generator().manual_seed(0))),
            report=report,
            report_every=1,
        )
    except KeyboardInterrupt:
        return module, None
    return module, result


def test_an_interrupted_training_ends_like_an_undisturbed_one(tmp_path: Path) -> None:
    straight, expected = trained(tmp_path)
    assert expected is not None
    _, nothing = trained(tmp_path, stop_at=7)
    assert nothing is None
    assert (tmp_path / "a.checkpoint").exists()
    resumed, result = trained(tmp_path)
    assert result is not None
    assert all(
        torch.equal(a, b) for a, b in zip(straight.state_dict().values(), resumed.state_dict().values(), strict=True)
    )
    assert (result.validations, result.best) == (expected.validations, expected.best)
    assert not list(tmp_path.iterdir())


def test_a_checkpoint_of_another_schedule_is_not_continued(tmp_path: Path) -> None:
    trained(tmp_path, stop_at=7)
    other = Schedule(iterations=6, rate=0.05, seed=2, validate_every=4)
    resumed, _ = trained(tmp_path, schedule=other)
    straight, _ = trained(tmp_path / "..", schedule=other)
    assert all(
        torch.equal(a, b) for a, b in zip(straight.state_dict().values(), resumed.state_dict().values(), strict=True)
    )


def test_the_best_weights_are_kept_and_patience_ends_it() -> None:
    scores = iter([1.0, 3.0, 2.0, 2.5, 9.0])
    seen: list[dict[str, Tensor]] = []

    def validate(module: nn.Module) -> float:
        seen.append({name: value.clone() for name, value in module.state_dict().items()})
        return next(scores)

    module = network()
    schedule = Schedule(iterations=10, rate=0.05, validate_every=2, patience=2)
    result = fit(module, loss, batches(), schedule, identity={}, validate=validate)
    assert result.best == 4
    assert result.iterations == 8
    assert all(torch.equal(value, seen[1][name]) for name, value in module.state_dict().items())
    assert not module.training


def test_a_loss_that_is_no_number_ends_with_its_iteration() -> None:
    def broken(module: nn.Module, samples: Sequence[Sample], random: torch.Generator) -> Tensor:
        return loss(module, samples, random) / 0

    with pytest.raises(FloatingPointError, match="iteration 0; lower the learning rate"):
        fit(network(), broken, batches(), Schedule(iterations=2), identity={})


def test_training_learns() -> None:
    with torch.inference_mode():
        before = float(loss(network().eval(), batches().batch(0), torch.Generator().manual_seed(0)))
    module = network()
    fit(module, loss, batches(), Schedule(iterations=150, rate=0.02), identity={})
    with torch.inference_mode():
        after = float(loss(module, batches().batch(0), torch.Generator().manual_seed(0)))
    assert after < before / 5


@pytest.mark.parametrize("groups", [None, 3, 2])
def test_held_out_samples_share_no_group_with_the_others(groups: int | None) -> None:
    data = Greys(30, groups)
    fitted, held = hold_out(data, 0.2)
    assert sorted(fitted + held) == list(range(30))
    assert fitted
    assert held
    if groups is not None:
        assert not {data.group(index) for index in fitted} & {data.group(index) for index in held}
    assert hold_out(data, 0.2) == (fitted, held)


def test_saved_weights_are_what_is_measured(tmp_path: Path) -> None:
    module = network()
    digest = save_half(module, tmp_path / "deep" / "w.safetensors")
    assert len(digest) == 64
    for value in module.state_dict().values():
        if value.is_floating_point():
            assert torch.equal(value, value.half().float())
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["w.safetensors"]
