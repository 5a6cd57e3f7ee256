"""Runs over a real Ray cluster of two nodes on this machine, which the tests start, and one of whose nodes they kill."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

from tests.plugin import toy
from tests.plugin.conftest import results, verdicts

COMMON = ("-p", "no:randomly", "-p", "no:cacheprovider", "--lossy-codec=all", "--lossy-device=cpu")
TIMEOUT = 240


NODE = {"num_cpus": 1, "object_store_memory": 80 * 2**20, "include_dashboard": False}


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a head and a second node with one CPU each; the workers of a parallel test run share them."""
    pytest.importorskip("ray", reason="Ray is not installed; pip install 'pytest-lossy[ray]'")
    worker = os.environ.get("PYTEST_XDIST_WORKER")
    shared = tmp_path_factory.getbasetemp()
    shared = (shared.parent if worker else shared) / "ray-cluster"
    users = shared / "users"
    users.mkdir(parents=True, exist_ok=True)
    made = None
    with FileLock(shared / ".lock"):
        (users / (worker or "main")).touch()
        if not (shared / "address").exists():
            made = start_cluster()
            (shared / "address").write_text(made.address, encoding="utf-8")
    try:
        yield (shared / "address").read_text(encoding="utf-8")
    finally:
        (users / (worker or "main")).unlink()
        if made is not None:
            deadline = time.monotonic() + TIMEOUT
            while any(users.iterdir()) and time.monotonic() < deadline:
                time.sleep(0.5)
            (shared / "address").unlink()
            made.shutdown()


def start_cluster() -> Any:
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    from ray.cluster_utils import Cluster

    checks = {
        "health_check_initial_delay_ms": 1000,
        "health_check_period_ms": 1000,
        "health_check_failure_threshold": 5,
    }
    made = Cluster(initialize_head=True, head_node_args={**NODE, "_system_config": checks})
    made.add_node(**NODE)
    return made


@contextlib.contextmanager
def another_node(address: str) -> Iterator[Callable[[], None]]:
    """A third node, and what kills it: every process of it, as when its machine fails."""
    arguments = [f"--address={address}", "--num-cpus=1", f"--object-store-memory={80 * 2**20}", "--block"]
    with subprocess.Popen(
        [sys.executable, "-m", "ray.scripts.scripts", "start", *arguments],
        start_new_session=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as node:
        assert node.stdout is not None
        said = list(itertools.takewhile(lambda line: "Ray runtime started" not in line, node.stdout))
        assert node.poll() is None, said

        def kill() -> None:
            for pid in descendants(node.pid):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)

        try:
            yield kill
        finally:
            kill()


def descendants(pid: int) -> list[int]:
    """A process and all that it started, the youngest first."""
    children: dict[int, list[int]] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            fields = path.read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
            children.setdefault(int(fields[1]), []).append(int(path.parent.name))
    found = [pid]
    for parent in found:
        found += children.get(parent, [])
    return found[::-1]


def ray(cluster: str, *more: str) -> tuple[str, ...]:
    return (*COMMON, "--lossy-engine=ray", f"--lossy-ray-address={cluster}", *more)


def read(path: Path) -> str:
    """A file that may be gone by now."""
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return ""


def comparable(folder: Path) -> tuple[dict[str, Any], dict[str, bytes]]:
    document = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    del document["run"]
    for row in document["cases"]:
        del row["seconds"]
    files = {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for kind in ("evidence", "replicates", "gallery")
        for path in (folder / kind).glob("*")
    }
    return document, files


ORDINARY = """
import os, pytest
from pathlib import Path

@pytest.mark.lossy
def test_beside_the_cases():
    Path(os.environ["TOY_LOG"], "driver").write_text(str(os.getpid()))
"""


REGISTERED = """
from pytest_lossy.codecs.jpeg import JpegCodec

class TwiceCodec(JpegCodec):
    name = "twice"

    def decode(self, encoded):
        return super().decode(super().encode(super().decode(encoded), 50, fps=None))

def pytest_lossy_register(registry):
    registry.codec("twice", TwiceCodec)
"""


