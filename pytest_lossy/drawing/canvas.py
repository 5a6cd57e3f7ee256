"""A picture of handy size to draw on, with strips of text below it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFilter, ImageFont

__all__ = [
    "INK",
    "PAPER",
    "SIDE",
    "Canvas",
    "Colour",
    "font",
    "hatch",
    "middle_frame",
    "plain_text",
    "resized",
    "stippled",
    "text_width",
]

UInt8Array = npt.NDArray[np.uint8]
BoolArray = npt.NDArray[np.bool_]
Colour = tuple[int, int, int]

SIDE = 320
"""Pixels of the longer side, at most; smaller pictures are enlarged by a whole number while they fit."""
STRIP_WIDTH = 200
"""A strip of text is at least so wide; the picture above it is then not stretched but stands at its left."""
TEXT_SIZE = 11
PAPER: Colour = (24, 27, 31)
INK: Colour = (240, 240, 240)
_LINE = 15
_SOFTNESS = 4


def middle_frame(image: UInt8Array) -> UInt8Array:
    """A still as it is, (H, W, 3), and of a clip (T, H, W, 3) its middle frame."""
    frame: UInt8Array = image[len(image) // 2] if image.ndim == 4 else image
    return frame


@cache
def font() -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """The font that Pillow brings along."""
    return ImageFont.load_default(TEXT_SIZE)


def plain_text(text: object, limit: int = 24) -> str:
    """Text that the built-in font can draw: printable Latin-1, on one line, with an ellipsis beyond ``limit``."""
    characters = " ".join(str(text)[: 8 * limit].split())
    shown = "".join(c if c.isprintable() and ord(c) < 256 else "?" for c in characters)
    return shown if len(shown) <= limit else f"{shown[: limit - 3]}..."


def text_width(text: str) -> int:
    """Pixels that a line takes."""
    return int(np.ceil(font().getlength(text)))


def resized(array: npt.NDArray[Any], height: int, width: int) -> npt.NDArray[Any]:
    """(H, W, ...) sampled at (height, width): the nearest pixel, so that labels stay labels."""
    rows = (np.arange(height) * 2 + 1) * array.shape[0] // (2 * height)
    columns = (np.arange(width) * 2 + 1) * array.shape[1] // (2 * width)
    sampled: npt.NDArray[Any] = array[rows[:, None], columns[None, :]]
    return sampled


def hatch(height: int, width: int, period: int = 6) -> tuple[BoolArray, BoolArray]:
    """Diagonal lines, (height, width): where they are light, and where their dark edges are."""
    phase = (np.arange(height)[:, None] + np.arange(width)[None, :]) % period
    return phase == 0, phase == 1


def stippled(height: int, width: int, period: int = 8) -> tuple[BoolArray, BoolArray]:
    """Dots, (height, width): where they are light, and where their dark edges are."""
    row = np.arange(height)[:, None]
    # Every other row is shifted by half: dots in line would read as lines.
    column = (np.arange(width)[None, :] + (row // period % 2) * period // 2) % period
    row = row % period
    light = (row < 2) & (column < 2)
    return light, (row < 3) & (column < 3) & ~light


class Canvas:
    """A copy of a picture, shrunk or enlarged so that its longer side is near :data:`SIDE`.

    Args:
        image: (H, W, 3) uint8, or a clip (T, H, W, 3), of which the middle frame is taken.
    """

    def __init__(self, image: UInt8Array) -> None:
        frame = middle_frame(image)
        self.source_height, self.source_width = frame.shape[:2]
        longest = max(frame.shape[:2])
        factor = SIDE / longest if longest > SIDE else float(SIDE // longest)
        self.height: int = max(1, round(self.source_height * factor))
        self.width: int = max(1, round(self.source_width * factor))
        picture = Image.fromarray(np.ascontiguousarray(frame))
        if factor < 1:
            picture = picture.resize((self.width, self.height), Image.Resampling.BOX)
        else:
            picture = picture.resize((self.width, self.height), Image.Resampling.NEAREST)
        self.pixels: UInt8Array = np.array(picture)
        """(height, width, 3), to be drawn on."""
        self._strips: list[Image.Image] = []

    @property
    def scale(self) -> tuple[float, float]:
        """Canvas pixels per source pixel, across and down."""
        return self.width / self.source_width, self.height / self.source_height

    def fitted(self, array: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """A map of the source, (H, W, ...), at the canvas's size."""
        return resized(array, self.height, self.width)

    def sketch(self, shades: Sequence[int]) -> None:
        """Leave a few greys of the picture, smoothed: enough to see where things are, and small when encoded."""
        grey = Image.fromarray(self.pixels).convert("L").filter(ImageFilter.BoxBlur(_SOFTNESS))
        values = np.array(grey)
        # Equal parts of the picture for each grey: night and fog look like something, too.
        edges = np.quantile(values, np.linspace(0, 1, len(shades) + 1)[1:-1])
        toned = np.array(shades, dtype=np.uint8)[np.searchsorted(edges, values, side="right")]
        self.pixels = np.repeat(toned[..., None], 3, axis=2)

    def mark(self, where: BoolArray, pattern: tuple[BoolArray, BoolArray]) -> None:
        """Draw a pattern where (height, width) says so."""
        light, dark = pattern
        self.pixels[where & light] = 255
        self.pixels[where & dark] = 0

    @property
    def strip_width(self) -> int:
        """Pixels of a strip of text."""
        return max(self.width, STRIP_WIDTH)

    def add_strip(self, height: int) -> ImageDraw.ImageDraw:
        """An empty strip below the picture, to be drawn on."""
        strip = Image.new("RGB", (self.strip_width, height), PAPER)
        self._strips.append(strip)
        return ImageDraw.Draw(strip)

    def add_key(self, entries: Sequence[tuple[UInt8Array, str]]) -> None:
        """A key below the picture: swatches, (10, 14, 3) each, with their text, as many on a line as fit."""
        places, x, line = [], 4, 0
        for swatch, text in entries:
            needed = 18 + text_width(text)
            if x > 4 and x + needed > self.strip_width - 4:
                x, line = 4, line + 1
            places.append((x, line, swatch, text))
            x += needed + 10
        if not places:
            return
        draw = self.add_strip((line + 1) * _LINE + 4)
        for x, line, swatch, text in places:
            top = 2 + line * _LINE
            self._strips[-1].paste(Image.fromarray(swatch), (x, top + 3))
            draw.text((x + 18, top + 1), text, fill=INK, font=font())

    def finished(self) -> UInt8Array:
        """The picture with its strips, (H', W', 3)."""
        if not self._strips:
            return self.pixels
        height = self.height + sum(int(strip.height) for strip in self._strips)
        whole = Image.new("RGB", (self.strip_width, height), PAPER)
        whole.paste(Image.fromarray(self.pixels), (0, 0))
        top = self.height
        for strip in self._strips:
            whole.paste(strip, (0, top))
            top += strip.height
        return np.array(whole)
