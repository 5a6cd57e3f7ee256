"""Train the bottom-up pose model of the reference suite on the mini world.

    python model_specs/train_pafnet.py

renders the training split (once; cached), trains for a fixed number of iterations in two cycles, prints AP on the validation
split, clean and after JPEG, and writes ``weights/paf-mini.safetensors`` in half precision. An interrupted run continues from
its checkpoint when started again with the same arguments.

The shipped weights took 925 and 586 seconds of processor time, after 2.5 minutes of rendering, and reach AP .267 and AP50
.629 on the validation split (.259 and .590 on its first 100 pictures, .201 and .581 on all of it after the first cycle), AP
.373 and AP50 .757 on the first 200 pictures they were trained on.
"""

from __future__ import annotations

import argparse
import hashlib
import math
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from pafnet import build
from pafnet_decoding import LIMBS, decode
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional

from pytest_lossy.codecs.base import Codec, round_trip
from pytest_lossy.codecs.jpeg import JpegCodec
from pytest_lossy.data.base import Sample
from pytest_lossy.data.mini_pose import MiniPose
from pytest_lossy.retrain.batches import TrainingBatches
from pytest_lossy.retrain.loop import Progress, Schedule, fit
from pytest_lossy.retrain.weights import save_half
from pytest_lossy.tasks.pose import PoseTask

HERE = Path(__file__).parent
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # ImageNet's; the spec declares the same
BATCH = 8
CROP = (192, 144)  # of 192x256: as tall as the tallest people; they cover more of it than of the whole picture
ITERATIONS = (5000, 3200)  # of the cycles of the learning rate, which restarts (Loshchilov & Hutter 2017)
RATES = (3e-3, 2e-3)  # their peaks
CELL = 4  # pixels of the maps' cells
NEAR_A_PERSON = 0.9  # share of the crops
NATIVE = 0.7  # share of the crops that are not resized: the test's pictures are not
SCALES = (1.0, 1.6)  # of the others
HEAD = 0.0942  # head sizes in body heights, in the mini world
SPREAD, LEAST_SPREAD, MOST_SPREAD = 0.04, 3.0, 6.0  # of a keypoint's Gaussian in body heights, and in pixels
FIELD_BACKGROUND = 0.1  # weight of cells without a limb
FIELD_WEIGHT = 4.0  # against the heatmaps' cross-entropy
PLACE_WEIGHT = 1.0  # the same of the keypoints' misplacement
AROUND = 0.1  # how far a person's surroundings reach beyond the keypoints, in body heights
FLIPPED = (0, 2, 1, 4, 3, 6, 5, 8, 7, 10, 9, 12, 11, 14, 13, 16, 15)
"""Which keypoint of the mirrored person each is."""
QUALITIES = (95, 75, 50, 30, 15, 10, 5)


def normalise(images: Tensor) -> Tensor:
    """0 to 255 RGB to float32 with ImageNet's mean and standard deviation."""
    mean, std = (torch.tensor(v, device=images.device).view(1, 3, 1, 1) for v in (MEAN, STD))
    return (images.float() / 255 - mean) / std


