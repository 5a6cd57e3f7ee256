"""Plain folders of images or clips without labels, for label-free mode (``--lossy-reference=clean``)."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Sequence
from itertools import groupby
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StrictInt

from pytest_lossy.data.base import Sample, SourceInfo, UInt8Array
from pytest_lossy.data.clip_file import VIDEO_SUFFIXES, Clip, Window
from pytest_lossy.data.images import IMAGE_SUFFIXES, MAX_PIXELS, file_fingerprint, list_images, read_image
from pytest_lossy.data.listing import Entry, MediaListing
from pytest_lossy.data.video import ClipOptions, LabelledClips, VideoFile, choose_window, sample_frames
from pytest_lossy.errors import DataError, MissingInputError
from pytest_lossy.paths import from_spec

__all__ = ["Clips", "ClipsOptions", "FrameFolders", "Images", "ImagesOptions"]


def _distinct(classes: tuple[str, ...] | int) -> tuple[str, ...] | int:
    if not isinstance(classes, int) and len(set(classes)) != len(classes):
        raise ValueError("a name is listed twice; make the names unique")
    return classes


Classes = Annotated[
    tuple[str, ...] | Annotated[StrictInt, Field(ge=1, le=100_000)],
    Field(description="class names in the model's label order, or how many classes there are; none for depth"),
    AfterValidator(_distinct),
]
OneSequence = Annotated[
    bool, Field(description="whether all samples are cut from one recording and thus no independent samples")
]


def _class_names(classes: tuple[str, ...] | int) -> tuple[str, ...]:
    return tuple(f"class {label}" for label in range(classes)) if isinstance(classes, int) else classes


class ImagesOptions(BaseModel):
    """Keyword arguments of ``images``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    path: Annotated[str, Field(description="folder of images, relative to the spec")]
    recursive: bool = False
    classes: Classes = ()
    one_sequence: OneSequence = False
    max_pixels: Annotated[int, Field(ge=1, description="largest image that is decoded")] = MAX_PIXELS


class Images(MediaListing[None]):
    """Still images; every target is None."""

    Options = ImagesOptions
    labelled = False
    media = "stills"

    def __init__(self, options: ImagesOptions, base: Path) -> None:
        root = from_spec(base, options.path)
        group = "sequence" if options.one_sequence else None
        entries = [
            Entry(path.relative_to(root).as_posix(), path, None, group)
            for path in list_images(root, recursive=options.recursive)
        ]
        super().__init__("images", root, entries, _class_names(options.classes))
        self._max_pixels = options.max_pixels

    def load(self, index: int) -> Sample:
        """Decode one image.

        Raises:
            DataError: it is missing, damaged or larger than ``max_pixels``.
        """
        entry = self._entries[index]
        media, source = read_image(entry.media, max_pixels=self._max_pixels)
        return Sample(entry.id, media, None, group=entry.group, source=source)


class ClipsOptions(ClipOptions):
    """Keyword arguments of ``clips``."""

    path: Annotated[
        str, Field(description="folder of videos, or of folders of frames, at any depth; relative to the spec")
    ]
    stored: Annotated[
        Literal["auto", "videos", "frames"],
        Field(
            description="as what clips are stored; auto: as videos or as folders of frames, if only one of them is there"
        ),
    ] = "auto"
    fps: Annotated[
        float | None, Field(gt=0, allow_inf_nan=False, description="frame rate of folders of frames; videos say theirs")
    ] = None
    classes: Classes = ()
    one_sequence: OneSequence = False


