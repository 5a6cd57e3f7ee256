"""Resilience for the reports: ranking, families and controlled experiments, as rows and sentences without markup."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby

from pytest_lossy.report import formatting
from pytest_lossy.report.lookup import Lookup
from pytest_lossy.results.document import ArmDifference, ArmMember, Estimate, FamilyResilience, ResilienceRow

__all__ = [
    "DECODER_CLAIM",
    "DECODER_CLAIM_SOURCE",
    "ExperimentRow",
    "RankedModel",
    "ResilienceTable",
    "area_text",
    "experiment_rows",
    "experiment_sentence",
    "points_text",
    "resilience_tables",
]

DECODER_CLAIM = (
    "there is a correlation between architectures employing an encoder-decoder pipeline and those that demonstrate "
    "resilience to lossy image compression"
)
DECODER_CLAIM_SOURCE = "Poyser, Atapour-Abarghouei & Breckon, arXiv 2007.14314"
"""Quoted beside experiments that compare such an architecture with another; nothing is computed from it."""

_FAMILY = "encoder-decoder"


@dataclass(frozen=True, slots=True)
class RankedModel:
    """One row of a ranking."""

    row: ResilienceRow
    number: int | None
    """Position of the model, for its anchor."""


@dataclass(frozen=True, slots=True)
class ResilienceTable:
    """Curves that compare: one codec at one set of levels."""

    codec: str
    levels: str
    models: tuple[RankedModel, ...]
    families: tuple[FamilyResilience, ...]


@dataclass(frozen=True, slots=True)
class ExperimentRow:
    """One arm against another."""

    difference: ArmDifference
    sentence: str
    claim: str | None
    """How the difference relates to :data:`DECODER_CLAIM`; None where no arm, or each, is an encoder-decoder."""
    arms: tuple[tuple[str, tuple[ArmMember, ...]], ...]


def points_text(estimate: Estimate | None) -> str:
    """Print a difference of shares in points, ``+1.30 [-0.40, +3.00]``."""
    if estimate is None:
        return formatting.ABSENT
    return formatting.with_interval(estimate.value, estimate.low, estimate.high, _points)


def _points(value: float | None) -> str:
    if value is None:
        return formatting.ABSENT
    text = f"{100 * value:+.2f}"
    return "0.00" if text in ("+0.00", "-0.00") else text


def area_text(estimate: Estimate | None) -> str:
    """Print a retained area with its interval, ``86.7% [85.1%, 88.3%]``."""
    if estimate is None:
        return formatting.ABSENT
    return formatting.with_interval(estimate.value, estimate.low, estimate.high, formatting.percent)


def resilience_tables(lookup: Lookup) -> list[ResilienceTable]:
    """Give one table per codec and set of levels, in the document's order."""
    resilience = lookup.document.resilience
    if resilience is None:
        return []
    numbers = {name: number for number, name in enumerate(lookup.model_names, 1)}

    def key(row: ResilienceRow | FamilyResilience) -> tuple[str, tuple[float, ...]]:
        return row.codec, tuple(row.levels)

    tables = []
    for (codec, levels), rows in groupby(resilience.ranking, key):
        names = ", ".join(lookup.level_name(codec, level) for level in levels)
        models = tuple(RankedModel(row, numbers.get(row.model)) for row in rows)
        families = tuple(row for row in resilience.families if key(row) == (codec, levels))
        tables.append(ResilienceTable(codec, names, models, families))
    return tables


def experiment_rows(lookup: Lookup) -> list[ExperimentRow]:
    """Give every difference between arms with its reading and its members by arm."""
    resilience = lookup.document.resilience
    rows = []
    for found in resilience.experiments if resilience else ():
        arms: dict[str, list[ArmMember]] = {}
        for member in found.members:
            arms.setdefault(member.arm, []).append(member)
        members = tuple((arm, tuple(group)) for arm, group in arms.items())
        rows.append(ExperimentRow(found, experiment_sentence(found), _claim(lookup, found), members))
    return rows


def experiment_sentence(found: ArmDifference) -> str:
    """Say which arm keeps more, and whether that is more than samples and seeds explain."""
    estimate = found.over_level
    if estimate is None or estimate.value is None:
        return f"The retained areas of {found.arm} and {found.against} cannot be compared."
    more, less = (found.arm, found.against) if estimate.value >= 0 else (found.against, found.arm)
    size = f"{100 * abs(estimate.value):.2f} points"
    if estimate.low is None or estimate.high is None:
        text = f"{more} keeps {size} more of its clean metric than {less}; there is no interval to judge that by."
    elif estimate.low > 0 or estimate.high < 0:
        text = f"{more} keeps {size} more of its clean metric than {less}, more than samples and seeds explain."
    else:
        text = (
            f"No difference is shown: {found.arm} minus {found.against} is {_points(estimate.value)} points of the clean "
            f"metric, and samples and seeds allow {_points(estimate.low)} to {_points(estimate.high)}."
        )
    clean = found.clean
    uneven = clean.low is not None and clean.high is not None and (clean.low > 0 or clean.high < 0)
    return f"{text} On clean samples they differ." if uneven else text


def _claim(lookup: Lookup, found: ArmDifference) -> str | None:
    arms = [
        any(_is_encoder_decoder(lookup, member.model) for member in found.members if member.arm == arm)
        for arm in (found.arm, found.against)
    ]
    estimate = found.over_level
    if arms[0] == arms[1] or estimate is None or estimate.value is None:
        return None
    if estimate.low is None or estimate.high is None or estimate.low <= 0 <= estimate.high:
        return "this experiment neither confirms nor contradicts it"
    return "this experiment agrees" if (estimate.low > 0) == arms[0] else "this experiment finds the opposite"


def _is_encoder_decoder(lookup: Lookup, model: str) -> bool:
    info = lookup.models.get(model)
    return info is not None and _FAMILY in (info.architecture or "").casefold()
