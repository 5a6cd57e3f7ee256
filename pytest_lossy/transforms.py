"""Compression as augmentation: a torchvision v2 transform that sends training samples through random codecs and levels."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import PIL.Image
import torch
from torchvision import tv_tensors
from torchvision.transforms import v2

from pytest_lossy.cases import format_level
from pytest_lossy.codecs.base import UInt8Array
from pytest_lossy.codecs.declared import CodecChoice, Declarations, LossyCodec, codec_choices
from pytest_lossy.errors import CodecError

__all__ = ["RandomLossy"]

_LUMA = np.array([0.299, 0.587, 0.114])
"""Of R, G and B in ITU-R BT.601, as Pillow converts to grey."""


def _is_plain(value: Any) -> bool:
    return isinstance(value, torch.Tensor) and not isinstance(value, tv_tensors.TVTensor)


class RandomLossy(v2.Transform):  # type: ignore[misc]  # torchvision is untyped
    """Compress each sample with a random codec at a random level, or leave it as it is.

    Takes what other v2 transforms take: an image or a structure that holds images, boxes, masks, key points and labels.
    Compression keeps geometry, so everything but images and videos passes through.

    =========================================  ===============================================================
    uint8 input, 3 channels or 1               meaning
    =========================================  ===============================================================
    tensor (C, H, W), ``PIL.Image`` RGB or L   an image
    tensor (T, C, H, W), ``tv_tensors.Video``  one clip: one codec and level, and video codecs predict from
                                               frame to frame
    ``tv_tensors.Image`` (N, C, H, W)          a batch of images, each with a codec and a level of its own
    (N, T, C, H, W)                            a batch of clips, each with a codec and a level of its own
    =========================================  ===============================================================

    So wrap a collated batch of images in ``tv_tensors.Image``: a plain tensor of four dimensions is a clip. Several images
    of one sample (a stereo pair) get the same codec and level. A stream codec compresses an image as one intra frame. As in
    every v2 transform, plain tensors pass through beside an image or video, and of several plain tensors only the first is
    taken for an image. Numpy arrays pass through, too; a sample without any image is an error, not silence.

    Random numbers come from torch's global generator: ``torch.manual_seed`` reproduces them and each worker of a
    ``DataLoader`` has its own. Each sample takes three, whatever they decide.

    Args:
        codecs: what to draw from, by label. ``{"jpeg": (10, 95)}`` is a range of levels, ``{"jpeg": [15, 50]}`` exactly
            these, ``{"webp": None}`` the codec's default grid, and ``{"fine": {"codec": "jpeg", "subsampling": "4:4:4",
            "levels": (10, 95)}}`` a codec with options. A name or a list of names: their default grids.
        p: probability that a sample is compressed at all, 0..1.
        distribution: of a range of levels. ``uniform``; or ``log``, where each octave is as likely as any other, for bit
            rates and distances.
        weights: label -> weight of a codec; default: all alike.
        fps: frames per second of clips; None is 25.

    Raises:
        LossyError: a codec is unknown, an option or level does not fit, or another argument is out of range.

    Example:
        >>> from torchvision.transforms import v2
        >>> train = v2.Compose([
        ...     v2.ToImage(),
        ...     RandomLossy({"jpeg": (10, 95), "h264": (23, 45)}, p=0.5),
        ...     v2.RandomResizedCrop(224),
        ...     v2.ToDtype(torch.float32, scale=True),
        ... ])
    """

    _transformed_types = (_is_plain, tv_tensors.Image, tv_tensors.Video, PIL.Image.Image)

    def __init__(
        self,
        codecs: Declarations,
        p: float = 0.5,
        *,
        distribution: Literal["uniform", "log"] = "uniform",
        weights: Mapping[str, float] | None = None,
        fps: float | None = None,
    ) -> None:
        super().__init__()
        if not 0 <= p <= 1:
            raise CodecError(f"RandomLossy: p={p!r} is no probability; choose from 0..1")
        if distribution not in ("uniform", "log"):
            raise CodecError(f"RandomLossy: unknown distribution {distribution!r}; write 'uniform' or 'log'")
        self.choices = codec_choices(codecs)
        self.p, self.distribution, self.fps = p, distribution, fps
        if distribution == "log":
            for choice in self.choices:
                if choice.bounds is not None and choice.bounds[0] <= 0:
                    raise CodecError(
                        f"RandomLossy: '{choice.lossy.label}' has the range {choice.bounds}, and distribution='log' needs "
                        "levels above 0; begin it higher, or choose 'uniform'"
                    )
        self._shares = _shares([choice.lossy.label for choice in self.choices], weights)

    def check_inputs(self, flat_inputs: list[Any]) -> None:
        """Called by v2 with every leaf of a sample: refuse one that has nothing to compress."""
        if not any(_is_plain(leaf) or isinstance(leaf, self._transformed_types[1:]) for leaf in flat_inputs):
            found = ", ".join(sorted({type(leaf).__name__ for leaf in flat_inputs})) or "nothing"
            raise CodecError(f"RandomLossy: the sample holds no image ({found}); place v2.ToImage() before it")

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        """Called by v2 with the images of a sample: ``draws``, a codec at a level, or None, per member of a batch."""
        count = max([1, *(len(leaf) for leaf in flat_inputs if _is_batch(leaf))])
        numbers = torch.rand(count, 3, dtype=torch.float64).tolist()
        return {"draws": tuple(self._draw(*row) for row in numbers)}

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        """Called by v2 for each image: the same type, shape and device, compressed as ``params`` say.

        Raises:
            CodecError: not uint8, another number of channels, or the codec does not take it.
        """
        if isinstance(inpt, PIL.Image.Image):
            return self._picture(inpt, params["draws"][0])
        _require_uint8(inpt)
        if _is_batch(inpt):
            draws = params["draws"]
            parts = [
                self._tensor(part, draw) for part, draw in zip(inpt.as_subclass(torch.Tensor), draws, strict=False)
            ]
            result = torch.stack(parts) if parts else inpt.as_subclass(torch.Tensor)
        else:
            result = self._tensor(inpt.as_subclass(torch.Tensor), params["draws"][0])
        return tv_tensors.wrap(result, like=inpt) if isinstance(inpt, tv_tensors.TVTensor) else result

    # torchvision 0.19 and 0.20 call the same three by other names.
    _check_inputs = check_inputs
    _get_params = make_params
    _transform = transform

    def extra_repr(self) -> str:
        """What ``repr`` shows between the brackets."""
        shown = []
        for choice in self.choices:
            levels, joint = (choice.bounds, "..") if choice.bounds else (choice.levels, ", ")
            shown.append(f"{choice.lossy.label}: {joint.join(map(format_level, levels))}")
        return f"{{{', '.join(shown)}}}, p={self.p:g}, distribution={self.distribution}"

    def _draw(self, whether: float, which: float, where: float) -> LossyCodec | None:
        """From three numbers in [0, 1)."""
        if whether >= self.p:
            return None
        index = int(np.searchsorted(self._shares, which, side="right"))
        choice = self.choices[index]
        return choice.lossy.at(_level(choice, where, self.distribution))

    def _picture(self, picture: PIL.Image.Image, draw: LossyCodec | None) -> PIL.Image.Image:
        if picture.mode not in ("RGB", "L"):
            raise CodecError(
                f"RandomLossy: takes PIL images of mode RGB or L, got {picture.mode}; place v2.Lambda(lambda image: "
                "image.convert('RGB')) before it"
            )
        if draw is None:
            return picture
        return PIL.Image.fromarray(draw(np.asarray(picture.convert("RGB")))).convert(picture.mode)

    def _tensor(self, tensor: torch.Tensor, draw: LossyCodec | None) -> torch.Tensor:
        """(C, H, W) or (T, C, H, W)."""
        if draw is None:
            return tensor
        media = tensor.detach().movedim(-3, -1).cpu().numpy()
        grey = media.shape[-1] == 1
        rgb = np.ascontiguousarray(np.repeat(media, 3, axis=-1) if grey else media)
        result = draw(rgb, fps=self.fps if rgb.ndim == 4 else None)
        return torch.from_numpy(_channels_first(_luma(result) if grey else result)).to(tensor.device)


def _level(choice: CodecChoice, number: float, distribution: str) -> float:
    """The level at ``number``, [0, 1), of a choice's distribution; each whole number covers an interval of length 1."""
    if choice.bounds is None:
        return choice.levels[int(number * len(choice.levels))]
    low, high = choice.bounds
    integral = choice.lossy.codec.levels.integral
    end = high + 1 if integral else high
    if distribution == "log":
        value = math.exp(math.log(low) + number * (math.log(end) - math.log(low)))
    else:
        value = low + number * (end - low)
    # Rounding may carry a number just below 1 to the end itself.
    return min(max(math.floor(value) if integral else value, low), high)


