"""Changing a thresholds file: the new text is there, and every other character as it was."""

from __future__ import annotations

import pytest
from ruamel.yaml import YAML

from pytest_lossy.thresholds.editing import Addition, GatesText

WRITTEN = """# top
version: 1   # one
models:
  toy:   # the toy
    clean: {miou: {min: 0.50},  "pixel acc" : {min: 0.80} }
    jpeg:
      ">=75": {miou: {max_drop: '8%'}}
      15: {
        miou: {min: 0.5, },  # c
      }   # e
      5:
        miou:
          min: 0.2   # five
          max: 0.9
        # below 5

  # next
  empty: {}  # none yet
  first: &first
    jpeg: {5: {miou: {min: 0.1}}}
  second: *first
"""

CHANGED = """# top
version: 1   # one
models:
  toy:   # the toy
    clean: {miou: {min: 0.50},  "pixel acc" : {min: 0.80}, fw_iou: {min: 0.3} }
    jpeg:
      ">=75": {miou: {max_drop: '9%'}}
      15: {
        miou: {min: 0.5, max_drop: 5% },  # c
      }   # e
      5:
        miou:
          - min: 0.123   # five
            max: 0.9
          - {reference: clean, min: 0.8}
        # below 5
        "miou[road]": {min: 0.8}
      30: {miou: {max_drop: 5%}}
    h264:
      30.5: {miou: {reference: clean, max_drop: 5%}}

  # next
  empty:  # none yet
    clean: {miou: {min: 0.8}}
    jpeg:
      knee: {no_milder_than: 20}
  first: &first
    jpeg: {5: {miou: {min: 0.1}}}
  second: *first
  "true":
    mix:
      fleet: {miou: {min: 0.8}}
"""

BLOCK = "version: 1\nmodels:\n  toy:\n    jpeg:\n      30:\n        miou:\n        - reference: clean\n"

ADDED = [
    Addition(("toy", "clean"), "fw_iou", "min", "0.3", "labels"),
    Addition(("toy", "jpeg", 30.0), "miou", "max_drop", "5%", "labels"),
    Addition(("toy", "jpeg", 15.0), "miou", "max_drop", "5%", "labels"),
    Addition(("toy", "jpeg", 5.0), "miou", "min", "0.8", "clean"),
    Addition(("toy", "jpeg", 5.0), "miou[road]", "min", "0.8", "labels"),
    Addition(("toy", "h264", 30.5), "miou", "max_drop", "5%", "clean"),
    Addition(("empty", "clean"), "miou", "min", "0.8", "labels"),
    Addition(("empty", "jpeg", "knee"), None, "no_milder_than", "20", "labels"),
    Addition(("true", "mix", "fleet"), "miou", "min", "0.8", "labels"),
]


def edited(text: str, additions: list[Addition], reference: str = "labels", **limits: str) -> str:
    gates = GatesText(text, reference)
    gates.add(additions)
    return gates.result()


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize("end", [True, False])
def test_only_new_text_is_new(newline: str, end: bool) -> None:
    text = WRITTEN if end else WRITTEN.rstrip("\n")
    gates = GatesText(text.replace("\n", newline), "labels")
    gates.replace(("models", "toy", "jpeg", ">=75", "miou", "max_drop"), "9%")
    gates.replace(("models", "toy", "jpeg", 5, "miou", "min"), "0.123")
    gates.add(ADDED)
    expected = CHANGED if end else CHANGED.rstrip("\n")
    assert gates.result() == expected.replace("\n", newline)


def test_nothing_to_change_changes_nothing() -> None:
    assert GatesText(WRITTEN, "labels").result() == WRITTEN


def test_limits_are_read_as_written_unless_an_alias_shares_them() -> None:
    gates = GatesText(WRITTEN, "labels")
    assert gates.limit(("models", "toy", "jpeg", ">=75", "miou", "max_drop")) == "8%"
    assert gates.limit(("models", "toy", "clean", "miou", "min")) == "0.50"
    assert gates.limit(("models", "first", "jpeg", 5, "miou", "min")) is None
    assert gates.limit(("models", "second", "jpeg", 5, "miou", "min")) is None
    assert gates.limit(("models", "toy", "jpeg", 99, "miou", "min")) is None


