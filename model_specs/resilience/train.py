"""Train the twelve networks of the controlled experiment: two tasks, two architectures, three seeds each.

    python model_specs/resilience/train.py                          # all of them
    python model_specs/resilience/train.py 'resilience-depth-*'     # those whose names match

Both architectures of a task see the same data, crops, augmentation, optimiser and number of iterations. The seed draws the
initial weights, the order of the samples and the augmentation; it alone differs between the three runs of an architecture.
Each network's weights are written to ``weights/`` in half precision and their SHA-256 into its spec, and its validation
score is printed, clean and after JPEG. An interrupted run continues from its checkpoint when started again with the same
arguments; ``--missing`` passes over networks that have weights.

Segmentation minimises cross-entropy with class weights; depth the L1 distance of log depth and of its gradients at several
scales (as Li & Snavely, "MegaDepth", CVPR 2018, section 4).

Clean scores on the test split, mean and standard deviation over three seeds (encoder-decoder, dilated): mIoU .550 +- .009
and .573 +- .002; delta < 1.25 .399 +- .003 and .409 +- .002, AbsRel .427 +- .009 and .434 +- .010. The arms were to be
alike in this, within .02: in depth they are, in segmentation not quite. In size they are (211 and 197 thousand parameters
for segmentation, 206 and 200 for depth). Widths, dilations and kinds of layers were chosen with one seed by clean
validation scores alone: for segmentation by runs of 300 iterations, for depth by whole ones, since there arms that were
level after 300 iterations came apart later (with the nets of segmentation, delta < 1.25 ended at .456 and .398).
"""

from __future__ import annotations

import argparse
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache, partial
from pathlib import Path

import numpy as np
import torch
from networks import dilated, encoder_decoder, places
from torch import Tensor, nn
from torch.nn import functional

from pytest_lossy.codecs.base import round_trip
from pytest_lossy.codecs.jpeg import JpegCodec
from pytest_lossy.data.base import Dataset, Sample
from pytest_lossy.data.mini.segmentation import MiniSegmentation
from pytest_lossy.data.mini_depth import MiniDepth
from pytest_lossy.retrain.batches import TrainingBatches
from pytest_lossy.retrain.loop import Loss, Progress, Schedule, fit
from pytest_lossy.retrain.weights import save_half
from pytest_lossy.tasks.depth import DepthTask
from pytest_lossy.tasks.segmentation import SegmentationTask

__all__ = ["NETWORKS", "Network", "depth_loss", "segmentation_loss", "train"]

HERE = Path(__file__).parent
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # ImageNet's; the specs declare the same
BATCH = 4
CROP = (144, 192)  # of 192x256: nearly twice the steps in the same time, and every frame looks new each epoch
ITERATIONS = {"seg": 800, "depth": 1500}
"""Depth takes longer to learn; what matters is that both architectures of a task have the same."""
SEEDS = (1, 2, 3)
PEAK_RATE = 4e-3
CLIP = 5.0  # norm of the gradient
GAIN = 0.25  # largest relative change of brightness
SMOOTHNESS = 0.25  # weight of the gradients of log depth
SCALES = 3
IGNORED = 255
HELD_OUT = 100  # frames of the validation split
QUALITIES = (30, 10)

ARMS: dict[str, dict[str, Callable[[int | None], nn.Module]]] = {
    "encdec": {"seg": encoder_decoder, "depth": partial(encoder_decoder, widths=(24, 48, 72))},
    "dilated": {"seg": dilated, "depth": partial(dilated, width=72, dilations=(1, 2, 4, 8, 16))},
}
"""Name of an architecture -> task -> what builds it, given the number of classes or None; specs declare the same."""


@dataclass(frozen=True)
class Network:
    """One of the twelve."""

    task: str
    """``seg`` or ``depth``."""
    arm: str
    seed: int

    @property
    def name(self) -> str:
        """Of the spec and of the weights."""
        return f"resilience-{self.task}-{self.arm}.s{self.seed}"

    def build(self) -> nn.Module:
        """With the random weights of its seed, in the layout that is fast on a CPU."""
        torch.manual_seed(self.seed)
        network = ARMS[self.arm][self.task](len(MiniSegmentation().classes) if self.task == "seg" else None)
        return network.to(memory_format=torch.channels_last)


NETWORKS = tuple(Network(task, arm, seed) for task in ("seg", "depth") for seed in SEEDS for arm in ARMS)


