"""--lossy-update, --lossy-update-new-only, --lossy-margin and ``pytest-lossy thresholds check``."""

from __future__ import annotations

import json
import os
import re

import pytest

from pytest_lossy.cli import main
from tests.plugin import toy
from tests.plugin.conftest import Run, results, verdicts
from tests.plugin.test_python_first import HEAD, SPEC

WRITTEN = """# what the toy must reach
version: 1
models:
  "*":
    "*": {"*": {primary: {max_drop: 1%}}}   # a policy, missed
  toy:
    clean: {miou: {min: 0.9999}}   # missed
    jpeg:
      ">=50": {miou: {max_drop: 0.1%}}  # missed
"""


def gates(suite: pytest.Pytester) -> str:
    return (suite.path / "thresholds.yaml").read_text(encoding="utf-8")


def values(suite: pytest.Pytester, case: str) -> dict[str, float]:
    found: dict[str, float] = next(
        row["metrics"]["miou"] for row in results(suite)["cases"] if row["id"].endswith(f"::{case}")
    )
    return found


def test_old_gates_are_replaced_and_fail_nothing(run: Run, suite: pytest.Pytester) -> None:
    (suite.path / "thresholds.yaml").write_text(WRITTEN, encoding="utf-8")
    result = run("--lossy-codec=jpeg", "--lossy-update")
    assert result.ret == 0
    result.assert_outcomes(passed=4)
    result.stdout.fnmatch_lines(
        [
            "lossy: each case that runs gets a gate in thresholds.yaml; old ones fail nothing",
            "--- thresholds.yaml",
            "+++ thresholds.yaml",
            "-    clean: {miou: {min: 0.9999}}   # missed",
            "+    clean: {miou: {min: 0.9*}}   # missed",
            '-      ">=50": {miou: {max_drop: 0.1%}}  # missed',
            '+      ">=50": {miou: {max_drop: *%}}  # missed',
            "+      5: {miou: {max_drop: *%}}",
            "thresholds.yaml: 2 gates changed, 1 added, 0 kept (margin 2%)",
        ]
    )
    text = gates(suite)
    assert '    "*": {"*": {primary: {max_drop: 1%}}}   # a policy, missed\n' in text
    clean = values(suite, "clean")
    limit = float(text.partition("clean: {miou: {min: ")[2].partition("}")[0])
    assert clean["low"] * 0.98 - 0.001 < limit <= clean["low"] * 0.98
    assert set(verdicts(suite).values()) == {"passed"}, "judged by the new gates"
    document = results(suite)
    assert any("wrote its own gates" in warning for warning in document["run"]["warnings"])
    lines = text.splitlines()
    for row in document["cases"]:
        assert all(gate["bound"] in lines[gate["line"] - 1] for gate in row["gates"])


def test_the_run_that_set_the_gates_passes_them_and_sets_them_again(suite: pytest.Pytester) -> None:
    (suite.path / "thresholds.yaml").write_text(WRITTEN, encoding="utf-8")
    suite.runpytest_inprocess("--lossy-codec=jpeg", "--lossy-update", "--lossy-margin=0").assert_outcomes(passed=4)
    text = gates(suite)
    assert text != WRITTEN
    again = suite.runpytest_inprocess("--lossy-codec=jpeg", "--lossy-update", "--lossy-margin=0")
    assert gates(suite) == text
    again.stdout.fnmatch_lines(["thresholds.yaml: 0 gates changed, 0 added, 3 kept (margin 0%)"])
    suite.runpytest_inprocess("--lossy-codec=jpeg", "--lossy-strict").assert_outcomes(passed=4)


def test_a_missing_file_is_written(suite: pytest.Pytester) -> None:
    (suite.path / "thresholds.yaml").unlink()
    result = suite.runpytest_inprocess(
        "--lossy-codec=jpeg", "--lossy-update", "--lossy-thresholds=new/gates.yaml", "-k", "clean or q5"
    )
    result.assert_outcomes(passed=3, deselected=1)
    result.stdout.fnmatch_lines(["--- /dev/null", "+++ new/gates.yaml", "*3 added*"])
    assert (
        main(
            ["thresholds", "check", str(suite.path / "new" / "gates.yaml"), "--specs", str(suite.path / "model_specs")]
        )
        == 0
    )


def test_new_only_touches_no_case_with_a_gate(suite: pytest.Pytester) -> None:
    toy.write_thresholds(suite.path, "toy:\n  clean: {miou: {min: 0.9999}}   # missed")
    before = gates(suite)
    result = suite.runpytest_inprocess("--lossy-codec=jpeg", "--lossy-update-new-only", "--lossy-margin=10%")
    assert result.ret == 0
    assert gates(suite).startswith(before)
    assert gates(suite).count("max_drop") == 3
    result.stdout.fnmatch_lines(
        [
            "kept, and not met: thresholds.yaml:4: toy::clean: miou.min",
            "thresholds.yaml: 0 gates changed, 3 added, 1 kept (margin 10%)",
        ]
    )
    kept = values(suite, "jpeg-q5")["retention_low"] * 0.9
    limit = float(gates(suite).partition("  5: {miou: {max_drop: ")[2].partition("%")[0]) / 100
    assert 1 - kept <= limit < 1 - kept + 0.0011


