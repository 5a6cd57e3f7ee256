"""What differs between two codecs or two machines, in words: numbers of different ones must not be compared silently.

A codec's fingerprint reads ``name(key=value,key=value)``. A chain's lists its steps and their fixed levels,
``chain(a(...)@80.0 > b(...);swept=1)``; a step that stills take through another codec has both, ``a(...)|b(...)``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pytest_lossy.results.document import CodecInfo, Environment, ResultsDocument
from pytest_lossy.results.reader import read_codecs

__all__ = [
    "Fingerprint",
    "codec_differences",
    "compare_environments",
    "differences",
    "parse_fingerprint",
    "previous_warnings",
]

_NAMED = re.compile(r"(?s)([A-Za-z0-9_.:-]+)\((.*)\)(?:@([^()@]*))?")
_KEY = re.compile(r"([A-Za-z0-9_.-]+)=")
_STEP = re.compile(r"[A-Za-z0-9_.:-]+\(")
_CLOSING = {"(": ")", "[": "]", "{": "}"}


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """A fingerprint taken apart."""

    name: str
    fields: Mapping[str, str] = field(default_factory=dict)
    steps: tuple[tuple[Fingerprint, ...], ...] = ()
    """Of a chain: each step's codec, and the codec that stills take instead where that is another."""
    level: str | None = None
    """Of a step: its fixed level."""


def parse_fingerprint(text: str) -> Fingerprint | None:
    """Take a fingerprint apart; None where it has another form, as those of other packages' codecs may."""
    whole = _NAMED.fullmatch(text.strip())
    if whole is None:
        return None
    name, body, level = whole.groups()
    fields: dict[str, str] = {}
    steps: list[tuple[Fingerprint, ...]] = []
    for part in _split(body, ";") if _STEP.match(body) else [body]:
        if not _STEP.match(part):
            found = _fields(part)
            if found is None:
                return None
            fields |= found
            continue
        for step in _split(part, " > "):
            variants = [parse_fingerprint(variant) for variant in _split(step, "|")]
            known = tuple(variant for variant in variants if variant is not None)
            if len(known) != len(variants):
                return None
            # Steps print their level once, after the last variant.
            steps.append(known)
    return Fingerprint(name, fields, tuple(steps), level)


def _split(text: str, separator: str) -> list[str]:
    """Split where no bracket is open; a closing one that was not opened is text."""
    parts, start, open_ = [], 0, []
    for index, character in enumerate(text):
        if character in _CLOSING:
            open_.append(_CLOSING[character])
        elif open_ and character == open_[-1]:
            open_.pop()
        elif not open_ and text.startswith(separator, index) and index >= start:
            parts.append(text[start:index])
            start = index + len(separator)
    return [*parts, text[start:]]


def _fields(text: str) -> dict[str, str] | None:
    """``key=value`` pairs; a comma that no key follows belongs to the value."""
    fields: dict[str, str] = {}
    last = None
    for part in _split(text, ",") if text else []:
        key = _KEY.match(part)
        if key:
            last = key.group(1)
            fields[last] = part[key.end() :]
        elif last is None:
            return None
        else:
            fields[last] += f",{part}"
    return fields


def differences(a: str, b: str) -> list[str]:
    """Say which parts of two codec fingerprints differ.

    Args:
        a: the first, such as a baseline's.
        b: the second.

    Returns:
        one entry per part in words, such as ``preset medium -> fast``; empty where both are equal.
    """
    if a == b:
        return []
    first, second = parse_fingerprint(a), parse_fingerprint(b)
    if first is None or second is None:
        return [f"fingerprint {a} -> {b}"]
    return _parts(first, second) or [f"fingerprint {a} -> {b}"]


def _parts(a: Fingerprint, b: Fingerprint) -> list[str]:
    if a.name != b.name:
        return [f"codec {a.name} -> {b.name}"]
    found = _changes(a.fields, b.fields)
    if a.level != b.level:
        found.append(f"level {_shown(a.level)} -> {_shown(b.level)}")
    if len(a.steps) != len(b.steps):
        return [*found, f"steps {_names(a)} -> {_names(b)}"]
    for number, (old, new) in enumerate(zip(a.steps, b.steps, strict=True), start=1):
        if len(old) != len(new):
            found.append(f"step {number}: codecs {'|'.join(s.name for s in old)} -> {'|'.join(s.name for s in new)}")
            continue
        # Both codecs of a step share libraries and options: each change is said once.
        changes = [change for x, y in zip(old, new, strict=True) for change in _parts(x, y)]
        found += [f"step {number} ({new[0].name}): {change}" for change in dict.fromkeys(changes)]
    return found


def _names(chain: Fingerprint) -> str:
    return " > ".join(step[0].name for step in chain.steps)


def _changes(a: Mapping[str, str], b: Mapping[str, str]) -> list[str]:
    keys = [*a, *(key for key in b if key not in a)]
    return [f"{key} {_shown(a.get(key))} -> {_shown(b.get(key))}" for key in keys if a.get(key) != b.get(key)]


def _shown(value: str | None) -> str:
    return "(absent)" if value is None else value or "(empty)"


def compare_environments(a: Environment, b: Environment) -> list[str]:
    """Say what differs between the machines and libraries of two runs.

    Returns:
        one entry per part in words, what changes numbers most first: instruction set, devices, packages, Python, processor,
        platform; empty where all are equal.
    """
    plain = [("instruction set", a.instruction_set, b.instruction_set)]
    plain += [("devices", ", ".join(a.devices) or "none", ", ".join(b.devices) or "none")]
    found = [f"{name} {old} -> {new}" for name, old, new in plain if old != new]
    found += _changes(a.packages, b.packages)
    rest = [("python", a.python, b.python), ("processor", a.cpu, b.cpu)]
    rest += [("machine", a.machine, b.machine), ("platform", a.platform, b.platform)]
    return [*found, *(f"{name} {old} -> {new}" for name, old, new in rest if old != new)]


def codec_differences(a: list[CodecInfo], b: list[CodecInfo]) -> dict[str, list[str]]:
    """What differs between codecs of the same label: label -> parts in words.

    Labels of one side alone are left out, and so are codecs that did not work on one side: those have no numbers.
    """
    old = {codec.label: codec.fingerprint for codec in a if codec.fingerprint is not None}
    new = {codec.label: codec.fingerprint for codec in b if codec.fingerprint is not None}
    compared = {label: differences(old[label], new[label]) for label in new if label in old}
    return {label: found for label, found in compared.items() if found}


def previous_warnings(path: Path, document: ResultsDocument) -> list[str]:
    """Warnings for a run that replaces the results of one with other codecs.

    Args:
        path: ``results.json`` of the run before; nothing is said where it is missing or cannot be read.
        document: the new results.
    """
    return [
        f"{label}: not the codec of the previous results in this folder, do not compare their numbers: {'; '.join(found)}"
        for label, found in codec_differences(read_codecs(path), document.codecs).items()
    ]
