"""What other code adds to a run by hooks: names for codecs, tasks, data sets and models, and whoever wants the results."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from pytest_lossy.errors import LossyError

if TYPE_CHECKING:
    from pytest_lossy.registry import Registry

__all__ = ["ExtensionRegistry", "call_hook", "register_extensions"]


class ExtensionRegistry:
    """What ``pytest_lossy_register`` is called with.

    Each method takes a name and what it stands for: a class or function, or ``"package.module:name"``, which is imported
    when the name is first used. All raise :class:`pytest.UsageError` where the name is taken.
    """

    def __init__(self) -> None:
        self._undo: list[Callable[[], None]] = []

    def codec(self, name: str, target: Any) -> None:
        """Add a codec: a class of :class:`~pytest_lossy.codecs.base.Codec`, called with the options of a spec."""
        from pytest_lossy.codecs.registry import CODECS

        self._register(CODECS, name, target)

    def task(self, name: str, target: Any) -> None:
        """Add a task: a class of :class:`~pytest_lossy.tasks.base.Task`, called with the classes of the data."""
        from pytest_lossy.tasks.registry import TASKS

        self._register(TASKS, name, target)

    def data(self, name: str, target: Any) -> None:
        """Add a data set: what makes a :class:`~pytest_lossy.data.base.Dataset`, called with ``data.kwargs``."""
        from pytest_lossy.data.registry import DATASETS

        self._register(DATASETS, name, target)

    def model(self, name: str, target: Any) -> None:
        """Add a model: a builder, called with ``model.kwargs``, of anything that ``lossy.evaluate`` takes."""
        from pytest_lossy.models.names import MODELS

        self._register(MODELS, name, target)

    def _register(self, known: Registry, name: str, target: Any) -> None:
        problem = None
        try:
            known.register(name, target)
        except LossyError as error:
            problem = str(error)
        if problem is not None:
            raise pytest.UsageError(f"pytest_lossy_register: {problem}")
        self._undo.append(lambda: known.forget(name))

    def undo(self) -> None:
        """Forget everything that was registered."""
        while self._undo:
            self._undo.pop()()


_REGISTRY = pytest.StashKey[ExtensionRegistry]()


def register_extensions(config: pytest.Config) -> None:
    """Call ``pytest_lossy_register`` in every plugin, those that are loaded later included; at most once per pytest.

    Raises:
        pytest.UsageError: a name is taken.
    """
    if _REGISTRY not in config.stash:
        registry = config.stash[_REGISTRY] = ExtensionRegistry()
        config.add_cleanup(registry.undo)
        config.hook.pytest_lossy_register.call_historic(kwargs={"registry": registry})


def call_hook(config: pytest.Config, name: str, **arguments: Any) -> str | None:
    """Call a hook that must not cost the run: what it raised, with its place, or None."""
    try:
        getattr(config.hook, name)(config=config, **arguments)
    except Exception as error:  # noqa: BLE001  another's code, such as a client of a server that is down
        frame = traceback.extract_tb(error.__traceback__)[-1]
        first = next(iter(str(error).splitlines()), "")
        return f"{name} raised {type(error).__name__}: {first} ({frame.filename}:{frame.lineno})"
    return None
