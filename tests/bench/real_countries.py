"""A model of one country on the mines of another: AUC and average precision on real chips, beside mean colours alone.

Optimistic, and average precision depends on the share of chips with mines: see _real_countries.py.

./dev bench real_countries [--filters N] [--json]
"""

import argparse
import json
import sys

from tests.bench import _real_chips, _real_countries
from tests.bench.real_chips import pick
from tests.conftest import SHARED_DATA


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="real_countries")
    parser.add_argument("--filters", type=int, nargs="*", default=[256])
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    if not (SHARED_DATA / _real_chips.FILE).is_file():
        print(f"The chips are not on this machine: {SHARED_DATA / _real_chips.FILE}", file=sys.stderr)
        return 2
    chips = _real_chips.read(SHARED_DATA)
    places = _real_countries.read(SHARED_DATA, chips)
    found = {}
    for same_year in (False, True):
        print("negatives and mines of one year" if same_year else "negatives of every search, halved", flush=True)
        names = [name for name in places.names if not (same_year and name == _real_countries.ELSEWHERE)]
        sides = {name: _real_countries.sides(places, name, same_year=same_year) for name in names}
        for there in names:
            for n_filters in (0, *options.filters):
                features = (
                    _real_countries.convolutional(chips, sides[there], n_filters)
                    if n_filters
                    else _real_chips.colours(chips)
                )
                of = f"{n_filters} filters" if n_filters else "colours"
                for here in names:
                    judged = _real_countries.judged(features, chips, places, sides[there], sides[here])
                    found |= told(same_year, there, here, of, judged)
    if options.json:
        print(json.dumps(found))
    return 0


def told(same_year: bool, there: str, here: str, of: str, judged) -> dict[str, float]:
    words = [f"{key.upper()} {q['value']:.3f} ({q['low']:.3f}-{q['high']:.3f})" for key, q in pick(judged).items()]
    n, share = judged["n"], judged["n_positive"] / judged["n"]
    print(f"{there:>16} -> {here:<16} {of:<12} {'  '.join(words)}  n {n}, with mines {share:.2f}", flush=True)
    name = "_".join([there, here, of, *(["same_year"] if same_year else [])]).replace(" ", "_").lower()
    return {
        f"{name}_{key}{end}": round(q[part], 4)
        for key, q in pick(judged).items()
        for part, end in (("value", ""), ("low", "_low"), ("high", "_high"))
    }


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
