"""One spec per task on drawn data: pictures whose content the targets describe, and models that read the pixels.

Every model adds what it gets wrong because of the pixels, so that a codec changes its numbers.
"""

from __future__ import annotations

from pathlib import Path

TASKS = ("action", "classification", "depth", "detection", "pose", "segmentation")

DATA = '''
import numpy as np
from pytest_lossy.data.base import Sample, SourceInfo

CLASSES = ("one", "two", "three")


class Drawn:
    """Sixteen pictures (for action four-frame clips) of two bright rectangles on noise."""

    def __init__(self, task):
        self.name, self.task = f"drawn-{task}", task
        self.classes = ("person",) if task == "pose" else () if task == "depth" else CLASSES

    def __len__(self):
        return 16

    def sample_id(self, index):
        return f"s{index:02}"

    def group(self, index):
        return f"video{index // 2}" if self.task == "action" else None

    def fingerprint(self):
        return "1"

    def load(self, index):
        random = np.random.default_rng(index)
        image = random.integers(0, 90, (40, 48, 3), dtype=np.uint8)
        boxes, labels = [], []
        for slot in range(2):
            x, y = int(random.integers(0, 12)) + 24 * slot, int(random.integers(0, 20))
            w, h = int(random.integers(8, 12)), int(random.integers(8, 20))
            label = int(random.integers(0, 3))
            image[y : y + h, x : x + w] = np.array([160, 190, 220])[label] + random.integers(-12, 12, (h, w, 1))
            boxes.append([x, y, x + w, y + h])
            labels.append(label)
        boxes = np.array(boxes, dtype=np.float64)
        target, context, media = self.target(image, boxes, labels, index), {}, image
        if self.task == "pose":
            context = {"boxes": boxes}
        if self.task == "action":
            media, context = np.stack([np.roll(image, step, axis=1) for step in range(4)]), {"fps": 5.0, "frames": [0, 2]}
        return Sample(self.sample_id(index), media, target, context, group=self.group(index), source=SourceInfo("drawn"))

    def target(self, image, boxes, labels, index):
        if self.task == "classification":
            return labels[0]
        if self.task == "action":
            return {"label": int(np.random.default_rng(index // 2).integers(0, 3)), "video": f"video{index // 2}"}
        if self.task == "depth":
            return (1 + image.mean(axis=2) / 40).astype(np.float32)
        if self.task == "segmentation":
            return (image.mean(axis=2) > 120).astype(np.uint8)
        area = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
        crowd = np.zeros(len(boxes), dtype=np.int64)
        if self.task == "detection":
            return {"boxes": boxes, "labels": np.array(labels), "area": area, "iscrowd": crowd}
        points = np.stack([np.linspace(boxes[:, 0], boxes[:, 2], 17), np.linspace(boxes[:, 1], boxes[:, 3], 17)], axis=2)
        keypoints = np.concatenate([points.transpose(1, 0, 2), np.full((len(boxes), 17, 1), 2.0)], axis=2)
        return {
            "boxes": boxes, "labels": np.zeros(len(boxes), dtype=np.int64), "area": area, "iscrowd": crowd,
            "keypoints": keypoints, "num_keypoints": np.full(len(boxes), 17),
        }


def make(task):
    return Drawn(task)
'''

MODEL = """
import numpy as np


class Reader:
    thread_safe = True

    def __init__(self, task):
        self.task = task

    def predict(self, media, context):
        return [getattr(self, self.task)(image, facts) for image, facts in zip(media, context, strict=True)]

    def classification(self, image, facts):
        bright = image[:, :24][image[:, :24].mean(axis=2) > 120]
        level = float(bright.mean()) if len(bright) else 0.0
        return np.array([-abs(level - 160), -abs(level - 190), -abs(level - 220)], dtype=np.float32) / 10

    def action(self, clip, facts):
        return np.array([float(clip[frame, ..., channel].mean()) for channel, frame in ((0, 0), (1, 2), (2, 2))])

    def depth(self, image, facts):
        return (1 + image[..., 1] / 40).astype(np.float32)

    def segmentation(self, image, facts):
        return (image[..., 1] > 120).astype(np.uint8)

    def boxes(self, image):
        found = []
        for slot in range(2):
            rows, columns = np.nonzero(image[:, 24 * slot : 24 * slot + 24, 1] > 120)
            if len(rows):
                found.append([columns.min() + 24 * slot, rows.min(), columns.max() + 24 * slot + 1, rows.max() + 1])
        return np.array(found, dtype=np.float64).reshape(-1, 4)

    def detection(self, image, facts):
        boxes = self.boxes(image)
        inside = [image[int(y0) : int(y1), int(x0) : int(x1)].mean() for x0, y0, x1, y1 in boxes]
        labels = np.array([int(np.argmin(np.abs(np.array([160, 190, 220]) - level))) for level in inside], dtype=np.int64)
        return {"boxes": boxes, "labels": labels, "scores": np.array(inside, dtype=np.float64) / 255}

    def pose(self, image, facts):
        boxes = self.boxes(image)
        points = np.stack([np.linspace(boxes[:, 0], boxes[:, 2], 17), np.linspace(boxes[:, 1], boxes[:, 3], 17)], axis=2)
        keypoints = np.concatenate([points.transpose(1, 0, 2), np.ones((len(boxes), 17, 1))], axis=2)
        return {"keypoints": keypoints, "scores": np.linspace(1, 0.5, len(boxes))}


def build(task):
    return Reader(task)
"""


def write_suite(root: Path) -> None:
    """``model_specs/`` with one spec per task."""
    folder = root / "model_specs"
    folder.mkdir()
    (folder / "drawn.py").write_text(DATA, encoding="utf-8")
    (folder / "reader.py").write_text(MODEL, encoding="utf-8")
    for task in TASKS:
        (folder / f"{task}.yaml").write_text(
            f"task: {task}\nmodel: {{callable: './reader.py:build', kwargs: {{task: {task}}}}}\n"
            f"data: {{factory: './drawn.py:make', kwargs: {{task: {task}}}}}\ncodecs: {{jpeg: [60, 3]}}\nbatch_size: 3\n",
            encoding="utf-8",
        )
