"""thresholds.yaml: what is accepted, and every refusal with its line."""

from __future__ import annotations

from pathlib import Path

import jsonschema
import pytest
from gate_files import case, limits, read
from ruamel.yaml import YAML

from pytest_lossy.errors import ConfigurationError
from pytest_lossy.thresholds.reader import thresholds_json_schema

DOCUMENTED = """
version: 1
defaults: {confidence: 0.95, inconclusive: point}   # point | pass | fail
models:
  segnet-mini:
    clean: {miou: {min: 0.60}}
    jpeg:
      ">=50": {miou: {max_drop: 2%}}
      15: {miou: {min: 0.50, max_drop: 10%, max_loss: 0.05}}
  "*":
    "*": {"*": {primary: {max_drop: 50%}}}
"""


def refused(folder: Path, text: str, *, any_metric: bool = False) -> str:
    with pytest.raises(ConfigurationError) as caught:
        read(folder, text, any_metric=any_metric)
    return str(caught.value)


def gate(level: str, metrics: str) -> str:
    return f'version: 1\nmodels:\n  "*":\n    jpeg:\n      {level}: {metrics}\n'


def schema_accepts(text: str) -> bool:
    document = YAML(typ="safe").load(text)

    def with_text_keys(value: object) -> object:
        if isinstance(value, dict):
            return {str(key): with_text_keys(item) for key, item in value.items()}
        return [with_text_keys(item) for item in value] if isinstance(value, list) else value

    validator = jsonschema.Draft202012Validator(thresholds_json_schema())
    return not list(validator.iter_errors(with_text_keys(document)))


def test_the_documented_example(tmp_path: Path) -> None:
    thresholds = read(tmp_path, DOCUMENTED)
    assert thresholds.defaults.confidence == 0.95
    assert limits(thresholds, case(level=None)) == {"miou.min": 0.6}
    assert limits(thresholds, case(level=75)) == {"miou.max_drop": 0.02}
    assert limits(thresholds, case(level=15)) == {
        "miou.min": 0.5,
        "miou.max_drop": 0.1,
        "miou.max_loss": 0.05,
    }
    assert limits(thresholds, case(level=5)) == {"miou.max_drop": 0.5}
    assert limits(thresholds, case("other", level=75)) == {"miou.max_drop": 0.5}


def test_rules_know_their_lines(tmp_path: Path) -> None:
    thresholds = read(tmp_path, DOCUMENTED)
    assert {rule.line for rule in thresholds.rules} == {6, 8, 9, 11}
    assert {rule.place for rule in thresholds.rules if rule.codec == "clean"} == {"thresholds.yaml:6"}


def test_schema_is_a_schema_and_accepts_the_documented_example() -> None:
    jsonschema.Draft202012Validator.check_schema(thresholds_json_schema())
    assert schema_accepts(DOCUMENTED)


@pytest.mark.parametrize(
    "text",
    [
        "models: {}",
        "version: 2",
        "version: 1\nmodel: {}",
        "version: 1\ndefaults: {confidence: 2}",
        "version: 1\ndefaults: {confidence: 0.5}",
        "version: 1\ndefaults: {inconclusive: maybe}",
        "version: 1\ndefaults: {level: 3}",
        "version: 1\nmodels: []",
        "version: 1\nmodels: {a: 3}",
        "version: 1\nmodels: {a: {clean: 3}}",
        "version: 1\nmodels: {a: {jpeg: 3}}",
        gate("15", "3"),
        gate("15", "{miou: 3}"),
        gate("15", "{miou: {least: 3}}"),
        gate("15", "{miou: {min: [1]}}"),
        gate("15", "{miou: {max_loss: true}}"),
        gate("15", "{miou: {min: .nan}}"),
    ],
)
def test_reader_and_schema_refuse_the_same(tmp_path: Path, text: str) -> None:
    refused(tmp_path, text)
    if ".nan" not in text and "true" not in text:  # JSON has no NaN
        assert not schema_accepts(text)


