"""The flags and ini values of runs on a Ray cluster. Imports nothing heavy, and not Ray."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pytest

__all__ = ["ENGINES", "RaySettings", "engine_problem", "read_ray_settings"]

ENGINES = ("local", "ray")


@dataclass(frozen=True, slots=True)
class RaySettings:
    """Where cases run, and what each worker asks for."""

    address: str | None = None
    """``auto``, ``host:port`` or ``ray://host:port``; None for ``$RAY_ADDRESS``, or else a cluster of this machine alone."""
    workers: int | None = None
    """None for one per selected case, as far as the cluster has room."""
    cpus: float = 1.0
    gpus: float | None = None
    """None for one where the device is a GPU."""
    exclude: tuple[str, ...] = ()
    """What is not shipped, as patterns on paths relative to the root directory."""
    environment: tuple[str, ...] = ()
    """Names of environment variables that workers have as the driver has them."""


def engine_problem(config: pytest.Config) -> str | None:
    """What does not go with ``--lossy-engine=ray``; None where nothing is wrong."""
    chosen = config.getoption("lossy_engine", None) or config.getini("lossy_engine")
    if chosen != "ray" or hasattr(config, "workerinput"):
        return None
    if getattr(config.option, "tx", None):
        return "-n beside --lossy-engine=ray: Ray spreads the cases itself; leave -n out, and say --lossy-ray-workers=N"
    return None


def read_ray_settings(
    raw: Callable[[str], tuple[str, str]], flag: Callable[[str], Any], device: tuple[str, ...], problems: list[str]
) -> RaySettings | None:
    """Read every flag and ini value about the engine.

    Args:
        raw: gives the text of a value and where it comes from, empty where it is not set.
        flag: gives a flag's value as pytest has it.
        device: ``--lossy-device``.
        problems: what is wrong is added to it.

    Returns:
        None for the local engine.
    """
    engine, origin = raw("engine")
    if engine and engine not in ENGINES:
        problems.append(f"{origin}: unknown engine '{engine}'; write {' or '.join(ENGINES)}")
    if engine != "ray":
        problems += [
            f"--lossy-ray-{name}: belongs to --lossy-engine=ray; add that, or leave this out"
            for name in ("address", "workers", "cpus", "gpus", "exclude", "env")
            if flag(f"lossy_ray_{name}") is not None
        ]
        return None
    if len(device) > 1 or ":" in device[0]:
        problems.append(
            f"--lossy-device={','.join(device)}: on a cluster Ray chooses the GPU of each worker; write auto, cpu or cuda"
        )
    gpus = _number(raw("ray_gpus"), 0.0, problems)
    if gpus is not None and gpus > 1:
        problems.append(
            f"{raw('ray_gpus')[1]}: {gpus:g} is too much: a worker uses one GPU; write 1, or a share such as 0.5"
        )
    if gpus == 0 and device == ("cuda",):
        problems.append(f"{raw('ray_gpus')[1]}: 0 beside --lossy-device=cuda; write more than 0, or --lossy-device=cpu")
    if gpus and device == ("cpu",):
        problems.append(f"{raw('ray_gpus')[1]}: {gpus:g} beside --lossy-device=cpu; write 0, or --lossy-device=cuda")
    cpus = _number(raw("ray_cpus"), 0.0, problems)
    workers = _number(raw("ray_workers"), 1.0, problems, whole=True)
    names = _several(raw, flag, "ray_env")
    problems += [
        f"--lossy-ray-env: {name} is not set here; set it, or leave it out" for name in names if name not in os.environ
    ]
    return RaySettings(
        address=raw("ray_address")[0] or None,
        workers=int(workers) if workers is not None else None,
        cpus=1.0 if cpus is None else cpus,
        gpus=gpus,
        exclude=_several(raw, flag, "ray_exclude"),
        environment=names,
    )


def _several(raw: Callable[[str], tuple[str, str]], flag: Callable[[str], Any], name: str) -> tuple[str, ...]:
    """Values of a repeatable flag, or of its ini twin, separated by commas or blanks."""
    texts = flag(f"lossy_{name}") or [raw(name)[0]]
    return tuple(value for text in texts for value in text.replace(",", " ").split())


def _number(found: tuple[str, str], minimum: float, problems: list[str], *, whole: bool = False) -> float | None:
    text, origin = found
    if not text:
        return None
    try:
        number = float(int(text) if whole else text)
    except ValueError:
        number = -1.0
    if not minimum <= number < float("inf"):
        problems.append(
            f"{origin}: {text!r} is not a {'whole ' if whole else ''}number of {minimum:g} or more; correct it"
        )
        return None
    return number
