"""The toy suite on a CUDA device; skipped with its reason elsewhere."""

from __future__ import annotations

import numpy as np
import pytest

from pytest_lossy.codecs.registry import build_codec
from pytest_lossy.errors import CodecError
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


@pytest.mark.parametrize("name", ["h264", "hevc", "vp9", "av1"])
def test_nvdec_gives_the_samples_of_the_software(name: str) -> None:
    rows = np.arange(192, dtype=np.uint8)[:, None, None]
    noise = np.random.default_rng(0).integers(0, 40, (12, 192, 256, 3), dtype=np.uint8)
    clip = rows + noise + np.arange(12, dtype=np.uint8)[:, None, None, None]
    software, hardware = build_codec(name, {}), build_codec(name, {"decoder": "nvdec"})
    encoded = software.encode(clip, software.levels.default[1], fps=25)
    try:
        decoded = hardware.decode(encoded)
    except CodecError as error:
        pytest.skip(f"this GPU has no such decoder: {error}")
    assert np.array_equal(decoded, software.decode(encoded))
