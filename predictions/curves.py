"""Figures along a score: how often a stated probability comes true, what each threshold finds."""

from numpy.typing import ArrayLike


def reliability(y: ArrayLike, probabilities: ArrayLike, weights: ArrayLike, blocks: ArrayLike, *, n_bins=10, seed=0):
    """dict(bins=[{"mean_score": x, "share": quantity}], ece=x)."""
    raise NotImplementedError


def thresholds(y: ArrayLike, scores: ArrayLike, weights: ArrayLike, blocks: ArrayLike, *, mapped: ArrayLike, seed=0):
    """[{"threshold", "n_above" (of the mapped scores), "precision": quantity, "recall": quantity}]."""
    raise NotImplementedError