def test_only_cases_that_ran_change(suite: pytest.Pytester) -> None:
    (suite.path / "thresholds.yaml").write_text(WRITTEN, encoding="utf-8")
    suite.runpytest_inprocess("--lossy-codec=jpeg", "--lossy-update", "-k", "q50").assert_outcomes(
        passed=1, deselected=3
    )
    text = gates(suite)
    added = [line for line in text.splitlines() if line not in WRITTEN.splitlines()]
    assert len(added) == 1
    assert added[0].startswith("      50: {miou: {max_drop: ")


def test_agreement_has_gates_of_its_own(suite: pytest.Pytester) -> None:
    before = gates(suite)
    result = suite.runpytest_inprocess("--lossy-codec=jpeg", "--lossy-update", "--lossy-reference=clean")
    result.assert_outcomes(passed=4)
    text = gates(suite)
    assert text.count("reference: clean") == 4
    assert text.replace("[{min: 0.5}, {reference: clean, min: 0.98}]", "{min: 0.5}").startswith(before.rstrip("}\n"))
    strict = suite.runpytest_inprocess("--lossy-codec=jpeg", "--lossy-strict", "--lossy-reference=clean")
    strict.assert_outcomes(passed=4)


def test_broken_models_are_named_and_fail(suite: pytest.Pytester) -> None:
    toy.write_spec(suite.path, "broken", model="torch: ./net.py:build_raises")
    toy.write_thresholds(suite.path, "broken: {clean: {miou: {min: 0.3}}}")
    result = suite.runpytest_inprocess("--lossy-codec=jpeg", "--lossy-update")
    result.assert_outcomes(passed=4, errors=4)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(
        ["not written: broken::clean: error: *no such checkpoint in the bucket*", "*4 added, 0 kept, 4 not written*"]
    )
    assert "broken: {clean: {miou: {min: 0.3}}}" in gates(suite)
    assert gates(suite).count("broken") == 1


def test_knees_are_gated(suite: pytest.Pytester) -> None:
    toy.write_spec(suite.path, codecs="jpeg: [100, 90, 50, 5]")
    toy.write_thresholds(suite.path, "toy:\n  jpeg:\n    knee: {no_milder_than: 10}")
    suite.runpytest_inprocess("--lossy-codec=jpeg", "--lossy-update", "-k", "knee").assert_outcomes(
        passed=1, deselected=5
    )
    assert verdicts(suite)["jpeg-knee"] == "passed"
    limit = int(gates(suite).partition("no_milder_than: ")[2].partition("}")[0])
    knee = next(row["knee"] for row in results(suite)["cases"] if row["knee"])
    assert knee["position"]["level"]["high"] + 1.98 <= limit < knee["position"]["level"]["high"] + 2.98
    suite.runpytest_inprocess("--lossy-codec=jpeg", "-k", "knee", "--lossy-strict").assert_outcomes(
        passed=1, deselected=5
    )


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (
            ["--lossy-update", "--lossy-samples=5"],
            "--lossy-update: a smoke run (--lossy-samples) measures too little for gates",
        ),
        (
            ["--lossy-update", "--lossy-update-new-only"],
            "--lossy-update and --lossy-update-new-only: write one of them",
        ),
        (["--lossy-margin=5%"], "--lossy-margin: no gates are written; add --lossy-update"),
        (["--lossy-update", "--lossy-margin=100%"], "--lossy-margin: '100%' is no share of at least 0% and below 100%"),
        (["--lossy-update", "--lossy-margin=-1"], "--lossy-margin: '-1' is no share"),
    ],
)
def test_mistakes_are_usage_errors(suite: pytest.Pytester, arguments: list[str], words: str) -> None:
    result = suite.runpytest_inprocess("--lossy-codec=jpeg", *arguments)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"*{words}*"])


def test_a_file_that_changed_meanwhile_stays(suite: pytest.Pytester) -> None:
    suite.makeconftest(
        "from pathlib import Path\n"
        "def pytest_runtest_logfinish():\n"
        "    Path('thresholds.yaml').write_text('version: 1\\nmodels: {toy: {clean: {miou: {min: 0.1}}}}\\n')\n"
    )
    result = suite.runpytest_inprocess("--lossy-codec=jpeg", "--lossy-update")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["thresholds.yaml is unchanged: it changed while the tests ran; run them again"])
    assert gates(suite) == "version: 1\nmodels: {toy: {clean: {miou: {min: 0.1}}}}\n"
    assert set(verdicts(suite).values()) == {"passed"}


