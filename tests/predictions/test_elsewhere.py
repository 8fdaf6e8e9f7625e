"""A model of one country on another's ground."""

import io

import numpy as np
import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import connection
from django.test.utils import CaptureQueriesContext

from labels import jobs
from labels.errors import BadInput, NotAllowed
from labels.models import Membership
from labels.models.projects import Role
from predictions import elsewhere, storage, training
from predictions.models import FeatureSet, TrainingRun
from tests.predictions import worlds
from tests.predictions.maps import make_feature_set
from tests.predictions.two_countries import audited, learned, model_for, paired, run_with, write_scores

pytestmark = pytest.mark.django_db


@pytest.fixture
def there(project):
    """A run of a country that is judged nowhere here."""
    world = worlds.world(seed=3)
    rung = {"key": "sample", "negatives": "all_searched", "metrics": {"prevalence": 0.05}}
    return run_with(project, learned(world.features, world.truth), figures={"ladder": [rung]})


def judged(there, **changes) -> elsewhere.Judgement:
    here = worlds.world(seed=4)
    problem = worlds.problem(here, **changes)
    return elsewhere.judge_problem(there, problem, here.features.astype(np.float32))


def test_its_order_is_worth_something_where_the_ground_is_alike(there):
    rung = judged(there).rungs[0]
    assert rung["key"] == "elsewhere"
    assert rung["metrics"]["ap"]["low"] > 1.5 * rung["metrics"]["prevalence"]
    assert rung["metrics"]["auc"]["low"] > 0.7
    assert not rung["is_optimistic"]


def test_the_shift_of_prevalence_is_told_and_not_kept(there):
    found = judged(there)
    assert found.prevalence_here == pytest.approx(0.15, abs=0.05)
    assert elsewhere.prevalence_of(there) == 0.05
    assert elsewhere.prevalence_ratio(0.05, found.prevalence_here) == pytest.approx(found.prevalence_here / 0.05)
    assert elsewhere.prevalence_ratio(None, 0.1) is elsewhere.prevalence_ratio(0.1, None) is None
    rung = found.rungs[0]
    assert rung["prevalence_here"] == found.prevalence_here and "0.05" not in str(rung)


def test_with_a_sample_there_scores_become_probabilities(there):
    found = judged(there)
    assert not found.is_ranking_only and found.n_sampled == 500
    assert 0 < found.rungs[0]["metrics"]["brier"]["value"] < 0.13  # better than prevalence alone


def test_without_enough_of_a_sample_only_the_order_is_judged(there):
    found = judged(there, n_sample=elsewhere.ENOUGH_SAMPLED - 1)
    assert found.is_ranking_only
    metrics = found.rungs[0]["metrics"]
    assert metrics["brier"]["value"] is None and metrics["log_loss"]["value"] is None
    assert metrics["ap"]["value"] is not None


def test_without_any_sample_the_first_rung_says_why_it_is_missing(there):
    world = worlds.world(seed=4)
    problem = worlds.problem(world, sample_weights=np.zeros(len(world.cells)))
    found = elsewhere.judge_problem(there, problem, world.features.astype(np.float32))
    assert found.is_ranking_only and found.prevalence_here is None
    assert found.rungs[0]["reason"]


def test_cells_without_imagery_are_not_judged(there):
    world = worlds.world(seed=4)
    features = world.features.astype(np.float32)
    features[::2] = np.nan
    full = judged(there).rungs[0]["metrics"]["n"]
    half = elsewhere.judge_problem(there, worlds.problem(world), features).rungs[0]["metrics"]["n"]
    assert 0.3 * full < half < 0.7 * full


def test_an_artefact_that_was_changed_is_not_used(there):
    path = there.folder / training.MODEL
    storage.write_arrays(path, coefficients=np.ones((7, 2)), intercept=np.zeros(2))
    with pytest.raises(storage.FileDamaged):
        judged(there)


# ---- who, and with which features ----


def test_features_are_comparable_only_with_the_same_filters(project):
    def computed(sha256, n=10):
        return FeatureSet(kind="computed", filters_sha256=sha256, n_columns=n)

    assert elsewhere.is_comparable(computed("a"), computed("a"))
    assert not elsewhere.is_comparable(computed("a"), computed("b"))
    assert not elsewhere.is_comparable(computed(""), computed(""))
    assert not elsewhere.is_comparable(computed("a"), computed("a", n=11))
    imported = FeatureSet(kind="imported", n_columns=10)
    assert elsewhere.is_comparable(imported, FeatureSet(kind="imported", n_columns=10))
    assert not elsewhere.is_comparable(imported, computed("a"))


