"""Image tasks on clips through the public command line: labelled frames, rows, rates, flicker, and what is refused."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pytest_lossy.codecs.registry import build_codec
from pytest_lossy.results.evidence import load_evidence
from tests.plugin import toy
from tests.plugin.conftest import results, verdicts
from tests.plugin.test_results import comparable

FIXED = ("-p", "no:randomly")
FRAMES, FPS = 6, 12.5

DATA = '''
from dataclasses import replace

import numpy as np
from pytest_lossy.data.base import Sample, SourceInfo

COLORS = np.array([[120, 110, 100], [150, 110, 90], [110, 125, 135]])


class Moving:
    """Five clips of six frames: two rectangles that move and change their brightness on noise."""

    name = "moving"

    def __init__(self, how, task="segmentation", fps=12.5):
        self.how, self.task, self.fps = how, task, fps
        self.classes = ("ground", "left", "right") if task == "segmentation" else ("left", "right")

    def __len__(self):
        return 5

    def sample_id(self, index):
        return f"clip{index}"

    def group(self, index):
        return "camera-a" if self.how == "grouped" and index < 3 else None

    def fingerprint(self):
        return f"{self.how}-{self.task}-{self.fps}"

    def load(self, index):
        random = np.random.default_rng(index)
        media, maps, boxes = [], [], []
        bright = random.integers(0, 2, (6, 2))
        start = random.integers(2, 8, 4)
        for t in range(6):
            labels, found = np.zeros((32, 48), dtype=np.uint8), []
            for slot in range(2):
                x, y = int(start[2 * slot]) + 24 * slot + t, int(start[2 * slot + 1]) + t
                labels[y : y + 12, x : x + 10] = slot + 1
                found.append([x, y, x + 10, y + 12])
            frame = COLORS[labels] + random.normal(0, 6, (32, 48, 3))
            if self.task == "detection":
                dim = 40 * (1 - bright[t])
                frame = frame - dim[np.clip(labels, 1, 2) - 1][..., None] * (labels > 0)[..., None]
            media.append(np.clip(frame, 0, 255).astype(np.uint8))
            maps.append(labels)
            boxes.append({"boxes": np.array(found, dtype=float), "labels": np.array([0, 1])})
        media, targets = np.stack(media), maps if self.task == "segmentation" else boxes
        sample = Sample(
            self.sample_id(index), media, None, {} if self.fps is None else {"fps": self.fps},
            group=self.group(index), tags=("odd",) if index % 2 else (), source=SourceInfo("drawn"),
        )
        gaps = [target if t in (1, 2, 5) else None for t, target in enumerate(targets)]
        return {
            "list": lambda: replace(sample, target=gaps),
            "grouped": lambda: replace(sample, target=tuple(targets)),
            "frame": lambda: replace(sample, target=targets[3], frame=3),
            "unlabelled": lambda: sample,
            "short": lambda: replace(sample, target=targets[:4]),
            "map": lambda: replace(sample, target=maps[0]),
            "outside": lambda: replace(sample, target=targets[3], frame=6),
            "nowhere": lambda: replace(sample, target=[None] * 6),
            "still": lambda: replace(sample, media=media[0], target=targets[0]),
        }[self.how]()


def make(**options):
    return Moving(**options)
'''

MODEL = """
import numpy as np

COLORS = np.array([[120, 110, 100], [150, 110, 90], [110, 125, 135]])


class Reader:
    thread_safe = True

    def __init__(self, task):
        self.task = task

    def predict(self, media, context):
        assert all(image.ndim == 3 for image in media)
        return [getattr(self, self.task)(image) for image in media]

    def segmentation(self, image):
        return np.argmin(((image[:, :, None].astype(int) - COLORS) ** 2).sum(axis=3), axis=2).astype(np.uint8)

    def detection(self, image):
        boxes, labels, scores = [], [], []
        for slot, channel in ((0, 0), (1, 2)):
            half = image[:, 24 * slot : 24 * slot + 24, channel].astype(float)
            rows, columns = np.nonzero(half > (128, 122)[slot])
            if len(rows) > 40:
                y0, y1 = np.percentile(rows, [3, 97])
                x0, x1 = np.percentile(columns, [3, 97])
                boxes.append([x0 + 24 * slot, y0, x1 + 24 * slot + 1, y1 + 1])
                labels.append(slot)
                scores.append(min(1.0, len(rows) / 150))
        return {
            "boxes": np.array(boxes, dtype=float).reshape(-1, 4),
            "labels": np.array(labels, dtype=int),
            "scores": np.array(scores, dtype=float),
        }


