"""Whole curves: from rows and stored replicates to knees, limits and slices in the units and words of the results."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pytest

from pytest_lossy.analysis.curves import CurveData, complete_curve
from pytest_lossy.analysis.proportions import Paired, paired_ratio
from pytest_lossy.analysis.requirements import Measured, tags_of
from pytest_lossy.results.document import CaseRow, Curve, CurvePoint, GateResult, MetricValue
from pytest_lossy.results.replicates import StoredReplicates
from pytest_lossy.thresholds.rules import Gate
from pytest_lossy.thresholds.verdicts import judge
from tests.unit.analysis.simulated_curves import GRID, Slope, draw

RATES = dict(zip(GRID, (4.0, 2.0, 1.2, 0.8, 0.5, 0.4, 0.3), strict=True))
SAMPLES = draw(np.random.default_rng(11), 300, Slope(12.0), kind="overlap", levels=GRID, correlation=0.98)


def row(level: float, value: MetricValue | None, gates: list[GateResult] | None = None, **fields: Any) -> CaseRow:
    base = {
        "id": f"s.yaml::net::jpeg-q{level:g}",
        "model": "net",
        "task": "segmentation",
        "codec": "jpeg",
        "codec_name": "jpeg",
        "parameter": "q",
        "level": level,
        "verdict": "passed",
        "outcome": "passed",
        "primary": "m",
        "metrics": {} if value is None else {"m": value, "m{night}": value},
        "bpp": RATES[level],
        "gates": gates or [],
    }
    return CaseRow(**{**base, **fields})


def gate(bound: Any, limit: float, value: MetricValue, metric: str = "m") -> GateResult:
    return judge(Gate(metric, bound, limit, "thresholds.yaml", 3), value)


def measured(gates: dict[float, Any] | None = None, **fields: Any) -> CurveData:
    """The simulated curve; ``gates`` maps a level to (bound, limit) pairs of its primary metric."""
    clean, *rest = SAMPLES.measured(400)
    levels = []
    for level, stored in zip(GRID, rest, strict=True):
        value = MetricValue(value=stored.point["m"], retention=stored.point["m"] / clean.point["m"])
        judged = [gate(bound, limit, value) for bound, limit in (gates or {}).get(level, [])]
        levels.append(Measured(row(level, value, judged), stored))
    base = {
        "levels": levels,
        "clean": clean,
        "metric": "m",
        "higher_is_better": True,
        "tolerance": 0.05,
        "confidence": 0.95,
    }
    return CurveData(**{**base, **fields})


def completed(data: CurveData) -> Curve:
    plain = Curve(
        model="net",
        codec="jpeg",
        metric="m",
        points=[
            CurvePoint(level=entry.row.level, case=entry.row.id, verdict="passed", metric=entry.row.metrics["m"])
            for entry in data.levels
            if entry.row.level is not None and "m" in entry.row.metrics
        ],
    )
    return complete_curve(plain, data)


def test_a_knee_in_level_bits_and_bytes() -> None:
    curve = completed(measured())
    upper, lower = (Slope(12.0)(level) for level in (50, 30))
    truth = 50 - 20 * (upper - 0.95) / (upper - lower)  # of the curve that is straight between levels
    assert curve.bytes_of == 95
    assert curve.knee is not None
    assert curve.knee.status == "resolved"
    position = curve.knee.position
    assert position is not None
    assert position.bpp is not None
    assert position.byte_share is not None
    assert position.level.low <= truth <= position.level.high
    assert 30 < position.level.value < 50
    share = (position.level.value - 30) / 20
    assert position.bpp.value == pytest.approx(0.8 ** (1 - share) * 1.2**share)
    assert position.byte_share.value == pytest.approx(position.bpp.value / 4)
    assert position.bpp.low < position.bpp.value < position.bpp.high
    assert curve.knee.explanation == "m falls below 95% of clean between q50 and q30."
    for point in curve.points:
        assert point.band_low <= point.metric.retention <= point.band_high
        assert point.isotonic is not None


def test_without_gates_the_tolerance_is_the_requirement() -> None:
    limit = completed(measured()).limit
    assert limit is not None
    assert (limit.status, limit.gated, limit.slice) == ("found", False, None)
    assert limit.requirement == "m retention at least 95%, shown at one-sided 95%"
    assert limit.level == 50
    assert limit.ended_by == 30
    assert (limit.bpp, limit.byte_share) == (1.2, pytest.approx(0.3))
    assert limit.case == "s.yaml::net::jpeg-q50"
    assert "the one-sided lower bound is 0.9" in limit.explanation


@pytest.mark.parametrize(
    ("bound", "limit", "last"),
    [("max_drop", 0.3, 15), ("min", 0.55, 30), ("max_loss", 0.2, 15), ("min", 0.9, None), ("max_drop", 0.99, 5)],
)
def test_gates_are_the_requirement(bound: str, limit: float, last: float | None) -> None:
    found = completed(measured({level: [(bound, limit)] for level in GRID})).limit
    assert found is not None
    assert found.gated
    assert found.level == last
    assert found.status == ("none" if last is None else "found")


def test_every_bound_of_a_level_counts_and_levels_without_gates_fall_back() -> None:
    both = completed(measured({level: [("max_drop", 0.99), ("min", 0.55)] for level in GRID})).limit
    assert both is not None
    assert both.level == 30
    assert both.requirement == "m drops by at most 99% and m at least 0.55, shown at one-sided 95%"
    mild = completed(measured({50.0: [("max_drop", 0.5)]})).limit
    assert mild is not None
    assert mild.level == 50
    # What ended the walk is what the requirement says; that the last level was held to something else is said too.
    assert not mild.gated
    assert mild.requirement.startswith("m retention at least 95%")
    assert mild.explanation.endswith("q50 was held to its gate: m drops by at most 50%.")
    strict = completed(measured({30.0: [("max_drop", 0.01)]})).limit
    assert strict is not None
    assert (strict.level, strict.gated) == (50, True)
    assert strict.explanation.endswith("q50 has no gate and was held to the tolerance: m retention at least 95%.")


def test_errors_are_bounded_from_above() -> None:
    data = measured()
    clean = data.clean
    assert clean is not None

    def inverted(stored: StoredReplicates) -> StoredReplicates:
        return StoredReplicates(
            {"m": 1 / stored.point["m"]}, {"m": 1 / stored.replicates["m"]}, stored.units, stored.samples
        )

    levels = []
    for entry in data.levels:
        assert entry.stored is not None
        stored = inverted(entry.stored)
        value = MetricValue(value=stored.point["m"], retention=clean.point["m"] ** -1 / stored.point["m"])
        judged = [judge(Gate("m", "max", 2.2, "thresholds.yaml", 3), value)]
        levels.append(Measured(row(entry.row.level or 0.0, value, judged), stored))
    error = completed(CurveData(levels, inverted(clean), "m", higher_is_better=False, tolerance=0.05, confidence=0.95))
    score = completed(measured())
    assert error.knee is not None
    assert score.knee is not None
    assert error.knee.position is not None
    assert score.knee.position is not None
    assert error.knee.position.level.value == pytest.approx(score.knee.position.level.value)
    assert error.knee.position.level.low == pytest.approx(score.knee.position.level.low)
    assert error.limit is not None
    assert error.limit.level == 15
    assert "upper bound" in error.limit.explanation


def test_levels_that_failed_end_the_walk() -> None:
    data = measured()
    broken = [
        Measured(row(50.0, None, verdict="crashed", bpp=None), None) if entry.row.level == 50 else entry
        for entry in data.levels
    ]
    curve = completed(measured(levels=broken))
    assert curve.limit is not None
    assert (curve.limit.level, curve.limit.ended_by) == (75, 50)
    assert curve.limit.explanation == "q50 cannot be judged: its process died."
    assert len(curve.points) == 6
    assert curve.knee is not None  # the knee interpolates over what there is
    assert curve.knee.position is not None


def test_tags_have_limits_of_their_own() -> None:
    data = measured()
    clean = data.clean
    assert clean is not None

    def tagged(stored: StoredReplicates, less: float) -> StoredReplicates:
        point = {**stored.point, "m{night}": stored.point["m"] * less, "m{rare}": stored.point["m"]}
        drawn = {**stored.replicates, "m{night}": stored.replicates["m"] * less}
        drawn["m{rare}"] = np.full(400, stored.point["m"])
        return StoredReplicates(point, drawn, stored.units, stored.samples, {"night": 90, "rare": 3})

    levels = []
    for entry in data.levels:
        assert entry.stored is not None
        level = entry.row.level or 0.0
        value = entry.row.metrics["m"]
        both = entry.row.model_copy(update={"metrics": dict.fromkeys(("m", "m{night}", "m{rare}"), value)})
        levels.append(Measured(both, tagged(entry.stored, 0.95 if level <= 50 else 1.0)))
    assert tags_of("m", levels) == ["night", "rare"]
    night, rare = completed(measured(levels=levels, clean=tagged(clean, 1.0))).slice_limits
    assert (night.metric, night.slice, night.level) == ("m", "night", 75)
    assert night.requirement.startswith("m{night} retention at least 95%")
    assert rare.status == "none"  # three unchanged units show nothing


def test_a_tag_without_gates_inherits_those_of_the_whole() -> None:
    data = measured({level: [("max_drop", 0.3)] for level in GRID})
    levels = []
    for entry in data.levels:
        assert entry.stored is not None
        stored = entry.stored
        twin = StoredReplicates(
            {**stored.point, "m{night}": stored.point["m"]},
            {**stored.replicates, "m{night}": stored.replicates["m"]},
            stored.units,
            stored.samples,
        )
        levels.append(Measured(entry.row, twin))
    clean = data.clean
    assert clean is not None
    twin = StoredReplicates(
        {**clean.point, "m{night}": clean.point["m"]},
        {**clean.replicates, "m{night}": clean.replicates["m"]},
        clean.units,
        clean.samples,
    )
    curve = completed(measured(levels=levels, clean=twin))
    assert curve.limit is not None
    (night,) = curve.slice_limits
    assert (night.level, night.gated) == (curve.limit.level, True)
    assert night.requirement == "m{night} drops by at most 30%, shown at one-sided 95%"


def test_label_free_curves_have_no_knee_and_a_limit_only_from_gates() -> None:
    data = measured({level: [("min", 0.55)] for level in GRID})

    def label_free(gated: bool) -> CurveData:
        levels = []
        for entry in data.levels:
            value = entry.row.metrics["m"].model_copy(update={"retention": None})
            fields = {"reference": "clean", "metrics": {"m": value}, "gates": entry.row.gates if gated else []}
            levels.append(Measured(entry.row.model_copy(update=fields), entry.stored))
        return measured(levels=levels)

    curve = completed(label_free(True))
    assert curve.knee is not None
    assert curve.limit is not None
    assert (curve.knee.status, curve.knee.position) == ("undefined", None)
    assert all(point.isotonic is None for point in curve.points)
    assert curve.limit.level == 30
    plain = completed(label_free(False)).limit
    assert plain is not None
    assert plain.status == "undefined"


@pytest.mark.parametrize(("count", "last"), [(12, None), (80, 5)])
def test_proportions_are_bounded_by_their_score(count: int, last: float | None) -> None:
    """Every sample right at every level: twelve samples show no 95 %, eighty do."""
    outcomes = {"m": np.ones(count)}
    same = StoredReplicates({"m": 1.0}, {"m": np.ones(200)}, count, "same", {}, outcomes)
    value = MetricValue(value=1.0, retention=1.0)
    curve = completed(measured(levels=[Measured(row(level, value), same) for level in GRID], clean=same))
    assert curve.limit is not None
    assert curve.limit.level == last
    assert curve.knee is not None
    assert curve.knee.status == ("not_resolved" if last is None else "beyond_range")
    # The bound of a few losses is the score's: five of eighty lost.
    lost = np.ones(count)
    lost[:5] = 0
    replicates = np.linspace(0.9, 1.0, 200)
    fewer = StoredReplicates({"m": lost.mean()}, {"m": replicates}, count, "same", {}, {"m": lost})
    levels = [Measured(row(95.0, MetricValue(value=float(lost.mean()), retention=float(lost.mean()))), fewer)]
    limit = completed(measured(levels=levels, clean=same)).limit
    assert limit is not None
    ends = paired_ratio(Paired(count - 5, 0, 5, 0), 0.9)
    assert ends is not None
    assert f"bound is {ends[0]:.4g}," in limit.explanation


def test_equal_inputs_give_equal_findings() -> None:
    assert completed(measured()) == completed(measured())


def test_a_hundred_curves_take_seconds() -> None:
    data = measured()
    clean, *rest = SAMPLES.measured(1000)
    levels = [Measured(entry.row, stored) for entry, stored in zip(data.levels, rest, strict=True)]
    data = measured(levels=levels, clean=clean)
    completed(data)
    started = time.process_time()
    for _ in range(20):
        completed(data)
    each = (time.process_time() - started) / 20
    print(f"{1e3 * each:.1f} ms a curve")
    assert 100 * each < 10
