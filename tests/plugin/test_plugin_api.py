"""The hooks for other code; docs/plugin-api.md is run as it stands, with stand-ins for the experiment trackers."""

from __future__ import annotations

import json
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import pytest_lossy.assembly
import pytest_lossy.codecs.jpeg
import pytest_lossy.data.given
import pytest_lossy.models.given
import pytest_lossy.own_tests.evaluation
import pytest_lossy.report.html
import pytest_lossy.report.markdown  # noqa: F401  numpy and torch cannot be imported twice
from pytest_lossy.cases import Case
from pytest_lossy.codecs.registry import CODECS
from pytest_lossy.data.registry import DATASETS
from pytest_lossy.errors import LossyError
from pytest_lossy.models.names import MODELS
from pytest_lossy.registry import Registry
from pytest_lossy.results.store import RunStore
from pytest_lossy.tasks.registry import TASKS
from pytest_lossy.telling import TellingHooks
from tests.plugin import toy
from tests.plugin.conftest import results

PAGE = Path(__file__).parents[2] / "docs" / "plugin-api.md"
COMMON = ("-p", "no:randomly", "-p", "no:cacheprovider")

TRACKERS = {
    "mlflow.py": """
import contextlib, json

CALLS = []

@contextlib.contextmanager
def start_run(run_name):
    yield
    json.dump(CALLS, open("mlflow.json", "w"))

def set_tags(tags): CALLS.append(["tags", tags])
def log_params(params): CALLS.append(["params", params])
def log_metric(key, value, step): CALLS.append(["metric", key, value, step])
def log_artifacts(local_dir, artifact_path): CALLS.append(["artifacts", local_dir, artifact_path])
""",
    "wandb.py": """
import contextlib, json

class Table:
    def __init__(self, columns): self.columns, self.data = columns, []
    def add_data(self, *row):
        assert len(row) == len(self.columns)
        self.data.append(row)

class Run:
    def log(self, data): json.dump({**data, "cases": data["cases"].data}, open("wandb.json", "w"))
    def save(self, path, base_path): assert path.endswith("index.html")

@contextlib.contextmanager
def init(project, config): yield Run()
""",
}


