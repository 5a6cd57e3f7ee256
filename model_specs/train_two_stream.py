"""Train the action recognition model of the reference suite on the mini world.

    python model_specs/train_two_stream.py

renders the training split and the frames of ``two_stream_frames.py`` (once; cached), trains the temporal stream on the
clips' flow and then the spatial stream on the frames, each for a fixed number of iterations, writes
``weights/two-stream-mini.safetensors`` in half precision, and prints the validation accuracy of each stream and of both,
clean and after compression. An interrupted run continues from its checkpoints when started again with the same arguments.
"""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from two_stream import FIELDS, FRAMES, SIZE, TwoStream, build, motion, prepare, sampled
from two_stream_frames import CROP, GAIN, JOINT_WEIGHT, LEAST, SMOOTHING, SPREAD, ActionFrames, Taught, spatial_loss

from pytest_lossy.codecs.base import round_trip
from pytest_lossy.codecs.registry import build_codec
from pytest_lossy.data.base import Sample
from pytest_lossy.data.mini_action import MiniAction
from pytest_lossy.retrain.batches import TrainingBatches
from pytest_lossy.retrain.loop import Loss, Progress, Schedule, fit
from pytest_lossy.retrain.weights import save_half

__all__ = ["FlowStore", "temporal_loss"]

HERE = Path(__file__).parent
BATCH, FRAME_BATCH = 16, 32
PEAK_RATE = 3e-3
WEIGHT_DECAY = 0.05
GRID = {"jpeg": (50, 30, 15, 10, 5), "h264": (30, 35, 40, 45, 50)}


class FlowStore:
    """Flow by the frames it was computed from, so that clips that come again cost nothing and compressed ones are new.

    Args:
        memory_bytes: flow is kept up to this size, and computed again beyond it.

    """

    def __init__(self, memory_bytes: int) -> None:
        self._left = memory_bytes
        self._kept: dict[bytes, Tensor] = {}

    def flow(self, frames: np.ndarray) -> Tensor:
        """What ``two_stream.motion`` gives, in half precision, of ``frames`` (T, H, W, 3)."""
        key = hashlib.blake2b(np.ascontiguousarray(frames), digest_size=16).digest()
        kept = self._kept.get(key)
        if kept is None:
            kept = torch.from_numpy(motion(frames)).half()
            if kept.nbytes <= self._left:
                self._left -= kept.nbytes
                self._kept[key] = kept
        return kept


_STORE = FlowStore(3_000_000_000)


