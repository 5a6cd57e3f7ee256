"""Declarative pre-processing: 8-bit RGB images of any size to one input batch, and where each image lies in it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from PIL import Image

from pytest_lossy.data.base import Context, UInt8Array
from pytest_lossy.errors import ModelError
from pytest_lossy.models.declaration import InputSection

__all__ = ["Batch", "Expects", "Placement", "Prepare", "declared_input"]

_FILTERS = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}


@dataclass(frozen=True, slots=True)
class Expects:
    """What a model file says of its input; None where it says nothing."""

    layout: str = "nchw"
    scores_layout: str = "nchw"
    """Of class scores that come out."""
    dtype: str | None = None
    size: tuple[int, int] | None = None
    """(height, width), where fixed."""
    scale: float = 0.0
    """Quantisation: real = scale * (stored - zero_point); 0 where the input is not quantised."""
    zero_point: int = 0


@dataclass(frozen=True, slots=True)
class Placement:
    """Where a source image lies in the network's input, in pixels."""

    source: tuple[int, int]
    """(H, W) of the source."""
    content: tuple[int, int]
    """(height, width) that the image takes up, from the top left corner."""
    canvas: tuple[int, int]
    """(height, width) of the network's input."""


@dataclass(frozen=True, slots=True)
class Batch:
    """What a network is called with: the images of one size."""

    inputs: Any
    placements: list[Placement]
    positions: list[int]
    """Which of the images these are."""


Prepare = Callable[[Sequence[UInt8Array], Sequence[Context]], Any]
"""Returns a list of :class:`Batch`, or anything else that the network takes as it is (a user's function)."""


def declared_input(section: InputSection, expects: Expects, device: str) -> Prepare:
    """The pre-processing that a spec declares, completed by what the model file says of itself.

    Raises:
        ModelError: the declaration contradicts the model file.
    """
    plan = _Plan.make(section, expects)

    def prepare(media: Sequence[UInt8Array], context: Sequence[Context]) -> list[Batch]:
        placed = [plan.place(image) for image in media]
        by_canvas: dict[tuple[int, int], list[int]] = {}
        for position, (_, placement) in enumerate(placed):
            by_canvas.setdefault(placement.canvas, []).append(position)
        return [
            Batch(
                plan.to_tensor([placed[position][0] for position in positions], device),
                [placed[position][1] for position in positions],
                positions,
            )
            for positions in by_canvas.values()
        ]

    prepare.is_declared = True  # type: ignore[attr-defined]  # it keeps nothing, so that threads may call it at once
    return prepare


