"""Areas side by side: each drawn towards the line of shares on mean scores, the more the less sure it is."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import optimize


def shrunk(means: ArrayLike, shares: Sequence[float | None], variances: Sequence[float | None]) -> list[float | None]:
    """Shares drawn towards what mean scores let expect.

    Parameters
    ----------
    means : array of shape (a,)
        Mean score of each area; nan where it has no ground.
    shares, variances : sequences of a numbers
        What the sample says of each and how sure it is; None where it says nothing.

    Returns
    -------
    list of a floats
        Between 0 and 1. An area without a share of its own gets what the line says; with fewer than four known areas
        there is no line, and each keeps its own, None without.

    Notes
    -----
    Fay & Herriot (1979), JASA 74:269-277: the variance between areas by their moment equation, 0 if sampling explains
    all of it.
    """
    means = np.asarray(means, dtype=float)
    known = [at for at, share in enumerate(shares) if share is not None and np.isfinite(means[at])]
    if len(known) < 4:
        return list(shares)
    x = np.column_stack([np.ones(len(known)), means[known]])
    share = np.array([shares[at] for at in known], dtype=float)
    variance = np.maximum(np.array([variances[at] for at in known], dtype=float), 1e-12)
    spread = _between(x, share, variance)
    line = _line(x, share, spread + variance)
    drawn = []
    for at, mean in enumerate(means):
        if not np.isfinite(mean):
            drawn.append(shares[at])
            continue
        expected = float(line @ [1.0, mean])
        if shares[at] is not None:
            trust = spread / (spread + max(variances[at], 1e-12))
            expected = trust * shares[at] + (1 - trust) * expected
        drawn.append(float(np.clip(expected, 0, 1)))
    return drawn


def _between(x: NDArray, share: NDArray, variance: NDArray) -> float:
    def excess(spread: float) -> float:
        away = share - x @ _line(x, share, spread + variance)
        return float((away**2 / (spread + variance)).sum()) - (len(share) - x.shape[1])

    return float(optimize.brentq(excess, 0.0, 10.0)) if excess(0.0) > 0 > excess(10.0) else 0.0


def _line(x: NDArray, share: NDArray, variance: NDArray) -> NDArray:
    root = 1 / np.sqrt(variance)
    return np.linalg.lstsq(x * root[:, None], share * root, rcond=None)[0]
