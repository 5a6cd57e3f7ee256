"""A depth map in colours of even lightness: near is light, unknown is hatched, far off is dotted."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from PIL import Image

from pytest_lossy.drawing.canvas import INK, Canvas, UInt8Array, font, hatch, stippled, text_width
from pytest_lossy.drawing.palette import value_scale

__all__ = ["depth_range", "draw_depth_map"]

OFF = 1.25
"""Ratio beyond which a pixel is dotted: the field's first threshold."""
_BANDS = 16
_BAR = 64
_ENDS = (2, 98)
"""Percentiles of the known depth that the colours span."""


def depth_range(truth: npt.NDArray[np.floating], otherwise: npt.NDArray[np.floating]) -> tuple[float, float]:
    """Metres that the colours span: most of the known depth, or of ``otherwise`` where nothing is known."""
    for depth in (truth, otherwise):
        known = depth[np.isfinite(depth) & (depth > 0)].astype(np.float64)
        if known.size:
            low, high = np.percentile(known, _ENDS).tolist()
            return (low, high) if high > low * 1.01 else (low / 1.1, low * 1.1)
    return 1.0, 10.0


def draw_depth_map(
    image: UInt8Array, depth: npt.NDArray[np.floating] | None, truth: npt.NDArray[np.floating]
) -> UInt8Array:
    """Colour a depth map on a logarithmic scale.

    Args:
        image: (H, W, 3), which gives the size.
        depth: (H, W) metres; None to draw the truth.
        truth: (H, W) metres, 0 where unknown; its range is that of the colours.

    Returns:
        The map, with a scale in metres and the share of pixels that are off by more than a quarter below it.
    """
    canvas = Canvas(image)
    true = np.asarray(truth, dtype=np.float64)
    shown = true if depth is None else np.asarray(depth, dtype=np.float64)
    low, high = depth_range(true, shown)
    fitted = canvas.fitted(shown)
    known = np.isfinite(fitted) & (fitted > 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        share = (np.log(np.where(known, fitted, low)) - np.log(low)) / (np.log(high) - np.log(low))
    # Bands, not a gradient: their edges read as contours, and the picture is small when encoded.
    scale = value_scale()[:: -(256 // _BANDS)][:_BANDS]
    canvas.pixels = scale[np.minimum(np.clip(share, 0, 1) * _BANDS, _BANDS - 1).astype(np.intp)]
    canvas.pixels[~known] = 90
    canvas.mark(~known, hatch(canvas.height, canvas.width))
    note = ""
    if depth is not None:
        scored = (true > 0) & np.isfinite(shown) & (shown > 0)
        with np.errstate(divide="ignore", invalid="ignore"):
            off = scored & (np.maximum(shown / true, true / shown) > OFF)
        canvas.mark(canvas.fitted(off) & known, stippled(canvas.height, canvas.width))
        if scored.any():
            note = f"dots: off by > 25%: {off.sum() / scored.sum():.0%}"
    _add_scale(canvas, scale, low, high, note)
    return canvas.finished()


def _add_scale(canvas: Canvas, scale: UInt8Array, low: float, high: float, note: str) -> None:
    near, far = f"{low:.3g}", f"{high:.3g} m"
    start = 8 + text_width(near)
    needed = start + _BAR + 10 + text_width(far)
    below = bool(note) and needed + 12 + text_width(note) > canvas.strip_width
    draw = canvas.add_strip(34 if below else 19)
    draw.text((4, 3), near, fill=INK, font=font())
    bar = np.broadcast_to(scale[np.arange(_BAR) * _BANDS // _BAR], (10, _BAR, 3)).astype(np.uint8)
    draw._image.paste(Image.fromarray(bar), (start, 5))
    draw.text((start + _BAR + 5, 3), far, fill=INK, font=font())
    if note:
        draw.text((4, 18) if below else (needed + 8, 3), note, fill=INK, font=font())
