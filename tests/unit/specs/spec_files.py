"""Builders for spec tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_lossy.cases import IndexedSpec
from pytest_lossy.errors import ConfigurationError
from pytest_lossy.specs.index import index_specs

GOOD = """name: net
task: segmentation
architecture: encoder-decoder
model:
  torch: ./net.py:build
  kwargs: {num_classes: 3}
  input: {size: [32, 32], mean: [0.5, 0.5, 0.5]}
  output: {class_map: {0: 1}}
data:
  factory: ./data.py:make
codecs:
  jpeg: [95, 15]
  jpeg-444: {codec: jpeg, subsampling: "4:4:4", levels: [75]}
batch_size: 4
tags: [street]
requires: optional
"""


def index(folder: Path, text: str | bytes, name: str = "net.yaml") -> IndexedSpec:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return index_specs([path], folder)[0]


def refused(folder: Path, text: str | bytes) -> list[str]:
    """The problems, one string each."""
    with pytest.raises(ConfigurationError) as caught:
        index(folder, text)
    return [str(problem) for problem in caught.value.problems]


def swapped(old: str, new: str, text: str = GOOD) -> str:
    assert text.count(old) == 1, old
    return text.replace(old, new)