class Clips:
    """Clips without labels, of video files or of folders of frames; every target is None.

    The independent unit is the clip, the video where several clips are cut from one, or all of them are one sequence.
    """

    Options = ClipsOptions
    labelled = False
    media = "clips"
    name = "clips"

    def __init__(self, options: ClipsOptions, base: Path) -> None:
        root, self.classes = from_spec(base, options.path), _class_names(options.classes)
        self._options = options
        videos, frames = _stored_clips(root, options.stored)
        self._clips: LabelledClips | FrameFolders
        if videos:
            if options.fps is not None:
                raise DataError(f"{root}: 'fps' is for folders of frames, and videos say theirs; remove the option")
            names = [path.relative_to(root).as_posix() for path in videos]
            files = [VideoFile(name, path, 0, name) for name, path in zip(names, videos, strict=True)]
            self._clips = LabelledClips(self.name, root, files, self.classes, options)
        else:
            self._clips = FrameFolders(self.name, root, frames, self.classes, options, options.fps)
        self.notes = self._clips.notes

    def __len__(self) -> int:
        return len(self._clips)

    def sample_id(self, index: int) -> str:
        """The path of the video or folder below the data set's folder, with the number of the clip if it has several."""
        return self._clips.sample_id(index)

    def group(self, index: int) -> str | None:
        """See the class."""
        if self._options.one_sequence:
            return "sequence"
        return self._clips.group(index) if self._options.clips > 1 else None

    def load(self, index: int) -> Sample:
        """Decode one clip: as :meth:`~pytest_lossy.data.video.LabelledClips.load`, without a target.

        Where several clips are cut from one video, the context names it (``video``).

        Raises:
            DataError: a file is missing, damaged or truncated, or the limits leave too few frames.
        """
        sample, context = self._clips.load(index), {}
        if self._options.clips > 1:
            context["video"] = self._clips.group(index)
        return dataclasses.replace(sample, target=None, context={**sample.context, **context}, group=self.group(index))

    def fingerprint(self) -> str:
        """A hash over the names and sizes of all files, the classes and the options."""
        return self._clips.fingerprint()


@dataclasses.dataclass(frozen=True, slots=True)
class FramePart:
    """One part of the frames of a folder."""

    files: tuple[Path, ...]
    part: int


class FrameFolders(MediaListing[FramePart]):
    """Folders of still images that are the frames of one clip each; the counterpart of ``LabelledClips``.

    Args:
        name: the registry's name.
        root: what sample ids are relative to.
        folders: the frames of each clip, in order.
        classes: class names in label order.
        options: see :class:`~pytest_lossy.data.video.ClipOptions`.
        fps: frames per second; None where it is not known.

    Raises:
        DataError: there is no clip, or all are damaged.
    """

    def __init__(
        self,
        name: str,
        root: Path,
        folders: Sequence[tuple[Path, ...]],
        classes: tuple[str, ...],
        options: ClipOptions,
        fps: float | None,
    ) -> None:
        self._options, self._fps = options, fps
        notes = []
        if options.corrupt == "skip":
            problems = {files: problem for files in folders if (problem := _damage(files)) is not None}
            if problems:
                # The results quote this note, and must not depend on where the data lie.
                first = next(iter(problems.values())).replace(f"{root}/", "")
                notes.append(
                    f"{len(problems)} of {len(folders)} clips are damaged and were left out; the first: {first}"
                )
            if len(problems) == len(folders):
                raise DataError(f"{next(iter(problems.values()))} (all {len(folders)} clips are damaged)")
            folders = [files for files in folders if files not in problems]
        entries = []
        for files in folders:
            clip = files[0].parent.relative_to(root).as_posix()
            for part in range(options.clips):
                sample_id = clip if options.clips == 1 else f"{clip}#{part}"
                entries.append(Entry(sample_id, files[0], FramePart(files, part), clip))
        super().__init__(name, root, entries, classes, notes=notes, extra=(options.model_dump_json(),))

    def load(self, index: int) -> Sample:
        """Decode one clip; the context is that of :meth:`~pytest_lossy.data.video.LabelledClips.load`.

        Raises:
            DataError: a frame is missing, damaged or of another size, or the limits leave too few frames.
        """
        entry, options = self._entries[index], self._options
        folder = entry.media.parent

        def window(total: int, pixels: int) -> tuple[int, int]:
            return choose_window(folder, options, entry.label.part, total, pixels)

        clip = _read_frames(entry.label.files, window, self._fps)
        context: dict[str, object] = {
            "frames": sample_frames(len(clip.frames), options.sampling, options.frames, options.stride)
        }
        if clip.fps is not None:
            context["fps"] = clip.fps
        return Sample(entry.id, clip.frames, None, context=context, group=entry.group, source=clip.source)

    def _labels(self) -> Iterable[str]:
        """There are no labels; the frames after the first one decide what is loaded, too."""
        return (file_fingerprint(self._root, list(entry.label.files)) for entry in self._entries)