@pytest.mark.parametrize(
    "metrics",
    ["{miou: {min: 50%}}", "{miou: {max_loss: 5%}}", "{miou: {min: null}}", "{miou: {max_drop: lots}}"],
)
def test_reader_and_schema_agree_on_limits(tmp_path: Path, metrics: str) -> None:
    text = gate("15", metrics)
    try:
        read(tmp_path, text)
        accepted = True
    except ConfigurationError:
        accepted = False
    assert schema_accepts(text) == accepted


@pytest.mark.parametrize(
    ("limit", "number"),
    [("2%", 0.02), ("2 %", 0.02), ("12.5%", 0.125), ("0.05", 0.05), ("0%", 0.0), ("7%", 0.07)],
)
def test_percentages(tmp_path: Path, limit: str, number: float) -> None:
    thresholds = read(tmp_path, gate("15", f"{{miou: {{max_drop: {limit}}}}}"))
    assert limits(thresholds, case()) == {"miou.max_drop": number}


@pytest.mark.parametrize("limit", ["5 percent", "'%'", "five", "1e", "''", "null", "[5]", "{a: 1}", "true", "5%%"])
def test_limits_that_are_no_numbers(tmp_path: Path, limit: str) -> None:
    message = refused(tmp_path, gate("15", f"{{miou: {{min: {limit}}}}}"))
    assert message.startswith("thresholds.yaml:5: min: ")
    assert "is not a number or percentage; write 0.05 or 5%" in message


@pytest.mark.parametrize("limit", ["100%", "1", "1.5", "-1%", "120%"])
def test_drops_beyond_all_and_below_nothing(tmp_path: Path, limit: str) -> None:
    message = refused(tmp_path, gate("15", f"{{miou: {{max_drop: {limit}}}}}"))
    assert message == (
        f"thresholds.yaml:5: max_drop: {limit} is not a share of clean; write 0% or more and less than 100%"
    )


def test_unknown_metric(tmp_path: Path) -> None:
    assert "unknown metric 'mioo'; did you mean 'miou'?" in refused(tmp_path, gate("15", "{mioo: {min: 1}}"))
    assert "unknown metric 'miou['" in refused(tmp_path, gate("15", '{"miou[": {min: 1}}'))
    assert "unknown metric '3'" in refused(tmp_path, gate("15", "{3: {min: 1}}"))


def test_metrics_of_third_party_tasks_are_checked_later(tmp_path: Path) -> None:
    assert len(read(tmp_path, gate("15", "{mota: {min: 1}}"), any_metric=True).rules) == 1


def test_unknown_bound(tmp_path: Path) -> None:
    assert "unknown bound 'max_dorp'; did you mean 'max_drop'?" in refused(
        tmp_path, gate("15", "{miou: {max_dorp: 1%}}")
    )


def test_unknown_codec(tmp_path: Path) -> None:
    message = refused(tmp_path, "version: 1\nmodels:\n  a:\n    jpgeg: {15: {miou: {min: 1}}}")
    assert message == "thresholds.yaml:4: unknown codec 'jpgeg'; did you mean 'jpeg'?"


def test_codec_globs_need_no_such_codec(tmp_path: Path) -> None:
    assert len(read(tmp_path, "version: 1\nmodels: {a: {'h26*': {15: {miou: {min: 1}}}}}").rules) == 1


@pytest.mark.parametrize("level", ["fifteen", "=15", "'>='", "true", "null", "15-20"])
def test_bad_levels(tmp_path: Path, level: str) -> None:
    message = refused(tmp_path, gate(level, "{miou: {min: 1}}"))
    assert message.startswith("thresholds.yaml:5: ")
    assert "is no level; write a number, a range such as '>=50', '*', or 'knee'" in message


@pytest.mark.parametrize(
    ("written", "level"),
    [
        ("15", 15),
        ("15.0", 15),
        ("'15'", 15),
        ("0.5", 0.5),
        ("-3", -3),
        ("1234567", 1234567),
        ("0.1234567", 0.1234567),
    ],
)
def test_levels_are_numbers_however_written(tmp_path: Path, written: str, level: float) -> None:
    thresholds = read(tmp_path, gate(written, "{miou: {min: 0.4}}"))
    assert limits(thresholds, case(level=level)) == {"miou.min": 0.4}


