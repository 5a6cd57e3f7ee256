"""The fixture ``lossy`` and the marker ``lossy_spec``: models and data of the user's own tests, with and without a flag."""

from __future__ import annotations

import fnmatch
import json
from collections.abc import Callable
from typing import Any

import pytest

import pytest_lossy.assembly
import pytest_lossy.models.given
import pytest_lossy.own_tests.evaluation
import pytest_lossy.own_tests.marker
import pytest_lossy.own_tests.running
import pytest_lossy.report.html
import pytest_lossy.report.markdown  # noqa: F401  numpy and torch cannot be imported twice
from tests.plugin import toy
from tests.plugin.conftest import results

HEAD = """
import numpy as np
import pytest
from pathlib import Path
from PIL import Image
from net import Nearest

def pairs():
    return [
        (np.asarray(Image.open(image)), np.asarray(Image.open(image.parents[1] / "labels" / image.name)))
        for image in sorted(Path("images").iterdir())
    ]

@pytest.fixture(scope="module")
def data():
    return pairs()
"""

SPEC = """
@pytest.mark.lossy_spec(model=Nearest, data=pairs, task="segmentation", codec={"jpeg": [50, 5], "webp": [20]}, batch_size=5)
def test_net(lossy_result):
    seen.append(lossy_result.case)
    assert lossy_result.retention("miou") > 0.05

seen = []
"""


