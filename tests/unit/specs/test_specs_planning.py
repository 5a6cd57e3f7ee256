"""From settings and specs to cases: selection, refusals before anything runs, and warnings."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from spec_files import GOOD, index, swapped

from pytest_lossy.errors import ConfigurationError
from pytest_lossy.paths import media_cache_folder
from pytest_lossy.planning import plan_cases, plan_run, read_specs
from pytest_lossy.settings import LevelChoice, Settings, SettingsError, parse_settings
from pytest_lossy.thresholds.rules import Thresholds

ROOT = Path("/project")
BASE = Settings(
    codecs=("all",),
    levels=(),
    models=(),
    tasks=(),
    specs=ROOT / "model_specs",
    specs_given=False,
    thresholds=ROOT / "thresholds.yaml",
    thresholds_given=False,
    samples=None,
    device=("auto",),
    reference=None,
    report=ROOT / "lossy-report",
    replicates=1000,
    tolerance=0.05,
    gallery=3,
    cache=None,
    cache_bytes=0,
    spill_bytes=0,
    strict=False,
)


def names(folder: Path, **changes: Any) -> list[str]:
    return [case.name for case in plan_cases(index(folder, GOOD), replace(BASE, **changes), Thresholds())]


def refused(folder: Path, **changes: Any) -> str:
    settings = replace(BASE, **{"thresholds": folder / "thresholds.yaml", **changes})
    with pytest.raises(ConfigurationError) as caught:
        plan_run(settings, [index(folder, GOOD)], folder)
    return str(caught.value)


def test_all_is_what_the_spec_lists(tmp_path: Path) -> None:
    assert names(tmp_path) == ["clean", "jpeg-q95", "jpeg-q15", "jpeg-444-q75"]


def test_a_named_codec_alone(tmp_path: Path) -> None:
    assert names(tmp_path, codecs=("jpeg-444",)) == ["clean", "jpeg-444-q75"]


def test_a_codec_that_the_spec_lacks_runs_on_its_default_grid(tmp_path: Path) -> None:
    spec = index(tmp_path, swapped("  jpeg: [95, 15]\n", ""))
    found = plan_cases(spec, replace(BASE, codecs=("jpeg",)), Thresholds())
    assert [case.name for case in found] == ["clean", *(f"jpeg-q{q}" for q in (95, 75, 50, 30, 15, 10, 5))]


def test_levels_replace_the_specs_mild_to_severe(tmp_path: Path) -> None:
    found = names(tmp_path, codecs=("jpeg",), levels=(LevelChoice("jpeg", (5.0, 50.0, 10.0)),))
    assert found == ["clean", "jpeg-q50", "jpeg-q10", "jpeg-q5"]


def test_levels_of_another_label_change_nothing(tmp_path: Path) -> None:
    found = names(tmp_path, codecs=("jpeg",), levels=(LevelChoice("jpeg-444", (5.0,)),))
    assert found == ["clean", "jpeg-q95", "jpeg-q15"]


@pytest.mark.parametrize(
    ("patterns", "runs"), [(("n*",), True), (("net",), True), (("x*", "n?t"), True), (("N*",), False)]
)
def test_models_are_narrowed_by_patterns(tmp_path: Path, patterns: tuple[str, ...], runs: bool) -> None:
    assert bool(names(tmp_path, models=patterns)) == runs


def test_tasks_narrow(tmp_path: Path) -> None:
    assert names(tmp_path, tasks=("segmentation",))
    assert names(tmp_path, tasks=("depth",)) == []


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"codecs": ("jpge",)}, "--lossy-codec: unknown codec 'jpge'; did you mean 'jpeg'?"),
        ({"codecs": ("al",)}, "--lossy-codec: unknown codec 'al'; did you mean 'all'?"),
        (
            {"levels": (LevelChoice("jpge", (5.0,)),)},
            "--lossy-level: unknown codec 'jpge'; did you mean 'jpeg'?",
        ),
        (
            {"levels": (LevelChoice("jpeg-444", (500.0,)),)},
            "--lossy-level: jpeg-444: level 500 is outside 1..100; choose 1..100",
        ),
        ({"levels": (LevelChoice("jpeg", (5.5,)),)}, "--lossy-level: jpeg: level 5.5 is not a whole number"),
        ({"models": ("nett",)}, "--lossy-model: 'nett' matches no model; did you mean 'net'?"),
        (
            {"tasks": ("segmentatoin",)},
            "--lossy-task: unknown task 'segmentatoin'; did you mean 'segmentation'?",
        ),
    ],
)
def test_unknown_names_are_refused(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    assert message in refused(tmp_path, **changes)


def test_all_unknown_names_at_once(tmp_path: Path) -> None:
    message = refused(tmp_path, codecs=("x",), models=("y",), tasks=("z",))
    assert len(message.splitlines()) == 3


def test_levels_of_a_repeated_flag_add_up(tmp_path: Path) -> None:
    found = names(tmp_path, codecs=("jpeg",), levels=(LevelChoice("jpeg", (5.0,)), LevelChoice("jpeg", (10.0,))))
    assert found == ["clean", "jpeg-q10", "jpeg-q5"]


def thresholds(folder: Path, text: str) -> Path:
    path = folder / "thresholds.yaml"
    path.write_text(text)
    return path


def test_dead_rules_are_warnings_with_lines_and_errors_when_strict(tmp_path: Path) -> None:
    path = thresholds(tmp_path, "version: 1\nmodels:\n  net:\n    jpeg:\n      16: {miou: {min: 0.5}}\n")
    plan = plan_run(replace(BASE, thresholds=path), [index(tmp_path, GOOD)], tmp_path)
    assert plan.warnings == ("thresholds.yaml:5: matches no case: no net / jpeg / 16; remove the rule or correct it",)
    assert "thresholds.yaml:5: matches no case" in refused(tmp_path, strict=True)


def test_rules_are_judged_before_narrowing(tmp_path: Path) -> None:
    path = thresholds(tmp_path, "version: 1\nmodels: {net: {jpeg-444: {75: {miou: {min: 0.5}}}}}\n")
    settings = replace(BASE, thresholds=path, codecs=("jpeg",), strict=True)
    assert plan_run(settings, [index(tmp_path, GOOD)], tmp_path).warnings == ()


def test_rules_may_gate_levels_that_flags_add(tmp_path: Path) -> None:
    path = thresholds(tmp_path, "version: 1\nmodels: {net: {jpeg: {33: {miou: {min: 0.5}}}}}\n")
    settings = replace(BASE, thresholds=path, levels=(LevelChoice("jpeg", (33.0,)),), strict=True)
    assert plan_run(settings, [index(tmp_path, GOOD)], tmp_path).warnings == ()


def test_rules_that_disagree_are_found_before_anything_runs(tmp_path: Path) -> None:
    thresholds(
        tmp_path,
        'version: 1\nmodels:\n  "n*": {jpeg: {75: {miou: {min: 1}}, 95: {miou: {min: 1}}}}\n'
        '  "*t": {jpeg: {95: {miou: {min: 2}}}}\n',
    )
    assert "thresholds.yaml:4: miou.min of net::jpeg-q95 is also set by line 3" in refused(tmp_path)


def test_bad_thresholds_name_the_file_as_the_user_knows_it(tmp_path: Path) -> None:
    thresholds(tmp_path, "version: 2")
    assert refused(tmp_path).startswith("thresholds.yaml:1: version")


def test_no_thresholds_is_a_warning_unless_named(tmp_path: Path) -> None:
    plan = plan_run(replace(BASE, thresholds=tmp_path / "thresholds.yaml"), [index(tmp_path, GOOD)], tmp_path)
    assert plan.warnings == (
        "there is no thresholds.yaml: every case is ungated; write one, or let --lossy-update write it",
    )
    assert "cannot be read" in refused(tmp_path, thresholds_given=True)


def test_specs_of_the_folder_and_of_the_command_line(tmp_path: Path) -> None:
    folder, extra = tmp_path / "model_specs", tmp_path / "more.yaml"
    folder.mkdir()
    (folder / "a.yaml").write_text(GOOD)
    extra.write_text(swapped("name: net", "name: other"))
    settings = replace(BASE, specs=folder)
    assert [spec.shown for spec in read_specs(settings, [extra], tmp_path, required=True)] == [
        "model_specs/a.yaml",
        "more.yaml",
    ]


@pytest.mark.parametrize(("given_flag", "required"), [(True, False), (False, True)])
def test_a_missing_folder_of_specs(tmp_path: Path, given_flag: bool, required: bool) -> None:
    settings = replace(BASE, specs=tmp_path / "gone", specs_given=given_flag)
    with pytest.raises(ConfigurationError, match="gone: no such folder of specs"):
        read_specs(settings, [], tmp_path, required=required)


def test_no_spec_is_an_error_only_where_one_is_needed(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="holds no spec"):
        read_specs(replace(BASE, specs=tmp_path), [], tmp_path, required=True)
    assert read_specs(replace(BASE, specs=tmp_path / "gone"), [], tmp_path, required=False) == []


# Settings

texts = st.text(max_size=6)


@given(
    codecs=st.lists(texts).map(tuple),
    levels=st.lists(st.builds(LevelChoice, texts, st.lists(st.floats(allow_nan=False), max_size=3).map(tuple))).map(
        tuple
    ),
    samples=st.none() | st.integers(1),
    strict=st.booleans(),
)
def test_settings_cross_a_process(
    codecs: tuple[str, ...], levels: tuple[LevelChoice, ...], samples: int | None, strict: bool
) -> None:
    settings = replace(BASE, codecs=codecs, levels=levels, samples=samples, strict=strict)
    assert Settings.deserialise(json.loads(json.dumps(settings.serialise()))) == settings


class Config:
    """The parts of pytest's configuration that settings read."""

    rootpath = ROOT

    def __init__(self, flags: dict[str, Any], ini: dict[str, Any]) -> None:
        self.flags, self.ini = flags, ini

    def getoption(self, name: str, default: Any = None) -> Any:
        return self.flags.get(name.removeprefix("lossy_"), default)

    def getini(self, name: str) -> Any:
        return self.ini.get(name.removeprefix("lossy_"), "")


