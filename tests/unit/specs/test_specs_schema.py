"""The JSON Schema of specs, and fuzzing: nothing but ConfigurationError ever leaves the index."""

from __future__ import annotations

import contextlib
import json
import tempfile
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML
from spec_files import GOOD, index, swapped

from pytest_lossy.errors import ConfigurationError
from pytest_lossy.specs.index import index_specs
from pytest_lossy.specs.schema import spec_json_schema
from pytest_lossy.specs.yaml_source import load_yaml

VARIANTS = [
    GOOD,
    swapped("jpeg: [95, 15]", "jpeg:"),
    swapped("jpeg: [95, 15]", "jpeg: {}"),
    swapped("size: [32, 32]", "size: 32"),
    swapped("name: net\n", "", swapped("requires: optional\n", "")),
    swapped("[0.5, 0.5, 0.5]", "[0.5, 0.5, 0.5], std: [1, 2, 3], range: [-1, 1]"),
    swapped("tags: [street]", "experiment: {name: decoder, arm: dilated-3.1, seed: 1}"),
]
BAD = [
    swapped("batch_size: 4", "batch_size: four"),
    swapped("batch_size: 4", "batch_size: 0"),
    swapped("batch_size: 4", "batchsize: 4"),
    swapped("name: net", "name: my/net"),
    swapped("task: segmentation\n", ""),
    swapped("[95, 15]", "[high]"),
    swapped("[95, 15]", "95"),
    swapped("requires: optional", "requires: perhaps"),
    swapped("[0.5, 0.5, 0.5]", "[0.5, 0.5]"),
    swapped("size: [32, 32]", "sise: [32, 32]"),
    swapped("tags: [street]", "experiment: {name: decoder, arm: dilated, seed: one}"),
    swapped("tags: [street]", "experiment: {name: decoder, arm: my arm, seed: 1}"),
    swapped("tags: [street]", "experiment: {name: decoder, seed: 1}"),
]


def schema_accepts(text: str) -> bool:
    document = json.loads(json.dumps(YAML(typ="safe").load(text)))
    return jsonschema.Draft202012Validator(spec_json_schema()).is_valid(document)


def test_the_schema_is_a_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(spec_json_schema())


@pytest.mark.parametrize("text", VARIANTS)
def test_schema_and_index_accept_the_same(tmp_path: Path, text: str) -> None:
    index(tmp_path, text)
    assert schema_accepts(text)


@pytest.mark.parametrize("text", BAD)
def test_schema_and_index_refuse_the_same(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigurationError):
        index(tmp_path, text)
    assert not schema_accepts(text)


@pytest.mark.parametrize(("old", "new"), [("[95, 15]", "[]"), ("  jpeg: [95", "  'jp eg': [95")])
def test_schema_refuses_bad_codec_entries(tmp_path: Path, old: str, new: str) -> None:
    assert not schema_accepts(swapped(old, new))


KEYS = st.sampled_from(
    [
        "name",
        "task",
        "model",
        "data",
        "codecs",
        "batch_size",
        "tags",
        "requires",
        "architecture",
        "task_kwargs",
        "torch",
        "onnx",
        "litert",
        "kwargs",
        "weights",
        "sha256",
        "input",
        "output",
        "size",
        "mean",
        "std",
        "range",
        "layout",
        "dtype",
        "select",
        "class_map",
        "function",
        "factory",
        "jpeg",
        "jpeg-444",
        "clean",
        "codec",
        "levels",
        "subsampling",
        "progressive",
    ]
)
scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(10**6), 10**6)
    | st.floats()
    | st.text(max_size=6)
    | st.sampled_from(["segmentation", "camvid", "folder-segmentation", "./net.py:build", "net.onnx", "jpeg", "4:4:4"])
)
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(KEYS | st.text(max_size=3) | st.integers(0, 3), inner, max_size=4)
    ),
    max_leaves=12,
)


def nudged(document: Any, path: tuple[Any, ...], value: Any) -> Any:
    """``document`` with ``value`` at ``path``, as far as the path leads."""
    if not path or not isinstance(document, dict):
        return value
    return {**document, path[0]: nudged(document.get(path[0]), path[1:], value)}


def index_document(document: Any) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "net.yaml"
        with path.open("w", encoding="utf-8") as stream:
            YAML(typ="safe").dump(document, stream)
        with contextlib.suppress(ConfigurationError):
            index_specs([path], Path(folder))


@settings(max_examples=120, deadline=None)
@given(document=values)
def test_no_document_raises_anything_else(document: Any) -> None:
    index_document(document)


@settings(max_examples=120, deadline=None)
@given(path=st.lists(KEYS, min_size=1, max_size=3).map(tuple), value=values)
def test_no_change_of_a_good_document_raises_anything_else(path: tuple[Any, ...], value: Any) -> None:
    index_document(nudged(YAML(typ="safe").load(GOOD), path, value))


TOKENS = "&a |*a|!!int |!!str |!!binary |!t |: |- |\n|\n  |<<: |%YAML 1.2\n|---\n|...\n|0x1|.inf|1_0"
YAML_PIECES = st.sampled_from([*"{}[],|>'\"#~ab\t", *TOKENS.split("|")])


@pytest.mark.filterwarnings("ignore::ruamel.yaml.error.ReusedAnchorWarning")
@settings(max_examples=200, deadline=None)
@given(text=st.lists(YAML_PIECES, max_size=14).map("".join) | st.text(max_size=30))
def test_no_text_raises_anything_else(text: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "any.yaml"
        path.write_bytes(text.encode("utf-8", "surrogatepass"))
        with contextlib.suppress(ConfigurationError):
            load_yaml(path)


# YAML takes control characters and lone surrogates in escapes alone.
plain_text = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cn", "Co"]), max_size=8)


@settings(max_examples=60, deadline=None)
@given(
    document=st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | plain_text,
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(plain_text, inner, max_size=4),
        max_leaves=10,
    ).filter(lambda document: document is not None)
)
def test_plain_documents_come_back_as_builtins(document: Any) -> None:
    def kinds(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: kinds(item) for key, item in value.items()}
        return [kinds(item) for item in value] if isinstance(value, list) else type(value)

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "any.yaml"
        path.write_text(json.dumps(document, ensure_ascii=False), encoding="utf-8")
        found = load_yaml(path).data
    assert found == document
    assert kinds(found) == kinds(document)
