"""Names that hooks registered on the driver, for workers, which load no conftest.py."""

from __future__ import annotations

import pickle
import sys
from pathlib import Path
from typing import Any

from pytest_lossy.codecs.registry import CODECS
from pytest_lossy.data.registry import DATASETS
from pytest_lossy.errors import ConfigurationError
from pytest_lossy.models.names import MODELS
from pytest_lossy.registry import Registry
from pytest_lossy.tasks.registry import TASKS

__all__ = ["pack_registered", "unpack_registered"]

_REGISTRIES: tuple[Registry, ...] = (CODECS, TASKS, DATASETS, MODELS)


def pack_registered(root: Path) -> bytes:
    """What hooks registered; empty where they registered nothing.

    Args:
        root: of the repository, whose modules may have other names on a worker: their classes are sent by value.

    Raises:
        ConfigurationError: something cannot be sent.
    """
    import ray

    cloudpickle: Any = ray.cloudpickle
    found: dict[str, dict[str, Any]] = {}
    for registry in _REGISTRIES:
        for name, target in registry.registered.items():
            module = sys.modules.get(getattr(target, "__module__", None) or "")
            own = module is not None and Path(getattr(module, "__file__", None) or "/").is_relative_to(root)
            if own:
                cloudpickle.register_pickle_by_value(module)
            try:
                found.setdefault(registry.kind, {})[name] = cloudpickle.dumps(target)
            except Exception as error:  # noqa: BLE001  pickling runs whatever the object brings
                raise ConfigurationError(
                    f"--lossy-engine=ray: {registry.kind} '{name}', which a hook registered, cannot be sent to workers "
                    f"({type(error).__name__}: {error}); register it as 'package.module:name'"
                ) from None
            finally:
                if own:
                    cloudpickle.unregister_pickle_by_value(module)
    return pickle.dumps(found) if found else b""


def unpack_registered(packed: bytes) -> None:
    """Register on a worker what :func:`pack_registered` found; called once the user's modules can be imported."""
    if not packed:
        return
    found: dict[str, dict[str, bytes]] = pickle.loads(packed)  # noqa: S301  from this run's own driver
    for registry in _REGISTRIES:
        for name, target in found.get(registry.kind, {}).items():
            if name not in registry:
                registry.register(name, pickle.loads(target))  # noqa: S301
