"""Lazy registries: built-in names, what hooks register, entry points, and dotted paths, loaded only when used."""

from __future__ import annotations

import difflib
import importlib
import importlib.metadata
import re
from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import Any

from pytest_lossy.errors import LossyError

__all__ = ["Registry", "did_you_mean", "import_dotted", "is_dotted"]

_NAME = re.compile(r"[A-Za-z0-9._-]+")


def did_you_mean(name: str, choices: Iterable[str]) -> str:
    """Return ``did you mean 'x'?`` where a choice is close to ``name``, else the list of choices."""
    known = sorted(map(str, choices))
    # Names are compared without case: 'mIoU' and 'JPEG' are what people write.
    by_lower = {choice.lower(): choice for choice in reversed(known)}
    close = difflib.get_close_matches(name.lower(), by_lower, n=1, cutoff=0.6)
    if close:
        return f"did you mean '{by_lower[close[0]]}'?"
    return f"choose one of: {', '.join(known)}" if known else "none is known"


def is_dotted(name: str) -> bool:
    """Whether ``name`` has the form ``package.module:attribute``."""
    module, _, attribute = name.partition(":")
    return all(part.isidentifier() for part in module.split(".")) and all(
        part.isidentifier() for part in attribute.split(".")
    )


def import_dotted(path: str) -> Any:
    """Import ``package.module:attribute``.

    Raises:
        LossyError: the form is wrong, the module cannot be imported or has no such attribute.
    """
    if not is_dotted(path):
        raise LossyError(f"'{path}' is not of the form package.module:name")
    module_name, _, attribute = path.partition(":")
    try:
        target: Any = importlib.import_module(module_name)
    except Exception as error:
        raise LossyError(
            f"cannot import '{module_name}' ({type(error).__name__}: {error}); install it, or make it importable "
            "with pytest's 'pythonpath' option"
        ) from error
    for part in attribute.split("."):
        try:
            target = getattr(target, part)
        except AttributeError:
            names = [name for name in dir(target) if not name.startswith("_")]
            raise LossyError(f"'{module_name}' has no '{attribute}'; {did_you_mean(part, names)}") from None
    return target


class Registry:
    """Names of one kind of extension.

    Args:
        kind: the word used in messages, for example ``"codec"``.
        group: entry-point group through which other packages add names.
        builtin: name -> ``module:attribute`` of this package.
    """

    def __init__(self, kind: str, group: str, builtin: Mapping[str, str]) -> None:
        self.kind = kind
        self.group = group
        self.builtin = dict(builtin)
        self.registered: dict[str, Any] = {}
        """Of ``pytest_lossy_register`` hooks, for as long as their pytest runs: an object, or where to import it from."""

    @cached_property
    def third_party(self) -> dict[str, importlib.metadata.EntryPoint]:
        """Entry points of installed packages; a built-in name cannot be replaced."""
        points = importlib.metadata.entry_points(group=self.group)
        return {point.name: point for point in points if point.name not in self.builtin}

    def names(self) -> list[str]:
        """All known names, sorted."""
        return sorted({*self.builtin, *self.registered, *self.third_party})

    def __contains__(self, name: str) -> bool:
        return name in self.builtin or name in self.registered or name in self.third_party

    def register(self, name: str, target: Any) -> None:
        """Add a name for the time being.

        Args:
            name: letters, digits, ``.``, ``_`` and ``-``.
            target: the object itself, or ``"package.module:attribute"``, which is imported when it is first used.

        Raises:
            LossyError: the name is taken or is no name, or the target is neither.
        """
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise LossyError(f"{self.kind} {name!r}: is no name; write letters, digits, '.', '_' and '-'")
        if name in self and self.registered.get(name) is not target:
            owner = "built in" if name in self.builtin else "registered already"
            raise LossyError(f"{self.kind} '{name}' is {owner}; choose another name")
        if not callable(target) and not (isinstance(target, str) and is_dotted(target)):
            raise LossyError(
                f"{self.kind} '{name}': {target!r} is neither a class nor a function; register one, or write "
                "'package.module:name'"
            )
        self.registered[name] = target

    def forget(self, name: str) -> None:
        """Undo :meth:`register`."""
        self.registered.pop(name, None)

    def load(self, name: str) -> Any:
        """Return the registered object, or what a dotted path names.

        Raises:
            LossyError: the name is unknown (with a suggestion) or its code cannot be imported.
        """
        if name in self.builtin:
            return import_dotted(self.builtin[name])
        if name in self.registered:
            target = self.registered[name]
            return import_dotted(target) if isinstance(target, str) else target
        if name in self.third_party:
            try:
                return self.third_party[name].load()
            except Exception as error:
                raise LossyError(
                    f"{self.kind} '{name}' of package {self.third_party[name].value!r} cannot be imported "
                    f"({type(error).__name__}: {error}); reinstall or remove that package"
                ) from error
        if is_dotted(name):
            return import_dotted(name)
        raise LossyError(f"unknown {self.kind} '{name}'; {did_you_mean(name, self.names())}")
