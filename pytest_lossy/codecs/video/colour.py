"""RGB to Y'CbCr and back in integer arithmetic: the same bits on every machine, whatever its vector instructions.

Conversion is not left to libswscale, whose rounding and chroma siting vary with flags, processor and version, and would
move results without an encoder having changed.

Equations and quantisation: ITU-T H.273 (07/2021), 8.3, with matrix coefficients 1 (BT.709) or 6 (BT.601). Chroma of
4:2:0 and 4:2:2 lies on the even columns, and for 4:2:0 half-way between two rows ("left", ``ChromaLocType`` 0 of H.264 and
H.265, which decoders assume where nothing is signalled): taps (1, 2, 1) / 4 along a row and (1, 1) / 2 between rows, edges
repeated; back by linear interpolation, (1, 1) / 2 along a row and (3, 1) / 4 between rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Literal

import numpy as np
import numpy.typing as npt

from pytest_lossy.codecs.base import UInt8Array

__all__ = ["CONVERSION", "LAYOUTS", "ColourFormat", "Layout", "Matrix", "Planes", "Range", "to_rgb", "to_yuv"]

CONVERSION = "1"
"""Changes whenever any converted sample does: part of every fingerprint."""

Matrix = Literal["bt601", "bt709"]
Range = Literal["limited", "full"]
Samples = npt.NDArray[np.uint8] | npt.NDArray[np.uint16]
Planes = tuple[Samples, Samples, Samples]
"""Y' (H, W), Cb and Cr (H / v, W / h) for a subsampling of h x v; uint8, or uint16 where a sample has more than 8 bits."""
Int32 = npt.NDArray[np.int32]

# Kr and Kb of H.273, table 4.
_WEIGHTS: dict[str, tuple[float, float]] = {"bt601": (0.299, 0.114), "bt709": (0.2126, 0.0722)}

# Fraction bits of the coefficients. The largest sum is 2 040 (8-bit, eight chroma taps) x 4 (10-bit) x 2**16 on the way
# to Y'CbCr and stays below 2**31; on the way back 8 x 255 x 2.1 x 2**17 plus 255 x 1.2 x 2**20 does.
_FORWARD_BITS = 16
_BACKWARD_BITS = 20


@dataclass(frozen=True, slots=True)
class Layout:
    """A planar pixel format of FFmpeg."""

    horizontal: int
    """Luma columns per chroma column: 1 or 2."""
    vertical: int
    """Luma rows per chroma row: 1 or 2."""
    bits: int
    """Of one sample: 8 or 10."""

    @property
    def dtype(self) -> type[np.uint8] | type[np.uint16]:
        """What holds a sample."""
        return np.uint8 if self.bits == 8 else np.uint16


LAYOUTS = {
    "yuv420p": Layout(2, 2, 8),
    "yuv422p": Layout(2, 1, 8),
    "yuv444p": Layout(1, 1, 8),
    "yuv420p10le": Layout(2, 2, 10),
    "yuv422p10le": Layout(2, 1, 10),
    "yuv444p10le": Layout(1, 1, 10),
}
"""By FFmpeg's name."""


@dataclass(frozen=True, slots=True)
class ColourFormat:
    """Everything that the samples of a plane mean."""

    pix_fmt: str
    """A key of :data:`LAYOUTS`."""
    matrix: Matrix
    range: Range

    @property
    def layout(self) -> Layout:
        """Subsampling and depth."""
        return LAYOUTS[self.pix_fmt]


@dataclass(frozen=True, slots=True)
class _Scale:
    """How normalised values become samples: ``black + luma * E'Y`` and ``neutral + chroma * E'C`` (H.273, 8.3)."""

    black: int
    luma: float
    neutral: int
    chroma: float


def _scale(bits: int, range_: Range) -> _Scale:
    step, neutral = 1 << (bits - 8), 1 << (bits - 1)
    if range_ == "limited":
        return _Scale(16 * step, 219.0 * step, neutral, 224.0 * step)
    return _Scale(0, float((1 << bits) - 1), neutral, float((1 << bits) - 1))


@cache
def _forward(colour: ColourFormat) -> tuple[tuple[int, int, int], ...]:
    """Rows Y', Cb, Cr of coefficients of R, G, B, times 2**16. Greys stay neutral exactly: chroma rows sum to 0."""
    kr, kb = _WEIGHTS[colour.matrix]
    scale = _scale(colour.layout.bits, colour.range)
    one = (1 << _FORWARD_BITS) / 255
    luma, chroma = scale.luma * one, scale.chroma * one
    red, blue = round(luma * kr), round(luma * kb)
    half = round(chroma / 2)
    cb_red, cr_blue = round(chroma * kr / (2 * (1 - kb))), round(chroma * kb / (2 * (1 - kr)))
    return (
        (red, round(luma) - red - blue, blue),
        (-cb_red, cb_red - half, half),
        (half, cr_blue - half, -cr_blue),
    )


