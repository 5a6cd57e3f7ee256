"""A controlled experiment through the command line: areas, ranking, arms and rate differences in results and pages."""

from __future__ import annotations

import pytest

from tests.plugin import toy
from tests.plugin.conftest import results

ARMS = """

def _moved(seed, amount):
    net = Nearest()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        net.conv.weight += amount * torch.randn(net.conv.weight.shape, generator=generator)
    return net

def near(seed):
    return _moved(seed, 0.003)

def far(seed):
    return _moved(seed + 10, 0.01)
"""


@pytest.fixture
def experiment(suite: pytest.Pytester) -> None:
    """Two arms of two seeds beside the toy, which runs a second codec."""
    toy.write_spec(suite.path, codecs="jpeg: [90, 50, 5]\nwebp: [90, 50, 5]")
    for arm in ("near", "far"):
        for seed in (1, 2):
            toy.write_spec(
                suite.path,
                f"{arm}.s{seed}",
                model=f"torch: ./net.py:{arm}\nkwargs: {{seed: {seed}}}",
                extra=f"experiment: {{name: distance, arm: {arm}, seed: {seed}}}",
            )
    net = suite.path / "model_specs" / "net.py"
    net.write_text(net.read_text(encoding="utf-8") + ARMS, encoding="utf-8")


@pytest.mark.usefixtures("experiment")
def test_a_run_compares_its_models(suite: pytest.Pytester) -> None:
    # The controller computes all of this from stored replicates: how many workers wrote them cannot matter.
    suite.runpytest_inprocess("-p", "no:cacheprovider", "--lossy-codec=all").assert_outcomes(passed=23)
    document = results(suite)
    resilience = document["resilience"]
    assert [row["rank"] for row in resilience["ranking"] if row["codec"] == "jpeg"] == [1, 2, 3, 4, 5]
    (difference,) = resilience["experiments"]
    assert (difference["arm"], difference["against"], difference["seeds"]) == ("near", "far", 2)
    for key in ("over_level", "over_log_bpp", "clean"):
        assert difference[key]["low"] <= difference[key]["value"] <= difference[key]["high"]
    areas = {curve["model"]: curve["area"] for curve in document["curves"] if curve["codec"] == "jpeg"}
    members = {member["model"]: member["over_level"] for member in difference["members"]}
    assert members == {name: areas[name]["over_level"]["value"] for name in members}
    kinds = [(row["kind"], row["model"], row["codec"]) for row in document["rate_differences"]]
    assert ("codecs", "toy", "webp") in kinds
    assert kinds.count(("models", "toy", "jpeg")) == 1
    page = (suite.path / "lossy-report" / "index.html").read_text(encoding="utf-8")
    assert "near minus far" in page
    assert "Best codec and level under a budget" in (suite.path / "lossy-report" / "summary.md").read_text(
        encoding="utf-8"
    )
