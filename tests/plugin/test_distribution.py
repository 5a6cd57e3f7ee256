"""Runs over real xdist workers: loads, order, ordinary tests beside cases, -x, --lf, reruns, devices, -n auto."""

from __future__ import annotations

import json
import os
from collections import Counter

import pytest

from tests.plugin import toy
from tests.plugin.conftest import results, verdicts

COMMON = ("--lossy-codec=jpeg", "-p", "no:randomly", "-p", "no:cacheprovider")


@pytest.fixture
def several(suite: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """Four models of four cases each, whose loads are counted."""
    (suite.path / "model_specs" / "toy.yaml").unlink()
    for name in ("a", "b", "c", "d"):
        toy.write_spec(suite.path, name)
    toy.write_thresholds(suite.path, '"*": {clean: {miou: {min: 0.5}}}')
    log = suite.mkdir("log")
    monkeypatch.setenv("TOY_LOG", str(log))
    return suite


def loads(pytester: pytest.Pytester) -> int:
    return sum(int(path.read_text()) for path in (pytester.path / "log").glob("build-*"))


def test_a_model_is_loaded_once_per_worker_that_needs_it(several: pytest.Pytester) -> None:
    several.runpytest_subprocess(*COMMON, "-n4").assert_outcomes(passed=16)
    assert 4 <= loads(several) <= 10, "only the last models are split, for workers that would idle"
    assert len({row["worker"] for row in results(several)["cases"]}) == 4


def test_one_worker_loads_each_model_once_and_the_costliest_of_an_earlier_run_first(several: pytest.Pytester) -> None:
    several.runpytest_subprocess(*COMMON, "-n1").assert_outcomes(passed=16)
    assert loads(several) == 4
    document = results(several)
    assert {row["worker"] for row in document["cases"]} == {"gw0"}
    for row in document["cases"]:
        row["seconds"] = 50.0 if row["model"] == "c" else 0.1
    (several.path / "lossy-report" / "results.json").write_text(json.dumps(document))
    result = several.runpytest_subprocess(*COMMON, "-n1", "-v", "-k", "clean")
    models = [line.split("::")[1] for line in result.outlines if "::" in line and "PASSED" in line]
    assert models == ["c", "a", "b", "d"]


TESTS = """
import os, pytest

@pytest.mark.lossy
@pytest.mark.parametrize("number", range(6))
def test_other(number):
    with open(os.environ["WHO"] + f"-{number}", "w") as stream:
        stream.write(os.environ.get("PYTEST_XDIST_WORKER", "main"))
"""


@pytest.mark.parametrize("dist", ["load", "loadfile"])
def test_ordinary_tests_keep_the_users_dist(suite: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, dist: str) -> None:
    """Not loadgroup: with pytest 9.2, xdist 3.8 itself does not mark the groups in node ids."""
    monkeypatch.setenv("WHO", str(suite.path / "who"))
    suite.makepyfile(test_other=TESTS)
    arguments = ("-n2", f"--dist={dist}", "-k", "test_other or clean")
    suite.runpytest_subprocess(*COMMON, *arguments).assert_outcomes(passed=7)
    who = {path.read_text() for path in suite.path.glob("who-*")}
    assert len(who) == 1 or dist == "load"
    assert verdicts(suite)["clean"] == "passed"


def test_each_is_refused_before_anything_starts(suite: pytest.Pytester) -> None:
    result = suite.runpytest_inprocess(*COMMON, "-n2", "--dist=each")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*--dist=each runs every case on every worker; use -n alone*"])


def test_workers_elsewhere_are_refused(suite: pytest.Pytester) -> None:
    result = suite.runpytest_inprocess(*COMMON, "--dist=load", "--tx=ssh=nobody@nowhere")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*--tx ssh=nobody@nowhere: only workers on this machine*"])


def test_maxfail_stops_and_says_what_did_not_run(several: pytest.Pytester) -> None:
    toy.write_thresholds(several.path, '"*": {clean: {miou: {min: 0.999}}}')
    result = several.runpytest_subprocess(*COMMON, "-n2", "-x")
    assert result.ret == pytest.ExitCode.INTERRUPTED
    found = Counter(row["verdict"] for row in results(several)["cases"])
    assert found["failed"] >= 1
    assert found["not_run"] >= 10
    assert sum(found.values()) == 16


def test_last_failed_runs_them_alone(suite: pytest.Pytester) -> None:
    toy.write_thresholds(suite.path, "toy: {jpeg: {5: {miou: {min: 0.999}}}}")
    arguments = ("--lossy-codec=jpeg", "-p", "no:randomly")
    suite.runpytest_inprocess(*arguments).assert_outcomes(passed=3, failed=1)
    suite.runpytest_subprocess(*arguments, "-n2", "--lf").assert_outcomes(failed=1)
    assert [row["verdict"] for row in results(suite)["cases"] if row["role"] == "case"] == ["failed"]


ONCE = """
import os, signal
from pathlib import Path
from pytest_lossy.codecs.jpeg import JpegCodec

class OnceCodec(JpegCodec):
    name = "once"

    def encode(self, media, level, *, fps=None):
        flag = Path(os.environ["ONCE"])
        if level == 50 and not flag.exists():
            flag.write_text("")
            os.kill(os.getpid(), signal.SIGKILL)
        return super().encode(media, level, fps=fps)
"""


def test_a_crash_with_rerunfailures_ends(suite: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    (suite.path / "mycodec.py").write_text(ONCE, encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(suite.path))
    monkeypatch.setenv("ONCE", str(suite.path / "flag"))
    toy.write_spec(suite.path, codecs="bad: {codec: 'mycodec:OnceCodec', levels: [90, 50, 5]}")
    toy.write_thresholds(suite.path, "toy: {clean: {miou: {min: 0.5}}}")
    arguments = ("--lossy-codec=all", "-n2", "-p", "no:randomly", "-p", "no:cacheprovider", "--reruns", "2")
    result = suite.runpytest_subprocess(*arguments, timeout=180)
    assert result.ret == pytest.ExitCode.TESTS_FAILED, "a case that a process died of is not trusted"
    assert verdicts(suite) == {"clean": "passed", "bad-q90": "ungated", "bad-q50": "crashed", "bad-q5": "ungated"}


def test_each_worker_is_told_its_device(suite: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two pretended GPUs: the workers see one each, of the caller's list, before anything imports torch."""
    tool = suite.mkdir("bin") / "nvidia-smi"
    tool.write_text("#!/bin/sh\necho '0, GPU-aa, 90000'\necho '1, GPU-bb, 90000'\necho '2, GPU-cc, 90000'\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tool.parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,0")
    monkeypatch.setenv("SEEN", str(suite.path))
    suite.makeconftest(
        "import os, sys\n"
        "from pathlib import Path\n"
        "def pytest_configure(config):\n"
        "    if hasattr(config, 'workerinput'):\n"
        "        names = ('CUDA_VISIBLE_DEVICES', 'CUDA_DEVICE_ORDER', 'OMP_NUM_THREADS', 'PYTEST_LOSSY_DEVICE')\n"
        "        seen = [os.environ.get(name) for name in names] + ['torch' in sys.modules]\n"
        "        Path(os.environ['SEEN'], 'seen-' + os.environ['PYTEST_XDIST_WORKER']).write_text(repr(seen))\n"
    )
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    suite.runpytest_subprocess(*COMMON, "-n2", "-k", "nothing")
    seen = {path.name: path.read_text() for path in suite.path.glob("seen-*")}
    assert seen == {
        "seen-gw0": "['2', 'PCI_BUS_ID', '1', 'cuda', False]",
        "seen-gw1": "['0', 'PCI_BUS_ID', '1', 'cuda', False]",
    }
    result = suite.runpytest_subprocess(*COMMON, "-n2", "--lossy-device=cuda:2")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*--lossy-device=cuda:2: 2 CUDA devices are visible*"])


@pytest.mark.parametrize(
    ("gpus", "device", "expected"), [(0, "auto", None), (3, "auto", 3)], ids=["no-gpu", "three-gpus"]
)
def test_auto_is_gpus_or_physical_cores(
    suite: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, gpus: int, device: str, expected: int | None
) -> None:
    from pytest_lossy.cores import physical_cores

    tool = suite.mkdir("bin") / "nvidia-smi"
    lines = "".join(f"echo '{index}, GPU-{index}, 3000'\n" for index in range(gpus))
    tool.write_text(f"#!/bin/sh\n{lines}")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tool.parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    suite.makeconftest(
        "import pytest\n"
        "def pytest_xdist_setupnodes(specs):\n"
        "    print('WORKERS', len(specs))\n"
        "    pytest.exit('before they start')\n"
    )
    result = suite.runpytest_subprocess(*COMMON, "-n", "auto", "-s", "-k", "nothing", f"--lossy-device={device}")
    result.stdout.fnmatch_lines([f"*WORKERS {physical_cores() if expected is None else expected}"])
