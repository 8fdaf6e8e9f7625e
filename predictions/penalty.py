"""Which penalty: for each block judged on the other blocks, so that no block's score has seen its own labels.

Pure: NumPy only.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

# From so many audited positives on, average precision has little enough noise to choose by.
POSITIVES_FOR_RANKING = 200
# Losses this near to the smallest, as a share of it, are as good: the path is flat where penalties cease to matter.
AS_GOOD = 1e-4


@dataclass(frozen=True)
class Choice:
    # (n, heads) out-of-block scores, each at the penalty that the other blocks chose.
    scores: np.ndarray
    # (heads,) for the fit on everything.
    penalty: np.ndarray
    # (k, heads) of each block.
    penalty_of_block: np.ndarray
    # (n_penalties,), ascending.
    penalties: np.ndarray
    # (n_penalties, heads): mean squared error, or one minus average precision; of judged rows of all blocks.
    losses: np.ndarray
    # (heads,): whether the best penalty is the first or the last of the path.
    at_edge: np.ndarray
    # Of each head: "average_precision" or "squared".
    criterion: tuple[str, ...]


def choose_penalty(
    scores: np.ndarray,
    targets: np.ndarray,
    penalties: np.ndarray,
    blocks: np.ndarray,
    *,
    judged: np.ndarray | None = None,
    weights: np.ndarray | None = None,
    criterion: str = "auto",
) -> Choice:
    """Choose the penalty of each block from the other blocks, and one for the fit on all.

    Parameters
    ----------
    scores : array of shape (n_penalties, n, heads)
        Out-of-block scores, as `path_scores` gives them; nan: no score.
    targets : array of shape (n, heads)
        0 or 1; read in judged rows alone.
    penalties : array of shape (n_penalties,)
        Positive, ascending.
    blocks : int array of shape (n,)
        0 .. k-1; negative: in none.
    judged : bool array of shape (n,) or (n, heads), optional
        Rows whose label somebody has audited: the criterion sees no other. All rows where not given.
    weights : array of shape (n,), optional
        Of judged rows, inverse inclusion probabilities.
    criterion : "auto", "average_precision" or "squared"
        auto: average precision from 200 judged positives on, else squared loss.

    Notes
    -----
    Without a judged row of either class for a head, its criterion is squared loss over all rows with a weight. Of
    losses within 1e-4 of the smallest the one of the largest penalty wins. For a block, the fits of other blocks that
    are compared have seen its labels; only the comparison has not (pooled, without fits within fits).
    """
    penalties = np.asarray(penalties, dtype=np.float64)
    if (np.diff(penalties) <= 0).any():
        raise ValueError("penalties must ascend")
    n, heads = targets.shape
    blocks = np.asarray(blocks)
    n_blocks = int(blocks.max(initial=-1)) + 1
    judged = np.ones(n, dtype=bool) if judged is None else np.asarray(judged, dtype=bool)
    judged = np.broadcast_to(judged if judged.ndim == 2 else judged[:, None], (n, heads))
    weights = np.ones(n) if weights is None else np.asarray(weights, dtype=np.float64)
    chosen, used = np.full((n, heads), np.nan), []
    of_block, penalty = np.empty((n_blocks, heads), dtype=np.int64), np.empty(heads, dtype=np.int64)
    losses = np.empty((len(penalties), heads))
    for head in range(heads):
        rows = _rows_to_judge(scores[:, :, head], targets[:, head], judged[:, head], blocks, weights)
        name = _criterion(criterion, targets[rows, head], judged[rows, head])
        loss = _ranking_losses if name == "average_precision" else _squared_losses
        total, without = loss(scores[:, rows, head], targets[rows, head], weights[rows], blocks[rows], n_blocks)
        losses[:, head], penalty[head], of_block[:, head] = total, _best(total), _best(without)
        placed = np.flatnonzero(blocks >= 0)
        chosen[placed, head] = scores[of_block[blocks[placed], head], placed, head]
        used.append(name)
    at_edge = (penalty == 0) | (penalty == len(penalties) - 1)
    return Choice(chosen, penalties[penalty], penalties[of_block], penalties, losses, at_edge, tuple(used))


def _rows_to_judge(scores, targets, judged, blocks, weights) -> np.ndarray:
    has_score = (blocks >= 0) & (weights > 0) & np.isfinite(scores).any(axis=0)
    rows = np.flatnonzero(judged & has_score)
    if len(np.unique(targets[rows])) < 2:
        rows = np.flatnonzero(has_score & np.isfinite(targets))
    return rows


def _criterion(criterion: str, targets: np.ndarray, judged: np.ndarray) -> str:
    if criterion != "auto":
        return criterion
    enough = judged.all() and (targets == 1).sum() >= POSITIVES_FOR_RANKING and (targets == 0).any()
    return "average_precision" if enough else "squared"


def _best(losses: np.ndarray) -> np.ndarray:
    """Index along the first axis of the last one as small as the smallest; the last where there is none."""
    losses = np.where(np.isfinite(losses), losses, np.inf)
    as_small = losses <= losses.min(axis=0) * (1 + AS_GOOD) + 1e-12
    return len(losses) - 1 - np.argmax(as_small[::-1], axis=0)


def _squared_losses(scores, targets, weights, blocks, n_blocks) -> tuple[np.ndarray, np.ndarray]:
    """(n_penalties,) over all rows, and (n_penalties, n_blocks) over all but each block's."""
    squares = weights * np.square(scores - targets)
    parts = np.stack([np.bincount(blocks, weights=each, minlength=n_blocks) for each in squares])
    mass = np.bincount(blocks, weights=weights, minlength=n_blocks)
    with np.errstate(invalid="ignore", divide="ignore"):
        total = squares.sum(axis=1) / mass.sum()
        return total, (parts.sum(axis=1)[:, None] - parts) / (mass.sum() - mass)