@pytest.fixture
def place(pytester: pytest.Pytester, toy_images: Any, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """A folder with the toy's network and images, and no spec file."""
    monkeypatch.setenv("PYTEST_LOSSY_CACHE", str(pytester.path / "cache"))
    for folder in ("images", "labels"):
        (pytester.path / folder).symlink_to(toy_images / folder)
    pytester.makeini("[pytest]\nlossy_replicates = 100\nlossy_gallery = 0\n")
    pytester.makepyfile(net=toy.NETWORK.format(colors=json.dumps(toy.COLORS.tolist())))
    pytester.syspathinsert()
    return pytester


@pytest.fixture
def inside(place: pytest.Pytester) -> Callable[..., pytest.RunResult]:
    """Run pytest in this process."""
    return lambda *arguments: place.runpytest_inprocess(
        "-p", "no:randomly", "-p", "no:cacheprovider", "--strict-markers", *arguments
    )


def rows(pytester: pytest.Pytester) -> dict[str, dict[str, Any]]:
    """Model and case -> row."""
    return {row["id"].partition("::")[2]: row for row in results(pytester)["cases"]}


def numbers(pytester: pytest.Pytester) -> Any:
    """What equal runs have in common."""
    document = results(pytester)
    for row in document["cases"]:
        del row["seconds"], row["worker"]
    return {name: document[name] for name in ("cases", "curves", "codecs")}


def ids(inside: Callable[..., pytest.RunResult], *flags: str) -> list[str]:
    return [line.rpartition("::")[2] for line in inside("--collect-only", "-q", *flags).outlines if "::" in line]


# The fixture


def test_evaluate_without_a_flag(place: pytest.Pytester, inside: Callable[..., pytest.RunResult]) -> None:
    place.makepyfile(
        HEAD
        + """
def test_one_level(lossy, data):
    model = Nearest().train()
    result = lossy.evaluate(model, data, task="segmentation", codec="jpeg", level=5)
    assert 0.05 < result.retention("miou") < 0.95
    assert result.miou == result["miou"] < 0.95
    assert result.miou.low < result.miou < result.miou.high
    assert result.loss("miou") > 0
    assert (result.case, result.codec, result.level, result.primary, result.samples) == ("jpeg-q5", "jpeg", 5, "miou", 12)
    assert "miou[1]" in result and repr(result).startswith("<test_evaluate_without_a_flag.test_one_level jpeg-q5: miou 0.")
    assert model.training and all(one.requires_grad for one in model.parameters())

def test_many_levels_and_codecs(lossy, data):
    codecs = {"jpeg": (5, 50), "webp": 20}
    found = lossy.evaluate(Nearest(), data, task="segmentation", codec=codecs, classes=["r", "g", "b"])
    assert [one.case for one in found] == ["jpeg-q50", "jpeg-q5", "webp-q20"]
    assert found.clean.is_clean and found.clean.retention() == 1 and found.clean.loss() == 0
    assert found["jpeg-q5"] == found[1] and found["clean"] == found.clean
    assert found["jpeg-q50"]["miou[g]"] > found["jpeg-q5"]["miou[g]"]
    assert lossy.evaluate(Nearest(), data, task="segmentation").case == "clean"

def test_functions_and_label_free(lossy, data):
    import torch
    def predict(media):
        with torch.no_grad():
            return [Nearest()(torch.tensor(one).permute(2, 0, 1)[None] / 255).argmax(1)[0].numpy() for one in media]
    images = [image for image, _ in data]
    result = lossy.evaluate(predict, images, task="segmentation", classes="rgb", codec="h264", level=30)
    assert result.case == "h264-intra-crf30" and result.miou > 0.5 and result.loss() > 0
    assert result.retention() != result.retention(), "agreement is no retention"
"""
    )
    result = inside()
    result.assert_outcomes(passed=3)
    result.stdout.no_fnmatch_line("*lossy-report*")
    assert not (place.path / "lossy-report").exists()


def test_evaluations_enter_the_run(place: pytest.Pytester, inside: Callable[..., pytest.RunResult]) -> None:
    path = place.makepyfile(
        HEAD
        + """
def test_net(lossy, data):
    assert lossy.evaluate(Nearest(), data, task="segmentation", codec="jpeg", level=[50, 5], name="net").clean.miou > 0.5
    lossy.evaluate(Nearest(), data, task="segmentation", codec="webp", level=20, name="net")

def test_other_weights(lossy, data):
    model = Nearest()
    lossy.evaluate(model, data, task="segmentation", codec="jpeg", level=50)
    model.conv.bias.data[0] += 9
    assert lossy.evaluate(model, data, task="segmentation", codec="jpeg", level=50).miou < 0.3

def test_of_no_concern(): pass
"""
    )
    toy.write_thresholds(place.path, "net: {jpeg: {5: {miou: {min: 0.99}}}, clean: {miou: {min: 0.5}}}")
    result = inside("--lossy-codec=jpeg")
    result.assert_outcomes(passed=1, failed=1, deselected=1)
    result.stdout.fnmatch_lines(["net at jpeg q=5: miou value * < 0.99 (thresholds.yaml:3)"])
    found = rows(place)
    stem = path.stem
    assert list(found) == [
        *(f"net::{case}" for case in ("clean", "jpeg-q50", "jpeg-q5", "webp-q20")),
        *(f"{name}::{case}" for name in (f"{stem}.test_other_weights", f"{stem}.test_other_weights-2")
          for case in ("clean", "jpeg-q50")),
    ]  # fmt: skip
    assert [found[f"net::{case}"]["verdict"] for case in ("clean", "jpeg-q5")] == ["passed", "failed"]
    assert found["net::webp-q20"]["test"] == f"{path.name}::test_net"


def test_errors_are_one_message_at_the_users_line(
    place: pytest.Pytester, inside: Callable[..., pytest.RunResult]
) -> None:
    path = place.makepyfile(
        HEAD
        + """
def test_names(lossy, data):
    lossy.evaluate(Nearest(), data, task="segmentatio", codec="jpeg", level=[0, 150])

def test_model(lossy, data):
    lossy.evaluate(lambda media: 1 / 0, data, task="segmentation", codec="jpeg", level=5)
"""
    )
    result = inside("-q")
    result.assert_outcomes(failed=2)
    result.stdout.fnmatch_lines(
        [
            "E       pytest_lossy.errors.ConfigurationError: *.py:*: jpeg: level 0 is outside 1..100; choose from 1..100",
            "E       *: jpeg: level 150 is outside *",
            "E       *: unknown task 'segmentatio'; did you mean 'segmentation'?",
            "E       pytest_lossy.*Error: the model raised ZeroDivisionError: division by zero",
            f"E         *{path.name}:* in <lambda>*",
        ]
    )
    result.stdout.no_fnmatch_line("*pytest_lossy/*.py:*")


# The marker


def test_a_marked_test_has_an_item_for_each_case(
    place: pytest.Pytester, inside: Callable[..., pytest.RunResult]
) -> None:
    place.makepyfile(
        HEAD
        + SPEC
        + """
@pytest.mark.lossy_spec(
    model="fixture:model", data="fixture:data", task="segmentation", codec="jpeg", level=[20], name="by-fixture"
)
class TestNets:
    def test_small(self, lossy_result): assert lossy_result.model == "by-fixture"
    def test_without(self): pass

@pytest.fixture
def model(): return Nearest()

def test_bodies_ran_in_order(): assert seen == ["clean", "jpeg-q50", "jpeg-q5", "webp-q20"]
"""
    )
    names = [f"test_net[{case}]" for case in ("clean", "jpeg-q50", "jpeg-q5", "webp-q20")]
    result = inside("-v")
    result.assert_outcomes(passed=4 + 2 + 2)
    result.stdout.fnmatch_lines([f"*{name.replace('[', '[[]')} PASSED*" for name in names])
    result.stdout.fnmatch_lines(["*test_small[[]clean] PASSED*", "*test_small[[]jpeg-q20] PASSED*"])
    assert not (place.path / "lossy-report").exists()
    assert ids(inside, "-m", 'lossy(codec="jpeg", level=5)') == ["test_net[jpeg-q5]"]
    assert ids(inside, "-k", "webp", "--lossy-codec=all") == ["test_net[webp-q20]"]
    assert ids(inside, "--lossy-codec=jpeg", "--lossy-level=jpeg:7,80", "--lossy-model=net") == [
        *(f"test_net[{case}]" for case in ("clean", "jpeg-q80", "jpeg-q7")),
        "test_without",  # carries our marker, and is no case
    ]


def test_flags_gates_and_workers(place: pytest.Pytester, inside: Callable[..., pytest.RunResult]) -> None:
    place.makepyfile(
        HEAD
        + SPEC
        + """
@pytest.mark.lossy_spec(model=Nearest, data=pairs, task="segmentation", codec={"jpeg": [50]})
def test_gates_alone(): pass

def test_evaluated(lossy, data):
    lossy.evaluate(Nearest(), data, task="segmentation", codec="jpeg", level=50, name="evaluated")
"""
    )
    toy.write_thresholds(
        place.path,
        """
        net: {jpeg: {5: {miou: {max_drop: 1%}}, knee: {no_milder_than: 5}}}
        gates_alone: {clean: {miou: {min: 0.999}}}
        evaluated: {jpeg: {50: {miou: {min: 0.1}}}}
        """,
    )
    result = inside("--lossy-codec=jpeg")
    assert {name: row["verdict"] for name, row in rows(place).items()} == {
        "evaluated::clean": "ungated",
        "evaluated::jpeg-q50": "passed",
        "gates_alone::clean": "failed",
        "gates_alone::jpeg-q50": "ungated",
        "net::clean": "ungated",
        "net::jpeg-q50": "ungated",
        "net::jpeg-q5": "failed",
        "net::jpeg-knee": rows(place)["net::jpeg-knee"]["verdict"],
    }
    result.stdout.fnmatch_lines(["net at jpeg q=5: miou drops by *, more than 1% (thresholds.yaml:*)"])
    alone = numbers(place)
    assert not [text for text in results(place)["run"]["warnings"] if "matches no case" in text]
    parallel = place.runpytest_subprocess(
        "-n2", "-p", "no:randomly", "-p", "no:cacheprovider", "--lossy-codec=jpeg", "--lossy-report=two"
    )
    assert parallel.parseoutcomes() == result.parseoutcomes()
    (place.path / "two").rename(place.path / "lossy-report-two")
    document = json.loads((place.path / "lossy-report-two" / "results.json").read_text(encoding="utf-8"))
    assert document["run"]["workers"] == 2
    (place.path / "lossy-report" / "results.json").write_text(json.dumps(document), encoding="utf-8")
    assert numbers(place) == alone


METRICS = """
class Right:
    # Share of right pixels of one picture.
    def __init__(self, ignored=255): self.ignored = ignored
    def reset(self): self.values = []
    def update(self, predicted, target):
        right = (predicted == target)[target != self.ignored]
        self.values.append(float(right.float().mean()))
    def compute(self): return sum(self.values) / len(self.values)
"""


def test_metrics_of_the_users_own(place: pytest.Pytester, inside: Callable[..., pytest.RunResult]) -> None:
    place.path.joinpath("measures.py").write_text(METRICS, encoding="utf-8")
    place.makepyfile(
        HEAD
        + """
RIGHT = {"right": {"metric": "./measures.py:Right", "higher_is_better": True}}

@pytest.mark.lossy_spec(model=Nearest, data=pairs, task="segmentation", codec={"jpeg": [5]}, metrics=RIGHT)
def test_net(lossy_result):
    assert 0.1 < lossy_result["right"].low < lossy_result["right"] < lossy_result["right"].high <= 1
    assert lossy_result.retention("right") <= 1

def test_evaluated(lossy, data):
    task = {"task": "segmentation", "codec": "jpeg", "level": 5}
    plain = lossy.evaluate(Nearest(), data, **task)
    found = lossy.evaluate(Nearest(), data, metrics=RIGHT, **task)
    assert "right" not in plain and abs(found["right"] - found["pixel_accuracy"]) < 0.1
    with pytest.raises(Exception, match="metric 'miou' exists already; choose another name"):
        lossy.evaluate(Nearest(), data, metrics={"miou": RIGHT["right"]}, **task)
"""
    )
    toy.write_thresholds(place.path, "net: {jpeg: {5: {right: {min: 0.999}}}}")
    inside().assert_outcomes(passed=3)
    result = inside("--lossy-codec=jpeg")
    result.stdout.fnmatch_lines(["net at jpeg q=5: *right*0.999*(thresholds.yaml:*)"])
    result.stdout.fnmatch_lines(["lossy: models of Python tests, gates from thresholds.yaml"])
    assert rows(place)["net::jpeg-q5"]["verdict"] == "failed"
    assert rows(place)["net::jpeg-q5"]["metrics"]["right"]["low"] is not None


@pytest.mark.parametrize("workers", [(), ("-n2",)], ids=["one", "two"])
def test_names_in_gates_that_nothing_knows(
    place: pytest.Pytester, workers: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where Python tests may know them, these are told once the tests are collected; else at once."""
    monkeypatch.setenv("PYTHONPATH", str(place.path))
    marked = SPEC.replace('"webp": [20]', '"fine": {"codec": "webp", "levels": [20]}')
    path = place.makepyfile(HEAD + marked)
    gates = "net: {jpeg: {5: {rihgt: {min: 0.1, max: 0.9}}}, fine: {20: {miou: {min: 0.1}}}, fnie: {20: {miou: {min: 0.1}}}}"
    toy.write_thresholds(place.path, gates)
    flags = ("-p", "no:randomly", "-p", "no:cacheprovider", "--lossy-codec=all", *workers)
    result = place.runpytest_subprocess(*flags)
    told = ["*thresholds.yaml:3: unknown metric 'rihgt'; *", "*thresholds.yaml:3: unknown codec 'fnie'; *"]
    output = "\n".join([*result.outlines, *result.errlines])
    for line in told:
        assert fnmatch.fnmatch(output, f"*{line}"), output
    assert output.count("unknown metric 'rihgt'") == 1, "once for both bounds"
    assert "unknown codec 'fine'" not in output
    toy.write_thresholds(place.path, gates.replace("rihgt", "miou").replace("fnie", "webp"))
    place.runpytest_subprocess(*flags).assert_outcomes(passed=4)
    # A test that evaluates in its body may still declare anything.
    path.write_text(path.read_text(encoding="utf-8") + "\ndef test_evaluated(lossy, data): pass\n", encoding="utf-8")
    toy.write_thresholds(place.path, gates)
    result = place.runpytest_subprocess(*flags)
    result.assert_outcomes(passed=4, errors=1)
    result.stdout.fnmatch_lines(["*task 'segmentation' of net has no metric 'rihgt'*"])


def test_names_and_rules_are_judged_once_python_tests_are_known(
    place: pytest.Pytester, inside: Callable[..., pytest.RunResult]
) -> None:
    place.makepyfile(HEAD + SPEC)
    toy.write_thresholds(place.path, "nett: {jpeg: {5: {miou: {min: 0.1}}}}")
    for flags, message in (
        (["--lossy-codec=jpge"], "--lossy-codec: unknown codec 'jpge'; did you mean 'jpeg'?"),
        (["--lossy-codec=jpeg", "--lossy-model=other"], "--lossy-model: 'other' matches no model; *"),
        (["--lossy-codec=jpeg", "--lossy-strict"], "thresholds.yaml:3: matches no case: no nett / jpeg / 5; *"),
        (["--lossy-codec=jpeg", "--lossy-level=jpeg:500"], "--lossy-level: jpeg: level 500 is outside 1..100; *"),
    ):
        result = inside(*flags)
        assert result.ret == pytest.ExitCode.USAGE_ERROR, flags
        result.stderr.fnmatch_lines(["ERROR: pytest-lossy cannot start:", message])


def test_marked_tests_need_no_spec_files(place: pytest.Pytester, inside: Callable[..., pytest.RunResult]) -> None:
    place.makepyfile(
        """
import pytest

@pytest.mark.lossy_levels(codec="jpeg", levels=[50, 15])
def test_it(lossy_codec): pass

def test_other(): pass
"""
    )
    inside("--lossy-codec=jpeg").assert_outcomes(passed=2, deselected=1)
    result = inside("--lossy-codec=jpeg", "--lossy-specs=nowhere")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    place.makepyfile("def test_other(): pass")
    result = inside("--lossy-codec=jpeg")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*model_specs: no such folder of specs; *"])


@pytest.mark.parametrize(
    ("marker", "messages"),
    [
        ("Nearest, data=pairs", ["takes no positional arguments, got *; write model=..., data=..., task=..."]),
        ('model=Nearest, data=pairs, tsak="segmentation"', ["unknown argument 'tsak'; did you mean 'task'?"]),
        ("model=Nearest, data=pairs", ["argument 'task' is missing; add it"]),
        (
            'model=Nearest, data="mini-seg", task="segmentation", codec={"jpeg": [500], "jpg": [5]}, batch_size=0',
            ["batch_size: got 0, *", "jpeg: level 500 is outside *", "unknown codec 'jpg'; did you mean 'jpeg'?",
             "unknown data set 'mini-seg'; *"],
        ),
        ('model="nobody", data=pairs, task="segmentation"', ["unknown model 'nobody'; none is known"]),
        ('model=Nearest, data=pairs, task="segmentation", level=5', ['level 5 is of no codec; write codec="jpeg"']),
        ('model=Nearest, data=pairs, task="segmentation", codec=5', ["codec 5 is not a name; *"]),
        (
            'model=Nearest, data=pairs, task="segmentation", model_kwargs={"a": 1}',
            ["model_kwargs belong to a model by name; *"],
        ),
    ],
)  # fmt: skip
def test_a_bad_marker_is_an_error_at_collection(
    place: pytest.Pytester, inside: Callable[..., pytest.RunResult], marker: str, messages: list[str]
) -> None:
    path = place.makepyfile(
        "import pytest\nfrom net import Nearest\npairs = list\n\n"
        f"@pytest.mark.lossy_spec({marker})\ndef test_it(lossy_result): pass"
    )
    result = inside()
    assert result.ret == pytest.ExitCode.INTERRUPTED
    result.stdout.fnmatch_lines(
        ["@pytest.mark.lossy_spec of test_it:", *(f"{path.name}:5: {message}" for message in messages)]
    )
    result.stdout.no_fnmatch_line("*Traceback*")


def test_other_ways_to_be_wrong(place: pytest.Pytester, inside: Callable[..., pytest.RunResult]) -> None:
    place.makepyfile(
        test_a=HEAD
        + """
@pytest.mark.lossy_spec(model=lambda: 1 / 0, data=pairs, task="segmentation", codec={"jpeg": [50]}, name="broken")
def test_build(lossy_result): pass

def test_unmarked(lossy_result): pass
""",
        test_b=HEAD
        + """
@pytest.mark.lossy_spec(model=Nearest, data=pairs, task="segmentation", name="Broken")
def test_build(lossy_result): pass
""",
    )
    result = inside("test_a.py", "--lossy-codec=jpeg")
    result.assert_outcomes(errors=3)
    result.stdout.fnmatch_lines(
        [
            "broken clean: building the model broken raised ZeroDivisionError: division by zero",
            "test_unmarked takes lossy_result, but declares no model; mark it with @pytest.mark.lossy_spec(*",
        ]
    )
    assert [row["verdict"] for row in results(place)["cases"]] == ["error", "error"]
    result = inside("--lossy-codec=jpeg")
    result.stdout.fnmatch_lines(
        ["test_b.py:*: model name 'Broken' is also used by test_a.py::test_build; write another name=..."]
    )
