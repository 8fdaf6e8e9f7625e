"""Skill by region, mineral, formality, size, terrain and distance to commercial mines, at one global threshold."""

from collections.abc import Mapping

from numpy.typing import ArrayLike


def by_stratum(
    y: ArrayLike,
    scores: ArrayLike,
    weights: ArrayLike | None,
    blocks: ArrayLike,
    strata: Mapping[str, ArrayLike],  # by -> level of each cell (n,), "" where not stated
    *,
    threshold: float,
    n_resamples: int = 1000,
    n_permutations: int = 1000,
    seed: int = 0,
) -> list[dict]:
    """`figures["strata"]`: a row for each level of each stratum."""
    raise NotImplementedError


def distance_levels(distance_m: ArrayLike):
    """Words for distances to the nearest commercial mine: "on", "under_2_km", "2_to_5_km", "over_5_km"; "" for nan."""
    raise NotImplementedError
