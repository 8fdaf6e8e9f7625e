"""From the form to the figures: a run that a person starts, watches, reads, compares and chooses."""

import numpy as np
import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.urls import reverse
from django.utils import timezone

from labels import jobs
from labels.models import ImagerySource, ReferenceArea, ReferenceLayer, SampleUnit
from labels.models.areas import AreaKind
from predictions import feature_costs, training
from predictions.models import RetrainingRule, TrainingRun
from predictions.storage import cell_names
from tests.factories import make_area, make_project, square
from tests.labelled import judge, make_audit, make_cell_unit
from tests.predictions.figures import figures
from tests.predictions.learned import make_feature_set
from tests.predictions.test_run_pages import page, words_of
from tests.predictions.trained import VIEW, make_country, make_features

QUICK = {"n_resamples": 50, "size_km": 5.0}


@pytest.fixture
def country(project):
    return make_country(project=project)


@pytest.fixture
def as_lead(client_of, lead):
    return client_of(lead)


def do(run: TrainingRun) -> TrainingRun:
    job = jobs.run(run.job_id)
    assert job.state == "done", job.error
    run.refresh_from_db()
    return run


def trained(country, **fields) -> TrainingRun:
    return do(training.start_run(country.project, feature_set=country.feature_set, options=QUICK, **fields))


def shape(value) -> object:
    """Names of a figure, without its values: of lists, of all their entries together."""
    if isinstance(value, dict):
        return {name: shape(each) for name, each in value.items()}
    if isinstance(value, list):
        merged = {}
        for each in value:
            if isinstance(each, dict):
                merged |= shape(each)
        return [merged] if merged else "list"
    return "value"


def lacking(ours, theirs, where: str = "") -> list[str]:
    """What pages are tested on and training does not write."""
    if isinstance(ours, list) and isinstance(theirs, list):
        return lacking(ours[0], theirs[0], where)
    if not isinstance(ours, dict):
        return []
    if not isinstance(theirs, dict):
        return [where]
    missing = [f"{where}.{name}" for name in ours.keys() - theirs.keys()]
    return missing + [
        each for name in ours.keys() & theirs.keys() for each in lacking(ours[name], theirs[name], f"{where}.{name}")
    ]


def test_a_run_is_started_done_read_and_chosen(as_lead, country, lead, project):
    text = page(as_lead, "run_new", project)
    told = [int(text.split(each)[1].split()[0]) for each in ("with an artisanal mine ", "cells searched and clear ")]
    assert "Nothing is left out for want of rights." in text
    answer = as_lead.post(
        reverse("predictions:run_new", args=[project.slug]),
        {"feature_set": country.feature_set.slug, "size_km": 5, "buffer_km": 1, "budget": 40},
    )
    run = TrainingRun.objects.get()
    assert answer.url == reverse("predictions:run", args=[project.slug, run.number])
    assert run.made_by == lead
    assert run.options == {"size_km": 5.0, "buffer_km": 1.0, "budget": 40}
    assert run.area is None
    assert "Waiting for a worker." in page(as_lead, "run", project, run.number)
    do(run)
    assert [run.figures["n_positive"], run.figures["n_negative"]] == told
    # What the fixture of the pages has, training writes.
    known = {".ladder.origin"}  # of a model from elsewhere
    assert set(lacking(shape(figures()), shape(run.figures))) - known == set()
    text = page(as_lead, "run", project, run.number)
    assert "Inspecting the map’s 40 highest cells would find" in text
    assert "Make it the current run" in text
    as_lead.post(reverse("predictions:run_choose", args=[project.slug, run.number]))
    assert "current: chosen by lena" in page(as_lead, "run", project, run.number)
    assert run.content_sha256 in page(as_lead, "run_card", project, run.number)
    other = trained(country, release=run.release)
    answer = as_lead.get(reverse("predictions:run_compare", args=[project.slug]) + f"?run={other.number}&run=1")
    text = words_of(answer)
    assert "Run 1 and run 2" in text
    assert "800 cells of both maps" in text
    assert "None." in text  # no label changed


def test_a_run_of_one_area_says_so_wherever_it_is_shown(as_lead, country, project):
    west = ReferenceArea.objects.get(name="West")
    given = {"feature_set": country.feature_set.slug, "area": west.pk, "size_km": 5, "buffer_km": 1}
    asked = words_of(as_lead.get(reverse("predictions:run_new", args=[project.slug]), given))
    n_outside = int(asked.split(" labelled cells have no features or lie outside the area")[0].split()[-1])
    assert n_outside > 20
    as_lead.post(reverse("predictions:run_new", args=[project.slug]), given)
    run = TrainingRun.objects.get()
    assert "Area West" in page(as_lead, "run", project, run.number)  # while it waits
    do(run)
    assert (run.area, run.figures["n_outside_features"]) == (west, n_outside)
    for name in ("run", "run_card"):
        assert "Area West" in page(as_lead, name, project, run.number)
    [row] = as_lead.get(reverse("predictions:runs", args=[project.slug])).content.decode().split('<th scope="row">')[1:]
    assert "West" in row.split("</th>")[0]  # where a narrow screen shows it too
    other = trained(country, release=run.release)
    answer = as_lead.get(reverse("predictions:run_compare", args=[project.slug]) + f"?run={other.number}&run=1")
    assert words_of(answer).count("Area West") == 1


