"""What a run asks a cluster for at its start: each case once, with everything that it is compared with."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

from pytest_lossy.cases import Case, IndexedSpec
from pytest_lossy.cluster.requests import CaseRequest, plan_requests
from pytest_lossy.planning import plan_cases
from pytest_lossy.specs.index import index_specs
from pytest_lossy.thresholds.reader import load_thresholds
from pytest_lossy.thresholds.rules import Thresholds
from tests.plugin import toy

TWIN = "retrained: {parent: toy, CONTROL iterations: 1, seed: 0, seconds: 1.0}"


def flags(**more: Any) -> Any:
    """Settings as far as planning reads them."""
    return SimpleNamespace(codecs=("all",), levels=(), models=(), tasks=(), knee=False, **more)


def suite(root: Path) -> tuple[list[IndexedSpec], Thresholds]:
    toy.write_spec(root)
    toy.write_spec(root, "control", extra=TWIN.replace("CONTROL ", ""))
    toy.write_spec(root, "derived", extra=TWIN.replace("CONTROL", "control: control, codec: jpeg, levels: [5],"))
    path = root / "thresholds.yaml"
    path.write_text(
        "version: 1\nmix: {fleet: {jpeg: {90: 0.5, 5: 0.5}}}\nmodels:\n"
        "  toy: {jpeg: {knee: {no_milder_than: 50}}, mix: {fleet: {miou: {min: 0.1}}}}\n"
        "  derived: {jpeg: {5: {recovery: {min: 10%}}}}\n",
        encoding="utf-8",
    )
    specs = index_specs(sorted((root / "model_specs").glob("*.yaml")), root)
    return specs, load_thresholds(path, Path("thresholds.yaml"), metrics=None, labels={"jpeg"})


def asked(
    root: Path, *names: str, pictures: dict[str, int] | None = None
) -> tuple[list[CaseRequest], dict[str, list[str]]]:
    """For the selected cases, ``model::case``."""
    specs, thresholds = suite(root)
    everything: list[tuple[str, IndexedSpec, Case]] = [
        (f"{spec.name}::{case.name}", spec, case) for spec in specs for case in plan_cases(spec, flags(), thresholds)
    ]
    planned = [entry for entry in everything if entry[0] in names]
    assert len(planned) == len(names)
    return plan_requests(planned, specs, flags(), thresholds, pictures or {})


def test_a_level_needs_itself_and_clean(tmp_path: Path) -> None:
    requests, needs = asked(tmp_path, "toy::jpeg-q5", pictures={"toy@jpeg-q5": 2, "toy@clean": 1})
    assert [(one.case.slug, one.node_id, one.pictures) for one in requests] == [
        ("toy@clean", "model_specs/toy.yaml::toy::clean", 0),
        ("toy@jpeg-q5", "toy::jpeg-q5", 2),
    ]
    assert requests[0].plan is None
    assert requests[1].plan is not None
    assert needs == {"toy::jpeg-q5": ["toy@clean", "toy@jpeg-q5"]}


def test_knees_and_mixes_need_their_levels_and_no_case_is_asked_for_twice(tmp_path: Path) -> None:
    requests, needs = asked(tmp_path, "toy::clean", "toy::jpeg-knee", "toy::mix-fleet")
    assert [one.case.name for one in requests] == ["clean", "jpeg-q90", "jpeg-q50", "jpeg-q5"]
    assert [one.rank for one in requests] == [0, 1, 2, 3]
    assert needs["toy::jpeg-knee"] == ["toy@clean", "toy@jpeg-q90", "toy@jpeg-q50", "toy@jpeg-q5"]
    assert needs["toy::mix-fleet"] == ["toy@clean", "toy@jpeg-q90", "toy@jpeg-q5"]


def test_a_gate_on_recovery_needs_control_and_parent(tmp_path: Path) -> None:
    requests, needs = asked(tmp_path, "derived::jpeg-q90", "derived::jpeg-q5")
    assert needs["derived::jpeg-q90"] == ["derived@clean", "derived@jpeg-q90"]
    others = {"control@clean", "control@jpeg-q5", "toy@clean", "toy@jpeg-q5"}
    assert set(needs["derived::jpeg-q5"]) == {"derived@clean", "derived@jpeg-q5", *others}
    assert len(requests) == 7