def parsed(flags: dict[str, Any] | None = None, ini: dict[str, Any] | None = None) -> Settings:
    return parse_settings(Config({"codec": ["all"], **(flags or {})}, ini or {}))  # type: ignore[arg-type]


def test_defaults() -> None:
    sizes = {"spill_bytes": 2 * 1024**3, "cache_bytes": 10 * 1024**3}
    paths = {"cache": media_cache_folder(), "baselines": ROOT / ".lossy-baselines"}
    assert parsed() == replace(BASE, **paths, **sizes)


def test_flags_beat_ini_values_and_lists_are_split() -> None:
    settings = parsed(
        {"codec": ["jpeg,a", "jpeg", " b "], "report": "here", "level": ["jpeg:5,10,5", "a:2.5"]},
        {"report": "there", "specs": "sub", "strict": True, "replicates": "200"},
    )
    assert settings.codecs == ("jpeg", "a", "b")
    assert settings.levels == (LevelChoice("jpeg", (5.0, 10.0)), LevelChoice("a", (2.5,)))
    assert (settings.report, settings.specs, settings.specs_given) == (ROOT / "here", ROOT / "sub", True)
    assert (settings.strict, settings.replicates) == (True, 200)


@pytest.mark.parametrize(
    ("text", "share"), [("5%", 0.05), ("0.05", 0.05), (".5", 0.5), (" 7 % ", 0.07), ("2.5%", 0.025), ("99.9%", 0.999)]
)
def test_shares(text: str, share: float) -> None:
    assert parsed({"tolerance": text}).tolerance == share
    assert parsed({}, {"tolerance": text}).tolerance == share


