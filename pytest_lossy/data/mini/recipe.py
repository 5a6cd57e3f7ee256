"""What a data set wants in its streets: how many vehicles and people, of which kinds, how far away."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["CLOSE_UP", "PEOPLE", "STAGE", "STREET", "SURVEY", "TRAFFIC", "Recipe"]


@dataclass(frozen=True, slots=True)
class Recipe:
    """Numbers behind the random choices of a scene; shares sum to 1, ranges of counts exclude their end."""

    vehicles: tuple[int, int] = (3, 11)
    vehicle_kinds: tuple[float, ...] = (0.25, 0.26, 0.14, 0.13, 0.11, 0.06, 0.05)
    """Frequencies of ``vehicle_models.MODELS``."""
    vehicle_distances: tuple[float, float] = (7.0, 80.0)
    """Metres ahead of the camera, log-uniform, as are the people's."""
    tall_distance: float = 16.0
    """Lorries and buses keep that distance in metres, or they would hide the street."""
    people: tuple[int, int] = (3, 12)
    people_distances: tuple[float, float] = (3.5, 42.0)
    poses: tuple[float, ...] = (0.2, 0.42, 0.06, 0.06, 0.08, 0.06, 0.05, 0.03, 0.04)
    """Frequencies of ``skeleton.POSES``."""
    in_view: bool = False
    """People stand where the camera sees them; else some stand beside the picture."""
    exact_kerbs: bool = True
    """Off for ``STREET`` alone: trained weights depend on its pixels, and its data set gives no depth."""
    survey: bool = False
    """One focal length, at heights of 1 to 6 m and at many pitches: for metric depth."""


STREET = Recipe(exact_kerbs=False)
"""Everyday traffic."""

TRAFFIC = Recipe(
    vehicle_kinds=(0.16, 0.16, 0.11, 0.1, 0.18, 0.15, 0.14),
    vehicles=(4, 12),
    people=(2, 8),
    vehicle_distances=(4.5, 55.0),
    tall_distance=9.0,
    people_distances=(2.8, 32.0),
    in_view=True,
)
"""As many vans, lorries and buses as a detector needs to learn and to be judged on."""

PEOPLE = Recipe(
    vehicles=(1, 6), people=(2, 7), people_distances=(2.7, 7.5), in_view=True,
    poses=(0.14, 0.26, 0.12, 0.1, 0.09, 0.09, 0.08, 0.06, 0.06),
)  # fmt: skip
"""People near enough for their joints to be found, most of them 50 to 160 pixels tall, in many poses."""

SURVEY = Recipe(survey=True)
"""Streets seen by one lens from many heights."""

STAGE = Recipe(vehicles=(1, 5), people=(0, 5), people_distances=(15.0, 42.0), vehicle_distances=(12.0, 80.0))
"""A street that leaves the foreground to actors."""

CLOSE_UP = Recipe(vehicles=(0, 4), people=(0, 3), vehicle_distances=(24.0, 80.0), people_distances=(20.0, 42.0))
"""A background for one object."""
