"""Ridge over a path of penalties from one eigendecomposition, judged by leaving out blocks, without refits.

Pure: NumPy and SciPy only (no Django, no scikit-learn).

    blocks, names = spatial_blocks(cells (n, 2), size_km=10)          # (n,) int; names (k, 2) of (row, column) squares
    buffers = block_buffers(cells, blocks, buffer_km=2)               # k index arrays: rows near block b, not in it
    decomposition = Decomposition.of(X (n, p), weights (n,) = None)   # rows of weight 0 are predicted, not fitted
    scores = path_scores(decomposition, Y (n, heads), penalties, blocks, buffers)   # (n_penalties, n, heads)
    choice = choose_penalty(scores, Y, penalties, blocks, judged=mask (n,), weights=w (n,))
    choice.scores (n, heads) out-of-block, each block's penalty chosen from the other blocks; choice.penalty (heads,);
    choice.penalty_of_block (k, heads); choice.losses (n_penalties, heads); choice.at_edge (heads,); choice.criterion
    model = RidgePath(penalties=None, criterion="auto").fit(X, Y, sample_weight=w, blocks=blocks, buffers=buffers, judged=mask)
    model.predict(X) -> float32 (m, heads) or (m,); model.choice; model.out_of_group(groups, buffers) -> (n, heads)
    score_cells(features (m, p) float32, coefficients (p, heads), intercept (heads,)) -> float32 (m, heads)

`model.out_of_group` is the `scorer(groups, buffers)` of predictions.validation.
"""
