"""What a test sees of an evaluation: numbers that compare as numbers and know their intervals."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, overload

from pytest_lossy.registry import did_you_mean
from pytest_lossy.results.document import CaseRow
from pytest_lossy.results.values import Number

__all__ = ["LossyResult", "LossyResults", "Measurement"]

_SHOWN = 4
"""Metrics in a printed result; the others are counted."""


class Measurement(float):
    """A number with the ends of its 95 % interval (or that of thresholds.yaml); both None where there is none.

    It is NaN where it is undefined: every comparison with it is false, so that an ``assert`` fails.
    """

    low: float | None
    high: float | None

    def __new__(cls, value: Number, low: Number = None, high: Number = None) -> Measurement:
        """Make one; None is NaN."""
        number = super().__new__(cls, math.nan if value is None else value)
        number.low, number.high = low, high
        return number

    def __getnewargs__(self) -> tuple[float, Number, Number]:  # type: ignore[override]  # to copy and to pickle
        return float(self), self.low, self.high

    def __repr__(self) -> str:
        if math.isnan(self):
            return "undefined"
        interval = "" if self.low is None or self.high is None else f" [{self.low:.4g}, {self.high:.4g}]"
        return f"{float(self):.4g}{interval}"

    __str__ = __repr__


class LossyResult(Mapping[str, Measurement]):
    """One case: a model's metrics at one level of one codec, or on clean data.

    ``result["miou"]`` and ``result.miou`` are numbers with ``low`` and ``high``; slices are ``result["miou[road]"]``.
    ``result.retention("miou")`` is the share of the clean metric that is left, ``result.loss("miou")`` the difference in
    the metric's units, positive where it is worse.
    """

    def __init__(self, row: CaseRow) -> None:
        self._row = row

    @property
    def model(self) -> str:
        """The model's name in the results."""
        return self._row.model

    @property
    def task(self) -> str:
        """The task's name."""
        return self._row.task

    @property
    def codec(self) -> str | None:
        """The codec's label; None for the clean case."""
        return None if self.is_clean else self._row.codec

    @property
    def level(self) -> float | None:
        """The codec's level, a whole number where it is one; None for the clean case."""
        level = self._row.level
        return int(level) if level is not None and level == int(level) else level

    @property
    def is_clean(self) -> bool:
        """Whether no codec was used: what every level is compared with."""
        return self._row.codec == "clean"

    @property
    def case(self) -> str:
        """As in node ids, such as ``jpeg-q15``."""
        return self._row.id.rpartition("::")[2]

    @property
    def primary(self) -> str:
        """The name of the task's first metric."""
        return self._row.primary

    @property
    def samples(self) -> int:
        """How many samples were scored."""
        return self._row.samples

    @property
    def bpp(self) -> float | None:
        """Bits per pixel; None for the clean case."""
        return self._row.bpp

    @property
    def psnr(self) -> float | None:
        """In dB; None for the clean case, and where a sample is unchanged."""
        return self._row.psnr

    @property
    def verdict(self) -> str:
        """Of thresholds.yaml in a lossy run; ``ungated`` without."""
        return self._row.verdict

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader of the numbers must know."""
        return tuple(self._row.notes)

    def as_row(self) -> dict[str, Any]:
        """The case's entry in ``results.json``: plain builtins."""
        return self._row.model_dump(mode="json")

    def retention(self, metric: str | None = None) -> Measurement:
        """metric / clean metric, of an error clean / metric; 1 for the clean case.

        Undefined where the clean metric is 0 or its interval contains 0, and in label-free mode.

        Args:
            metric: default: the task's first.
        """
        __tracebackhide__ = True
        value = self._value(metric)
        if self.is_clean:
            known = value.value is not None and self._row.reference == "labels"
            return Measurement(1.0 if known else None)
        return Measurement(value.retention, value.retention_low, value.retention_high)

    def loss(self, metric: str | None = None) -> Measurement:
        """clean - metric in the metric's units, of an error metric - clean; 0 for the clean case."""
        __tracebackhide__ = True
        value = self._value(metric)
        if self.is_clean:
            return Measurement(0.0 if value.value is not None else None)
        return Measurement(value.loss, value.loss_low, value.loss_high)

    def __getitem__(self, metric: str) -> Measurement:
        __tracebackhide__ = True
        value = self._value(metric)
        return Measurement(value.value, value.low, value.high)

    def __iter__(self) -> Iterator[str]:
        return iter(self._row.metrics)

    def __len__(self) -> int:
        return len(self._row.metrics)

    def __getattr__(self, name: str) -> Measurement:
        __tracebackhide__ = True
        if name.startswith("_") or "_row" not in self.__dict__:
            raise AttributeError(name)
        if name not in self._row.metrics:
            raise AttributeError(f"'{name}' is no metric of this result; {did_you_mean(name, self._aggregates())}")
        return self[name]

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *self._aggregates()]

    def __eq__(self, other: object) -> bool:
        return self._row == other._row if isinstance(other, LossyResult) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._row.id)

    def __repr__(self) -> str:
        names = sorted(self._aggregates(), key=lambda name: name != self.primary)
        parts = [f"{name} {self[name]!r}" for name in names[:_SHOWN]]
        if len(names) > _SHOWN:
            parts.append(f"{len(names) - _SHOWN} more metrics")
        if not self.is_clean and self._row.reference == "labels":
            parts.insert(1, f"retention {self.retention()!r}")
        if self.bpp is not None:
            parts.append(f"{self.bpp:.3g} bits per pixel")
        verdict = "" if self.verdict == "ungated" else f", {self.verdict}"
        return f"<{self.model} {self.case}: {', '.join(parts)}, {self.samples} samples{verdict}>"

    def _aggregates(self) -> list[str]:
        return [name for name in self._row.metrics if "[" not in name and "{" not in name]

    def _value(self, metric: str | None) -> Any:
        __tracebackhide__ = True
        name = self.primary if metric is None else metric
        if name not in self._row.metrics:
            known = self._row.metrics if "[" in name or "{" in name else self._aggregates()
            raise KeyError(f"'{name}' is no metric of this result; {did_you_mean(name, known)}")
        return self._row.metrics[name]


class LossyResults(Sequence[LossyResult]):
    """Several cases of one model, each codec mild to severe: by position, by name (``results["jpeg-q15"]``), or in a loop.

    ``clean`` is the case without a codec and not one of them.
    """

    def __init__(self, clean: LossyResult, levels: Sequence[LossyResult]) -> None:
        self.clean = clean
        self._levels = tuple(levels)

    @overload
    def __getitem__(self, which: int | str) -> LossyResult: ...
    @overload
    def __getitem__(self, which: slice) -> Sequence[LossyResult]: ...
    def __getitem__(self, which: int | str | slice) -> LossyResult | Sequence[LossyResult]:
        if not isinstance(which, str):
            return self._levels[which]
        for result in (self.clean, *self._levels):
            if result.case == which:
                return result
        names = [result.case for result in (self.clean, *self._levels)]
        raise KeyError(f"no case '{which}'; {did_you_mean(which, names)}")

    def __len__(self) -> int:
        return len(self._levels)

    def __repr__(self) -> str:
        return "\n".join(map(repr, (self.clean, *self._levels)))
