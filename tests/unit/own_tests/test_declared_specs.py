"""Specs of Python tests in a lossy run: which cases run where, whose names they have, and what crosses processes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pytest_lossy.errors import ModelError
from pytest_lossy.own_tests import search
from pytest_lossy.own_tests.declaration import Place, declare
from pytest_lossy.own_tests.declared import DeclaredSpec, DeclaredSpecs
from pytest_lossy.planning import Plan
from pytest_lossy.results.store import RunStore
from pytest_lossy.settings import LevelChoice, Settings
from pytest_lossy.thresholds.rules import Rule, Thresholds

BASE = Settings(
    codecs=("all",), levels=(), models=(), tasks=(), specs=Path("model_specs"), specs_given=False,
    thresholds=Path("thresholds.yaml"), thresholds_given=False, samples=None, device=("cpu",), reference=None,
    report=Path("report"), replicates=100, tolerance=0.05, gallery=0, cache=None, cache_bytes=0, spill_bytes=0, strict=False,
)  # fmt: skip


def net(name: str = "net", codec: Any = None) -> Any:
    place = Place(Path("/repo/test_a.py"), "test_a.py", 3, "test_net")
    codec = codec or {"jpeg": [50, 15], "webp": [20]}
    return declare(place, name=name, model=object, data="mini-segmentation", task="segmentation", codec=codec)[0]


def declared(tmp_path: Path, plan: Plan | None = None, **flags: Any) -> DeclaredSpecs:
    return DeclaredSpecs(replace(BASE, **flags), plan or Plan((), Thresholds(), ()), RunStore(tmp_path))


def names(cases: Any) -> list[str]:
    return [case.name for case in cases]


def test_flags_select_as_they_do_for_files(tmp_path: Path) -> None:
    def selected(**flags: Any) -> list[str]:
        return names(declared(tmp_path, **flags).declare(net(), "test_a.py::test_net")[1])

    assert selected() == ["clean", "jpeg-q50", "jpeg-q15", "webp-q20"]
    assert selected(codecs=("jpeg",)) == ["clean", "jpeg-q50", "jpeg-q15"]
    assert selected(codecs=("avif",), levels=(LevelChoice("avif", (30.0,)),)) == ["clean", "avif-q30"]
    assert selected(models=("other*",)) == selected(tasks=("pose",)) == []
    assert selected(knee=True) == ["clean", "jpeg-knee", "webp-knee"]


@pytest.mark.parametrize("count", [2, 3, 5])
def test_shards_share_whole_curves(tmp_path: Path, count: int) -> None:
    parts = [
        names(declared(tmp_path, shard=(part, count)).declare(net(f"net{number}"), f"t{number}")[1])
        for number in range(4)
        for part in range(1, count + 1)
    ]
    for number in range(4):
        mine = parts[number * count : (number + 1) * count]
        levels = [name for part in mine for name in part if name != "clean"]
        assert sorted(levels) == ["jpeg-q15", "jpeg-q50", "webp-q20"]
        assert all(part[0] == "clean" for part in mine if part)
        assert all(("jpeg-q50" in part) == ("jpeg-q15" in part) for part in mine)
    used = {index % count for index, part in enumerate(parts) if part}
    assert len(used) > 1, "not every spec begins at the same shard"


def test_a_controller_reads_what_workers_left(tmp_path: Path) -> None:
    worker, controller = declared(tmp_path), declared(tmp_path)
    spec, cases, _ = worker.declare(net(), "test_a.py::test_net")
    tests = {f"test_a.py::test_net[{case.name}]": ("net", case) for case in cases[:2]}
    worker.finish_collection(tests, share=True)
    other = net("evaluated", {"jpeg": [5]})
    worker.enter(
        DeclaredSpec(other, tuple(other.cases()), dict.fromkeys(names(other.cases()), "test_b.py::t"), marked=False)
    )
    more = net("evaluated", {"jpeg": [90]})
    declared(tmp_path).enter(  # another process, the same test
        DeclaredSpec(more, tuple(more.cases()), dict.fromkeys(names(more.cases()), "test_b.py::t"), marked=False)
    )
    controller.read()
    controller.read()
    assert list(controller.table()) == [
        ("evaluated", "clean"), ("evaluated", "jpeg-q5"), ("evaluated", "jpeg-q90"), ("net", "clean"), ("net", "jpeg-q50"),
    ]  # fmt: skip
    assert controller.of_item("test_a.py::test_net[jpeg-q50]") == (spec, cases[1])
    assert controller.of_item("test_b.py::t") is None
    assert names(case for _, case in controller.of_test("test_b.py::t")) == ["clean", "jpeg-q5", "jpeg-q90"]
    assert controller.evaluated() == [f"test_a.py::evaluated::{name}" for name in ("clean", "jpeg-q5", "jpeg-q90")]


def test_a_name_belongs_to_one_test(tmp_path: Path) -> None:
    found = declared(tmp_path, Plan((replace(net("File"), shown="model_specs/file.yaml"),), Thresholds(), ()))
    found.declare(net(), "test_a.py::test_net")
    found.declare(net(), "test_a.py::test_net")
    for name, owner in (("Net", "test_a.py::test_net"), ("file", "model_specs/file.yaml")):
        with pytest.raises(ModelError, match=f"model name '{name}' is also used by {owner}; write another name"):
            found.declare(net(name), "test_b.py::test_net")
    spec = net("mine")
    entry = DeclaredSpec(spec, tuple(spec.cases()), {"clean": "test_a.py::one"}, marked=False)
    found.enter(entry)
    with pytest.raises(ModelError, match=r"also used by test_a.py::one"):
        declared(tmp_path).enter(replace(entry, tests={"clean": "test_a.py::two"}))


def test_what_only_python_can_explain(tmp_path: Path) -> None:
    rules = tuple(
        Rule(model, "jpeg", "15", "miou", "min", 0.5, "t.yaml", line) for line, model in ((3, "net"), (4, "nobody"))
    )
    later = (
        ("codec", "fine", "unknown fine"),
        ("codec", "webp", "unknown webp"),
        ("model", "n*", "n"),
        ("model", "x*", "x"),
        ("label", "webp", "gate of webp"),
        ("label", "finest", "gate of finest"),
        ("metric", "f1", "gate on f1"),
    )
    found = declared(tmp_path, Plan((), Thresholds(rules), (), later, rules))
    found.declare(net(), "test_a.py::test_net")
    assert found.unknown_names(of_gates=False) == ["unknown fine", "x"]
    assert found.unknown_names(of_gates=True) == ["unknown fine", "x", "gate of finest", "gate on f1"]
    assert found.dead_rules() == ["t.yaml:4: matches no case: no nobody / jpeg / 15; remove the rule or correct it"]


def test_the_text_of_tests_tells_whether_they_use_us(tmp_path: Path) -> None:
    def uses(*arguments: str) -> bool:
        config: Any = SimpleNamespace(
            args=list(arguments) or ["."],
            getini=lambda name: [".*", "venv"],
            invocation_params=SimpleNamespace(dir=tmp_path),
        )
        return search.tests_use_lossy(config)

    assert not uses()
    for folder in ("venv", ".hidden", "own", "tests"):
        (tmp_path / folder).mkdir()
    (tmp_path / "own" / "pyvenv.cfg").touch()
    for folder in ("venv", ".hidden", "own"):
        (tmp_path / folder / "test_a.py").write_text("def test_it(lossy_result): pass", encoding="utf-8")
    (tmp_path / "tests" / "test_b.py").write_text("import pytest_lossy  # a lossy codec", encoding="utf-8")
    assert not uses()
    (tmp_path / "tests" / "conftest.py").write_text("x = pytest.mark.lossy_levels(codec='jpeg')", encoding="utf-8")
    assert uses()
    assert uses("tests")
    assert not uses("tests/test_b.py::test_it")