def test_where_a_gate_may_be_added() -> None:
    gates = GatesText(WRITTEN, "labels")
    assert gates.writable(("toy", "jpeg", 15.0))
    assert gates.writable(("new", "clean"))
    assert not gates.writable(("first", "jpeg", 30.0))
    assert not gates.writable(("second", "h264", 30.0))
    merged = (
        "version: 1\nmodels:\n  a: &a {jpeg: {5: {ap: {min: 0.1}}}}\n  b:\n    <<: *a\n    clean: {ap: {min: 0.1}}\n"
    )
    assert not GatesText(merged, "labels").writable(("b", "clean"))
    assert GatesText(merged, "labels").writable(("c", "clean"))
    flow = "{version: 1, models: {a: &a {clean: {miou: {min: 0.1}}}, b: *a}}"
    assert not GatesText(flow, "labels").writable(("c", "clean"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("version: 1\n", "version: 1\nmodels:\n  toy:\n    jpeg:\n      30: {miou: {max_drop: 5%}}\n"),
        ("version: 1", "version: 1\nmodels:\n  toy:\n    jpeg:\n      30: {miou: {max_drop: 5%}}"),
        ("version: 1\nmodels: {}", "version: 1\nmodels:\n  toy:\n    jpeg:\n      30: {miou: {max_drop: 5%}}"),
        ("{version: 1}\n", "{version: 1, models: {toy: {jpeg: {30: {miou: {max_drop: 5%}}}}}}\n"),
        ("{version: 1, models: {}}", "{version: 1, models: {toy: {jpeg: {30: {miou: {max_drop: 5%}}}}}}"),
        (
            "version: 1\nmodels:\n    toy:\n        clean: {miou: {min: 0.1}}\n# the end\n",
            "version: 1\nmodels:\n    toy:\n        clean: {miou: {min: 0.1}}\n        jpeg:\n"
            "            30: {miou: {max_drop: 5%}}\n# the end\n",
        ),
        (
            "version: 1\nmodels:\n  toy: {jpeg: {}}\n",
            "version: 1\nmodels:\n  toy: {jpeg: {30: {miou: {max_drop: 5%}}}}\n",
        ),
        (
            "version: 1\nmodels:\n  toy: {jpeg: {30: {miou: {min: 0.1}}}}\n",
            "version: 1\nmodels:\n  toy: {jpeg: {30: {miou: {min: 0.1, max_drop: 5%}}}}\n",
        ),
        (
            "version: 1\nmodels:\n  toy: {jpeg: {'30': {miou: [{reference: clean, min: 0.1}]}}}\n",
            "version: 1\nmodels:\n  toy: {jpeg: {'30': {miou: [{reference: clean, min: 0.1}, {max_drop: 5%}]}}}\n",
        ),
        (
            "version: 1\nmodels:\n  toy: {jpeg: {30.0: {miou: {reference: clean, min: 0.1}}}}\n",
            "version: 1\nmodels:\n  toy: {jpeg: {30.0: {miou: [{reference: clean, min: 0.1}, {max_drop: 5%}]}}}\n",
        ),
        (
            f"{BLOCK}          min: 0.1\n",
            f"{BLOCK}          min: 0.1\n        - {{max_drop: 5%}}\n",
        ),
    ],
)
def test_shapes_of_files(text: str, expected: str) -> None:
    found = edited(text, [Addition(("toy", "jpeg", 30.0), "miou", "max_drop", "5%", "labels")])
    assert found == expected
    YAML(typ="safe").load(found)


def test_the_files_own_reference_is_not_written() -> None:
    additions = [
        Addition(("toy", "clean"), "miou", "min", "0.9", "clean"),
        Addition(("toy", "jpeg", "knee"), None, "no_milder_than", "20", "labels"),
    ]
    found = edited("version: 1\ndefaults: {reference: clean}\n", additions, "clean")
    assert found.endswith(
        "models:\n  toy:\n    clean: {miou: {min: 0.9}}\n    jpeg:\n      knee: {reference: labels, no_milder_than: 20}\n"
    )


@pytest.mark.parametrize(
    "name", ["true", "No", "1", "1.5", "1e3", "0x10", "2024-01-01", "-", "~", "a b", 'a"b', "miou[x]"]
)
def test_names_are_read_back_as_names(name: str) -> None:
    found = edited("version: 1\n", [Addition((name, "clean"), name, "min", "0.5", "labels")])
    assert YAML(typ="safe").load(found)["models"] == {name: {"clean": {name: {"min": 0.5}}}}
