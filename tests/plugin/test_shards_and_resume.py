"""Runs in parts: shards that merge, and interrupted runs that resume, come to the same results as one undisturbed run."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pytest_lossy.cli import main
from tests.plugin import toy
from tests.plugin.conftest import results

COMMON = ("--lossy-codec=all", "-p", "no:randomly", "-p", "no:cacheprovider", "--lossy-gallery=0")
TIMEOUT = 180


@pytest.fixture
def several(suite: pytest.Pytester) -> pytest.Pytester:
    """Three models: one with two codecs, one with a mix, one small."""
    (suite.path / "model_specs" / "toy.yaml").unlink()
    toy.write_spec(suite.path, "a", codecs="jpeg: [90, 50, 5]\nwebp: [80, 10]")
    toy.write_spec(suite.path, "b", codecs="jpeg: [90, 5]\nwebp: [80]")
    toy.write_spec(suite.path, "c", codecs="jpeg: [50]")
    (suite.path / "thresholds.yaml").write_text(
        "version: 1\nmix: {fleet: {clean: 0.5, jpeg: {90: 0.25}, webp: {80: 0.25}}}\nmodels:\n"
        "  a: {clean: {miou: {min: 0.5}}, jpeg: {5: {miou: {min: 0.999}}}}\n"
        "  b: {mix: {fleet: {miou: {max_drop: 50%}}}}\n"
    )
    return suite


def measured(folder: Path) -> dict[str, Any]:
    """The results without what may differ between equal runs."""
    document = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    for name in ("run", "environment"):
        document.pop(name)
    for row in document["cases"]:
        del row["seconds"], row["worker"]
    return document


def files(folder: Path) -> dict[str, bytes]:
    return {
        f"{kind}/{path.name}": path.read_bytes()
        for kind in ("evidence", "replicates")
        for path in sorted((folder / kind).iterdir())
    }


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the first test that needs the shards leaves them for the others."""
    return tmp_path_factory.mktemp("kept")


@pytest.fixture
def shards(several: pytest.Pytester, kept: Path) -> list[Path]:
    """The report folders of three shards: run once, and a copy for each test."""
    names = [f"part{number}" for number in (1, 2, 3)]
    for number, name in enumerate(names, 1):
        if not (kept / name).exists():
            several.runpytest_inprocess(*COMMON, f"--lossy-shard={number}/3", f"--lossy-report={name}")
            shutil.copytree(several.path / name, kept / name)
        elif not (several.path / name).exists():
            shutil.copytree(kept / name, several.path / name)
    return [several.path / name for name in names]


def test_merged_shards_equal_one_run(
    several: pytest.Pytester, shards: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    several.runpytest_inprocess(*COMMON).assert_outcomes(passed=12, failed=1)
    counts = [
        len([row for row in results(several, folder.name)["cases"] if row["role"] == "case"]) for folder in shards
    ]
    assert min(counts) >= 2
    assert sum(counts) >= 13
    for order in (shards, shards[::-1]):
        status = main(["merge", *map(str, order), "--output", str(several.path / "merged")])
        assert status == 1, "a gate was missed in one of them"
        assert measured(several.path / "merged") == measured(several.path / "lossy-report")
        assert files(several.path / "merged") == files(several.path / "lossy-report")
    run = results(several, "merged")["run"]
    assert run["status"] == "complete"
    assert run["counts"] == results(several)["run"]["counts"]
    assert len(run["merged"]) == 3
    assert "merged/index.html: 1 failed" in capsys.readouterr().out
    assert (several.path / "merged" / "summary.md").exists()


def test_a_curve_is_never_cut(shards: list[Path]) -> None:
    seen: dict[tuple[str, str], set[Path]] = {}
    for folder in shards:
        for row in json.loads((folder / "results.json").read_text())["cases"]:
            if row["level"] is not None:
                seen.setdefault((row["model"], row["codec"]), set()).add(folder)
    assert len(seen) == 5
    assert {len(folders) for folders in seen.values()} == {1}
    assert seen["b", "jpeg"] == seen["b", "webp"], "its mix needs both"


def refused(arguments: list[Any], capsys: pytest.CaptureFixture[str]) -> str:
    assert main(["merge", *map(str, arguments)]) == 1
    return capsys.readouterr().err


def test_gaps_and_differences_are_refused_all_at_once(
    several: pytest.Pytester, shards: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    output = several.path / "out"
    text = refused([*shards[:2], "--output", output], capsys)
    assert "shard 3/3 is missing; add its folder, resume it, or merge with --partial" in text
    assert not (output / "results.json").exists()
    assert main(["merge", *map(str, shards[:2]), "--output", str(output), "--partial"]) == 1
    document = results(several, "out")
    assert document["run"]["status"] == "interrupted"
    assert any("did not run anywhere" in warning for warning in document["run"]["warnings"])

    broken = several.path / "broken"
    shutil.copytree(shards[0], broken)
    path = broken / "results.json"
    document = json.loads(path.read_text())
    document["run"]["replicates"] = 77
    codec = document["codecs"][0]
    codec["fingerprint"] = re.sub(r"=\w+", "=changed", codec["fingerprint"], count=1)
    document["models"][0]["data"]["fingerprint"] = "other"
    path.write_text(json.dumps(document))
    text = refused([*shards, broken, "--output", output], capsys)
    for words in ("--lossy-replicates is 77", "is not the codec of", "has other data than in"):
        assert words in text


def test_duplicates_must_agree(
    several: pytest.Pytester, shards: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    output = several.path / "out"
    assert main(["merge", *map(str, [*shards, shards[0]]), "--output", str(output)]) == 1
    assert results(several, "out")["run"]["status"] == "complete", "the same twice is no conflict"
    twin = several.path / "twin"
    shutil.copytree(shards[0], twin)
    document = json.loads((twin / "results.json").read_text())
    row = next(row for row in document["cases"] if row["codec"] == "clean")
    row["metrics"]["miou"]["value"] += 1e-9
    (twin / "results.json").write_text(json.dumps(document))
    capsys.readouterr()
    text = refused([*shards, twin, "--output", output], capsys)
    assert f"{row['id']}: {shards[0]} and {twin} measured different things" in text


def test_runs_of_different_codecs_merge(several: pytest.Pytester) -> None:
    for codec in ("jpeg", "webp"):
        arguments = [argument for argument in COMMON if "codec" not in argument]
        several.runpytest_inprocess(f"--lossy-codec={codec}", *arguments, f"--lossy-report={codec}")
    main(["merge", str(several.path / "jpeg"), str(several.path / "webp"), "--output", str(several.path / "both")])
    curves = {(curve["model"], curve["codec"]) for curve in results(several, "both")["curves"]}
    assert curves == {(model, codec) for model in "abc" for codec in ("jpeg", "webp")} or len(curves) >= 5
    assert any(entry["kind"] == "codecs" for entry in results(several, "both")["rate_differences"])


@pytest.mark.parametrize("text", ["3/2", "0/2", "1", "a/b", "-1/2"])
def test_a_wrong_share_is_an_error(suite: pytest.Pytester, text: str) -> None:
    result = suite.runpytest_inprocess("--lossy-codec=jpeg", f"--lossy-shard={text}")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"*--lossy-shard: '{text}' is no share; write 1/4*"])


def start(suite: pytest.Pytester, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "pytest", *COMMON, *arguments],
        cwd=suite.path,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        env={**os.environ, "PYTHONPATH": str(suite.path)},
    )


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + TIMEOUT
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.05)


