"""Flags and ini values, parsed once into one frozen object."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pytest_lossy.cluster.settings import RaySettings, read_ray_settings
from pytest_lossy.options import (
    DEFAULT_BASELINES,
    DEFAULT_CACHE_SIZE,
    DEFAULT_GALLERY,
    DEFAULT_MARGIN,
    DEFAULT_REPLICATES,
    DEFAULT_REPORT,
    DEFAULT_SPECS,
    DEFAULT_SPILL,
    DEFAULT_THRESHOLDS,
    DEFAULT_TOLERANCE,
)
from pytest_lossy.paths import media_cache_folder

if TYPE_CHECKING:
    import pytest

    from pytest_lossy.specs.schema import Reference

__all__ = ["ALL", "LevelChoice", "Settings", "SettingsError", "parse_settings"]

ALL = "all"

_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([KMGT]?)(?:i?B)?", re.IGNORECASE)
_SHARE = re.compile(r"(\d*\.?\d+)\s*(%?)")
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
    reference: Reference | None
    """``clean`` for label-free mode; None for what the specs say."""
    report: Path
    replicates: int
    tolerance: float
    """Share of the clean metric that the knee allows to lose, in (0, 1)."""
    gallery: int
    """Samples shown of a case, at most."""
    cache: Path | None
    """Where encoded media are kept; None for nowhere."""
    cache_bytes: int
    spill_bytes: int
    """Disk for decoded sources, over all workers; 0 decodes each time."""
    strict: bool
    knee: bool = False
    """Search the knee of each curve instead of evaluating every level."""
    resume: bool = False
    """Take over the evidence of the run before."""
    shard: tuple[int, int] | None = None
    """This machine's share, from 1, and the number of shares; None for everything."""
    save: str | None = None
    """The name under which this run becomes a baseline."""
    compare: str | None = None
    """The baseline that this run is compared with."""
    compare_fail: str | None = None
    """Which change fails the run; checked to be a rule."""
    baselines: Path = Path(DEFAULT_BASELINES)
    update: Literal["all", "new"] | None = None
    """Whether this run writes gates: of all its cases, or of those that have none."""
    margin: float = 0.02
    """How far beyond the interval gates are written, as a share, in [0, 1)."""
    ray: RaySettings | None = None
    """The cluster that cases run on; None for this machine without one, as in every xdist worker."""

    def serialise(self) -> dict[str, Any]:
        """Exact builtins, to cross a process."""
        data = asdict(self)
        for name in ("specs", "thresholds", "report", "cache", "baselines"):
            data[name] = str(data[name]) if data[name] is not None else None
        data["levels"] = [[choice.label, list(choice.levels)] for choice in self.levels]
        for name in ("codecs", "models", "tasks", "device"):
            data[name] = list(data[name])
        data["shard"] = list(self.shard) if self.shard else None
        del data["ray"]
        return data

    @classmethod
    def deserialise(cls, data: Mapping[str, Any]) -> Settings:
        """The inverse of :meth:`serialise`."""
        fields = dict(data)
        for name in ("specs", "thresholds", "report", "cache", "baselines"):
            fields[name] = Path(fields[name]) if fields[name] is not None else None
        fields["levels"] = tuple(LevelChoice(label, tuple(levels)) for label, levels in fields["levels"])
        for name in ("codecs", "models", "tasks", "device"):
            fields[name] = tuple(fields[name])
        fields["shard"] = tuple(fields["shard"]) if fields["shard"] else None
        return cls(**fields)


