"""Specs: what is accepted, what is refused, at which line and with which advice."""

from __future__ import annotations

from pathlib import Path

import pytest
from spec_files import GOOD, index, refused, swapped

from pytest_lossy.cases import Case
from pytest_lossy.errors import ConfigurationError
from pytest_lossy.results.rows import unloaded_info
from pytest_lossy.specs.index import find_specs, index_specs


def test_a_good_spec(tmp_path: Path) -> None:
    spec = index(tmp_path, GOOD)
    assert (spec.name, spec.shown, spec.path) == ("net", "net.yaml", tmp_path / "net.yaml")
    assert [plan.label for plan in spec.plans] == ["jpeg", "jpeg-444"]
    assert spec.plans[1].options == {"subsampling": "4:4:4"}
    assert [case.name for case in spec.cases()] == ["clean", "jpeg-q95", "jpeg-q15", "jpeg-444-q75"]
    assert spec.cases()[1] == Case("net", "segmentation", "jpeg", "jpeg", "q", 95)
    assert len({case.slug for case in spec.cases()}) == 4


def test_the_name_defaults_to_the_files_stem(tmp_path: Path) -> None:
    assert index(tmp_path, swapped("name: net\n", ""), "seg.net-2.yaml").name == "seg.net-2"


def test_a_stem_that_is_no_name_needs_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"my net.yaml:1: the file's stem 'my net' is no model name"):
        index(tmp_path, swapped("name: net\n", ""), "my net.yaml")
    assert index(tmp_path, GOOD, "my net.yaml").name == "net"


def test_levels_are_sorted_mild_to_severe(tmp_path: Path) -> None:
    assert index(tmp_path, swapped("[95, 15]", "[5, 95, 15]")).plans[0].levels == (95, 15, 5)


@pytest.mark.parametrize("written", ["", "null", "{}"])
def test_a_codec_without_levels_runs_its_default_grid(tmp_path: Path, written: str) -> None:
    plan = index(tmp_path, swapped("jpeg: [95, 15]", f"jpeg: {written}")).plans[0]
    assert plan.levels == plan.grid.default


