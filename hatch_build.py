"""Build hook: puts the sample that `pytest-lossy init` writes into the wheel, from the one place where it is kept."""

from __future__ import annotations

from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

SAMPLE = {
    "model_specs/segnet.py": "pytest_lossy/first_steps/sample/segnet.py",
    "model_specs/weights/segnet-mini.safetensors": "pytest_lossy/first_steps/sample/segnet-mini.safetensors",
}
"""File of the repository -> its place in the wheel; pytest_lossy/first_steps/sample.py looks for it in both."""


class SampleHook(BuildHookInterface[Any]):
    """Found by hatchling by the name of this file; not part of the package."""

    PLUGIN_NAME = "sample"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Called before a wheel is built; an editable one leaves the files where they are."""
        if version == "standard":
            build_data["force_include"].update(SAMPLE)