def normalised(pixels: Tensor) -> Tensor:
    """RGB of 0 to 255 with ImageNet's mean and standard deviation taken out, in the layout that is fast on a CPU."""
    mean, std = (torch.tensor(value, device=pixels.device).view(1, 3, 1, 1) for value in (MEAN, STD))
    return ((pixels / 255 - mean) / std).contiguous(memory_format=torch.channels_last)


def augmented(samples: Sequence[Sample], random: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """Random parts of the samples, mirrored or not, brighter or darker.

    Returns:
        (N, 3, h, w) normalised images, (N, 2, h, w) where in the mirrored pictures they lie, (N, h, w) targets.

    """
    images, wheres, targets = [], [], []
    for sample in samples:
        flip, gain = torch.rand(2, generator=random).tolist()
        height, width = sample.media.shape[:2]
        h, w = min(CROP[0], height), min(CROP[1], width)
        top = int(torch.randint(height - h + 1, (), generator=random))
        left = int(torch.randint(width - w + 1, (), generator=random))
        window = (..., slice(top, top + h), slice(left, left + w))
        parts = [torch.from_numpy(np.array(sample.media)).permute(2, 0, 1), torch.from_numpy(np.array(sample.target))]
        pixels, target = (part.flip(-1)[window] if flip < 0.5 else part[window] for part in parts)
        images.append((pixels.float() * (1 + GAIN * (2 * gain - 1))).clamp(0, 255))
        wheres.append(places(height, width)[window])
        targets.append(target)
    return normalised(torch.stack(images)), torch.stack(wheres), torch.stack(targets)


def segmentation_loss(weights: Tensor) -> Loss:
    """Cross-entropy, each class weighted; see ``pytest_lossy.retrain.loop.Loss``."""

    def loss(network: nn.Module, samples: Sequence[Sample], random: torch.Generator) -> Tensor:
        images, where, labels = augmented(samples, random)
        return functional.cross_entropy(network(images, where), labels.long(), weight=weights, ignore_index=IGNORED)

    return loss


def class_weights(labels: Sequence[np.ndarray], classes: int) -> Tensor:
    """Square root of median frequency balancing (Eigen & Fergus 2015, section 6.3.2).

    A class's frequency is its share of the pixels of those images that contain it. The root keeps rare
    classes from flooding the picture with false positives.
    """
    counts = np.stack([np.bincount(image.ravel(), minlength=256)[:classes] for image in labels]).astype(np.float64)
    pixels = np.array([image.size for image in labels])[:, None]
    frequency = counts.sum(0) / np.maximum(((counts > 0) * pixels).sum(0), 1)
    return torch.from_numpy(np.sqrt(np.median(frequency) / np.maximum(frequency, 1e-6))).float()


def depth_loss(network: nn.Module, samples: Sequence[Sample], random: torch.Generator) -> Tensor:
    """Mean absolute error of log depth and of its differences between neighbours, where both are known."""
    images, where, truth = augmented(samples, random)
    truth = truth[:, None]
    known = (truth > 0).float()
    error = (network(images, where).log() - truth.clamp(min=1e-3).log()) * known
    value = error.abs().sum() / known.sum().clamp(min=1)
    for scale in range(SCALES):
        step = 2**scale
        e, k = error[..., ::step, ::step], known[..., ::step, ::step]
        for one, two in (((..., slice(1, None), slice(None)), (..., slice(-1), slice(None))),
                         ((..., slice(1, None)), (..., slice(-1)))):  # fmt: skip
            both = k[one] * k[two]
            value = value + SMOOTHNESS / SCALES * ((e[one] - e[two]) * both).abs().sum() / both.sum().clamp(min=1)
    return value


@cache
def data_of(task: str, split: str) -> Dataset:
    """The samples of a task; the validation split is cut to the first frames."""
    count = None if split == "train" else HELD_OUT
    if task == "seg":
        return MiniSegmentation(split, count)
    return MiniDepth(MiniDepth.Options(split=split, count=count))


@cache
def loss_of(task: str) -> Loss:
    """What a task's networks minimise."""
    if task == "depth":
        return depth_loss
    data = data_of(task, "train")
    labels = [np.asarray(data.load(index).target) for index in range(len(data))]
    return segmentation_loss(class_weights(labels, len(data.classes)))


@torch.inference_mode()
def score(network: nn.Module, task: str, data: Dataset, quality: int | None) -> dict[str, float]:
    """The task's metrics over a data set, after a JPEG round trip where ``quality`` is given."""
    network.eval()
    judge: SegmentationTask | DepthTask = SegmentationTask(data.classes) if task == "seg" else DepthTask()
    codec, evidence = JpegCodec(), []
    for index in range(len(data)):
        sample = data.load(index)
        media = sample.media if quality is None else round_trip(codec, sample.media, quality).media
        answer = network(normalised(torch.from_numpy(media.copy()).permute(2, 0, 1)[None].float()))[0]
        prediction = answer.argmax(0).numpy() if task == "seg" else answer[0].numpy()
        evidence.append(judge.evidence(prediction, sample.target))
    return {name: float(value[0]) for name, value in judge.reduce(evidence, np.ones((1, len(evidence)))).items()}


def train(network: Network, iterations: int, folder: Path) -> tuple[nn.Module, str]:
    """Train one of the twelve and write its weights; returns it as shipped, and the SHA-256 of the file."""
    data, path = data_of(network.task, "train"), folder / f"{network.name}.safetensors"
    folder.mkdir(parents=True, exist_ok=True)
    module = network.build()
    began, processor = time.perf_counter(), time.process_time()
    fit(
        module,
        loss_of(network.task),
        TrainingBatches(data, range(len(data)), BATCH, network.seed),
        Schedule(iterations, rate=PEAK_RATE, clip=CLIP, seed=network.seed),
        identity={"network": network.name, "data": data.fingerprint(), "batch": BATCH, "crop": list(CROP)},
        checkpoint=path.with_suffix(".checkpoint"),
        report=show,
        report_every=100,
    )
    seconds, busy = time.perf_counter() - began, time.process_time() - processor
    print(f"{network.name}: trained in {seconds:.0f} s ({busy:.0f} s of processor time)")
    return module, save_half(module, path)


def show(progress: Progress) -> None:
    """One line."""
    print(
        f"{progress.iteration}/{progress.iterations}  loss {progress.loss:.3f}  {progress.seconds_left:.0f} s left",
        flush=True,
    )


def write_digest(spec: Path, digest: str) -> None:
    """Put the SHA-256 of new weights into their spec."""
    text, found = re.subn(r'(?m)^(  sha256: )"[^"]*"', rf'\g<1>"{digest}"', spec.read_text(encoding="utf-8"))
    if found != 1:
        raise ValueError(
            f"{spec}: found {found} lines of the form '  sha256: \"...\"', expected one; write {digest} there"
        )
    spec.write_text(text, encoding="utf-8")


def main(arguments: Sequence[str] | None = None) -> None:
    """Train, save, measure."""
    shown = ", ".join(f"{task} {iterations}" for task, iterations in ITERATIONS.items())
    parser = argparse.ArgumentParser(description="Train the networks of the controlled experiment.")
    parser.add_argument("names", nargs="*", default=["*"], help="names or patterns of networks (default: all twelve)")
    parser.add_argument("--missing", action="store_true", help="only those without weights")
    parser.add_argument("--iterations", type=int, help=f"of {BATCH} crops (default: {shown})")
    parser.add_argument("--out", type=Path, help="folder of the weights (default: weights/, and the specs are updated)")
    parser.add_argument("--threads", type=int, default=1, help="of one PyTorch operation (default: 1)")
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    folder = options.out or HERE / "weights"
    chosen = [network for network in NETWORKS if any(fnmatchcase(network.name, name) for name in options.names)]
    if not chosen:
        parser.error(f"no network matches {' '.join(options.names)}; there are {', '.join(n.name for n in NETWORKS)}")
    for network in chosen:
        if options.missing and (folder / f"{network.name}.safetensors").exists():
            continue
        module, digest = train(network, options.iterations or ITERATIONS[network.task], folder)
        if options.out is None:
            write_digest(HERE / f"{network.name}.yaml", digest)
        print(f"{network.name}: sha256 {digest}")
        for quality in (None, *QUALITIES):
            found = score(module, network.task, data_of(network.task, "val"), quality)
            shown = ", ".join(f"{key} {found[key]:.4f}" for key in ("miou", "delta1", "abs_rel") if key in found)
            print(f"  val {'clean' if quality is None else f'jpeg q{quality}'}: {shown}", flush=True)


if __name__ == "__main__":
    main()
