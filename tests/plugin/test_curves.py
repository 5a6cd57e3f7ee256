"""Knees and limits of a real run: through workers, from flags and ini values, and in label-free mode."""

from __future__ import annotations

import pytest

from tests.plugin import toy
from tests.plugin.conftest import Run, results


@pytest.fixture
def gateless(suite: pytest.Pytester) -> pytest.Pytester:
    """Four levels of the toy without gates on them."""
    toy.write_spec(suite.path, codecs="jpeg: [90, 70, 50, 5]")
    (suite.path / "thresholds.yaml").unlink()
    return suite


def test_tolerance_and_what_it_decides(run: Run, gateless: pytest.Pytester) -> None:
    run("--lossy-codec=jpeg", "--lossy-tolerance=40%").assert_outcomes(passed=5)
    document = results(gateless)
    assert document["run"]["tolerance"] == 0.4
    (curve,) = document["curves"]
    assert (curve["metric"], curve["bytes_of"]) == ("miou", 90)
    assert curve["knee"]["tolerance"] == 0.4
    retention = {point["level"]: point["metric"]["retention"] for point in curve["points"]}
    assert retention[5] < 0.6 < retention[50]
    assert curve["knee"]["status"] == "resolved"
    position = curve["knee"]["position"]
    assert 5 < position["level"]["value"] < 50
    share = (retention[50] - 0.6) / (retention[50] - retention[5])
    assert position["level"]["value"] == pytest.approx(50 - 45 * share)
    rates = {point["level"]: point["bpp"] for point in curve["points"]}
    assert position["bpp"]["value"] == pytest.approx(rates[50] ** (1 - share) * rates[5] ** share)
    assert position["byte_share"]["value"] == pytest.approx(position["bpp"]["value"] / rates[90])
    for point in curve["points"]:
        assert point["band_low"] <= point["metric"]["retention"] <= point["band_high"]
    limit = curve["limit"]
    assert (limit["status"], limit["gated"], limit["ended_by"]) == ("found", False, 5)
    assert limit["requirement"] == "miou retention at least 60%, shown at one-sided 95%"
    assert limit["byte_share"] == pytest.approx(rates[limit["level"]] / rates[90])


def test_the_ini_twin(suite: pytest.Pytester) -> None:
    suite.makeini("[pytest]\nlossy_replicates = 100\nlossy_tolerance = 0.25\n")
    suite.runpytest_inprocess("--lossy-codec=jpeg", "--lossy-level=jpeg:50", "-p", "no:randomly")
    document = results(suite)
    assert document["run"]["tolerance"] == 0.25
    assert document["curves"][0]["knee"]["tolerance"] == 0.25
    limit = document["curves"][0]["limit"]
    assert (limit["gated"], limit["requirement"]) == (True, "miou at least 0.05, shown at one-sided 95%")


def test_label_free_curves_have_no_knee(gateless: pytest.Pytester) -> None:
    gateless.runpytest_inprocess("--lossy-codec=jpeg", "--lossy-reference=clean", "-p", "no:randomly")
    (curve,) = results(gateless)["curves"]
    assert (curve["knee"]["status"], curve["knee"]["position"]) == ("undefined", None)
    assert curve["limit"]["status"] == "undefined"
    assert {point["isotonic"] for point in curve["points"]} == {None}


def test_a_level_that_died_ends_the_limit(gateless: pytest.Pytester) -> None:
    (gateless.path / "killer_codec.py").write_text(toy.KILLER.replace("os.kill(os.getpid(), signal.SIGKILL)", "1 / 0"))
    gateless.syspathinsert()
    toy.write_spec(gateless.path, codecs='killer: {codec: "killer_codec:KillerCodec", levels: [90, 50, 5]}')
    gateless.runpytest_inprocess("--lossy-codec=killer", "--lossy-tolerance=90%", "-p", "no:randomly")
    (curve,) = results(gateless)["curves"]
    assert [point["level"] for point in curve["points"]] == [90, 5]
    assert (curve["limit"]["level"], curve["limit"]["ended_by"]) == (90, 50)
    assert curve["limit"]["explanation"] == "q50 cannot be judged: it is in error."
