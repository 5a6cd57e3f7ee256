"""Train the classifier of the reference suite on the mini world.

    python model_specs/train_convnet.py

renders the training split (once; cached), trains for a fixed number of iterations, writes
``weights/convnet-mini.safetensors`` in half precision, and prints the validation accuracy, clean and after JPEG. An
interrupted run continues from its checkpoint when started again with the same arguments.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from convnet import build
from torch import Tensor, nn
from torch.nn import functional

from pytest_lossy.codecs.base import round_trip
from pytest_lossy.codecs.jpeg import JpegCodec
from pytest_lossy.data.base import Sample
from pytest_lossy.data.mini_classification import MiniClassification
from pytest_lossy.retrain.batches import TrainingBatches
from pytest_lossy.retrain.loop import Progress, Schedule, fit
from pytest_lossy.retrain.weights import save_half

__all__ = ["loss"]

HERE = Path(__file__).parent
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # ImageNet's; the spec declares the same
BATCH = 32
PEAK_RATE = 3e-3
GAIN = 0.25
"""Largest relative change of brightness."""
SHIFT = 8
"""Pixels that a picture moves at most, either way; what enters repeats the border."""
SMOOTHING = 0.05
QUALITIES = (95, 75, 50, 30, 15, 10, 5)
MIRRORED = {4: 5, 5: 4, **{label: label for label in range(6, 14)}}
"""The class of the mirrored picture: a turn to the left becomes one to the right, and digits have no mirror image."""


def normalise(images: Tensor) -> Tensor:
    """(N, 3, H, W), 0 to 255 RGB, to float32 with ImageNet's mean and standard deviation."""
    mean, std = (torch.tensor(v, device=images.device).view(1, 3, 1, 1) for v in (MEAN, STD))
    return (images.float() / 255 - mean) / std


def loss(network: nn.Module, samples: Sequence[Sample], random: torch.Generator) -> Tensor:
    """Cross-entropy of pictures that are moved, mirrored where that has a class, and brightened or darkened at random.

    Args:
        network: as of ``convnet.build``, in training mode.
        samples: stills of one size with targets of ``mini-classification``.
        random: the only source of randomness.

    """
    device = next(network.parameters()).device
    images, labels = [], []
    for sample in samples:
        flip, gain = torch.rand(2, generator=random).tolist()
        down, right = torch.randint(-SHIFT, SHIFT + 1, (2,), generator=random).tolist()
        height, width = sample.media.shape[:2]
        rows = np.clip(np.arange(height) - down, 0, height - 1)
        columns = np.clip(np.arange(width) - right, 0, width - 1)
        label = int(sample.target)
        if flip < 0.5 and label in MIRRORED:
            columns, label = columns[::-1], MIRRORED[label]
        moved = torch.from_numpy(sample.media[rows[:, None], columns]).permute(2, 0, 1).float()
        images.append((moved * (1 + GAIN * (2 * gain - 1))).clamp(0, 255))
        labels.append(label)
    inputs = normalise(torch.stack(images).to(device)).contiguous(memory_format=torch.channels_last)
    return functional.cross_entropy(network(inputs), torch.tensor(labels, device=device), label_smoothing=SMOOTHING)


@torch.inference_mode()
def hits(network: nn.Module, samples: Sequence[Sample], quality: int | None) -> Tensor:
    """Whether each sample's best class is its own, after JPEG at ``quality`` or as it is: (N,) bool."""
    device, codec, found = next(network.parameters()).device, JpegCodec(), []
    for sample in samples:
        media = sample.media if quality is None else round_trip(codec, sample.media, quality).media
        image = torch.from_numpy(media.copy()).permute(2, 0, 1)[None].to(device)
        found.append(int(network(normalise(image)).argmax()) == int(sample.target))
    return torch.tensor(found)


def show(progress: Progress) -> None:
    """One line."""
    print(
        f"{progress.iteration}/{progress.iterations}  loss {progress.loss:.3f}  {progress.seconds_left:.0f} s left",
        flush=True,
    )


def main() -> None:
    """Train, save, measure."""
    parser = argparse.ArgumentParser(description="Train convnet-mini on the mini world's train split.")
    parser.add_argument("--out", type=Path, default=HERE / "weights" / "convnet-mini.safetensors")
    parser.add_argument("--iterations", type=int, default=1000, help=f"of {BATCH} pictures each (default 1000)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1, help="of one PyTorch operation (default: 1)")
    parser.add_argument("--device", default="cpu")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    data = MiniClassification(MiniClassification.Options(split="train"))
    torch.manual_seed(arguments.seed)
    # Channels last makes small convolutions faster on a CPU.
    network = build(len(data.classes)).to(arguments.device, memory_format=torch.channels_last)
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    began, processor = time.perf_counter(), time.process_time()
    fit(
        network,
        loss,
        TrainingBatches(data, range(len(data)), BATCH, arguments.seed),
        Schedule(arguments.iterations, rate=PEAK_RATE, weight_decay=0.05, clip=5.0, seed=arguments.seed),
        identity={"data": data.fingerprint(), "gain": GAIN, "shift": SHIFT, "smoothing": SMOOTHING},
        checkpoint=arguments.out.with_suffix(".checkpoint"),
        report=show,
    )
    print(f"trained in {time.perf_counter() - began:.0f} s ({time.process_time() - processor:.0f} s of processor time)")
    digest = save_half(network, arguments.out)
    print(f"{arguments.out}: {arguments.out.stat().st_size} bytes, sha256 {digest}", flush=True)
    validation = MiniClassification(MiniClassification.Options(split="val"))
    samples = [validation.load(index) for index in range(len(validation))]
    labels = torch.tensor([int(sample.target) for sample in samples])
    clean = hits(network, samples, None)
    for label, name in enumerate(data.classes):
        print(f"  {name:12} {clean[labels == label].float().mean():.3f}")
    print(f"val top-1 {clean.float().mean():.4f}")
    for quality in QUALITIES:
        print(f"  jpeg q{quality}: {hits(network, samples, quality).float().mean():.4f}", flush=True)


if __name__ == "__main__":
    main()