def crop(sample: Sample, random: torch.Generator) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """A random part of a sample.

    Returns:
        pixels (3, h, w) 0 to 255; keypoints (n, 17, 3); heights of the people (n,), pixels; and the boxes of those who
        count neither as there nor as absent (m, 4).

    """
    near, resized, size, x, y, who, flip, gain = torch.rand(8, generator=random, dtype=torch.float64).tolist()
    target = sample.target
    points, heights, ignored = target["keypoints"].copy(), target["head_size"] / HEAD, target["boxes"]
    wanted = (target["iscrowd"] == 0) & (target["num_keypoints"] > 0)
    scale = 1.0
    if resized >= NATIVE:
        scale = math.exp(math.log(SCALES[0]) + size * math.log(SCALES[1] / SCALES[0]))
    height, width = sample.media.shape[:2]
    h, w = min(CROP[0] / scale, height), min(CROP[1] / scale, width)
    left, top = x * (width - w), y * (height - h)
    if near < NEAR_A_PERSON and wanted.any():
        x1, y1, x2, y2 = target["boxes"][wanted][int(who * wanted.sum())]
        left, top = (x1 + x2) / 2 - (0.2 + 0.6 * x) * w, (y1 + y2) / 2 - (0.2 + 0.6 * y) * h
    left, top = round(min(max(left, 0), width - w)), round(min(max(top, 0), height - h))
    part = Image.fromarray(sample.media).resize(
        (CROP[1], CROP[0]), Image.Resampling.BILINEAR, (left, top, min(left + w, width), min(top + h, height))
    )
    pixels = torch.from_numpy(np.array(part)).permute(2, 0, 1).float()
    zoom = np.array([CROP[1] / w, CROP[0] / h])
    points[:, :, :2] = (points[:, :, :2] - (left, top)) * zoom
    ignored = (ignored.reshape(-1, 2, 2) - (left, top)) * zoom
    if flip < 0.5:
        pixels = pixels.flip(-1)
        points[:, :, 0] = CROP[1] - points[:, :, 0]
        points = points[:, FLIPPED]
        ignored[:, :, 0] = CROP[1] - ignored[:, ::-1, 0]
    pixels = (pixels * (0.75 + 0.5 * gain)).clamp(0, 255)
    arrays = (points[wanted], heights[wanted] * zoom[1], ignored[~wanted].reshape(-1, 4))
    return pixels, *(torch.from_numpy(np.ascontiguousarray(array)).float() for array in arrays)


