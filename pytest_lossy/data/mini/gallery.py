"""Contact sheets of the mini world.

python -m pytest_lossy.data.mini.gallery OUT.png [--split val] [--count 12]
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from pytest_lossy.data.mini.labels import IGNORE, PALETTE
from pytest_lossy.data.mini.segmentation import SPLITS, MiniSegmentation
from pytest_lossy.errors import DataError

__all__ = ["contact_sheet", "main"]

UInt8 = npt.NDArray[np.uint8]


def contact_sheet(images: Sequence[UInt8], labels: Sequence[UInt8], columns: int = 3) -> UInt8:
    """Images beside coloured labels, ``columns`` pairs a row; (H, W, 3) uint8, ignored pixels black."""
    colours = np.zeros((IGNORE + 1, 3), np.uint8)
    colours[: len(PALETTE)] = PALETTE
    pairs = [np.concatenate([image, colours[label]], axis=1) for image, label in zip(images, labels, strict=True)]
    pairs += [np.zeros_like(pairs[0])] * (-len(pairs) % columns)
    rows = [np.concatenate(pairs[k : k + columns], axis=1) for k in range(0, len(pairs), columns)]
    return np.concatenate(rows, axis=0)


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m pytest_lossy.data.mini.gallery", description="Draw a contact sheet."
    )
    parser.add_argument("out", type=Path, metavar="OUT.png")
    parser.add_argument("--split", default="val", help=f"one of {', '.join(SPLITS)} (default: val)")
    parser.add_argument("--count", type=int, default=12, help="number of frames (default: 12)")
    chosen = parser.parse_args(arguments)
    try:
        data = MiniSegmentation(chosen.split, chosen.count)
    except DataError as error:
        parser.error(str(error))
    samples = [data.load(index) for index in range(len(data))]
    sheet = contact_sheet([s.media for s in samples], [s.target for s in samples])
    Image.fromarray(sheet).save(chosen.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
