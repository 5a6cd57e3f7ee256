"""The classes that score highest, with the correct one marked, beside a small picture."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from pytest_lossy.drawing.canvas import INK, PAPER, UInt8Array, font, middle_frame, plain_text, text_width
from pytest_lossy.drawing.palette import FALSE, FOUND

__all__ = ["draw_class_scores"]

_ROWS = 5
_ROW = 16
_BAR = 60
_PICTURE = _ROWS * _ROW
_WIDTH = 288


def draw_class_scores(
    image: UInt8Array, probabilities: npt.NDArray[np.floating], label: int, names: Sequence[str]
) -> UInt8Array:
    """List the top classes beside a picture.

    Args:
        image: (H, W, 3), or a clip, of which the middle frame is shown.
        probabilities: (C,), 0..1.
        label: the correct class.
        names: C class names, or none, and then classes are numbers.

    Returns:
        The picture and one line per class: a triangle where it is the correct one, a bar, its probability, its place where
        it is none of the first five, and its name. A correct class beyond the fifth takes the last line.
    """
    whole = Image.new("RGB", (_WIDTH, _PICTURE + 6), PAPER)
    left = _place_picture(whole, middle_frame(image)) + 5
    draw = ImageDraw.Draw(whole)
    values = np.asarray(probabilities, dtype=np.float64)
    order = np.argsort(-values, kind="stable").tolist()
    rows = order[:_ROWS]
    if label not in rows and label in order:
        rows[-1] = label
    bar = left + 12
    for line, index in enumerate(rows):
        top = 3 + line * _ROW
        correct = index == label
        if correct:
            draw.polygon([(left, top + 3), (left, top + 12), (left + 7, top + 7.5)], fill=FOUND)
        share = min(max(float(values[index]), 0.0), 1.0)
        draw.rectangle([bar, top + 3, bar + _BAR, top + 12], outline=(110, 115, 120))
        if share > 0:
            draw.rectangle(
                [bar, top + 3, bar + max(1, round(share * _BAR)), top + 12], fill=FOUND if correct else FALSE
            )
        draw.text((bar + _BAR + 5, top + 1), f"{share:.2f}", fill=INK, font=font())
        place = f"{order.index(index) + 1}. " if line == _ROWS - 1 and index != order[line] else ""
        draw.text((bar + _BAR + 11 + text_width("0.00"), top + 1), place + _name(index, names), fill=INK, font=font())
    return np.array(whole)


def _place_picture(whole: Image.Image, frame: UInt8Array) -> int:
    """Put a picture at the left, no larger than the lines; where it ends."""
    shown = Image.fromarray(np.ascontiguousarray(frame))
    factor = _PICTURE / max(shown.size)
    size = tuple(max(1, round(side * factor)) for side in shown.size)
    shown = shown.resize((size[0], size[1]), Image.Resampling.BOX if factor < 1 else Image.Resampling.NEAREST)
    whole.paste(shown, (3, 3))
    return 3 + shown.width


def _name(index: int, names: Sequence[str]) -> str:
    return plain_text(names[index], 20) if 0 <= index < len(names) else f"class {index}"
