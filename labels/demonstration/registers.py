"""Two registers of one country, wrong in the ways registers are wrong, and the truth behind every row.

Where the rates come from: recorded shares, precision classes, duplicates and false records follow the generator of the
synthetic audits (reference/model.md, 6.1: formal sites recorded 90 %, informal 60 %; 35 % within a GPS error of 55 m,
50 % up to 2 km away, 15 % truncated to a lattice of 0.02 degrees; 15 % duplicated; 30 % false, six in ten of these
near towns). A stated province that is another one (4 %), visits not on site (14 %), and rows without coordinates are
as frequent as in the IPIS visits of the eastern DRC. The truth is written apart and no page reads it.
"""

import csv
import io
import json
from dataclasses import asdict, dataclass, replace
from datetime import date, timedelta

import numpy as np
from scipy.spatial import cKDTree

from labels.demonstration import names
from labels.demonstration.terrain import EPOCH, Country, Mine, to_lonlat, to_metres, years_since_epoch

PRECISION_CLASSES = ("gps", "village", "digitised", "rounded")

# tolerance and search radius in metres, the defaults of an audit (design, rules of judgement)
TOLERANCE_M = {"gps": 100.0, "village": 1000.0, "digitised": 1000.0, "rounded": 1000.0}
# A second mine this little farther off is as likely as the first.
EQUALLY_LIKELY = 1.05
SEARCH_RADIUS_M = {"gps": 1000.0, "village": 5000.0, "digitised": 5000.0, "rounded": 5000.0}


@dataclass(frozen=True)
class ErrorRates:
    """How a register errs. Shares are of all records unless another whole is named."""

    recorded_formal: float = 0.90  # of formal mines, before the list is cut to length
    recorded_informal: float = 0.60  # of informal mines
    gps: float = 0.35  # of records by location method: the four add up to 1
    village: float = 0.28
    digitised: float = 0.22
    rounded: float = 0.15
    gps_sigma_m: float = 55.0  # standard deviation on each axis
    village_reach_m: float = 2000.0  # the point is up to this far away, uniformly
    digitised_reach_m: float = 2000.0
    rounded_lattice_deg: float = 0.02  # coordinates truncated to this lattice
    never_there: float = 0.30
    never_there_near_town: float = 0.60  # of those never there
    never_there_look_alike: float = 0.15  # of those never there: on a kiln, quarry or field
    never_there_on_site: float = 0.03  # of their visits: somebody claims to have stood there
    gone: float = 0.10  # of records of a true mine: abandoned before the report
    duplicated: float = 0.15  # extra rows, of the true and false ones they repeat
    swapped: float = 0.012  # longitude and latitude exchanged
    wrong_province: float = 0.04
    no_coordinates: float = 0.012
    licence: float = 0.12  # polygons instead of points
    not_on_site: float = 0.14  # of visits of a true mine
    several_visits: float = 0.25  # of sites


CADASTRE = ErrorRates()
FIELD_SURVEY = ErrorRates(
    recorded_formal=0.45,
    recorded_informal=0.40,
    gps=0.80,
    village=0.14,
    digitised=0.04,
    rounded=0.02,
    never_there=0.10,
    never_there_look_alike=0.25,
    gone=0.15,
    duplicated=0.04,
    swapped=0.0,
    wrong_province=0.02,
    no_coordinates=0.0,
    licence=0.0,
    not_on_site=0.10,
    several_visits=0.55,
)
RATES = {"cadastre": CADASTRE, "survey": FIELD_SURVEY}
N_RECORDS = {"cadastre": 350, "survey": 120}

_FRENCH = {
    "coltan": "Coltan",
    "cassiterite": "Cassitérite",
    "gold": "Or",
    "wolframite": "Wolframite",
    "diamond": "Diamant",
}
_ENGLISH = {
    "coltan": "Tantalum",
    "cassiterite": "Cassiterite",
    "gold": "Gold",
    "wolframite": "Tungsten",
    "diamond": "Diamond",
}
_METHODS_FR = {"gps": "GPS", "village": "GPS (village)", "digitised": "Numérisation", "rounded": "Approximation"}
_DATES_FR = {"day": "jour", "month": "mois", "year": "année"}
_METHODS_EN = {"gps": "GPS", "village": "Village centre", "digitised": "Digitised from map", "rounded": "Rounded"}


