"""How a case passes or fails, and what the user reads then."""

from __future__ import annotations

import pytest

from tests.plugin import toy
from tests.plugin.conftest import Run, results, verdicts


def test_a_missed_gate_reads_as_one_table_with_the_line_of_the_rule(run: Run, suite: pytest.Pytester) -> None:
    toy.write_thresholds(
        suite.path,
        """
        toy:
          jpeg:
            5:
              miou: {min: 0.99, max_drop: 1%}
        """,
    )
    result = run("--lossy-codec=jpeg")
    result.assert_outcomes(passed=3, failed=1)
    result.stdout.fnmatch_lines(
        [
            "*toy at jpeg q=5: miou value 0.* < 0.99 (thresholds.yaml:6)",
            "*gate*required*measured*interval*verdict*line",
            "*miou.min*value >= 0.99*failed*thresholds.yaml:6",
            "*miou.max_drop*retention >= 0.99*failed*thresholds.yaml:6",
            "*bits per pixel*",
            "FAILED model_specs/toy.yaml::toy::jpeg-q5*",
        ]
    )
    result.stdout.no_fnmatch_line("*Traceback*")
    result.stdout.no_fnmatch_line("*collection.py*")
    gates = next(row for row in results(suite)["cases"] if row["level"] == 5)["gates"]
    assert [(gate["bound"], gate["verdict"], gate["line"]) for gate in gates] == [
        ("min", "failed", 6),
        ("max_drop", "failed", 6),
    ]


def measured(suite: pytest.Pytester) -> float:
    suite.runpytest_inprocess("--lossy-codec=jpeg")
    row = next(row for row in results(suite)["cases"] if row["level"] == 5)
    return float(row["metrics"]["miou"]["value"])


@pytest.mark.parametrize(
    ("setting", "above", "outcome"),
    [
        ("point", False, "passed"),
        ("point", True, "failed"),
        ("pass", True, "passed"),
        ("fail", False, "failed"),
    ],
)
def test_inconclusive_is_decided_by_the_setting_only(
    suite: pytest.Pytester, setting: str, above: bool, outcome: str
) -> None:
    limit = measured(suite) + (1e-6 if above else -1e-6)
    path = toy.write_thresholds(suite.path, f"toy: {{jpeg: {{5: {{miou: {{min: {limit:.9f}}}}}}}}}")
    path.write_text(f"defaults: {{inconclusive: {setting}}}\n" + path.read_text(encoding="utf-8"), encoding="utf-8")
    result = suite.runpytest_inprocess("--lossy-codec=jpeg")
    assert verdicts(suite)["jpeg-q5"] == "inconclusive"
    assert result.parseoutcomes().get(outcome, 0) == (4 if outcome == "passed" else 1)


def test_inconclusive_fails_under_strict(suite: pytest.Pytester) -> None:
    limit = measured(suite) - 1e-6
    toy.write_thresholds(
        suite.path,
        f'toy: {{clean: {{miou: {{min: 0.1}}}}, jpeg: {{"*": {{miou: {{min: 0.01}}}}, 5: {{miou: {{min: {limit:.9f}}}}}}}}}',
    )
    result = suite.runpytest_inprocess("--lossy-codec=jpeg", "--lossy-strict")
    result.assert_outcomes(passed=3, failed=1)
    result.stdout.fnmatch_lines(["*is not shown to be >=*"])


def test_slices_are_gated_by_class(suite: pytest.Pytester) -> None:
    toy.write_thresholds(suite.path, 'toy: {jpeg: {5: {"miou[green]": {min: 0.999}}}}')
    result = suite.runpytest_inprocess("--lossy-codec=jpeg")
    result.assert_outcomes(passed=3, failed=1)
    result.stdout.fnmatch_lines(["*miou[[]green[]].min*"])


def test_an_unknown_class_is_an_error_of_the_case(suite: pytest.Pytester) -> None:
    toy.write_thresholds(suite.path, 'toy: {jpeg: {5: {"miou[cat]": {min: 0.5}}}}')
    result = suite.runpytest_inprocess("--lossy-codec=jpeg")
    result.assert_outcomes(passed=3, failed=1)
    result.stdout.fnmatch_lines(["*thresholds.yaml:3: gates 'miou[[]cat[]]', which this data does not have*"])
    assert verdicts(suite)["jpeg-q5"] == "error"


def test_without_thresholds_every_case_is_ungated(suite: pytest.Pytester) -> None:
    (suite.path / "thresholds.yaml").unlink()
    result = suite.runpytest_inprocess("--lossy-codec=jpeg")
    result.assert_outcomes(passed=4)
    assert set(verdicts(suite).values()) == {"ungated"}
    result.stdout.fnmatch_lines(["*there is no thresholds.yaml*"])


def test_most_specific_rule_wins(suite: pytest.Pytester) -> None:
    toy.write_thresholds(
        suite.path,
        """
        "*":
          "*": {"*": {primary: {min: 0.999}}}
        toy:
          jpeg:
            "<=50": {miou: {min: 0.01}}
        """,
    )
    suite.runpytest_inprocess("--lossy-codec=jpeg").assert_outcomes(passed=3, failed=1)
    assert verdicts(suite)["jpeg-q90"] == "failed"
