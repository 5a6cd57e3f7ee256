"""What tests see of an evaluation, and what crosses processes."""

from __future__ import annotations

import copy
import json
import math
import pickle
from pathlib import Path

import pytest

from pytest_lossy.errors import ConfigurationError
from pytest_lossy.own_tests.declaration import Place, declare, deserialise_spec, serialise_spec
from pytest_lossy.own_tests.placing import default_name
from pytest_lossy.own_tests.result import LossyResult, LossyResults, Measurement
from pytest_lossy.results.document import CaseRow
from pytest_lossy.results.values import MetricValue

PLACE = Place(Path("/repo/tests/test_a.py"), "tests/test_a.py", 12, "TestNets.test_small")


def row(codec: str = "jpeg", level: float | None = 15, **fields: object) -> CaseRow:
    metrics = {
        "miou": MetricValue(
            value=0.6, low=0.5, high=0.7, retention=0.75, retention_low=0.7, retention_high=0.8, loss=0.2
        ),
        "miou[road]": MetricValue(value=0.4),
        "depth": MetricValue(value=None),
    }
    case = codec if level is None else f"{codec}-q{level:g}"
    return CaseRow.model_validate(
        {
            "id": f"a.py::net::{case}", "model": "net", "task": "segmentation", "codec": codec, "codec_name": codec,
            "parameter": "q", "level": level, "verdict": "ungated", "outcome": "none", "primary": "miou",
            "metrics": metrics, "samples": 12, "bpp": 1.5, **fields,
        }
    )  # fmt: skip


def test_numbers_compare_as_numbers_and_know_their_intervals() -> None:
    number = Measurement(0.6, 0.5, 0.7)
    assert number == 0.6
    assert 1 - number == pytest.approx(0.4)
    assert (number.low, number.high, repr(number), f"{number:.2f}") == (0.5, 0.7, "0.6 [0.5, 0.7]", "0.60")
    for copied in (copy.deepcopy(number), pickle.loads(pickle.dumps(number))):
        assert (copied, copied.low, copied.high) == (0.6, 0.5, 0.7)
    assert json.dumps([number]) == "[0.6]"
    undefined = Measurement(None)
    assert repr(undefined) == "undefined"
    assert not undefined > 0
    assert not undefined <= 0


def test_a_result_is_a_mapping_with_attributes() -> None:
    result = LossyResult(row())
    assert result["miou"] == result.miou == 0.6
    assert (result.retention("miou"), result.retention().low, result.loss("miou")) == (0.75, 0.7, 0.2)
    assert (result["miou[road]"], result.retention("miou[road]")) != (0.4, 0.4)
    assert math.isnan(result.depth)
    assert list(result) == ["miou", "miou[road]", "depth"]
    assert dict(result)["miou"].high == 0.7
    assert "depth" in dir(result)
    assert (result.codec, result.level, result.case, result.is_clean) == ("jpeg", 15, "jpeg-q15", False)
    assert type(result.level) is int
    assert result.as_row()["metrics"]["miou"]["low"] == 0.5
    assert repr(result) == (
        "<net jpeg-q15: miou 0.6 [0.5, 0.7], retention 0.75 [0.7, 0.8], depth undefined, 1.5 bits per pixel, 12 samples>"
    )
    with pytest.raises(KeyError, match="'mIoU' is no metric of this result; did you mean 'miou'"):
        result["mIoU"]
    with pytest.raises(AttributeError, match="did you mean 'miou'"):
        result.mIoU  # noqa: B018
    with pytest.raises(KeyError, match=r"did you mean 'miou\[road\]'"):
        result.retention("miou[raod]")
    assert copy.deepcopy(result) == result


def test_the_clean_case_and_label_free_mode() -> None:
    clean = LossyResult(row("clean", None, bpp=None))
    assert (clean.codec, clean.level, clean.retention(), clean.loss()) == (None, None, 1, 0)
    assert math.isnan(clean.retention("depth"))
    assert math.isnan(LossyResult(row("clean", None, reference="clean")).retention())
    assert "retention" not in repr(clean)


def test_several_results() -> None:
    results = LossyResults(LossyResult(row("clean", None)), [LossyResult(row()), LossyResult(row(level=5))])
    assert [one.level for one in results] == [15, 5]
    assert (len(results), results[-1].level, results["jpeg-q5"].level, results["clean"].is_clean) == (2, 5, 5, True)
    assert [one.level for one in results[1:]] == [5]
    with pytest.raises(KeyError, match="no case 'jpeg-q6'; did you mean 'jpeg-q5'"):
        results["jpeg-q6"]
    assert repr(results).count("\n") == 2


def test_names_of_tests_are_names_of_models() -> None:
    assert default_name("tests/test_a.py::TestNets::test_b[jpeg/50-µ]") == "tests.test_a.TestNets.test_b-jpeg-50"
    assert default_name("test_a.py::test_b") == "test_a.test_b"


def test_a_declaration_crosses_processes() -> None:
    spec, recipe = declare(
        PLACE,
        name="net",
        model=object,
        data="mini-segmentation",
        task="segmentation",
        codec={
            "jpeg": range(20, 60, 20),
            "fine": {"codec": "jpeg", "subsampling": "4:4:4", "levels": 30},
            "h264": None,
        },
        input={"size": [32, 48]},
        tags=["street"],
    )
    assert [case.name for case in spec.cases()][:4] == ["clean", "jpeg-q40", "jpeg-q20", "fine-q30"]
    assert spec.cases()[4].label == "h264-intra"
    assert recipe.input.size == (32, 48)  # type: ignore[union-attr]
    assert deserialise_spec(json.loads(json.dumps(serialise_spec(spec)))) == spec
    assert spec.row_id(spec.clean) == "tests/test_a.py::net::clean"


def test_everything_wrong_with_a_declaration_is_said_at_once() -> None:
    with pytest.raises(ConfigurationError) as caught:
        declare(
            PLACE,
            name="net",
            model="fixture:net",
            data=list,
            task="segmentatio",
            codec={"jpg": 5, "jpeg": [0]},
            task_kwargs={},
            nonsense=1,
        )
    assert [problem.message.partition(";")[0] for problem in caught.value.problems] == [
        "jpeg: level 0 is outside 1..100",
        "unknown codec 'jpg'",
        "unknown key 'nonsense' in the document",
        "unknown task 'segmentatio'",
    ]
    assert {problem.line for problem in caught.value.problems} == {12}
