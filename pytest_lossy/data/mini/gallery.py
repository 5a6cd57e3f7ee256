"""Contact sheets of the mini world, with its ground truth.

python -m pytest_lossy.data.mini.gallery OUT.png [--data mini-segmentation] [--split val] [--count 12]
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from pytest_lossy.data.base import Dataset, Sample
from pytest_lossy.data.mini.drawing import (
    drawn_boxes,
    drawn_depth,
    drawn_labels,
    drawn_people,
    film_strip,
    sheet,
)
from pytest_lossy.data.mini.segmentation import SPLITS
from pytest_lossy.data.mini_action import MiniAction
from pytest_lossy.data.mini_classification import MiniClassification
from pytest_lossy.data.mini_depth import MiniDepth
from pytest_lossy.data.mini_detection import MiniDetection
from pytest_lossy.data.mini_pose import MiniPose
from pytest_lossy.data.mini_segmentation import MiniSegmentationData
from pytest_lossy.errors import DataError

__all__ = ["GALLERIES", "contact_sheet", "main"]

UInt8 = npt.NDArray[np.uint8]

GALLERIES: dict[str, tuple[Any, Callable[[Sample], UInt8], int]] = {
    "mini-segmentation": (MiniSegmentationData, lambda sample: drawn_labels(sample.media, sample.target), 3),
    "mini-detection": (MiniDetection, lambda sample: drawn_boxes(sample.media, sample.target), 3),
    "mini-pose": (MiniPose, lambda sample: drawn_people(sample.media, sample.target), 3),
    "mini-depth": (MiniDepth, lambda sample: drawn_depth(sample.media, sample.target), 3),
    "mini-action": (MiniAction, lambda sample: film_strip(sample.media), 2),
    "mini-classification": (MiniClassification, lambda sample: sample.media, 14),
}
"""Data set -> its class, how a sample is drawn, and how many go into a row."""


def contact_sheet(images: Sequence[UInt8], labels: Sequence[UInt8], columns: int = 3) -> UInt8:
    """Images beside coloured labels, ``columns`` pairs a row; (H, W, 3) uint8, ignored pixels black."""
    return sheet([drawn_labels(image, label) for image, label in zip(images, labels, strict=True)], columns)


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m pytest_lossy.data.mini.gallery", description="Draw a contact sheet."
    )
    parser.add_argument("out", type=Path, metavar="OUT.png")
    parser.add_argument("--data", default="mini-segmentation", choices=GALLERIES, help="(default: mini-segmentation)")
    parser.add_argument("--split", default="val", help=f"one of {', '.join(SPLITS)} (default: val)")
    parser.add_argument("--count", type=int, default=12, help="number of samples (default: 12)")
    chosen = parser.parse_args(arguments)
    family, draw, columns = GALLERIES[chosen.data]
    if chosen.split not in SPLITS:
        parser.error(f"unknown split '{chosen.split}'; choose one of {', '.join(SPLITS)}")
    if chosen.count < 1:
        parser.error(f"count {chosen.count} is not possible; give 1 or more")
    try:
        data: Dataset = family(family.Options(split=chosen.split, count=chosen.count), Path())
    except DataError as error:
        parser.error(str(error))
    panels = [draw(data.load(index)) for index in range(len(data))]
    Image.fromarray(sheet(panels, columns)).save(chosen.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
