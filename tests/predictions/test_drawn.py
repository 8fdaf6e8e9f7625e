"""The probability sample of cells: with which chance each was judged, who read it, what totals make of that."""

from datetime import timedelta

import numpy as np
import pytest
from django.contrib.gis.geos import Point
from django.utils import timezone

from labels import geo
from labels.models import Audit, Mark, ReferenceLayer, Retraction, Review, SampleUnit
from predictions import cell_facts, drawn, intensity, storage
from predictions.drawn import chances, readings
from tests.factories import make_area, square
from tests.labelled import judge, make_audit, make_cell_unit, somebody
from tests.predictions import test_intensity
from tests.predictions.learned import make_release_row
from tests.predictions.maps import grid_cells

pytestmark = pytest.mark.django_db

AREAS, N_CELLS = test_intensity.AREAS, test_intensity.N_CELLS
CELLS = grid_cells(10, 10)  # -10.81 to -10.71, 6.99 down to 6.89
NAMES = storage.cell_names(CELLS)


def make_province(project, rows: int = 10, **fields):
    return make_area(project, square(-10.81, 6.99 - rows / 100, rows / 100), **fields)


def draw(project, slug: str, at: list[int], probability: float = 0.2, population: int = 100, n_open: int = 0) -> Audit:
    """An audit that drew these cells; all judged and clear but the last `n_open`."""
    audit = make_audit(project, slug, frame="cells", n_population=population)
    for place, row in enumerate(at):
        unit = make_cell_unit(audit, NAMES[row])
        SampleUnit.objects.filter(pk=unit.pk).update(inclusion_probability=probability)
        if place < len(at) - n_open:
            judge(unit, "searched", share_seen=1.0)
    return audit


def release_of(project, *audits: Audit):
    return make_release_row(project, data_card={"audits": [{"audit": audit.slug} for audit in audits]})


# ---- chances ----


def test_what_was_drawn_and_not_judged_yet_lowers_the_chance_of_the_rest(project):
    audit = draw(project, "cells", [0, 1, 2, 3], probability=0.04, n_open=1)
    found = chances(release_of(project, audit), CELLS)
    assert found.weights[[0, 1, 2, 3]] == pytest.approx([100 / 3] * 3 + [0])
    assert (found.weights > 0).sum() == 3 and found.left_out == []


def test_a_cell_counts_by_the_chance_that_any_audit_of_the_same_ground_drew_it(project):
    """Also one that a single audit drew: the others could have."""
    make_province(project)
    one, two = draw(project, "one", [0, 1, 2, 3], 0.04), draw(project, "two", [3, 4], 0.02)
    found = chances(release_of(project, one, two), CELLS)
    assert found.weights[:5] == pytest.approx([1 / (1 - 0.96 * 0.98)] * 5)
    assert chances(release_of(project, one), CELLS).weights[:4] == pytest.approx([25] * 4)


def test_an_audit_of_a_smaller_country_could_not_draw_what_was_added_later(project):
    old = make_province(project, rows=5, name="Old").layer
    first = draw(project, "first", [0, 1], 0.1, population=25)  # five columns and rows
    Audit.objects.filter(pk=first.pk).update(opened_at=timezone.now() - timedelta(days=2))
    ReferenceLayer.objects.filter(pk=old.pk).update(
        loaded_at=timezone.now() - timedelta(days=3), retired_at=timezone.now() - timedelta(days=1)
    )
    area = make_area(project, square(-10.81, 6.89, 0.1), level=2, name="New")
    ReferenceLayer.objects.filter(pk=area.layer_id).update(level=1, loaded_at=timezone.now() - timedelta(hours=1))
    second = draw(project, "second", [1, 99], 0.05)
    found = chances(release_of(project, first, second), CELLS)
    assert found.weights[[0, 1]] == pytest.approx([1 / (1 - 0.9 * 0.95)] * 2)
    assert found.weights[99] == pytest.approx(20)


def test_audits_whose_frames_are_not_known_are_not_weighed_together(project):
    one, two = draw(project, "one", [0, 1, 2], 0.04), draw(project, "two", [3, 4], 0.02)
    found = chances(release_of(project, one, two), CELLS)  # no province holds the cells any more
    assert found.left_out == ["two"]
    assert found.weights[:5] == pytest.approx([25, 25, 25, 0, 0])


# ---- readers ----


def test_planned_readings_alone_tell_of_readers(project):
    audit = make_audit(project, "cells", frame="cells", reviews_per_unit=2)
    one = make_cell_unit(audit, NAMES[0])
    for name, marks in (("alma", []), ("bilal", [(*geo.grid_cell_centre(NAMES[0]), "artisanal")]), ("chen", [])):
        judge(one, "searched", by=name, share_seen=1.0, others=marks)
    two = make_cell_unit(audit, NAMES[1])
    judge(two, "searched", by="alma", share_seen=1.0)
    judge(two, "unsure", by="bilal")
    once = make_audit(project, "once", frame="cells")
    judge(make_cell_unit(once, NAMES[2]), "searched", by="chen", share_seen=0.5)
    read = readings(release_of(project, audit, once))
    assert read.y.tolist() == pytest.approx([0, 1, 0, 0, np.nan, np.nan], nan_ok=True)
    assert read.is_planned.tolist() == [True, True, False, True, True, False]
    assert read.n_read_twice == 1 and read.variance() is None
    assert [sorted(row[row >= 0]) for row in read.of_cells(CELLS[:4])] == [[0, 1, 2], [0, 1], [2], []]


