"""Importing what users name, and explaining what it raises."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from pytest_lossy.errors import LossyError, ModelError
from pytest_lossy.registry import Registry, did_you_mean, import_dotted, is_dotted
from pytest_lossy.usercode import explain_exception, import_callable


def test_two_specs_with_files_of_one_name_do_not_meet(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "net.py").write_text(f"def build(): return {name!r}")
    first = import_callable("./net.py:build", tmp_path / "a")
    second = import_callable("./net.py:build", tmp_path / "b")
    assert (first(), second()) == ("a", "b")
    assert first.__module__ != second.__module__
    assert "net" not in sys.modules


def test_a_file_is_run_once(tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text(
        "import pathlib\nwith open(__file__ + '.log', 'a') as f: f.write('x')\ndef build(): pass"
    )
    first = import_callable("./net.py:build", tmp_path)
    assert import_callable("net.py:build", tmp_path) is first
    assert (tmp_path / "net.py.log").read_text() == "x"


def test_what_a_file_defines_can_be_pickled(tmp_path: Path) -> None:
    import pickle

    (tmp_path / "net.py").write_text("class Net: pass")
    net = import_callable("./net.py:Net", tmp_path)
    assert type(pickle.loads(pickle.dumps(net()))) is net


def test_a_file_that_fails_is_tried_again(tmp_path: Path) -> None:
    path = tmp_path / "net.py"
    path.write_text("raise RuntimeError('first')")
    with pytest.raises(RuntimeError, match="first"):
        import_callable("./net.py:build", tmp_path)
    path.write_text("def build(): return 2  # now it works")
    assert import_callable("./net.py:build", tmp_path)() == 2


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ("./gone.py:build", "gone.py: no such file; the path is relative to the spec"),
        ("./net.py:bild", "has no 'bild'; did you mean 'build'?"),
        ("./net.py:VALUE", "is not callable; name a function or class"),
        ("no_such_module:build", "cannot import 'no_such_module'"),
        ("os.path:jion", "'os.path' has no 'jion'; did you mean 'join'?"),
        ("build", "is not of the form package.module:name"),
    ],
)
def test_references_that_lead_nowhere(tmp_path: Path, reference: str, message: str) -> None:
    (tmp_path / "net.py").write_text("VALUE = 3\ndef build(): pass")
    with pytest.raises(ModelError) as caught:
        import_callable(reference, tmp_path)
    assert message in str(caught.value)


def test_explanations_show_the_users_frames_alone(tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text("def inner():\n    raise KeyError('missing')\ndef build():\n    inner()\n")
    build = import_callable("./net.py:build", tmp_path)
    with pytest.raises(KeyError) as caught:
        build()
    lines = explain_exception(caught.value).splitlines()
    assert lines[0] == "KeyError: 'missing'"
    assert lines[-2] == f"  {tmp_path / 'net.py'}:4 in build: inner()"
    assert lines[-1] == f"  {tmp_path / 'net.py'}:2 in inner: raise KeyError('missing')"
    with pytest.raises(ModelError) as refused:
        import_callable("./gone.py:build", tmp_path)
    assert "pytest_lossy/usercode.py" not in explain_exception(refused.value)


def test_long_tracebacks_are_cut_to_the_innermost(tmp_path: Path) -> None:
    def recurse(depth: int) -> None:
        if depth:
            recurse(depth - 1)
        raise ValueError("deep")

    with pytest.raises(ValueError, match="deep") as caught:
        recurse(50)
    assert len(explain_exception(caught.value).splitlines()) == 7


@pytest.mark.parametrize(
    ("path", "is_one"),
    [
        ("a:b", True),
        ("a.b:c.d", True),
        ("a", False),
        ("a:", False),
        (":b", False),
        ("a-b:c", False),
        ("./a.py:b", False),
    ],
)
def test_dotted_paths(path: str, is_one: bool) -> None:
    assert is_dotted(path) == is_one


def test_import_dotted_follows_attributes() -> None:
    assert import_dotted("pathlib:Path.cwd") == Path.cwd
    with pytest.raises(LossyError, match=r"has no 'Path.cwdd'; did you mean 'cwd'"):
        import_dotted("pathlib:Path.cwdd")


def test_suggestions() -> None:
    assert did_you_mean("jpg", ["jpeg", "webp"]) == "did you mean 'jpeg'?"
    assert did_you_mean("xyz", ["jpeg", "webp"]) == "choose one of: jpeg, webp"
    assert did_you_mean("xyz", []) == "none is known"


class Point:
    """Stands for an installed package's entry point."""

    def __init__(self, name: str, value: str) -> None:
        self.name, self.value = name, value

    def load(self) -> object:
        return import_dotted(self.value)


def test_entry_points_add_names_and_replace_none(monkeypatch: pytest.MonkeyPatch) -> None:
    points = [
        Point("mine", "pathlib:Path"),
        Point("own", "pathlib:PurePath"),
        Point("broken", "no_such_module:X"),
    ]
    monkeypatch.setattr("importlib.metadata.entry_points", lambda group: points if group == "g" else [])
    registry = Registry("codec", "g", {"own": "os:getcwd"})
    assert registry.names() == ["broken", "mine", "own"]
    assert "mine" in registry
    assert "other" not in registry
    assert registry.load("mine") is Path
    assert registry.load("own").__name__ == "getcwd"
    assert registry.load("pathlib:PosixPath").__name__ == "PosixPath"
    with pytest.raises(LossyError, match="codec 'broken' of package 'no_such_module:X' cannot be imported"):
        registry.load("broken")
    with pytest.raises(LossyError, match="unknown codec 'mien'; did you mean 'mine'"):
        registry.load("mien")