def test_indexing_imports_no_user_code(tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text("raise SystemExit('imported')")
    (tmp_path / "data.py").write_text("raise SystemExit('imported')")
    index(tmp_path, swapped("./net.py:build", "no_such_package.net:build"))


MALFORMED = [
    ("task: [unclosed", 1, "is not valid YAML"),
    ("a:\n\t- b", 2, r"found character '\t'"),
    (swapped("batch_size: 4", "batch_size: 4\nbatch_size: 8"), 15, "key 'batch_size' is written twice"),
    (swapped("num_classes: 3", "num_classes: 3, num_classes: 4"), 6, "key 'num_classes' is written twice"),
    ("", 0, "is empty"),
    ("# nothing\n", 0, "is empty"),
    ("- task: segmentation", 1, "a spec is a mapping"),
    ("just text", 1, "a spec is a mapping"),
    ("42", 1, "a spec is a mapping"),
    (GOOD.encode() + b"# caf\xe9\n", 17, "is not UTF-8"),
    (GOOD.encode("utf-16"), 1, "is not UTF-8"),
    (GOOD + "---\n" + GOOD, 17, "single document"),
    (swapped("num_classes: 3", "num_classes: .nan"), 6, "nan is not a finite number"),
    (swapped("num_classes: 3", "num_classes: -.inf"), 6, "-inf is not a finite number"),
    (swapped("num_classes: 3", "when: 2020-01-01"), 6, "put it in quotes"),
    (swapped("{num_classes: 3}", "!!python/object:os.system {}"), 6, "is not allowed"),
    (swapped("{num_classes: 3}", "!!python/object/apply:os.system [echo]"), 6, "is not allowed"),
    (swapped("{num_classes: 3}", "!custom {a: 1}"), 6, "tag '!custom' is not allowed"),
    (swapped("num_classes: 3", "? {a: 1} : 3"), 6, "neither text, number"),
    (swapped("num_classes: 3", "a: *nowhere"), 6, "undefined alias"),
    ("x" * (1 << 20) + ": 1", 0, "over the limit of 1048576"),
    (GOOD.replace("street", "\x07"), 0, "special characters are not allowed"),
]


@pytest.mark.parametrize(("text", "line", "message"), MALFORMED)
def test_malformed_files(tmp_path: Path, text: str | bytes, line: int, message: str) -> None:
    problems = refused(tmp_path, text)
    assert len(problems) == 1
    assert problems[0].startswith(f"net.yaml:{line}: " if line else "net.yaml: ")
    assert message in problems[0]


def test_python_tags_run_nothing(tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    refused(tmp_path, f'a: !!python/object/apply:os.system ["touch {canary}"]')
    assert not canary.exists()


def test_an_alias_bomb_is_stopped(tmp_path: Path) -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]
    assert "once aliases expand" in refused(tmp_path, "\n".join(lines))[0]


@pytest.mark.parametrize("opening", ["[", "{a: "])
def test_deep_nesting_is_explained(tmp_path: Path, opening: str) -> None:
    closing = {"[": "]", "{a: ": "}"}[opening]
    assert refused(tmp_path, f"task: {opening * 1050}1{closing * 1050}")


def test_a_byte_order_mark_is_skipped(tmp_path: Path) -> None:
    assert index(tmp_path, b"\xef\xbb\xbf" + GOOD.encode()).name == "net"


def test_windows_line_ends_are_fine_and_keep_lines(tmp_path: Path) -> None:
    assert index(tmp_path, GOOD.replace("\n", "\r\n")).name == "net"
    assert "net.yaml:14: " in refused(tmp_path, swapped("batch_size: 4", "batch_size: x").replace("\n", "\r\n"))[0]


def test_merge_keys_and_aliases_are_plain_yaml(tmp_path: Path) -> None:
    text = swapped("{codec: jpeg, subsampling", "&base {codec: jpeg, subsampling").replace(
        "batch_size", '  jpeg-420:\n    <<: *base\n    subsampling: "4:2:0"\nbatch_size'
    )
    assert index(tmp_path, text).plans[2].options == {"subsampling": "4:2:0"}


def test_an_anchored_boolean_stays_a_boolean(tmp_path: Path) -> None:
    plans = index(tmp_path, swapped('subsampling: "4:4:4"', "optimize: &on true, progressive: *on")).plans
    assert plans[1].options == {"optimize": True, "progressive": True}
    assert type(plans[1].options["progressive"]) is bool


UNKNOWN_KEYS = [
    (
        "batch_size: 4",
        "batchsize: 4",
        14,
        "unknown key 'batchsize' in the document; did you mean 'batch_size'?",
    ),
    ("  kwargs:", "  kwarg:", 6, "unknown key 'kwarg' in 'model'; did you mean 'kwargs'?"),
    ("{size:", "{sise:", 7, "unknown key 'sise' in 'model.input'; did you mean 'size'?"),
    ("{class_map:", "{classmap:", 8, "unknown key 'classmap' in 'model.output'; did you mean 'class_map'?"),
    ("  factory:", "  factroy:", 10, "unknown key 'factroy' in 'data'; did you mean 'factory'?"),
    ("levels: [75]", "levls: [75]", 13, "unknown key 'levls' in 'codecs.jpeg-444'; did you mean 'levels'?"),
    (
        "subsampling:",
        "subsamping:",
        13,
        "unknown key 'subsamping' in 'codecs.jpeg-444'; did you mean 'subsampling'?",
    ),
    (
        "architecture:",
        "zzz:",
        3,
        "unknown key 'zzz' in the document; choose one of: architecture, batch_size",
    ),
]


@pytest.mark.parametrize(("old", "new", "line", "message"), UNKNOWN_KEYS)
def test_unknown_keys_at_each_depth(tmp_path: Path, old: str, new: str, line: int, message: str) -> None:
    found = refused(tmp_path, swapped(old, new))
    assert any(problem.startswith(f"net.yaml:{line}: {message}") for problem in found), found


WRONG_VALUES = [
    ("batch_size: 4", "batch_size: four", 14, "batch_size: got 'four', should be a valid integer"),
    ("batch_size: 4", "batch_size: 0", 14, "batch_size: got 0"),
    ("batch_size: 4", "batch_size: 1.5", 14, "batch_size: got 1.5"),
    ("name: net", "name: 3", 1, "name: got 3, should be a valid string; write text, in quotes"),
    ("name: net", "name: my/net", 1, "name: got 'my/net'"),
    ("name: net", "name: 'net\n\n'", 1, "name: got"),
    ("tags: [street]", "tags: street", 15, "tags: got 'street'"),
    ("tags: [street]", "tags: [[a]]", 15, "tags.0: got ['a']"),
    (
        "requires: optional",
        "requires: optinal",
        16,
        "requires: 'optinal' is not a choice; did you mean 'optional'?",
    ),
    ("model:\n", "model: 3\nx:\n", 4, "model: got 3"),
    ("task: segmentation", "task: [segmentation]", 2, "task: got ['segmentation']"),
    (
        "task: segmentation",
        "task: segmentaton",
        2,
        "unknown task 'segmentaton'; did you mean 'segmentation'?",
    ),
    ("factory: ./data.py:make", "name: camvd", 10, "unknown data set 'camvd'; did you mean 'camvid'?"),
    ("  jpeg: [95", "  jpgg: [95", 12, "unknown codec 'jpgg'; did you mean 'jpeg'?"),
    ("codec: jpeg", "codec: jpgg", 13, "unknown codec 'jpgg'; did you mean 'jpeg'?"),
    ("  jpeg: [95", "  clean: [95", 12, "label 'clean' names the case without a codec"),
    ("  jpeg: [95", "  'jp eg': [95", 12, "codecs.jp eg: got 'jp eg'"),
    ("[95, 15]", "[95, 150]", 12, "jpeg: level 150 is outside 1..100; choose from 1..100"),
    ("[95, 15]", "[95, 0]", 12, "jpeg: level 0 is outside"),
    ("[95, 15]", "[95, 95.0]", 12, "jpeg: level 95 is listed twice"),
    ("[95, 15]", "[95, 15.5]", 12, "jpeg: level 15.5 is not a whole number"),
    ("[95, 15]", "[]", 12, "codecs.jpeg.levels: got []"),
    ("[95, 15]", "[high]", 12, "codecs.jpeg.levels.0: got 'high', should be a valid number"),
    ("[95, 15]", "95", 12, "codecs.jpeg: got 95"),
    ("4:4:4", "4:4:5", 13, "codecs.jpeg-444.subsampling: '4:4:5' is not a choice; did you mean '4:4:4'?"),
    ("torch: ./net.py:build", "torch: ./net.py:build\n  onnx: x.onnx", 4, "found torch and onnx; keep one"),
    (
        "  torch: ./net.py:build\n",
        "",
        4,
        "needs exactly one of torch, torchvision, onnx",
    ),
    ("torch: ./net.py:build", "onnx: net.onnx", 4, "'kwargs' belong to torch, torchvision, maite and callable models"),
    ("./net.py:build", "./net.py", 4, "torch: './net.py' is not of the form"),
    ("  kwargs:", "  sha256: abc\n  kwargs:", 6, "model.sha256: got 'abc'"),
    ("[0.5, 0.5, 0.5]", "[0.5, 0.5]", 7, "model.input.mean: got [0.5, 0.5]"),
    ("[0.5, 0.5, 0.5]", "[0.5, 0.5, x]", 7, "model.input.mean.2: got 'x'"),
    ("mean: [0.5, 0.5, 0.5]", "std: [0.5, 0, 0.5]", 7, "must be above 0"),
    ("size: [32, 32]", "size: [32, 0]", 7, "size (32, 0) has a side below 1 pixel"),
    ("size: [32, 32]", "resize: crop", 7, "model.input.resize: 'crop' is not a choice"),
    ("{0: 1}", "{a: 1}", 8, "model.output.class_map.a"),
    ("{0: 1}", "{0: 1.5}", 8, "model.output.class_map.0"),
    ("  factory: ./data.py:make\n", "  kwargs: {}\n", 9, "needs exactly one of name, factory and maite"),
    ("factory: ./data.py:make", "factory: a:b\n  name: camvid", 9, "needs exactly one of name, factory and maite"),
    ("factory: ./data.py:make", "name: camvid", 10, "key 'root' is missing in 'data.kwargs'; add it"),
    ("batch_size: 4", "task_kwargs: {a: 1}", 14, "task 'segmentation' has no options"),
    ("batch_size: 4", "experiment: {name: a, arm: b/c, seed: 1}", 14, "experiment.arm: got 'b/c'"),
    ("batch_size: 4", "experiment: {name: a b, arm: b, seed: 1}", 14, "experiment.name: got 'a b'"),
    ("batch_size: 4", "experiment: {name: a, arm: b, seed: 1.5}", 14, "experiment.seed: got 1.5"),
    ("batch_size: 4", "experiment: {name: a, arm: b, seed: true}", 14, "experiment.seed: got True"),
    ("batch_size: 4", "experiment: decoder", 14, "experiment: got 'decoder'"),
]


@pytest.mark.parametrize(("old", "new", "line", "message"), WRONG_VALUES)
def test_wrong_values(tmp_path: Path, old: str, new: str, line: int, message: str) -> None:
    found = refused(tmp_path, swapped(old, new))
    assert any(message in problem for problem in found), found
    line = 9 if "missing" in message else line  # kwargs were not written at all: the line of their parent
    assert any(problem.startswith(f"net.yaml:{line}: ") for problem in found), found


@pytest.mark.parametrize("key", ["task", "model", "data", "codecs"])
def test_missing_keys(tmp_path: Path, key: str) -> None:
    from ruamel.yaml import YAML

    document = YAML().load(GOOD)
    del document[key]
    with (tmp_path / "net.yaml").open("w") as stream:
        YAML().dump(document, stream)
    with pytest.raises(ConfigurationError, match=f"net.yaml:1: key '{key}' is missing in the document; add it"):
        index_specs([tmp_path / "net.yaml"], tmp_path)


def test_a_models_place_in_an_experiment_reaches_the_results(tmp_path: Path) -> None:
    spec = index(tmp_path, swapped("batch_size: 4", "experiment: {name: decoder, arm: dilated, seed: 2}"))
    told = unloaded_info(spec, None).experiment
    assert told is not None
    assert (told.name, told.arm, told.seed) == ("decoder", "dilated", 2)
    assert unloaded_info(index(tmp_path, GOOD), None).experiment is None


def test_all_problems_at_once_with_their_lines(tmp_path: Path) -> None:
    text = GOOD
    for old, new in [
        ("name: net", "name: 3"),
        ("kwargs:", "kwarg:"),
        ("size: [32, 32]", "size: [32, 0]"),
        ("batch_size: 4", "batchsize: 4"),
        ("tags: [street]", "tags: street"),
    ]:
        text = swapped(old, new, text)
    assert [int(problem.split(":")[1]) for problem in refused(tmp_path, text)] == [1, 6, 7, 14, 15]


def test_problems_of_meaning_come_together(tmp_path: Path) -> None:
    text = GOOD
    for old, new in [
        ("task: segmentation", "task: segmentaton"),
        ("factory: ./data.py:make", "name: camvid\n  kwargs: {rot: x}"),
        ("  jpeg: [95, 15]", "  clean: [95]\n  jpeg: [950, 15, 15]"),
        ("4:4:4", "4:4:5"),
    ]:
        text = swapped(old, new, text)
    found = refused(tmp_path, text)
    # camvid: an unknown and a missing key; jpeg: a level out of range, one twice; 'clean' is no codec either
    assert sorted({int(problem.split(":")[1]) for problem in found}) == [2, 11, 13, 14, 15]
    assert any("unknown key 'rot'" in problem for problem in found)


def test_problems_of_shape_and_meaning_come_together(tmp_path: Path) -> None:
    text = swapped("batch_size: 4", "batchsize: 4", swapped("[95, 15]", "[950, 15]"))
    assert len(refused(tmp_path, text)) == 2


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("[95, 15]", "[true]"),
        ("[95, 15]", "['15']"),
        ("batch_size: 4", "batch_size: true"),
        ("batch_size: 4", "batch_size: '4'"),
    ],
)
def test_booleans_and_text_are_no_numbers(tmp_path: Path, old: str, new: str) -> None:
    refused(tmp_path, swapped(old, new))


