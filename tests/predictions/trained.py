"""A small audited country with features: enough to train on. (lon, lat); west of Greenwich, north of the equator."""

from dataclasses import dataclass

import numpy as np

from labels import geo, placement
from labels.models import Project, SampleUnit, SiteRecord
from predictions import storage
from predictions.models import FeatureSet
from tests.factories import (
    make_area,
    make_edition,
    make_observation,
    make_project,
    make_register,
    make_scene,
    make_source,
    square,
)
from tests.labelled import judge, make_audit, make_cell_unit

WEST, SOUTH, WIDE, HIGH = -1080, 620, 40, 20  # in cells
VIEW = {"bounds": [-10.9, 6.1, -10.3, 6.5], "zoom": 16, "ms": 2000}
SEARCHED_SHARE = 0.18


@dataclass
class Country:
    project: Project
    feature_set: FeatureSet
    cells: np.ndarray  # (n, 2) in the feature set's order
    has_mine: np.ndarray  # (n,) the truth


def make_features(project: Project, cells: np.ndarray, features: np.ndarray, name: str = "Features") -> FeatureSet:
    """A set that is ready, without imagery behind it."""
    n = len(cells)
    found = FeatureSet.objects.create(
        project=project, slug=name.lower(), name=name, kind="imported", n_cells=n, n_columns=features.shape[1]
    )
    colours = np.clip(120 + 20 * features[:, :3], 0, 255)
    found.content_sha256 = storage.write_arrays(
        found.folder / storage.FEATURES,
        cells=cells.astype(np.int32),
        features=features.astype(np.float32),
        means=colours.astype(np.float32),
        stds=np.full((n, 3), 9, np.float32),
        missing=np.zeros(n, np.float32),
    )
    found.save()
    return found


def ground(seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Cells, features that tell of mines with some noise, and where the mines are."""
    rng = np.random.default_rng(seed)
    grid = [(column, row) for row in range(SOUTH, SOUTH + HIGH) for column in range(WEST, WEST + WIDE)]
    cells = np.array(grid, dtype=np.int32)
    cells = cells[storage.sorted_cells(cells)]
    belt = np.sin(cells[:, 0] / 5.0) + np.cos(cells[:, 1] / 4.0)
    mine_like = belt + rng.normal(0, 0.8, len(cells))
    features = rng.normal(0, 1, (len(cells), 24))
    features[:, 3:9] += mine_like[:, None] * rng.uniform(0.4, 0.9, 6)
    return cells, features, mine_like > np.quantile(mine_like, 0.85)


def make_country(*, seed: int = 0, n_records: int = 60, project: Project | None = None) -> Country:
    """Two provinces, a register of which a third is wrong, all of it judged, and a fifth of the cells searched."""
    rng = np.random.default_rng(seed + 100)
    project = project or make_project()
    cells, features, has_mine = ground(seed)
    for name, west in (("West", -10.8), ("East", -10.6)):
        make_area(project, square(west, 6.2, 0.2), name=name)
    source = make_source(project)
    make_scene(source, footprint=square(-10.9, 6.1, 0.6), sha256="ab")
    seen = {"seen": source, "views": [VIEW], "scenes": ["ab"]}
    _judge_records(project, cells, has_mine, rng, n_records, seen)
    _search_cells(project, cells, has_mine, rng, seen)
    return Country(project, make_features(project, cells, features), cells, has_mine)


def _judge_records(project, cells, has_mine, rng, n_records, seen) -> None:
    register = make_register(project)
    audit = make_audit(project, "census", register=register)
    mines, others = rng.permutation(np.flatnonzero(has_mine)), rng.permutation(np.flatnonzero(~has_mine))
    n_false = n_records // 3
    verdicts = []
    for at in mines[: n_records - n_false]:
        centre = tuple(storage.centres_of(cells[at]))
        if rng.random() < 0.3:  # reported next door
            verdicts.append(((centre[0] + 0.01, centre[1]), "move", centre))
        else:
            verdicts.append((centre, "confirm", centre))
    verdicts += [(tuple(storage.centres_of(cells[at])), "reject", None) for at in others[:n_false]]
    for number, (at, verdict, mark) in enumerate(verdicts):
        unit = _unit(audit, at, number)
        found = {"confidence": 4, "mine_type": "artisanal", "mark": mark} if mark else {}
        judge(unit, verdict, **found, **seen)
    placement.place_records(register=register)


def _unit(audit, at: tuple[float, float], number: int) -> SampleUnit:
    """A record, to be placed with all others, and its unit."""
    register = audit.register
    edition = register.editions.first() or make_edition(register)
    record = SiteRecord.objects.create(register=register, source_id=f"site-{number:03d}", first_edition=edition)
    observation = make_observation(record, at=at, edition=edition)
    return SampleUnit.objects.create(
        audit=audit,
        site_record=record,
        observation=observation,
        stratum="all",
        inclusion_probability=1.0,
        tolerance_m=100,
        search_radius_m=1000,
    )


def _search_cells(project, cells, has_mine, rng, seen) -> None:
    audit = make_audit(project, "cells", frame="cells", design="srs")
    for at in np.flatnonzero(rng.random(len(cells)) < SEARCHED_SHARE):
        centre = storage.centres_of(cells[at])
        unit = make_cell_unit(audit, str(geo.grid_cell_ids(*centre[:, None])[0]))
        type(unit).objects.filter(pk=unit.pk).update(inclusion_probability=SEARCHED_SHARE)
        unit.refresh_from_db()
        marks = [(*centre, "artisanal")] if has_mine[at] else []
        judge(unit, "searched", share_seen=1.0, confidence=4, others=marks, **seen)
