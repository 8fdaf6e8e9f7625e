"""What is true per grid cell and per province: for searched-cell audits, models and the production table."""

from datetime import date

import numpy as np

from labels.demonstration import names
from labels.demonstration.terrain import CELL_DEG, Country, Mine, to_lonlat

# tonnes (gold: kilograms, diamonds: thousand carats) per worker and year
_YIELD = {"coltan": 0.06, "cassiterite": 0.25, "gold": 0.09, "wolframite": 0.2, "diamond": 0.012}
_UNIT = {"coltan": "t", "cassiterite": "t", "gold": "kg", "wolframite": "t", "diamond": "kct"}
FORMAL_REPORTED = 0.92  # share of what formal mines dig that the statistics see
INFORMAL_REPORTED = 0.35
REPORTING_SIGMA = 0.25  # of the logarithm of each figure
SMUGGLED_ACROSS = 0.10  # share booked in a neighbouring province


def cell_id(i: int, j: int) -> str:
    """Name of a grid cell by its centre, as the MOSAIKS grid writes it; i = floor(lon * 100), j = floor(lat * 100)."""
    return f"lon_{(i + 0.5) * CELL_DEG:.3f}__lat_{(j + 0.5) * CELL_DEG:.3f}"


def dug_cells(mine: Mine, on: date) -> set[tuple[int, int]]:
    """Grid cells in which a mine's dug ground lies on a date (its ellipse, about)."""
    extent, _ = mine.activity(on)
    if extent <= 0:
        return set()
    t = np.linspace(0, 2 * np.pi, 33)
    scale = np.array([[0.0], [0.5], [0.85]])
    u = scale * 0.5 * mine.length_m * (0.5 + 0.5 * extent) * np.cos(t)
    v = scale * 0.5 * mine.width_m * (0.6 + 0.4 * extent) * np.sin(t)
    c, s = np.cos(mine.angle), np.sin(mine.angle)
    lon, lat = to_lonlat(mine.x + u * c - v * s, mine.y + u * s + v * c)
    cells = np.stack([np.floor(lon / CELL_DEG), np.floor(lat / CELL_DEG)], axis=-1).reshape(-1, 2).astype(int)
    return {(int(i), int(j)) for i, j in cells}


def cell_rows(country: Country, *looks: date) -> list[dict]:
    """Truth of each land cell on the images of these dates.

    Returns
    -------
    list of dict
        ``cell``, ``lon``, ``lat`` (of the centre), ``province``, ``mines`` (numbers of the artisanal mines visible in
        it on any of them), ``label`` (1 with such a mine, else 0), ``industrial`` (1 with ground of an industrial
        mine).
    """
    found: dict[tuple[int, int], list[int]] = {}
    for mine in country.mines:
        cells = set().union(*(dug_cells(mine, on) for on in looks if mine.is_visible(on)))
        for cell in sorted(cells):
            found.setdefault(cell, []).append(mine.ident)
    industrial = set()
    for area in country.commercial_areas:
        ring = area.rings[0]
        inside = (ring.mean(axis=0) * (1 - k) + ring * k for k in (0.0, 0.35, 0.7, 1.0))
        for points in inside:
            industrial |= {tuple(cell) for cell in np.floor(points / CELL_DEG).astype(int).tolist()}
    rows = []
    for i, j in country.land_cells.tolist():
        lon, lat = (i + 0.5) * CELL_DEG, (j + 0.5) * CELL_DEG
        mines = sorted(found.get((i, j), []))
        province = names.PROVINCES[int(country.province_at(lon, lat)) - 1]
        rows.append(
            {"cell": cell_id(i, j), "lon": round(lon, 3), "lat": round(lat, 3), "province": province, "mines": mines,
             "label": int(bool(mines)), "industrial": int((i, j) in industrial)}
        )  # fmt: skip
    return rows


def production_rows(country: Country, years: range = range(2019, 2024)) -> list[dict]:
    """Official production per province, mineral and year: it agrees with the mines, imperfectly.

    Formal mines are seen nearly whole, informal ones to a third; some is booked in a neighbouring province, and every
    figure has an error of its own. The table says nothing of what it missed.
    """
    province_of = country.province_at(*to_lonlat([m.x for m in country.mines], [m.y for m in country.mines]))
    rng = np.random.default_rng([country.seed, 400])
    rows = []
    for year in years:
        seen: dict[tuple[int, str], float] = {}
        for mine, province in zip(country.mines, province_of.tolist(), strict=True):
            if province and mine.is_active(date(year, 7, 1)):
                share = FORMAL_REPORTED if mine.formal else INFORMAL_REPORTED
                amount = mine.workers * _YIELD[mine.mineral] * share
                elsewhere = province % len(country.provinces) + 1
                for place, part in ((province, 1 - SMUGGLED_ACROSS), (elsewhere, SMUGGLED_ACROSS)):
                    seen[place, mine.mineral] = seen.get((place, mine.mineral), 0.0) + part * amount
        total: dict[str, float] = {}
        figures = {}
        for key in sorted(seen):
            figures[key] = seen[key] * float(rng.lognormal(0, REPORTING_SIGMA))
            total[key[1]] = total.get(key[1], 0.0) + figures[key]
        for (province, mineral), value in figures.items():
            rows.append(
                {"country": names.COUNTRY, "province": names.PROVINCES[province - 1], "mineral": mineral,
                 "period": str(year), "measure": "production", "value": round(value, 2), "unit": _UNIT[mineral],
                 "share_pct": round(100 * value / total[mineral], 1), "source": "Direction des mines, invented"}
            )  # fmt: skip
    return rows
