"""Label-free mode through the public command line: agreement with the model's own clean predictions."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import json
import subprocess
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
from PIL import Image

from pytest_lossy.cli import json_schema
from tests.plugin import toy
from tests.plugin.conftest import Run, results, verdicts
from tests.plugin.tasks_suite import TASKS, write_suite
from tests.plugin.test_results import comparable

CLEAN = "--lossy-reference=clean"
FIXED = ("-p", "no:randomly")
NOT_PERFECT_BY_DEFINITION = {"ar1", "ar10", "ece"}
"""Recall of the one best box of an image is below 1 where the image has two."""


@pytest.fixture
def tasks(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    monkeypatch.setenv("PYTEST_LOSSY_CACHE", str(pytester.path / "cache"))
    write_suite(pytester.path)
    pytester.makeini("[pytest]\nlossy_replicates = 100\n")
    return pytester


@pytest.fixture(scope="module")
def agreed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """One label-free run of every task, which several tests look at: its folder and its results."""
    folder = tmp_path_factory.mktemp("agreed")
    write_suite(folder)
    (folder / "pytest.ini").write_text("[pytest]\nlossy_replicates = 100\n", encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "--lossy-codec=jpeg", CLEAN, "--lossy-no-cache", *FIXED]
    finished = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300, check=False)
    assert finished.returncode == 0, finished.stdout
    return folder, json.loads((folder / "lossy-report" / "results.json").read_text(encoding="utf-8"))


@pytest.fixture
def plain_images(suite: pytest.Pytester) -> pytest.Pytester:
    """The toy's pictures as a plain folder, of which nobody has labels."""
    spec = suite.path / "model_specs" / "toy.yaml"
    text = spec.read_text(encoding="utf-8")
    labelled = (
        "  name: folder-segmentation\n  kwargs: {images: ../images, labels: ../labels, classes: [red, green, blue]}"
    )
    assert labelled in text
    spec.write_text(
        text.replace(labelled, "  name: images\n  kwargs: {path: ../images, classes: [red, green, blue]}"),
        encoding="utf-8",
    )
    toy.write_thresholds(suite.path, "toy: {jpeg: {50: {miou: {min: 0.01, reference: clean}}}}")
    return suite


def rows_of(document: dict[str, Any], model: str) -> dict[str, dict[str, Any]]:
    return {row["id"].rpartition("::")[2]: row for row in document["cases"] if row["model"] == model}


def loaded(folder: Path, name: str) -> types.ModuleType:
    """A module of the suite, imported independently of the plugin."""
    specification = importlib.util.spec_from_file_location(f"oracle_{name}", folder / "model_specs" / f"{name}.py")
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def jpeg(image: np.ndarray, quality: int) -> np.ndarray:
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, "JPEG", quality=quality)
    return np.asarray(Image.open(stream))


def test_every_task_agrees_with_itself_and_has_no_retention(agreed: tuple[Path, dict[str, Any]]) -> None:
    _, document = agreed
    jsonschema.validate(document, json_schema("results"))
    for task in TASKS:
        better = {m["name"]: m["higher_is_better"] for m in rows_model(document, task)["metrics"]}
        rows = rows_of(document, task)
        assert set(rows) == {"clean", "jpeg-q60", "jpeg-q3"}
        for row in rows.values():
            assert row["reference"] == "clean"
            for name, value in row["metrics"].items():
                assert value["retention"] is value["retention_low"] is value["retention_high"] is None, name
        seen = 0
        for name, value in rows["clean"]["metrics"].items():
            aggregate = name.partition("[")[0]
            if value["value"] is None or aggregate in NOT_PERFECT_BY_DEFINITION:
                continue
            assert value["value"] == (1 if better[aggregate] else 0), (task, name)
            seen += 1
        assert seen >= 2
        primary = rows["clean"]["primary"]
        for row in (rows["jpeg-q60"], rows["jpeg-q3"]):
            value = row["metrics"][primary]
            worst = 1 - value["value"] if better[primary] else value["value"]
            assert value["loss"] == pytest.approx(worst)
            assert row["answers"] == {}
        answers = rows["clean"]["answers"]
        assert sum(answers.values()) == pytest.approx(1), task
        sensitivity = rows["jpeg-q3"]["cut_sensitivity"]
        assert set(sensitivity) == ({"0.3", "0.7"} if task in ("detection", "pose") else set()), task
        assert rows["clean"]["cut_sensitivity"] == {}
        assert "ece" not in rows["clean"]["metrics"]
        assert "ece" not in better


