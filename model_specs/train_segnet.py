"""Train the segmentation model of the reference suite on the mini world.

    python model_specs/train_segnet.py

renders the training split (once; cached), trains for a fixed number of iterations, prints the validation
mIoU, clean and after JPEG, and writes ``weights/segnet-mini.safetensors`` in half precision. An interrupted
run continues from its checkpoint when started again with the same arguments.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import math
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors.torch import save_file
from segnet import build
from segnet_loss import IGNORED, augmented, class_weights, normalise
from torch import Tensor, nn
from torch.nn import functional

from pytest_lossy.data.mini.segmentation import MiniSegmentation

HERE = Path(__file__).parent
BATCH = 4  # with few images, twice the steps of half the size reach further in the same time
PEAK_RATE = 4e-3
WARM_UP = 0.1  # share of the iterations
WEIGHT_DECAY = 0.01
CHECKPOINT_EVERY = 200
QUALITIES = (95, 75, 50, 30, 15, 10, 5)


def load(split: str) -> tuple[Tensor, Tensor]:
    """All frames of a split: (N, 3, H, W) uint8 images and (N, H, W) uint8 labels."""
    data = MiniSegmentation(split)
    images, labels = [], []
    for index in range(len(data)):
        sample = data.load(index)
        images.append(torch.from_numpy(sample.media.transpose(2, 0, 1).copy()))
        labels.append(torch.from_numpy(np.array(sample.target)))
        if (index + 1) % 100 == 0:
            print(f"{split}: {index + 1} of {len(data)} frames", flush=True)
    return torch.stack(images), torch.stack(labels)


def batch(images: Tensor, labels: Tensor, iteration: int, seed: int) -> tuple[Tensor, Tensor]:
    """The augmented batch of an iteration: a function of its number, for the sake of resumed runs."""
    per_epoch = len(images) // BATCH
    epoch, step = divmod(iteration, per_epoch)
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(seed * 100_003 + epoch))
    chosen = order[step * BATCH : (step + 1) * BATCH]
    random = torch.Generator().manual_seed(seed * 1_000_003 + iteration)
    return augmented([images[i] for i in chosen.tolist()], [labels[i] for i in chosen.tolist()], random)


def rate_at(iteration: int, total: int) -> float:
    """Learning rate: linear warm-up, then half a cosine to zero."""
    warm = max(1, round(WARM_UP * total))
    if iteration < warm:
        return PEAK_RATE * (iteration + 1) / warm
    return PEAK_RATE * 0.5 * (1 + math.cos(math.pi * (iteration - warm) / max(1, total - warm)))


def compressed(image: Tensor, quality: int) -> Tensor:
    """A JPEG round trip of a (3, H, W) uint8 image with Pillow's defaults."""
    buffer = io.BytesIO()
    Image.fromarray(image.permute(1, 2, 0).numpy()).save(buffer, "JPEG", quality=quality)
    with Image.open(buffer) as decoded:
        return torch.from_numpy(np.array(decoded).transpose(2, 0, 1).copy())


@torch.no_grad()
def mean_iou(model: nn.Module, images: Tensor, labels: Tensor, classes: int, device: str) -> tuple[float, Tensor]:
    """Global mIoU over the classes with ground truth, and the IoU of each class."""
    model.eval()
    confusion = torch.zeros(classes, classes, dtype=torch.int64)
    for start in range(0, len(images), BATCH):
        predicted = model(normalise(images[start : start + BATCH].to(device))).argmax(1).cpu()
        target = labels[start : start + BATCH].long()
        kept = target != IGNORED
        pairs = target[kept] * classes + predicted[kept]
        confusion += torch.bincount(pairs, minlength=classes**2).view(classes, classes)
    truth, found, hit = confusion.sum(1), confusion.sum(0), confusion.diag()
    iou = hit.double() / (truth + found - hit).clamp(min=1)
    return float(iou[truth > 0].mean()), iou


