"""The report's samples: what each picture is, in words, and how large; pictures that are missing are said to be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pytest_lossy.report import formatting
from pytest_lossy.report.lookup import Lookup
from pytest_lossy.results.document import GallerySample
from pytest_lossy.results.findings import PictureKind

__all__ = ["GalleryCase", "GalleryModel", "Panel", "Shown", "gallery_models", "picture_size"]

_PIXELS: tuple[PictureKind, ...] = ("source", "compressed", "difference")
_PREDICTIONS: tuple[PictureKind, ...] = ("clean_prediction", "prediction", "target")
_HOW_TO_READ = {
    "segmentation": "Diagonal lines mark pixels whose class is wrong; grey pixels have no class.",
    "detection": "Solid boxes are found, dashed ones false, dotted ones missed, at IoU 0.5 and the score threshold.",
    "pose": "Solid people are found, dashed ones false, dotted ones missed, at OKS 0.5.",
    "depth": "Light is near, dark is far. Dots mark pixels that are off by more than a quarter, diagonal lines unknown "
    "depth.",
    "classification": "A triangle marks the correct class.",
    "action": "A triangle marks the correct class; of each clip one frame is shown.",
}


@dataclass(frozen=True, slots=True)
class Panel:
    """One picture of a sample."""

    title: str
    alt: str
    path: str
    size: tuple[int, int] | None
    """Width and height; None where the picture is missing."""


@dataclass(frozen=True, slots=True)
class Shown:
    """One sample."""

    kind: str
    sample: str
    metric: str
    clean: str
    value: str
    change: str
    pixels: list[Panel]
    predictions: list[Panel]
    cut: str | None
    """Which part of the sample the pixels are; None where they are all of it."""


@dataclass(frozen=True, slots=True)
class GalleryCase:
    """The samples of one case."""

    name: str
    samples: list[Shown]


@dataclass(frozen=True, slots=True)
class GalleryModel:
    """The samples of one model, by codec, the most severe level first."""

    name: str
    how_to_read: str
    cases: list[GalleryCase]

    @property
    def count(self) -> int:
        """How many samples there are."""
        return sum(len(case.samples) for case in self.cases)


def gallery_models(lookup: Lookup, pictures: Mapping[str, bytes]) -> list[GalleryModel]:
    """Arrange a document's gallery.

    Args:
        lookup: of the document.
        pictures: path as in ``GallerySample.pictures`` -> encoded picture.
    """
    by_model: dict[str, dict[tuple[str, float], list[GallerySample]]] = {}
    for sample in lookup.document.gallery:
        by_model.setdefault(sample.model, {}).setdefault((sample.codec, sample.level), []).append(sample)
    models = []
    for name, cases in by_model.items():
        codecs = list(dict.fromkeys(codec for codec, _ in cases))
        ordered = sorted(cases, key=lambda key: (codecs.index(key[0]), -lookup.severity(*key)))
        info = lookup.models.get(name)
        models.append(
            GalleryModel(
                name,
                _HOW_TO_READ.get(info.task, "") if info else "",
                [
                    GalleryCase(_case_name(lookup, *key), [_shown(lookup, one, pictures) for one in cases[key]])
                    for key in ordered
                ],
            )
        )
    return models


def _case_name(lookup: Lookup, codec: str, level: float) -> str:
    return f"{codec} {lookup.level_name(codec, level)}"


def _shown(lookup: Lookup, sample: GallerySample, pictures: Mapping[str, bytes]) -> Shown:
    case = _case_name(lookup, sample.codec, sample.level)
    free = lookup.label_free(sample.model)
    clean, value = formatting.metric(sample.clean), formatting.metric(sample.value)
    titles: dict[PictureKind, str] = {
        "source": "Source",
        "compressed": f"After {case}",
        "difference": f"Difference \N{MULTIPLICATION SIGN} {sample.gain}",
        "clean_prediction": "Prediction on the source" + (", the reference" if free else ""),
        "prediction": f"Prediction after {case}",
        "target": "Label",
    }

    def panels(kinds: tuple[PictureKind, ...]) -> list[Panel]:
        found = [(kind, sample.pictures[kind]) for kind in kinds if kind in sample.pictures]
        what = f"of sample {sample.sample}, {sample.metric} {clean} clean and {value} after {case}"
        return [
            Panel(
                titles[kind],
                f"{titles[kind]} {what}",
                path,
                picture_size(pictures[path]) if path in pictures else None,
            )
            for kind, path in found
        ]

    return Shown(
        kind={"worst": "Lost most", "typical": "Typical loss"}[sample.kind],
        sample=sample.sample,
        metric=lookup.metric_title(sample.model, sample.metric),
        clean=clean,
        value=value,
        change=formatting.signed(_loss(lookup, sample)),
        pixels=panels(_PIXELS),
        predictions=panels(_PREDICTIONS),
        cut=_cut(sample),
    )


def _loss(lookup: Lookup, sample: GallerySample) -> float | None:
    if sample.clean is None or sample.value is None:
        return None
    better = lookup.higher_is_better(sample.model, sample.metric)
    return sample.clean - sample.value if better else sample.value - sample.clean


def _cut(sample: GallerySample) -> str | None:
    if sample.size is None or sample.window is None or sample.window[2:] == sample.size:
        return None
    left, top, width, height = sample.window
    whole = f"{sample.size[0]} by {sample.size[1]} pixels"
    return f"Cut out where the codec changed most: {width} by {height} of {whole}, at {left}, {top}."


def picture_size(content: bytes) -> tuple[int, int] | None:
    """Width and height of a WebP file, from its header (RFC 9649); None where it has none, or is another format."""
    kind = content[12:16]
    if content[8:12] != b"WEBP" or len(content) < 30:
        return None
    if kind == b"VP8 ":
        width, height = (int.from_bytes(content[at : at + 2], "little") & 0x3FFF for at in (26, 28))
    elif kind == b"VP8L":
        bits = int.from_bytes(content[21:25], "little")
        width, height = (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    elif kind == b"VP8X":
        width, height = (int.from_bytes(content[at : at + 3], "little") + 1 for at in (24, 27))
    else:
        return None
    return width, height
