"""A training run is done once, whole, from labels that models may learn from, and chosen by a person."""

import json
from unittest.mock import patch

import numpy as np
import pytest

from labels import jobs
from labels.errors import BadInput, Conflict, JobLost, NotAllowed
from labels.models import AccessRecord, ImagerySource, Job, ReferenceArea, Release
from predictions import mapping, run_files, run_inputs, run_options, storage, totals_table, training
from predictions.asking_again import ask_again
from predictions.models import AreaTotal, TrainingRun
from tests.factories import make_area, make_project, square
from tests.labelled import judge
from tests.predictions.learned import make_release_row
from tests.predictions.trained import make_country, make_features

QUICK = {"n_resamples": 100, "size_km": 5.0}


def do(run: TrainingRun) -> TrainingRun:
    job = jobs.run(run.job_id)
    assert job.state == Job.State.DONE, job.error
    run.refresh_from_db()
    return run


def start(country, **fields) -> TrainingRun:
    return training.start_run(country.project, feature_set=country.feature_set, options=QUICK, **fields)


@pytest.fixture
def country(project):
    return make_country(project=project)


def test_a_run_releases_the_labels_learns_judges_and_maps(country, lead):
    run = start(country, by=lead)
    assert (run.number, str(run.job.state), run.is_done) == (1, "queued", False)
    run = do(run)
    figures = run.figures
    assert json.loads(json.dumps(figures, allow_nan=False)) == figures
    assert run.release == country.project.releases.get()
    assert run.labels_sha256
    assert run.features_sha256 == country.feature_set.content_sha256
    assert run.code_version == run_files.code_version()
    assert figures["n_cells"] == 800
    assert figures["n_positive"] > 50
    assert figures["n_negative"] > 80
    assert not figures["penalty"]["at_edge"]
    # The features tell of mines: every rung that can be is well above prevalence, whose interval it does not touch.
    rungs = {(rung["key"], rung["negatives"]): rung for rung in figures["ladder"]}
    assert {key for key, _ in rungs} == {"sample", "areas", "blocks", "random"}
    skill = rungs["sample", "all_searched"]["metrics"]
    assert skill["ap"]["low"] > 1.5 * skill["prevalence"]
    assert rungs["random", "random"]["is_optimistic"]
    assert rungs["areas", "random"]["n_groups"] == 2
    assert figures["reliability"]["slope"]["low"] < 1 < figures["reliability"]["slope"]["high"]
    assert {row["by"] for row in figures["strata"]} >= {"region"}
    assert [step["key"] for step in figures["gain"]["steps"]][-1] == "searched_added"
    share = figures["totals"]["share"]
    assert share["low"] < country.has_mine.mean() < share["high"]
    # Its files.
    scores = mapping.Scores.of(run)
    assert np.array_equal(scores.cells, country.cells)
    assert np.isfinite(scores.head("probability")).all()
    assert np.isfinite(scores.head("out_of_block")[scores.in_frame == 1]).all()
    assert np.isnan(scores.head("out_of_block")[scores.in_frame == 0]).all()
    shown = scores.shown
    assert shown[country.has_mine].mean() > 2 * abs(shown[~country.has_mine].mean())
    assert (run.folder / mapping.MAP).is_file()
    assert AreaTotal.objects.filter(run=run).count() == 3
    assert run.job.result["run"] == 1


def test_the_same_inputs_give_the_same_bytes_and_other_labels_do_not(country):
    one, other = do(start(country)), do(start(country))
    assert one.release == other.release
    assert one.content_sha256 == other.content_sha256
    for name in (run_files.MODEL, mapping.SCORES, mapping.MAP):
        assert storage.sha256_of(one.folder / name) == storage.sha256_of(other.folder / name), name
    same, dropped = ({k: v for k, v in each.figures.items() if k != "durations_s"} for each in (one, other))
    assert same == dropped
    unit = country.project.audits.get(slug="census").units.filter(reviews__verdict="confirm").first()
    judge(unit, "reject", supersedes=unit.reviews.get(), seen=country.project.imagery_sources.get())
    third = do(start(country))
    assert third.release != one.release
    assert third.labels_sha256 != one.labels_sha256
    assert third.content_sha256 != one.content_sha256
    kept = do(start(country, release=one.release))
    assert kept.content_sha256 == one.content_sha256