def test_only_who_may_look_at_runs_of_both(project, lead, annotator, stranger):
    there, here = paired(project)
    for person in (lead, annotator, stranger):
        with pytest.raises(NotAllowed):
            elsewhere.check(person, there, here)
        assert elsewhere.runs_for(person, here) == []
    Membership.objects.create(project=here.project, user=lead, role=Role.LEAD)
    Membership.objects.create(project=here.project, user=annotator, role=Role.LEAD)
    elsewhere.check(lead, there, here)
    assert elsewhere.runs_for(lead, here) == [there]
    assert elsewhere.runs_for(annotator, here) == []  # annotates in the country the model comes from


def test_many_runs_are_listed_in_as_many_queries_as_one(project, lead, django_assert_num_queries):
    there, here = paired(project)
    Membership.objects.create(project=here.project, user=lead, role=Role.LEAD)
    with CaptureQueriesContext(connection) as of_one:
        assert len(elsewhere.runs_for(lead, here)) == 1
    arrays = storage.read_arrays(there.folder / training.MODEL)
    for _time in range(3):
        run_with(project, arrays, feature_set=there.feature_set)
    with django_assert_num_queries(len(of_one)):
        assert len(elsewhere.runs_for(lead, here)) == 4


def test_what_cannot_be_judged_is_refused_with_what_to_do(project):
    there, here = paired(project)
    for number, (changed, sentence) in enumerate(
        [
            ({"feature_set": make_feature_set(here.project, kind="imported", n_columns=8)}, "filters of that run"),
            ({"release": None}, "no labels of its own"),
            ({"content_sha256": ""}, "not done"),
        ]
    ):
        run = TrainingRun(project=here.project, number=9 + number, feature_set=here.feature_set, release=here.release)
        run.content_sha256 = "1" * 64
        for name, value in changed.items():
            setattr(run, name, value)
        with pytest.raises(BadInput, match=sentence) as told:
            elsewhere.check(None, there, run)
        assert there.feature_set.name not in str(told.value)  # the other leads here read it, too
    with pytest.raises(BadInput, match="another project"):
        elsewhere.check(None, here, here)


# ---- the whole way ----


@pytest.fixture
def here():
    return audited()


def test_a_command_judges_and_keeps_the_rungs(project, here, settings):
    """Left to the workers; gone on with once the one that took it is dead; done again in place of the first."""
    there, said = model_for(here, project), io.StringIO()
    words = ["--project", here.project.slug, "--run", str(here.number)]
    words += ["--from-project", project.slug, "--from-run", str(there.number)]

    def command(*more: str) -> list[tuple[int, str]]:
        call_command("judge_elsewhere", *words, *more, stdout=said, stderr=io.StringIO())
        here.refresh_from_db()
        return sorted((job.pk, str(job.state)) for job in here.project.jobs.all())

    [(first, state)] = command("--queue", "--no-wait")
    assert state == "queued" and here.figures == {}
    settings.JOB_SILENCE_S = 1
    assert jobs.take(first)
    assert command() == [(first, "done")]
    assert len(command()) == 2
    rungs = here.figures["ladder"]
    assert [rung["negatives"] for rung in rungs] == ["all_searched", "random", "hard"]
    assert rungs[0]["metrics"]["auc"]["low"] > 0.6
    assert "prevalence 0.0713 where it was trained, 0." in said.getvalue()
    with pytest.raises(CommandError, match="another project") as told:
        call_command("judge_elsewhere", *words[:4], "--from-project", here.project.slug, "--from-run", words[3])
    assert told.value.returncode == 2


def test_ground_that_the_model_learned_from_is_not_judged(project, here):
    features = storage.load_features(here.feature_set)
    learned_here = features.cells[:, 0] < features.cells[:, 0].min() + 20
    there = run_with(project, learned(features.features.astype(float), features.features[:, 3] > 1))
    there.feature_set.n_columns = 24
    there.feature_set.save()

    def n_judged(in_frame):
        write_scores(there, features.cells, in_frame)
        return {rung["negatives"]: rung["metrics"]["n"] for rung in elsewhere.judge(there, here).rungs}

    nothing, half, everything = (n_judged(each) for each in (learned_here & False, learned_here, learned_here | True))
    assert 0 < half["all_searched"] < 0.6 * nothing["all_searched"]
    assert set(everything.values()) == {0}


def test_a_run_there_is_not_is_told(project):
    with pytest.raises(CommandError, match="has no run 9") as told:
        call_command(
            "judge_elsewhere", "--project", project.slug, "--run", "9", "--from-project", "x", "--from-run", "1"
        )
    assert told.value.returncode == 2