def rows_model(document: dict[str, Any], name: str) -> dict[str, Any]:
    model: dict[str, Any] = next(model for model in document["models"] if model["name"] == name)
    assert model["reference"] == "clean"
    return model


def test_same_bits_whatever_the_workers_the_order_and_the_spill(
    tasks: pytest.Pytester, agreed: tuple[Path, dict[str, Any]]
) -> None:
    folder, document = agreed
    wanted = {**comparable(document), "environment": None}
    files = {path.name: path.read_bytes() for path in (folder / "lossy-report" / "evidence").iterdir()}
    assert len(files) == 3 * len(TASKS)
    for arguments in (("--randomly-seed=3", "--lossy-spill=0"), ("-n2", "--randomly-seed=4")):
        run = tasks.runpytest_subprocess if "-n2" in arguments else tasks.runpytest_inprocess
        run("--lossy-codec=jpeg", CLEAN, *arguments).assert_outcomes(passed=3 * len(TASKS))
        assert {**comparable(results(tasks)), "environment": None} == wanted
        evidence = tasks.path / "lossy-report" / "evidence"
        assert {path.name: path.read_bytes() for path in evidence.iterdir()} == files


@pytest.mark.parametrize("flags", [(), ("--lossy-spill=0",)])
def test_one_level_alone_has_the_same_numbers(
    tasks: pytest.Pytester, agreed: tuple[Path, dict[str, Any]], flags: tuple[str, ...]
) -> None:
    """The clean predictions are then made on the way."""
    together = rows_of(agreed[1], "pose")
    one = "model_specs/pose.yaml::pose::jpeg-q3"
    tasks.runpytest_inprocess("--lossy-codec=jpeg", CLEAN, *FIXED, *flags, one).assert_outcomes(passed=1)
    alone = rows_of(results(tasks), "pose")
    assert alone["jpeg-q3"]["metrics"] == together["jpeg-q3"]["metrics"]
    assert alone["jpeg-q3"]["cut_sensitivity"] == together["jpeg-q3"]["cut_sensitivity"]
    assert (alone["clean"]["role"], alone["clean"]["answers"]) == ("reference", together["clean"]["answers"])


def test_agreement_equals_an_oracle(agreed: tuple[Path, dict[str, Any]]) -> None:
    folder, document = agreed
    drawn, reader = loaded(folder, "drawn"), loaded(folder, "reader")

    def pairs(task: str) -> list[tuple[Any, Any]]:
        data, model = drawn.make(task), reader.build(task)
        found = []
        for index in range(len(data)):
            image = data.load(index).media
            predict: Callable[[np.ndarray, Any], Any] = getattr(model, task)
            found.append((predict(image, {}), predict(jpeg(image, 3), {})))
        return found

    def value(task: str, metric: str) -> float:
        return float(rows_of(document, task)["jpeg-q3"]["metrics"][metric]["value"])

    overlap, union = np.zeros(3), np.zeros(3)
    for clean, now in pairs("segmentation"):
        for label in range(3):
            overlap[label] += np.sum((clean == label) & (now == label))
            union[label] += np.sum((clean == label) | (now == label))
    present = union > 0
    assert value("segmentation", "miou") == pytest.approx(np.mean(overlap[present] / union[present]), rel=1e-12)
    assert value("segmentation", "miou") < 1

    same = [np.argmax(clean) == np.argmax(now) for clean, now in pairs("classification")]
    assert value("classification", "top1") == np.mean(same)

    errors = [float(np.mean(np.abs(now - clean) / clean, dtype=np.float64)) for clean, now in pairs("depth")]
    assert value("depth", "abs_rel") == pytest.approx(np.mean(errors), rel=1e-6)

    for cut, found in [(0.5, value("detection", "ap")), *(
        (float(cut), agreement) for cut, agreement in rows_of(document, "detection")["jpeg-q3"]["cut_sensitivity"].items()
    )]:  # fmt: skip
        assert found == pytest.approx(coco_ap(pairs("detection"), cut), rel=1e-12)


