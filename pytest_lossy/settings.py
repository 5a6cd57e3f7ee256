"""Options and ini values, parsed once into one frozen object. Imports nothing heavy: pytest loads it in every run."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pytest

__all__ = ["LevelChoice", "Settings", "SettingsError", "add_options", "is_active", "parse_settings"]

DEFAULT_SPECS = "model_specs"
DEFAULT_THRESHOLDS = "thresholds.yaml"
DEFAULT_REPORT = "lossy-report"
DEFAULT_REPLICATES = 1000
DEFAULT_SPILL = "2GiB"
ALL = "all"

_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([KMGT]?)(?:i?B)?", re.IGNORECASE)
_DEVICE = re.compile(r"auto|cpu|cuda(?::\d+)?")


class SettingsError(ValueError):
    """An option or ini value is wrong; the message names it, its value and what to write instead."""


@dataclass(frozen=True, slots=True)
class LevelChoice:
    """``--lossy-level=jpeg:5,10``: levels of one codec label instead of the spec's."""

    label: str
    levels: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that flags and ini values say. Paths are absolute."""

    codecs: tuple[str, ...]
    """Labels or codec names; ``("all",)`` for what the specs list."""
    levels: tuple[LevelChoice, ...]
    models: tuple[str, ...]
    """Glob patterns; empty for every model."""
    tasks: tuple[str, ...]
    specs: Path
    specs_given: bool
    thresholds: Path
    thresholds_given: bool
    samples: int | None
    device: tuple[str, ...]
    report: Path
    replicates: int
    spill_bytes: int
    """Disk for decoded sources, over all workers; 0 decodes each time."""
    strict: bool

    def serialise(self) -> dict[str, Any]:
        """Exact builtins, to cross a process."""
        data = asdict(self)
        for name in ("specs", "thresholds", "report"):
            data[name] = str(data[name])
        data["levels"] = [[choice.label, list(choice.levels)] for choice in self.levels]
        for name in ("codecs", "models", "tasks", "device"):
            data[name] = list(data[name])
        return data

    @classmethod
    def deserialise(cls, data: Mapping[str, Any]) -> Settings:
        """The inverse of :meth:`serialise`."""
        fields = dict(data)
        for name in ("specs", "thresholds", "report"):
            fields[name] = Path(fields[name])
        fields["levels"] = tuple(LevelChoice(label, tuple(levels)) for label, levels in fields["levels"])
        for name in ("codecs", "models", "tasks", "device"):
            fields[name] = tuple(fields[name])
        return cls(**fields)


def add_options(parser: pytest.Parser) -> None:
    """Declare the flags and their ini twins."""
    group = parser.getgroup("lossy", "model robustness under lossy compression (pytest-lossy)")
    group.addoption(
        "--lossy-codec",
        action="append",
        metavar="NAME[,NAME]",
        help="run the model specs under these codecs ('all': those that each spec lists); repeatable. The only "
        "flag that turns pytest-lossy on",
    )
    group.addoption(
        "--lossy-level",
        action="append",
        metavar="CODEC:LEVEL[,LEVEL]",
        help="levels instead of the specs', for example jpeg:5,10,15; repeatable",
    )
    group.addoption(
        "--lossy-model", action="append", metavar="GLOB", help="only models whose name matches; repeatable"
    )
    group.addoption(
        "--lossy-task", action="append", metavar="NAME", help="only models of this task; repeatable"
    )
    group.addoption(
        "--lossy-specs", metavar="PATH", help=f"folder of specs, or one spec (default: {DEFAULT_SPECS})"
    )
    group.addoption("--lossy-thresholds", metavar="PATH", help=f"gates (default: {DEFAULT_THRESHOLDS})")
    group.addoption(
        "--lossy-samples",
        metavar="N",
        help="only the first N samples of a fixed shuffle: a smoke run, marked as such",
    )
    group.addoption(
        "--lossy-device",
        metavar="DEVICE",
        help="auto, cpu, cuda or cuda:0, or a list that workers take turns in (default: auto, a GPU where there is one)",
    )
    group.addoption("--lossy-report", metavar="DIR", help=f"where results go (default: {DEFAULT_REPORT})")
    group.addoption(
        "--lossy-replicates", metavar="B", help=f"bootstrap replicates (default: {DEFAULT_REPLICATES})"
    )
    group.addoption(
        "--lossy-spill",
        metavar="SIZE",
        help=f"disk for decoded sources during the run, 0 for none (default: {DEFAULT_SPILL})",
    )
    group.addoption(
        "--lossy-strict",
        action="store_true",
        default=None,
        help="a case without a gate, or an inconclusive one, fails",
    )
    for name, text in (
        ("specs", "default of --lossy-specs"),
        ("thresholds", "default of --lossy-thresholds"),
        ("device", "default of --lossy-device"),
        ("report", "default of --lossy-report"),
        ("replicates", "default of --lossy-replicates"),
        ("spill", "default of --lossy-spill"),
    ):
        parser.addini(f"lossy_{name}", text, type="string", default="")
    parser.addini("lossy_strict", "default of --lossy-strict", type="bool", default=False)


def is_active(config: pytest.Config) -> bool:
    """Whether the one flag that turns pytest-lossy on was given."""
    return bool(config.getoption("lossy_codec", None))


def parse_settings(config: pytest.Config) -> Settings:
    """Read every flag and ini value.

    Raises:
        SettingsError: all wrong ones, one per line.
    """
    reader = _Reader(config)
    settings = Settings(
        codecs=_names(config.getoption("lossy_codec")) or (ALL,),
        levels=reader.levels(),
        models=_names(config.getoption("lossy_model")),
        tasks=_names(config.getoption("lossy_task")),
        specs=reader.path("specs", DEFAULT_SPECS),
        specs_given=reader.given("specs"),
        thresholds=reader.path("thresholds", DEFAULT_THRESHOLDS),
        thresholds_given=reader.given("thresholds"),
        samples=reader.whole("samples", None, minimum=1),
        device=reader.devices(),
        report=reader.path("report", DEFAULT_REPORT),
        replicates=reader.whole("replicates", DEFAULT_REPLICATES, minimum=100) or DEFAULT_REPLICATES,
        spill_bytes=reader.size("spill", DEFAULT_SPILL),
        strict=bool(config.getoption("lossy_strict") or config.getini("lossy_strict")),
    )
    if ALL in settings.codecs and len(settings.codecs) > 1:
        reader.problems.append("--lossy-codec: 'all' stands alone; name codecs, or write 'all'")
    if not any(name for name in settings.codecs):
        reader.problems.append("--lossy-codec: names no codec; write --lossy-codec=jpeg or --lossy-codec=all")
    if reader.problems:
        raise SettingsError("\n".join(reader.problems))
    return settings


def _names(values: list[str] | None) -> tuple[str, ...]:
    """Repeated and comma-separated values in order, each once."""
    return tuple(
        dict.fromkeys(name.strip() for value in values or () for name in value.split(",") if name.strip())
    )


class _Reader:
    """Looks a value up in flag, ini and default, and collects what is wrong."""

    def __init__(self, config: pytest.Config) -> None:
        self.config, self.problems = config, list[str]()

    def raw(self, name: str) -> tuple[str, str]:
        """The text of a value and where it comes from; empty text where it is not set."""
        flag = self.config.getoption(f"lossy_{name}", None)
        if flag is not None:
            return str(flag), f"--lossy-{name}"
        ini = self.config.getini(f"lossy_{name}") if name != "samples" else ""
        return str(ini), f"lossy_{name} (ini)"

    def given(self, name: str) -> bool:
        return bool(self.raw(name)[0])

    def path(self, name: str, default: str) -> Path:
        text, origin = self.raw(name)
        # Relative to the root directory wherever pytest is started, so that flags and ini values mean the same.
        path = Path(text or default).expanduser()
        if "\0" in text:
            self.problems.append(f"{origin}: holds a null character; write a path")
            return self.config.rootpath
        return Path(self.config.rootpath, path)

    def whole(self, name: str, default: int | None, minimum: int) -> int | None:
        text, origin = self.raw(name)
        if not text:
            return default
        try:
            number = int(text)
        except ValueError:
            self.problems.append(f"{origin}: {text!r} is not a whole number; write {minimum} or more")
            return default
        if number < minimum:
            self.problems.append(f"{origin}: {number} is too small; write {minimum} or more")
        return number

    def size(self, name: str, default: str) -> int:
        text, origin = self.raw(name)
        match = _SIZE.fullmatch((text or default).strip())
        if not match:
            self.problems.append(f"{origin}: {text!r} is not a size; write for example 500MiB, 4GiB or 0")
            return 0
        return int(float(match[1]) * 1024 ** " KMGT".index(match[2].upper() or " "))

    def devices(self) -> tuple[str, ...]:
        text, origin = self.raw("device")
        names = _names([text]) or ("auto",)
        for name in names:
            if not _DEVICE.fullmatch(name):
                self.problems.append(f"{origin}: unknown device '{name}'; write auto, cpu, cuda or cuda:N")
        return names

    def levels(self) -> tuple[LevelChoice, ...]:
        choices = []
        for value in self.config.getoption("lossy_level") or ():
            label, colon, numbers = value.partition(":")
            try:
                levels = tuple(dict.fromkeys(float(number) for number in numbers.split(",")))
            except ValueError:
                levels = ()
            if not colon or not label or not levels or not all(abs(level) < float("inf") for level in levels):
                self.problems.append(
                    f"--lossy-level: {value!r} is not CODEC:LEVEL[,LEVEL]; write jpeg:5,10,15"
                )
            else:
                choices.append(LevelChoice(label.strip(), levels))
        return tuple(choices)
