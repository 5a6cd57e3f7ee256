"""What the pictures show, read back from their pixels; the same bytes each time; nothing that breaks them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_lossy.drawing.boxes import SHADES
from pytest_lossy.drawing.canvas import SIDE, Canvas, plain_text
from pytest_lossy.drawing.depth_maps import depth_range
from pytest_lossy.drawing.palette import FALSE, FOUND, MISSED, TRUTH, class_colours, seen_by, to_oklab, value_scale
from pytest_lossy.drawing.thumbnails import amplified_difference, busiest_window
from pytest_lossy.tasks.action import ActionTask
from pytest_lossy.tasks.agreement import AgreementTask, CleanPrediction
from pytest_lossy.tasks.base import task_drawing
from pytest_lossy.tasks.classification import ClassificationTask
from pytest_lossy.tasks.depth import DepthTask
from pytest_lossy.tasks.detection import DetectionTask
from pytest_lossy.tasks.frames import FrameTask, Window
from pytest_lossy.tasks.pose import PoseTask
from pytest_lossy.tasks.segmentation import SegmentationTask

HOSTILE = ("<script>alert(1)</script>", "\x00\n\u202e", "🦊" * 90, "", "x" * 5000, "\ud800", "Straße")
IMAGE = np.random.default_rng(0).integers(0, 256, (40, 64, 3), dtype=np.uint8)


def boxes(*rows, labels=None, scores=None):
    array = np.array(rows, dtype=np.float64).reshape(-1, 4)
    found = {"boxes": array, "labels": np.zeros(len(array), dtype=np.int64) if labels is None else np.array(labels)}
    return found if scores is None else found | {"scores": np.array(scores, dtype=np.float64)}


def people(count, scores=None, shift=0.0):
    points = np.stack([np.linspace(5, 40, 17) + shift, np.linspace(5, 35, 17), np.full(17, 2.0)], axis=1)
    found = {"keypoints": np.repeat(points[None], count, axis=0), "boxes": np.array([[5.0, 5, 40, 35]] * count)}
    found["boxes"] = found["boxes"].reshape(-1, 4)
    return found if scores is None else found | {"scores": np.array(scores, dtype=np.float64)}


def scores(count):
    return np.random.default_rng(1).random(count).astype(np.float32)


LABELS = np.arange(40 * 64).reshape(40, 64) % 7
EVERY_TASK = {
    "segmentation": (SegmentationTask(HOSTILE), LABELS, np.where(LABELS == 3, 255, LABELS[::-1])),
    "detection": (DetectionTask(HOSTILE), boxes([1, 1, 9, 9], scores=[0.9]), boxes([1, 1, 9, 9], [20, 20, 200, 30])),
    "no detections": (DetectionTask(HOSTILE), boxes(scores=[]), boxes()),
    "far boxes": (DetectionTask(HOSTILE), boxes([-1e9, -1e9, 1e9, 1e9], scores=[1e9]), boxes([-9, -9, -5, -5])),
    "pose": (PoseTask(), people(2, scores=[0.9, 0.2]), people(1)),
    "nobody": (PoseTask(), people(0, scores=[]), people(0)),
    "depth": (DepthTask(), IMAGE[..., 0] + 1.0, np.where(LABELS == 0, 0.0, IMAGE[..., 1] + 1.0)),
    "unknown depth": (DepthTask(), IMAGE[..., 0] + 1.0, np.zeros((40, 64))),
    "classification": (ClassificationTask(HOSTILE), scores(7), 3),
    "a thousand classes": (ClassificationTask(tuple(f"c{i}" for i in range(1000))), scores(1000), 999),
    "classes without names": (ClassificationTask(()), scores(9), 8),
    "action": (ActionTask(HOSTILE), scores(7), {"label": 6, "video": "v"}),
}


@pytest.mark.parametrize("name", EVERY_TASK)
def test_every_task_draws_the_same_picture_twice(name):
    task, prediction, target = EVERY_TASK[name]
    drawn = task.draw(IMAGE, prediction, target)
    assert drawn.dtype == np.uint8
    assert drawn.shape[2:] == (3,)
    assert max(drawn.shape) < 2 * SIDE
    assert drawn.tobytes() == task.draw(IMAGE.copy(), prediction, target).tobytes()
    alone = task.draw(IMAGE, None, target)
    assert (alone is None) == isinstance(task, ClassificationTask | ActionTask)
    assert alone is None or (alone.dtype == np.uint8 and alone.shape[2] == 3)


@pytest.mark.parametrize("shape", [(1, 1), (1, 900), (900, 1), (7, 3)])
def test_pictures_of_any_shape_are_drawn(shape):
    image = np.full((*shape, 3), 100, dtype=np.uint8)
    drawn = [
        SegmentationTask(("a", "b")).draw(image, np.zeros(shape, dtype=int), np.ones(shape, dtype=int)),
        DepthTask().draw(image, np.ones(shape), np.full(shape, 2.0)),
        DetectionTask(("a",)).draw(image, boxes([0, 0, 1, 1], scores=[0.9]), boxes([0, 0, 1, 1])),
        PoseTask().draw(image, people(1, scores=[0.9]), people(1)),
        ClassificationTask(("a", "b")).draw(image, scores(2), 1),
    ]
    assert all(picture.dtype == np.uint8 and min(picture.shape[:2]) >= 1 for picture in drawn)


def colour_at(picture, colour, tolerance=0):
    return (np.abs(picture.astype(int) - np.array(colour)).max(axis=2) <= tolerance).sum()


def test_wrong_labels_are_hatched_and_ignored_ones_never():
    truth = np.zeros((64, 64), dtype=int)
    truth[:, 32:] = 255
    prediction = np.zeros((64, 64), dtype=int)
    prediction[32:] = 1
    task = SegmentationTask(("a", "b"))
    drawn = task.draw(np.full((64, 64, 3), 90, dtype=np.uint8), prediction, truth)[: 64 * 5, : 64 * 5]
    white = (drawn == 255).all(axis=2)
    assert white[160:320, :160].mean() == pytest.approx(1 / 6, abs=0.02)
    assert not white[:160].any()
    assert not white[:, 160:].any()
    right = task.draw(np.full((64, 64, 3), 90, dtype=np.uint8), np.zeros((64, 64), dtype=int), truth)
    assert not (right[: 64 * 5] == 255).all(axis=2).any()
    label = task.draw(np.full((64, 64, 3), 90, dtype=np.uint8), None, truth)
    assert (label[10, 300] == label[10, 300, 0]).all()  # ignored stays grey


def test_boxes_are_found_false_or_missed_and_their_lines_differ():
    task = DetectionTask(("a", "b"))
    image = np.full((100, 100, 3), 0, dtype=np.uint8)
    truth = boxes([10, 10, 40, 40], [60, 60, 90, 90], labels=[0, 1])
    prediction = boxes([10, 10, 40, 40], [60, 60, 90, 90], [50, 5, 95, 40], labels=[0, 0, 1], scores=[0.9, 0.8, 0.2])
    marks = [task.draw(image, prediction, truth), task.draw(image, None, truth)]
    found, false, missed = (colour_at(marks[0][: 100 * 3], colour) for colour in (FOUND, FALSE, MISSED))
    assert found > false > 0  # solid against dashed, of boxes of one size; the box below the threshold is left out
    assert found > missed > 0
    assert colour_at(marks[1][: 100 * 3], TRUTH) > found
    nothing = task.draw(image, boxes(scores=[]), boxes())
    assert all(colour_at(nothing[: 100 * 3], colour) == 0 for colour in (FOUND, FALSE, MISSED))


def test_crowds_and_difficult_objects_are_neither_missed_nor_false():
    task = DetectionTask(("a",))
    image = np.zeros((100, 100, 3), dtype=np.uint8)
    truth = boxes([10, 10, 90, 90], [0, 0, 5, 5]) | {"iscrowd": np.array([1, 0]), "difficult": np.array([0, 1])}
    drawn = task.draw(image, boxes([20, 20, 40, 40], scores=[0.9]), truth)
    assert all(colour_at(drawn[: 100 * 3], colour) == 0 for colour in (FOUND, FALSE, MISSED))


def test_detections_take_objects_best_score_first():
    from pytest_lossy.tasks.pictures import match_greedily

    overlap = np.array([[0.9, 0.6], [0.8, 0.1], [0.7, 0.7]])
    same = np.ones((3, 2), dtype=bool)
    given_to, taken = match_greedily(np.array([0.9, 0.8, 0.7]), same, overlap, np.zeros(2, dtype=bool))
    assert given_to.tolist() == [0, -1, 1]
    assert taken.tolist() == [True, True]
    given_to, taken = match_greedily(np.array([0.1, 0.8, 0.7]), same, overlap, np.array([True, False]))
    assert given_to.tolist() == [0, 0, 1]
    assert taken.tolist() == [False, True]


def test_people_are_found_or_missed():
    task = PoseTask()
    image = np.zeros((60, 60, 3), dtype=np.uint8)
    right = task.draw(image, people(1, scores=[0.9]), people(1))
    wrong = task.draw(image, people(1, scores=[0.9], shift=30.0), people(1))
    # The limbs carry side colours in either case; the tags tell what became of whom.
    assert right.tobytes() != wrong.tobytes()
    assert colour_at(wrong[:300], MISSED) > colour_at(right[:300], MISSED)


def test_unknown_depth_is_hatched_and_far_off_depth_dotted():
    truth = np.full((64, 64), 4.0)
    truth[:, 32:] = 0
    exact = DepthTask().draw(np.zeros((64, 64, 3), dtype=np.uint8), None, truth)[:320, :320]
    assert not (exact[:, :160] == 255).all(axis=2).any()
    assert (exact[:, 160:] == 255).all(axis=2).mean() == pytest.approx(1 / 6, abs=0.02)
    prediction = np.full((64, 64), 4.0)
    prediction[32:] = 5.5
    drawn = DepthTask().draw(np.zeros((64, 64, 3), dtype=np.uint8), prediction, truth)[:320, :320]
    white = (drawn == 255).all(axis=2)
    assert white[160:, :160].mean() == pytest.approx(4 / 64, abs=0.01)
    assert not white[:160].any()
    assert not white[:, 160:].any()


def test_depth_is_scaled_as_it_is_scored():
    truth = np.linspace(1, 9, 64 * 64).reshape(64, 64)
    image = np.zeros((64, 64, 3), dtype=np.uint8)
    scaled = DepthTask((), DepthTask.Options(median_scaling=True)).draw(image, truth * 7, truth)
    assert scaled.tobytes() == DepthTask().draw(image, truth, truth).tobytes()


@given(low=st.floats(1e-3, 1e3), factor=st.floats(1.0, 100.0))
def test_depth_colours_span_the_target(low, factor):
    truth = np.geomspace(low, low * factor, 1000)
    first, last = depth_range(truth, truth)
    assert low / 1.2 <= first < last <= low * factor * 1.2
    assert depth_range(np.zeros(3), np.full(3, np.inf)) == (1.0, 10.0)


def test_the_correct_class_has_a_mark_and_a_line_of_its_own():
    task = ClassificationTask(tuple(f"class {i}" for i in range(9)))
    values = np.linspace(1, 0.2, 9, dtype=np.float32) / np.linspace(1, 0.2, 9).sum()
    first, last = (task.draw(IMAGE, values.astype(np.float32), label) for label in (0, 8))
    rows = [
        [colour_at(picture[3 + 16 * row : 19 + 16 * row, 84:96], FOUND) > 0 for row in range(5)]
        for picture in (first, last)
    ]
    assert rows == [[True, False, False, False, False], [False, False, False, False, True]]


def test_wrappers_pass_their_task_what_it_wants():
    inner = SegmentationTask(("a", "b"))
    prediction, truth = np.zeros((40, 64), dtype=int), np.ones((40, 64), dtype=int)
    plain = inner.draw(IMAGE, prediction, truth).tobytes()
    assert FrameTask(inner).draw(IMAGE, Window(prediction), truth).tobytes() == plain
    assert AgreementTask(inner).draw(IMAGE, prediction, CleanPrediction(truth)).tobytes() == plain
    both = FrameTask(AgreementTask(inner))
    assert both.draw(IMAGE, Window(prediction), CleanPrediction(truth)).tobytes() == plain
    assert task_drawing(object(), IMAGE, prediction, truth) is None


@settings(max_examples=50)
@given(st.text(max_size=200), st.integers(4, 30))
def test_text_is_short_and_drawable(text, limit):
    shown = plain_text(text, limit)
    assert len(shown) <= limit
    assert all(character.isprintable() and ord(character) < 256 for character in shown)


def test_large_pictures_shrink_and_small_ones_grow_by_whole_numbers():
    assert (Canvas(np.zeros((1080, 1920, 3), dtype=np.uint8)).width, SIDE) == (320, 320)
    small = Canvas(np.arange(12, dtype=np.uint8).reshape(2, 2, 3))
    assert (small.height, small.width) == (320, 320)
    assert small.pixels[0, 0].tolist() + small.pixels[-1, -1].tolist() == [0, 1, 2, 9, 10, 11]
    clip = np.zeros((5, 8, 8, 3), dtype=np.uint8)
    clip[2] = 77
    assert (Canvas(clip).pixels == 77).all()


@pytest.mark.parametrize(("count", "least"), [(8, 0.12), (12, 0.09), (20, 0.065)])
def test_class_colours_differ_for_every_eye(count, least):
    colours = class_colours(count)
    for vision in ("normal", "protanopia", "deuteranopia"):
        lab = to_oklab(seen_by(colours, vision))
        apart = np.linalg.norm(lab[:, None] - lab[None], axis=2) + 9 * np.eye(count)
        assert apart.min() > least, vision
    assert (class_colours(1000)[:8] == class_colours(8)).all()
    assert class_colours(5000).shape == (5000, 3)


def test_the_scale_rises_in_lightness_for_every_eye():
    for vision in ("normal", "protanopia", "deuteranopia"):
        steps = np.diff(to_oklab(seen_by(value_scale(), vision))[::8, 0])
        assert (steps > 0).all(), vision


def test_oklab_knows_white_and_the_primaries():
    # Ottosson's own figures for sRGB.
    assert to_oklab(np.array([255, 255, 255])) == pytest.approx([1, 0, 0], abs=1e-3)
    assert to_oklab(np.array([255, 0, 0])) == pytest.approx([0.628, 0.225, 0.126], abs=1e-3)
    assert SHADES[-1] < 140  # lines and text stand out


def test_differences_are_amplified_as_far_as_they_fit():
    source = np.full((50, 50, 3), 100, dtype=np.uint8)
    same, gain = amplified_difference(source, source)
    assert (same.max(), gain) == (0, 32)
    changed = source.copy()
    changed[:, :, 1] += 60
    picture, gain = amplified_difference(source, changed)
    assert (gain, picture.min(), picture.max()) == (4, 240, 240)
    picture, gain = amplified_difference(source * 0, source * 0 + 255)
    assert (gain, picture.min()) == (1, 255)


def test_the_window_is_where_the_codec_changed_most():
    source = np.zeros((100, 200, 3), dtype=np.uint8)
    changed = source.copy()
    changed[70:80, 150:160] = 9
    left, top, width, height = busiest_window(source, changed, 40, 30)
    assert (width, height) == (40, 30)
    assert left <= 150 < 160 <= left + 40
    assert top <= 70 < 80 <= top + 30
    assert busiest_window(source, source, 40, 30) == (0, 0, 40, 30)
    assert busiest_window(source, changed, 500, 500) == (0, 0, 200, 100)