@dataclass(frozen=True)
class _Plan:
    """An :class:`InputSection` with every default filled in."""

    section: InputSection
    size: tuple[int, int] | None
    layout: str
    dtype: torch.dtype
    gain: tuple[float, ...] | None
    """Per channel: input = gain * pixel + offset; None where pixels are passed as they are."""
    offset: tuple[float, ...] | None
    whole: bool
    """Whether the input is an integer type, so that values are rounded and clipped."""

    @classmethod
    def make(cls, section: InputSection, expects: Expects) -> _Plan:
        size = (section.size, section.size) if isinstance(section.size, int) else section.size
        if expects.size and size and size != expects.size:
            raise ModelError(
                f"'model.input.size' is {size[0]}x{size[1]} but the model file takes {expects.size[0]}x"
                f"{expects.size[1]}; remove it or correct it"
            )
        dtype_name = section.dtype or expects.dtype or "float32"
        if section.dtype and expects.dtype and section.dtype != expects.dtype:
            raise ModelError(
                f"'model.input.dtype' is {section.dtype} but the model file takes {expects.dtype}; remove it"
            )
        dtype: torch.dtype = getattr(torch, dtype_name)
        whole = not dtype.is_floating_point
        declared = section.range is not None or section.mean is not None or section.std is not None
        gain = offset = None
        if not whole or declared:
            low, high = section.range or (0.0, 1.0)
            mean, std = section.mean or (0.0,) * 3, section.std or (1.0,) * 3
            gain = tuple((high - low) / 255 / s for s in std)
            offset = tuple((low - m) / s for m, s in zip(mean, std, strict=True))
            if whole:
                if not expects.scale:
                    raise ModelError(
                        f"the {dtype_name} input has no quantisation, so 'range', 'mean' and 'std' mean nothing; "
                        "remove them"
                    )
                gain = tuple(g / expects.scale for g in gain)
                offset = tuple(o / expects.scale + expects.zero_point for o in offset)
        elif dtype is torch.int8:
            raise ModelError("an int8 input cannot take pixels as they are; declare 'model.input.range'")
        return cls(section, size or expects.size, section.layout or expects.layout, dtype, gain, offset, whole)

    def place(self, image: UInt8Array) -> tuple[UInt8Array, Placement]:
        """Resize and pad one image (H, W, 3)."""
        if image.ndim != 3:
            raise ModelError(
                f"declared pre-processing takes images (H, W, 3), got a clip {image.shape}; name a "
                "'model.input.function'"
            )
        source = (image.shape[0], image.shape[1])
        content = canvas = self.size or source
        if self.size and self.section.resize == "letterbox":
            ratio = min(self.size[0] / source[0], self.size[1] / source[1])
            content = (max(1, round(source[0] * ratio)), max(1, round(source[1] * ratio)))
        if content != source:
            resized = Image.fromarray(image).resize((content[1], content[0]), _FILTERS[self.section.interpolation])
            image = np.asarray(resized)
        step = self.section.multiple_of
        canvas = (-(-canvas[0] // step) * step, -(-canvas[1] // step) * step)
        if canvas != content:
            padded = np.full((*canvas, 3), self.section.pad_value, dtype=np.uint8)
            padded[: content[0], : content[1]] = image
            image = padded
        return image, Placement(source, content, canvas)

    def to_tensor(self, images: Sequence[UInt8Array], device: str) -> torch.Tensor:
        """n images (H, W, 3), uint8 RGB, to the network's layout, dtype and value range, on ``device``."""
        if self.gain is not None and self.layout == "nchw" and device == "cpu" and self.dtype is torch.float32:
            return self._planes(images)
        batch = torch.from_numpy(np.stack(images))
        if device.startswith("cuda"):
            batch = batch.pin_memory().to(device, non_blocking=True)
        if self.section.color == "bgr":
            batch = batch.flip(-1)
        if self.layout == "nchw":
            batch = batch.permute(0, 3, 1, 2)
        if self.gain is None or self.offset is None:
            return batch.to(self.dtype).contiguous()
        shape = (1, 3, 1, 1) if self.layout == "nchw" else (1, 1, 1, 3)
        gain = torch.tensor(self.gain, dtype=torch.float32, device=device).reshape(shape)
        offset = torch.tensor(self.offset, dtype=torch.float32, device=device).reshape(shape)
        values = batch.to(torch.float32, memory_format=torch.contiguous_format).mul_(gain).add_(offset)
        if self.whole:
            limits = torch.iinfo(self.dtype)
            values = values.round_().clamp_(limits.min, limits.max)
        return values.to(self.dtype)

    def _planes(self, images: Sequence[UInt8Array]) -> torch.Tensor:
        """What :meth:`to_tensor` does elsewhere, image by image while its pixels are in the processor's cache."""
        height, width = images[0].shape[:2]
        gain = torch.tensor(self.gain, dtype=torch.float32).reshape(3, 1, 1)
        offset = torch.tensor(self.offset, dtype=torch.float32).reshape(3, 1, 1)
        values = torch.empty((len(images), 3, height, width), dtype=torch.float32)
        for image, target in zip(images, values, strict=True):
            # numpy takes bytes apart three times as fast as torch does.
            planes = np.ascontiguousarray(image.reshape(-1, 3).T)
            if self.section.color == "bgr":
                planes = planes[::-1].copy()
            target.copy_(torch.from_numpy(planes.reshape(3, height, width))).mul_(gain).add_(offset)
        return values
