"""Pictures of a finished case: a few samples before and after the codec, and what the model said of each.

Predictions are not kept, so the model runs again on these samples; nothing here changes a number, and whatever fails here
costs a note and no case.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from pytest_lossy.analysis.samples import Choice, choose_samples, sample_values
from pytest_lossy.cases import Case
from pytest_lossy.codecs.base import Codec, UInt8Array
from pytest_lossy.drawing.thumbnails import amplified_difference, busiest_window, encode_drawings, encode_pixels
from pytest_lossy.engine.loaded import PictureStore
from pytest_lossy.engine.pipeline import Observation
from pytest_lossy.engine.runtime import ModelRuntime
from pytest_lossy.errors import LossyError
from pytest_lossy.results.document import GallerySample
from pytest_lossy.results.evidence import CaseEvidence
from pytest_lossy.results.findings import PictureKind
from pytest_lossy.tasks.base import task_drawing
from pytest_lossy.usercode import explain_exception

__all__ = ["GalleryOfCase", "show_samples"]

WINDOW_WIDTHS = (320, 288, 256, 224, 192, 176, 160, 144, 128, 112, 96, 72, 48)
"""Cut-outs tried for the source and what the codec made of it, four to three: the first that fits its bytes."""
SAMPLE_BYTES = 24_000
"""Of all pictures of one sample."""
DRAWING_BYTES = 17_000
"""Of its drawn predictions and target together, which come first; the pixels get what is left."""
PIXEL_QUALITY = 85
"""WebP's, high enough that one sees the codec's artefacts and not those of the thumbnail."""
DIFFERENCE_QUALITY = 30


@dataclass(frozen=True, slots=True)
class GalleryOfCase:
    """A measured case, ready to be looked at again."""

    node_id: str
    case: Case
    codec: Codec
    evidence: CaseEvidence


def show_samples(
    measured: GalleryOfCase, clean: CaseEvidence, runtime: ModelRuntime, store: PictureStore, count: int
) -> str:
    """Draw and store a case's samples.

    Args:
        measured: the case.
        clean: the evidence of the clean case, on the same samples.
        runtime: its model.
        store: the run's files.
        count: samples, at most.

    Returns:
        What went wrong, in one line; empty where nothing did.
    """
    try:
        return _show(measured, clean, runtime, store, count)
    except LossyError as error:
        reason = str(error)
    except Exception as error:  # noqa: BLE001  a third-party task may draw, and a user's model answer, whatever it likes
        reason = explain_exception(error)
    return f"no pictures of samples: {reason.splitlines()[0]}"


def _show(measured: GalleryOfCase, clean: CaseEvidence, runtime: ModelRuntime, store: PictureStore, count: int) -> str:
    task, evidence = runtime.task, measured.evidence
    if runtime.clean_by_sample is None:
        runtime.clean_by_sample = sample_values(task.reduce, clean.evidence, task.primary)
    values = sample_values(task.reduce, evidence.evidence, task.primary)
    places = _places(evidence)
    choices = choose_samples(
        evidence.ids,
        [group or f"sample {place[0]}" for group, place in zip(evidence.groups, places, strict=True)],
        runtime.clean_by_sample,
        values,
        higher_is_better=runtime.higher_is_better()[task.primary],
        count=count,
    )
    if not choices:
        return ""
    seen = runtime.pipeline.observe([places[choice.row] for choice in choices], measured.codec, measured.case.level)
    samples, problems = [], []
    for number, (choice, observed) in enumerate(zip(choices, seen, strict=True), 1):
        drawings: dict[PictureKind, bytes] = {}
        try:
            drawings = _drawings(observed, runtime)
        except Exception as error:  # noqa: BLE001  as in show_samples
            problems.append(explain_exception(error).splitlines()[0])
        pixels, gain, window = _pixels(observed, SAMPLE_BYTES - sum(map(len, drawings.values())))
        names = {
            kind: store.write_picture(f"{measured.case.slug}-{number}-{kind}.webp", content)
            for kind, content in (pixels | drawings).items()
        }
        samples.append(_record(measured, choice, names, gain, window, observed, task.primary))
    store.write_gallery(measured.case.slug, samples)
    return f"predictions are not drawn: {problems[0]}" if problems else ""


def _places(evidence: CaseEvidence) -> list[tuple[int, int]]:
    """For each row: which of the evaluated samples it is of, and which of that sample's scored frames."""
    # A sample's pixels are counted in the first of its rows alone.
    places, sample, frame = [], -1, 0
    for cost in evidence.costs:
        sample, frame = (sample + 1, 0) if cost.pixels else (sample, frame + 1)
        places.append((sample, frame))
    return places


def _pixels(observed: Observation, limit: int) -> tuple[dict[PictureKind, bytes], int, tuple[int, int, int, int]]:
    """Source, compressed and their difference, cut out around what the codec changed most; gain and window."""
    largest = math.inf
    for width in WINDOW_WIDTHS:
        if width > largest and width > WINDOW_WIDTHS[-1]:
            continue
        window = busiest_window(observed.source, observed.compressed, width, width * 3 // 4)
        source, compressed = (_cut(picture, window) for picture in (observed.source, observed.compressed))
        difference, gain = amplified_difference(source, compressed)
        pictures: dict[PictureKind, bytes] = {
            "source": encode_pixels(source, PIXEL_QUALITY),
            "compressed": encode_pixels(compressed, PIXEL_QUALITY),
            "difference": encode_pixels(difference, DIFFERENCE_QUALITY),
        }
        total = sum(map(len, pictures.values()))
        if total <= limit:
            break
        # Bytes grow with the area, roughly: no need to try what is far too large.
        largest = window[2] * math.sqrt(1.1 * limit / total)
    return pictures, gain, window


def _cut(picture: UInt8Array, window: tuple[int, int, int, int]) -> UInt8Array:
    left, top, width, height = window
    return picture[top : top + height, left : left + width]


def _drawings(observed: Observation, runtime: ModelRuntime) -> dict[PictureKind, bytes]:
    """The prediction on the source, the one on what the codec made of it, each on its own pixels, and the target."""
    wanted: list[tuple[PictureKind, UInt8Array, object]] = [
        ("clean_prediction", observed.source, observed.clean),
        ("prediction", observed.compressed, observed.prediction),
    ]
    if runtime.spec.reference == "labels":  # otherwise the clean prediction is the target
        wanted.append(("target", observed.source, None))
    drawn = {kind: task_drawing(runtime.task, pixels, said, observed.target) for kind, pixels, said in wanted}
    pictures = {kind: picture for kind, picture in drawn.items() if picture is not None}
    return dict(zip(pictures, encode_drawings(list(pictures.values()), DRAWING_BYTES), strict=True))


def _record(
    measured: GalleryOfCase,
    choice: Choice,
    names: dict[PictureKind, str],
    gain: int,
    window: tuple[int, int, int, int],
    observed: Observation,
    metric: str,
) -> GallerySample:
    case, height, width = measured.case, *observed.source.shape[:2]
    return GallerySample(
        case=measured.node_id,
        model=case.model,
        codec=case.label,
        level=case.level or 0.0,
        sample=measured.evidence.ids[choice.row],
        kind=choice.kind,
        metric=metric,
        clean=choice.clean,
        value=choice.value,
        gain=gain,
        size=(width, height),
        window=window,
        pictures=names,
    )
