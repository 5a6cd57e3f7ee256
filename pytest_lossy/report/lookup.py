"""What every renderer looks up in a results document: directions, order of levels, names, commands."""

from __future__ import annotations

import shlex
from functools import cached_property

from pytest_lossy.report import formatting
from pytest_lossy.results.document import (
    CaseRow,
    CodecInfo,
    Curve,
    GateResult,
    MetricInfo,
    MetricValue,
    ModelInfo,
    ResultsDocument,
    SourceQuality,
    Verdict,
)
from pytest_lossy.results.fingerprints import parse_fingerprint

__all__ = ["CLEAN", "MIX", "VERDICTS", "Lookup", "verdict_word"]

CLEAN = "clean"
"""The codec label of a case without a codec."""

MIX = "mix"
"""The codec label of a case that judges a fleet's mix of levels."""

VERDICTS: tuple[Verdict, ...] = (
    "failed",
    "error",
    "crashed",
    "inconclusive",
    "not_run",
    "ungated",
    "passed",
)
"""Worst first: the order in which reports count and list them."""


def verdict_word(verdict: Verdict) -> str:
    """Give the verdict in words, ``not run``."""
    return verdict.replace("_", " ")


class Lookup:
    """A read-only index over one document. Every lookup survives names that the document does not define."""

    def __init__(self, document: ResultsDocument) -> None:
        self.document = document
        self.models = {model.name: model for model in document.models}
        self.codecs = {codec.label: codec for codec in document.codecs}
        self.cases = {case.id: case for case in document.cases}

    @cached_property
    def model_names(self) -> list[str]:
        """Every model that is declared or has a row, in the document's order."""
        names = [model.name for model in self.document.models]
        names += [case.model for case in self.document.cases] + [curve.model for curve in self.document.curves]
        return list(dict.fromkeys(names))

    @cached_property
    def codec_labels(self) -> list[str]:
        """Every codec that is declared or has a row, without clean, in the document's order."""
        labels = [codec.label for codec in self.document.codecs]
        labels += [case.codec for case in self.document.cases] + [curve.codec for curve in self.document.curves]
        return [label for label in dict.fromkeys(labels) if label not in (CLEAN, MIX)]

    @cached_property
    def cases_of(self) -> dict[str, list[CaseRow]]:
        """Rows by model, in the document's order."""
        found: dict[str, list[CaseRow]] = {}
        for case in self.document.cases:
            found.setdefault(case.model, []).append(case)
        return found

    @cached_property
    def curves_of(self) -> dict[str, list[Curve]]:
        """Curves by model, in the document's order."""
        found: dict[str, list[Curve]] = {}
        for curve in self.document.curves:
            found.setdefault(curve.model, []).append(curve)
        return found

    def curve(self, model: str, codec: str) -> Curve | None:
        """Give the curve of one (model, codec)."""
        return next((curve for curve in self.curves_of.get(model, []) if curve.codec == codec), None)

    @cached_property
    def clean_cases(self) -> dict[str, CaseRow]:
        """The clean row of each model that has one."""
        return {case.model: case for case in self.document.cases if case.codec == CLEAN}

    def metric(self, model: str, name: str) -> MetricInfo | None:
        """Give what ``name`` means for ``model``; a slice ``miou[road]`` or ``miou{night}`` inherits from ``miou``."""
        info: ModelInfo | None = self.models.get(model)
        known = {metric.name: metric for metric in info.metrics} if info else {}
        return known.get(name) or known.get(name.partition("[")[0].partition("{")[0])

    def higher_is_better(self, model: str, name: str) -> bool:
        """Give the direction of a metric; a metric that nobody described is taken for a score."""
        info = self.metric(model, name)
        return info.higher_is_better if info else True

    def metric_title(self, model: str, name: str) -> str:
        """Give the metric's name with its unit and, for an error, its direction."""
        info = self.metric(model, name)
        name = f"{name} agreement" if self.label_free(model) else name
        if info is None:
            return name
        unit = f" ({info.unit})" if info.unit else ""
        return f"{name}{unit}" if info.higher_is_better else f"{name}{unit}, lower is better"

    def label_free(self, model: str) -> bool:
        """Say whether a model was scored against its own clean predictions: its metrics are agreement."""
        info = self.models.get(model)
        return info is not None and info.reference == "clean"

    def primary(self, model: str) -> str | None:
        """Give the primary metric of a model, from its declaration or from its rows."""
        info = self.models.get(model)
        rows = self.cases_of.get(model, [])
        return info.primary if info else rows[0].primary if rows else None

    def rises(self, codec: str) -> bool:
        """Say whether a higher level compresses more; an undeclared codec is read off its curve."""
        info: CodecInfo | None = self.codecs.get(codec)
        if info:
            return info.higher_is_more_compressed
        for curve in self.document.curves:
            if curve.codec == codec and len(curve.points) > 1:
                return curve.points[0].level <= curve.points[-1].level
        return True

    def severity(self, codec: str, level: float) -> float:
        """Give a number that grows with compression, to sort mild to severe."""
        return level if self.rises(codec) else -level

    def parameter(self, codec: str) -> str:
        """Give the name of the codec's level, ``q`` or ``crf``; ``level`` where nobody says."""
        info = self.codecs.get(codec)
        if info:
            return info.parameter
        return next(
            (case.parameter for case in self.document.cases if case.codec == codec and case.parameter),
            "level",
        )

    def source_quality(self, model: str, codec: str) -> SourceQuality | None:
        """Give what the model's data had been through already, on the scale of ``codec``'s level.

        JPEG files compare with the levels of ``jpeg``, a video's bit rate with those of its codec at a constant bit rate.
        None where the sources are of another kind, or where the codec's own tables give its levels another meaning.
        """
        info, data = self.codecs.get(codec), self.models.get(model)
        if info is None or data is None:
            return None
        found = data.data.source_quality.get(info.name.removesuffix("-cbr"))
        if found is None or found.parameter != info.parameter:
            return None
        fingerprint = parse_fingerprint(info.fingerprint or "")
        own_tables = fingerprint is not None and fingerprint.fields.get("qtables", "None") != "None"
        return None if own_tables else found

    def source_limit(self, model: str, codec: str) -> float | None:
        """Give the level beyond which ``codec`` is milder than what the model's data had been through: their median.

        None where that is unknown, or where less than half of the samples are of such sources.
        """
        found = self.source_quality(model, codec)
        if found is None:
            return None
        samples = self.models[model].data.samples
        return found.median if samples is None or 2 * found.count >= samples else None

    def milder_than_source(self, model: str, codec: str, level: float) -> bool:
        """Say whether a level compresses less than the sources had been compressed already."""
        limit = self.source_limit(model, codec)
        return limit is not None and self.severity(codec, level) < self.severity(codec, limit)

    def source_note(self, curve: Curve) -> str | None:
        """Say which levels of a curve are milder than the source, and what the source is; None where none is."""
        found = self.source_quality(curve.model, curve.codec)
        milder = [
            point.level for point in curve.points if self.milder_than_source(curve.model, curve.codec, point.level)
        ]
        if found is None or not milder:
            return None
        ordered = sorted(milder, key=lambda level: self.severity(curve.codec, level))
        names = ", ".join(self.level_name(curve.codec, level) for level in ordered)
        low, high = (formatting.level(level) for level in (found.minimum, found.maximum))
        spread = "" if low == high else f", from {low} to {high}"
        if found.parameter == "q":
            stored = f"{formatting.count(found.count, 'JPEG file')} of quality {formatting.level(found.median)}"
        else:
            stored = f"{formatting.count(found.count, 'video')} of {formatting.level(found.median)} kbit/s"
        estimated = f", {found.nonstandard} of them by the nearest standard tables" if found.nonstandard else ""
        return (
            f"Shaded: {names} {'is' if len(milder) == 1 else 'are'} milder than the source ({stored}{spread}"
            f"{' (median)' if spread else ''}{estimated}): what was lost before cannot be seen here."
        )

    def level_name(self, codec: str, level: float | None) -> str:
        """Give the level as node ids print it, ``q15``; ``clean`` without a codec."""
        if codec == CLEAN:
            return CLEAN
        return f"{self.parameter(codec)}{formatting.level(level)}"

    def case_level(self, case: CaseRow) -> str:
        """Give the level of a row, ``q15``; ``clean``, ``knee``, or the name of a mix."""
        if self.is_knee(case):
            return "knee"
        return case.mix if case.mix is not None else self.level_name(case.codec, case.level)

    @staticmethod
    def is_knee(case: CaseRow) -> bool:
        """Say whether a row judges the knee of a curve; an error may have kept it from finding one."""
        return case.level is None and case.codec not in (CLEAN, MIX)

    def knee_text(self, case: CaseRow) -> str:
        """Give the knee that a row found, ``q17.3 [14.9, 20.1]``, or why there is none in two or three words."""
        knee = case.knee
        if knee is None:
            return formatting.ABSENT
        if knee.position is not None:
            return formatting.knee_level(knee.position.level, self.parameter(case.codec))
        return {"not_resolved": "not resolved", "beyond_range": "beyond the levels tried"}.get(knee.status, "undefined")

    def turn(self, case: CaseRow) -> tuple[bool, float]:
        """Sort the rows of one curve: mild to severe, then its knee."""
        return case.level is None, self.severity(case.codec, case.level or 0.0)

    def role_text(self, case: CaseRow) -> str:
        """Say what a row is that is no case of the run, ``reference`` or ``probe``; empty for a case."""
        return "" if case.role == "case" else case.role

    def case_name(self, case: CaseRow) -> str:
        """Give the short name of a row within its model, ``jpeg q15``."""
        return CLEAN if case.codec == CLEAN else f"{case.codec} {self.case_level(case)}"

    def rerun(self, case: CaseRow) -> str:
        """Give the command that reproduces one row, quoted for a POSIX shell.

        Only a lossy flag collects the specs, so a clean case and a mix ask for all codecs and are then selected by
        their id; a smoke run is reproduced on the same samples.
        """
        codec = "all" if case.codec in (CLEAN, MIX) else case.codec
        words = ["pytest", f"--lossy-codec={codec}"]
        if case.reference == "clean" or "--lossy-reference" in self.document.run.command:
            words.append(f"--lossy-reference={case.reference}")
        command = _options(self.document.run.command)
        # Levels of the command line are in no spec, and a row is to be reached by its id.
        if case.level is not None and (case.role == "probe" or "--lossy-level" in command):
            words.append(f"--lossy-level={case.codec}:{formatting.level(case.level)}")
        elif self.is_knee(case):
            words += [f"--lossy-level={levels}" for levels in command.get("--lossy-level", ())]
            words += [flag for flag in ("--lossy-knee",) if flag in command]
        # The last one counts, as for argparse.
        for flag in ("--lossy-thresholds", "--lossy-tolerance"):
            words += [f"{flag}={value}" for value in command.get(flag, ())[-1:]]
        if self.document.run.samples_limit is not None:
            words.append(f"--lossy-samples={self.document.run.samples_limit}")
        return shlex.join([*words, case.id])

    def gate_in_metric_units(self, gate: GateResult, clean: MetricValue | None, model: str) -> float | None:
        """Give the metric value at which a gate lies, to draw it on the metric's axis.

        A retention r lies at ``clean * r``, for errors at ``clean / r``; a loss at ``clean - loss``, for
        errors at ``clean + loss`` (DESIGN, "Words"). None where clean is unknown or the gate has no such
        point.
        """
        if gate.quantity == "value":
            return gate.required
        if gate.quantity == "knee" or clean is None or clean.value is None:
            return None
        better = self.higher_is_better(model, gate.metric)
        if gate.quantity == "loss":
            return clean.value - gate.required if better else clean.value + gate.required
        return _retained(clean.value, gate.required, better=better)

    def retention_in_metric_units(self, curve: Curve, retention: float) -> float | None:
        """Give the metric value of a curve at a retention of its clean value; None where there is none."""
        if curve.clean is None or curve.clean.value is None:
            return None
        return _retained(curve.clean.value, retention, better=self.higher_is_better(curve.model, curve.metric))


def _options(command: str) -> dict[str, list[str]]:
    """Long flags of a command line, each with its values in order; a flag without a value has an empty one."""
    try:
        words = shlex.split(command)
    except ValueError:  # a results file that was edited by hand
        words = command.split()
    found: dict[str, list[str]] = {}
    for word, following in zip(words, [*words[1:], ""], strict=True):
        if word.startswith("--lossy-"):
            flag, given, value = word.partition("=")
            found.setdefault(flag, []).append(value if given or following.startswith("-") else following)
    return found


def _retained(clean: float, retention: float, *, better: bool) -> float | None:
    """Invert retention: metric / clean, for errors clean / metric."""
    if better:
        return clean * retention
    return clean / retention if retention > 0 else None