def test_a_wrong_size_is_one_problem(tmp_path: Path) -> None:
    assert len(refused(tmp_path, swapped("size: [32, 32]", "size: big"))) == 1


def test_an_alias_inside_its_own_anchor_is_refused(tmp_path: Path) -> None:
    refused(tmp_path, swapped("{num_classes: 3}", "&me {a: [*me]}"))


def test_problems_of_all_files_come_together(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("")
    (tmp_path / "b.yaml").write_text(swapped("batch_size", "batchsize"))
    (tmp_path / "c.yaml").write_text(GOOD)
    with pytest.raises(ConfigurationError) as caught:
        index_specs(find_specs(tmp_path), tmp_path)
    assert [str(problem.path) for problem in caught.value.problems] == ["a.yaml", "b.yaml"]


@pytest.mark.parametrize(("first", "second"), [("net", "net"), ("net", "NET")])
def test_models_with_one_name_clash(tmp_path: Path, first: str, second: str) -> None:
    (tmp_path / "a.yaml").write_text(swapped("name: net", f"name: {first}"))
    (tmp_path / "b.yaml").write_text(swapped("name: net", f"name: {second}"))
    with pytest.raises(ConfigurationError, match=rf"b.yaml: model name '{second}' is also used by a.yaml"):
        index_specs(find_specs(tmp_path), tmp_path)


def test_a_file_given_twice_is_one_spec(tmp_path: Path) -> None:
    path = tmp_path / "net.yaml"
    path.write_text(GOOD)
    assert len(index_specs([path, path], tmp_path)) == 1


def test_cases_never_share_a_slug(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(
        swapped("name: net", "name: a").replace("jpeg-444: {codec", "b--jpeg: {codec").replace("[75]", "[95]")
    )
    (tmp_path / "b.yaml").write_text(swapped("name: net", "name: a--b"))
    cases = [case for spec in index_specs(find_specs(tmp_path), tmp_path) for case in spec.cases()]
    assert len({case.slug for case in cases}) == len(cases)


def test_specs_of_a_folder_are_sorted_and_not_those_of_its_subfolders(tmp_path: Path) -> None:
    for name in ("b.yaml", "a.yml", "full/c.yaml", "d.txt", "e.yaml/x"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("")
    assert [path.name for path in find_specs(tmp_path)] == ["a.yml", "b.yaml"]
    assert find_specs(tmp_path / "b.yaml") == [tmp_path / "b.yaml"]


def test_an_unreadable_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"gone.yaml: cannot be read \(No such file"):
        index_specs([tmp_path / "gone.yaml"], tmp_path)
    (tmp_path / "folder.yaml").mkdir()
    with pytest.raises(ConfigurationError, match=r"folder.yaml: cannot be read \(Is a directory"):
        index_specs([tmp_path / "folder.yaml"], tmp_path)


def test_third_party_names_are_not_followed_by_indexing(tmp_path: Path) -> None:
    text = swapped("task: segmentation", "task: nowhere.tasks:Mine", swapped("factory: ./data.py:make", "name: a.b:C"))
    assert index(tmp_path, text).spec.task == "nowhere.tasks:Mine"


def test_a_third_party_codec_that_cannot_be_imported_is_a_problem_with_a_line(tmp_path: Path) -> None:
    found = refused(tmp_path, swapped("codec: jpeg", "codec: 'nowhere.codecs:Mine'"))
    assert found[0].startswith("net.yaml:13: cannot import 'nowhere.codecs'")
