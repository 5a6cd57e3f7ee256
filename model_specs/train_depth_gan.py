"""Train the depth model of the reference suite on the mini world: reconstruction first, then two players.

    python model_specs/train_depth_gan.py

renders the training split (once; cached), trains for a fixed number of iterations, prints the validation delta < 1.25,
clean and after JPEG, and writes the generator alone to ``weights/depth-gan-mini.safetensors`` in half precision. An
interrupted run continues from its checkpoint when started again with the same arguments.

The generator minimises the L1 distance of log depth and of its gradients at several scales (as Li & Snavely, "MegaDepth",
CVPR 2018, section 4), first on pictures of half the size, where three times as many fit into the same time. In the last
quarter of these iterations the discriminator joins, which has an optimiser of its own, and the generator has to persuade
it too, by least squares (Mao et al., ICCV 2017). So the game goes on after a warm restart of the learning rate (Loshchilov
& Hutter, ICLR 2017). A beginner's opinion hardly counts; late in the game, when it can tell forgeries, it weighs ten times
as much: its gradient is then about as large, per pixel of its window, as that of reconstruction. ``--adversarial 0``
trains the same generator without the second player.

The generator trains in bfloat16 (weights and optimiser stay in single precision): about half the time on processors that
compute in it; others may need longer.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from depth_gan import Discriminator, build
from torch import Tensor, nn
from torch.nn import functional

from pytest_lossy.codecs.base import round_trip
from pytest_lossy.codecs.registry import build_codec
from pytest_lossy.data.base import Sample
from pytest_lossy.data.mini_depth import MiniDepth
from pytest_lossy.retrain.batches import TrainingBatches
from pytest_lossy.retrain.loop import Schedule, rate_at
from pytest_lossy.retrain.weights import save_half
from pytest_lossy.tasks.depth import DepthTask

HERE = Path(__file__).parent
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # ImageNet's; the spec declares the same
BATCH = 8
PEAK_RATE, RESTART_RATE = 3e-3, 2e-3
WARM_UP = 0.05  # share of the iterations before the restart, and of those after it
HALF_SIZE = 2 / 3  # share of the iterations before the restart, the first ones
CLIP = 5.0  # norm of the generator's gradient
JUDGE_RATE = 4e-4
JOINS, RAMP = 0.75, 0.05  # when the discriminator joins, and while its weight rises: shares of the same
JUDGED = 0.5  # of each side: a window of the picture is enough for a judge of patches, and four times as quick
BEGINNER, EXPERT = 0.02, 0.2  # weight of the discriminator's opinion
TRUSTED, TRUST = (
    0.6,
    0.1,
)  # when its weight starts to rise again, and for how long: shares of the iterations after the restart
SMOOTHNESS = 0.25  # weight of the gradients of log depth
SCALES = 3
CHECKPOINT_EVERY = 100
QUALITIES = (30, 10)


def augmented(samples: Sequence[Sample], random: torch.Generator, device: torch.device) -> tuple[Tensor, Tensor]:
    """Flips and brightness: (N, 3, H, W) normalised images and (N, 1, H, W) depth in metres, 0 where unknown."""
    pixels = torch.from_numpy(np.stack([sample.media for sample in samples])).permute(0, 3, 1, 2).float()
    depth = torch.from_numpy(np.stack([sample.target for sample in samples]))[:, None]
    flip = (torch.rand(len(samples), generator=random) < 0.5).view(-1, 1, 1, 1)  # the lens looks through the middle
    gain = 1 + 0.25 * (2 * torch.rand(len(samples), 3, 1, 1, generator=random) - 1).mean(1, keepdim=True)
    pixels = torch.where(flip, pixels.flip(-1), pixels) * gain
    return normalised(pixels.clamp(0, 255).to(device)), torch.where(flip, depth.flip(-1), depth).to(device)


def normalised(pixels: Tensor) -> Tensor:
    """RGB of 0 to 255 with ImageNet's mean and standard deviation taken out, in the layout that is fast on a CPU."""
    mean, std = (torch.tensor(value, device=pixels.device).view(1, 3, 1, 1) for value in (MEAN, STD))
    return ((pixels / 255 - mean) / std).contiguous(memory_format=torch.channels_last)


def reconstruction(log_depth: Tensor, truth: Tensor) -> Tensor:
    """Mean absolute error of log depth and of its differences between neighbours, where both are known.

    Args:
        log_depth: (N, 1, H, W), natural logarithm of predicted metres.
        truth: (N, 1, H, W), metres, 0 where unknown.
    """
    known = (truth > 0).float()
    error = (log_depth - truth.clamp(min=1e-3).log()) * known
    value = error.abs().sum() / known.sum().clamp(min=1)
    for scale in range(SCALES):
        step = 2**scale
        e, k = error[..., ::step, ::step], known[..., ::step, ::step]
        for one, two in (((..., slice(1, None), slice(None)), (..., slice(-1), slice(None))),
                         ((..., slice(1, None)), (..., slice(-1)))):  # fmt: skip
            both = k[one] * k[two]
            value = value + SMOOTHNESS / SCALES * ((e[one] - e[two]) * both).abs().sum() / both.sum().clamp(min=1)
    return value


