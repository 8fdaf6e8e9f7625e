"""What a run says on the ground: its map as a GeoTIFF, and its totals of areas. Both from `scores.npz` alone."""

from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
from django.db import transaction
from django.utils.translation import gettext as _
from numpy.typing import NDArray

from labels.errors import BadInput
from labels.models.areas import AreaKind
from labels.whole_file import whole_file
from predictions import area_cells, intensity, rasters, storage
from predictions.drawn import Sample
from predictions.models import AreaTotal, TrainingRun

SCORES, MAP, STYLE = "scores.npz", "map.tif", "map.qml"
ARTISANAL = 0  # the head that is mapped
# Words inside the file are English: it is read by programs, and equal scores give equal bytes.
BANDS = (
    "score of artisanal mining (out of block in the frame)",
    "calibrated probability of artisanal mining",
    "dissimilarity to the training cells (area of applicability)",
    "1 where the score is out of block, 0 where it is of the final fit",
)
SCORE, PROBABILITY, DISTANCE, OUT_OF_BLOCK = range(1, 5)
# Without a threshold of its own a style marks the highest of this share of the cells.
MARKED_SHARE = 0.02


@dataclass(frozen=True)
class Scores:
    """What `scores.npz` of a run holds, row by row as the feature set; n cells, heads as labelling.HEADS.

    An array of one head may come as (n,) or (n, 1). predictions.training writes it through `storage.write_arrays`.
    """

    cells: NDArray[np.int32]  # (n, 2) column and row of the MOSAIKS grid
    score: NDArray[np.float32]  # (n, heads) of the final fit; nan without imagery
    probability: NDArray[np.float32]  # (n, heads) calibrated; nan where nothing could be calibrated
    out_of_block: NDArray[np.float32]  # (n, heads) score of a fit without the cell's block; nan outside the frame
    in_frame: NDArray[np.uint8]  # (n,) the cell took part in training
    distance: NDArray[np.float32]  # (n,) dissimilarity to the training cells
    outside_applicability: NDArray[np.uint8]  # (n,) farther than the run's threshold

    @classmethod
    def of(cls, run: TrainingRun) -> "Scores":
        """Raises storage.FileDamaged where the file is missing, not readable, or lacks one of these."""
        arrays = storage.read_arrays(run.folder / SCORES)
        try:
            return cls(**{field.name: arrays[field.name] for field in fields(cls)})
        except KeyError as error:
            raise storage.FileDamaged(_("The file %(file)s cannot be read.") % {"file": SCORES}) from error

    def __len__(self) -> int:
        return len(self.cells)

    def head(self, name: str, head: int = ARTISANAL) -> NDArray[np.float32]:
        """(n,): one of the arrays, of one head."""
        return np.asarray(getattr(self, name), dtype=np.float32).reshape(len(self), -1)[:, head]

    @property
    def is_out_of_block(self) -> NDArray[np.bool_]:
        """(n,): cells of the frame that were scored by a fit that had not seen them."""
        return np.isfinite(self.head("out_of_block"))

    @property
    def shown(self) -> NDArray[np.float32]:
        """(n,): the score that maps and lists show. In the frame it is out of block, as everywhere else on the map:
        a fit praises the cells it has learned by heart."""
        return np.where(self.is_out_of_block, self.head("out_of_block"), self.head("score"))


def write_map(
    run: TrainingRun, *, threshold: float | None = None, still_mine: Callable[[], None] = lambda: None
) -> Path:
    """Write `map.tif` of the run from its `scores.npz`, and a style beside it that QGIS takes; returns the map's path.

    The same scores give the same bytes. `still_mine` is called between blocks and may raise to stop.
    """
    scores = Scores.of(run)
    if not len(scores):
        raise BadInput(_("There are no grid cells to map: the features hold none."))
    shown = scores.shown
    values = (shown, scores.head("probability"), np.asarray(scores.distance, dtype=np.float32), _flags(scores))
    bands = [rasters.Band(*each) for each in zip(BANDS, values, strict=True)]
    path = run.folder / MAP
    with whole_file(path) as unfinished:
        rasters.write_raster(unfinished, scores.cells, bands, check=still_mine)
    with whole_file(run.folder / STYLE) as unfinished:
        unfinished.write_text(style_of(shown, threshold))
    return path


def _flags(scores: Scores) -> NDArray[np.float32]:
    return np.where(np.isfinite(scores.shown), scores.is_out_of_block, np.nan).astype(np.float32)


def style_of(shown: NDArray[np.float32], threshold: float | None = None) -> str:
    """The QGIS style of a map with these scores, shape (n,)."""
    known = shown[np.isfinite(shown)].astype(np.float64)
    if not known.size:
        known = np.zeros(1)
    if threshold is None:
        threshold = float(np.quantile(known, 1 - MARKED_SHARE))
    return rasters.qgis_style(
        float(known.min()), threshold, float(known.max()), ("lowest score", "threshold", "highest score")
    )


def totals_of(run: TrainingRun, sample: Sample, *, still_mine: Callable[[], None] = lambda: None) -> list[AreaTotal]:
    """The run's AreaTotal rows, worked out from its `scores.npz` and not stored yet.

    `sample` speaks of the cells of `scores.npz`. Areas are the current admin, protected and commercial ones; a cell
    belongs to the area of its centre. The total of all that was mapped is the row without an area, the first.
    """
    scores = Scores.of(run)
    cells, chances = np.asarray(scores.cells), _chances(scores)
    found = area_cells.cells_by_layer(run.project, cells, check=still_mine)
    country = next((each for each in found if each.layer.kind == AreaKind.ADMIN), None)
    (everywhere,) = _found(chances, {}, country.inside if country else np.ones(len(cells)), sample)
    rows = [_total(run, None, everywhere)]
    for layer in found:
        still_mine()
        rows += [_total(run, each.area, each) for each in _found(chances, layer.held, layer.inside, sample)[1:]]
    return rows


def store_totals(run: TrainingRun, rows: list[AreaTotal]) -> None:
    """Put these in place of the totals that the run has."""
    with transaction.atomic():
        AreaTotal.objects.filter(run=run).delete()
        AreaTotal.objects.bulk_create(rows, batch_size=2000)


def _found(
    chances: NDArray[np.float64], areas: dict[int, NDArray[np.int64]], inside: NDArray[np.float64], sample: Sample
) -> list[intensity.Total]:
    return intensity.totals(
        chances,
        areas,
        searched=sample.searched,
        y=sample.y,
        weights=sample.weights,
        inside=inside,
        readers=sample.readers,
        reader_variance=sample.reader_variance,
        unsure=sample.unsure,
        unsure_weights=sample.unsure_weights,
    )


def _chances(scores: Scores) -> NDArray[np.float64]:
    """(n,): the calibrated probability, or the score cut to 0..1 where nothing could be calibrated; nan without
    imagery."""
    probability = scores.head("probability").astype(np.float64)
    return np.where(np.isfinite(probability), probability, np.clip(scores.shown.astype(np.float64), 0, 1))


def _total(run: TrainingRun, area: int | None, found: intensity.Total) -> AreaTotal:
    return AreaTotal(
        run=run,
        area_id=area,
        n_cells=found.n_cells,
        n_searched=found.n_searched,
        share=found.share,
        low=found.low,
        high=found.high,
        shrunk=found.shrunk,
        reason=found.reason,
        n_unsure=found.n_unsure,
        share_if_clear=found.share_if_clear,
        share_if_mined=found.share_if_mined,
    )