def test_a_run_of_one_area_is_the_run_of_features_that_end_there(country, lead):
    east = ReferenceArea.objects.get(layer__project=country.project, name="East")
    run = do(start(country, area=east, by=lead))
    features = storage.load_features(country.feature_set)
    inside = country.cells[:, 0] >= -1060
    assert np.array_equal(mapping.Scores.of(run).cells, country.cells[inside])
    assert run.figures["n_cells"] == inside.sum() == 400
    assert [total.area for total in AreaTotal.objects.filter(run=run, area__isnull=False)] == [east]
    assert totals_table.stands_on(run)[-1].startswith("Only East was mapped")
    apart = make_features(country.project, country.cells[inside], features.features[inside], name="Of the east")
    same = do(training.start_run(country.project, feature_set=apart, options=QUICK, release=run.release))
    scores, again = (mapping.Scores.of(each) for each in (run, same))
    for name in ("score", "out_of_block", "probability", "distance"):
        assert np.array_equal(getattr(scores, name), getattr(again, name), equal_nan=True), name
    assert run.labels_sha256 == same.labels_sha256
    # Of what auditing changed only what lies there is told.
    told = {step["key"]: step["n_changed"] for step in run.figures["gain"]["steps"]}
    of_east, of_all = (run_inputs.n_changed(run.release, cells) for cells in (country.cells[inside], country.cells))
    for name, n in of_east.items():
        assert told[name] == n and 0 < n < of_all[name], name
    # What was kept of it is not taken for a fit of all cells, nor the other way round.
    assert do(start(country)).figures["n_cells"] == 800
    assert np.array_equal(mapping.Scores.of(do(start(country, area=east))).score, scores.score)


def test_an_area_without_features_or_of_another_project_is_refused(country, lead):
    far = make_area(country.project, square(20.0, 6.2, 0.2), name="Far")
    job = jobs.run(start(country, area=far, by=lead).job_id)
    assert job.error == "Far holds no grid cell of the features Features: choose another area or other features."
    foreign = make_area(make_project(), square(-10.8, 6.2, 0.2), name="Foreign")
    with pytest.raises(BadInput, match="The area Foreign is of another project"):
        start(country, area=foreign)


def test_the_model_file_says_what_it_was_made_of(country):
    run = do(start(country))
    model = storage.read_arrays(run.folder / run_files.MODEL, sha256=run.content_sha256)
    made_of = json.loads(str(model["provenance"]))
    assert made_of["labels_sha256"] == run.labels_sha256
    assert made_of["features_sha256"] == country.feature_set.content_sha256
    assert (made_of["seed"], made_of["code_version"]) == (0, run.code_version)
    features = storage.load_features(country.feature_set)
    again = features.features @ model["coefficients"] + model["intercept"]
    assert mapping.Scores.of(run).score == pytest.approx(again, abs=1e-4)


def test_what_was_killed_before_the_end_is_done_again_to_the_same_end(country):
    whole = do(start(country))
    run = start(country)
    with patch("predictions.mapping.store_totals", side_effect=KeyboardInterrupt), pytest.raises(KeyboardInterrupt):
        jobs.run(run.job_id)
    run.refresh_from_db()
    assert not run.is_done
    assert run.figures == {}
    Job.objects.filter(pk=run.job_id).update(heartbeat_at=None, state=Job.State.QUEUED)
    assert do(run).content_sha256 == whole.content_sha256
    assert Release.objects.filter(project=country.project).count() == 1


def test_a_worker_that_lost_its_job_publishes_nothing(country):
    run = start(country)
    job = jobs.take(run.job_id)
    late = jobs.RunningJob(job)
    Job.objects.filter(pk=job.pk).update(token=job.token + 1)
    late._write = lambda **fields: None  # it does not learn of it before the end
    with pytest.raises(JobLost):
        training.train(late)
    run.refresh_from_db()
    assert not run.is_done
    assert not AreaTotal.objects.filter(run=run).exists()