def test_a_file_that_cannot_be_written_is_told(suite: pytest.Pytester) -> None:
    (suite.path / "file").touch()
    result = suite.runpytest_inprocess(
        "--lossy-codec=jpeg", "--lossy-update", "--lossy-thresholds=file/t.yaml", "-k", "clean"
    )
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["file/t.yaml is unchanged: it cannot be written (*", "*1 passed*"])


def test_a_stopped_run_writes_no_gates(suite: pytest.Pytester) -> None:
    before = gates(suite)
    suite.makeconftest("import pytest\ndef pytest_runtest_logfinish():\n    pytest.exit('enough')\n")
    result = suite.runpytest_inprocess("--lossy-codec=jpeg", "--lossy-update")
    assert result.ret == pytest.ExitCode.INTERRUPTED
    result.stdout.fnmatch_lines(["thresholds.yaml is unchanged: the run was stopped; run it to its end"])
    assert gates(suite) == before


def test_specs_of_python_tests_get_gates_too(suite: pytest.Pytester) -> None:
    suite.makepyfile(net=toy.NETWORK.format(colors=json.dumps(toy.COLORS.tolist())), test_net=HEAD + SPEC)
    suite.syspathinsert()
    toy.write_thresholds(suite.path, "net:\n  clean: {miou: {min: 0.9999}}")  # missed
    result = suite.runpytest_inprocess("--lossy-codec=jpeg", "--lossy-update", "test_net.py")
    assert result.ret == 0
    result.stdout.fnmatch_lines(
        [
            "   net:",
            "-    clean: {miou: {min: 0.9999}}",
            "+    clean: {miou: {min: *}}",
            "+    jpeg:",
            "+      50: {miou: {max_drop: *%}}",
            "+      5: {miou: {max_drop: *%}}",
            "thresholds.yaml: 1 gate changed, 2 added, 0 kept (margin 2%)",
        ],
        consecutive=True,
    )
    strict = suite.runpytest_inprocess("--lossy-codec=jpeg", "--lossy-strict", "test_net.py")
    strict.assert_outcomes(passed=3)


def test_a_link_stays_a_link_and_a_file_keeps_its_mode_and_encoding(suite: pytest.Pytester) -> None:
    path = suite.path / "thresholds.yaml"
    target = suite.path / "shared.yaml"
    raw = b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n")
    target.write_bytes(raw)
    path.unlink()
    target.chmod(0o664)
    path.symlink_to(target)
    suite.runpytest_inprocess("--lossy-codec=jpeg", "--lossy-update", "-k", "clean").assert_outcomes(
        passed=1, deselected=3
    )
    assert path.is_symlink()
    assert target.stat().st_mode & 0o777 == 0o664
    changed = target.read_bytes()
    assert changed != raw
    assert re.sub(rb"clean: {miou: {min: [0-9.]+}}", b"clean: {miou: {min: 0.5}}", changed) == raw


def test_the_check_of_a_file(suite: pytest.Pytester, capsys: pytest.CaptureFixture[str]) -> None:
    suite.runpytest_inprocess("--lossy-codec=jpeg", "-k", "clean or q5")
    capsys.readouterr()
    os.chdir(suite.path)
    assert main(["thresholds", "check"]) == 0
    assert capsys.readouterr().out == "thresholds.yaml: 0 findings, 0 hints, in 2 gates\n"
    path = toy.write_thresholds(
        suite.path,
        """
        toy:
          clean: {miou: {min: 0.3}}
          jpeg: {12: {miou: {min: 0.2}}, 5: {miou: {min: 0.9999, max_drop: 1%}}}
        webby: {clean: {miou: {min: 0.1}}}
        """,
    )
    assert main(["thresholds", "check", "--results", "lossy-report/results.json"]) == 1
    found = capsys.readouterr().out
    assert "thresholds.yaml:5: matches no case: no spec of toy lists level 12 of jpeg" in found
    assert "thresholds.yaml:5: miou.min 0.9999 at jpeg-q5 asks toy for more than it reaches on clean samples" in found
    assert "thresholds.yaml:6: matches no case: no spec declares a model 'webby'" in found
    assert found.endswith("thresholds.yaml: 3 findings, 1 hint, in 5 gates\n")
    arguments = ["thresholds", "check", str(path), "--specs", "model_specs"]
    assert main([*arguments, "--level", "jpeg:12", "--ignore", "web*"]) == 0
    for wrong in (["--specs", "none"], ["--level", "jpeg:0"], ["--codec", "jpegg"], ["--results", "none.json"]):
        assert main([*arguments, *wrong]) == 2
        assert capsys.readouterr().err.startswith("pytest-lossy: ")
    path.write_text("version: 2\nmodels: []\n", encoding="utf-8")
    assert main(arguments) == 2
    assert len(capsys.readouterr().err.splitlines()) == 2, "all problems at once"
