"""A model of one country on another's ground."""

import io

import numpy as np
import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import connection
from django.test.utils import CaptureQueriesContext
from numpy.linalg import solve

from labels.errors import BadInput, NotAllowed
from labels.models import Membership
from labels.models.projects import Role
from labels.releases.making import audits_to_release, make_release
from predictions import elsewhere, mapping, storage, training
from predictions.models import FeatureSet, TrainingRun
from tests.factories import make_project
from tests.predictions import worlds
from tests.predictions.maps import make_feature_set
from tests.predictions.trained import make_country

pytestmark = pytest.mark.django_db


def learned(features: np.ndarray, truth: np.ndarray) -> dict[str, np.ndarray]:
    """A model's arrays: ridge on one country, two heads."""
    X = np.column_stack([np.ones(len(features)), features])
    found = solve(X.T @ X + np.diag([0.0] + [1.0] * features.shape[1]), X.T @ truth)
    return {"coefficients": np.column_stack([found[1:]] * 2), "intercept": np.array([found[0]] * 2)}


def run_with(project, arrays, **fields) -> TrainingRun:
    values = {"number": project.training_runs.count() + 1, "figures": {}} | fields
    if "feature_set" not in values:
        values["feature_set"] = make_feature_set(project, kind="imported", n_columns=len(arrays["coefficients"]))
    run = TrainingRun(project=project, **values)
    run.content_sha256 = storage.write_arrays(run.folder / training.MODEL, **arrays)
    run.save()
    return run


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
    assert (rung["key"], rung["project"], rung["run"]) == ("elsewhere", there.project.slug, there.number)
    assert rung["metrics"]["ap"]["low"] > 1.5 * rung["metrics"]["prevalence"]
    assert rung["metrics"]["auc"]["low"] > 0.7
    assert not rung["is_optimistic"]


def test_the_shift_of_prevalence_is_stated(there):
    found = judged(there)
    assert found.prevalence_there == 0.05 and found.prevalence_here == pytest.approx(0.15, abs=0.05)
    assert found.prevalence_ratio == pytest.approx(found.prevalence_here / 0.05)
    assert found.rungs[0]["prevalence_there"] == 0.05


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
    assert found.is_ranking_only and found.prevalence_here is None and found.prevalence_ratio is None
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


def test_only_who_may_look_at_runs_of_both(there, lead, annotator, stranger):
    other = make_project()
    features = make_feature_set(other, kind="imported", n_columns=7)
    for person in (lead, annotator, stranger):
        with pytest.raises(NotAllowed):
            elsewhere.check(person, there, features)
        assert elsewhere.runs_for(person, other) == []
    Membership.objects.create(project=other, user=lead, role=Role.LEAD)
    Membership.objects.create(project=other, user=annotator, role=Role.LEAD)
    elsewhere.check(lead, there, features)
    assert elsewhere.runs_for(lead, other) == [there]
    assert elsewhere.runs_for(annotator, other) == []  # annotates in the country the model comes from


def test_many_runs_are_listed_in_as_many_queries_as_one(there, lead, django_assert_num_queries):
    other = make_project()
    make_feature_set(other, kind="imported", n_columns=there.feature_set.n_columns)
    Membership.objects.create(project=other, user=lead, role=Role.LEAD)
    with CaptureQueriesContext(connection) as of_one:
        assert len(elsewhere.runs_for(lead, other)) == 1
    arrays = storage.read_arrays(there.folder / training.MODEL)
    for _time in range(3):
        run_with(there.project, arrays, feature_set=there.feature_set)
    with django_assert_num_queries(len(of_one)):
        assert len(elsewhere.runs_for(lead, other)) == 4


def test_other_features_are_refused_with_what_to_do(there, project):
    with pytest.raises(BadInput, match="filters of"):
        elsewhere.check(None, there, make_feature_set(make_project(), kind="imported", n_columns=8))


# ---- the whole way ----


@pytest.fixture
def here():
    """A run of an audited country; nothing of it is used but its labels and features."""
    country = make_country(seed=1, n_records=30)
    release = make_release(country.project, audits_to_release(country.project)).release
    arrays = {"coefficients": np.zeros((24, 2)), "intercept": np.zeros(2)}
    options = {"n_resamples": 100, "size_km": 5.0}
    return run_with(country.project, arrays, feature_set=country.feature_set, release=release, options=options)


def test_a_command_judges_and_keeps_the_rungs(project, here):
    features = storage.load_features(here.feature_set).features
    truth = features[:, 3:9].sum(axis=1) > np.quantile(features[:, 3:9].sum(axis=1), 0.85)
    there = run_with(project, learned(features.astype(float), truth.astype(float)))
    there.feature_set.n_columns = 24
    there.feature_set.save()
    write_scores(there, np.array([[3000, 100]], np.int32), np.ones(1))
    said = io.StringIO()
    for _ in range(2):  # the second in place of the first
        call_command(
            "judge_elsewhere",
            *("--project", here.project.slug, "--run", str(here.number)),
            *("--from-project", project.slug, "--from-run", str(there.number)),
            stdout=said,
        )
    here.refresh_from_db()
    rungs = here.figures["ladder"]
    assert [rung["negatives"] for rung in rungs] == ["all_searched", "random", "hard"]
    assert rungs[0]["metrics"]["auc"]["low"] > 0.6
    assert "prevalence unknown where it was trained, 0." in said.getvalue()


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


def write_scores(run, cells, in_frame) -> None:
    storage.write_arrays(run.folder / mapping.SCORES, cells=cells, in_frame=in_frame.astype(np.uint8))


def test_a_run_there_is_not_is_told(project):
    with pytest.raises(CommandError, match="has no run 9") as told:
        call_command(
            "judge_elsewhere", "--project", project.slug, "--run", "9", "--from-project", "x", "--from-run", "1"
        )
    assert told.value.returncode == 2