@pytest.mark.parametrize(
    ("text", "size"),
    [("0", 0), ("10", 10), ("1K", 1024), ("1.5MiB", 3 * 2**19), ("2gb", 2**31), (" 3 TiB ", 3 * 2**40)],
)
def test_sizes(text: str, size: int) -> None:
    assert parsed({"spill": text}).spill_bytes == size


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"codec": ["all,jpeg"]}, "'all' stands alone"),
        ({"codec": [","]}, "names no codec"),
        ({"level": ["jpeg"]}, "--lossy-level: 'jpeg' is not CODEC:LEVEL"),
        ({"level": ["jpeg:"]}, "is not CODEC:LEVEL"),
        ({"level": ["jpeg:x"]}, "is not CODEC:LEVEL"),
        ({"level": ["jpeg:nan"]}, "is not CODEC:LEVEL"),
        ({"level": ["jpeg:inf"]}, "is not CODEC:LEVEL"),
        ({"level": [":5"]}, "is not CODEC:LEVEL"),
        ({"samples": "0"}, "--lossy-samples: 0 is too small; write 1 or more"),
        ({"samples": "x"}, "--lossy-samples: 'x' is not a whole number"),
        ({"replicates": "99"}, "--lossy-replicates: 99 is too small; write 100 or more"),
        ({"tolerance": "0%"}, "--lossy-tolerance: '0%' is no share above 0% and below 100%"),
        ({"tolerance": "100%"}, "--lossy-tolerance: '100%' is no share"),
        ({"tolerance": "1.5"}, "--lossy-tolerance: '1.5' is no share"),
        ({"tolerance": "-5%"}, "write for example 5% or 0.05"),
        ({"tolerance": "five"}, "--lossy-tolerance: 'five' is no share"),
        ({"spill": "lots"}, "--lossy-spill: 'lots' is not a size"),
        ({"spill": "-1"}, "is not a size"),
        ({"device": "gpu"}, "--lossy-device: unknown device 'gpu'"),
        ({"device": "cpu,cuda:x"}, "unknown device 'cuda:x'"),
        ({"report": "a\0b"}, "--lossy-report: holds a null character"),
        ({"report": "~no-such-user-here/x"}, "--lossy-report: '~no-such-user-here/x'"),
    ],
)
def test_values_that_cannot_be(flags: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError, match=r".*") as caught:
        parsed(flags)
    assert message in str(caught.value)


def test_all_wrong_values_at_once_and_where_they_stand() -> None:
    with pytest.raises(SettingsError) as caught:
        parsed({"samples": "x", "device": "gpu"}, {"spill": "lots"})
    assert str(caught.value).splitlines()[-1].startswith("lossy_spill (ini): 'lots'")
    assert len(str(caught.value).splitlines()) == 3
