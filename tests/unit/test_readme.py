"""The README's first screen is complete, and its three steps work."""

from __future__ import annotations

import re
from pathlib import Path

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


def test_the_first_screen_has_what_a_newcomer_needs() -> None:
    first = README.read_text(encoding="utf-8").partition("\n## ")[0]
    assert len(first.splitlines()) < 65
    commands, *_ = re.findall(r"```console\n(.*?)```", first, flags=re.DOTALL)
    assert [line.split("#")[0].strip() for line in commands.splitlines()] == [
        "$ pytest-lossy init",
        "$ pytest --lossy-codec=jpeg",
    ]
    assert "operating limit q15" in first
    [picture] = re.findall(r"!\[[^\]]+\]\((docs/images/[\w-]+\.png)\)", first)
    assert 10_000 < (README.parent / picture).stat().st_size < 400_000
