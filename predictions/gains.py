"""What auditing bought: one model, one set of judged cells, the labels cleaned step by step."""

from collections.abc import Callable

from numpy.typing import ArrayLike, NDArray

STEPS = ("register", "rejected_dropped", "moved", "searched_added")


def steps_of(
    registered: ArrayLike,  # bool (n, ): a reported point lies in the cell
    kept: ArrayLike,  # bool: still, once rejected records are dropped
    moved: ArrayLike,  # bool: once moved records lie at their mark
    searched: ArrayLike,  # float (n,): 1 or 0 where searched, nan elsewhere
) -> dict[str, NDArray]:
    """Labels of the fit at each step: (n,) float of 0 and 1."""
    raise NotImplementedError


def gain(
    steps: dict[str, ArrayLike],
    scorer: Callable[[NDArray], NDArray],  # labels (n, steps) -> out-of-block scores (n, steps)
    *,
    truth: ArrayLike,  # (n,) audited 0 or 1, nan where not judged
    weights: ArrayLike,
    blocks: ArrayLike,
    n_resamples: int = 1000,
    seed: int = 0,
    error_rates_from: str = "",
) -> dict:
    """`figures["gain"]`."""
    raise NotImplementedError


def gain_ap_min(seeds: tuple[int, ...] = tuple(range(10))) -> float:
    """The smallest gain in average precision over simulated worlds, for the bench."""
    raise NotImplementedError