def parse_settings(config: pytest.Config, *, active: bool = True) -> Settings:
    """Read every flag and ini value.

    Args:
        config: pytest's.
        active: whether this is a lossy run, which names codecs.

    Raises:
        SettingsError: all wrong ones, one per line.
    """
    reader = _Reader(config)
    settings = Settings(
        codecs=_names(config.getoption("lossy_codec")),
        levels=reader.levels(),
        models=_names(config.getoption("lossy_model")),
        tasks=_names(config.getoption("lossy_task")),
        specs=reader.path("specs", DEFAULT_SPECS),
        specs_given=reader.given("specs"),
        thresholds=reader.path("thresholds", DEFAULT_THRESHOLDS),
        thresholds_given=reader.given("thresholds"),
        samples=reader.whole("samples", None, minimum=1),
        device=reader.devices(),
        reference=reader.reference(),
        report=reader.path("report", DEFAULT_REPORT),
        replicates=reader.whole("replicates", DEFAULT_REPLICATES, minimum=100) or DEFAULT_REPLICATES,
        tolerance=reader.share("tolerance", DEFAULT_TOLERANCE),
        gallery=reader.whole("gallery", DEFAULT_GALLERY, minimum=0) or 0,
        cache=reader.cache(),
        cache_bytes=reader.size("cache_size", DEFAULT_CACHE_SIZE),
        spill_bytes=reader.size("spill", DEFAULT_SPILL),
        strict=bool(config.getoption("lossy_strict") or config.getini("lossy_strict")),
        knee=bool(config.getoption("lossy_knee")),
        resume=bool(config.getoption("lossy_resume")),
        shard=reader.shard(),
        save=reader.baseline_name(),
        compare=config.getoption("lossy_compare"),
        compare_fail=reader.fail_rule(),
        baselines=reader.path("baselines", DEFAULT_BASELINES),
        update=reader.update(),
        margin=reader.margin(),
    )
    settings = replace(settings, ray=read_ray_settings(reader.raw, config.getoption, settings.device, reader.problems))
    if ALL in settings.codecs and len(settings.codecs) > 1:
        reader.problems.append("--lossy-codec: 'all' stands alone; name codecs, or write 'all'")
    if active and not settings.codecs:
        reader.problems.append("--lossy-codec: names no codec; write --lossy-codec=jpeg or --lossy-codec=all")
    if reader.problems:
        raise SettingsError("\n".join(reader.problems))
    return settings


def _names(values: list[str] | None) -> tuple[str, ...]:
    """Repeated and comma-separated values in order, each once."""
    return tuple(dict.fromkeys(name.strip() for value in values or () for name in value.split(",") if name.strip()))