@pytest.fixture
def page(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """The files of the page, beside stand-ins for the trackers."""
    monkeypatch.setenv("PYTEST_LOSSY_CACHE", str(pytester.path / "cache"))
    pytester.makeini("[pytest]\nlossy_replicates = 100\nlossy_gallery = 0\npythonpath = .\n")
    files = re.findall(r'```\w+ title="([^"]+)"\n(.*?)```', PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)
    for name, text in [*files, *TRACKERS.items()]:
        path = pytester.path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    pytester.syspathinsert()
    return pytester


@pytest.mark.parametrize("workers", [0, 2])
def test_the_page_runs(page: pytest.Pytester, workers: int) -> None:
    page.makepyfile(
        """
def test_by_name(lossy):
    lossy.evaluate("threshold", "squares", task="segmentation", codec="posterise", level=3, name="by-name")
"""
    )
    flags = ("-p", "case_log", "-p", "mlflow_log", "-p", "wandb_log", "--lossy-codec=all", *COMMON)
    result = page.runpytest_subprocess("-n2", *flags) if workers else page.runpytest_inprocess(*flags)
    result.assert_outcomes(passed=5 + 1)
    document = results(page)
    expected = {
        (row["model"], row["codec"], row["level"]): row["metrics"]["miou"]["value"] for row in document["cases"]
    }
    assert len(expected) == 5 + 2
    lines = [json.loads(line) for line in (page.path / "cases.jsonl").read_text(encoding="utf-8").splitlines()]
    assert len(lines) == len(expected), "each case once, whatever process ran it"
    assert {(line["model"], line["codec"], line["level"]): line["value"] for line in lines} == expected
    calls = json.loads((page.path / "mlflow.json").read_text(encoding="utf-8"))
    metrics = {(name, step): value for kind, name, value, step in (call for call in calls if call[0] == "metric")}
    assert metrics["squares/posterise/miou", 7] == expected["squares", "posterise", 7]
    kept = next(row for row in document["cases"] if (row["model"], row["codec"]) == ("squares", "jpeg"))
    assert metrics["squares/jpeg/miou_retention", 15] == kept["metrics"]["miou"]["retention"]
    assert [call for call in calls if call[0] == "artifacts"] == [
        ["artifacts", str(page.path / "lossy-report"), "lossy-report"]
    ]
    logged = json.loads((page.path / "wandb.json").read_text(encoding="utf-8"))
    assert len(logged["cases"]) == len(expected)
    assert logged["ungated"] == len(expected)


def test_names_are_forgotten_when_their_pytest_ends(page: pytest.Pytester) -> None:
    page.makepyfile(
        """
import pytest
from pytest_lossy.cases import Case
from pytest_lossy.codecs.registry import CODECS

@pytest.mark.lossy_levels(codec="posterise", levels=[3])
def test_it(lossy_codec):
    assert lossy_codec.name == "posterise" and "posterise" in CODECS.names()
"""
    )
    page.runpytest_inprocess(*COMMON).assert_outcomes(passed=1)
    assert not any(known.registered for known in (CODECS, TASKS, DATASETS, MODELS))


def test_a_taken_name_is_an_error_at_the_start(pytester: pytest.Pytester) -> None:
    pytester.makeconftest("def pytest_lossy_register(registry): registry.codec('jpeg', dict)")
    pytester.mkdir("model_specs")
    result = pytester.runpytest_inprocess("--lossy-codec=jpeg", *COMMON)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: pytest_lossy_register: codec 'jpeg' is built in; choose another name"])
    assert pytester.runpytest_inprocess(*COMMON).ret == pytest.ExitCode.NO_TESTS_COLLECTED, "nobody asked"


def test_what_can_be_registered() -> None:
    known = Registry("codec", "pytest_lossy.none", {"jpeg": "a:b"})
    known.register("mine", dict)
    known.register("mine", dict)
    known.register("by-path", "collections:OrderedDict")
    assert known.load("mine") is dict
    assert known.load("by-path").__name__ == "OrderedDict"
    assert known.names() == ["by-path", "jpeg", "mine"]
    for name, target, message in (
        ("mine", list, "codec 'mine' is registered already; choose another name"),
        ("a b", dict, "codec 'a b': is no name; *"),
        ("x", 5, "codec 'x': 5 is neither a class nor a function"),
        ("x", "collections", "codec 'x': 'collections' is neither"),
    ):
        with pytest.raises(LossyError, match=message.replace("*", ".*")):
            known.register(name, target)
    known.forget("mine")
    assert "mine" not in known


def test_hooks_that_raise_cost_nothing(suite: pytest.Pytester) -> None:
    suite.makeconftest(
        """
def pytest_lossy_case_finished(row):
    raise ConnectionError("no tracker at localhost")

def pytest_lossy_results(document):
    assert document["run"]["counts"] == {"passed": 3, "ungated": 1}
"""
    )
    result = suite.runpytest_inprocess("--lossy-codec=jpeg", "--lossy-level=jpeg:50,5", *COMMON)
    result.assert_outcomes(passed=3)
    assert result.ret == 0
    result.stdout.fnmatch_lines_random(
        [
            "lossy: pytest_lossy_case_finished raised ConnectionError: no tracker at localhost (*conftest.py:2), 3 times",
            "lossy: pytest_lossy_results raised AssertionError: * (*conftest.py:5)",
        ]
    )
    assert len(results(suite)["cases"]) == 3


def test_a_test_that_runs_again_is_told_once(suite: pytest.Pytester) -> None:
    suite.makeconftest(
        """
def pytest_lossy_case_finished(config, row):
    with open("told.txt", "a") as stream:
        print(row["id"].rpartition("::")[2], row["verdict"], file=stream)
"""
    )
    toy.write_thresholds(suite.path, "toy: {jpeg: {5: {miou: {min: 0.99}}}}")
    result = suite.runpytest_inprocess("--lossy-codec=jpeg", "--lossy-level=jpeg:50,5", "--reruns=1", *COMMON)
    assert result.parseoutcomes() == {"passed": 2, "failed": 1, "rerun": 1}
    told = (suite.path / "told.txt").read_text(encoding="utf-8").splitlines()
    assert told == ["clean ungated", "jpeg-q50 ungated", "jpeg-q5 failed"]


def test_a_case_whose_worker_died_is_told(tmp_path: Path) -> None:
    told = []
    case = Case("net", "segmentation", "jpeg", "jpeg", "q", 50)
    store = RunStore(tmp_path)
    store.start(case.slug)
    hook = SimpleNamespace(get_hookimpls=lambda: [1])
    run: Any = SimpleNamespace(
        store=store, is_case_id=lambda name: name == "a.yaml::net::jpeg-q50", case_of=lambda _: (0, case)
    )
    telling = TellingHooks(SimpleNamespace(hook=SimpleNamespace(pytest_lossy_case_finished=hook)), run)  # type: ignore[arg-type]
    telling._call = lambda name, row: told.append((row["id"], row["verdict"]))  # type: ignore[method-assign]
    for phase in ("setup", "???"):
        report: Any = SimpleNamespace(when=phase, outcome="failed", nodeid="a.yaml::net::jpeg-q50")
        telling.pytest_runtest_logreport(report)
    assert told == [("a.yaml::net::jpeg-q50", "crashed")]


def test_a_conftest_further_down_may_register_and_listen(page: pytest.Pytester) -> None:
    folder = page.mkpydir("below")
    (folder / "conftest.py").write_text(
        "from conftest import Posterise\n\ndef pytest_lossy_register(registry): registry.codec('later', Posterise)\n",
        encoding="utf-8",
    )
    (folder / "test_it.py").write_text(
        """
import pytest

@pytest.mark.lossy_levels(codec="posterise", levels=[3])
@pytest.mark.lossy_levels(codec="later", levels=[3], label="again")
def test_it(lossy_codec): pass
""",
        encoding="utf-8",
    )
    page.runpytest_inprocess(*COMMON).assert_outcomes(passed=2)
