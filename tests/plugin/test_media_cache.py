"""The cache of encoded media through the public command line: it saves time and never changes a number."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from pytest_lossy.cli import main
from tests.plugin import toy
from tests.plugin.conftest import Run, results
from tests.plugin.test_results import comparable

FIXED = ("-p", "no:randomly")
SAMPLES = 12
LEVELS = (80, 10)


@pytest.fixture
def webp(suite: pytest.Pytester) -> pytest.Pytester:
    """The toy under WebP: JPEG is as quick to encode as to read, and is not cached."""
    toy.write_spec(suite.path, codecs="webp: [80, 10]")
    (suite.path / "thresholds.yaml").unlink()
    return suite


def statistics(pytester: pytest.Pytester) -> dict[str, Any]:
    found: dict[str, Any] = results(pytester)["run"]["cache"]
    return found


def entries(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file() and len(path.name) > 30)


def test_the_second_run_encodes_nothing_and_has_the_same_numbers(run: Run, webp: pytest.Pytester) -> None:
    count = SAMPLES * len(LEVELS)
    run("--lossy-codec=webp", "--lossy-cache=media").assert_outcomes(passed=3)
    first, stored = comparable(results(webp))["cases"], statistics(webp)
    assert (stored["hits"], stored["misses"], stored["stored"], stored["damaged"]) == (0, count, count, 0)
    assert stored["disabled"] is None
    assert len(entries(webp.path / "media")) == count
    assert sum(path.stat().st_size for path in entries(webp.path / "media")) == stored["bytes_written"]
    run("--lossy-codec=webp", "--lossy-cache=media").assert_outcomes(passed=3)
    read = statistics(webp)
    assert (read["hits"], read["misses"], read["stored"]) == (count, 0, 0)
    assert read["bytes_read"] == stored["bytes_written"]
    run("--lossy-codec=webp", "--lossy-no-cache").assert_outcomes(passed=3)
    assert statistics(webp) == {}
    assert comparable(results(webp))["cases"] == first


def test_the_default_folder_the_ini_twin_and_a_codec_that_is_not_cached(suite: pytest.Pytester) -> None:
    toy.write_spec(suite.path, codecs="webp: [10]\njpeg: [10]")
    suite.makeini("[pytest]\nlossy_replicates = 100\nlossy_cache = elsewhere\n")
    suite.runpytest_inprocess("--lossy-codec=all", *FIXED).assert_outcomes(passed=3)
    assert len(entries(suite.path / "elsewhere")) == statistics(suite)["stored"] == SAMPLES
    suite.makeini("[pytest]\nlossy_replicates = 100\n")
    suite.runpytest_inprocess("--lossy-codec=webp", *FIXED).assert_outcomes(passed=2)
    assert len(entries(suite.path / "cache" / "media")) == SAMPLES  # PYTEST_LOSSY_CACHE names the root of all caches
    suite.makeini("[pytest]\nlossy_replicates = 100\nlossy_no_cache = true\n")
    suite.runpytest_inprocess("--lossy-codec=webp", *FIXED).assert_outcomes(passed=2)
    assert statistics(suite) == {}


def test_another_level_or_option_is_another_entry(webp: pytest.Pytester) -> None:
    flags = ("--lossy-codec=webp", "--lossy-cache=media", *FIXED)
    webp.runpytest_inprocess(*flags, "--lossy-level=webp:80").assert_outcomes(passed=2)
    webp.runpytest_inprocess(*flags, "--lossy-level=webp:80,10").assert_outcomes(passed=3)
    found = statistics(webp)
    assert (found["hits"], found["misses"]) == (SAMPLES, SAMPLES)
    toy.write_spec(webp.path, codecs="webp: {levels: [80], method: 0}")
    webp.runpytest_inprocess(*flags).assert_outcomes(passed=2)
    assert (statistics(webp)["hits"], statistics(webp)["stored"]) == (0, SAMPLES)


def test_a_still_and_a_clip_of_one_frame_do_not_mix(suite: pytest.Pytester) -> None:
    toy.write_spec(suite.path, codecs="h264: [40]")
    flags = ("--lossy-codec=all", "--lossy-cache=media", *FIXED)
    for hits in (0, SAMPLES):
        suite.runpytest_inprocess(*flags).assert_outcomes(passed=2)
        row = results(suite)["cases"][1]
        assert (row["codec"], statistics(suite)["hits"]) == ("h264-intra", hits)


def test_damaged_entries_are_counted_and_made_again(webp: pytest.Pytester) -> None:
    flags = ("--lossy-codec=webp", "--lossy-cache=media", *FIXED)
    webp.runpytest_inprocess(*flags).assert_outcomes(passed=3)
    wanted = comparable(results(webp))["cases"]
    truncated, altered, *_ = entries(webp.path / "media")
    truncated.write_bytes(truncated.read_bytes()[:-20])
    content = bytearray(altered.read_bytes())
    content[-5] ^= 1
    altered.write_bytes(content)
    webp.runpytest_inprocess(*flags).assert_outcomes(passed=3)
    found = statistics(webp)
    assert (found["damaged"], found["misses"], found["stored"], found["hits"]) == (2, 2, 2, 22)
    assert comparable(results(webp))["cases"] == wanted


def test_a_cache_that_cannot_be_used_costs_time_only(run: Run, webp: pytest.Pytester) -> None:
    """A file lies where the folder belongs: one warning per process, and the numbers of a run without a cache."""
    run("--lossy-codec=webp", "--lossy-no-cache").assert_outcomes(passed=3)
    wanted = comparable(results(webp))["cases"]
    (webp.path / "blocked").write_text("not a folder", encoding="utf-8")
    result = run("--lossy-codec=webp", "--lossy-cache=blocked")
    result.assert_outcomes(passed=3, warnings=result.parseoutcomes().get("warnings", 0))
    assert comparable(results(webp))["cases"] == wanted
    assert statistics(webp)["disabled"]
    assert statistics(webp)["stored"] == 0
    shown = [line for line in result.outlines if "encoded media are not cached" in line]
    assert 1 <= len(shown) <= 2  # one per process
    assert (webp.path / "blocked").read_text(encoding="utf-8") == "not a folder"


def test_a_folder_of_other_things_is_refused_and_left_alone(webp: pytest.Pytester) -> None:
    folder = webp.path / "holiday"
    folder.mkdir()
    (folder / "photo.png").write_bytes(b"precious")
    result = webp.runpytest_inprocess("--lossy-codec=webp", "--lossy-cache=holiday", *FIXED)
    result.assert_outcomes(passed=3, warnings=1)
    result.stdout.fnmatch_lines(["*encoded media are not cached: *holiday*name an empty folder*"])
    assert [path.name for path in folder.iterdir()] == ["photo.png"]


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="the superuser may write anywhere")
def test_a_read_only_cache_is_read(webp: pytest.Pytester) -> None:
    flags = ("--lossy-codec=webp", "--lossy-cache=media", *FIXED)
    webp.runpytest_inprocess(*flags, "--lossy-level=webp:80").assert_outcomes(passed=2)
    folders = [webp.path / "media", *(path for path in (webp.path / "media").rglob("*") if path.is_dir())]
    for folder in folders:
        folder.chmod(0o555)
    try:
        webp.runpytest_inprocess(*flags).assert_outcomes(passed=3, warnings=1)
        found = statistics(webp)
        assert (found["hits"], found["misses"], found["stored"]) == (SAMPLES, SAMPLES, 0)
        assert found["disabled"]
    finally:
        for folder in folders:
            folder.chmod(0o755)


def test_warnings_as_errors_do_not_fail_a_run_whose_cache_is_unusable(webp: pytest.Pytester) -> None:
    """``filterwarnings = error`` is common, and a cache must never change a result."""
    (webp.path / "blocked").write_text("not a folder", encoding="utf-8")
    webp.makeini("[pytest]\nlossy_replicates = 100\nfilterwarnings = error\n")
    webp.runpytest_inprocess("--lossy-codec=webp", "--lossy-cache=blocked", *FIXED).assert_outcomes(passed=3)


@pytest.mark.parametrize(("size", "stored"), [("0", 0), ("1K", 0), ("1MiB", SAMPLES)])
def test_the_size_is_kept(webp: pytest.Pytester, size: str, stored: int) -> None:
    webp.runpytest_inprocess(
        "--lossy-codec=webp", "--lossy-level=webp:80", "--lossy-cache=media", f"--lossy-cache-size={size}", *FIXED
    ).assert_outcomes(passed=2)
    kept = entries(webp.path / "media") if (webp.path / "media").exists() else []
    assert sum(path.stat().st_size for path in kept) <= {"0": 0, "1K": 1024, "1MiB": 1024**2}[size]
    if stored:
        assert len(kept) == stored


def test_wrong_sizes_are_refused(webp: pytest.Pytester) -> None:
    result = webp.runpytest_inprocess("--lossy-codec=webp", "--lossy-cache-size=lots")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*--lossy-cache-size: 'lots' is not a size; write for example 500MiB, 4GiB or 0*"])


def test_the_commands(webp: pytest.Pytester, capsys: pytest.CaptureFixture[str]) -> None:
    toy.write_spec(webp.path, codecs="webp: [10]\nh264-intra: [40]")
    webp.runpytest_inprocess("--lossy-codec=all", "--lossy-cache=media", *FIXED).assert_outcomes(passed=3)
    folder = webp.path / "media"
    capsys.readouterr()

    def said(*arguments: str, status: int = 0) -> str:
        assert main(["cache", *arguments, "--folder", str(folder)]) == status
        return capsys.readouterr().out

    info = said("info")
    assert "entries  24" in info
    assert [line.split()[:2] for line in info.splitlines()[-2:]] == [["h264-intra", "12"], ["webp", "12"]]
    assert "read 24 entries" in said("verify")
    assert "none damaged" in said("verify")
    victim = entries(folder)[0]
    victim.write_bytes(victim.read_bytes()[:-1])
    told = said("verify", status=1)
    assert str(victim) in told
    assert "1 damaged, 1 of them removed" in told
    assert "removed 0 entries" in said("clear", "--older-than", "1")
    before = len(entries(folder))
    removed = said("clear", "--codec", "webp")
    left = entries(folder)
    assert f"removed {before - len(left)} entries" in removed
    assert len(left) in (11, 12)
    assert f"removed {len(left)} entries" in said("clear")
    assert entries(folder) == []
    assert "entries  0" in said("info")


def test_the_commands_refuse_a_folder_of_other_things(
    webp: pytest.Pytester, capsys: pytest.CaptureFixture[str]
) -> None:
    for action in ("info", "clear", "verify"):
        assert main(["cache", action, "--folder", str(webp.path / "images")]) == 1
        assert "pytest-lossy: " in capsys.readouterr().err
    assert len(list((webp.path / "images").iterdir())) == SAMPLES


def test_the_commands_look_where_runs_write(webp: pytest.Pytester, capsys: pytest.CaptureFixture[str]) -> None:
    webp.runpytest_inprocess("--lossy-codec=webp", *FIXED).assert_outcomes(passed=3)
    capsys.readouterr()
    assert main(["cache", "info"]) == 0
    assert f"entries  {SAMPLES * len(LEVELS)}" in capsys.readouterr().out