class _Reader:
    """Looks a value up in flag, ini and default, and collects what is wrong."""

    def __init__(self, config: pytest.Config) -> None:
        self.config, self.problems = config, list[str]()

    def raw(self, name: str) -> tuple[str, str]:
        """The text of a value and where it comes from; empty text where it is not set."""
        flag = self.config.getoption(f"lossy_{name}", None)
        if flag is not None:
            return str(flag), f"--lossy-{name.replace('_', '-')}"
        ini = self.config.getini(f"lossy_{name}") if name != "samples" else ""
        return str(ini), f"lossy_{name} (ini)"

    def given(self, name: str) -> bool:
        return bool(self.raw(name)[0])

    def path(self, name: str, default: str) -> Path:
        text, origin = self.raw(name)
        # Relative to the root directory wherever pytest is started, so that flags and ini values mean the same.
        try:
            path = Path(text or default).expanduser()
        except RuntimeError as error:
            self.problems.append(f"{origin}: {text!r}: {error}; write a path")
            return self.config.rootpath
        if "\0" in text:
            self.problems.append(f"{origin}: holds a null character; write a path")
            return self.config.rootpath
        return Path(self.config.rootpath, path)

    def cache(self) -> Path | None:
        if self.config.getoption("lossy_no_cache") or self.config.getini("lossy_no_cache"):
            return None
        return self.path("cache", str(media_cache_folder()))

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

    def share(self, name: str, default: str) -> float:
        text, origin = self.raw(name)
        match = _SHARE.fullmatch((text or default).strip())
        # Divided in decimal: 0.07 and 7% are the same number.
        share = float(Decimal(match[1]) / (100 if match[2] else 1)) if match else 0.0
        if not 0 < share < 1:
            self.problems.append(
                f"{origin}: {text!r} is no share above 0% and below 100%; write for example 5% or 0.05"
            )
        return share

    def update(self) -> Literal["all", "new"] | None:
        every, new = (bool(self.config.getoption(f"lossy_{name}")) for name in ("update", "update_new_only"))
        flag = "--lossy-update-new-only" if new else "--lossy-update"
        if every and new:
            self.problems.append("--lossy-update and --lossy-update-new-only: write one of them")
        if (every or new) and self.config.getoption("lossy_samples"):
            self.problems.append(
                f"{flag}: a smoke run (--lossy-samples) measures too little for gates; run all samples"
            )
        if not (every or new) and self.config.getoption("lossy_margin") is not None:
            self.problems.append("--lossy-margin: no gates are written; add --lossy-update")
        return "new" if new else "all" if every else None

    def margin(self) -> float:
        text, origin = self.raw("margin")
        match = _SHARE.fullmatch((text or DEFAULT_MARGIN).strip())
        share = float(Decimal(match[1]) / (100 if match[2] else 1)) if match else -1.0
        if not 0 <= share < 1:
            self.problems.append(f"{origin}: {text!r} is no share of at least 0% and below 100%; write for example 2%")
        return share

    def baseline_name(self) -> str | None:
        name: str | None = self.config.getoption("lossy_save")
        if name is not None and (not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._-]*", name) or name == "last"):
            self.problems.append(
                f"--lossy-save: {name!r} is no name; write letters, digits, '.', '_' and '-', but not 'last'"
            )
            return None
        if name is not None and self.config.getoption("lossy_samples"):
            self.problems.append("--lossy-save: a smoke run (--lossy-samples) makes no baseline; run all samples")
        return name

    def fail_rule(self) -> str | None:
        text: str | None = self.config.getoption("lossy_compare_fail")
        if text is None:
            return None
        from pytest_lossy.comparing import parse_fail_rule

        if self.config.getoption("lossy_compare") is None:
            self.problems.append("--lossy-compare-fail: compares with nothing; add --lossy-compare=NAME")
        try:
            parse_fail_rule(text)
        except ValueError as error:
            self.problems.append(f"--lossy-compare-fail: {error}")
        return text

    def shard(self) -> tuple[int, int] | None:
        text = self.config.getoption("lossy_shard", None)
        if text is None:
            return None
        match = re.fullmatch(r"(\d+)/(\d+)", str(text).strip())
        if not match or not 1 <= int(match[1]) <= int(match[2]):
            self.problems.append(f"--lossy-shard: {text!r} is no share; write 1/4 for the first of four, up to 4/4")
            return None
        return int(match[1]), int(match[2])

    def devices(self) -> tuple[str, ...]:
        text, origin = self.raw("device")
        names = _names([text]) or ("auto",)
        for name in names:
            if not _DEVICE.fullmatch(name):
                self.problems.append(f"{origin}: unknown device '{name}'; write auto, cpu, cuda or cuda:N")
        return names

    def reference(self) -> Reference | None:
        text, origin = self.raw("reference")
        choices: dict[str, Reference | None] = {"": None, "labels": "labels", "clean": "clean"}
        if text.strip() not in choices:
            self.problems.append(f"{origin}: unknown reference '{text}'; write labels or clean")
        return choices.get(text.strip())

    def levels(self) -> tuple[LevelChoice, ...]:
        choices = []
        for value in self.config.getoption("lossy_level") or ():
            label, colon, numbers = value.partition(":")
            try:
                levels = tuple(dict.fromkeys(float(number) for number in numbers.split(",")))
            except ValueError:
                levels = ()
            if not colon or not label or not levels or not all(abs(level) < float("inf") for level in levels):
                self.problems.append(f"--lossy-level: {value!r} is not CODEC:LEVEL[,LEVEL]; write jpeg:5,10,15")
            else:
                choices.append(LevelChoice(label.strip(), levels))
        return tuple(choices)
