"""How a spec declares levels of which this package knows nothing: those of an external tool, or of a perturber."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, model_validator

from pytest_lossy.codecs.base import Levels

__all__ = ["LevelOptions"]


class LevelOptions(BaseModel):
    """Range, direction and default grid of a level."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    minimum: Annotated[FiniteFloat, Field(description="the lowest level, mild or severe")]
    maximum: Annotated[FiniteFloat, Field(description="the highest level")]
    higher_is_more_compressed: Annotated[
        bool, Field(description="true where a higher level does more harm, as CRF does; false for a quality")
    ]
    integral: Annotated[bool, Field(description="whether levels are whole numbers")] = True
    levels_default: Annotated[
        tuple[FiniteFloat, ...] | None,
        Field(
            min_length=1,
            description="the grid of specs that name no levels; default: five, evenly spaced over the range",
        ),
    ] = None

    @model_validator(mode="after")
    def _usable_levels(self) -> LevelOptions:
        if self.minimum >= self.maximum:
            raise ValueError(f"minimum {self.minimum:g} is not below maximum {self.maximum:g}; exchange them")
        for bound in (self.minimum, self.maximum):
            if self.integral and bound != int(bound):
                raise ValueError(f"{bound:g} is not a whole number; choose whole bounds, or set 'integral: false'")
        wrong = [problem for level in self.levels_default or () if (problem := self.levels.problem(level))]
        if wrong:
            raise ValueError(f"levels_default: {'; '.join(wrong)}")
        return self

    @property
    def levels(self) -> Levels:
        """Range, default grid and direction."""
        low, high = self.minimum, self.maximum
        grid = self.levels_default
        if grid is None:
            spaced = [low + (high - low) * step / 4 for step in range(5)]
            grid = tuple(dict.fromkeys(float(round(level)) for level in spaced) if self.integral else spaced)
        mild_to_severe = tuple(sorted(grid, reverse=not self.higher_is_more_compressed))
        return Levels(low, high, mild_to_severe, self.higher_is_more_compressed, self.integral)