@dataclass(frozen=True)
class Visit:
    """One row of a register: what it says about a site on a day."""

    source_id: str
    name: str
    lon: float | None
    lat: float | None
    polygon: list | None  # ring of longitudes and latitudes, closed
    precision: str  # gps, village, digitised, rounded
    province: str
    district: str
    minerals: tuple[str, ...]  # harmonised
    formal: bool
    trade: str  # itsci, vert, jaune, rouge, ""
    workers: int | None
    on: date
    date_precision: str  # day, month, year
    kind: str  # on site, third party, remote


@dataclass(frozen=True)
class Truth:
    """What lies behind a site of a register."""

    source_id: str
    kind: str  # at point, displaced, never there, gone
    mine: int | None  # number of the true mine
    true_lon: float | None
    true_lat: float | None
    displacement_m: float | None  # from the reported point (of a polygon: 0 inside) to the mine's centre
    precision: str
    is_duplicate_of: str
    is_swapped: bool
    has_wrong_province: bool
    true_province: str
    on_look_alike: int | None
    expected_verdict: str  # what the rules of judgement give on the images: confirm, move, reject, unsure
    expected_lon: float | None  # the mark they give
    expected_lat: float | None
    expected_mine: int | None  # the mine that is marked: for a false record perhaps a neighbour's
    expected_active: bool | None
    expected_reason: str = ""  # of an unsure
    expected_same_mine: bool = False  # another record lies nearer to that mine


@dataclass(frozen=True)
class Register:
    """A register with its truth."""

    name: str
    visits: list[Visit]
    truth: list[Truth]


def draw_register(
    country: Country,
    name: str = "cadastre",
    *,
    n_records: int | None = None,
    within_m: tuple[float, float, float, float] | None = None,
    rates: ErrorRates | None = None,
    looks: tuple[date, ...] = (date(2019, 2, 9), date(2024, 1, 14)),
) -> Register:
    """Draw a register of sites.

    Parameters
    ----------
    country : Country
    name : str
        ``cadastre`` (French, licences, coarse) or ``survey`` (English, visits with GPS).
    n_records : int, optional
        Sites in the list; 350 and 120 by default. Fewer where there are not enough mines.
    within_m : tuple of float, optional
        Only this part of the country, EPSG:3857 bounds.
    rates : ErrorRates, optional
    looks : tuple of date
        The images on which the expected verdicts stand, oldest first: workings that show on any of them count.
    """
    return _Drawer(country, name, n_records or N_RECORDS[name], within_m, rates or RATES[name], looks).draw()