def train(arguments: argparse.Namespace) -> nn.Module:
    """The fixed number of iterations, continued from a checkpoint of the same settings where there is one."""
    images, labels = load("train")
    classes = len(MiniSegmentation("train").classes)
    torch.manual_seed(arguments.seed)
    # Channels last makes small convolutions a third faster on a CPU.
    model = build(classes).to(arguments.device, memory_format=torch.channels_last)
    optimiser = torch.optim.AdamW(model.parameters(), lr=PEAK_RATE, weight_decay=WEIGHT_DECAY)
    weights = class_weights(labels, classes).to(arguments.device)
    settings = {
        "iterations": arguments.iterations,
        "seed": arguments.seed,
        "data": MiniSegmentation("train").fingerprint(),
    }
    checkpoint = arguments.out.with_suffix(".checkpoint")
    first = 0
    if checkpoint.exists():
        saved = torch.load(checkpoint, map_location=arguments.device, weights_only=True)
        if saved["settings"] == settings:
            model.load_state_dict(saved["model"])
            optimiser.load_state_dict(saved["optimiser"])
            first = saved["iteration"]
            print(f"continuing from iteration {first} ({checkpoint})")
    model.train()
    began, running = time.perf_counter(), 0.0
    for iteration in range(first, arguments.iterations):
        for group in optimiser.param_groups:
            group["lr"] = rate_at(iteration, arguments.iterations)
        pixels, target = batch(images, labels, iteration, arguments.seed)
        inputs = normalise(pixels.to(arguments.device)).contiguous(memory_format=torch.channels_last)
        scores = model(inputs)
        loss = functional.cross_entropy(scores, target.to(arguments.device), weight=weights, ignore_index=IGNORED)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        running = loss.item() if iteration == first else 0.95 * running + 0.05 * loss.item()
        done = iteration + 1
        if done % 25 == 0 or done == arguments.iterations:
            speed = (done - first) / (time.perf_counter() - began)
            left = (arguments.iterations - done) / speed
            print(
                f"{done}/{arguments.iterations}  loss {running:.3f}  {speed:.2f} it/s  {left:.0f} s left",
                flush=True,
            )
        if done % CHECKPOINT_EVERY == 0 and done < arguments.iterations:
            state = {
                "settings": settings,
                "model": model.state_dict(),
                "optimiser": optimiser.state_dict(),
                "iteration": done,
            }
            temporary = checkpoint.with_suffix(".tmp")
            torch.save(state, temporary)
            temporary.replace(checkpoint)
    return model


def save(model: nn.Module, out: Path) -> str:
    """Write the state in half precision; the SHA-256 of the file, for the spec."""
    state = {
        name: (tensor.half() if tensor.is_floating_point() else tensor).cpu().contiguous()
        for name, tensor in model.state_dict().items()
    }
    save_file(state, out)
    out.chmod(0o644)  # safetensors makes files that only their owner can read
    model.load_state_dict(state)  # what follows measures the weights as they are shipped
    return hashlib.sha256(out.read_bytes()).hexdigest()


def main() -> None:
    """Train, save, measure."""
    parser = argparse.ArgumentParser(description="Train segnet-mini on the mini world's train split.")
    parser.add_argument("--out", type=Path, default=HERE / "weights" / "segnet-mini.safetensors")
    parser.add_argument("--iterations", type=int, default=2400, help=f"of {BATCH} crops each (default 2400)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1, help="of one PyTorch operation (default: 1)")
    parser.add_argument("--device", default="cpu")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    began = time.perf_counter()
    model = train(arguments)
    print(f"trained in {time.perf_counter() - began:.0f} s")
    digest = save(model, arguments.out)
    arguments.out.with_suffix(".checkpoint").unlink(missing_ok=True)
    images, labels = load("val")
    names = MiniSegmentation("val").classes
    clean, per_class = mean_iou(model, images, labels, len(names), arguments.device)
    for name, value in zip(names, per_class.tolist(), strict=True):
        print(f"  {name:9} {value:.3f}")
    print(f"val mIoU {clean:.4f}")
    for quality in QUALITIES:
        lossy = torch.stack([compressed(image, quality) for image in images])
        value, _ = mean_iou(model, lossy, labels, len(names), arguments.device)
        print(f"  jpeg q{quality}: {value:.4f}")
    print(f"{arguments.out}: {arguments.out.stat().st_size} bytes, sha256 {digest}")


if __name__ == "__main__":
    main()
