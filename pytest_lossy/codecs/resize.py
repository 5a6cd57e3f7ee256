"""Lower resolution, and back: what a model sees of a camera that sends fewer pixels than it has."""

from __future__ import annotations

import math
import struct
from typing import Annotated, Literal

import numpy as np
import PIL
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field

from pytest_lossy.codecs.base import Encoded, Levels, Media, UInt8Array, describe_options
from pytest_lossy.codecs.checks import require
from pytest_lossy.errors import CodecError

__all__ = ["ResizeCodec", "ResizeOptions", "scaled_size"]

Filter = Literal["nearest", "area", "bilinear", "bicubic", "lanczos"]

_FILTERS: dict[Filter, Image.Resampling] = {
    "nearest": Image.Resampling.NEAREST,
    "area": Image.Resampling.BOX,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}
_SIZE = struct.Struct(">II")
"""Height and width of the shrunk picture, before its pixels."""


class ResizeOptions(BaseModel):
    """What a spec may set for ``resize`` beside its levels."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    filter: Annotated[
        Filter,
        Field(
            description="for shrinking; area is the mean over the covered pixels, as a sensor's binning; all but nearest "
            "are stretched by the scale, so that they do not alias"
        ),
    ] = "area"
    upscale_filter: Annotated[
        Filter, Field(description="for scaling back; bilinear is what most players and models' own resizing do")
    ] = "bilinear"


class ResizeCodec:
    """Fewer pixels; the level is the scale of both sides, up to 1 (no change).

    Not a compression: its payload is what the remaining pixels take uncompressed, 24 bits each. In a ``chain`` the steps
    that follow see the small picture, which is scaled back once, at the end.
    """

    Options = ResizeOptions
    name = "resize"
    parameter = "scale"
    levels = Levels(
        minimum=0.001,
        maximum=1,
        default=(0.75, 0.5, 0.35, 0.25, 0.125),
        higher_is_more_compressed=False,
        integral=False,
    )
    media = Media.IMAGE
    compresses = False

    def __init__(self, options: ResizeOptions | None = None) -> None:
        self.options = options or ResizeOptions()

    def shrink(self, media: UInt8Array, scale: float) -> UInt8Array:
        """Return (h, w, 3) of (H, W, 3), or (T, h, w, 3) of (T, H, W, 3), with h and w of :func:`scaled_size`."""
        height, width = scaled_size(media.shape[-3], media.shape[-2], scale)
        return _resampled(media, height, width, _FILTERS[self.options.filter])

    def enlarge(self, media: UInt8Array, height: int, width: int) -> UInt8Array:
        """Return ``media``, (h, w, 3) or (T, h, w, 3), at ``height`` x ``width`` pixels."""
        return _resampled(media, height, width, _FILTERS[self.options.upscale_filter])

    def encode(self, media: UInt8Array, level: float, *, fps: float | None = None) -> Encoded:
        """Shrink one picture, (H, W, 3), uint8, RGB, by the scale ``level``; each side keeps at least one pixel.

        Raises:
            CodecError: the level is out of range or the media is no picture.
        """
        require(self, media, level)
        small = self.shrink(media, level)
        return Encoded(
            data=_SIZE.pack(*small.shape[:2]) + small.tobytes(),
            payload_bits=8 * small.size,
            shape=media.shape,
        )

    def decode(self, encoded: Encoded) -> UInt8Array:
        """Return the picture at its source's size, (H, W, 3), uint8, RGB.

        Raises:
            CodecError: the data are damaged.
        """
        if len(encoded.data) < _SIZE.size:
            raise CodecError("resize: damaged data; encode the picture again")
        height, width = _SIZE.unpack_from(encoded.data)
        if len(encoded.data) != _SIZE.size + 3 * height * width:
            raise CodecError("resize: damaged data; encode the picture again")
        small = np.frombuffer(encoded.data, np.uint8, offset=_SIZE.size).reshape(height, width, 3)
        return self.enlarge(small, encoded.shape[0], encoded.shape[1])

    def fingerprint(self) -> str:
        """Library version and every option."""
        return f"resize(pillow={PIL.__version__},{describe_options(self.options)})"


def scaled_size(height: int, width: int, scale: float) -> tuple[int, int]:
    """``height`` and ``width`` times ``scale``, to the nearest whole number (halves up), at least 1."""
    return max(1, math.floor(height * scale + 0.5)), max(1, math.floor(width * scale + 0.5))


def _resampled(media: UInt8Array, height: int, width: int, kind: Image.Resampling) -> UInt8Array:
    if media.ndim == 4:
        return np.stack([_resampled(frame, height, width, kind) for frame in media])
    # reducing_gap stays off: its first pass is an approximation that depends on the source's size.
    return np.array(Image.fromarray(np.ascontiguousarray(media)).resize((width, height), kind, reducing_gap=None))