class _Drawer:
    def __init__(self, country, name, n_records, within_m, rates, looks):
        self.country, self.name, self.n, self.rates, self.looks = country, name, n_records, rates, looks
        self.within = within_m or (country.x0, country.y0, country.x1, country.y1)
        self.rng = np.random.default_rng([country.seed, 200, sum(map(ord, name))])
        self.visible = [m for m in country.mines if any(m.is_visible(on) for on in looks)]
        self.visible_tree = cKDTree([(m.x, m.y) for m in self.visible])
        self.mine_tree = cKDTree([(m.x, m.y) for m in country.mines])
        self.settled = cKDTree([(s.x, s.y) for s in country.settlements])

    def draw(self) -> Register:
        rng, rates = self.rng, self.rates
        n_unique = round(self.n / (1 + rates.duplicated))
        n_false = round(rates.never_there * n_unique)
        mines = self._choose_mines(n_unique - n_false)
        look_alikes = [a for a in self.country.look_alikes if self._is_within(a.x, a.y)]
        rng.shuffle(look_alikes)
        n_alike = min(len(look_alikes), round(rates.never_there_look_alike * n_false))
        n_town = round(rates.never_there_near_town * n_false)
        sources: list[tuple] = [("mine", m) for m in mines]
        for k in range(n_false):
            if k < n_alike:
                sources.append(("look", look_alikes[k]))
            else:
                sources.append(("town" if k < n_alike + n_town else "empty", None))
        rng.shuffle(sources)
        precisions = self._precisions([kind for kind, _ in sources])
        swapped = self._flags(len(sources), rates.swapped)
        elsewhere = self._flags(len(sources), rates.wrong_province)
        blank = self._flags(len(sources), rates.no_coordinates) & ~swapped
        licence = self._flags(len(sources), rates.licence) & ~swapped & ~blank
        sites: list[tuple[list[Visit], Truth]] = []
        for k, (kind, thing) in enumerate(sources):
            flags = (bool(swapped[k]), bool(elsewhere[k]), bool(blank[k]), bool(licence[k]))
            sites.append(self._site(k, kind, thing, precisions[k], *flags))
        for k in rng.choice(len(sites), self.n - len(sites), replace=False):
            sites.append(self._duplicate(len(sites), *sites[k]))
        rng.shuffle(sites)
        visits, truth = [], []
        prefix = "WDA" if self.name == "cadastre" else "FS"
        new_id = {site[1].source_id: f"{prefix}-{k + 1:04d}" for k, site in enumerate(sites)}
        for own, fact in sites:
            ident = new_id[fact.source_id]
            visits += [replace(v, source_id=ident) for v in own]
            truth.append(replace(fact, source_id=ident, is_duplicate_of=new_id.get(fact.is_duplicate_of, "")))
        return Register(self.name, visits, self._with_owners(visits, truth))

    def _with_owners(self, visits: list[Visit], truth: list[Truth]) -> list[Truth]:
        """A mine belongs to its nearest record; the others that find it are second records on one mine."""
        latest = {visit.source_id: visit for visit in visits}
        nearest: dict[int, tuple[float, str]] = {}
        for fact in truth:
            if fact.expected_mine is None:
                continue
            x, y = to_metres(latest[fact.source_id].lon, latest[fact.source_id].lat)
            mine = self.country.mines[fact.expected_mine]
            key = (float(np.hypot(mine.x - x, mine.y - y)), fact.source_id)
            nearest[fact.expected_mine] = min(nearest.get(fact.expected_mine, key), key)
        owners = {mine: source_id for mine, (_, source_id) in nearest.items()}
        return [
            replace(
                fact, expected_same_mine=fact.expected_mine is not None and owners[fact.expected_mine] != fact.source_id
            )
            for fact in truth
        ]

    # which sites ----------------------------------------------------------------------------------------------------

    def _is_within(self, x, y) -> bool:
        west, south, east, north = self.within
        return west + 400 <= x < east - 400 and south + 400 <= y < north - 400

    def _flags(self, n: int, share: float) -> np.ndarray:
        """Exactly the asked share, rounded, at random places."""
        flags = np.zeros(n, bool)
        flags[self.rng.choice(n, round(share * n), replace=False)] = True
        return flags

    def _shares(self, n: int, shares: dict[str, float]) -> list[str]:
        edges = np.round(np.cumsum(list(shares.values())) / sum(shares.values()) * n).astype(int)
        out = np.repeat(list(shares), np.diff([0, *edges]))
        self.rng.shuffle(out)
        return [str(v) for v in out]

    def _precisions(self, kinds: list[str]) -> list[str]:
        """A location method for each site in the asked shares.

        Points on look-alikes were taken there, by GPS; of other false records more than half claim a GPS, since who
        invents a site invents its digits.
        """
        drawn = self._shares(len(kinds), {p: getattr(self.rates, p) for p in PRECISION_CLASSES})
        n_gps = drawn.count("gps")
        false = [k for k, kind in enumerate(kinds) if kind in ("town", "empty")]
        first = [k for k, kind in enumerate(kinds) if kind == "look"] + false[: round(0.6 * len(false))]
        out = dict.fromkeys(first[:n_gps], "gps")
        waiting = ["gps"] * (n_gps - len(out)) + [p for p in drawn if p != "gps"]
        self.rng.shuffle(waiting)
        return [out[k] if k in out else str(waiting.pop()) for k in range(len(kinds))]

    def _choose_mines(self, n: int) -> list[Mine]:
        rates, rng = self.rates, self.rng
        pool = [m for m in self.country.mines if self._is_within(m.x, m.y)]
        odds = np.array([rates.recorded_formal if m.formal else rates.recorded_informal for m in pool])
        gone = np.array([m.abandoned is not None and m.abandoned < 22.5 for m in pool])
        rank = rng.exponential(1.0, len(pool)) / odds
        n_gone = min(round(rates.gone * n), int(gone.sum()))
        live, closed = np.flatnonzero(~gone), np.flatnonzero(gone)
        live, closed = live[np.argsort(rank[live])], closed[np.argsort(rank[closed])]
        chosen = [*closed[:n_gone], *live[: n - n_gone]]
        chosen += list(closed[n_gone : n_gone + n - len(chosen)])
        self._gone = {pool[k].ident for k in closed[:n_gone]}
        return [pool[k] for k in chosen]

    def _empty_place(self, near_town: bool, precision: str) -> tuple[float, float]:
        """A place without a mine within 700 m, and often none in the whole search disc, if one is found."""
        rng, country = self.rng, self.country
        west, south, east, north = self.within
        towns = [s for s in country.settlements if self._is_within(s.x, s.y)]
        best, best_gap = None, -1.0
        wanted = 1400.0 if precision == "gps" else 7200.0
        for _ in range(160):
            if near_town and towns:
                s = towns[rng.integers(len(towns))]
                a, away = rng.uniform(0, 2 * np.pi), s.radius_m + rng.uniform(100, 2600)
                x, y = s.x + away * np.cos(a), s.y + away * np.sin(a)
            else:
                x, y = rng.uniform(west, east), rng.uniform(south, north)
            if not self._is_within(x, y) or not country.inside(x, y) or country.shore_m(x, y) < 300:
                continue
            gap = self.mine_tree.query((x, y))[0]
            if gap > wanted or (gap > 700 and rng.uniform() < 0.01):
                return float(x), float(y)
            if gap > best_gap:
                best, best_gap = (float(x), float(y)), gap
        if best is None:
            raise ValueError("No land was found for a false record.")
        return best

    # what is written ------------------------------------------------------------------------------------------------

    def _report(self, x: float, y: float, precision: str) -> tuple[float, float]:
        """Longitude and latitude as the location method gives them."""
        rng, rates = self.rng, self.rates
        if precision == "gps":
            dx, dy = rng.normal(0, rates.gps_sigma_m, 2)
            return tuple(float(round(float(v), 6)) for v in to_lonlat(x + dx, y + dy))
        if precision == "rounded":
            step = rates.rounded_lattice_deg
            return tuple(float(round(np.floor(float(v) / step) * step, 4)) for v in to_lonlat(x, y))
        reach = rates.village_reach_m if precision == "village" else rates.digitised_reach_m
        away, a = rng.uniform(0, reach), rng.uniform(0, 2 * np.pi)
        digits = 5 if precision == "village" else 4
        return tuple(float(round(float(v), digits)) for v in to_lonlat(x + away * np.cos(a), y + away * np.sin(a)))

    def _site(self, number, kind, thing, precision, swapped, elsewhere, blank, licence):
        rng, country = self.rng, self.country
        if kind == "mine" or kind == "look":
            x, y = thing.x, thing.y
        else:
            x, y = self._empty_place(kind == "town", precision)
        lon, lat = self._report(x, y, precision)
        for _ in range(20):  # a register's point is at least on its land
            if country.inside(*to_metres(lon, lat)) or precision == "rounded":
                break
            lon, lat = self._report(x, y, precision)
        polygon = self._licence(lon, lat, thing if kind == "mine" else None) if licence else None
        number_at = int(country.province_at(*to_lonlat(x, y)))
        province = names.PROVINCES[number_at - 1] if number_at else names.PROVINCES[0]
        stated = province
        if elsewhere:
            stated = str(rng.choice([p.name for p in country.provinces if p.name != province]))
        district = country.districts[max(int(country.district_at(*to_lonlat(x, y))) - 1, 0)].name
        days = self._days(thing if kind == "mine" else None)
        mineral = thing.mineral if kind == "mine" else names.MINERALS[country._mineral(rng, x, y)]
        minerals = (mineral,) if rng.uniform() < 0.85 else (mineral, str(rng.choice(["gold", "cassiterite"])))
        minerals = tuple(dict.fromkeys(minerals))
        formal = thing.formal if kind == "mine" else bool(rng.uniform() < 0.3)
        site_name = thing.name if kind == "mine" else names.place_name(country.seed, 6, number + len(self.name) * 1000)
        source_id = f"{self.name}-{number}"
        shown = (lat, lon) if swapped else (lon, lat)
        if blank:
            shown = (None, None)
        base_workers = thing.workers if kind == "mine" else int(round(rng.lognormal(3.8, 0.6), -1)) + 5
        visits = []
        for number_of_visit, day in enumerate(days, start=1):
            on_site = rng.uniform() < (1 - self.rates.not_on_site if kind == "mine" else self.rates.never_there_on_site)
            how = "on site" if on_site else str(rng.choice(["third party", "remote"], p=[0.7, 0.3]))
            workers = int(max(5, round(base_workers * rng.lognormal(0, 0.35), -1))) if rng.uniform() < 0.78 else None
            trade = ""
            if formal:
                trade = str(rng.choice(["itsci", "vert", "jaune", "rouge", ""], p=[0.35, 0.25, 0.08, 0.04, 0.28]))
            visits.append(
                Visit(
                    source_id,
                    site_name,
                    *(self._read_again(shown, precision) if number_of_visit < len(days) else shown),
                    polygon,
                    precision,
                    stated,
                    district,
                    minerals,
                    formal,
                    trade,
                    workers,
                    day,
                    str(rng.choice(["day", "month", "year"], p=[0.7, 0.18, 0.12])),
                    how,
                )
            )
        fact = self._truth(
            source_id, kind, thing, lon, lat, polygon, precision, swapped, blank, elsewhere, province, visits
        )
        return visits, fact

    def _read_again(self, shown, precision: str):
        """An earlier reading of the same place: a GPS differs by some metres each time."""
        if precision != "gps" or shown[0] is None:
            return shown
        return tuple(round(float(value), 6) for value in np.array(shown) + self.rng.normal(0, 8 / 111_195, 2))

    def _licence(self, lon, lat, mine) -> list:
        rng = self.rng
        x, y = to_metres(lon, lat)
        half_w, half_h = rng.uniform(250, 900), rng.uniform(200, 700)
        corners = [
            (x - half_w, y - half_h),
            (x + half_w, y - half_h),
            (x + half_w, y + half_h),
            (x - half_w, y + half_h),
        ]
        ring = [[round(float(v), 6) for v in to_lonlat(*corner)] for corner in [*corners, corners[0]]]
        return ring

    def _days(self, mine: Mine | None) -> list[date]:
        """Days of the visits, oldest first: after a mine opened, after it closed if the record is of the gone."""
        rng = self.rng
        first, last = years_since_epoch(date(2019, 4, 1)), years_since_epoch(date(2023, 11, 15))
        if mine is not None:
            if mine.ident in self._gone:
                first = max(first, min(mine.abandoned + 0.1, last - 0.3))
            else:
                first = max(first, min(mine.opened + 0.2, last - 0.1))
                if mine.abandoned is not None:
                    last = max(first + 0.1, min(last, mine.abandoned))
        n = 1 if rng.uniform() > self.rates.several_visits else int(rng.integers(2, 5))
        return [EPOCH + timedelta(days=float(round(t * 365.25))) for t in np.sort(rng.uniform(first, last, n))]

    def _truth(self, source_id, kind, thing, lon, lat, polygon, precision, swapped, blank, elsewhere, province, visits):
        mine = thing if kind == "mine" else None
        x, y = (float(v) for v in to_metres(lon, lat))
        away = None
        state = "never there"
        true_lon = true_lat = None
        if mine is not None:
            true_lon, true_lat = (round(float(v), 7) for v in to_lonlat(mine.x, mine.y))
            away = round(float(np.hypot(mine.x - x, mine.y - y)), 1)
            if polygon is not None:
                px, py = to_metres(*np.array(polygon).T)
                away = round(
                    float(
                        np.hypot(
                            max(px.min() - mine.x, 0, mine.x - px.max()), max(py.min() - mine.y, 0, mine.y - py.max())
                        )
                    ),
                    1,
                )
            state = "at point" if away <= TOLERANCE_M[precision] else "displaced"
            if mine.ident in self._gone:
                state = "gone"
        if swapped or blank:
            verdict = ("unsure", None, None, None, None, "no_image")
        else:
            verdict = self.expected(x, y, precision, polygon)
        return Truth(
            source_id, state, mine.ident if mine else None, true_lon, true_lat, away, precision, "", swapped, elsewhere,
            province, thing.ident if kind == "look" else None, *verdict,
        )  # fmt: skip

    def expected(self, x: float, y: float, precision: str, polygon: list | None) -> tuple:
        """Verdict, mark, mine and activity that the rules of judgement give for a reported place."""
        radius = SEARCH_RADIUS_M[precision]
        near = self.visible_tree.query_ball_point((x, y), radius + 400)
        best, best_gap, second_gap = None, np.inf, np.inf
        for k in near:
            mine = self.visible[k]
            if polygon is not None:
                px, py = to_metres(*np.array(polygon).T)
                gap = float(
                    np.hypot(max(px.min() - mine.x, 0, mine.x - px.max()), max(py.min() - mine.y, 0, mine.y - py.max()))
                )
                gap -= 0.3 * mine.width_m
            else:
                gap = min(gap_to_mine_m(mine, x, y, on) for on in self.looks if mine.is_visible(on))
            if gap < best_gap:
                best, best_gap, second_gap = mine, gap, best_gap
            else:
                second_gap = min(second_gap, gap)
        if best is None or best_gap > radius:
            return "reject", None, None, None, None
        if best_gap > TOLERANCE_M[precision] and second_gap < EQUALLY_LIKELY * best_gap:
            return "unsure", None, None, None, None, "several_candidates"
        mark = (best.x, best.y) if polygon is not None else nearest_dug(best, x, y, self._seen_on(best))
        lon, lat = (round(float(v), 7) for v in to_lonlat(*mark))
        verdict = "confirm" if best_gap <= 8 else "move"
        return verdict, lon, lat, best.ident, best.is_active(self.looks[-1])

    def _seen_on(self, mine: Mine) -> date:
        """The newest image on which its workings show."""
        return max(on for on in self.looks if mine.is_visible(on))

    def _duplicate(self, number, visits, fact):
        """The same site again: a few metres off, its name in capitals or misspelt."""
        rng = self.rng
        source_id = f"{self.name}-{number}"
        dx, dy = rng.normal(0, 12, 2)
        first = visits[-1]
        name = first.name.upper() if rng.uniform() < 0.5 else _misspelt(first.name, rng)
        lon, lat = first.lon, first.lat
        if lon is not None:
            x, y = to_metres(lon, lat)
            lon, lat = (round(float(v), 6) for v in to_lonlat(x + dx, y + dy))
        copy = replace(
            first,
            source_id=source_id,
            name=name,
            lon=lon,
            lat=lat,
            on=first.on + timedelta(days=int(rng.integers(0, 200))),
        )
        copy = replace(copy, on=min(copy.on, date(2023, 12, 20)))
        return [copy], replace(fact, source_id=source_id, is_duplicate_of=fact.source_id)


