"""Records on a map: views of a million generated records, unfiltered and filtered, far out and near.

./dev bench map [--records N] [--views N] [--json]
"""

import argparse
import json
import os
import random
import statistics
import time

from labels.map_squares import MAX_BYTES, MAX_FEATURES, View
from labels.models import Register
from labels.register_filters import filters_of
from labels.register_map import features_in
from tests.bench._registers import SIDE, SOUTH, WEST, generate

LIMIT_MS = 300
WIDTH_PX, HEIGHT_PX = 1180, 460
FILTERS = [
    {"mineral": "gold"},
    {"mineral": "wolframite"},
    {"year": "2015"},
    {"legal_status": "licensed"},
    {"trade_status": "disqualified", "location": "gps"},
    {"flag": "lattice"},
    {"flag": "outside_country"},
    {"edition": "missing"},
    {"mineral": "coltan", "legal_status": "expired", "year": "2012"},
]


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="map")
    parser.add_argument("--records", type=int, default=1_000_000)
    parser.add_argument("--views", type=int, default=200)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    slug = f"r-{options.records}"
    register = Register.objects.filter(project__slug="bench-map", slug=slug).first() or generate(options.records)
    print(f"load {os.getloadavg()[0]:.2f}, {options.records:,} records, {options.views} views each")
    draw = random.Random(1)
    plain = measured(register, [({}, view(draw)) for _ in range(options.views)])
    filtered = measured(register, [(draw.choice(FILTERS), view(draw)) for _ in range(options.views)])
    for name, figures in (("unfiltered", plain), ("filtered", filtered)):
        print(f"{name:<11}" + "  ".join(f"{key} {value:,}" for key, value in figures.items()))
    if options.json:
        named = {f"filtered_{name}": figure for name, figure in filtered.items()}
        print(json.dumps({"records": options.records, "limit_ms": LIMIT_MS} | plain | named))
    return 0 if all(is_within(figures) for figures in (plain, filtered)) else 1


def view(draw: random.Random) -> View:
    """A screen somewhere in the country, at any zoom from the whole of it to a village."""
    zoom = draw.randint(5, 14)
    degrees = 360 / 256 / 2**zoom
    lon, lat = WEST + draw.random() * SIDE, SOUTH + draw.random() * SIDE
    half_width, half_height = WIDTH_PX / 2 * degrees, HEIGHT_PX / 2 * degrees
    return View(lon - half_width, lat - half_height, lon + half_width, lat + half_height, zoom)


def measured(register: Register, views: list[tuple[dict, View]]) -> dict[str, float]:
    times, sizes, counts = [], [], []
    for asked, where in views:
        began = time.perf_counter()
        text = features_in(register, filters_of(asked, register), where)
        times.append((time.perf_counter() - began) * 1000)
        sizes.append(len(text.encode()))
        counts.append(len(json.loads(text)["features"]))
    return {
        "p50_ms": round(statistics.median(times), 1),
        "p95_ms": round(statistics.quantiles(times, n=20)[-1], 1),
        "max_bytes": max(sizes),
        "max_features": max(counts),
    }


def is_within(figures: dict[str, float]) -> bool:
    small = figures["max_bytes"] <= MAX_BYTES and figures["max_features"] <= MAX_FEATURES
    return small and figures["p95_ms"] <= LIMIT_MS
