"""Where the map can be trusted: cells no farther from the training cells, in features, than these are from each other."""

from dataclasses import dataclass

from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True)
class Applicability:
    """The area of applicability of one fit."""

    threshold: float

    @classmethod
    def fit(
        cls, X: ArrayLike, importance: ArrayLike, groups: ArrayLike, *, n_projections: int = 64, seed: int = 0
    ) -> "Applicability":
        """X (n, p): training rows of the fit; importance (p,): |coef| on standardised columns; groups: its blocks."""
        raise NotImplementedError

    def distance(self, X: ArrayLike) -> NDArray:
        """DI of rows (m, p): (m,) float32, nan where features are missing."""
        raise NotImplementedError

    def to_arrays(self) -> dict[str, NDArray]:
        raise NotImplementedError

    @classmethod
    def from_arrays(cls, arrays: dict[str, NDArray]) -> "Applicability":
        raise NotImplementedError
