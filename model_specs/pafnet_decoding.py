"""People from keypoint heatmaps and part affinity fields: the greedy parsing of OpenPose, in numpy.

After Cao et al. (CVPR 2017), sections 2.3 and 2.4: peaks of the heatmaps are candidates; a line integral over a limb's field
says how well two of them belong together; pairs are chosen greedily, limb by limb; and pairs that share a candidate
make one person. The limbs differ from theirs: each part of the face hangs on a shoulder, since between the eyes of a distant
person there is no cell that a field could fill.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["LIMBS", "decode", "find_peaks", "group_people"]

FloatArray = npt.NDArray[np.float64]

LIMBS: tuple[tuple[int, int], ...] = (
    (0, 5), (0, 6), (1, 5), (2, 6), (3, 5), (4, 6),  # nose, eyes and ears to the shoulders
    (5, 6), (5, 7), (7, 9), (6, 8), (8, 10),  # shoulders, arms
    (5, 11), (6, 12), (11, 12),  # trunk
    (11, 13), (13, 15), (12, 14), (14, 16),  # legs
)  # fmt: skip
"""Pairs of COCO keypoints."""

_STANDING: FloatArray = np.array(
    [
        *((0.0, 0.085), (0.01, 0.075), (-0.01, 0.075), (0.02, 0.08), (-0.02, 0.08)),
        *((0.07, 0.185), (-0.07, 0.185), (0.10, 0.34), (-0.10, 0.34), (0.10, 0.46), (-0.10, 0.46)),
        *((0.04, 0.48), (-0.04, 0.48), (0.045, 0.72), (-0.045, 0.72), (0.045, 0.955), (-0.045, 0.955)),
    ]
)
"""(17, 2), x and y of somebody who stands and faces the camera, in body heights: where unseen keypoints are assumed."""

_CELL = 4.0  # pixels of a cell's side
_KEYPOINTS = 17
_LEAST_PEAK = 0.15
_MOST_PEAKS = 30  # of one kind of keypoint
_SAMPLES = 8  # along a limb
_LEAST_FIELD = 0.2  # of a sample that speaks for the limb
_LEAST_SHARE = 0.6  # of the samples that do
_LEAST_FOUND = 3  # keypoints of a person


def decode(output: Any, sizes: Sequence[tuple[int, int]]) -> list[dict[str, FloatArray]]:
    """People of each picture; the ``model.output.function`` of the spec.

    Args:
        output: (N, 17 + 2 x 18, h, w) tensor: logits of the heatmaps, then x and y of each limb's field; see ``PafNet``.
        sizes: (H, W) of each source, which is also the network's input.

    Returns:
        for each picture ``keypoints`` (n, 17, 3) float64, x and y in pixels of the source and a confidence, 0 where the
        place is only assumed; ``scores`` (n,), 0 to 1; ``boxes`` (n, 4), x1, y1, x2, y2 around the keypoints.

    """
    maps = output.detach().float().cpu().numpy()
    return [_people(one, size) for one, size in zip(maps, sizes, strict=True)]


def _people(maps: npt.NDArray[np.float32], size: tuple[int, int]) -> dict[str, FloatArray]:
    peaks = [find_peaks(logits) for logits in maps[:_KEYPOINTS]]
    people = group_people(peaks, maps[_KEYPOINTS:].reshape(len(LIMBS), 2, *maps.shape[1:]))
    found = people[:, :, 2] > 0
    people[:, :, :2] = (people[:, :, :2] + 0.5) * _CELL
    scores = people[:, :, 2].sum(axis=1) / _KEYPOINTS
    for person, seen in zip(people, found, strict=True):
        person[~seen, :2] = _assumed(person[:, :2], seen)[~seen]
    limit = np.array(size[::-1], dtype=np.float64)
    people[:, :, :2] = np.clip(people[:, :, :2], 0, limit)
    boxes = np.concatenate([people[:, :, :2].min(axis=1), people[:, :, :2].max(axis=1)], axis=1)
    return {"keypoints": people, "scores": scores, "boxes": boxes}


def find_peaks(logits: npt.NDArray[np.floating[Any]]) -> FloatArray:
    """Local maxima of one heatmap, to a fraction of a cell.

    The logarithm of a Gaussian is a parabola, whose top follows from three values (Zhang et al., CVPR 2020, equation 8, with
    the diagonal of the Hessian alone).

    Args:
        logits: (h, w).

    Returns:
        (n, 3): column, row and probability, the highest first.

    """
    height, width = logits.shape
    values = -np.logaddexp(0.0, -np.pad(logits.astype(np.float64), 1, constant_values=-50.0))
    middle = values[1:-1, 1:-1]
    left, right, above, below = values[1:-1, :-2], values[1:-1, 2:], values[:-2, 1:-1], values[2:, 1:-1]
    # Of two equal neighbours the first is the peak.
    top = (middle > left) & (middle >= right) & (middle > above) & (middle >= below)
    for row in (0, 2):
        for column in (0, 2):
            top &= middle >= values[row : row + height, column : column + width]
    rows, columns = np.nonzero(top & (middle > np.log(_LEAST_PEAK)))
    order = np.argsort(-middle[rows, columns], kind="stable")[:_MOST_PEAKS]
    rows, columns = rows[order], columns[order]
    centre = middle[rows, columns]

    def shift(before: FloatArray, after: FloatArray, inside: npt.NDArray[np.bool_]) -> FloatArray:
        bend = 2 * centre - before - after
        step = np.where(bend > 1e-6, (after - before) / (2 * np.maximum(bend, 1e-6)), 0.0)
        return np.where(inside, np.clip(step, -0.5, 0.5), 0.0)

    x = columns + shift(left[rows, columns], right[rows, columns], (columns > 0) & (columns < width - 1))
    y = rows + shift(above[rows, columns], below[rows, columns], (rows > 0) & (rows < height - 1))
    return np.stack([x, y, np.exp(centre)], axis=1)


def group_people(peaks: Sequence[FloatArray], fields: npt.NDArray[np.floating[Any]]) -> FloatArray:
    """Candidates that limbs join are one person.

    Args:
        peaks: for each of the 17 keypoints (n, 3): column, row, probability.
        fields: (18, 2, h, w).

    Returns:
        (people, 17, 3): column, row and probability, all 0 where the keypoint was not found.

    """
    joints: list[tuple[float, tuple[int, int], tuple[int, int]]] = []
    for (first, second), field in zip(LIMBS, fields, strict=True):
        for score, a, b in _pairs(peaks[first], peaks[second], field):
            joints.append((score, (first, a), (second, b)))
    # The surest limbs first: a person that they made is not torn apart by a doubtful one.
    joints.sort(key=lambda joint: (-joint[0], joint[1:]))
    member: dict[tuple[int, int], dict[int, int]] = {}
    for _, (first, a), (second, b) in joints:
        one, other = member.setdefault((first, a), {first: a}), member.setdefault((second, b), {second: b})
        if one is other or one.keys() & other.keys():
            continue
        one.update(other)
        for key in other.items():
            member[key] = one
    unique = {id(person): person for person in member.values()}
    kept = [person for person in unique.values() if len(person) >= _LEAST_FOUND]
    people = np.zeros((len(kept), len(peaks), 3))
    for row, person in zip(people, kept, strict=True):
        for keypoint, index in person.items():
            row[keypoint] = peaks[keypoint][index]
    return people


def _pairs(starts: FloatArray, ends: FloatArray, field: npt.NDArray[np.floating[Any]]) -> list[tuple[float, int, int]]:
    """Greedy matching of one limb's ends: score, index of the start, index of the end."""
    if not len(starts) or not len(ends):
        return []
    way = ends[None, :, :2] - starts[:, None, :2]
    length = np.sqrt((way**2).sum(axis=2))
    unit = way / np.maximum(length, 1.0)[..., None]  # shorter than a cell: hardly a direction, hence hardly a score
    steps = np.linspace(0.0, 1.0, _SAMPLES)
    places = starts[:, None, None, :2] + way[:, :, None, :] * steps[:, None]
    height, width = field.shape[1:]
    columns = np.clip(np.rint(places[..., 0]).astype(np.intp), 0, width - 1)
    rows = np.clip(np.rint(places[..., 1]).astype(np.intp), 0, height - 1)
    along = field[0][rows, columns] * unit[..., None, 0] + field[1][rows, columns] * unit[..., None, 1]
    score = along.mean(axis=2) * np.sqrt(starts[:, None, 2] * ends[None, :, 2])
    enough = (along > _LEAST_FIELD).mean(axis=2) >= _LEAST_SHARE
    chosen: list[tuple[float, int, int]] = []
    free_starts, free_ends = set(range(len(starts))), set(range(len(ends)))
    for flat in np.argsort(-score, axis=None, kind="stable").tolist():
        a, b = divmod(flat, len(ends))
        if enough[a, b] and a in free_starts and b in free_ends:
            chosen.append((float(score[a, b]), a, b))
            free_starts.discard(a)
            free_ends.discard(b)
    return chosen


def _assumed(points: FloatArray, seen: npt.NDArray[np.bool_]) -> FloatArray:
    """All keypoints of the standing person who fits the seen ones best; mirrored where seen from behind."""
    target = points[seen] - points[seen].mean(axis=0)
    best, least = points, np.inf
    for mirror in (1.0, -1.0, 0.0):
        model = _STANDING * (mirror, 1.0)
        shape = model[seen] - model[seen].mean(axis=0)
        scale = max(float((shape * target).sum()), 0.0) / max(float((shape**2).sum()), 1e-9)
        error = float(((scale * shape - target) ** 2).sum())
        if error < least:
            best, least = points[seen].mean(axis=0) + scale * (model - model[seen].mean(axis=0)), error
    return best
