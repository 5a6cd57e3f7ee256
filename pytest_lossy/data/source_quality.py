"""How strongly a source was compressed before this package saw it: estimated from its file, never from its pixels.

A JPEG file says it by its quantisation tables. Those of libjpeg and its many users are the tables of ITU-T T.81, annex K,
scaled by the IJG's quality (libjpeg, ``jcparam.c``: ``jpeg_quality_scaling``), and the quality is recovered exactly; for
others (Photoshop, some cameras) it is that of the nearest of them. WebP, AVIF and others do not store their quality.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, JpegImagePlugin

from pytest_lossy.data.base import SourceInfo

__all__ = [
    "JpegQuality",
    "jpeg_quality",
    "jpeg_subsampling",
    "nearest_quality",
    "quality_counts",
    "quality_summary",
    "standard_tables",
    "yuv_subsampling",
]

# ITU-T T.81, tables K.1 (luminance) and K.2 (chrominance), row by row: quality 50.
_LUMINANCE = (
    (16, 11, 10, 16, 24, 40, 51, 61),
    (12, 12, 14, 19, 26, 58, 60, 55),
    (14, 13, 16, 24, 40, 57, 69, 56),
    (14, 17, 22, 29, 51, 87, 80, 62),
    (18, 22, 37, 56, 68, 109, 103, 77),
    (24, 35, 55, 64, 81, 104, 113, 92),
    (49, 64, 78, 87, 103, 121, 120, 101),
    (72, 92, 95, 98, 112, 100, 103, 99),
)
_CHROMINANCE = (
    (17, 18, 24, 47, 99, 99, 99, 99),
    (18, 21, 26, 66, 99, 99, 99, 99),
    (24, 26, 56, 99, 99, 99, 99, 99),
    (47, 66, 99, 99, 99, 99, 99, 99),
    *((99,) * 8,) * 4,
)
_BASELINE = 255
_ABOUT = "~"
"""Ends the key of a quality that is that of the nearest standard tables."""

Table = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class JpegQuality:
    """What the quantisation tables of a JPEG file say."""

    quality: int
    """1..100 on the IJG scale."""
    exact: bool
    """Whether the tables are the standard ones of that quality; otherwise these are merely the nearest."""


def standard_tables(quality: int) -> tuple[Table, Table]:
    """The IJG's tables (luma, chroma) for ``quality``, 1..100: 64 entries each, 1..255, row by row."""
    percentage = 5000 // quality if quality < 50 else 200 - 2 * quality
    scaled = (np.array(_LUMINANCE).ravel(), np.array(_CHROMINANCE).ravel())
    luma, chroma = (np.clip((table * percentage + 50) // 100, 1, _BASELINE) for table in scaled)
    return luma, chroma


@cache
def _all_standard_tables() -> tuple[Table, Table]:
    """Luma and chroma, (100, 64) each: row ``q - 1`` is quality q."""
    pairs = [standard_tables(quality) for quality in range(1, 101)]
    return np.stack([luma for luma, _ in pairs]), np.stack([chroma for _, chroma in pairs])


def nearest_quality(luma: Iterable[int], chroma: Iterable[int] | None = None) -> JpegQuality:
    """The quality whose standard tables differ least from those given: mean absolute difference of the logarithms.

    Args:
        luma: 64 entries, row by row; entries above 255, which files of 12 bits or of very low quality have, count as 255.
        chroma: None where all components share one table.
    """
    standard_luma, standard_chroma = _all_standard_tables()
    pairs = [(standard_luma, luma)] if chroma is None else [(standard_luma, luma), (standard_chroma, chroma)]
    distance = np.zeros(len(standard_luma))
    for standard, given in pairs:
        table = np.clip(np.fromiter(given, dtype=np.int64), 1, _BASELINE)
        distance += np.abs(np.log(standard) - np.log(table)).mean(axis=1)
    best = int(distance.argmin())
    return JpegQuality(best + 1, exact=not distance[best])


def jpeg_quality(image: Image.Image) -> JpegQuality | None:
    """Estimate the quality of an opened JPEG or MPO file from its tables.

    Returns:
        None for other formats, and for files whose tables come only after the headers.
    """
    if not isinstance(image, JpegImagePlugin.JpegImageFile):
        return None
    tables: Mapping[int, Any] = image.quantization
    used = [table for _, _, _, table in image.layer]
    if not used or any(table not in tables for table in used) or any(len(tables[table]) != 64 for table in used):
        return None
    # Components are (Y, Cb, Cr) or (Y, Cb, Cr, K); those that share luma's table have none of their own.
    chroma = used[1] if len(used) > 1 and used[1] != used[0] else None
    return nearest_quality(tables[used[0]], None if chroma is None else tables[chroma])


def jpeg_subsampling(image: Image.Image) -> str | None:
    """Chroma subsampling of an opened JPEG or MPO file, such as ``4:2:0``; None for grey and for other formats."""
    if not isinstance(image, JpegImagePlugin.JpegImageFile) or len(image.layer) < 3:
        return None
    (_, across, down, _), *others = image.layer
    ratios: set[tuple[float, float]] = {(across / h, down / v) for _, h, v, _ in others[:2]}
    return _SUBSAMPLING.get(ratios.pop(), "other") if len(ratios) == 1 else "other"


_SUBSAMPLING: dict[tuple[float, float], str] = {
    (1, 1): "4:4:4",
    (2, 1): "4:2:2",
    (2, 2): "4:2:0",
    (1, 2): "4:4:0",
    (4, 1): "4:1:1",
    (4, 2): "4:1:0",
}
"""By luma samples per chroma sample, across and down."""


def yuv_subsampling(pixel_format: str | None) -> str | None:
    """Chroma subsampling of one of FFmpeg's pixel formats; None where its name does not say."""
    for digits in ("420", "422", "444", "440", "411", "410"):
        if pixel_format and pixel_format.startswith((f"yuv{digits}p", f"yuvj{digits}p", f"yuva{digits}p")):
            return ":".join(digits)
    return "4:2:0" if pixel_format in ("nv12", "nv21") or (pixel_format or "").startswith("p010") else None


def quality_counts(sources: Iterable[SourceInfo | None]) -> dict[str, dict[str, int]]:
    """Count the samples of each codec by their quality: exact builtins that add up over shards, in a fixed order.

    Returns:
        codec -> ``q80`` (JPEG, exact), ``q80~`` (nearest), ``kbps512`` (video) -> samples. Sources of unknown strength,
        such as PNG, are left out.
    """
    found: dict[str, dict[str, int]] = {}
    for source in sources:
        if source is None or source.codec is None:
            continue
        if source.quality is not None:
            key = f"q{source.quality:g}" + ("" if source.quality_exact else _ABOUT)
        elif source.kbps is not None:
            key = f"kbps{source.kbps:.0f}"
        else:
            continue
        counts = found.setdefault(source.codec, {})
        counts[key] = counts.get(key, 0) + 1
    return {codec: dict(sorted(counts.items())) for codec, counts in sorted(found.items())}


def quality_summary(counts: Mapping[str, Mapping[str, int]]) -> dict[str, dict[str, Any]]:
    """What :func:`quality_counts` found, as ``results.json`` has it: the fields of ``SourceQuality`` per codec.

    The median is the lower one of an even number: a quality that occurs. Of a codec whose samples state different
    parameters only the one that most of them state is summarised.
    """
    summary: dict[str, dict[str, Any]] = {}
    for codec, found in sorted(counts.items()):
        kinds = {
            parameter: {key: number for key, number in found.items() if key.startswith(parameter)}
            for parameter in ("q", "kbps")
        }
        parameter = max(kinds, key=lambda kind: sum(kinds[kind].values()))
        values = sorted(
            (float(key.removeprefix(parameter).rstrip(_ABOUT)), number) for key, number in kinds[parameter].items()
        )
        total = sum(number for _, number in values)
        if total == 0:
            continue
        upto = itertools.accumulate(number for _, number in values)
        summary[codec] = {
            "parameter": parameter,
            "count": total,
            "minimum": values[0][0],
            "median": next(value for (value, _), below in zip(values, upto, strict=True) if 2 * below >= total),
            "maximum": values[-1][0],
            "nonstandard": sum(number for key, number in kinds[parameter].items() if key.endswith(_ABOUT)),
        }
    return summary