def gap_to_mine_m(mine: Mine, x: float, y: float, on: date) -> float:
    """Metres from a point to the dug ground of a mine on a date (its ellipse, about), 0 inside."""
    extent, _ = mine.activity(on)
    dx, dy = x - mine.x, y - mine.y
    c, s = np.cos(mine.angle), np.sin(mine.angle)
    u, v = dx * c + dy * s, -dx * s + dy * c
    a, b = 0.5 * mine.length_m * (0.5 + 0.5 * extent), 0.5 * mine.width_m * (0.6 + 0.4 * extent)
    rho = np.hypot(u / a, v / b)
    return float(0.0 if rho <= 1 else np.hypot(u, v) * (1 - 1 / rho))


def nearest_dug(mine: Mine, x: float, y: float, on: date) -> tuple[float, float]:
    """Where a reader marks the mine: a little inside its dug ground towards the point; the point itself within it."""
    away, gap = float(np.hypot(x - mine.x, y - mine.y)), gap_to_mine_m(mine, x, y, on)
    if gap == 0:
        return x, y
    share = max(0.0, 1 - (gap + 8) / away)
    return mine.x + (x - mine.x) * share, mine.y + (y - mine.y) * share


def _misspelt(name: str, rng) -> str:
    k = int(rng.integers(1, max(2, len(name) - 1)))
    return name[:k] + name[k] + name[k:] if rng.uniform() < 0.5 else name[:k] + name[k + 1 :]