def test_only_a_current_admin_area_of_the_project_can_be_asked_for(as_lead, country, project):
    terrain, mine = (
        make_area(project, square(-10.5, 6.5, 1.0), name=name, kind=kind)
        for name, kind in (("Hills", AreaKind.TERRAIN), ("Pit", AreaKind.COMMERCIAL))
    )
    old = ReferenceArea.objects.get(name="West")
    ReferenceLayer.objects.filter(pk=old.layer_id).update(retired_at=timezone.now())
    foreign = make_area(make_project(), square(-10.5, 6.5, 1.0))
    for area in (terrain, mine, old, foreign):
        given = {"feature_set": country.feature_set.slug, "area": area.pk, "size_km": 5, "buffer_km": 1}
        for ask in (as_lead.get, as_lead.post):
            answer = ask(reverse("predictions:run_new", args=[project.slug]), given)
            assert answer.status_code == 200
            assert answer.context["form"].errors.keys() == {"area"}
            assert answer.context["forecast"] is None
    assert not TrainingRun.objects.exists()


def test_the_command_takes_no_mine_for_an_area_either(country, project):
    make_area(project, square(-10.5, 6.5, 1.0), name="Pit", kind=AreaKind.COMMERCIAL)
    with pytest.raises(CommandError, match="no current area 'Pit'"):
        call_command("train", project=project.slug, area="Pit")
    assert not TrainingRun.objects.exists()


def test_a_list_of_areas_fetches_no_shapes(country, project):
    assert feature_costs.areas(project).first().get_deferred_fields() == {"geometry", "attributes"}


def test_the_form_refuses_and_says_what_has_no_right(as_lead, country, project):
    far = make_features(project, country.cells + 500, np.zeros((len(country.cells), 24)), name="Far")
    answer = as_lead.post(
        reverse("predictions:run_new", args=[project.slug]), {"feature_set": far.slug, "size_km": 10, "buffer_km": 2}
    )
    assert "None of the labels lies in a cell of these features" in words_of(answer)
    assert not TrainingRun.objects.exists()
    ImagerySource.objects.update(may_train=False)
    text = page(as_lead, "run_new", project)
    assert "The imagery of every label lacks the right to train models" in text
    assert "(no right to train models)" in text


def test_doubtful_cells_are_counted_and_not_promised(as_lead, country, project):
    before = page(as_lead, "run_new", project)
    taken = set(SampleUnit.objects.values_list("grid_cell", flat=True))
    free = [at for at in np.flatnonzero(~country.has_mine) if cell_names(country.cells[at : at + 1])[0] not in taken]
    unit = make_cell_unit(
        make_audit(project, "more", frame="cells", design="srs"), cell_names(country.cells[free[:1]])[0]
    )
    seen = {"seen": project.imagery_sources.get(), "views": [VIEW], "scenes": ["ab"]}
    judge(unit, "searched", share_seen=1.0, confidence=2, **seen)
    text = page(as_lead, "run_new", project)
    assert "1 cell of low confidence or hardly looked at is withheld." in text
    told = [each.split("cells searched and clear ")[1].split()[0] for each in (before, text)]
    assert told[0] == told[1]


def test_a_failed_run_is_done_again_under_its_number(as_lead, country, project):
    run = training.start_run(project, feature_set=country.feature_set, options=QUICK | {"size_km": 900.0})
    assert jobs.run(run.job_id).state == "failed"
    assert "All labels lie within one block" in page(as_lead, "run", project, run.number)
    as_lead.post(reverse("predictions:run_retry", args=[project.slug, run.number]))
    run.refresh_from_db()
    assert (run.job.state, run.number, TrainingRun.objects.count()) == ("queued", 1, 1)
    answer = as_lead.post(reverse("predictions:run_retry", args=[project.slug, run.number]), follow=True)
    assert "somebody asked for it again already" in words_of(answer)


def test_the_rule_is_kept_with_who_set_it(as_lead, lead, project):
    features = make_feature_set(project)
    address = reverse("predictions:retraining_rule", args=[project.slug])
    as_lead.post(address, {"is_on": "on", "every_n_labels": 50, "feature_set": features.slug})
    rule = RetrainingRule.objects.get(project=project)
    assert (rule.every_n_labels, rule.is_on, rule.set_by) == (50, True, lead)
    text = words_of(as_lead.get(address))
    assert "of 50 new labels" in text
    assert "Set by lena" in text
    as_lead.post(address, {"every_n_labels": 50, "feature_set": features.slug})
    assert "Off: runs start only when somebody starts them." in words_of(as_lead.get(address))


def test_the_rule_says_what_is_wrong_with_a_number(as_lead, project):
    features = make_feature_set(project)
    address = reverse("predictions:retraining_rule", args=[project.slug])
    answer = as_lead.post(address, {"is_on": "on", "every_n_labels": 0, "feature_set": features.slug})
    assert answer.status_code == 200
    assert not RetrainingRule.objects.exists()
