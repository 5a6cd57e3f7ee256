import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_lossy.codecs.base import describe_options
from pytest_lossy.codecs.registry import CODECS, build_codec
from pytest_lossy.errors import CodecError
from pytest_lossy.results.document import CodecInfo, Environment, ResultsDocument, RunInfo
from pytest_lossy.results.fingerprints import (
    codec_differences,
    compare_environments,
    differences,
    parse_fingerprint,
    previous_warnings,
)

X264 = (
    "h264(pyav=18.1.0,libavcodec=62.28.102,libx264=core 164 r3108 31e19f9,colour=1,bframes=3,preset=medium,pinned=7b)"
)
COMMAND = {
    "encode": "tool (fast) -vf scale=w=2,h=3 -q {level} {input} {output}",
    "decode": "tool -d '{input}' > {output}",
    "minimum": 0,
    "maximum": 9,
    "higher_is_more_compressed": True,
}

NRTK = {
    "perturber": "nrtk.impls.perturb_image:AlbumentationsPerturber",
    "parameter": "q",
    "kwargs": {"perturber": "Image(Compression", "parameters": {"quality_range": ["{level}", "{level}"], "p": 1.0}},
    "minimum": 1,
    "maximum": 100,
    "higher_is_more_compressed": False,
}


def fingerprints() -> dict[str, str]:
    found = {}
    for name in CODECS.builtin:
        try:
            found[name] = build_codec(name).fingerprint()
        except CodecError:  # needs options, or an extra that is not installed
            continue
    found["chain"] = build_codec("chain", {"steps": ["resize 0.5", "jpeg 80", "h264"]}).fingerprint()
    found["command"] = build_codec("command", COMMAND).fingerprint()
    found["nrtk"] = build_codec("nrtk", NRTK).fingerprint()
    return found


FINGERPRINTS = fingerprints()


@pytest.mark.parametrize("name", sorted(FINGERPRINTS))
def test_every_codecs_fingerprint_is_understood(name):
    found = parse_fingerprint(FINGERPRINTS[name])
    assert found is not None
    assert found.name == name
    assert differences(FINGERPRINTS[name], FINGERPRINTS[name]) == []


@pytest.mark.parametrize("name", sorted(set(FINGERPRINTS) - {"chain", "command", "nrtk"}))
def test_every_option_is_found_with_its_value(name):
    found = parse_fingerprint(FINGERPRINTS[name])
    options = getattr(build_codec(name), "options", None)
    for pair in describe_options(options).split(",") if options is not None else []:
        key, _, value = pair.partition("=")
        assert found.fields[key] == value


def test_versions_and_options_are_named():
    other = X264.replace("core 164 r3108 31e19f9", "core 165").replace("medium", "fast")
    assert differences(X264, other) == ["libx264 core 164 r3108 31e19f9 -> core 165", "preset medium -> fast"]


def test_a_part_of_one_side_alone_is_named():
    assert differences("a(x=1)", "a(x=1,y=2)") == ["y (absent) -> 2"]
    assert differences("a(x=1,y=)", "a(x=1)") == ["y (empty) -> (absent)"]


def test_another_codec_is_all_that_is_said():
    assert differences(X264, FINGERPRINTS["jpeg"]) == ["codec h264 -> jpeg"]


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        (["resize 0.5", "jpeg 70", "h264"], ["step 2 (jpeg): level 80.0 -> 70.0"]),
        (["resize 0.25", "jpeg 80", "h264"], ["step 1 (resize): level 0.5 -> 0.25"]),
        (["resize 0.5", "webp 80", "h264"], ["step 2 (webp): codec jpeg -> webp"]),
        (["resize 0.5", "jpeg 80"], ["swept 2 -> 1", "steps resize > jpeg > h264 -> resize > jpeg"]),
    ],
)
def test_the_step_of_a_chain_is_named(steps, expected):
    found = differences(FINGERPRINTS["chain"], build_codec("chain", {"steps": steps}).fingerprint())
    assert found == expected


def test_an_option_of_a_step_and_of_its_twin_is_said_once():
    step = {"codec": "h264", "preset": "fast"}
    found = differences(
        FINGERPRINTS["chain"], build_codec("chain", {"steps": ["resize 0.5", "jpeg 80", step]}).fingerprint()
    )
    assert found.count("step 3 (h264): preset medium -> fast") == 1
    assert all("preset" in change or "pinned" in change for change in found)