def _stored_clips(root: Path, stored: str) -> tuple[list[Path], list[tuple[Path, ...]]]:
    """Video files, or the frames of each folder of frames in order; one of the two is empty."""
    if not root.is_dir():
        raise MissingInputError(f"{root}: no such folder; place the clips there or change 'path' in the spec")
    found = [path for path in sorted(root.rglob("*")) if path.is_file()]
    videos, images = (
        [path for path in found if path.suffix.lower() in suffixes] if stored in ("auto", kind) else []
        for kind, suffixes in (("videos", VIDEO_SUFFIXES), ("frames", IMAGE_SUFFIXES))
    )
    if videos and images:
        raise DataError(
            f"{root}: holds {len(videos)} videos and {len(images)} images; set 'stored' to videos or to frames, or "
            "separate them"
        )
    if not videos and not images:
        wanted = {"auto": "video and no folder of images", "videos": "video", "frames": "folder of images"}[stored]
        raise DataError(f"{root}: holds no {wanted}; place some there, or change 'path'")
    loose = [path for path in images if path.parent == root]
    if loose:
        raise DataError(f"{loose[0]}: lies in no folder of its own clip; move the frames of each clip to a folder")
    images.sort(key=lambda path: (path.parent, _frame_order(path)))
    return videos, [tuple(files) for _, files in groupby(images, key=lambda path: path.parent)]


def _frame_order(path: Path) -> tuple[list[str | int], str]:
    """Frame 10 comes after frame 9, whether or not the numbers are padded with zeros."""
    parts = re.split(r"([0-9]+)", path.name)
    return [int(part) if index % 2 else part for index, part in enumerate(parts)], path.name


def _damage(files: Sequence[Path]) -> str | None:
    """What is wrong with the frames of a clip, or None; reads them all and keeps none."""
    shape: tuple[int, ...] | None = None
    try:
        for path in files:
            shape = _read_frame(path, shape)[0].shape
    except DataError as error:
        return str(error)
    return None


def _read_frame(path: Path, shape: tuple[int, ...] | None) -> tuple[UInt8Array, SourceInfo]:
    frame, source = read_image(path)
    if shape is not None and frame.shape != shape:
        raise DataError(
            f"{path}: the frame is {frame.shape[1]}x{frame.shape[0]}, the first one is {shape[1]}x{shape[0]}; the frames of "
            "a clip must be of one size"
        )
    return frame, source


def _read_frames(files: Sequence[Path], window: Window, fps: float | None) -> Clip:
    """Contiguous frames of a folder, as ``read_clip`` has them of a video."""
    shape = read_image(files[0])[0].shape
    start, stop = window(len(files), shape[0] * shape[1])
    frames = np.empty((stop - start, *shape), dtype=np.uint8)
    sources = []
    for index, path in enumerate(files[start:stop]):
        frames[index], source = _read_frame(path, shape)
        sources.append(source)
    notes = [] if (start, stop) == (0, len(files)) else [f"frames {start}-{stop - 1} of {len(files)}"]
    source = dataclasses.replace(
        sources[0],
        bytes=sum(source.bytes or 0 for source in sources),
        notes=tuple(dict.fromkeys([*notes, *(note for source in sources for note in source.notes)])),
    )
    return Clip(frames, start, len(files), fps, source)
