"""The penalty path with blocks left out, beside scikit-learn's refits; its memory, new labels, scoring a country."""

import json
import os
import statistics
import subprocess
import sys
import time
import warnings
from pathlib import Path

import numpy as np

from predictions import classifier
from predictions.blocks import block_buffers
from tests.bench._memory import peak_kib

ROOT = Path(__file__).resolve().parent.parent.parent
ROWS, MANY_ROWS, COLUMNS = 14_000, 100_000, 4096
ACROSS = 140  # cells of the frame lie side by side, so many in a row
N_PENALTIES = 15
THEIR_FOLDS, THEIR_FITS = 16, 4
KEPT_BYTES = 2 * 2**30
SCORED = 60_000


class Frame:
    """Labelled cells with features that are alike, as features of pictures are: variances fall over six decades."""

    def __init__(self, n_rows: int, n_columns: int, dtype=np.float64, across: int = ACROSS):
        generator = np.random.default_rng(0)
        n_hidden = min(256, n_columns)
        hidden = generator.normal(size=(n_rows, n_hidden)).astype(dtype) * np.logspace(0, -2, n_hidden, dtype=dtype)
        mixed = generator.normal(size=(n_hidden, n_columns)).astype(dtype)
        self.features = hidden @ mixed
        for start in range(0, n_rows, 2000):  # a part at a time: noise of the whole would be as large again
            part = self.features[start : start + 2000]
            part += dtype(1e-2) * generator.normal(size=part.shape).astype(dtype)
        signal = hidden[:, :20] @ generator.normal(size=20).astype(dtype)
        self.labels = (signal + generator.normal(size=n_rows) * signal.std() > 1.5 * signal.std()).astype(np.float64)
        place = np.arange(n_rows)
        self.cells = np.column_stack([place % across, -(place // across)]).astype(np.int32)

    def blocks(self, columns: int, rows: int) -> np.ndarray:
        """Blocks of so many cells."""
        key = (-self.cells[:, 1] // rows) * 10_000 + self.cells[:, 0] // columns
        return np.unique(key, return_inverse=True)[1]


def penalties(n_rows: int) -> np.ndarray:
    return classifier.default_penalties(n_rows)


def fitted(frame: Frame, labels: np.ndarray, blocks: np.ndarray, keep_bytes: int = 0):
    """The product's own way, from features to the chosen penalty and the scores out of block."""
    path = classifier.RidgePath(penalties(len(labels)), n_extensions=0, keep_bytes=keep_bytes)
    near = block_buffers(frame.cells, blocks, buffer_km=2)
    with warnings.catch_warnings():
        # The path is left as long as theirs, wherever its best penalty lies.
        warnings.simplefilter("ignore", classifier.PenaltyAtEdge)
        return path.fit(frame.features, labels, blocks=blocks, buffers=near)


# ---- parts of the bench ----


def path(rounds: int) -> dict[str, float]:
    """One round has two of scikit-learn's fits before ours and two after."""
    frame = Frame(ROWS, COLUMNS)
    blocks = frame.blocks(14, 10)
    found = []
    for _ in range(max(1, rounds // 3)):
        fits = [one_refit(frame, number) for number in range(THEIR_FITS // 2)]
        before = time.process_time()
        fitted(frame, frame.labels, blocks)
        ours = time.process_time() - before
        fits += [one_refit(frame, number) for number in range(THEIR_FITS // 2, THEIR_FITS)]
        theirs = statistics.mean(fits) * THEIR_FOLDS * N_PENALTIES
        found.append({"path14k_cpu_s": ours, "sklearn_fit_cpu_s": statistics.mean(fits), "vs": theirs / ours})
    figures = {key: round(statistics.median(each[key] for each in found), 2) for key in found[0]}
    return {
        "path_blocks": int(blocks.max()) + 1,
        "path14k_vs_sklearn": figures.pop("vs"),
        **figures,
        "closed_form_max_diff": closed_form_max_diff(),
        **label_refresh(frame, blocks, rounds),
    }


def one_refit(frame: Frame, number: int) -> float:
    """Processor time of one fit of one fold at one penalty."""
    from sklearn.linear_model import Ridge

    fold = np.arange(ROWS) * THEIR_FOLDS // ROWS
    kept = fold != number * (THEIR_FOLDS // THEIR_FITS)
    features, labels = frame.features[kept], frame.labels[kept]
    alpha = penalties(ROWS)[number * (N_PENALTIES // THEIR_FITS)]
    before = time.process_time()
    Ridge(alpha=alpha).fit(features, labels)
    return time.process_time() - before


def closed_form_max_diff() -> float:
    """Against refits by scikit-learn without the block and its buffer, standardised as ours, at three penalties."""
    from sklearn.linear_model import Ridge

    frame = Frame(1200, 300, across=40)
    blocks = frame.blocks(10, 10)
    near = block_buffers(frame.cells, blocks, buffer_km=2)
    decomposition = classifier.Decomposition.of(frame.features)
    chosen = penalties(1200)[[0, 7, 14]]
    ours = classifier.path_scores(decomposition, frame.labels[:, None], chosen, blocks, near)[:, :, 0]
    standard = (frame.features - frame.features.mean(axis=0)) / frame.features.std(axis=0)
    worst = 0.0
    for block in range(blocks.max() + 1):
        out = blocks == block
        kept = ~out
        kept[near[block]] = False
        for number, alpha in enumerate(chosen):
            theirs = Ridge(alpha=alpha, solver="svd").fit(standard[kept], frame.labels[kept]).predict(standard[out])
            worst = max(worst, float(np.abs(theirs - ours[number, out]).max()))
    return worst


def label_refresh(frame: Frame, blocks: np.ndarray, rounds: int) -> dict[str, float]:
    """New labels of 100 cells: coefficients, choice of the penalty and every block left out again."""
    ready = fitted(frame, frame.labels, blocks, keep_bytes=KEPT_BYTES)
    times, generator = [], np.random.default_rng(1)
    for _ in range(rounds):
        labels = frame.labels.copy()
        changed = generator.choice(len(labels), 100, replace=False)
        labels[changed] = 1 - labels[changed]
        before = time.perf_counter()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", classifier.PenaltyAtEdge)
            ready.refit(labels, blocks=blocks)
        times.append(time.perf_counter() - before)
    return {"label_refresh_s": round(statistics.median(times), 3)}


def memory(rounds: int) -> dict[str, float]:
    """The same at 100,000 cells and 400 blocks, in a process of its own: the most memory it had, features included."""
    command = [sys.executable, "-m", "tests.bench._model_path"]
    environment = os.environ | {"OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def scoring(rounds: int) -> dict[str, float]:
    """Of one core, by processor time."""
    generator = np.random.default_rng(2)
    features = generator.random((SCORED, COLUMNS), dtype=np.float32)
    weights, intercept = generator.normal(size=(COLUMNS, 1)), np.zeros(1)
    speeds = []
    for _ in range(max(3, rounds)):
        before = time.process_time()
        classifier.score_cells(features, weights, intercept)
        speeds.append(SCORED / (time.process_time() - before))
    return {"score_cells_per_s": round(statistics.median(speeds))}


def main() -> None:
    frame = Frame(MANY_ROWS, COLUMNS, np.float32, across=400)
    before = time.process_time()
    blocks = frame.blocks(20, 13)
    fitted(frame, frame.labels, blocks)
    took = time.process_time() - before
    gib = peak_kib() / 2**20
    print(
        json.dumps(
            {"path100k_gib": round(gib, 2), "path100k_cpu_s": round(took), "path100k_blocks": int(blocks.max()) + 1}
        )
    )


if __name__ == "__main__":
    main()
