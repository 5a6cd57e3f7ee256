"""The classes that score highest, on a strip below the picture, with the correct one marked."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from pytest_lossy.drawing.canvas import INK, Canvas, UInt8Array, font, plain_text, text_width
from pytest_lossy.drawing.palette import FALSE, FOUND

__all__ = ["draw_class_scores"]

_ROWS = 5
_ROW = 16
_BAR = 60


def draw_class_scores(
    image: UInt8Array, probabilities: npt.NDArray[np.floating] | None, label: int, names: Sequence[str]
) -> UInt8Array:
    """List the top classes below a picture.

    Args:
        image: (H, W, 3), or a clip, of which the middle frame is shown.
        probabilities: (C,), 0..1; None to write the label alone.
        label: the correct class.
        names: C class names, or none, and then classes are numbers.

    Returns:
        The picture with one line per class: a triangle where it is the correct one, its place, a bar, its probability and
        its name. A correct class beyond the fifth takes the last line.
    """
    canvas = Canvas(image)
    if probabilities is None:
        draw = canvas.add_strip(_ROW + 4)
        draw.text((4, 3), f"labelled {_name(label, names)}", fill=INK, font=font())
        return canvas.finished()
    values = np.asarray(probabilities, dtype=np.float64)
    order = np.argsort(-values, kind="stable")
    place_of = {int(index): place for place, index in enumerate(order.tolist())}
    rows = [int(index) for index in order[:_ROWS]]
    if label not in rows and label in place_of:
        rows[-1] = label
    draw = canvas.add_strip(len(rows) * _ROW + 4)
    for line, index in enumerate(rows):
        top = 2 + line * _ROW
        correct = index == label
        if correct:
            draw.polygon([(4, top + 3), (4, top + 12), (11, top + 7.5)], fill=FOUND)
        share = min(max(float(values[index]), 0.0), 1.0)
        draw.rectangle([16, top + 3, 16 + _BAR, top + 12], outline=(110, 115, 120))
        if share > 0:
            draw.rectangle([16, top + 3, 16 + max(1, round(share * _BAR)), top + 12], fill=FOUND if correct else FALSE)
        figure = f"{share:.2f}"
        draw.text((16 + _BAR + 5, top + 1), figure, fill=INK, font=font())
        place = f"{place_of[index] + 1}. " if place_of[index] >= _ROWS else ""
        draw.text((16 + _BAR + 11 + text_width("0.00"), top + 1), place + _name(index, names), fill=INK, font=font())
    return canvas.finished()


def _name(index: int, names: Sequence[str]) -> str:
    return plain_text(names[index]) if 0 <= index < len(names) else f"class {index}"