def test_what_came_after_a_release_changes_nothing_of_what_it_rests_on(project):
    """A run on an older release ends in what it ended in before: answers changed or undone since still count in it."""
    audit = make_audit(project, "cells", frame="cells", n_population=100, reviews_per_unit=2)
    units = [make_cell_unit(audit, name) for name in NAMES[:4]]
    first = [judge(unit, "searched", by=by, share_seen=1.0) for unit in units[:3] for by in ("alma", "bilal")]
    release = release_of(project, audit)
    before, weights = readings(release), chances(release, CELLS).weights
    judge(units[0], "unsure", by="alma", supersedes=first[0])
    for review in first[2:4]:
        Retraction.objects.create(review=review)
    SampleUnit.objects.filter(pk=units[2].pk).update(retired_at=timezone.now())
    after = readings(release)
    assert after.units.tolist() == before.units.tolist() and after.y.tolist() == before.y.tolist()
    assert before.n_read_twice == after.n_read_twice == 3
    assert chances(release, CELLS).weights == pytest.approx(weights) and (weights > 0).sum() == 3
    assert len(cell_facts.searches(release).cells) == 3
    later = release_of(project, audit)
    assert len(readings(later).y) == 2 and len(cell_facts.searches(later).cells) == 1


def reviewed(project, slug, rows, looks, cells):
    """An audit that wants two looks; `looks` are (places in rows, readers, what they said), in order."""
    audit = make_audit(project, slug, frame="cells", reviews_per_unit=2)
    shared = {"audit": audit, "tolerance_m": 100, "search_radius_m": 1000, "inclusion_probability": 30 / N_CELLS}
    names = storage.cell_names(cells[rows])
    units = SampleUnit.objects.bulk_create([SampleUnit(grid_cell=name, **shared) for name in names])
    about = {"queue": "sample", "verdict": "searched", "share_seen": 1.0, "guideline_version": "1", "input": "program"}
    about |= {"tolerance_m": 100, "search_radius_m": 1000, "app_version": "test"}
    people = {reader: somebody(f"reader-{reader}") for _places, readers, _said in looks for reader in set(readers)}
    for places, readers, said in looks:
        reviews = [
            Review(unit=units[place], annotator=people[reader], **about)
            for place, reader in zip(places, readers, strict=True)
        ]
        Review.objects.bulk_create(reviews)
        centres = storage.centres_of(cells[rows[places]])
        Mark.objects.bulk_create(
            Mark(review=review, point=Point(*centre, srid=4326), mine_type="artisanal")
            for review, centre, mine in zip(reviews, centres, said, strict=True)
            if mine
        )
    return audit


def test_totals_cover_the_true_share_although_readers_err(project):
    """Ten readers, each leaning his own way, on average imagining as many mines as they miss. Of 480 cells 150 are
    read twice; a third person settles disputes. Truth of areas and country against limits from the database."""
    rng, held, everywhere = np.random.default_rng(20), [], []
    cells = grid_cells(64, 64)
    for number in range(16):
        y, f = test_intensity.country(rng)
        misses, imagines = rng.uniform(0.02, 0.40, (2, 10))
        imagines *= y.mean() / (1 - y.mean())

        def read(rows, readers, y=y, misses=misses, imagines=imagines):
            wrong = np.where(y[rows] > 0, misses[readers], imagines[readers])
            return np.abs(y[rows] - (rng.random(len(rows)) < wrong))

        rows = np.sort(test_intensity.drawn(rng, 30))
        first, again = rng.integers(0, 10, len(rows)), rng.permutation(len(rows))[:150]
        second = (first[again] + rng.integers(1, 10, len(again))) % 10
        said, said_again = read(rows, first), read(rows[again], second)
        audit = reviewed(
            project, f"cells-{number}", rows, [(np.arange(len(rows)), first, said), (again, second, said_again)], cells
        )
        found = readings(release_of(project, audit))
        assert found.n_read_twice == 150
        settled = said.copy()
        settled[again] = np.where(said[again] == said_again, said_again, y[rows[again]])
        totals = intensity.totals(
            f,
            AREAS,
            searched=rows,
            y=settled,
            weights=np.full(len(rows), N_CELLS / 30),
            readers=found.of_cells(cells[rows]),
            reader_variance=found.variance(),
        )
        one, all_of_it = test_intensity.held(totals, test_intensity.means(y), y.mean())
        held.append(one)
        everywhere.append(all_of_it)
    assert 0.93 <= np.mean(held) <= 0.97, np.mean(held)
    assert np.mean(everywhere) >= 0.8, everywhere  # of 16 countries


def test_fewer_than_fifty_units_read_twice_say_nothing_of_readers(project):
    rng, cells, rows = np.random.default_rng(1), grid_cells(64, 64), np.arange(60)
    for n_twice, slug in ((49, "few"), (50, "enough")):
        again = np.arange(n_twice)
        looks = [(rows, rows % 3, rng.integers(0, 2, 60)), (again, (again + 1) % 3, rng.integers(0, 2, n_twice))]
        found = readings(release_of(project, reviewed(project, slug, rows, looks, cells)))
        assert found.n_read_twice == n_twice
        assert (found.variance() is None) == (n_twice < drawn.MIN_READ_TWICE)
