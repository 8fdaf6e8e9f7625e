"""The embedded model: features beside torchgeo's, penalties beside scikit-learn's refits, scoring, what auditing buys.

./dev bench model [--rounds N] [--only features,path,memory,scoring,gain] [--json]

Ratios are medians of interleaved rounds, by processor time (docs/model.md says of what). A reference that cannot be had
fails the bench.
"""

import argparse
import json
import os
import secrets
import sys

from tests.bench import _model_features, _model_path
from tests.bench._torchgeo import ReferenceMissing

LIMITS = {
    "features_numpy_vs_torchgeo": (10, None),
    "features_compiled_vs_torchgeo": (20, None),
    "features_compiled_4096_vs_torchgeo": (30, None),
    "fma_share": (0.6, None),
    "features_peak_mib": (None, 300),
    "path14k_vs_sklearn": (20, None),
    "path100k_gib": (None, 8),
    "closed_form_max_diff": (None, 1e-8),
    "label_refresh_s": (None, 2),
    "score_cells_per_s": (500_000, None),
    "gain_ap_min": (None, None),
}


def features(rounds: int) -> dict[str, float]:
    found = _model_features.measured(rounds)
    return found | {
        "features_numpy_vs_torchgeo": found["numpy_1024_vs_torchgeo"],
        "features_compiled_vs_torchgeo": found["compiled_1024_vs_torchgeo"],
        "features_compiled_4096_vs_torchgeo": found["compiled_4096_vs_torchgeo"],
        "fma_share": min(found["fma_share_1024"], found["fma_share_4096"]),
    }


def gain(rounds: int) -> dict[str, float]:
    """The smallest over ten simulated countries, three of them of seeds drawn now."""
    from predictions import simulation

    drawn = [secrets.randbelow(2**31) for _ in range(3)]
    print(f"gain: seeds {', '.join(map(str, drawn))} drawn", flush=True)
    return {"gain_ap_min": round(float(simulation.gain_ap_min([*range(7), *drawn])), 4)}


PARTS = {
    "features": features,
    "path": _model_path.path,
    "memory": _model_path.memory,
    "scoring": _model_path.scoring,
    "gain": gain,
}


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="model")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", default=",".join(PARTS), help="parts, separated by commas")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    wanted = options.only.split(",")
    if set(wanted) - set(PARTS):
        parser.error(f"parts are {', '.join(PARTS)}")
    figures = {"load_before": round(os.getloadavg()[0], 2)}
    try:
        for name in wanted:
            found = PARTS[name](options.rounds)
            for key, figure in found.items():
                print(f"{key:<36}{figure:>14,}", flush=True)
            figures |= found
    except ReferenceMissing as missing:
        print(missing, file=sys.stderr)
        return 1
    figures["load_after"] = round(os.getloadavg()[0], 2)
    beyond = [key for key in LIMITS if key in figures and not is_within(figures[key], *LIMITS[key])]
    if beyond:
        print(f"not reached: {', '.join(beyond)}", file=sys.stderr)
    if options.json:
        print(json.dumps(figures))
    return 1 if beyond else 0


def is_within(figure: float, least: float | None, most: float | None) -> bool:
    return (least is None or figure >= least) and (most is None or figure <= most)
