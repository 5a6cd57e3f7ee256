"""The README's examples are valid, and its table of flags is complete."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pytest_lossy.planning import plan_run
from pytest_lossy.settings import Settings
from pytest_lossy.specs.index import index_specs

README = Path(__file__).parents[2] / "README.md"


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README.read_text(encoding="utf-8"), flags=re.DOTALL)


def test_the_three_steps(tmp_path: Path) -> None:
    spec, thresholds = blocks("yaml")[:2]
    (tmp_path / "model_specs").mkdir()
    path = tmp_path / "model_specs" / "mynet.yaml"
    path.write_text(spec, encoding="utf-8")
    (tmp_path / "thresholds.yaml").write_text(thresholds, encoding="utf-8")
    indexed = index_specs([path], tmp_path)
    assert indexed[0].name == "mynet"
    settings = Settings(
        codecs=("jpeg",),
        levels=(),
        models=(),
        tasks=(),
        specs=tmp_path / "model_specs",
        specs_given=False,
        thresholds=tmp_path / "thresholds.yaml",
        thresholds_given=False,
        samples=None,
        device=("auto",),
        reference=None,
        report=tmp_path / "lossy-report",
        replicates=1000,
        tolerance=0.05,
        gallery=3,
        cache=None,
        cache_bytes=0,
        spill_bytes=0,
        strict=False,
    )
    plan = plan_run(settings, indexed, tmp_path)
    # The last rule is for "every other model", of which this project has none: mynet's own levels fall under it.
    assert not plan.warnings
    case = next(case for case in indexed[0].cases() if case.level == 15)
    gates = plan.thresholds.gates_for(case, "miou", {"miou": True})
    assert [(gate.bound, gate.limit) for gate in gates] == [("min", 0.45), ("max_drop", 0.20)]


def test_every_flag_is_explained(request: pytest.FixtureRequest) -> None:
    known = {
        name
        for option in request.config._parser._anonymous.options
        + [o for g in request.config._parser._groups for o in g.options]
        for name in option.names()
        if name.startswith("--lossy-")
    }
    assert len(known) >= 12
    text = README.read_text(encoding="utf-8")
    assert not [name for name in known if name not in text]
    mentioned = set(re.findall(r"--lossy-[a-z-]+", text))
    assert mentioned <= known
