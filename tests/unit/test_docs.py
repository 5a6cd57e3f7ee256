"""The YAML of README and docs is what the readers of specs and thresholds accept."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pytest_lossy.codecs.registry import CODECS
from pytest_lossy.specs.index import index_specs
from pytest_lossy.tasks.registry import known_metrics
from pytest_lossy.thresholds.reader import load_thresholds
from pytest_lossy.thresholds.recovery_checks import RECOVERY_NAMES

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
FRAME = "task: segmentation\nmodel: {torch: 'a.b:c'}\ndata: {name: mini-segmentation}\n"


def blocks() -> list[tuple[str, str]]:
    found = []
    for page in PAGES:
        for text in re.findall(r"```yaml\n(.*?)```", page.read_text(encoding="utf-8"), flags=re.DOTALL):
            found.append((page.name, text))
    return found


@pytest.mark.parametrize(("page", "text"), blocks())
def test_examples_are_valid(tmp_path: Path, page: str, text: str) -> None:
    first = text.partition(":")[0]
    if first in ("version", "models", "mix"):
        path = tmp_path / "thresholds.yaml"
        path.write_text(text if first == "version" else f"version: 1\n{text}", encoding="utf-8")
        metrics = known_metrics() | RECOVERY_NAMES
        found = load_thresholds(path, Path("thresholds.yaml"), metrics=metrics, labels=CODECS.names())
        assert found.rules
        return
    path = tmp_path / "net.yaml"
    whole = {"codecs": FRAME + text, "training": f"{FRAME}codecs: {{jpeg: }}\n{text}"}.get(first, text)
    path.write_text(whole, encoding="utf-8")
    [spec] = index_specs([path], tmp_path)
    assert spec.plans


def test_every_codec_is_explained() -> None:
    text = (ROOT / "docs" / "codecs.md").read_text(encoding="utf-8")
    assert not [name for name in CODECS.names() if f"`{name}`" not in text]
