"""The training script of the pose model of the reference suite: its two cycles, interrupted and not."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

from pytest_lossy.data.mini_pose import MiniPose

SPECS = Path(__file__).parents[3] / "model_specs"


@pytest.fixture
def training(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """The script, on eight pictures and without its measurement."""
    threads = torch.get_num_threads()
    monkeypatch.syspath_prepend(str(SPECS))
    spec = importlib.util.spec_from_file_location("reference_train_pafnet_alone", SPECS / "train_pafnet.py")
    assert spec is not None
    assert spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    few = MiniPose(MiniPose.Options(split="val", count=8))
    data: Any = lambda options: few  # noqa: E731
    data.Options = MiniPose.Options
    monkeypatch.setattr(script, "MiniPose", data)
    monkeypatch.setattr(script, "average_precision", lambda *_: (0.0, 0.0))
    yield script
    torch.set_num_threads(threads)
    for name in ("pafnet", "pafnet_decoding"):
        sys.modules.pop(name, None)


def test_training_interrupted_in_its_second_cycle_gives_the_same_weights(
    training: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, halves = tmp_path / "whole.safetensors", tmp_path / "halves.safetensors"
    fit = training.fit
    lengths: list[tuple[int, float]] = []

    def run(out: Path, cycles: float) -> None:
        def counted(network: Any, loss: Any, batches: Any, schedule: Any, **options: Any) -> None:
            if len(lengths) == cycles:
                raise KeyboardInterrupt
            lengths.append((schedule.iterations, schedule.rate))
            fit(network, loss, batches, schedule, **options)

        monkeypatch.setattr(training, "fit", counted)
        monkeypatch.setattr(sys, "argv", ["train_pafnet.py", "--iterations", "2", "1", "--out", str(out)])
        training.main()

    run(whole, float("inf"))
    both = [(2, training.RATES[0]), (1, training.RATES[1])]
    assert lengths == both
    lengths.clear()
    with pytest.raises(KeyboardInterrupt):
        run(halves, 1)
    run(halves, float("inf"))
    assert lengths == both  # the first cycle is not repeated
    assert halves.read_bytes() == whole.read_bytes()
    assert {path.name for path in tmp_path.iterdir()} == {whole.name, halves.name}


def test_a_first_cycle_of_another_length_is_not_taken_for_this_one(
    training: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lengths: list[int] = []
    fit = training.fit

    def first_only(network: Any, loss: Any, batches: Any, schedule: Any, **options: Any) -> None:
        lengths.append(schedule.iterations)
        if len(lengths) in (2, 4):
            raise KeyboardInterrupt
        fit(network, loss, batches, schedule, **options)

    monkeypatch.setattr(training, "fit", first_only)
    for length in ("1", "2"):
        arguments = ["train_pafnet.py", "--iterations", length, "3", "--out", str(tmp_path / "net.safetensors")]
        monkeypatch.setattr(sys, "argv", arguments)
        with pytest.raises(KeyboardInterrupt):
            training.main()
    assert lengths == [1, 3, 2, 3]


def test_more_cycles_than_there_are_is_an_error(
    training: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["train_pafnet.py", "--iterations", "1", "1", "1"])
    with pytest.raises(SystemExit):
        training.main()
    assert "--iterations: 3 cycles, and there are 2; leave some out" in capsys.readouterr().err
