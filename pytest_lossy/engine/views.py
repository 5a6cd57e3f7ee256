"""What of a sample is predicted and what is scored: the whole medium, or single frames of a clip."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from pytest_lossy.codecs.base import UInt8Array
from pytest_lossy.data.base import Context, Sample
from pytest_lossy.errors import DataError
from pytest_lossy.models.base import Prediction
from pytest_lossy.tasks.base import Task
from pytest_lossy.tasks.frames import FrameTask, Window

__all__ = ["View", "view_of"]

Frame = int | None
"""The index of a frame; None for the whole medium."""


@dataclass(frozen=True, slots=True)
class View:
    """One sample as a task sees it."""

    sample: Sample
    predicted: tuple[Frame, ...]
    """What goes through the model, in order."""
    scored: tuple[Frame, ...]
    """What becomes a row of evidence."""

    def inputs(self, media: UInt8Array) -> list[tuple[UInt8Array, Context]]:
        """The model's inputs, from this sample's media after the codec; a frame's context names its number."""
        context = self.sample.context
        return [(media, context) if t is None else (media[t], {**context, "frame": t}) for t in self.predicted]

    def row_id(self, frame: Frame) -> str:
        """The sample's id, with the number of a frame: ``clip-7#12``."""
        return self.sample.id if frame is None else f"{self.sample.id}#{frame}"

    def group(self) -> str | None:
        """The independent unit: frames of one clip are never independent."""
        one_row = self.scored == (None,)
        return self.sample.group if one_row or self.sample.group is not None else self.sample.id

    def video(self) -> str | None:
        """The video that the sample was cut from, where the data set says so."""
        target = self.sample.target
        found = target.get("video") if isinstance(target, Mapping) else self.sample.context.get("video")
        return found if isinstance(found, str) else None

    def prediction(self, frame: Frame, predictions: Mapping[Frame, Prediction], task: Task) -> Prediction:
        """What the task scores: the prediction, or that of a frame with its neighbours'."""
        if not isinstance(task, FrameTask):
            return predictions[frame]
        if frame is None:
            return Window(predictions[None])
        return Window(predictions[frame], predictions.get(frame - 1), predictions.get(frame + 1))

    def still(self, media: UInt8Array) -> UInt8Array:
        """What a picture shows of this sample's media: the still, the only scored frame, the labelled or the middle one."""
        if media.ndim == 3:
            return media
        for frame in (self.scored[0], self.sample.frame):
            if frame is not None:
                break
        else:
            frame = len(media) // 2
        chosen: UInt8Array = media[frame]
        return chosen

    def target(self, frame: Frame) -> Any:
        """The label of what is scored."""
        if frame is None or self.sample.frame is not None:
            return self.sample.target
        return self.sample.target[frame]


def view_of(sample: Sample, task: Task, *, labelled: bool) -> View:
    """Decide what of a sample to predict and score.

    Args:
        sample: any.
        task: a :class:`~pytest_lossy.tasks.frames.FrameTask` scores clips frame by frame, another task as a whole.
        labelled: False where the target is not used, and every frame of a clip without a labelled one is scored.

    Raises:
        DataError: a clip without usable labels, or for a task on stills.
    """
    if sample.media.ndim == 3:
        return View(sample, (None,), (None,))
    if not isinstance(task, FrameTask):
        if getattr(task, "per_frame", False):
            raise DataError(
                f"sample '{sample.id}' is a clip, but the data holds stills; set 'data.media: clips' in the spec"
            )
        return View(sample, (None,), (None,))
    scored = _labelled_frames(sample, labelled=labelled)
    wanted = {*scored}
    if task.needs_neighbours:
        wanted |= {t + step for t in scored for step in (-1, 1) if 0 <= t + step < len(sample.media)}
    return View(sample, tuple(sorted(wanted)), scored)


def _labelled_frames(sample: Sample, *, labelled: bool) -> tuple[int, ...]:
    frames = len(sample.media)
    if sample.frame is not None:
        if not isinstance(sample.frame, int | np.integer) or not 0 <= sample.frame < frames:
            raise DataError(
                f"sample '{sample.id}': frame {sample.frame} is not one of its {frames}; correct the data set"
            )
        return (int(sample.frame),)
    if not labelled:
        return tuple(range(frames))
    target = sample.target
    if not isinstance(target, list | tuple) or len(target) != frames:
        found = f"{len(target)} targets" if isinstance(target, list | tuple) else type(target).__name__
        raise DataError(
            f"sample '{sample.id}': a clip of {frames} frames needs one target per frame (None where a frame has none), or "
            f"'frame', the number of the labelled one; it has {found}: correct the data set"
        )
    chosen = tuple(t for t in range(frames) if target[t] is not None)
    if not chosen:
        raise DataError(f"sample '{sample.id}': no frame has a target; leave the clip out of the data set")
    return chosen