def _view(sample: Sample, random: torch.Generator) -> Tensor:
    """A stack of flow (FIELDS, 2, *CROP / 2), cut out, scaled and mirrored."""
    frames = sampled(sample.media, sample.context.get("fps"))
    tall, wide, top, left, flip = torch.rand(5, generator=random).tolist()
    start = int(torch.randint(FRAMES - FIELDS, (), generator=random))
    # In cells of 2 x 2 pixels, those of the flow.
    cells = [side // 2 for side in SIZE]
    h, w = (round(side * (LEAST + (1 - LEAST) * share)) for side, share in zip(cells, (tall, wide), strict=True))
    y, x = int(top * (cells[0] - h + 1)), int(left * (cells[1] - w + 1))
    flow = _STORE.flow(frames)[start : start + FIELDS, :, y : y + h, x : x + w].float()
    flow = functional.interpolate(flow, [side // 2 for side in CROP], mode="bilinear", align_corners=False)
    mirrored = flip < 0.5
    scale = torch.tensor([CROP[1] / (2 * w) * (-1 if mirrored else 1), CROP[0] / (2 * h)])
    flow = flow * scale.view(1, 2, 1, 1)
    return flow.flip(-1) if mirrored else flow


def temporal_loss(network: nn.Module, samples: Sequence[Sample], random: torch.Generator) -> Tensor:
    """Cross-entropy of one view of every clip's flow: cut out, scaled, mirrored.

    Args:
        network: the temporal stream, in training mode.
        samples: clips whose targets are labels.
        random: the only source of randomness.

    """
    device = next(network.parameters()).device
    flow = torch.stack([_view(sample, random) for sample in samples]).flatten(1, 2).to(device)
    labels = torch.tensor([int(sample.target) for sample in samples], device=device)
    # Dropout draws from the global generator, which must depend on the iteration alone.
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(int(torch.randint(2**31, (), generator=random)))
        found = network(flow.contiguous(memory_format=torch.channels_last))
    return functional.cross_entropy(found, labels, label_smoothing=SMOOTHING)


@torch.inference_mode()
def accuracy(network: nn.Module, samples: Sequence[Sample]) -> dict[str, float]:
    """Share of the clips whose class is found, by both streams and by each alone."""
    hits: dict[str, int] = {}
    for start in range(0, len(samples), BATCH):
        batch = samples[start : start + BATCH]
        found = network(prepare([sample.media for sample in batch], [sample.context for sample in batch]))
        labels = torch.tensor([int(sample.target) for sample in batch])
        for name, scores in found.items():
            hits[name] = hits.get(name, 0) + int((scores.cpu().argmax(1) == labels).sum())
    return {name: count / len(samples) for name, count in hits.items()}


def compressed(samples: Sequence[Sample], codec: str, level: float) -> list[Sample]:
    """The same clips after a codec."""
    coder = build_codec(codec, {})
    media = [round_trip(coder, sample.media, level, fps=sample.context.get("fps")).media for sample in samples]
    return [
        Sample(id=sample.id, media=seen, target=sample.target, context=sample.context)
        for sample, seen in zip(samples, media, strict=True)
    ]


def show(progress: Progress) -> None:
    """One line."""
    print(
        f"{progress.iteration}/{progress.iterations}  loss {progress.loss:.3f}  {progress.seconds_left:.0f} s left",
        flush=True,
    )


def describe(values: dict[str, float]) -> str:
    """Accuracies in one line."""
    return "  ".join(f"{'both' if name == 'out' else name} {value:.3f}" for name, value in values.items())


def stage(
    network: nn.Module,
    loss: Loss,
    batches: TrainingBatches,
    schedule: Schedule,
    identity: Mapping[str, Any],
    checkpoint: Path,
) -> Path:
    """Train, and keep the result in the file that is returned, so that an interruption of what follows does not cost it."""
    finished = checkpoint.with_suffix(".finished.checkpoint")
    settings = {**dataclasses.asdict(schedule), **identity}
    if finished.exists():
        saved = torch.load(finished, map_location=next(network.parameters()).device, weights_only=True)
        if saved["settings"] == settings:
            network.load_state_dict(saved["network"])
            network.eval()
            return finished
    fit(network, loss, batches, schedule, identity=identity, checkpoint=checkpoint, report=show)
    temporary = finished.with_suffix(".tmp")
    torch.save({"settings": settings, "network": network.state_dict()}, temporary)
    temporary.replace(finished)  # whole or not at all
    return finished


def train(network: TwoStream, arguments: argparse.Namespace) -> list[Path]:
    """Both streams, one after the other: they share nothing, and learn from different data.

    Returns:
        files that are no longer needed once the network is saved.

    """
    seed = arguments.seed
    taught = Taught(network.spatial).to(arguments.device, memory_format=torch.channels_last)
    clips, frames = MiniAction(MiniAction.Options(split="train")), ActionFrames(ActionFrames.Options(split="train"))
    augmentation = [*CROP, LEAST, GAIN, SMOOTHING]
    schedule = Schedule(arguments.iterations, rate=PEAK_RATE, weight_decay=WEIGHT_DECAY, clip=5.0, seed=seed)
    temporal = stage(
        network.temporal,
        temporal_loss,
        TrainingBatches(clips, range(len(clips)), BATCH, seed),
        schedule,
        {"data": clips.fingerprint(), "augmentation": augmentation},
        arguments.out.with_suffix(".temporal.checkpoint"),
    )
    spatial = stage(
        taught,
        spatial_loss,
        TrainingBatches(frames, range(len(frames)), FRAME_BATCH, seed),
        dataclasses.replace(schedule, iterations=arguments.frame_iterations),
        {"data": frames.fingerprint(), "augmentation": augmentation, "joints": [SPREAD, JOINT_WEIGHT]},
        arguments.out.with_suffix(".spatial.checkpoint"),
    )
    return [temporal, spatial]


def main() -> None:
    """Train, save, measure."""
    parser = argparse.ArgumentParser(description="Train two-stream-mini on the mini world's train split.")
    parser.add_argument("--out", type=Path, default=HERE / "weights" / "two-stream-mini.safetensors")
    parser.add_argument("--iterations", type=int, default=2000, help=f"of {BATCH} clips each (default 2000)")
    parser.add_argument(
        "--frame-iterations", type=int, default=3000, help=f"of {FRAME_BATCH} frames each (default 3000)"
    )
    parser.add_argument("--validation", type=int, default=80, help="clips to measure on, a multiple of 8 (default 80)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1, help="of one PyTorch operation (default: 1)")
    parser.add_argument("--device", default="cpu")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(arguments.seed)
    # Channels last makes small convolutions faster on a CPU.
    network = build().to(arguments.device, memory_format=torch.channels_last)
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    began, processor = time.perf_counter(), time.process_time()
    intermediate = train(network, arguments)
    print(f"trained in {time.perf_counter() - began:.0f} s ({time.process_time() - processor:.0f} s of processor time)")
    digest = save_half(network, arguments.out)
    for file in intermediate:
        file.unlink(missing_ok=True)
    print(f"{arguments.out}: {arguments.out.stat().st_size} bytes, sha256 {digest}", flush=True)
    validation = MiniAction(MiniAction.Options(split="val", count=arguments.validation))
    samples = [validation.load(index) for index in range(len(validation))]
    print(f"val top-1: {describe(accuracy(network, samples))}", flush=True)
    for codec, levels in GRID.items():
        for level in levels:
            values = accuracy(network, compressed(samples, codec, level))
            print(f"  {codec} {level}: {describe(values)}", flush=True)


if __name__ == "__main__":
    main()