def test_a_button_pressed_twice_starts_one_run(project, lead):
    features = make_features(project, np.array([[-1080, 620]]), np.ones((1, 3)))
    first = training.start_run(project, feature_set=features, by=lead)
    assert training.start_run(project, feature_set=features, by=lead) == first
    other = training.start_run(project, feature_set=features, by=lead, options={"seed": 1})
    assert (first.number, other.number, project.jobs.count()) == (1, 2, 2)
    jobs.take(first.job_id)
    TrainingRun.objects.filter(pk=first.pk).update(release=make_release_row(project))  # it has its labels by now
    assert training.start_run(project, feature_set=features, by=lead).number == 3


def test_of_two_jobs_asked_for_again_one_does_the_run(project, lead):
    features = make_features(project, np.array([[-1080, 620]]), np.ones((1, 3)))
    run = training.start_run(project, feature_set=features, by=lead)
    failed = run.job
    jobs.give_up(failed, "Killed.")
    from_runs_page = ask_again(run, by=lead)
    from_jobs_page = jobs.retry(failed, requested_by=lead)
    ended = jobs.run(from_jobs_page.pk)
    assert (str(ended.state), ended.error) == ("failed", "Another job is doing this run.")
    run.refresh_from_db()
    assert run.job == from_runs_page and not project.releases.exists()


def test_a_cancelled_run_stops_and_says_nothing(country):
    run = start(country)
    job = jobs.take(run.job_id)
    jobs.cancel(job)
    jobs._perform(jobs.RunningJob(job))
    run.refresh_from_db()
    assert run.job.state == Job.State.CANCELLED
    assert not run.is_done


def test_labels_without_the_right_to_train_fail_it_with_a_reason(country):
    ImagerySource.objects.filter(project=country.project).update(may_train=False)
    run = start(country)
    job = jobs.run(run.job_id)
    assert job.state == Job.State.FAILED
    assert "rights of the imagery" in job.error
    assert not TrainingRun.objects.get(pk=run.pk).is_done


def test_all_labels_in_one_block_fail_it_with_a_reason(country):
    run = training.start_run(country.project, feature_set=country.feature_set, options={"size_km": 900.0})
    assert "within one block" in jobs.run(run.job_id).error


def test_without_any_audit_there_is_nothing_to_release(db):
    project = make_project()
    cells = np.array([[-1080, 620], [-1079, 620]], np.int32)
    run = training.start_run(project, feature_set=make_features(project, cells, np.ones((2, 4))))
    assert jobs.run(run.job_id).state == Job.State.FAILED


@pytest.mark.parametrize(
    "options",
    [{"alpha": 1}, {"size_km": 0}, {"k": True}, {"penalties": [2.0, 1.0]}, {"budget": -3}, {"seed": 1.5}],
)
def test_options_that_cannot_be_are_named(db, options):
    with pytest.raises(BadInput, match=next(iter(options))):
        run_options.checked_options(options)


def test_only_who_may_starts_runs_of_things_of_the_own_project(db, annotator, project):
    cells = np.array([[-1080, 620], [-1079, 620]], np.int32)
    own = make_features(project, cells, np.ones((2, 4)))
    with pytest.raises(NotAllowed):
        training.start_run(project, feature_set=own, by=annotator)
    with pytest.raises(BadInput, match="this project"):
        training.start_run(make_project(), feature_set=own)
    own.content_sha256 = ""
    with pytest.raises(BadInput, match="not ready"):
        training.start_run(project, feature_set=own)
    assert not TrainingRun.objects.exists()


def test_one_run_is_current_by_a_persons_choice(annotator, lead, country):
    first, second = do(start(country)), start(country)
    assert not first.is_current
    with pytest.raises(Conflict, match="not done"):
        training.choose(second, lead)
    training.choose(first, lead)
    second = do(second)
    training.choose(second, lead)
    first.refresh_from_db()
    assert (first.is_current, second.is_current, second.chosen_by) == (False, True, lead)
    assert AccessRecord.objects.filter(action="choose_run").count() == 2
    for nobody in (annotator, None):
        with pytest.raises(NotAllowed):
            training.choose(first, nobody)
