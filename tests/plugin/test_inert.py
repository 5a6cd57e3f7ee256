"""Without a lossy flag the plugin does nothing that a user could notice."""

from __future__ import annotations

import sys

import pytest

PROBE = """
import sys, pytest
code = pytest.main(["-q", "-p", "no:randomly", *sys.argv[1:]])
heavy = [name for name in ("torch", "numpy", "PIL", "scipy", "pydantic", "ruamel", "av") if name in sys.modules]
print("HEAVY", heavy)
print("OURS", sorted(name for name in sys.modules if name.startswith("pytest_lossy")))
sys.exit(code)
"""


def test_specs_are_not_collected_without_the_flag(suite: pytest.Pytester) -> None:
    suite.makepyfile("def test_one(): pass")
    result = suite.runpytest_inprocess("--strict-markers")
    result.assert_outcomes(passed=1)
    result.stdout.no_fnmatch_line("*lossy:*")
    assert not (suite.path / "lossy-report").exists()


def test_nothing_heavy_is_imported(suite: pytest.Pytester) -> None:
    suite.makepyfile("def test_one(): pass")
    probe = suite.makepyfile(probe=PROBE)
    result = suite.run(sys.executable, str(probe), "test_nothing_heavy_is_imported.py")
    result.stdout.fnmatch_lines(
        ["HEAVY []", "OURS ['pytest_lossy', 'pytest_lossy.hookspecs', 'pytest_lossy.options', 'pytest_lossy.plugin']"]
    )


def test_ini_values_do_not_activate(suite: pytest.Pytester) -> None:
    suite.makeini("[pytest]\nlossy_strict = true\nlossy_specs = nowhere\nlossy_device = nonsense\n")
    suite.makepyfile("def test_one(): pass")
    suite.runpytest_inprocess().assert_outcomes(passed=1)


def test_markers_are_registered(suite: pytest.Pytester) -> None:
    suite.makepyfile("import pytest\n@pytest.mark.lossy(codec='jpeg')\ndef test_one(): pass")
    suite.runpytest_inprocess("--strict-markers").assert_outcomes(passed=1)
    suite.runpytest_inprocess("--markers").stdout.fnmatch_lines(["@pytest.mark.lossy(*"])


def test_a_broken_spec_does_not_hurt_other_runs(suite: pytest.Pytester) -> None:
    (suite.path / "model_specs" / "bad.yaml").write_text("task: [", encoding="utf-8")
    suite.makepyfile("def test_one(): pass")
    suite.runpytest_inprocess().assert_outcomes(passed=1)


def test_help_shows_the_flags_even_with_the_flag(suite: pytest.Pytester) -> None:
    result = suite.runpytest_inprocess("--lossy-codec=nonsense", "--help")
    assert result.ret == 0
    result.stdout.fnmatch_lines(["*--lossy-codec=NAME*", "*--lossy-strict*"])
