"""Models that a case is compared with, loaded where their evidence is not there yet: one at a time beside the case's own."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from pytest_lossy.cases import CodecPlan, IndexedSpec
from pytest_lossy.engine.loaded import LoadedModel
from pytest_lossy.errors import ModelError

__all__ = ["OtherModels"]


class OtherModels:
    """The other models of a run, in one process.

    Args:
        specs: every spec of the run by its name, narrowed or not.
        plan: gives the codec of a label for a spec; None where it has none.
        load: how this process comes to a model.
    """

    def __init__(
        self,
        specs: Mapping[str, IndexedSpec],
        plan: Callable[[IndexedSpec, str], CodecPlan | None],
        load: Callable[[IndexedSpec], LoadedModel],
    ) -> None:
        self._specs, self._plan, self._load = specs, plan, load
        self._loaded: LoadedModel | None = None

    def spec(self, name: str) -> IndexedSpec:
        """The spec of a model.

        Raises:
            ModelError: no spec declares it.
        """
        if name not in self._specs:
            raise ModelError(f"no spec of this run declares '{name}'; put its spec beside the others")
        return self._specs[name]

    def plan(self, name: str, label: str) -> CodecPlan:
        """The codec of a label for a model.

        Raises:
            ModelError: there is none.
        """
        spec = self.spec(name)
        found = self._plan(spec, label)
        if found is None:
            raise ModelError(f"{spec.shown}: has no codec '{label}'; list it below 'codecs'")
        return found

    @property
    def loaded(self) -> str | None:
        """The name of the model that is loaded: what needs several asks for this one first."""
        return self._loaded.spec.name if self._loaded is not None else None

    def load(self, name: str) -> LoadedModel:
        """A model, in place of the one that was loaded before.

        Raises:
            LossyError: it cannot be loaded.
        """
        if self._loaded is None or self._loaded.spec.name != name:
            self.release()
            self._loaded = self._load(self.spec(name))
        return self._loaded

    def release(self) -> None:
        """Free what is loaded."""
        if self._loaded is not None:
            self._loaded.close()
            self._loaded = None