def build(task):
    return Reader(task)
"""


def write_spec(
    root: Path,
    name: str,
    how: str,
    task: str = "segmentation",
    *,
    media: str = "clips",
    codecs: str = "",
    extra: str = "",
) -> None:
    folder = root / "model_specs"
    folder.mkdir(exist_ok=True)
    (folder / "moving.py").write_text(DATA, encoding="utf-8")
    (folder / "frames.py").write_text(MODEL, encoding="utf-8")
    section = f", media: {media}" if media else ""
    (folder / f"{name}.yaml").write_text(
        f"task: {task}\nmodel: {{callable: './frames.py:build', kwargs: {{task: {task}}}}}\n"
        f"data: {{factory: './moving.py:make', kwargs: {{how: {how}, task: {task}}}{section}}}\n"
        f"codecs: {{{codecs or 'jpeg: [10], h264: [45]'}}}\nbatch_size: 2\n{extra}",
        encoding="utf-8",
    )


def write_clip_suite(root: Path) -> None:
    write_spec(root, "list", "list")
    write_spec(root, "frame", "frame")
    write_spec(root, "grouped", "grouped")
    write_spec(root, "free", "unlabelled", extra="reference: clean\n")
    write_spec(root, "boxes", "list", "detection")
    (root / "pytest.ini").write_text("[pytest]\nlossy_replicates = 100\n", encoding="utf-8")


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, dict[str, Any]]]:
    """One run of every good spec: its folder, and ``model::case`` -> row."""
    folder = tmp_path_factory.mktemp("clips")
    write_clip_suite(folder)
    command = [sys.executable, "-m", "pytest", "--lossy-codec=all", "--lossy-no-cache", *FIXED]
    finished = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300, check=False)
    assert finished.returncode == 0, finished.stdout
    document = json.loads((folder / "lossy-report" / "results.json").read_text(encoding="utf-8"))
    return folder, {f"{row['model']}::{row['id'].rpartition('::')[2]}": row for row in document["cases"]}


def loaded(folder: Path, name: str) -> types.ModuleType:
    specification = importlib.util.spec_from_file_location(f"clips_{name}", folder / "model_specs" / f"{name}.py")
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def coded(clip: np.ndarray, case: str) -> tuple[np.ndarray, int]:
    """The clip after the codec of a case, and its payload in bits."""
    if case == "clean":
        return clip, 0
    if case == "h264-crf45":
        codec = build_codec("h264")
        encoded = codec.encode(clip, 45, fps=FPS)
        return codec.decode(encoded), encoded.payload_bits
    codec = build_codec("jpeg")
    parts = [codec.encode(frame, 10) for frame in clip]
    return np.stack([codec.decode(part) for part in parts]), sum(part.payload_bits for part in parts)


def frames_of(how: str) -> tuple[int, ...]:
    return {"list": (1, 2, 5), "frame": (3,), "grouped": tuple(range(6)), "unlabelled": tuple(range(6))}[how]


CASES = ("clean", "jpeg-q10", "h264-crf45")


@pytest.mark.parametrize(("model", "how"), [("list", "list"), ("frame", "frame"), ("grouped", "grouped")])
@pytest.mark.parametrize("case", CASES)
def test_only_labelled_frames_are_scored(
    measured: tuple[Path, dict[str, dict[str, Any]]], model: str, how: str, case: str
) -> None:
    folder, rows = measured
    data, network = loaded(folder, "moving").make(how=how), loaded(folder, "frames").build("segmentation")
    matrix, kept, lost = np.zeros((3, 3)), 0, 0
    for index in range(5):
        sample = data.load(index)
        clip, _ = coded(sample.media, case)
        found = [network.segmentation(frame) for frame in clip]
        for t in frames_of(how):
            target = sample.target if how == "frame" else sample.target[t]
            np.add.at(matrix, (target.ravel(), found[t].ravel()), 1)
            if 0 < t < FRAMES - 1:
                for before, now, after in zip(*(found[at].ravel() for at in (t - 1, t, t + 1)), strict=True):
                    if before == after:
                        kept, lost = kept + (now == before), lost + (now != before)
    row = rows[f"{model}::{case}"]
    diagonal = np.diag(matrix)
    iou = diagonal / (matrix.sum(axis=0) + matrix.sum(axis=1) - diagonal)
    assert row["metrics"]["miou"]["value"] == pytest.approx(iou.mean(), rel=1e-12)
    assert row["metrics"]["flicker"]["value"] == pytest.approx(lost / (kept + lost), rel=1e-12)
    assert row["metrics"]["flicker"]["value"] > 0 or case == "h264-crf45"  # so coarse a stream repeats what it has
    assert row["samples"] == 5 * len(frames_of(how))
    assert row["units"] == (3 if how == "grouped" else 5)
    assert "flicker{odd}" in row["metrics"]


def test_rows_are_frames_and_their_unit_is_the_clip(measured: tuple[Path, dict[str, dict[str, Any]]]) -> None:
    folder, _ = measured
    store = folder / "lossy-report" / "evidence"
    found = load_evidence(store / "list@h264-crf45.npz")
    assert found.ids == tuple(f"clip{index}#{t}" for index in range(5) for t in (1, 2, 5))
    assert found.groups == tuple(f"clip{index}" for index in range(5) for _ in range(3))
    assert [cost.pixels for cost in found.costs] == [6 * 32 * 48, 0, 0] * 5
    assert [cost.duration for cost in found.costs] == [480_000, 0, 0] * 5
    assert load_evidence(store / "frame@clean.npz").ids == tuple(f"clip{index}#3" for index in range(5))
    grouped = load_evidence(store / "grouped@clean.npz")
    assert grouped.groups[:18] == ("camera-a",) * 18
    assert grouped.groups[18:] == ("clip3",) * 6 + ("clip4",) * 6


@pytest.mark.parametrize("model", ["list", "frame", "grouped", "free"])
@pytest.mark.parametrize("case", ["jpeg-q10", "h264-crf45"])
def test_a_clip_costs_what_it_costs_once(
    measured: tuple[Path, dict[str, dict[str, Any]]], model: str, case: str
) -> None:
    folder, rows = measured
    bits, decibels = 0, []
    for index in range(5):
        clip = loaded(folder, "moving").make(how="list").load(index).media
        seen, payload = coded(clip, case)
        bits += payload
        decibels.append(10 * np.log10(255**2 / np.mean((seen.astype(float) - clip) ** 2)))
    row = rows[f"{model}::{case}"]
    assert row["bpp"] == bits / (5 * 6 * 32 * 48)
    assert row["kbps"] == pytest.approx(bits / (5 * FRAMES / FPS) / 1000, rel=1e-12)
    assert row["psnr"] == pytest.approx(np.mean(decibels), rel=1e-12)
    clean = rows[f"{model}::clean"]
    assert (clean["bpp"], clean["kbps"], clean["psnr"]) == (None, None, None)


def test_label_free_on_clips_scores_every_frame(measured: tuple[Path, dict[str, dict[str, Any]]]) -> None:
    folder, rows = measured
    data, network = loaded(folder, "moving").make(how="unlabelled"), loaded(folder, "frames").build("segmentation")
    for case in CASES:
        matrix = np.zeros((3, 3))
        for index in range(5):
            clip = data.load(index).media
            for clean, now in zip(clip, coded(clip, case)[0], strict=True):
                np.add.at(matrix, (network.segmentation(clean).ravel(), network.segmentation(now).ravel()), 1)
        diagonal = np.diag(matrix)
        iou = diagonal / (matrix.sum(axis=0) + matrix.sum(axis=1) - diagonal)
        row = rows[f"free::{case}"]
        assert row["metrics"]["miou"]["value"] == pytest.approx(iou.mean(), rel=1e-12)
        assert row["metrics"]["flicker"]["value"] == rows[f"grouped::{case}"]["metrics"]["flicker"]["value"]
        assert row["metrics"]["flicker"]["retention"] is None
        assert (row["samples"], row["units"], row["reference"]) == (30, 5, "clean")
    assert rows["free::clean"]["metrics"]["miou"]["value"] == 1
    assert rows["free::clean"]["metrics"]["flicker"]["value"] > 0
    assert sum(rows["free::clean"]["answers"].values()) == pytest.approx(1)


def overlap(one: np.ndarray, other: np.ndarray) -> float:
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    common = max(width, 0) * max(height, 0)
    both = (one[2] - one[0]) * (one[3] - one[1]) + (other[2] - other[0]) * (other[3] - other[1])
    return float(common / (both - common))


@pytest.mark.parametrize("case", CASES)
def test_boxes_flicker_as_a_slow_oracle_counts(measured: tuple[Path, dict[str, dict[str, Any]]], case: str) -> None:
    folder, rows = measured
    data = loaded(folder, "moving").make(how="list", task="detection")
    network = loaded(folder, "frames").build("detection")
    kept = lost = 0
    for index in range(5):
        clip, _ = coded(data.load(index).media, case)
        reported = []
        for frame in clip:
            one = network.detection(frame)
            triples = zip(one["labels"].tolist(), one["boxes"], one["scores"], strict=True)
            reported.append({label: box for label, box, score in triples if score >= 0.5})
        for t in (1, 2):  # frame 5 is the last one
            before, now, after = reported[t - 1 : t + 2]
            for label in set(before) & set(after):
                if overlap(before[label], after[label]) >= 0.5:
                    present = label in now and overlap((before[label] + after[label]) / 2, now[label]) >= 0.5
                    kept, lost = kept + present, lost + (not present)
    value = rows[f"boxes::{case}"]["metrics"]["flicker"]["value"]
    assert kept + lost > 0
    assert value == pytest.approx(lost / (kept + lost), rel=1e-12)
    assert rows[f"boxes::{case}"]["metrics"]["ap50"]["value"] is not None


def test_same_bits_with_workers_in_another_order_and_spilled_or_not(
    pytester: pytest.Pytester, measured: tuple[Path, dict[str, dict[str, Any]]]
) -> None:
    folder, _ = measured
    document = json.loads((folder / "lossy-report" / "results.json").read_text(encoding="utf-8"))
    files = {path.name: path.read_bytes() for path in (folder / "lossy-report" / "evidence").iterdir()}
    write_clip_suite(pytester.path)
    flags = ("--lossy-codec=all", "--lossy-no-cache")
    for arguments in (("-n2", "--randomly-seed=2"), ("--randomly-seed=5", "--lossy-spill=0")):
        run = pytester.runpytest_subprocess if "-n2" in arguments else pytester.runpytest_inprocess
        run(*flags, *arguments).assert_outcomes(passed=15)
        assert comparable(results(pytester))["cases"] == comparable(document)["cases"]
        found = pytester.path / "lossy-report" / "evidence"
        assert {path.name: path.read_bytes() for path in found.iterdir()} == files


def test_what_clips_cannot_be(pytester: pytest.Pytester) -> None:
    problems = {
        "short": "a clip of 6 frames needs one target per frame (None where a frame has none), or 'frame'",
        "map": "it has ndarray: correct the data set",
        "outside": "sample 'clip0': frame 6 is not one of its 6; correct the data set",
        "nowhere": "sample 'clip0': no frame has a target; leave the clip out of the data set",
        "stills": "sample 'clip0' is a clip, but the data holds stills; set 'data.media: clips' in the spec",
    }
    for name in problems:
        write_spec(
            pytester.path,
            name,
            "frame" if name == "stills" else name,
            media="" if name == "stills" else "clips",
            codecs="jpeg: [10]",
        )
    write_spec(pytester.path, "still", "still")
    pytester.makeini("[pytest]\nlossy_replicates = 100\n")
    result = pytester.runpytest_inprocess("--lossy-codec=all", "--lossy-no-cache", *FIXED)
    result.assert_outcomes(passed=2, failed=2 * len(problems) + 1)
    rows = results(pytester)["cases"]
    for name, message in problems.items():
        errors = [row["error"] for row in rows if row["model"] == name]
        assert len(errors) == 2
        assert all(message in error for error in errors), errors
    still = {row["id"].rpartition("::")[2]: row for row in rows if row["model"] == "still"}
    assert still["clean"]["verdict"] == still["jpeg-q10"]["verdict"] == "ungated"
    assert (
        "h264 compresses streams and this sample is a still; set 'data.media: stills'" in still["h264-crf45"]["error"]
    )
    assert "[clip0]" in still["h264-crf45"]["error"]
    assert "Traceback" not in result.stdout.str()


def test_unknown_frame_rates_have_no_bit_rate(pytester: pytest.Pytester) -> None:
    write_spec(pytester.path, "slow", "list", codecs="h264: [45]")
    spec = pytester.path / "model_specs" / "slow.yaml"
    spec.write_text(spec.read_text(encoding="utf-8").replace("how: list", "how: list, fps: null"), encoding="utf-8")
    pytester.makeini("[pytest]\nlossy_replicates = 100\n")
    pytester.runpytest_inprocess("--lossy-codec=all", "--lossy-no-cache", *FIXED).assert_outcomes(passed=2)
    row = results(pytester)["cases"][1]
    assert row["kbps"] is None
    assert row["bpp"] > 0


def test_flicker_is_gated_on_clips_and_unknown_on_stills(suite: pytest.Pytester) -> None:
    toy.write_thresholds(suite.path, "toy: {jpeg: {50: {flicker: {max: 0.1}}}}")
    result = suite.runpytest_inprocess("--lossy-codec=jpeg", *FIXED)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*thresholds.yaml:3: task 'segmentation' of toy has no metric 'flicker'*"])
    (suite.path / "model_specs" / "toy.yaml").unlink()
    write_spec(suite.path, "toy", "list", codecs="jpeg: [50]")
    toy.write_thresholds(suite.path, "toy: {clean: {flicker: {max: 0.9}}, jpeg: {50: {flicker: {max: 0.000001}}}}")
    suite.runpytest_inprocess("--lossy-codec=jpeg", *FIXED).assert_outcomes(passed=1, failed=1)
    assert verdicts(suite) == {"clean": "passed", "jpeg-q50": "failed"}


def test_a_stream_codec_meets_stills_as_its_intra_twin(suite: pytest.Pytester) -> None:
    toy.write_spec(suite.path, codecs="jpeg: [50]\nmine: {codec: h264, levels: [40], preset: fast}")
    result = suite.runpytest_inprocess(
        "--lossy-codec=h264,mine,h264-cbr", "--lossy-level=h264:30", "--lossy-no-cache", *FIXED
    )
    result.assert_outcomes(passed=3)
    document = results(suite)
    rows = {row["id"].rpartition("::")[2]: row for row in document["cases"]}
    assert set(rows) == {"clean", "h264-intra-crf30", "mine-crf40"}
    assert {row["codec_name"] for name, row in rows.items() if name != "clean"} == {"h264-intra"}
    assert "preset=fast" in rows["mine-crf40"]["fingerprint"]
    assert rows["mine-crf40"]["kbps"] is None
    warning = "--lossy-codec=h264-cbr is for clips and was not run on the stills of toy"
    assert warning in document["run"]["warnings"]
    result.stdout.fnmatch_lines(["warning: --lossy-codec=h264-cbr is for clips*"])


def test_a_codec_that_no_data_can_take_says_so(suite: pytest.Pytester) -> None:
    result = suite.runpytest_inprocess("--lossy-codec=h264-cbr", *FIXED)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["--lossy-codec=h264-cbr is for clips and was not run on the stills of toy"])