# files --------------------------------------------------------------------------------------------------------------


def register_rows(register: Register) -> list[dict]:
    """Rows as the publisher writes them: French columns for the cadastre, English ones for the survey."""
    return [_row_fr(v) if register.name == "cadastre" else _row_en(v) for v in register.visits]


def _day(visit: Visit) -> str:
    return visit.on.strftime({"day": "%Y-%m-%d", "month": "%Y-%m", "year": "%Y"}[visit.date_precision])


def _wkt(visit: Visit) -> str:
    if visit.polygon is None:
        return ""
    return "POLYGON ((" + ", ".join(f"{a} {b}" for a, b in visit.polygon) + "))"


def _row_fr(v: Visit) -> dict:
    kinds = {"on site": "Sur site", "third party": "Tiers", "remote": "À distance"}
    return {
        "code_site": v.source_id, "nom": v.name, "longitude": v.lon, "latitude": v.lat, "geometrie": _wkt(v),
        "origine_localisation": _METHODS_FR[v.precision], "province": v.province, "district": v.district,
        "substance_1": _FRENCH[v.minerals[0]], "substance_2": _FRENCH[v.minerals[1]] if len(v.minerals) > 1 else "",
        "statut_legal": "Autorisé" if v.formal else "Sans titre",
        "statut_commercial": "iTSCi" if v.trade == "itsci" else v.trade.capitalize(),
        "nombre_creuseurs": v.workers, "date_visite": _day(v), "precision_date": _DATES_FR[v.date_precision],
        "type_visite": kinds[v.kind],
    }  # fmt: skip


