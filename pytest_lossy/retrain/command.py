"""``pytest-lossy retrain``: fine-tune a model on compressed data, beside a control of equal length on clean data."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from pytest_lossy.cases import CodecPlan, IndexedSpec, format_level
from pytest_lossy.codecs.registry import build_codec
from pytest_lossy.errors import LossyError
from pytest_lossy.registry import did_you_mean
from pytest_lossy.retrain.batches import Compression, TrainingBatches
from pytest_lossy.retrain.derived import control_name, derived_name, write_derived
from pytest_lossy.retrain.experiment import open_experiment, weights_folder
from pytest_lossy.retrain.loop import Fit, Progress, Schedule, fit
from pytest_lossy.retrain.weights import save_half
from pytest_lossy.specs.index import index_specs, plan_codec
from pytest_lossy.specs.schema import TrainingSection

__all__ = ["RetrainOptions", "retrain"]

_VALIDATIONS = 10
"""Over one fine-tuning."""


@dataclass(frozen=True)
class RetrainOptions:
    """What the command line says."""

    codec: str
    levels: tuple[float, ...] | None = None
    """None for the spec's own."""
    mix: bool = False
    """One model for all levels instead of one for each."""
    iterations: int | None = None
    epochs: float | None = None
    seed: int = 1
    patience: int = 0
    device: str = "cpu"
    threads: int = 1
    force: bool = False
    """Train again what is there already."""
    out: Path | None = None
    """Folder of the new specs, with ``weights/`` below it; None for the parent's."""


@dataclass(frozen=True)
class _Run:
    """One fine-tuning."""

    name: str
    compression: Compression | None
    levels: tuple[float, ...] = ()


def retrain(path: Path, options: RetrainOptions, say: Callable[[str], None]) -> list[Path]:
    """Fine-tune a spec's model, and its control, and write their specs and weights beside it.

    A fine-tuning that was interrupted continues from its checkpoint; one whose spec exists with the same settings is not
    repeated. Started by ``torchrun``, the processes share each batch.

    Args:
        path: the spec.
        options: what to train.
        say: called with each line for the user; not called in processes other than the first.

    Returns:
        the specs, the control's first.

    Raises:
        LossyError: the spec, its hooks or its data cannot be used.
    """
    world, rank = _start_processes(options.device)
    tell = say if rank == 0 else lambda _: None
    device = f"cuda:{os.environ.get('LOCAL_RANK', '0')}" if options.device == "cuda" and world > 1 else options.device
    torch.set_num_threads(options.threads)
    absolute = path.resolve()
    [spec] = index_specs([absolute], absolute.parent)
    training = _training(spec)
    plan = _plan(spec, options)
    runs = _runs(spec, plan, options)
    folder = absolute.parent if options.out is None else options.out.resolve()
    written = []
    for number, run in enumerate(runs, 1):
        target = folder / f"{run.name}.yaml"
        levels = ", ".join(f"{plan.parameter}{format_level(level)}" for level in run.levels)
        tell(f"[{number}/{len(runs)}] {run.name}: " + (f"{plan.label} {levels}" if levels else "clean samples"))
        settings = _schedule(spec, training, options)
        if not options.force and _is_done(target, settings, folder):
            tell(f"  {target.name} is there already; --force trains it again")
        else:
            _train(spec, training, run, settings, options, device, (rank, world), tell)
        written.append(target)
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()
    return written


def _train(
    spec: IndexedSpec,
    training: TrainingSection,
    run: _Run,
    schedule: Schedule | None,
    options: RetrainOptions,
    device: str,
    place: tuple[int, int],
    tell: Callable[[str], None],
) -> None:
    experiment = open_experiment(spec, training, device)
    rank, world = place
    batches = TrainingBatches(
        experiment.dataset,
        experiment.fitted,
        training.batch_size,
        options.seed,
        compression=run.compression,
        rank=rank,
        world=world,
    )
    if schedule is None:  # --epochs: only now is it known how many samples an epoch has
        schedule = _schedule(spec, training, options, per_epoch=batches.per_epoch)
        assert schedule is not None  # noqa: S101  per_epoch is given
    folder = spec.path.parent if options.out is None else options.out.resolve()
    weights = (weights_folder(spec) if options.out is None else folder / "weights") / f"{run.name}.safetensors"
    weights.parent.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(options.seed)  # for what a loss draws besides its generator, such as dropout
    result = fit(
        experiment.network,
        experiment.loss,
        batches,
        schedule,
        identity={
            "parent": spec.name,
            "weights": spec.spec.model.sha256 or "",
            "data": experiment.dataset.fingerprint(),
            "compression": run.compression.describe() if run.compression else "",
            "batch_size": training.batch_size,
        },
        checkpoint=weights.with_suffix(".checkpoint"),
        validate=experiment.validator(run.compression, training.batch_size),
        report=lambda progress: tell(_line(progress, experiment.task.primary)),
    )
    if rank != 0:
        return
    sha256 = save_half(experiment.network, weights)
    record = _record(spec, run, schedule, options, result)
    written = write_derived(spec, run.name, weights, sha256, record, folder=folder)
    tell(f"  {result.seconds:.0f} s; wrote {written.name} and {weights.relative_to(folder)}")