def targets(points: Tensor, heights: Tensor, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """What the network should say.

    Args:
        points: (n, 17, 3), pixels.
        heights: (n,), pixels.
        size: height and width of the picture in pixels.

    Returns:
        heatmaps (n, 17, h, w), 0 to 1, a Gaussian around each labelled keypoint of each person, of which the network should
        show the highest; fields (18, 2, h, w), the mean unit vector of the limbs that cover a cell, 0 where there is none.

    """
    y, x = (torch.arange(side // CELL) * float(CELL) + CELL / 2 for side in size)
    spread = (SPREAD * heights).clamp(LEAST_SPREAD, MOST_SPREAD).view(-1, 1, 1)
    across = torch.exp(-(((x - points[:, :, :1]) / spread) ** 2) / 2)
    down = torch.exp(-(((y - points[:, :, 1:2]) / spread) ** 2) / 2) * (points[:, :, 2:] > 0)
    heat = down[..., :, None] * across[..., None, :]
    first, second = (points[:, [limb[end] for limb in LIMBS]] for end in (0, 1))
    way = second[..., :2] - first[..., :2]
    length = way.norm(dim=-1)
    unit = way / length.clamp(min=1e-6)[..., None]
    there = (first[..., 2] > 0) & (second[..., 2] > 0) & (length >= CELL / 2)
    dx, dy = (x - first[..., :1])[..., None, :], (y - first[..., 1:2])[..., :, None]
    ux, uy = unit[..., 0, None, None], unit[..., 1, None, None]
    along, aside = dx * ux + dy * uy, (dx * uy - dy * ux).abs()
    margin = CELL / 2
    covers = (aside <= spread[..., None] * 0.8) & (along >= -margin) & (along <= length[..., None, None] + margin)
    covers &= there[..., None, None]
    vectors = torch.einsum("nlhw,nlc->lchw", covers.float(), unit)
    return heat, vectors / covers.sum(dim=0).clamp(min=1)[:, None]


def misplacement(logits: Tensor, each: Tensor, highest: Tensor, points: Tensor, heights: Tensor) -> Tensor:
    """How far each keypoint's share of its person's surroundings is from its Gaussian, as a relative entropy in nats.

    A spatial softmax makes places compete: where the heatmap of a left wrist also shows the right one, the cross-entropy of
    single cells is content with a half at both, but this is not.

    Args:
        logits: (n, 17, h, w), those of the picture in which each person is.
        each: (n, 17, h, w), the person's own Gaussians.
        highest: (n, 17, h, w), everybody's in that picture.
        points: (n, 17, 3), pixels.
        heights: (n,), pixels.

    Returns:
        the mean over the labelled keypoints whose cells are in the picture.

    """
    rows, columns = each.shape[-2:]
    labelled = points[..., 2] > 0
    counts = labelled & (each.amax(dim=(2, 3)) > 0.5)
    inside = []
    for axis, cells in ((0, columns), (1, rows)):
        place = points[..., axis]
        low = torch.where(labelled, place, torch.inf).amin(dim=1) - AROUND * heights
        high = torch.where(labelled, place, -torch.inf).amax(dim=1) + AROUND * heights
        middle = torch.arange(cells) * float(CELL) + CELL / 2
        inside.append((middle >= low[:, None]) & (middle <= high[:, None]))
    window = (inside[1][:, :, None] & inside[0][:, None, :]).to(logits.device)[:, None]
    # Another person's keypoint of the same kind is no mistake.
    window = (window & ((highest <= each) | (highest < 0.1))) | (each > 0.5)
    wanted = torch.where(window, each, 0.0)
    wanted = (wanted / wanted.sum(dim=(2, 3), keepdim=True).clamp(min=1e-6)).flatten(2)[counts]
    found = logits.masked_fill(~window, -1e4).flatten(2)[counts].log_softmax(dim=-1)
    divergence: Tensor = functional.kl_div(found, wanted, reduction="sum")
    return divergence / counts.sum().clamp(min=1)


def loss(network: nn.Module, samples: Sequence[Sample], random: torch.Generator) -> Tensor:
    """Cross-entropy of the heatmaps, their misplacement, and squared error of the fields, each per keypoint or limb.

    Squared errors would hardly see a heatmap that is zero but for a few cells; absolute ones leave the fields zero, the
    median, until the network knows a limb's place to a few pixels.
    """
    device = next(network.parameters()).device
    crops = [crop(sample, random) for sample in samples]
    drawn = [targets(points, heights, CROP) for _, points, heights, _ in crops]
    each = torch.cat([gaussians for gaussians, _ in drawn]).to(device)
    nobody = torch.zeros(1, 17, CROP[0] // CELL, CROP[1] // CELL)
    heat = torch.stack([torch.cat([gaussians, nobody]).amax(dim=0) for gaussians, _ in drawn]).to(device)
    fields = torch.stack([field for _, field in drawn]).to(device)
    counts = torch.ones(len(crops), 1, *heat.shape[-2:])
    for place, (*_, boxes) in zip(counts, crops, strict=True):
        for x1, y1, x2, y2 in (boxes / CELL).clamp(min=0).tolist():
            place[:, int(y1) : math.ceil(y2), int(x1) : math.ceil(x2)] = 0
    counts = counts.to(device)
    pixels = normalise(torch.stack([pixels for pixels, *_ in crops]).to(device))
    # On processors with instructions for it, bfloat16 makes an iteration 1.6 times as fast.
    with torch.autocast(device.type, torch.bfloat16):
        maps = network(pixels.contiguous(memory_format=torch.channels_last))
    maps = maps.float().contiguous()
    logits, found = maps[:, : heat.shape[1]], maps[:, heat.shape[1] :].view_as(fields)
    # Somebody who counts may stand before or behind somebody who does not.
    weights = torch.where(heat > 0.05, 1 + 2 * heat, counts)
    entropy = functional.binary_cross_entropy_with_logits(logits, heat, weights, reduction="sum")
    covered = (fields != 0).any(dim=2, keepdim=True)
    weights = torch.where(covered, 1.0, FIELD_BACKGROUND * counts[:, :, None])
    distance = ((found - fields).square() * weights).sum()
    total: Tensor = entropy / heat.sum().clamp(min=1) + FIELD_WEIGHT * distance / covered.sum().clamp(min=1)
    if len(each):
        owner = [index for index, (_, points, *_) in enumerate(crops) for _ in points]
        points, heights = (torch.cat([one[part] for one in crops]) for part in (1, 2))
        total = total + PLACE_WEIGHT * misplacement(logits[owner], each, heat[owner], points, heights)
    return total


@torch.inference_mode()
def average_precision(network: nn.Module, data: MiniPose, codec: Codec | None, level: float = 0) -> tuple[float, float]:
    """AP and AP50 over a data set."""
    task = PoseTask(data.classes)
    evidence = []
    device = next(network.parameters()).device
    for index in range(len(data)):
        sample = data.load(index)
        media = sample.media if codec is None else round_trip(codec, sample.media, level, fps=None).media
        image = torch.from_numpy(media.transpose(2, 0, 1).copy())[None].to(device)
        (people,) = decode(network(normalise(image)), [media.shape[:2]])
        evidence.append(task.evidence(people, sample.target))
    metrics = task.reduce(evidence, np.ones((1, len(evidence))))
    return float(metrics["ap"][0]), float(metrics["ap50"][0])


def show(progress: Progress) -> None:
    """A line about the training so far."""
    print(
        f"{progress.iteration}/{progress.iterations}  loss {progress.loss:.3f}  {progress.seconds_left:.0f} s left",
        flush=True,
    )


def main() -> None:
    """Train, save, measure."""
    parser = argparse.ArgumentParser(description="Train paf-mini on the mini world's train split.")
    parser.add_argument("--out", type=Path, default=HERE / "weights" / "paf-mini.safetensors")
    parser.add_argument(
        "--iterations", type=int, nargs="+", default=ITERATIONS, help=f"of {BATCH} crops each, of one or both cycles"
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1, help="of one PyTorch operation (default: 1)")
    parser.add_argument("--device", default="cpu")
    arguments = parser.parse_args()
    if len(arguments.iterations) > len(RATES):
        parser.error(f"--iterations: {len(arguments.iterations)} cycles, and there are {len(RATES)}; leave some out")
    torch.set_num_threads(arguments.threads)
    data = MiniPose(MiniPose.Options(split="train"))
    torch.manual_seed(arguments.seed)
    # Channels last makes small convolutions a third faster on a CPU.
    network = build(17, len(LIMBS)).to(arguments.device, memory_format=torch.channels_last)
    began = time.perf_counter()
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    identity = {"data": data.fingerprint(), "batch": BATCH, "crop": list(CROP)}
    finished: list[Path] = []
    for cycle, (iterations, rate) in enumerate(zip(arguments.iterations, RATES, strict=False)):
        seed = arguments.seed + 1000 * cycle  # else the second cycle would begin with the first one's crops
        # Every cycle begins with rounded weights, so that a run which is interrupted later can begin with them as well.
        # Its name tells apart what was trained otherwise into the same file.
        past = (identity, arguments.seed, arguments.iterations[: cycle + 1], RATES[: cycle + 1])
        digest = hashlib.sha256(repr(past).encode()).hexdigest()[:12]
        finished.append(arguments.out.with_suffix(f".{digest}.finished.checkpoint"))
        if finished[-1].exists():
            network.load_state_dict({name: value.float() for name, value in load_file(finished[-1]).items()})
            continue
        fit(
            network,
            loss,
            TrainingBatches(data, range(len(data)), BATCH, seed),
            Schedule(iterations, rate=rate, clip=10.0, seed=seed),
            identity=identity,
            checkpoint=arguments.out.with_suffix(".checkpoint"),
            report=show,
        )
        save_half(network, finished[-1])
    print(f"trained in {time.perf_counter() - began:.0f} s, {time.process_time():.0f} s of processor time")
    digest = save_half(network, arguments.out)
    for path in finished:
        path.unlink()
    print(f"{arguments.out}: {arguments.out.stat().st_size} bytes, sha256 {digest}")
    held_out = MiniPose(MiniPose.Options(split="val", count=100))
    for quality in (None, *QUALITIES):
        codec = None if quality is None else JpegCodec()
        ap, ap50 = average_precision(network, held_out, codec, quality or 0)
        print(f"  {'clean' if quality is None else f'jpeg q{quality}'}: AP {ap:.4f}, AP50 {ap50:.4f}", flush=True)


if __name__ == "__main__":
    main()
