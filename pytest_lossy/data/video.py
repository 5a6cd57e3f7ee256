"""Clips of video files: which frames a sample holds, and which of them a model is to see.

The codec works on source frames at the source frame rate, as a camera would. So ``media`` is a contiguous window of the
file, usually all of it, and the frames that a model samples are named in the context and picked after compression.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field

from pytest_lossy.data.base import Sample
from pytest_lossy.data.clip_file import check_clip, read_clip
from pytest_lossy.data.listing import Entry, MediaListing, require_files
from pytest_lossy.errors import DataError

__all__ = ["ClipOptions", "LabelledClips", "VideoFile", "choose_window", "frames_needed", "sample_frames"]

Sampling = Literal["uniform", "dense", "strided"]


class ClipOptions(BaseModel):
    """Keyword arguments of every data set of video files."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    sampling: Annotated[
        Sampling,
        Field(
            description="which frames the context names. uniform: the middle one of n equal parts; dense: n in a row, from "
            "the middle; strided: n, every stride-th, from the middle"
        ),
    ] = "uniform"
    frames: Annotated[int, Field(ge=1, description="n, the number of frames that a model sees")] = 16
    stride: Annotated[int, Field(ge=1, description="for sampling: strided")] = 2
    clips: Annotated[
        int,
        Field(ge=1, description="samples per file, from as many equal parts of it; their scores are averaged"),
    ] = 1
    max_frames: Annotated[
        int, Field(ge=1, description="longer clips are cut to so many frames around their middle")
    ] = 300
    max_pixels: Annotated[
        int,
        Field(
            ge=1,
            description="clips of more pixels (frames x height x width; 3 bytes each) are cut to fewer frames",
        ),
    ] = 150_000_000
    corrupt: Annotated[
        Literal["error", "skip"],
        Field(
            description="what damaged files do. skip: they are left out and counted, at the cost of decoding every file "
            "once when the data set is built"
        ),
    ] = "error"


def sample_frames(total: int, sampling: Sampling, frames: int, stride: int = 1) -> npt.NDArray[np.int64]:
    """The frames that a model sees.

    ``uniform`` takes the middle of each of n equal parts, as temporal segment networks are tested (Wang et al., ECCV 2016);
    ``dense`` and ``strided`` take n frames around the clip's middle, 1 or ``stride`` apart (the T x tau of Feichtenhofer et
    al., "SlowFast Networks for Video Recognition", ICCV 2019). In a clip that is too short, ``uniform`` repeats frames, and
    the others repeat the last one.

    Args:
        total: frames of the clip, at least 1.
        sampling: see above.
        frames: n.
        stride: for ``strided``.

    Returns:
        (n,), rising, 0..total-1.
    """
    if sampling == "uniform":
        return (2 * np.arange(frames, dtype=np.int64) + 1) * total // (2 * frames)
    step = stride if sampling == "strided" else 1
    start = max(0, (total - frames_needed(sampling, frames, stride)) // 2)
    return np.minimum(start + step * np.arange(frames, dtype=np.int64), total - 1)


def frames_needed(sampling: Sampling, frames: int, stride: int = 1) -> int:
    """The shortest clip from which no frame is taken twice."""
    return (frames - 1) * stride + 1 if sampling == "strided" else frames


@dataclass(frozen=True, slots=True)
class VideoFile:
    """One labelled file."""

    id: str
    path: Path
    label: int
    group: str


@dataclass(frozen=True, slots=True)
class ClipLabel:
    """What a sample's target is made from."""

    label: int
    video: str
    part: int
    """Which of the file's equal parts."""


class LabelledClips(MediaListing[ClipLabel]):
    """Video files with one label each: the base of the action data sets.

    Args:
        name: the registry's name.
        root: what sample ids are relative to.
        files: in the order of the data set.
        classes: class names in label order.
        options: see :class:`ClipOptions`.
        notes: what a reader of the results must know of the selection.

    Raises:
        MissingInputError: a file is not there.
        DataError: there is none, or all are damaged.
    """

    def __init__(
        self,
        name: str,
        root: Path,
        files: Sequence[VideoFile],
        classes: tuple[str, ...],
        options: ClipOptions,
        notes: Iterable[str] = (),
    ) -> None:
        self._options = options
        notes = list(notes)
        require_files([file.path for file in files], "video")
        if options.corrupt == "skip":
            problems = {file.path: problem for file in files if (problem := check_clip(file.path)) is not None}
            if len(problems) == len(files):
                raise DataError(f"{next(iter(problems.values()))} (all {len(files)} videos are damaged)")
            if problems:
                # The results quote this note, and must not depend on where the data lie.
                first = next(iter(problems.values())).replace(f"{root}/", "")
                notes.append(
                    f"{len(problems)} of {len(files)} videos are damaged and were left out; the first: {first}"
                )
            files = [file for file in files if file.path not in problems]
        entries = [
            Entry(
                file.id if options.clips == 1 else f"{file.id}#{part}",
                file.path,
                ClipLabel(file.label, file.id, part),
                file.group,
            )
            for file in files
            for part in range(options.clips)
        ]
        super().__init__(name, root, entries, classes, notes=notes, extra=(options.model_dump_json(),))

    def load(self, index: int) -> Sample:
        """Decode one clip.

        Returns:
            A sample with ``media`` (T, H, W, 3), contiguous frames at the source rate and size; target
            ``{"label": int, "video": str}``; and in the context ``frames`` (n,) int64, the frames of ``media`` that a model
            sees, and ``fps``, the file's mean frame rate, where it is known.

        Raises:
            DataError: the file is missing, damaged or truncated, or the limits leave too few frames.
        """
        entry, options = self._entries[index], self._options
        path, label = entry.media, entry.label

        def window(total: int, pixels: int) -> tuple[int, int]:
            return choose_window(path, options, label.part, total, pixels)

        clip = read_clip(path, window)
        context: dict[str, object] = {
            "frames": sample_frames(len(clip.frames), options.sampling, options.frames, options.stride)
        }
        if clip.fps is not None:
            context["fps"] = clip.fps
        target = {"label": label.label, "video": label.video}
        return Sample(entry.id, clip.frames, target, context=context, group=entry.group, source=clip.source)


def choose_window(path: Path, options: ClipOptions, part: int, total: int, pixels: int) -> tuple[int, int]:
    """First frame of a sample, and the one after its last."""
    start, stop = (number * total // options.clips for number in (part, part + 1))
    if stop == start:
        raise DataError(f"{path}: has {total} frames, too few for {options.clips} clips; lower 'clips'")
    length = min(stop - start, options.max_frames, options.max_pixels // max(1, pixels))
    if length < 1:
        raise DataError(
            f"{path}: a frame has {pixels} pixels, more than 'max_pixels' {options.max_pixels}; raise it, or remove the file"
        )
    needed = frames_needed(options.sampling, options.frames, options.stride)
    if length < min(needed, stop - start):
        raise DataError(
            f"{path}: 'max_frames' and 'max_pixels' leave {length} of {stop - start} frames, and the sampling needs "
            f"{needed}; raise the limits or sample fewer frames"
        )
    first = start + (stop - start - length) // 2
    return first, first + length
