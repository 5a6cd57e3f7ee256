"""The toy suite on a CUDA device; skipped with its reason elsewhere."""

from __future__ import annotations

import pytest

from tests.plugin.conftest import results, suite, toy_images

__all__ = ["suite", "toy_images"]

pytestmark = pytest.mark.gpu

TOLERANCE = 0.002
"""Of mIoU: a GPU sums in another order, which moves pixels whose two best classes are nearly equal."""


@pytest.mark.parametrize("workers", [[], ["-n2"]], ids=["in-process", "two-workers"])
def test_gpu_and_cpu_agree(suite: pytest.Pytester, workers: list[str]) -> None:
    measured = {}
    for device in ("cpu", "cuda"):
        run = suite.runpytest_subprocess("--lossy-codec=jpeg", f"--lossy-device={device}", *workers)
        run.assert_outcomes(passed=4)
        document = results(suite)
        assert document["models"][0]["details"]["device"].startswith(device)
        measured[device] = {row["id"]: row["metrics"]["miou"]["value"] for row in document["cases"]}
    for name, value in measured["cpu"].items():
        assert measured["cuda"][name] == pytest.approx(value, abs=TOLERANCE)


def test_auto_takes_the_gpu(suite: pytest.Pytester) -> None:
    suite.runpytest_subprocess("--lossy-codec=jpeg", "-k", "clean").assert_outcomes(passed=1)
    assert results(suite)["models"][0]["details"]["device"] == "cuda:0"