def coco_ap(pairs: list[tuple[Any, Any]], cut: float) -> float:
    """pycocotools' AP of predictions against the clean predictions that reach ``cut``."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    def wide(box: Any) -> list[float]:
        x0, y0, x1, y1 = map(float, box)
        return [x0, y0, x1 - x0, y1 - y0]

    truth, found = [], []
    for image, (clean, now) in enumerate(pairs, start=1):
        for box, label, score in zip(clean["boxes"], clean["labels"], clean["scores"], strict=True):
            if score >= cut:
                entry = {"id": len(truth) + 1, "image_id": image, "category_id": int(label) + 1, "iscrowd": 0}
                truth.append({**entry, "bbox": wide(box), "area": wide(box)[2] * wide(box)[3]})
        for box, label, score in zip(now["boxes"], now["labels"], now["scores"], strict=True):
            found.append({"image_id": image, "category_id": int(label) + 1, "bbox": wide(box), "score": float(score)})
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO()
        coco.dataset = {
            "images": [{"id": image + 1} for image in range(len(pairs))],
            "categories": [{"id": label} for label in (1, 2, 3)],
            "annotations": truth,
        }
        coco.createIndex()
        evaluation = COCOeval(coco, coco.loadRes(found), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return float(evaluation.stats[0])


def test_a_higher_cut_agrees_more_where_only_weak_boxes_vanish(tasks: pytest.Pytester) -> None:
    """A model whose weak box is lost under compression: the lower the cut, the more of what vanished is counted."""
    (tasks.path / "model_specs" / "weak.py").write_text(
        "import numpy as np\n"
        "class Weak:\n"
        "    thread_safe = True\n"
        "    def predict(self, media, context):\n"
        "        return [self.one(image) for image in media]\n"
        "    def one(self, image):\n"
        "        noisy = float(np.abs(np.diff(image[..., 1].astype(float), axis=1)).mean()) > 24\n"
        "        boxes = np.array([[2, 2, 20, 20], [22, 2, 40, 20], [2, 22, 20, 38]], dtype=float)\n"
        "        scores = np.array([0.9, 0.6, 0.4])\n"
        "        keep = np.array([True, noisy, noisy])\n"
        "        return {'boxes': boxes[keep], 'labels': np.zeros(keep.sum(), dtype=int), 'scores': scores[keep]}\n"
        "def build():\n"
        "    return Weak()\n",
        encoding="utf-8",
    )
    (tasks.path / "model_specs" / "weak.yaml").write_text(
        "task: detection\nmodel: {callable: './weak.py:build'}\nreference: clean\n"
        "data: {factory: './drawn.py:make', kwargs: {task: detection}}\ncodecs: {jpeg: [3]}\n",
        encoding="utf-8",
    )
    tasks.runpytest_inprocess("--lossy-codec=jpeg", "--lossy-model=weak", *FIXED).assert_outcomes(passed=2)
    row = rows_of(results(tasks), "weak")["jpeg-q3"]
    low, middle, high = row["cut_sensitivity"]["0.3"], row["metrics"]["ap"]["value"], row["cut_sensitivity"]["0.7"]
    assert low < middle < high == 1  # one box of three, of two, of one is found
    assert row["metrics"]["recall"]["value"] == 0.5


def test_max_drop_bounds_the_absolute_disagreement(run: Run, suite: pytest.Pytester) -> None:
    toy.write_thresholds(
        suite.path,
        """
        toy:
          jpeg:
            90: {miou: {max_drop: 99%, reference: clean}}
            5:
              miou:
                reference: clean
                max_drop: 1%
        """,
    )
    result = run("--lossy-codec=jpeg", CLEAN)
    result.assert_outcomes(passed=3, failed=1)
    document = results(suite)
    gate = rows_of(document, "toy")["jpeg-q5"]["gates"][0]
    value = rows_of(document, "toy")["jpeg-q5"]["metrics"]["miou"]
    assert (gate["bound"], gate["quantity"], gate["comparison"], gate["required"]) == ("max_drop", "loss", "<=", 0.01)
    assert gate["observed"] == value["loss"] == 1 - value["value"]
    assert (gate["verdict"], gate["line"]) == ("failed", 9)
    assert verdicts(suite)["jpeg-q90"] == "passed"
    first = next(line for line in result.outlines if line.startswith("toy at jpeg q=5: "))
    assert f"{value['loss']:.4g}" in first or f"{100 * value['loss']:.1f}%" in first, first
    assert "(thresholds.yaml:9)" in first


def test_an_error_has_no_drop(suite: pytest.Pytester) -> None:
    write_suite_beside(suite)
    toy.write_thresholds(
        suite.path,
        """
        depth:
          jpeg:
            "*":
              abs_rel:
                max_drop: 10%
                reference: clean
        """,
    )
    result = suite.runpytest_inprocess("--lossy-codec=jpeg", CLEAN, *FIXED)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*thresholds.yaml:7: abs_rel is an error and has no drop*gate it with 'max'*"])
    suite.runpytest_inprocess("--lossy-codec=jpeg", "--lossy-model=depth", *FIXED).assert_outcomes(passed=3)


def write_suite_beside(suite: pytest.Pytester) -> None:
    """The suite of all tasks instead of the toy."""
    (suite.path / "model_specs").rename(suite.path / "unused")
    write_suite(suite.path)


def test_errors_are_gated_by_max(tasks: pytest.Pytester) -> None:
    toy.write_thresholds(
        tasks.path, "depth: {clean: {abs_rel: {max: 0}}, jpeg: {3: {abs_rel: {max: 0.0001}, delta1: {max_drop: 90%}}}}"
    )
    path = tasks.path / "thresholds.yaml"
    path.write_text("defaults: {reference: clean}\n" + path.read_text(encoding="utf-8"), encoding="utf-8")
    tasks.runpytest_inprocess("--lossy-codec=jpeg", CLEAN, "--lossy-task=depth", *FIXED).assert_outcomes(
        passed=2, failed=1
    )
    assert verdicts(tasks) == {"clean": "passed", "jpeg-q60": "ungated", "jpeg-q3": "failed"}


def test_gates_of_the_other_reference_are_silent(suite: pytest.Pytester) -> None:
    toy.write_thresholds(suite.path, "toy: {jpeg: {5: {miou: {min: 0.9999}}}}")
    result = suite.runpytest_inprocess("--lossy-codec=jpeg", CLEAN, "--lossy-strict", *FIXED)
    result.assert_outcomes(failed=4)  # strict: ungated, though no rule is dead
    assert set(verdicts(suite).values()) == {"ungated"}
    assert not [line for line in results(suite)["run"]["warnings"] if "matches no case" in line]
    suite.runpytest_inprocess("--lossy-codec=jpeg", *FIXED).assert_outcomes(passed=3, failed=1)
    assert verdicts(suite)["jpeg-q5"] == "failed"


def test_a_list_of_bounds_gates_both_references(suite: pytest.Pytester) -> None:
    toy.write_thresholds(
        suite.path,
        """
        toy:
          jpeg:
            5:
              miou:
                - {min: 0.001}
                - {min: 0.999, reference: clean}
        """,
    )
    suite.runpytest_inprocess("--lossy-codec=jpeg", *FIXED).assert_outcomes(passed=4)
    assert rows_of(results(suite), "toy")["jpeg-q5"]["gates"][0]["line"] == 7
    suite.runpytest_inprocess("--lossy-codec=jpeg", CLEAN, *FIXED).assert_outcomes(passed=3, failed=1)
    assert [gate["line"] for gate in rows_of(results(suite), "toy")["jpeg-q5"]["gates"]] == [8]


def test_the_reference_of_the_file_is_the_default_of_its_gates(suite: pytest.Pytester) -> None:
    path = toy.write_thresholds(
        suite.path, "toy: {jpeg: {5: {miou: {min: 0.999}}, 90: {miou: {min: 0.999, reference: labels}}}}"
    )
    path.write_text("defaults: {reference: clean}\n" + path.read_text(encoding="utf-8"), encoding="utf-8")
    suite.runpytest_inprocess("--lossy-codec=jpeg", CLEAN, *FIXED)
    assert (verdicts(suite)["jpeg-q5"], verdicts(suite)["jpeg-q90"]) == ("failed", "ungated")
    suite.runpytest_inprocess("--lossy-codec=jpeg", *FIXED)
    assert (verdicts(suite)["jpeg-q5"], verdicts(suite)["jpeg-q90"]) == ("ungated", "failed")


@pytest.mark.parametrize(
    ("flags", "extra", "ini", "wanted"),
    [
        ((), "reference: clean", "", "clean"),
        (("--lossy-reference=labels",), "reference: clean", "lossy_reference = clean", "labels"),
        ((), "reference: labels", "lossy_reference = clean", "clean"),
    ],
)
def test_the_flag_or_its_ini_twin_decides_before_the_spec(
    suite: pytest.Pytester, flags: tuple[str, ...], extra: str, ini: str, wanted: str
) -> None:
    toy.write_spec(suite.path, extra=extra)
    suite.makeini(f"[pytest]\nlossy_replicates = 100\n{ini}\n")
    suite.runpytest_inprocess("--lossy-codec=jpeg", "--lossy-level=jpeg:50", *FIXED, *flags).assert_outcomes(passed=2)
    document = results(suite)
    assert {document["models"][0]["reference"], *(row["reference"] for row in document["cases"])} == {wanted}
    assert (document["cases"][1]["metrics"]["miou"]["retention"] is None) is (wanted == "clean")


@pytest.mark.parametrize("where", ["flag", "ini", "spec"])
def test_an_unknown_reference_is_refused(suite: pytest.Pytester, where: str) -> None:
    flags = ["--lossy-reference=cleen"] if where == "flag" else []
    if where == "ini":
        suite.makeini("[pytest]\nlossy_reference = cleen\n")
    if where == "spec":
        toy.write_spec(suite.path, extra="reference: cleen")
    result = suite.runpytest_inprocess("--lossy-codec=jpeg", *flags)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    expected = {
        "flag": "*--lossy-reference: unknown reference 'cleen'; write labels or clean*",
        "ini": "*lossy_reference (ini): unknown reference 'cleen'; write labels or clean*",
        "spec": "*model_specs/toy.yaml:[0-9]*reference*cleen*",
    }
    result.stderr.fnmatch_lines([expected[where]])


def test_a_model_that_always_says_the_same_is_named(suite: pytest.Pytester) -> None:
    folder = suite.path / "model_specs"
    (folder / "constant.py").write_text(
        "import numpy as np\n"
        "class Constant:\n"
        "    thread_safe = True\n"
        "    def predict(self, media, context):\n"
        "        return [np.ones(image.shape[:2], dtype=np.uint8) for image in media]\n"
        "def build():\n"
        "    return Constant()\n",
        encoding="utf-8",
    )
    toy.write_spec(suite.path, "toy", model="callable: './constant.py:build'")
    suite.runpytest_inprocess("--lossy-codec=jpeg", CLEAN, *FIXED).assert_outcomes(passed=4)
    document = results(suite)
    row = rows_of(document, "toy")["clean"]
    assert row["answers"] == {"red": 0, "green": 1, "blue": 0, "none": 0}
    note = "100% of the clean answers are 'green': such a model agrees with itself whatever it sees"
    assert note in row["notes"]
    assert f"toy: {note}" in document["run"]["warnings"]
    assert rows_of(document, "toy")["jpeg-q5"]["metrics"]["miou"]["value"] == 1


def test_a_plain_folder_of_images_is_label_free_by_itself(run: Run, plain_images: pytest.Pytester) -> None:
    run("--lossy-codec=jpeg").assert_outcomes(passed=4)
    unlabelled = rows_of(results(plain_images), "toy")
    assert {row["reference"] for row in unlabelled.values()} == {"clean"}
    assert unlabelled["clean"]["metrics"]["miou"]["value"] == 1
    assert unlabelled["jpeg-q50"]["verdict"] == "passed"
    toy.write_spec(plain_images.path)
    run("--lossy-codec=jpeg", CLEAN).assert_outcomes(passed=4)
    for name, row in rows_of(results(plain_images), "toy").items():
        assert row["metrics"] == unlabelled[name]["metrics"]


def test_unlabelled_data_cannot_be_scored_against_labels(plain_images: pytest.Pytester) -> None:
    result = plain_images.runpytest_inprocess("--lossy-codec=jpeg", "--lossy-reference=labels", *FIXED)
    result.assert_outcomes(errors=4)
    advice = (
        "data set 'images' has no labels; run with --lossy-reference=clean, or write 'reference: clean' in the spec"
    )
    assert all(advice in str(row["error"]) for row in results(plain_images)["cases"])
    assert "Traceback" not in result.stdout.str()


def test_a_plain_folder_of_clips(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTEST_LOSSY_CACHE", str(pytester.path / "cache"))
    random = np.random.default_rng(3)
    for clip in range(5):
        folder = pytester.path / "clips" / f"c{clip}"
        folder.mkdir(parents=True)
        picture = random.integers(0, 256, (24, 32, 3), dtype=np.uint8)
        for frame in range(4):
            Image.fromarray(np.roll(picture, frame, axis=1)).save(folder / f"{frame}.png")
    write_suite(pytester.path)
    for task in TASKS:
        if task != "action":
            (pytester.path / "model_specs" / f"{task}.yaml").unlink()
    (pytester.path / "model_specs" / "action.yaml").write_text(
        "task: action\nmodel: {callable: './reader.py:build', kwargs: {task: action}}\n"
        "data: {name: clips, kwargs: {path: ../clips, classes: 3, fps: 5}}\ncodecs: {jpeg: [3]}\n",
        encoding="utf-8",
    )
    pytester.makeini("[pytest]\nlossy_replicates = 100\n")
    pytester.runpytest_inprocess("--lossy-codec=jpeg", *FIXED).assert_outcomes(passed=2)
    rows = rows_of(results(pytester), "action")
    assert rows["clean"]["metrics"]["top1"]["value"] == 1
    assert rows["clean"]["answers"].keys() == {"class 0", "class 1", "class 2"}
    assert rows["jpeg-q3"]["samples"] == 5
    reader = loaded(pytester.path, "reader").build("action")
    same = []
    for clip in range(5):
        files = sorted((pytester.path / "clips" / f"c{clip}").iterdir())
        clean = np.stack([np.asarray(Image.open(path)) for path in files])
        coded = np.stack([jpeg(frame, 3) for frame in clean])
        same.append(np.argmax(reader.action(clean, {})) == np.argmax(reader.action(coded, {})))
    assert rows["jpeg-q3"]["metrics"]["top1"]["value"] == np.mean(same)


def test_clips_of_one_video_agree_as_a_video(agreed: tuple[Path, dict[str, Any]]) -> None:
    """The drawn action data cuts two clips from each video: scores are averaged on both sides."""
    folder, document = agreed
    rows = rows_of(document, "action")
    data, model = loaded(folder, "drawn").make("action"), loaded(folder, "reader").build("action")
    videos: dict[str, list[tuple[np.ndarray, np.ndarray]]] = {}
    for index in range(len(data)):
        sample = data.load(index)
        coded = np.stack([jpeg(frame, 3) for frame in sample.media])
        videos.setdefault(sample.target["video"], []).append((model.action(sample.media, {}), model.action(coded, {})))
    same = [
        np.argmax(sum(clean for clean, _ in clips)) == np.argmax(sum(now for _, now in clips))
        for clips in videos.values()
    ]
    assert rows["jpeg-q3"]["metrics"]["top1"]["value"] == np.mean(same)
    assert rows["jpeg-q3"]["units"] == len(videos) == 8


def test_reports_say_agreement_alone(suite: pytest.Pytester) -> None:
    toy.write_thresholds(suite.path, "toy: {jpeg: {5: {miou: {min: 0.9999, reference: clean}}}}")
    result = suite.runpytest_inprocess("--lossy-codec=jpeg", CLEAN, *FIXED)
    result.stdout.fnmatch_lines(["*miou agreement*", "*disagreement*"])
    result.stdout.no_fnmatch_line("*etention*")
    folder = suite.path / "lossy-report"
    summary = (folder / "summary.md").read_text(encoding="utf-8")
    assert "agreement" in summary
    assert "isagreement" in summary
    assert "etention" not in summary
    page = (folder / "index.html").read_text(encoding="utf-8")
    assert "Label-free: scored against the model's own predictions" in page.replace("&#39;", "'")
    document = results(suite)
    rerun = f"pytest --lossy-codec=jpeg {CLEAN} model_specs/toy.yaml::toy::jpeg-q5"
    assert rerun in page or rerun in summary
    assert document["models"][0]["metrics"][0]["title"] == "mIoU (agreement)"


def test_a_faulty_prediction_is_the_models_fault(suite: pytest.Pytester) -> None:
    """Not that of the data's labels, which label-free mode does not have."""
    toy.write_spec(suite.path, "toy", model="torch: ./net.py:build_broken\nkwargs: {how: classes}")
    result = suite.runpytest_inprocess("--lossy-codec=jpeg", CLEAN, *FIXED)
    result.assert_outcomes(failed=4)
    for row in results(suite)["cases"]:
        assert "class 4 is predicted but the data has classes 0..2" in row["error"]
        assert "target" not in row["error"]


def test_smoke_runs_agree_on_their_samples(suite: pytest.Pytester) -> None:
    suite.runpytest_inprocess("--lossy-codec=jpeg", CLEAN, "--lossy-samples=4", *FIXED)
    rows = rows_of(results(suite), "toy")
    assert {row["samples"] for row in rows.values()} == {4}
    assert rows["clean"]["metrics"]["miou"]["value"] == 1
    assert results(suite)["run"]["samples_limit"] == 4