@pytest.mark.parametrize("bound", ["max_drop: 5%", "max_loss: 0.1"])
def test_clean_is_not_compared_with_itself(tmp_path: Path, bound: str) -> None:
    message = refused(tmp_path, f"version: 1\nmodels: {{a: {{clean: {{miou: {{{bound}}}}}}}}}")
    assert "compares with clean itself" in message


def test_overlapping_ranges(tmp_path: Path) -> None:
    text = """version: 1
models:
  a:
    jpeg:
      ">=50": {miou: {min: 0.5}}
      "<=50": {miou: {min: 0.4}, fw_iou: {min: 0.1}}
"""
    assert refused(tmp_path, text) == (
        "thresholds.yaml:6: range '<=50' overlaps '>=50' for miou.min; make the two ranges disjoint"
    )
    assert len(read(tmp_path, text.replace("<=50", "<50")).rules) == 3


def test_ranges_of_other_bounds_metrics_or_codecs_may_overlap(tmp_path: Path) -> None:
    text = """version: 1
models:
  a:
    jpeg:
      ">=50": {miou: {min: 0.5}}
      "<=60": {miou: {max_loss: 0.4}, fw_iou: {min: 0.1}}
    jpeg-444:
      ">10": {miou: {min: 0.5}}
"""
    assert limits(read(tmp_path, text), case("a", level=55)) == {
        "miou.min": 0.5,
        "miou.max_loss": 0.4,
        "fw_iou.min": 0.1,
    }


def test_duplicate_keys_are_refused_with_their_line(tmp_path: Path) -> None:
    message = refused(tmp_path, "version: 1\nmodels:\n  a: {}\n  a: {}\n")
    assert message == "thresholds.yaml:4: key 'a' is written twice; keep one of them"


def test_one_level_spelt_twice_with_other_limits_is_refused(tmp_path: Path) -> None:
    thresholds = read(tmp_path, "version: 1\nmodels: {'*': {jpeg: {15: {miou: {min: 1}}, '15': {miou: {min: 2}}}}}")
    with pytest.raises(ConfigurationError, match="also set by line"):
        limits(thresholds, case())


def test_all_problems_at_once_with_their_lines(tmp_path: Path) -> None:
    text = """version: 1
models:
  a:
    clean: {mioo: {min: 1}}
    jpeg:
      fifteen: {miou: {min: 1}}
      15: {miou: {mn: 1, max: x}}
    webp: {1: {miou: {min: 1}}}
  b: 3
"""
    lines = refused(tmp_path, text.replace("  b: 3\n", "")).splitlines()
    assert [int(line.split(":")[1]) for line in lines] == [4, 6, 7, 7, 8]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        ("- 1", "is not a mapping"),
        ("version: '1'\n", "version"),
        ("version: 1\nmodels: {a: {jpeg: [1]}}", "'jpeg' must be a mapping of levels, got [1]"),
        ("version: 1\nmodels: {a: {jpeg: {15: }}}", "'15' must be a mapping of metrics, got None"),
        ("version: 1\nmodels: {a: {jpeg: {15: {miou: 0.5}}}}", "'miou' must be a mapping of bounds"),
        ("version: 1\nmodels: {a: {3: {15: {miou: {min: 1}}}}}", "should be a valid string"),
        ("version: 1\nmodels: {3: {}}", "3"),
        ("version: 1\nmodels: {a: {jpeg: {? [1, 2] : {}}}}", "neither text, number"),
    ],
)
def test_wrong_shapes(tmp_path: Path, text: str, message: str) -> None:
    assert message in refused(tmp_path, text)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    from pytest_lossy.thresholds.reader import load_thresholds

    with pytest.raises(ConfigurationError, match=r"gone.yaml: cannot be read \(No such file"):
        load_thresholds(tmp_path / "gone.yaml", Path("gone.yaml"), metrics=None, labels=[])
