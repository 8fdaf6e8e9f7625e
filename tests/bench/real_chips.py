"""AUC and average precision on 2,408 real Sentinel-2 chips, beside mean colours alone. Optimistic: see _real_chips.py.

./dev bench real_chips [--filters N] [--json]
"""

import argparse
import json
import sys
import time

from tests.bench import _real_chips
from tests.conftest import SHARED_DATA


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="real_chips")
    parser.add_argument("--filters", type=int, nargs="*", default=[256, 1024])
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    if not (SHARED_DATA / _real_chips.FILE).is_file():
        print(f"The chips are not on this machine: {SHARED_DATA / _real_chips.FILE}", file=sys.stderr)
        return 2
    chips = _real_chips.read(SHARED_DATA)
    n_mines = int(chips.y.sum())
    print(f"{len(chips.y):,} chips, {n_mines:,} with mines; optimistic (negatives have no places)")
    found = {"n_chips": len(chips.y), "n_mines": n_mines} | told("colours", _real_chips.colours(chips), chips)
    for n_filters in options.filters:
        for name, more in (("two_scales", {}), ("mosaiks", {"scales": (1,), "halves": "both"})):
            began = time.process_time()
            features = _real_chips.convolutional(chips, n_filters, **more)
            found |= told(f"{name}_{n_filters}", features, chips, time.process_time() - began)
    if options.json:
        print(json.dumps(found))
    return 0


def told(name: str, features, chips: _real_chips.Chips, cpu_s: float = 0.0) -> dict[str, float]:
    judged = _real_chips.judged(features, chips)
    words = [f"{key.upper()} {q['value']:.3f} ({q['low']:.3f}-{q['high']:.3f})" for key, q in pick(judged).items()]
    print(f"{name:<16} {features.shape[1]:>5} columns  {'  '.join(words)}  {cpu_s:.1f} CPU-s", flush=True)
    return {
        f"{name}_{key}{end}": round(q[part], 4)
        for key, q in pick(judged).items()
        for part, end in (("value", ""), ("low", "_low"), ("high", "_high"))
    }


def pick(judged) -> dict:
    return {key: judged[key] for key in ("auc", "ap")}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