def loss(network: nn.Module, samples: Sequence[Sample], random: torch.Generator) -> Tensor:
    """Reconstruction alone, for fine-tuning the shipped generator; see ``pytest_lossy.retrain.loop.Loss``."""
    images, truth = augmented(samples, random, next(network.parameters()).device)
    return reconstruction(network(images).log(), truth)


class Players:
    """Generator and discriminator, each with its optimiser."""

    def __init__(self, schedule: Schedule, restart: Schedule, adversarial: float, device: str) -> None:
        self.schedule, self.restart = schedule, restart
        self.adversarial, self.device = adversarial, torch.device(device)
        torch.manual_seed(schedule.seed)
        # Channels last makes small convolutions a fifth faster on a CPU.
        self.generator = build().to(device, memory_format=torch.channels_last)
        self.discriminator = Discriminator().to(device, memory_format=torch.channels_last)
        self._paint = torch.optim.AdamW(
            self.generator.parameters(), lr=schedule.rate, weight_decay=schedule.weight_decay
        )
        # A small first moment, as is usual for the players of a game (Radford et al., ICLR 2016).
        self._judge = torch.optim.Adam(self.discriminator.parameters(), lr=JUDGE_RATE, betas=(0.5, 0.999))

    def state(self) -> dict[str, Any]:
        """All that a resumed run needs, both players and both optimisers."""
        parts = {"generator": self.generator, "discriminator": self.discriminator}
        return {name: part.state_dict() for name, part in {**parts, "paint": self._paint, "judge": self._judge}.items()}

    def restore(self, state: dict[str, Any]) -> None:
        """Take up a :meth:`state`."""
        self.generator.load_state_dict(state["generator"])
        self.discriminator.load_state_dict(state["discriminator"])
        self._paint.load_state_dict(state["paint"])
        self._judge.load_state_dict(state["judge"])

    def rate_at(self, iteration: int) -> float:
        """The generator's learning rate."""
        after = iteration - self.schedule.iterations
        return rate_at(iteration, self.schedule) if after < 0 else rate_at(after, self.restart)

    def weight_at(self, iteration: int) -> float:
        """Of the discriminator's opinion in the generator's loss."""
        joined = (iteration / self.schedule.iterations - JOINS) / RAMP
        trusted = ((iteration - self.schedule.iterations) / self.restart.iterations - TRUSTED) / TRUST
        joined, trusted = (min(1.0, max(0.0, share)) for share in (joined, trusted))
        return self.adversarial * joined * (BEGINNER + (EXPERT - BEGINNER) * trusted)

    def step(self, iteration: int, samples: Sequence[Sample]) -> tuple[float, float]:
        """One move of each player; returns the reconstruction loss and the discriminator's."""
        for group in self._paint.param_groups:
            group["lr"] = self.rate_at(iteration)
        random = torch.Generator().manual_seed(self.schedule.seed * 1_000_003 + iteration)
        images, truth = augmented(samples, random, self.device)
        if iteration < HALF_SIZE * self.schedule.iterations:
            images, truth = functional.avg_pool2d(images, 2), truth[..., ::2, ::2]
        with torch.autocast(self.device.type, torch.bfloat16):
            depth = self.generator(images)
        painted = depth.log()
        value = rebuilt = reconstruction(painted, truth)
        judged = 0.0
        weight = self.weight_at(iteration)
        if weight > 0:
            window = _window(truth, random)
            images, painted, truth = images[window], painted[window], truth[window]
            known = (truth > 0).float()
            judged = self._judge_step(images, painted.detach(), truth, known)
            self.discriminator.requires_grad_(False)
            opinion = self.discriminator(images, painted, known)
            value = rebuilt + weight * functional.mse_loss(opinion, torch.ones_like(opinion))
            self.discriminator.requires_grad_(True)
        if not torch.isfinite(value):
            raise FloatingPointError(f"the loss is {value.item()} at iteration {iteration}; lower the learning rate")
        self._paint.zero_grad(set_to_none=True)
        value.backward()
        nn.utils.clip_grad_norm_(self.generator.parameters(), CLIP)
        self._paint.step()
        return rebuilt.item(), judged

    def _judge_step(self, images: Tensor, painted: Tensor, truth: Tensor, known: Tensor) -> float:
        rendered = self.discriminator(images, truth.clamp(min=1e-3).log(), known)
        forged = self.discriminator(images, painted, known)
        value = 0.5 * (functional.mse_loss(rendered, torch.ones_like(rendered)) + forged.square().mean())
        self._judge.zero_grad(set_to_none=True)
        value.backward()
        self._judge.step()
        return value.item()