def test_templates_of_an_external_tool_are_compared_whole():
    changed = build_codec("command", COMMAND | {"decode": "tool2 -d '{input}' > {output}"}).fingerprint()
    found = differences(FINGERPRINTS["command"], changed)
    assert found == ["decode tool -d '{input}' > {output} -> tool2 -d '{input}' > {output}"]


@pytest.mark.parametrize("text", ["", "anything", "a(b", "a(b)", "a(b)c", "(x=1)"])
def test_a_foreign_form_is_given_as_it_is(text):
    assert differences(text, X264) == [f"fingerprint {text} -> {X264}"]


PLAIN = st.text(st.characters(codec="ascii", categories=("L", "N")), min_size=1, max_size=6)
FIELDS = st.dictionaries(PLAIN, PLAIN, min_size=1, max_size=5)


@given(FIELDS, st.data())
@settings(max_examples=50, deadline=None)
def test_exactly_the_changed_field_is_named(fields, data):
    key = data.draw(st.sampled_from(sorted(fields)))
    value = data.draw(PLAIN.filter(lambda text: text != fields[key]))

    def printed(values):
        return f"codec({','.join(f'{name}={text}' for name, text in values.items())})"

    assert differences(printed(fields), printed(fields | {key: value})) == [f"{key} {fields[key]} -> {value}"]


@given(st.text(max_size=40), st.text(max_size=40))
@settings(max_examples=200, deadline=None)
def test_any_two_texts_differ_or_are_equal(first, second):
    assert bool(differences(first, second)) == (first != second)


ENVIRONMENT = Environment(
    python="3.11.9",
    platform="Linux",
    machine="x86_64",
    cpu="a processor",
    instruction_set="x86_64/avx2",
    packages={"torch": "2.6.0", "numpy": "2.2.0"},
    devices=[],
)


def test_environments():
    other = ENVIRONMENT.model_copy(
        update={
            "instruction_set": "x86_64/avx512f",
            "devices": ["NVIDIA H200"],
            "packages": {"torch": "2.7.0", "numpy": "2.2.0", "av": "18.1.0"},
            "python": "3.12.1",
        }
    )
    assert compare_environments(ENVIRONMENT, ENVIRONMENT) == []
    assert compare_environments(ENVIRONMENT, other) == [
        "instruction set x86_64/avx2 -> x86_64/avx512f",
        "devices none -> NVIDIA H200",
        "torch 2.6.0 -> 2.7.0",
        "av (absent) -> 18.1.0",
        "python 3.11.9 -> 3.12.1",
    ]


def codec(label: str, fingerprint: str | None) -> CodecInfo:
    return CodecInfo(
        label=label,
        name="h264",
        parameter="crf",
        higher_is_more_compressed=True,
        minimum=0,
        maximum=51,
        fingerprint=fingerprint,
    )


def document(*codecs: CodecInfo) -> ResultsDocument:
    run = RunInfo(
        started="2025-03-02T09:30:00Z",
        seconds=1,
        status="complete",
        command="pytest",
        exit_status=0,
        workers=0,
        replicates=100,
        confidence=0.95,
        seed=0,
        counts={},
        plugin_version="0.1.0",
    )
    return ResultsDocument(
        run=run, environment=ENVIRONMENT, models=[], codecs=list(codecs), cases=[], curves=[], recovery=[]
    )


def test_codecs_are_compared_by_label_where_both_have_a_fingerprint():
    fast = X264.replace("medium", "fast")
    before = [codec("h264", X264), codec("cam", X264), codec("gone", X264), codec("broken", None)]
    after = [codec("h264", fast), codec("cam", X264), codec("new", fast), codec("broken", X264)]
    assert codec_differences(before, after) == {"h264": ["preset medium -> fast"]}


def test_replaced_results_of_another_codec_are_warned_of(tmp_path):
    path = tmp_path / "results.json"
    path.write_text(document(codec("h264", X264)).model_dump_json(), encoding="utf-8")
    assert previous_warnings(path, document(codec("h264", X264))) == []
    (warning,) = previous_warnings(path, document(codec("h264", X264.replace("medium", "fast"))))
    assert warning.startswith("h264: ")
    assert warning.endswith("preset medium -> fast")


@pytest.mark.parametrize("content", [None, "{", "[]", json.dumps({"schema_version": 99})])
def test_unreadable_earlier_results_are_no_reason_to_fail(tmp_path, content):
    path = tmp_path / "results.json"
    if content is not None:
        path.write_text(content, encoding="utf-8")
    assert previous_warnings(path, document(codec("h264", X264))) == []
