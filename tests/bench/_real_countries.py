"""Does a model of one country hold in another? The real chips of _real_chips.py by the country of their mine.

The boundaries of the data folder know Venezuela and Ecuador; mines of other countries make a third place, which is no
country. Chips without mines have no places, so each search for them is cut in the middle of its numbers: models learn
from the first half and are judged on the second, whatever country they are of. Filters are drawn from what a model
learns from. As optimistic as _real_chips says; and mines of a country were mostly seen in one year, which their
negatives need not be (`same_year`).
"""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from predictions import metrics
from predictions.classifier import RidgePath
from predictions.features import RandomConvolutionalFeatures
from tests.bench import _real_chips
from tests.bench._real_chips import Chips

BOUNDARIES = Path("boundaries/ne_adm0_8_countries.geojson")
ELSEWHERE = "other countries"
N_FOLDS = 10


@dataclass(frozen=True)
class Places:
    place: NDArray  # (n,) of text: the country of the mine, ELSEWHERE, or empty without a mine
    year: NDArray[np.int64]  # (n,) in which the picture was taken
    is_first_half: NDArray[np.bool_]  # (n,) of the negatives of its search
    # (n,) from 0: what is left out together among the mines of one place, and among negatives of the first half.
    folds: NDArray[np.int64]

    @property
    def names(self) -> list[str]:
        """Those with most mines first."""
        names, n = np.unique(self.place[self.place != ""], return_counts=True)
        return names[np.argsort(-n)].tolist()


@dataclass(frozen=True)
class Sides:
    """What one place gives to learn from and to be judged on: rows of the chips."""

    mines: NDArray[np.intp]
    learned: NDArray[np.intp]  # negatives, of the first half
    judged: NDArray[np.intp]  # negatives, of the second


def read(shared: Path, chips: Chips) -> Places:
    with np.load(shared / _real_chips.FILE, allow_pickle=False) as file:
        lon, lat, source = file["lon"], file["lat"], file["source"]
        year = np.array([int(day[:4]) for day in file["date_start"]])
    is_mine = chips.y == 1
    place = np.where(is_mine, ELSEWHERE, "").astype("U40")
    for name, rings in _countries(shared / BOUNDARIES):
        place[is_mine & inside(lon, lat, rings)] = name
    folds = np.zeros(len(lon), dtype=np.int64)
    first_half = np.zeros(len(lon), dtype=bool)
    for search in np.unique(source[~is_mine]):
        rows = np.flatnonzero(~is_mine & (source == search))
        first_half[rows[: len(rows) // 2]] = True
    folds[first_half] = _in_folds(chips.groups[first_half])
    for name in np.unique(place[is_mine]):
        rows = np.flatnonzero(place == name)
        folds[rows] = _in_folds(chips.groups[rows])
    return Places(place, year, first_half, folds)


def _countries(path: Path) -> list[tuple[str, list[NDArray]]]:
    features = json.loads(path.read_text())["features"]
    found = []
    for feature in features:
        shape = feature["geometry"]
        polygons = [shape["coordinates"]] if shape["type"] == "Polygon" else shape["coordinates"]
        found.append((feature["properties"]["NAME"], [np.array(ring) for each in polygons for ring in each]))
    return found


def inside(lon: NDArray, lat: NDArray, rings: list[NDArray]) -> NDArray[np.bool_]:
    """(n,): points from which a ray to the east crosses the rings, holes among them, an odd number of times."""
    n_crossed = np.zeros(len(lon), dtype=np.int64)
    for ring in rings:
        (x0, y0), (x1, y1) = ring[:-1].T[:, :, None], ring[1:].T[:, :, None]
        spans = (y0 > lat) != (y1 > lat)
        with np.errstate(divide="ignore", invalid="ignore"):
            at = x0 + (lat - y0) / (y1 - y0) * (x1 - x0)
        n_crossed += (spans & (at > lon)).sum(axis=0)
    return n_crossed % 2 == 1


def _in_folds(groups: NDArray[np.int64]) -> NDArray[np.int64]:
    """(n,) from 0 to N_FOLDS - 1: whole groups, in the order of their first chip."""
    _, first, own = np.unique(groups, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[own] * N_FOLDS // len(first)


def sides(places: Places, name: str, *, same_year: bool) -> Sides:
    """Of one place; with `same_year` only the year most of its mines were seen in, for mines and negatives alike."""
    mines, negatives = places.place == name, places.place == ""
    if same_year:
        years, n = np.unique(places.year[mines], return_counts=True)
        of_year = places.year == years[np.argmax(n)]
        mines, negatives = mines & of_year, negatives & of_year
    first = places.is_first_half
    return Sides(*(np.flatnonzero(each) for each in (mines, negatives & first, negatives & ~first)))


def convolutional(chips: Chips, side: Sides, n_filters: int, **more) -> NDArray[np.float32]:
    """(n, p) of all chips, by filters drawn from what the side learns from."""
    bank = RandomConvolutionalFeatures(n_filters, seed=1, **more)
    return bank.fit(chips.images[np.concatenate([side.mines, side.learned])]).transform(chips.images)


def judged(
    features: NDArray[np.float32], chips: Chips, places: Places, there: Sides, here: Sides, *, n_resamples: int = 1000
) -> metrics.Metrics:
    """A model of `there` on the mines and negatives of `here`; of one and the same place by fits without each mine's
    fold."""
    learned = np.concatenate([there.mines, there.learned])
    tested = np.concatenate([here.mines, here.judged])
    if there is here:
        rows = np.concatenate([learned, here.judged])
        weights = np.ones(len(rows))
        weights[len(learned) :] = 0.0  # scored, not fitted: by fits without one fold or another
        blocks = np.concatenate([places.folds[learned], np.arange(len(here.judged)) * N_FOLDS // len(here.judged)])
        model = RidgePath(n_extensions=1).fit(features[rows], chips.y[rows], weights, blocks=blocks)
        found = np.full(len(chips.y), np.nan)
        found[rows] = model.choice_.scores[:, 0]
        scores = found[tested]
    else:
        # A mine within a kilometre of one that was learned from, across the border, is not judged.
        tested = tested[~np.isin(chips.groups[tested], chips.groups[there.mines])]
        model = RidgePath(n_extensions=1).fit(features[learned], chips.y[learned], blocks=places.folds[learned])
        scores = model.predict(features[tested]).astype(float)
    y, groups = chips.y[tested], chips.groups[tested]
    return metrics.summary(y, scores, None, groups, budget=None, k=100, n_resamples=n_resamples, seed=1)
