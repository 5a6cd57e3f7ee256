"""Runs made by hand: per-sample scores of each model and level, and the document and replicates that they give."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from pytest_lossy.analysis.comparison import compare, measure
from pytest_lossy.analysis.measured_curves import ReplicatesOf
from pytest_lossy.assembly import build_curves
from pytest_lossy.results.document import CaseRow, CodecInfo, DataInfo, Experiment, MetricInfo, ResultsDocument
from pytest_lossy.results.replicates import StoredReplicates
from tests.unit.report.documents import JPEG, WEBP, case, document, model_info

GRID = (95.0, 50.0, 20.0, 5.0)
BITS = dict(zip(GRID, (4.0, 1.5, 0.6, 0.2), strict=True))
SHARES = dict(zip(GRID, (1.0, 0.95, 0.8, 0.5), strict=True))


@dataclass
class MadeRun:
    """Collects models; ``document`` and ``replicates`` are what a run would leave behind."""

    count: int = 40
    rows: list[CaseRow] = field(default_factory=list)
    models: list[Any] = field(default_factory=list)
    stored: dict[str, StoredReplicates] = field(default_factory=dict)

    def add(
        self,
        name: str,
        shares: Mapping[float, float] = SHARES,
        *,
        codec: str = "jpeg",
        clean: float = 0.8,
        seed: int = 0,
        noise: float = 0.05,
        higher: bool = True,
        samples: str = "s",
        bits: Mapping[float, float] = BITS,
        fingerprint: str | None = None,
        experiment: tuple[str, str, int] | None = None,
        data: str | None = "f1",
        **info: Any,
    ) -> None:
        """One model under one codec: each sample scores about ``clean * share``, errors about ``clean / share``."""
        random = np.random.default_rng(seed)
        skill = random.normal(0, noise, self.count)
        base = self._measure(clean + skill)
        if not any(row.model == name and row.codec == "clean" for row in self.rows):
            self._row(name, "clean", None, base, base, higher, samples, info, {})
            self.models.append(
                model_info(
                    name,
                    primary="m",
                    metrics=[MetricInfo(name="m", title="M", higher_is_better=higher)],
                    data=DataInfo(name="data", fingerprint=data, samples=self.count),
                    experiment=None
                    if experiment is None
                    else Experiment(name=experiment[0], arm=experiment[1], seed=experiment[2]),
                    **info,
                )
            )
        for level, share in shares.items():
            value = clean * share if higher else clean / share
            values = value + skill + random.normal(0, noise / 3, self.count)
            fields = {"bpp": bits.get(level), "fingerprint": fingerprint}
            self._row(name, codec, level, self._measure(values), base, higher, samples, info, fields)

    def _measure(self, values: np.ndarray) -> Any:
        def reduce(weights: np.ndarray) -> dict[str, np.ndarray]:
            return {"m": weights @ values / weights.sum(axis=1)}

        return measure(reduce, [None] * self.count, 200)

    def _row(
        self,
        name: str,
        codec: str,
        level: float | None,
        found: Any,
        base: Any,
        higher: bool,
        samples: str,
        info: Any,
        fields: dict[str, Any],
    ) -> None:
        reference = info.get("reference", "labels")
        metrics = compare(
            found,
            base if level is not None else None,
            higher_is_better={"m": higher},
            confidence=0.95,
            retention=reference == "labels",
        )
        row = case(
            name,
            codec,
            level,
            task=info.get("task", "segmentation"),
            primary="m",
            metrics=metrics,
            reference=reference,
            **fields,
        )
        self.rows.append(row)
        self.stored[row.id] = StoredReplicates(dict(found.point), dict(found.replicates), self.count, samples)

    @property
    def document(self) -> ResultsDocument:
        codecs: Sequence[CodecInfo] = (JPEG, WEBP)
        return document(self.rows, models=self.models, codecs=list(codecs), curves=build_curves(self.rows))

    @property
    def replicates(self) -> ReplicatesOf:
        return lambda row: None if row is None else self.stored.get(row.id)
