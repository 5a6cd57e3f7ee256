"""The training loop: AdamW with warm-up and cosine decay, checkpoints, validation and early stopping."""

from __future__ import annotations

import copy
import math
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from pytest_lossy.data.base import Sample
from pytest_lossy.retrain.batches import TrainingBatches

__all__ = ["Fit", "Loss", "Progress", "Schedule", "fit", "rate_at"]

Loss = Callable[[nn.Module, Sequence[Sample], torch.Generator], Tensor]
"""``loss(network, samples, random)``: a scalar to minimise. The samples' media are uint8, after any codec; augmentation
draws from ``random`` alone, and the device is that of the network's parameters."""


@dataclass(frozen=True)
class Schedule:
    """How long and how fast to train."""

    iterations: int
    rate: float = 1e-3
    """Peak learning rate."""
    weight_decay: float = 0.01
    warm_up: float = 0.1
    """Share of the iterations in which the rate rises linearly; then it falls by half a cosine to zero."""
    clip: float | None = None
    """Largest norm of the gradient; None for no limit."""
    seed: int = 1
    validate_every: int = 0
    """Iterations between validations; 0 for none."""
    patience: int = 0
    """Validations without a better value after which training stops; 0 to train to the end."""


@dataclass(frozen=True, slots=True)
class Progress:
    """Where training is."""

    iteration: int
    iterations: int
    loss: float
    """Smoothed."""
    seconds_left: float
    validation: float | None = None


@dataclass
class Fit:
    """What training did."""

    iterations: int = 0
    """Iterations that were run, over all sessions."""
    seconds: float = 0.0
    losses: list[tuple[int, float]] = field(default_factory=list)
    """Iteration and smoothed loss."""
    validations: list[tuple[int, float]] = field(default_factory=list)
    best: int | None = None
    """The iteration whose weights were kept; None for the last."""


def rate_at(iteration: int, schedule: Schedule) -> float:
    """Learning rate: linear warm-up, then half a cosine to zero (Loshchilov & Hutter 2017, equation 5, one cycle)."""
    warm = max(1, round(schedule.warm_up * schedule.iterations))
    if iteration < warm:
        return schedule.rate * (iteration + 1) / warm
    share = (iteration - warm) / max(1, schedule.iterations - warm)
    return schedule.rate * 0.5 * (1 + math.cos(math.pi * share))


def fit(
    network: nn.Module,
    loss: Loss,
    batches: TrainingBatches,
    schedule: Schedule,
    *,
    identity: Mapping[str, Any],
    checkpoint: Path | None = None,
    checkpoint_every: int = 200,
    validate: Callable[[nn.Module], float] | None = None,
    report: Callable[[Progress], None] | None = None,
    report_every: int = 25,
) -> Fit:
    """Train ``network`` in place.

    Args:
        network: on its device.
        loss: see :data:`Loss`.
        batches: the training data.
        schedule: see :class:`Schedule`.
        identity: exact builtins that name the data and the settings of the loss: a checkpoint of another identity or
            schedule is not continued.
        checkpoint: where to keep the state; removed when training ends.
        checkpoint_every: iterations.
        validate: a value to maximise; the best weights are kept where it is given.
        report: called every ``report_every`` iterations and after each validation.
        report_every: iterations.

    Raises:
        FloatingPointError: the loss is not finite; the message says at which iteration.
    """
    optimiser = torch.optim.AdamW(network.parameters(), lr=schedule.rate, weight_decay=schedule.weight_decay)
    settings = {**asdict(schedule), **identity}
    result, first, running = Fit(), 0, 0.0
    best: dict[str, Tensor] | None = None
    if checkpoint is not None and checkpoint.exists():
        saved = torch.load(checkpoint, map_location=_device(network), weights_only=True)
        if saved["settings"] == settings:
            network.load_state_dict(saved["network"])
            optimiser.load_state_dict(saved["optimiser"])
            result, running, best = Fit(**saved["result"]), saved["running"], saved["best"]
            first = result.iterations
    network.train()
    trained = _distributed(network)
    began, earlier = time.perf_counter(), result.seconds
    for iteration, samples in enumerate(batches.stream(first, schedule.iterations), first):
        for group in optimiser.param_groups:
            group["lr"] = rate_at(iteration, schedule)
        random = torch.Generator().manual_seed(schedule.seed * 1_000_003 + iteration)
        value = loss(trained, samples, random)
        if not torch.isfinite(value):
            raise FloatingPointError(f"the loss is {value.item()} at iteration {iteration}; lower the learning rate")
        optimiser.zero_grad(set_to_none=True)
        value.backward()  # type: ignore[no-untyped-call]
        if schedule.clip is not None:
            nn.utils.clip_grad_norm_(network.parameters(), schedule.clip)
        optimiser.step()
        running = value.item() if iteration == 0 else 0.95 * running + 0.05 * value.item()
        result.iterations = done = iteration + 1
        result.seconds = earlier + time.perf_counter() - began
        last = done == schedule.iterations
        validation = None
        if validate is not None and schedule.validate_every and (last or done % schedule.validate_every == 0):
            validation = _validated(network, validate)
            if result.best is None or validation > max(score for _, score in result.validations):
                result.best, best = done, copy.deepcopy(network.state_dict())
            result.validations.append((done, validation))
        if done % report_every == 0 or last or validation is not None:
            result.losses.append((done, running))
            if report is not None:
                left = (schedule.iterations - done) * (time.perf_counter() - began) / (done - first)
                report(Progress(done, schedule.iterations, running, left, validation))
        if _is_stale(result, schedule):
            break
        if checkpoint is not None and done % checkpoint_every == 0 and not last and _rank() == 0:
            _save(checkpoint, settings, network, optimiser, result, running, best)
    if best is not None:
        network.load_state_dict(best)
    network.eval()
    if checkpoint is not None and _rank() == 0:
        checkpoint.unlink(missing_ok=True)
    return result


def _validated(network: nn.Module, validate: Callable[[nn.Module], float]) -> float:
    network.eval()
    with torch.inference_mode():
        value = validate(network)
    network.train()
    return value


def _is_stale(result: Fit, schedule: Schedule) -> bool:
    """Whether the last ``patience`` validations brought nothing better than the best before them."""
    if not schedule.patience or result.best is None:
        return False
    since = [iteration for iteration, _ in result.validations if iteration > result.best]
    return len(since) >= schedule.patience


def _save(
    checkpoint: Path,
    settings: Mapping[str, Any],
    network: nn.Module,
    optimiser: torch.optim.Optimizer,
    result: Fit,
    running: float,
    best: dict[str, Tensor] | None,
) -> None:
    temporary = checkpoint.with_suffix(f".{os.getpid()}.tmp")
    torch.save(
        {
            "settings": dict(settings),
            "network": network.state_dict(),
            "optimiser": optimiser.state_dict(),
            "result": asdict(result),
            "running": running,
            "best": best,
        },
        temporary,
    )
    temporary.replace(checkpoint)


def _device(network: nn.Module) -> torch.device:
    return next(network.parameters()).device


def _rank() -> int:
    return torch.distributed.get_rank() if torch.distributed.is_initialized() else 0


def _distributed(network: nn.Module) -> nn.Module:
    """The network as it is trained: averaged over processes where torchrun started several."""
    if not torch.distributed.is_initialized():
        return network
    device = _device(network)
    wrapped: nn.Module = nn.parallel.DistributedDataParallel(
        network, device_ids=[device.index] if device.type == "cuda" else None
    )
    return wrapped
