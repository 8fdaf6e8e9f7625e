"""What can be guessed without features: the share of positives, the neighbours' labels, the mean colour."""

from numpy.typing import ArrayLike, NDArray


def prevalence(y: ArrayLike, weights: ArrayLike, groups: ArrayLike, buffers: list[NDArray]) -> NDArray:
    """Out-of-group share of positives of the training labels: (n,)."""
    raise NotImplementedError


def interpolation(
    cells: ArrayLike,
    y: ArrayLike,
    weights: ArrayLike,
    groups: ArrayLike,
    buffers: list[NDArray],
    *,
    n_neighbours: int = 16,
    power: float = 2.0,
) -> NDArray:
    """Training labels of other groups, weighted by inverse distance: (n,)."""
    raise NotImplementedError


def colour(colours: ArrayLike, y: ArrayLike, weights: ArrayLike, groups: ArrayLike, buffers: list[NDArray]) -> NDArray:
    """Out-of-group scores of a ridge on mean colours: (n,)."""
    raise NotImplementedError
