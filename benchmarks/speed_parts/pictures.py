"""The pictures of the speed benchmark: CamVid where the development data lie, rendered street scenes elsewhere."""

from __future__ import annotations

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SIZE = (360, 480)


def prepare(folder: Path, count: int) -> str:
    """Make ``folder/val`` and ``folder/valannot`` with ``count`` PNG pictures and label maps, repeating what there is.

    Returns:
        what the pictures are.
    """
    images, labels = folder / "val", folder / "valannot"
    images.mkdir(parents=True)
    labels.mkdir()
    given = os.environ.get("PYTEST_LOSSY_DATA")
    camvid = (Path(given) if given else ROOT.parent / "shared" / "data") / "camvid"
    if camvid.is_dir():
        pairs = [
            (path, camvid / f"{split}annot" / path.name)
            for split in ("val", "train")
            for path in sorted((camvid / split).glob("*.png"))
        ]
        kind = "CamVid, 480x360 PNG"
    else:
        pairs = _rendered(folder / "rendered", min(count, 48))
        kind = "rendered street scenes, 480x360 PNG"
    for number in range(count):
        image, label = pairs[number % len(pairs)]
        # A name before the first underscore is CamVid's sequence; each picture its own, so that intervals are computed.
        name = f"s{number:05d}_{number % len(pairs)}.png"
        (images / name).symlink_to(image)
        (labels / name).symlink_to(label)
    return kind


def _rendered(folder: Path, count: int) -> list[tuple[Path, Path]]:
    from PIL import Image

    from pytest_lossy.data.opening import open_dataset
    from pytest_lossy.specs.schema import DataSection

    folder.mkdir()
    data = open_dataset(DataSection(name="mini-segmentation", kwargs={"split": "test"}), folder)
    pairs = []
    for number in range(min(count, len(data))):
        sample = data.load(number)
        image, label = folder / f"{number}.png", folder / f"{number}-label.png"
        Image.fromarray(sample.media).resize(SIZE[::-1], Image.Resampling.BICUBIC).save(image)
        Image.fromarray(sample.target.astype("uint8")).resize(SIZE[::-1], Image.Resampling.NEAREST).save(label)
        pairs.append((image, label))
    return pairs
