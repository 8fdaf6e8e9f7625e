"""The embedded model: features beside torchgeo's, penalties beside scikit-learn's refits, scoring, what auditing buys.

./dev bench model [--rounds N] [--only features,path,memory,scoring,gain] [--json]

Ratios are medians of interleaved rounds, by processor time (docs/model.md says of what). A reference that cannot be had
fails the bench. Figures are said as they come, on standard error; one table of all of them ends it.
"""

import argparse
import json
import os
import platform
import secrets
import statistics
import sys
from importlib.metadata import version

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
    "gain_ap_mean": (0, None),
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
    """Over ten simulated countries, three of them of seeds drawn now."""
    from predictions import simulation

    seeds = [*range(7), *(secrets.randbelow(2**31) for _ in range(3))]
    found = {seed: float(simulation.gain_of(seed)["gain_ap"]["value"]) for seed in seeds}
    return {
        **{f"gain_ap_seed_{seed}": round(gained, 4) for seed, gained in found.items()},
        "gain_ap_mean": round(statistics.mean(found.values()), 4),
        "gain_ap_min": round(min(found.values()), 4),
    }


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
    print(made_with(), file=sys.stderr, flush=True)
    figures = {"load_before": round(os.getloadavg()[0], 2)}
    try:
        for name in wanted:
            found = PARTS[name](options.rounds)
            for key, figure in found.items():
                print(f"{name}: {key} {figure:,}", file=sys.stderr, flush=True)
            figures |= found
    except ReferenceMissing as missing:
        print(missing, file=sys.stderr)
        return 1
    figures["load_after"] = round(os.getloadavg()[0], 2)
    print("\n".join([made_with(), *table(figures)]))
    beyond = [key for key, figure in figures.items() if not is_within(figure, *LIMITS.get(key, (None, None)))]
    if beyond:
        print(f"not reached: {', '.join(beyond)}", file=sys.stderr)
    if options.json:
        print(json.dumps(figures))
    return 1 if beyond else 0


def made_with() -> str:
    """The processor and the versions that figures depend on; torch's and torchgeo's once they are there."""
    from llvmlite import binding

    ours = {name: version(name) for name in ("numpy", "scipy", "numba", "scikit-learn")}
    said = {"python": platform.python_version(), **ours, **_model_features.reference_versions()}
    processor = f"{binding.get_host_cpu_name()}, {os.cpu_count()} cores"
    return ", ".join([processor, *(f"{name} {number}" for name, number in said.items())])


def table(figures: dict[str, float]) -> list[str]:
    """A line for each figure: its name, its value, what is asked of it."""
    rows = [(key, f"{figure:,}", asked(*LIMITS.get(key, (None, None)))) for key, figure in figures.items()]
    return [f"{key:<36}{figure:>24}  {limit}".rstrip() for key, figure, limit in rows]


def asked(least: float | None, most: float | None) -> str:
    return f"at least {least:,}" if least is not None else f"at most {most:,}" if most is not None else ""


def is_within(figure: float, least: float | None, most: float | None) -> bool:
    return (least is None or figure >= least) and (most is None or figure <= most)