@cache
def _backward(colour: ColourFormat) -> tuple[int, int, int, int, int, int]:
    """Y' in all; Cr in R; Cb in G; Cr in G; Cb in B; the constant: times 2**20, chroma over its eight taps."""
    kr, kb = _WEIGHTS[colour.matrix]
    scale = _scale(colour.layout.bits, colour.range)
    one = 255.0 * (1 << _BACKWARD_BITS)
    luma = round(one / scale.luma)
    chroma = one / scale.chroma / 8
    red, blue = 2 * (1 - kr) * chroma, 2 * (1 - kb) * chroma
    green_b, green_r = -blue * kb / (1 - kr - kb), -red * kr / (1 - kr - kb)
    constant = (1 << (_BACKWARD_BITS - 1)) - luma * scale.black
    return luma, round(red), round(green_b), round(green_r), round(blue), constant


def _weighted(planes: tuple[Int32, Int32, Int32], row: tuple[int, int, int], constant: int, shift: int) -> Int32:
    total = planes[0] * np.int32(row[0])
    total += planes[1] * np.int32(row[1])
    total += planes[2] * np.int32(row[2])
    total += np.int32(constant)
    total >>= shift
    return total


def _subsampled(plane: Int32, layout: Layout) -> Int32:
    """``plane`` at the chroma sites, times 4 where columns are halved and times 2 where rows are."""
    if layout.vertical == 2:
        plane = plane[0::2] + plane[1::2]
    if layout.horizontal == 2:
        total = plane[:, 0::2] * 2
        total += plane[:, 1::2]
        total[:, 1:] += plane[:, 1:-1:2]
        total[:, 0] += plane[:, 0]
        plane = total
    return plane


def to_yuv(image: UInt8Array, colour: ColourFormat) -> Planes:
    """Planes of ``image``, (H, W, 3), uint8, RGB, whose sides are multiples of the subsampling; nearest integers."""
    layout = colour.layout
    scale = _scale(layout.bits, colour.range)
    rows = _forward(colour)
    half = 1 << (_FORWARD_BITS - 1)
    channels = tuple(image[..., channel].astype(np.int32) for channel in range(3))
    red, green, blue = channels
    luma = _weighted((red, green, blue), rows[0], (scale.black << _FORWARD_BITS) + half, _FORWARD_BITS)
    taps = (2 if layout.horizontal == 2 else 0) + (1 if layout.vertical == 2 else 0)
    sites = (_subsampled(red, layout), _subsampled(green, layout), _subsampled(blue, layout))
    shift = _FORWARD_BITS + taps
    constant = (scale.neutral << shift) + (half << taps)
    chroma = [_weighted(sites, row, constant, shift) for row in rows[1:]]
    # Only pure red or blue in full range leaves the samples' range, by half a step.
    top = (1 << layout.bits) - 1
    cb, cr = (_samples(np.minimum(plane, top, out=plane), layout) for plane in chroma)
    return _samples(luma, layout), cb, cr


def _samples(plane: Int32, layout: Layout) -> Samples:
    return plane.astype(np.uint8) if layout.bits == 8 else plane.astype(np.uint16)


def _interpolated(plane: Samples, layout: Layout, neutral: int) -> Int32:
    """Chroma less its neutral value at every luma site, times 8."""
    wide = plane.astype(np.int32)
    wide -= neutral
    if layout.vertical == 2:
        rows = np.empty((2 * wide.shape[0], wide.shape[1]), np.int32)
        three = wide * 3
        rows[0::2] = three
        rows[1::2] = three
        rows[2::2] += wide[:-1]
        rows[0] += wide[0]
        rows[1:-1:2] += wide[1:]
        rows[-1] += wide[-1]
        wide = rows
    if layout.horizontal == 2:
        columns = np.empty((wide.shape[0], 2 * wide.shape[1]), np.int32)
        columns[:, 0::2] = wide * 2
        columns[:, 1:-1:2] = wide[:, :-1] + wide[:, 1:]
        columns[:, -1] = wide[:, -1] * 2
        wide = columns
    factor = 8 // (layout.horizontal * (4 if layout.vertical == 2 else 1))
    return wide * np.int32(factor) if factor > 1 else wide


def to_rgb(planes: Planes, colour: ColourFormat, out: UInt8Array) -> None:
    """Fill ``out``, (H, W, 3), uint8, with the RGB of ``planes``: nearest integers, clipped to 0..255.

    ``out`` may be smaller than the planes: it is their upper left part.
    """
    layout = colour.layout
    neutral = _scale(layout.bits, colour.range).neutral
    luma, red_cr, green_cb, green_cr, blue_cb, constant = _backward(colour)
    height, width = out.shape[:2]
    cb = _interpolated(planes[1], layout, neutral)[:height, :width]
    cr = _interpolated(planes[2], layout, neutral)[:height, :width]
    base = planes[0][:height, :width].astype(np.int32)
    base *= np.int32(luma)
    base += np.int32(constant)
    scratch = np.empty_like(base)
    for channel, (from_cb, from_cr) in enumerate(((0, red_cr), (green_cb, green_cr), (blue_cb, 0))):
        total = base if channel == 2 else base.copy()
        for plane, weight in ((cb, from_cb), (cr, from_cr)):
            if weight:
                total += np.multiply(plane, np.int32(weight), out=scratch)
        total >>= _BACKWARD_BITS
        np.clip(total, 0, 255, out=total)
        out[..., channel] = total