def _window(pictures: Tensor, random: torch.Generator) -> tuple[Any, ...]:
    """Where the discriminator looks: an index of a part of (N, C, H, W)."""
    height, width = (int(side * JUDGED) for side in pictures.shape[-2:])
    top = int(torch.randint(pictures.shape[-2] - height + 1, (), generator=random))
    left = int(torch.randint(pictures.shape[-1] - width + 1, (), generator=random))
    return ..., slice(top, top + height), slice(left, left + width)


def train(arguments: argparse.Namespace) -> nn.Module:
    """The fixed number of iterations, continued from a checkpoint of the same settings where there is one."""
    data = MiniDepth(MiniDepth.Options(split="train"))
    batches = TrainingBatches(data, range(len(data)), BATCH, arguments.seed)
    schedule = Schedule(arguments.iterations, PEAK_RATE, warm_up=WARM_UP, seed=arguments.seed)
    restart = Schedule(arguments.restart, RESTART_RATE, warm_up=WARM_UP)
    total = arguments.iterations + arguments.restart
    players = Players(schedule, restart, arguments.adversarial, arguments.device)
    settings = {name: getattr(arguments, name) for name in ("iterations", "restart", "seed", "adversarial")}
    settings["data"] = data.fingerprint()
    checkpoint = arguments.out.with_suffix(".checkpoint")
    first, running = 0, [0.0, 0.0]
    if checkpoint.exists():
        saved = torch.load(checkpoint, map_location=arguments.device, weights_only=True)
        if saved["settings"] == settings:
            players.restore(saved["players"])
            first, running = saved["iteration"], saved["running"]
            print(f"continuing from iteration {first} ({checkpoint})")
    began = time.perf_counter()
    for iteration, samples in enumerate(batches.stream(first, total), first):
        values = players.step(iteration, samples)
        running = [0.95 * old + 0.05 * new if old else new for old, new in zip(running, values, strict=True)]
        done = iteration + 1
        if done % 25 == 0 or done == total:
            speed = (done - first) / (time.perf_counter() - began)
            print(f"{done}/{total}  reconstruction {running[0]:.3f}  discriminator {running[1]:.3f}  "
                  f"{speed:.2f} it/s  {(total - done) / speed:.0f} s left", flush=True)  # fmt: skip
        if done % CHECKPOINT_EVERY == 0 and done < total:
            state = {"settings": settings, "players": players.state(), "iteration": done, "running": running}
            temporary = checkpoint.with_suffix(f".{os.getpid()}.tmp")
            torch.save(state, temporary)
            temporary.replace(checkpoint)
    return players.generator


@torch.inference_mode()
def scores(model: nn.Module, data: MiniDepth, quality: int | None, device: str) -> dict[str, float]:
    """The depth task's metrics over a data set, after a JPEG round trip where ``quality`` is given."""
    model.eval()
    task, evidence = DepthTask(), []
    codec = build_codec("jpeg", {})
    for index in range(len(data)):
        sample = data.load(index)
        media = sample.media if quality is None else round_trip(codec, sample.media, quality, fps=None).media
        pixels = torch.from_numpy(media.copy()).permute(2, 0, 1)[None].float()
        depth = model(normalised(pixels.to(device)))[0, 0].cpu().numpy()
        evidence.append(task.evidence(depth, sample.target))
    return {name: float(value[0]) for name, value in task.reduce(evidence, np.ones((1, len(evidence)))).items()}


def main() -> None:
    """Train, save, measure."""
    parser = argparse.ArgumentParser(description="Train depth-gan-mini on the mini world's train split.")
    parser.add_argument("--out", type=Path, default=HERE / "weights" / "depth-gan-mini.safetensors")
    parser.add_argument("--iterations", type=int, default=2400, help=f"of {BATCH} frames each (default: 2400)")
    parser.add_argument("--restart", type=int, default=1500, help="iterations after the warm restart (default: 1500)")
    parser.add_argument("--adversarial", type=float, default=1.0, help="multiplies its opinion; 0: no game")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1, help="of one PyTorch operation (default: 1)")
    parser.add_argument("--device", default="cpu")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    began, busy = time.perf_counter(), time.process_time()
    model = train(arguments)
    print(f"trained in {time.perf_counter() - began:.0f} s, {time.process_time() - busy:.0f} s of processor time")
    digest = save_half(model, arguments.out)
    arguments.out.with_suffix(".checkpoint").unlink(missing_ok=True)
    data = MiniDepth(MiniDepth.Options(split="val", count=100))
    for quality in (None, *QUALITIES):
        found = scores(model, data, quality, arguments.device)
        name = "clean" if quality is None else f"jpeg q{quality}"
        print(f"val {name}: delta1 {found['delta1']:.4f}, AbsRel {found['abs_rel']:.4f}, RMSE {found['rmse']:.2f} m")
    print(f"{arguments.out}: {arguments.out.stat().st_size} bytes, sha256 {digest}")


if __name__ == "__main__":
    main()
