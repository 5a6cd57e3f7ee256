"""What of a sample goes through the model, and what of it is scored."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_lossy.data.base import Sample
from pytest_lossy.engine.views import view_of
from pytest_lossy.errors import DataError
from pytest_lossy.tasks.frames import FrameTask, Window
from pytest_lossy.tasks.registry import build_task

CLIP = np.arange(6 * 2 * 2 * 3, dtype=np.uint8).reshape(6, 2, 2, 3)
LABELS = np.zeros((2, 2), dtype=np.uint8)
FRAMES = build_task("segmentation", ("a", "b"), clips=True)
STEADY = build_task("depth", (), clips=True)
STILLS = build_task("segmentation", ("a", "b"))
ACTION = build_task("action", ("a", "b"), clips=True)


def clip(**fields: Any) -> Sample:
    return Sample("c", CLIP, **{"target": None, **fields})


@given(st.lists(st.booleans(), min_size=6, max_size=6).filter(any))
def test_labelled_frames_are_scored_and_their_neighbours_predicted(labelled: list[bool]) -> None:
    targets = [LABELS if there else None for there in labelled]
    view = view_of(clip(target=targets), FRAMES, labelled=True)
    scored = [t for t in range(6) if labelled[t]]
    assert list(view.scored) == scored
    assert list(view.predicted) == [t for t in range(6) if any(abs(t - other) <= 1 for other in scored)]
    assert view_of(clip(target=targets), STEADY, labelled=True).predicted == tuple(scored)
    for t in scored:
        assert view.target(t) is LABELS
        predictions = {t: str(t) for t in view.predicted}
        window = view.prediction(t, predictions, FRAMES)
        assert window == Window(str(t), str(t - 1) if t > 0 else None, str(t + 1) if t < 5 else None)


def test_one_labelled_frame() -> None:
    view = view_of(clip(target=LABELS, frame=0, context={"fps": 5.0}), FRAMES, labelled=True)
    assert (view.predicted, view.scored, view.row_id(0), view.group()) == ((0, 1), (0,), "c#0", "c")
    inputs = view.inputs(CLIP + 1)
    assert [context for _, context in inputs] == [{"fps": 5.0, "frame": 0}, {"fps": 5.0, "frame": 1}]
    assert all(np.array_equal(pixels, (CLIP + 1)[t]) for t, (pixels, _) in enumerate(inputs))
    assert view.target(0) is LABELS
    assert view_of(clip(target=LABELS, frame=5), FRAMES, labelled=True).predicted == (4, 5)
    # Label-free, too, the one frame is what counts: it is the frame that others of this clip are not independent of.
    assert view_of(clip(frame=2), FRAMES, labelled=False).scored == (2,)


def test_without_labels_every_frame_is_scored() -> None:
    for target in (None, [LABELS], LABELS):
        assert view_of(clip(target=target), FRAMES, labelled=False).scored == tuple(range(6))


def test_stills_and_whole_clips_are_one_row() -> None:
    still = Sample("s", CLIP[0], LABELS, group=None)
    for task in (STILLS, FRAMES):
        view = view_of(still, task, labelled=True)
        assert (view.predicted, view.scored, view.row_id(None), view.group()) == ((None,), (None,), "s", None)
        assert view.target(None) is LABELS
    assert view_of(still, FRAMES, labelled=True).prediction(None, {None: 1}, FRAMES) == Window(1)
    assert view_of(still, STILLS, labelled=True).prediction(None, {None: 1}, STILLS) == 1
    whole = view_of(clip(target=1, group="video"), ACTION, labelled=True)
    assert (whole.scored, whole.group()) == ((None,), "video")
    assert whole.inputs(CLIP)[0][0] is CLIP


def test_the_group_of_the_data_set_stays() -> None:
    assert view_of(clip(target=[LABELS] * 6, group="camera"), FRAMES, labelled=True).group() == "camera"


def test_where_a_video_is_named() -> None:
    assert view_of(clip(target={"label": 1, "video": "v"}), ACTION, labelled=False).video() == "v"
    assert view_of(clip(context={"video": "w"}), ACTION, labelled=False).video() == "w"
    assert view_of(clip(target=3), ACTION, labelled=False).video() is None
    assert view_of(clip(context={"video": 7}), ACTION, labelled=False).video() is None


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"target": LABELS}, "it has ndarray: correct the data set"),
        ({"target": [LABELS] * 5}, "it has 5 targets: correct the data set"),
        ({"target": [None] * 6}, "no frame has a target"),
        ({"target": LABELS, "frame": 6}, "frame 6 is not one of its 6"),
        ({"target": LABELS, "frame": -1}, "frame -1 is not one of its 6"),
        ({"target": LABELS, "frame": 2.5}, "frame 2.5 is not one of its 6"),
        ({"target": LABELS, "frame": "3"}, "frame 3 is not one of its 6"),
    ],
)
def test_labels_that_do_not_fit_are_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match="sample 'c'") as caught:
        view_of(clip(**fields), FRAMES, labelled=True)
    assert message in str(caught.value)


def test_a_clip_among_stills_is_refused() -> None:
    for labelled in (True, False):
        with pytest.raises(DataError, match=r"'c' is a clip, but the data holds stills; set 'data.media: clips'"):
            view_of(clip(target=LABELS, frame=1), STILLS, labelled=labelled)


def test_numpy_frame_numbers_are_frame_numbers() -> None:
    """A data set may take the number from an array; everything later (ids, files) needs plain integers."""
    view = view_of(clip(target=LABELS, frame=np.int64(3)), FRAMES, labelled=True)
    assert view.row_id(view.scored[0]) == "c#3"
    assert all(type(t) is int for t in (*view.predicted, *view.scored))
    assert isinstance(FRAMES, FrameTask)