def test_same_bytes_as_without_a_cluster(suite: pytest.Pytester, cluster: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Levels, a knee, a mix, pictures, a gate on recovery; a model that fails, one without its data; an ordinary test."""
    suite.makeini("[pytest]\nlossy_replicates = 100\nlossy_gallery = 1\n")
    root = suite.path
    twin = "retrained: {parent: toy, CONTROL iterations: 1, seed: 0, seconds: 1.0}"
    toy.write_spec(root, "control", extra=twin.replace("CONTROL ", ""))
    toy.write_spec(root, "derived", extra=twin.replace("CONTROL", "control: control, codec: jpeg, levels: [5],"))
    toy.write_spec(root, "bad", model="torch: ./net.py:build_broken\nkwargs: {how: raise}", codecs="jpeg: [50]")
    toy.write_spec(root, "unloadable", model="torch: ./net.py:build_raises", codecs="jpeg: [50]")
    toy.write_spec(root, "absent", model="torch: ./net.py:build\nweights: no.pt", extra="requires: optional")
    (root / "thresholds.yaml").write_text(
        "version: 1\nmix: {fleet: {jpeg: {90: 0.5, 5: 0.5}}}\nmodels:\n"
        "  toy: {clean: {miou: {min: 0.5}}, jpeg: {'*': {miou: {min: 0.05}}, knee: {no_milder_than: 50}},\n"
        "        mix: {fleet: {miou: {max_drop: 60%}}}}\n"
        "  derived: {jpeg: {5: {retraining_gain: {min: -0.5}}}}\n",
        encoding="utf-8",
    )
    toy.write_spec(root, codecs="jpeg: [90, 50, 5]\ntwice: [20]")
    suite.makeconftest(REGISTERED)
    suite.makepyfile(test_ordinary=ORDINARY)
    monkeypatch.setenv("TOY_LOG", str(suite.mkdir("log")))
    monkeypatch.setenv("TOY_TOGETHER", "2")
    shared = ("--lossy-ray-env=TOY_LOG", "--lossy-ray-env=TOY_TOGETHER")
    result = suite.runpytest_subprocess(*ray(cluster, *shared), timeout=TIMEOUT)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["lossy: Ray at *:*: 2 machines, 2 CPUs; workers of 1 CPUs"])
    over = comparable(root / "lossy-report")
    assert results(suite)["run"]["workers"] == 2
    built = {int(path.name.partition("-")[2]) for path in (root / "log").glob("build-*")}
    assert len(built) == 2, "each worker loaded the toy"
    assert int((root / "log" / "driver").read_text()) not in built
    (root / "lossy-report").rename(root / "over-ray")
    suite.runpytest_inprocess(*COMMON)
    alone = comparable(root / "lossy-report")
    assert over[0] == alone[0]
    assert over[1].keys() == alone[1].keys()
    assert [name for name in over[1] if over[1][name] != alone[1][name]] == []
    assert {"toy@jpeg-knee", "toy@mix-fleet"} & {Path(name).stem for name in over[1]} == set()
    found = verdicts(suite)
    assert found["jpeg-knee"] in ("passed", "failed", "inconclusive")
    assert found["mix-fleet"] == "passed"


def test_a_dead_node_and_a_case_that_kills(
    suite: pytest.Pytester, cluster: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the dead node had in hand is evaluated elsewhere; a case that kills every process is reported as crashed."""
    (suite.path / "mycodecs.py").write_text(toy.KILLER + toy.SLOW, encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(suite.path))
    toy.write_spec(
        suite.path,
        codecs="slow: {codec: 'mycodecs:SlowCodec', levels: [90, 60, 30, 10]}\n"
        "deadly: {codec: 'mycodecs:KillerCodec', levels: [80, 50]}",
    )
    toy.write_thresholds(suite.path, "toy: {clean: {miou: {min: 0.5}}}")
    notes = suite.path / "lossy-report" / ".run" / "progress"
    deadline = time.monotonic() + TIMEOUT
    arguments = [sys.executable, "-m", "pytest", *ray(cluster, "--lossy-ray-workers=3")]
    with another_node(cluster) as kill, (suite.path / "output").open("wb") as output:
        process = suite.popen(arguments, stdout=output, stderr=output)
        try:
            while sum("toy::" in text for text in map(read, notes.glob("ray-*"))) < 3:
                assert process.poll() is None, read(suite.path / "output")
                assert time.monotonic() < deadline
                time.sleep(0.1)
            kill()
            status = process.wait(timeout=TIMEOUT)
        finally:
            process.kill()
    assert status == pytest.ExitCode.TESTS_FAILED, read(suite.path / "output")
    found = verdicts(suite)
    assert found.pop("deadly-q50") == "crashed"
    assert set(found.values()) <= {"passed", "ungated"}
    assert len(found) == 6
    [row] = [row for row in results(suite)["cases"] if row["verdict"] == "crashed"]
    assert row["error"].startswith("3 processes in turn died of this case; run it alone to see why")


def test_exit_first_cancels_what_is_outstanding(
    suite: pytest.Pytester, cluster: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (suite.path / "mycodecs.py").write_text(toy.SLOW.replace("0.5", "30"), encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(suite.path))
    toy.write_spec(suite.path, codecs="slow: {codec: 'mycodecs:SlowCodec', levels: [60, 30]}")
    toy.write_thresholds(suite.path, "toy: {clean: {miou: {min: 0.9999}}}")
    result = suite.runpytest_subprocess(*ray(cluster, "-x", "--lossy-ray-workers=1"), timeout=TIMEOUT)
    result.assert_outcomes(failed=1)
    assert verdicts(suite) == {"clean": "failed", "slow-q60": "not_run", "slow-q30": "not_run"}
    assert results(suite)["run"]["seconds"] < 60, "each of the others would take minutes"


def test_what_no_machine_has_is_an_error_at_once(suite: pytest.Pytester, cluster: str) -> None:
    result = suite.runpytest_subprocess(*ray(cluster, "--lossy-ray-cpus=64"), timeout=TIMEOUT)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*a worker asks for 64 CPUs, and no machine of the cluster has them (1 CPUs*"])
    assert not (suite.path / "lossy-report" / "results.json").exists()


def test_no_workers_of_xdist_beside_it(suite: pytest.Pytester) -> None:
    result = suite.runpytest_subprocess(*COMMON, "--lossy-engine=ray", "-n2")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*-n beside --lossy-engine=ray: Ray spreads the cases itself; leave -n out*"])


def test_without_ray_it_says_what_to_install(suite: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    result = suite.runpytest_inprocess(*COMMON, "--lossy-engine=ray")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*--lossy-engine=ray: Ray cannot be imported*pip install 'pytest-lossy?ray?'*"])
