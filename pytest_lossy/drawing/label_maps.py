"""A label map over its picture: a colour per class, hatched where it is wrong."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from pytest_lossy.drawing.canvas import Canvas, UInt8Array, hatch, plain_text
from pytest_lossy.drawing.palette import class_colours

__all__ = ["draw_label_map"]

_OPACITY = 0.8
_SHADES = (70, 190)
_NAMED = 6
"""Classes in the key: those with the most pixels."""


def draw_label_map(
    image: UInt8Array,
    labels: npt.NDArray[np.integer] | None,
    truth: npt.NDArray[np.integer],
    names: Sequence[str],
    ignored: int = 255,
) -> UInt8Array:
    """Blend class colours with the light and shade of a picture.

    Args:
        image: (H, W, 3).
        labels: (H, W), 0..C-1, or ``ignored`` where nothing was predicted; None to draw the truth.
        truth: (H, W), 0..C-1, or ``ignored``, which is never wrong and stays grey where the truth is drawn.
        names: C class names.
        ignored: the label of no class.

    Returns:
        The picture, with a key of the classes and the share of wrong pixels below it.
    """
    canvas = Canvas(image)
    shown = np.asarray(truth if labels is None else labels).astype(np.int64)
    true = np.asarray(truth).astype(np.int64)
    colours = class_colours(len(names))
    fitted = canvas.fitted(shown).astype(np.int64)
    canvas.sketch(_SHADES)
    grey = canvas.pixels
    coloured = (fitted >= 0) & (fitted < len(names)) & (fitted != ignored)
    paint = colours[np.where(coloured, fitted, 0)]
    blended = (1 - _OPACITY) * grey + _OPACITY * paint
    canvas.pixels = np.rint(np.where(coloured[..., None], blended, grey)).astype(np.uint8)
    counted = true != ignored
    wrong = counted & (shown != true)
    pattern = hatch(canvas.height, canvas.width)
    canvas.mark(canvas.fitted(wrong).astype(bool), pattern)
    key = []
    if labels is not None and counted.any():
        light, dark = (part[:10, :14] for part in hatch(10, 14))
        swatch = np.full((10, 14, 3), 128, dtype=np.uint8)
        swatch[light], swatch[dark] = 255, 0
        key.append((swatch, f"wrong {wrong.sum() / counted.sum():.0%}"))
    both = np.concatenate([shown.ravel(), true.ravel()])
    both = both[(both >= 0) & (both < len(names)) & (both != ignored)]
    pixels = np.bincount(both, minlength=len(names))
    for index in np.argsort(-pixels, kind="stable")[:_NAMED].tolist():
        if pixels[index]:
            swatch = np.broadcast_to(colours[index], (10, 14, 3)).astype(np.uint8)
            key.append((swatch, plain_text(names[index])))
    canvas.add_key(key)
    return canvas.finished()
