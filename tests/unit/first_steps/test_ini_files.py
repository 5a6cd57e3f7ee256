"""pytest's configuration: found as pytest finds it, extended without losing a character of what was there."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_lossy.errors import ConfigurationError
from pytest_lossy.first_steps.ini_files import IniFile, add_values, find_ini_file

VALUES = {"lossy_specs": "model_specs", "lossy_strict": True}
TABLE = "[tool.pytest.ini_options]"


def extended(tmp_path, name, text, values=VALUES):
    (tmp_path / name).write_bytes(text.encode())
    return add_values(find_ini_file(tmp_path), values, "why")


@pytest.mark.parametrize(
    ("files", "chosen", "table"),
    [
        ({}, "pyproject.toml", TABLE),
        ({"pyproject.toml": "[project]\nname = 'x'\n"}, "pyproject.toml", TABLE),
        ({"pyproject.toml": f"{TABLE}\n", "tox.ini": "[pytest]\n"}, "pyproject.toml", TABLE),
        ({"pyproject.toml": "", "tox.ini": "[pytest]\n"}, "tox.ini", "[pytest]"),
        ({"pyproject.toml": f"{TABLE}\n", "pytest.ini": ""}, "pytest.ini", "[pytest]"),
        ({"setup.cfg": "[metadata]\n"}, "pyproject.toml", TABLE),
        ({"setup.cfg": "[tool:pytest]\n"}, "setup.cfg", "[tool:pytest]"),
        ({"pytest.toml": "", "pytest.ini": ""}, "pytest.toml", "[pytest]"),
        ({"pyproject.toml": "[tool.pytest]\nminversion = '9'\n"}, "pyproject.toml", "[tool.pytest]"),
    ],
)
def test_the_file_that_pytest_reads_is_found(files, chosen, table, tmp_path):
    for name, text in files.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    found = find_ini_file(tmp_path)
    assert (found.path.name, found.table, found.exists) == (chosen, table, chosen in files)


def test_comments_order_and_neighbours_stay(tmp_path):
    text = f"# top\n[project]\nname = 'x'\n\n{TABLE}  # ours\n# of lines\naddopts = ['-q',\n  '-ra']\n\n[tool.ruff]\nx = 1\n"
    after = extended(tmp_path, "pyproject.toml", text)
    added = '# why\nlossy_specs = "model_specs"\nlossy_strict = true\n'
    assert added in after
    assert after.replace(added, "") == text
    assert tomllib.loads(after)["tool"]["pytest"]["ini_options"]["lossy_strict"] is True


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("pytest.ini", ""),
        ("pytest.ini", "[pytest]\naddopts = -q\n    -ra\n# end"),
        ("tox.ini", "[tox]\nenvlist = a\n\n[pytest]\nmarkers =\n    slow: x\n\n[other]\na = 1\n"),
        ("setup.cfg", "[tool:pytest]\n[metadata]\nname = x\n"),
        ("pyproject.toml", f"{TABLE}"),
        ("pyproject.toml", "[tool.pytest.ini_options]\nmarkers = [\n  'a',\n]\n[[tool.x]]\ny = 1\n"),
        ("pyproject.toml", "text = '''\n[tool.pytest.ini_options]\n'''\n"),
        ("pyproject.toml", "[tool.pytest.ini_options]\nx = '''\n[a]\n'''\n"),
        ("pyproject.toml", "\n\n"),
        ("pyproject.toml", "[tool.pytest.ini_options]\r\na = 1\r\n\r\n[x]\r\n"),
    ],
)
def test_every_form_is_extended(name, text, tmp_path):
    after = extended(tmp_path, name, text)
    (tmp_path / name).write_bytes(after.encode())
    found = find_ini_file(tmp_path)
    assert found.lossy("specs") == "model_specs"
    assert str(found.values["lossy_strict"]).lower() == "true"
    assert add_values(found, VALUES, "why") == after  # a second time adds nothing
    assert ("\r\n" in text) == ("\r\n" in after)
    assert "\r" not in after.replace("\r\n", "")


def test_values_that_are_set_are_left_alone(tmp_path):
    after = extended(tmp_path, "pyproject.toml", f'{TABLE}\nlossy_specs = "specs"\n')
    assert 'lossy_specs = "specs"\n# why\nlossy_strict = true\n' in after
    assert after.count("lossy_specs") == 1


def test_a_form_that_cannot_be_extended_is_refused_with_the_lines(tmp_path):
    with pytest.raises(ConfigurationError, match=r"pyproject.toml: .* by hand:(?s:.*)lossy_specs = \"model_specs\""):
        extended(tmp_path, "pyproject.toml", "[tool]\npytest = {ini_options = {minversion = '8'}}\n")


def test_damaged_files_are_named_with_their_line(tmp_path):
    with pytest.raises(ConfigurationError, match=r"pyproject.toml:2: is not valid TOML"):
        extended(tmp_path, "pyproject.toml", "[a]\nb = = 1\n")
    (tmp_path / "pyproject.toml").unlink()
    with pytest.raises(ConfigurationError, match=r"tox.ini:1: is not valid"):
        extended(tmp_path, "tox.ini", "a = 1\n")


NAMES = st.text("abcxyz", min_size=1, max_size=4)
ENTRIES = st.dictionaries(NAMES, st.integers() | st.text(max_size=8).filter(str.isprintable), max_size=3)


@settings(max_examples=40)
@given(st.dictionaries(NAMES, ENTRIES, max_size=3), ENTRIES, st.booleans())
def test_any_toml_keeps_its_values(tables, options, first):
    def table(header, entries):
        lines = [
            f"{key} = {value}" if isinstance(value, int) else f"{key} = {value!r}" for key, value in entries.items()
        ]
        return "\n".join([f"[{header}]", *lines])

    parts = [table(f"{name}t", entries) for name, entries in tables.items()]
    parts.insert(0 if first else len(parts), table("tool.pytest.ini_options", options))
    text = "\n\n".join(parts) + "\n"
    try:
        before = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return  # repr() is not always TOML
    file = IniFile(Path("pyproject.toml"), text, TABLE, before["tool"]["pytest"]["ini_options"], True)
    after = tomllib.loads(add_values(file, VALUES, "why"))
    for key, value in VALUES.items():
        assert after["tool"]["pytest"]["ini_options"].pop(key) == value
    assert after == before


def test_pytest_itself_knows_what_was_added(tmp_path):
    """``--strict-config`` makes an error of ini values that no plugin declares."""
    after = extended(tmp_path, "pyproject.toml", "", {"lossy_specs": 'odd "name"', "lossy_strict": True})
    (tmp_path / "pyproject.toml").write_text(after, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "--collect-only", "--strict-config", "-q"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 5, done.stdout + done.stderr
