"""Flags of a Ray run: every wrong one is told with what to write; nothing of Ray is imported for that."""

from __future__ import annotations

import pytest

from pytest_lossy.cluster.settings import RaySettings, read_ray_settings


def read(device: str = "auto", **values: str) -> tuple[RaySettings | None, list[str]]:
    """As from flags; values of ``exclude`` and ``env`` are what one flag said."""
    problems: list[str] = []

    def raw(name: str) -> tuple[str, str]:
        return values.get(name, ""), f"--lossy-{name.replace('_', '-')}"

    def flag(name: str) -> object:
        value = values.get(name.removeprefix("lossy_"))
        return [value] if value is not None and name.endswith(("exclude", "env")) else value

    return read_ray_settings(raw, flag, tuple(device.split(",")), problems), problems


def test_defaults_ask_for_little() -> None:
    assert read() == (None, [])
    assert read(engine="local") == (None, [])
    assert read(engine="ray") == (RaySettings(), [])


def test_everything_can_be_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATA_ROOT", "/data")
    found, problems = read(
        engine="ray",
        ray_address="a:1",
        ray_workers="4",
        ray_cpus="2",
        ray_gpus=".5",
        ray_exclude="data, *.mp4",
        ray_env="DATA_ROOT",
    )
    assert not problems
    assert found == RaySettings("a:1", 4, 2.0, 0.5, ("data", "*.mp4"), ("DATA_ROOT",))


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"engine": "rey"}, "--lossy-engine: unknown engine 'rey'; write local or ray"),
        ({"ray_workers": "4"}, "--lossy-ray-workers: belongs to --lossy-engine=ray; add that"),
        ({"engine": "ray", "ray_workers": "0"}, "--lossy-ray-workers: '0' is not a whole number of 1 or more"),
        ({"engine": "ray", "ray_workers": "2.5"}, "--lossy-ray-workers: '2.5' is not a whole number"),
        ({"engine": "ray", "ray_cpus": "many"}, "--lossy-ray-cpus: 'many' is not a number of 0 or more"),
        ({"engine": "ray", "ray_cpus": "nan"}, "--lossy-ray-cpus: 'nan' is not a number"),
        ({"engine": "ray", "ray_gpus": "2"}, "--lossy-ray-gpus: 2 is too much: a worker uses one GPU"),
        ({"engine": "ray", "ray_gpus": "1", "device": "cpu"}, "--lossy-ray-gpus: 1 beside --lossy-device=cpu"),
        ({"engine": "ray", "ray_gpus": "0", "device": "cuda"}, "--lossy-ray-gpus: 0 beside --lossy-device=cuda"),
        ({"engine": "ray", "device": "cuda:1"}, "--lossy-device=cuda:1: on a cluster Ray chooses the GPU"),
        ({"engine": "ray", "device": "cpu,cuda"}, "--lossy-device=cpu,cuda: on a cluster Ray chooses the GPU"),
        ({"engine": "ray", "ray_env": "NOT_SET_ANYWHERE"}, "--lossy-ray-env: NOT_SET_ANYWHERE is not set here"),
    ],
)
def test_what_is_wrong_is_told_with_what_to_write(values: dict[str, str], told: str) -> None:
    _, [problem] = read(**values)
    assert problem.startswith(told)
