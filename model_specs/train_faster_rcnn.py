"""Train the detection model of the reference suite on the mini world.

    python model_specs/train_faster_rcnn.py

renders the training split (once; cached), trains for a fixed number of iterations, writes
``weights/faster-rcnn-mini.safetensors`` in half precision, and prints the validation AP, clean and after JPEG, and the
score threshold of the best clean F1. An interrupted run continues from its checkpoint when started again with the same
arguments.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from faster_rcnn import GAIN, build, loss
from torch import nn

from pytest_lossy.codecs.base import Codec, round_trip
from pytest_lossy.codecs.jpeg import JpegCodec
from pytest_lossy.data.base import Sample
from pytest_lossy.data.mini_detection import MiniDetection
from pytest_lossy.retrain.batches import TrainingBatches
from pytest_lossy.retrain.loop import Progress, Schedule, fit
from pytest_lossy.retrain.weights import save_half
from pytest_lossy.tasks.base import Evidence
from pytest_lossy.tasks.detection import DetectionOptions, DetectionTask

__all__ = ["loss"]

HERE = Path(__file__).parent
BATCH = 2  # in the same time, twice the steps of half the size reach further
PEAK_RATE = 1.5e-3
QUALITIES = (95, 75, 50, 30, 15, 10, 5)
THRESHOLDS = tuple(round(0.05 * step, 2) for step in range(2, 20))


@torch.inference_mode()
def collect(
    network: nn.Module, samples: Sequence[Sample], task: DetectionTask, codec: Codec, quality: float | None
) -> list[Evidence]:
    """The evidence of all samples, after ``codec`` at a quality or as they are."""
    device = next(network.parameters()).device
    evidence = []
    for sample in samples:
        media = sample.media if quality is None else round_trip(codec, sample.media, quality).media
        image = torch.from_numpy(media.copy()).permute(2, 0, 1).float().to(device) / 255
        found = {name: value.cpu().numpy() for name, value in network([image])[0].items()}
        evidence.append(task.evidence({**found, "labels": found["labels"] - 1}, sample.target))
    return evidence


def measure(network: nn.Module, samples: Sequence[Sample], classes: tuple[str, ...]) -> None:
    """Print AP, clean and after JPEG, and the threshold of the best clean F1."""
    weights, codec = np.ones((1, len(samples))), JpegCodec()
    clean = collect(
        network, samples, DetectionTask(classes, DetectionOptions(score_threshold=THRESHOLDS[0])), codec, None
    )
    by_threshold = {}
    for threshold in THRESHOLDS:
        task = DetectionTask(classes, DetectionOptions(score_threshold=threshold))
        by_threshold[threshold] = float(task.reduce(clean, weights)["f1"][0])
    best = max(by_threshold, key=lambda threshold: by_threshold[threshold])
    task = DetectionTask(classes, DetectionOptions(score_threshold=best))
    values = {name: float(value[0]) for name, value in task.reduce(clean, weights).items()}
    for name in classes:
        print(f"  {name:7} AP {values[f'ap[{name}]']:.3f}  AP50 {values[f'ap50[{name}]']:.3f}")
    print(f"val AP {values['ap']:.4f}  AP50 {values['ap50']:.4f}")
    print(f"best F1 {by_threshold[best]:.3f} at score threshold {best:g}, for the spec's task_kwargs")
    for quality in QUALITIES:
        seen = task.reduce(collect(network, samples, task, codec, quality), weights)
        print(f"  jpeg q{quality}: AP {seen['ap'][0]:.4f}  AP50 {seen['ap50'][0]:.4f}", flush=True)


def show(progress: Progress) -> None:
    """One line."""
    print(
        f"{progress.iteration}/{progress.iterations}  loss {progress.loss:.3f}  {progress.seconds_left:.0f} s left",
        flush=True,
    )


def main() -> None:
    """Train, save, measure."""
    parser = argparse.ArgumentParser(description="Train faster-rcnn-mini on the mini world's train split.")
    parser.add_argument("--out", type=Path, default=HERE / "weights" / "faster-rcnn-mini.safetensors")
    parser.add_argument("--iterations", type=int, default=4000, help=f"of {BATCH} frames each (default 4000)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1, help="of one PyTorch operation (default: 1)")
    parser.add_argument("--device", default="cpu")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    data = MiniDetection(MiniDetection.Options(split="train"))
    torch.manual_seed(arguments.seed)
    # Channels last makes small convolutions faster on a CPU.
    network = build(len(data.classes)).to(arguments.device, memory_format=torch.channels_last)
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    began, processor = time.perf_counter(), time.process_time()
    fit(
        network,
        loss,
        TrainingBatches(data, range(len(data)), BATCH, arguments.seed),
        Schedule(arguments.iterations, rate=PEAK_RATE, weight_decay=0.01, clip=5.0, seed=arguments.seed),
        identity={"data": data.fingerprint(), "gain": GAIN},
        checkpoint=arguments.out.with_suffix(".checkpoint"),
        report=show,
    )
    print(f"trained in {time.perf_counter() - began:.0f} s ({time.process_time() - processor:.0f} s of processor time)")
    digest = save_half(network, arguments.out)
    print(f"{arguments.out}: {arguments.out.stat().st_size} bytes, sha256 {digest}", flush=True)
    validation = MiniDetection(MiniDetection.Options(split="val"))
    measure(network, [validation.load(index) for index in range(len(validation))], data.classes)


if __name__ == "__main__":
    main()