@pytest.mark.parametrize(
    ("how", "workers"),
    [(signal.SIGKILL, []), (signal.SIGKILL, ["-n2"]), (signal.SIGINT, [])],
    ids=["power-cut", "power-cut-two-workers", "ctrl-c"],
)
def test_a_resumed_run_equals_an_undisturbed_one(
    suite: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, how: signal.Signals, workers: list[str]
) -> None:
    (suite.path / "mycodec.py").write_text(toy.SLOW, encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(suite.path))
    monkeypatch.syspath_prepend(str(suite.path))
    toy.write_spec(suite.path, codecs="jpeg: [90, 50]\nbad: {codec: 'mycodec:SlowCodec', levels: [95, 80]}")
    process = start(suite, *workers)
    rows = suite.path / "lossy-report" / ".run" / "rows"
    wait_for(lambda: rows.is_dir() and len(list(rows.glob("*.json"))) >= 3)
    os.killpg(process.pid, how)
    process.communicate(timeout=TIMEOUT)
    again = (*COMMON, "--lossy-resume", *workers)
    result = suite.runpytest_subprocess(*again, timeout=TIMEOUT) if workers else suite.runpytest_inprocess(*again)
    result.assert_outcomes(passed=5)
    resumed = results(suite)["run"]["resumed"]
    assert 3 <= resumed < 5
    result.stdout.fnmatch_lines([f"*resuming, with the evidence of {resumed} cases of the run before*"])
    suite.runpytest_inprocess(*COMMON, "--lossy-report=whole").assert_outcomes(passed=5)
    assert measured(suite.path / "lossy-report") == measured(suite.path / "whole")
    assert files(suite.path / "lossy-report") == files(suite.path / "whole")
    assert not (suite.path / "lossy-report" / ".earlier").exists()


def test_what_has_other_inputs_is_measured_again(suite: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    suite.runpytest_inprocess(*COMMON, "--lossy-report=report")
    before = files(suite.path / "report")
    net = suite.path / "model_specs" / "net.py"
    net.write_text(net.read_text(encoding="utf-8").replace("return self.conv(x)", "return self.conv(x.flip(1))"))
    suite.runpytest_inprocess(*COMMON, "--lossy-report=report", "--lossy-resume")
    suite.runpytest_inprocess(*COMMON, "--lossy-report=fresh")
    assert files(suite.path / "report") == files(suite.path / "fresh") != before
    damaged = suite.path / "report" / "evidence" / "toy@jpeg-q5.npz"
    damaged.write_bytes(damaged.read_bytes()[:100])
    (suite.path / "report" / "evidence" / "gone@clean.npz").write_bytes(b"of a model that is gone")
    suite.runpytest_inprocess(*COMMON, "--lossy-report=report", "--lossy-resume").assert_outcomes(passed=3, failed=1)
    assert files(suite.path / "report") == files(suite.path / "fresh")