def _training(spec: IndexedSpec) -> TrainingSection:
    if spec.spec.training is None:
        raise LossyError(
            f"{spec.shown}: has no 'training' section; add one with the hooks 'loss' and 'data', see "
            "'pytest-lossy schema spec'"
        )
    return spec.spec.training


def _plan(spec: IndexedSpec, options: RetrainOptions) -> CodecPlan:
    own = {plan.label: plan for plan in spec.plans}
    plan = own.get(options.codec)
    if plan is None:
        try:
            plan = plan_codec(options.codec, options.codec, build_codec(options.codec), {})
        except LossyError:
            raise LossyError(f"unknown codec '{options.codec}'; {did_you_mean(options.codec, own)}") from None
    levels = options.levels or plan.levels
    for level in levels:
        wrong = plan.grid.problem(level)
        if wrong:
            raise LossyError(f"--levels: {options.codec}: {wrong}")
    return replace(plan, levels=tuple(levels))


def _runs(spec: IndexedSpec, plan: CodecPlan, options: RetrainOptions) -> list[_Run]:
    codec = build_codec(plan.codec_name, plan.options)
    several: Sequence[tuple[float, ...]] = [plan.levels] if options.mix else [(level,) for level in plan.levels]
    return [
        _Run(control_name(spec.name, options.seed), None),
        *(
            _Run(
                derived_name(spec.name, plan.label, plan.parameter, levels, options.seed),
                Compression(codec, levels),
                levels,
            )
            for levels in several
        ),
    ]


def _schedule(
    spec: IndexedSpec, training: TrainingSection, options: RetrainOptions, per_epoch: int | None = None
) -> Schedule | None:
    """None where ``--epochs`` is given and the length of an epoch is not yet known."""
    iterations = options.iterations or training.iterations
    if options.epochs is not None:
        if per_epoch is None:
            return None
        iterations = max(1, round(options.epochs * per_epoch))
    return Schedule(
        iterations=iterations,
        rate=training.rate,
        weight_decay=training.weight_decay,
        warm_up=training.warm_up,
        clip=training.clip,
        seed=options.seed,
        validate_every=max(1, iterations // _VALIDATIONS),
        patience=options.patience,
    )


def _is_done(path: Path, schedule: Schedule | None, folder: Path) -> bool:
    """Whether a derived spec of the same length and seed is there, with its weights."""
    if not path.exists():
        return False
    [spec] = index_specs([path], folder)
    record, weights = spec.spec.retrained, spec.spec.model.weights
    if record is None or weights is None or not (folder / weights).exists():
        return False
    return schedule is None or (record.seed == schedule.seed and record.iterations == schedule.iterations)


def _record(
    spec: IndexedSpec, run: _Run, schedule: Schedule, options: RetrainOptions, result: Fit
) -> dict[str, object]:
    record: dict[str, object] = {"parent": spec.name}
    if run.compression is not None:
        record |= {
            "control": control_name(spec.name, options.seed),
            "codec": options.codec,
            "levels": [int(level) if level == int(level) else level for level in run.levels],
        }
    return record | {
        "iterations": schedule.iterations,
        "seed": schedule.seed,
        "seconds": round(result.seconds, 1),
        "validation": [[iteration, round(value, 4)] for iteration, value in result.validations],
    }


def _line(progress: Progress, primary: str) -> str:
    value = progress.validation
    where = f"{progress.iteration}/{progress.iterations}"
    found = "" if value is None else f"  {primary} {abs(value):.4f} held out"
    return f"  {where}  loss {progress.loss:.4f}  {progress.seconds_left:.0f} s left{found}"


def _start_processes(device: str) -> tuple[int, int]:
    """Join the processes that torchrun started; (1, 0) without it."""
    world = int(os.environ.get("WORLD_SIZE", "1"))
    if world == 1:
        return 1, 0
    torch.distributed.init_process_group("nccl" if device.startswith("cuda") else "gloo")
    return world, torch.distributed.get_rank()
