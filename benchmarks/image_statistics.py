"""How close the mini world's pictures are to photographs, in the statistics that lossy codecs react to.

    python benchmarks/image_statistics.py [--count 60] [--size 320x240] [NAME=FOLDER ...]

prints one row for the mini world and one for each folder of real images, medians over the images:

* ``slope``: of the radially averaged power spectrum against frequency, both logarithmic, over all
  frequencies above 0.02 cycles per pixel; ``high``: above 0.15 only, where JPEG's quantisation bites;
* ``bpp``: bits per pixel of Pillow's JPEG at qualities 75, 30, 15 and 5;
* ``std``: 10th, 50th and 90th percentile of the standard deviation in 8x8 blocks of luma;
* ``flat``: share of blocks whose standard deviation is under 2;
* ``lap``: median absolute value of the 4-neighbour Laplacian of luma.

Real images are scaled to cover the size (Lanczos) and cropped in the middle, so that all rows speak of the
same number of pixels. The slope alone does not tell flat drawings from photographs; the other columns do.
"""

from __future__ import annotations

import argparse
import io
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

QUALITIES = (75, 30, 15, 5)
COLUMNS = ("slope", "high", *(f"bpp{q}" for q in QUALITIES), "std10", "std50", "std90", "flat", "lap", "mean")


def statistics(image: npt.NDArray[np.uint8]) -> dict[str, float]:
    """All columns of one (H, W, 3) RGB picture."""
    luma = image.astype(np.float64) @ np.array([0.299, 0.587, 0.114])
    overall, high = spectral_slopes(luma)
    row = {"slope": overall, "high": high}
    for quality in QUALITIES:
        buffer = io.BytesIO()
        Image.fromarray(image).save(buffer, "JPEG", quality=quality)
        row[f"bpp{quality}"] = 8.0 * buffer.tell() / luma.size
    height, width = (n // 8 * 8 for n in luma.shape)
    blocks = luma[:height, :width].reshape(height // 8, 8, width // 8, 8).std(axis=(1, 3))
    row["std10"], row["std50"], row["std90"] = np.percentile(blocks, [10, 50, 90])
    row["flat"] = float((blocks < 2).mean())
    laplacian = 4 * luma[1:-1, 1:-1] - luma[:-2, 1:-1] - luma[2:, 1:-1] - luma[1:-1, :-2] - luma[1:-1, 2:]
    row["lap"] = float(np.median(np.abs(laplacian)))
    row["mean"] = float(luma.mean())
    return row


def spectral_slopes(luma: npt.NDArray[np.float64]) -> tuple[float, float]:
    """Log-log slopes of the radial power spectrum, from 0.02 and from 0.15 to 0.5 cycles per pixel."""
    window = np.hanning(luma.shape[0])[:, None] * np.hanning(luma.shape[1])[None, :]
    power = np.abs(np.fft.fft2((luma - luma.mean()) * window)) ** 2
    radius = np.hypot(np.fft.fftfreq(luma.shape[0])[:, None], np.fft.fftfreq(luma.shape[1])[None, :])
    edges = np.geomspace(0.02, 0.5, 25)
    which = np.digitize(radius.ravel(), edges)
    mean = np.array([power.ravel()[which == k].mean() for k in range(1, len(edges))])
    centre = np.sqrt(edges[:-1] * edges[1:])
    fits = [np.polyfit(np.log(centre[keep]), np.log(mean[keep]), 1)[0] for keep in (centre > 0, centre > 0.15)]
    return float(fits[0]), float(fits[1])


def mini_world(count: int, size: tuple[int, int]) -> Iterator[npt.NDArray[np.uint8]]:
    """The first frames of the validation split, at any size."""
    from pytest_lossy.data.mini.render import render
    from pytest_lossy.data.mini.scene import sample_scene
    from pytest_lossy.data.mini.segmentation import SPLITS

    for index in range(count):
        yield render(sample_scene(SPLITS["val"].seed, index), size).image


def photographs(folder: Path, count: int, size: tuple[int, int]) -> Iterator[npt.NDArray[np.uint8]]:
    """Evenly chosen pictures of a folder, scaled and cropped to ``size``."""
    files = sorted(p for p in folder.iterdir() if p.suffix.lower() in {".png", ".jpg", ".jpeg"})
    for number in np.unique(np.linspace(0, len(files) - 1, count).round().astype(int)):
        with Image.open(files[number]) as image:
            yield np.asarray(ImageOps.fit(image.convert("RGB"), size, Image.Resampling.LANCZOS))


def medians(images: Iterable[npt.NDArray[np.uint8]]) -> dict[str, float]:
    """The median of each column over pictures."""
    rows = [statistics(image) for image in images]
    return {column: float(np.median([row[column] for row in rows])) for column in COLUMNS}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description="Statistics of mini-world frames beside photographs.")
    parser.add_argument("folders", nargs="*", metavar="NAME=FOLDER", help="folders of real images to compare with")
    parser.add_argument("--count", type=int, default=60, help="pictures per row (default: 60)")
    parser.add_argument("--size", default="256x192", help="WIDTHxHEIGHT (default: 256x192)")
    arguments = parser.parse_args()
    width, height = (int(n) for n in arguments.size.split("x"))
    print(f"{'':14}" + "".join(f"{column:>8}" for column in COLUMNS))
    sources = {"mini world": mini_world(arguments.count, (width, height))}
    for item in arguments.folders:
        name, _, folder = item.partition("=")
        sources[name] = photographs(Path(folder), arguments.count, (width, height))
    for name, images in sources.items():
        row = medians(images)
        print(f"{name:14}" + "".join(f"{row[column]:8.2f}" for column in COLUMNS))


if __name__ == "__main__":
    main()
