"""Train the action recognition model of the reference suite on the mini world.

    python model_specs/train_two_stream.py

renders the training split (once; cached), trains both streams for a fixed number of iterations, writes
``weights/two-stream-mini.safetensors`` in half precision, and prints the validation accuracy of each stream and of both,
clean and after compression. An interrupted run continues from its checkpoint when started again with the same arguments.
"""

from __future__ import annotations

import argparse
import hashlib
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from two_stream import FIELDS, FRAMES, SIZE, build, motion, normalised, prepare, sampled

from pytest_lossy.codecs.base import round_trip
from pytest_lossy.codecs.registry import build_codec
from pytest_lossy.data.base import Sample
from pytest_lossy.data.mini_action import MiniAction
from pytest_lossy.retrain.batches import TrainingBatches
from pytest_lossy.retrain.loop import Progress, Schedule, fit
from pytest_lossy.retrain.weights import save_half

__all__ = ["FlowStore", "loss"]

HERE = Path(__file__).parent
BATCH = 16
PEAK_RATE = 3e-3
WEIGHT_DECAY = 0.05
SMOOTHING = 0.05
"""Share of a label that goes to all classes alike."""
CROP = (80, 112)
"""What a cut-out of a frame becomes: at test time frames are whole."""
LEAST = 0.75
"""Least height and width of a cut-out, as a share of the frame's."""
GAIN = 0.3
"""Largest relative change of brightness, and of each colour against the others."""
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


def _view(sample: Sample, random: torch.Generator) -> tuple[Tensor, Tensor]:
    """A frame (3, *CROP) and a stack of flow (FIELDS, 2, *CROP / 2), cut out, scaled and mirrored alike."""
    frames = sampled(sample.media, sample.context.get("fps"))
    tall, wide, top, left, flip = torch.rand(5, generator=random).tolist()
    start = int(torch.randint(FRAMES - FIELDS, (), generator=random))
    look = int(torch.randint(FRAMES, (), generator=random))
    # In cells of 2 x 2 pixels, those of the flow.
    cells = [side // 2 for side in SIZE]
    h, w = (round(side * (LEAST + (1 - LEAST) * share)) for side, share in zip(cells, (tall, wide), strict=True))
    y, x = int(top * (cells[0] - h + 1)), int(left * (cells[1] - w + 1))
    flow = _STORE.flow(frames)[start : start + FIELDS, :, y : y + h, x : x + w].float()
    picture = (
        torch.from_numpy(frames[look, 2 * y : 2 * (y + h), 2 * x : 2 * (x + w)].copy()).movedim(-1, 0)[None].float()
    )
    picture = functional.interpolate(picture, CROP, mode="bilinear", align_corners=False)
    flow = functional.interpolate(flow, [side // 2 for side in CROP], mode="bilinear", align_corners=False)
    mirrored = flip < 0.5
    scale = torch.tensor([CROP[1] / (2 * w) * (-1 if mirrored else 1), CROP[0] / (2 * h)])
    flow = flow * scale.view(1, 2, 1, 1)
    gain = 1 + GAIN * (2 * torch.rand(4, generator=random) - 1)
    picture = (picture[0] * gain[0] * (0.5 + 0.5 * gain[1:]).view(3, 1, 1)).clamp(0, 255)
    return (picture.flip(-1), flow.flip(-1)) if mirrored else (picture, flow)


def loss(network: nn.Module, samples: Sequence[Sample], random: torch.Generator) -> Tensor:
    """Cross-entropy of both streams, each of one view of every clip: cut out, scaled, mirrored, brightened or darkened.

    Args:
        network: as of ``two_stream.build``, in training mode.
        samples: clips whose targets are labels.
        random: the only source of randomness.

    """
    device = next(network.parameters()).device
    views = [_view(sample, random) for sample in samples]
    frames = normalised(torch.stack([picture for picture, _ in views]).movedim(1, -1))[:, None]
    flow = torch.stack([stack for _, stack in views])
    labels = torch.tensor([int(sample.target) for sample in samples], device=device)
    # Dropout draws from the global generator, which must depend on the iteration alone.
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(int(torch.randint(2**31, (), generator=random)))
        found = network({"frames": frames, "flow": flow})
    # The streams give logarithms of probabilities, which are logits too.
    terms = [
        functional.cross_entropy(found[name], labels, label_smoothing=SMOOTHING) for name in ("spatial", "temporal")
    ]
    return torch.stack(terms).sum()


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


def main() -> None:
    """Train, save, measure."""
    parser = argparse.ArgumentParser(description="Train two-stream-mini on the mini world's train split.")
    parser.add_argument("--out", type=Path, default=HERE / "weights" / "two-stream-mini.safetensors")
    parser.add_argument("--iterations", type=int, default=2000, help=f"of {BATCH} clips each (default 2000)")
    parser.add_argument("--validation", type=int, default=80, help="clips to measure on, a multiple of 8 (default 80)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1, help="of one PyTorch operation (default: 1)")
    parser.add_argument("--device", default="cpu")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    data = MiniAction(MiniAction.Options(split="train"))
    torch.manual_seed(arguments.seed)
    # Channels last makes small convolutions faster on a CPU.
    network = build(len(data.classes)).to(arguments.device, memory_format=torch.channels_last)
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    began, processor = time.perf_counter(), time.process_time()
    fit(
        network,
        loss,
        TrainingBatches(data, range(len(data)), BATCH, arguments.seed),
        Schedule(arguments.iterations, rate=PEAK_RATE, weight_decay=WEIGHT_DECAY, clip=5.0, seed=arguments.seed),
        identity={"data": data.fingerprint(), "augmentation": [*CROP, LEAST, GAIN, SMOOTHING]},
        checkpoint=arguments.out.with_suffix(".checkpoint"),
        report=show,
    )
    print(f"trained in {time.perf_counter() - began:.0f} s ({time.process_time() - processor:.0f} s of processor time)")
    digest = save_half(network, arguments.out)
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