def _shares(labels: Sequence[str], weights: Mapping[str, float] | None) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Where in [0, 1) each codec's share ends."""
    weights = dict.fromkeys(labels, 1) if weights is None else weights
    values = np.array([weights.get(label, np.nan) for label in labels], float)
    if set(weights) != set(labels) or not np.all(np.isfinite(values)) or np.any(values < 0) or values.sum() == 0:
        raise CodecError(
            f"RandomLossy: weights={weights!r} do not fit the codecs {', '.join(labels)}; give each a number, none below 0 "
            "and one at least above it"
        )
    ends: np.ndarray[Any, np.dtype[np.float64]] = np.cumsum(values) / values.sum()
    ends[np.flatnonzero(values)[-1] :] = np.inf  # a sum that rounds to less than 1 must not leave a gap
    return ends


def _is_batch(leaf: Any) -> bool:
    return isinstance(leaf, torch.Tensor) and leaf.ndim == (4 if isinstance(leaf, tv_tensors.Image) else 5)


def _require_uint8(tensor: torch.Tensor) -> None:
    if tensor.dtype != torch.uint8:
        raise CodecError(
            f"RandomLossy: codecs compress 8-bit pixels, got {str(tensor.dtype).removeprefix('torch.')}; place it before "
            "v2.ToDtype(torch.float32, scale=True), v2.ToTensor and v2.Normalize"
        )
    most = 4 if isinstance(tensor, tv_tensors.Image) else 5
    if not 3 <= tensor.ndim <= most or tensor.shape[-3] not in (1, 3):
        raise CodecError(
            f"RandomLossy: needs (C, H, W), or dimensions of time and batch before it, with C 3 or 1, got "
            f"{tuple(tensor.shape)}; channels come first, and alpha has to be removed"
        )


def _luma(rgb: UInt8Array) -> UInt8Array:
    """(..., 3) to (..., 1)."""
    grey: UInt8Array = np.rint(rgb @ _LUMA)[..., None].astype(np.uint8)
    return grey


def _channels_first(media: UInt8Array) -> UInt8Array:
    return np.ascontiguousarray(np.moveaxis(media, -1, -3))