def _row_en(v: Visit) -> dict:
    return {
        "site_id": v.source_id, "site_name": v.name, "lon": v.lon, "lat": v.lat,
        "location_method": _METHODS_EN[v.precision],
        "province": v.province, "district": v.district, "mineral": "; ".join(_ENGLISH[m] for m in v.minerals),
        "legal_status": "licensed" if v.formal else "unlicensed", "trade_status": v.trade, "workers": v.workers,
        "visit_date": _day(v), "date_precision": v.date_precision, "visit_kind": v.kind,
    }  # fmt: skip


def csv_bytes(rows: list[dict]) -> bytes:
    """Rows as UTF-8 CSV with a header; None is an empty cell."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


def geojson_bytes(register: Register) -> bytes:
    """The register as GeoJSON: points, polygons for licences, null where there are no coordinates."""
    features = []
    for visit, row in zip(register.visits, register_rows(register), strict=True):
        geometry = None
        if visit.polygon is not None:
            geometry = {"type": "Polygon", "coordinates": [visit.polygon]}
        elif visit.lon is not None:
            geometry = {"type": "Point", "coordinates": [visit.lon, visit.lat]}
        properties = {k: v for k, v in row.items() if k not in ("longitude", "latitude", "lon", "lat", "geometrie")}
        features.append({"type": "Feature", "properties": properties, "geometry": geometry})
    return json.dumps({"type": "FeatureCollection", "features": features}, ensure_ascii=False, indent=1).encode()


def truth_rows(register: Register) -> list[dict]:
    """The truth, one row per site."""
    return [asdict(fact) for fact in register.truth]


def drawn_rates(register: Register) -> dict[str, float]:
    """The error rates of a drawn register, under the names of ErrorRates."""
    facts = register.truth
    first = [f for f in facts if not f.is_duplicate_of]
    real = [f for f in first if f.mine is not None]
    latest = {v.source_id: v for v in register.visits}
    n_first = len(first)
    true_sites = {fact.source_id for fact in facts if fact.mine is not None}
    true_visits = [visit for visit in register.visits if visit.source_id in true_sites]
    false_visits = [visit for visit in register.visits if visit.source_id not in true_sites]

    def share(hits, whole) -> float:
        return sum(hits) / max(whole, 1)

    return {
        **{p: share((f.precision == p for f in first), n_first) for p in PRECISION_CLASSES},
        "never_there": share((f.mine is None for f in first), n_first),
        "never_there_look_alike": share((f.on_look_alike is not None for f in first), n_first - len(real)),
        "gone": share((f.kind == "gone" for f in real), len(real)),
        "duplicated": (len(facts) - n_first) / max(n_first, 1),
        "swapped": share((f.is_swapped for f in first), n_first),
        "wrong_province": share((f.has_wrong_province for f in first), n_first),
        "no_coordinates": share((latest[f.source_id].lon is None for f in first), n_first),
        "licence": share((latest[f.source_id].polygon is not None for f in first), n_first),
        "not_on_site": share((v.kind != "on site" for v in true_visits), len(true_visits)),
        "never_there_on_site": share((v.kind == "on site" for v in false_visits), len(false_visits)),
        "several_visits": share((sum(v.source_id == f.source_id for v in register.visits) > 1 for f in first), n_first),
    }