def _ranking_losses(scores, targets, weights, blocks, n_blocks) -> tuple[np.ndarray, np.ndarray]:
    """As `_squared_losses`, of one minus average precision; only blocks with rows to leave out are computed apart."""
    present = np.unique(blocks)
    total = np.empty(len(scores))
    without = np.empty((len(scores), n_blocks))
    for number, each in enumerate(scores):
        precisions = _precisions_without(each, targets, weights, blocks, present)
        total[number] = 1 - precisions[0]
        without[number] = total[number]
        without[number, present] = 1 - precisions[1:]
    return total, without


def _precisions_without(scores, targets, weights, blocks, present) -> np.ndarray:
    """(1 + len(present),) weighted average precision of all rows, then without each of these blocks; nan unscored.

    The mean, over positives, of the precision down to the last row of the same score. What a block adds to the rows
    above a positive is looked up among the block's own rows, so a block costs no pass over all rows.
    """
    if not np.isfinite(scores).all():
        return np.full(1 + len(present), np.nan)
    order = np.argsort(-scores, kind="stable")
    is_end = np.append(np.diff(scores[order]) != 0, True)
    ends = np.flatnonzero(is_end)[np.cumsum(is_end) - is_end]  # of each row: the last one of its score
    mass, hits, blocks = weights[order], (weights * (targets == 1))[order], blocks[order]
    positives = np.flatnonzero(hits > 0)
    at, gains, of_block = ends[positives], hits[positives], blocks[positives]
    above, found = np.cumsum(mass)[at], np.cumsum(hits)[at]
    precisions = [_mean_precision(gains, found, above)]
    rows_of = np.split(np.argsort(blocks, kind="stable"), np.flatnonzero(np.diff(np.sort(blocks))) + 1)
    for block, rows in zip(present, rows_of, strict=True):
        reached = np.searchsorted(rows, at, side="right")
        less_above, less_found = (np.concatenate([[0.0], np.cumsum(each[rows])])[reached] for each in (mass, hits))
        precisions.append(
            _mean_precision(np.where(of_block == block, 0.0, gains), found - less_found, above - less_above)
        )
    return np.array(precisions)


def _mean_precision(gains: np.ndarray, found: np.ndarray, above: np.ndarray) -> float:
    kept = gains > 0
    return float(gains[kept] @ (found[kept] / above[kept]) / gains[kept].sum()) if kept.any() else np.nan
