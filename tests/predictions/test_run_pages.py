"""Pages of training runs and feature sets: what they say, what they refuse, who is warned."""

import json
import re
from datetime import UTC, datetime

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from labels import workflow
from labels.models import Exposure, Job
from predictions import exposure, run_charts, run_list, run_report
from predictions.models import AreaTotal, FeatureSet, RetrainingRule, TrainingRun
from predictions.run_quantities import Quantity
from predictions.views import starting
from tests.factories import make_area, make_record, make_register, make_source, square
from tests.labels.test_record_review import given
from tests.predictions.figures import figures_without_a_sample, figures_without_gain, quantity
from tests.predictions.learned import make_feature_set, make_run


def words_of(answer) -> str:
    """The text of the page in one line."""
    text = re.sub(r"<[^>]+>", " ", answer.content.decode())
    return re.sub(r"\s+", " ", text).replace("&#x27;", "'")


def page(client, name: str, project, *args) -> str:
    answer = client.get(reverse(f"predictions:{name}", args=[project.slug, *args]))
    assert answer.status_code == 200
    return words_of(answer)


@pytest.fixture
def as_lead(client_of, lead):
    return client_of(lead)


@pytest.fixture
def as_admin(client_of, admin):
    return client_of(admin)


def test_no_page_fetches_the_shapes_of_areas_it_names(as_lead, project):
    """Those of a country's provinces are many megabytes."""
    area = make_area(project, square(-10.5, 6.5, 1.0))
    features = make_feature_set(project, area=area)
    run = make_run(project, feature_set=features, area=area)
    AreaTotal.objects.create(run=run, area=area, n_cells=5, n_searched=2)
    names = ("runs", "feature_sets", "retraining_rule", "run_new", "run", "run_card", "run_elsewhere", "feature_set")
    for name in names:
        which = {"feature_set": [features.slug]}.get(name, [run.number] if name in names[4:] else [])
        with CaptureQueriesContext(connection) as asked:
            assert area.name in page(as_lead, name, project, *which) or name in ("run_new", "run_elsewhere")
        assert not any('"geometry"' in query["sql"] for query in asked.captured_queries), name


# ---- the list ----


def test_an_empty_list_says_what_is_needed_first(as_lead, project):
    text = page(as_lead, "runs", project)
    assert "No training run yet" in text
    assert "No source has it." in text
    assert "No unit is judged yet" in text
    assert "Start the first run" not in text


def test_the_list_quotes_the_first_answer_of_each_run_with_its_interval(as_lead, project, lead):
    first = make_run(project, by=lead)
    make_run(project, feature_set=first.feature_set, is_done=False, state=Job.State.RUNNING)
    text = page(as_lead, "runs", project)
    assert "0.52 (0.43–0.61) n 412 Probability sample of cells, weighted" in text
    assert "running" in text
    assert "Compare the two chosen" not in text  # one is finished


def test_the_list_asks_no_more_of_many_runs_than_of_one(as_lead, project, lead, django_assert_num_queries):
    features = make_feature_set(project)
    for _ in range(5):
        make_run(project, by=lead, feature_set=features)
    address = reverse("predictions:runs", args=[project.slug])
    with django_assert_num_queries(7):
        answer = as_lead.get(address)
    assert len(answer.context["runs"]) == 5
    with django_assert_num_queries(6):
        as_lead.get(address, headers={"HX-Request": "true"})


def test_the_list_fetches_of_the_figures_what_it_shows(as_lead, project, lead):
    run = make_run(project, by=lead)
    [listed] = as_lead.get(reverse("predictions:runs", args=[project.slug])).context["runs"]
    assert {"figures", "options"} <= listed.run.get_deferred_fields()
    assert listed.quoted.skill.ap == run_report.headline(run).skill.ap
    assert (listed.quoted.how, listed.n_labelled) == (run_report.headline(run).how, run.figures["n_labelled"])
    fetched = [listed.run.ladder, listed.run.blocks, listed.run.n_labelled]
    assert len(json.dumps(fetched)) < len(json.dumps(run.figures)) / 5


def test_the_list_comes_in_pages_and_is_asked_again_only_while_something_is_under_way(as_lead, project, monkeypatch):
    monkeypatch.setattr(run_list, "N_LISTED", 2)
    features = make_feature_set(project)
    make_run(project, feature_set=features)
    make_run(project, feature_set=features, is_done=False, state=Job.State.FAILED)
    for state in (Job.State.RUNNING, Job.State.CANCELLED):
        make_run(project, feature_set=features, is_done=False, state=state)
    address = reverse("predictions:runs", args=[project.slug])
    first, second = (as_lead.get(f"{address}?page={n}").content.decode() for n in (1, 2))
    assert "Training run 4" in first and "Training run 3" in first and "Training run 2" not in first
    assert f'hx-get="{address}?page=1" hx-trigger="every 2s"' in first and "Page 1 of 2" in first
    assert "Training run 1" in second and "hx-trigger" not in second
    assert "Training run 4" not in as_lead.get(f"{address}?page=2", headers={"HX-Request": "true"}).content.decode()


# ---- one run ----


def test_a_run_answers_in_numbers_with_intervals(as_lead, project):
    run = make_run(project)
    text = page(as_lead, "run", project, run.number)
    assert "highest cells would find 57 % (46–68, n 88) of the cells with mines, and 56 % (47–65, n 116)" in text
    assert "visits at random, 1.6 % (1.3–2.0, n 412)" in text
    assert "In a region never audited expect less: average precision 0.41 (0.31–0.52, n 1,444)" in text
    assert "Cleaned labels lift average precision by 0.28 (0.18–0.37, n 412)" in text
    assert "31 labels without the right to train" in text
    assert "Do not use it to target individuals." in text


def test_random_and_hard_negatives_stand_apart_and_random_folds_are_marked(as_lead, project):
    run = make_run(project)
    answer = as_lead.get(reverse("predictions:run", args=[project.slug, run.number]))
    rungs = re.findall(r'<tr class="rung (\w+) ?([\w -]*)">', answer.content.decode())
    assert [key for key, _ in rungs] == ["sample", "areas", "blocks", "blocks", "elsewhere", "random"]
    assert [marks.strip() for _, marks in rungs] == ["quoted", "", "", "", "small-n", "optimistic"]
    text = words_of(answer)
    assert "with 2 km around each, against random ground" in text
    assert "with 2 km around each, against ground that looks like a mine" in text


def test_few_cells_are_greyed_and_undefined_figures_say_why(as_lead, project):
    run = make_run(project, figures=figures_without_a_sample() | {"is_of_records": True})
    text = page(as_lead, "run", project, run.number)
    assert "chances that a mine is known of in a cell, not that there is one" in text
    sampled = page(as_lead, "run", project, make_run(project).number)
    assert "chances that a mine is known of" not in sampled
    assert text.count("No grid cells were drawn at random and searched") >= 3
    assert "Measured so: Each of 12 regions left out in turn" in text
    assert "This is no probability sample" in text
    assert "take the scores as an order only" in text
    assert not re.search(r"\bNone\b(?!:)|\bnan\b", text)


def test_where_errors_of_a_made_up_register_come_from_is_told_in_words(as_lead, project):
    for source, words in (("demonstration", "follows synthetic audits"), ("a survey of 1998", "a survey of 1998")):
        figures = figures_without_gain()
        figures["gain"]["error_rates_from"] = source
        assert words in page(as_lead, "run", project, make_run(project, figures=figures).number)


def test_groups_of_cells_go_by_their_words(as_lead, project):
    text = page(as_lead, "run", project, make_run(project).number)
    assert "under 0.25 ha" in text and "0 to 2 km" in text
    assert "under_025" not in text and "under_2_km" not in text


def test_where_points_of_the_reliability_drawing_crowd_their_n_stands_in_the_table_alone():
    share = Quantity(0.1, 0.05, 0.2, 30)
    bins = [run_report.Bin(score, share) for score in (0.01, 0.03, 0.3, 0.98)]
    nothing = Quantity.of(None)
    points = run_charts.reliability_points(run_report.Reliability(bins, nothing, nothing, None, ""))
    assert [point.is_crowded for point in points] == [True, False, False, False]


@pytest.mark.parametrize("name", ["run", "run_card"])
def test_skill_is_told_by_terrain_or_how_to_have_it_told(as_lead, project, name):
    run = make_run(project)
    text = page(as_lead, name, project, run.number)
    assert "Terrain river plain 60 40 80 % (64–90) n 40" in text
    assert "By terrain nothing is told" not in text
    run.figures["strata"] = [row for row in run.figures["strata"] if row["by"] != "terrain"]
    run.save()
    text = page(as_lead, name, project, run.number)
    assert "By terrain nothing is told: no judged cell lay in a layer of terrain." in text
    assert "river plain" not in text


def test_a_value_without_an_interval_is_not_shown_but_why():
    found = Quantity.of({"value": 0.91, "low": None, "high": None, "n": 18, "reason": "too_few_blocks"})
    assert (found.is_defined, found.plain, found.percent, found.plain_interval) == (False, "–", "–", "")
    assert found.reason == "The judged cells lie in too few blocks for an interval."


def test_a_limit_just_above_zero_does_not_read_as_zero():
    assert Quantity(0.075, 0.0006, 0.149, 324).plain_interval == "0.001–0.149"
    assert Quantity(0.075, 0.0, 0.149, 324).plain_interval == "0.00–0.15"


def test_a_gain_whose_interval_holds_zero_is_no_gain(as_lead, project):
    run = make_run(project, figures=figures_without_gain())
    text = page(as_lead, "run", project, run.number)
    assert "No measurable gain." in text
    assert "0.02 (−0.05 … 0.09, n 412)" in text
    assert "Cleaned labels lift" not in text


@pytest.mark.parametrize(("rung", "n"), [(1, 29), (4, 400), (5, 400)])
def test_few_cells_optimists_and_foreign_models_are_never_quoted(as_lead, project, rung, n):
    """Areas left out on 29 cells; random folds; the model of another country."""
    run = make_run(project)
    run.figures["ladder"] = [run.figures["ladder"][rung]]
    run.figures["ladder"][0]["metrics"]["ap"] = quantity(0.9, 0.2, 1.0, n)
    run.save()
    assert "How good this map is cannot be said yet" in page(as_lead, "run", project, run.number)


def test_every_interval_of_the_page_has_its_n(as_lead, project):
    run = make_run(project)
    text = page(as_lead, "run_card", project, run.number)
    assert "70 % (57–80) n 61" in text  # mines found in Kessou
    assert "4.0 % (2.0–9.0) n 159" in text  # false alarms beside it


def test_a_run_is_asked_for_in_few_queries(as_lead, project, lead, django_assert_max_num_queries):
    run = make_run(project, by=lead)
    address = reverse("predictions:run", args=[project.slug, run.number])
    as_lead.get(address)
    with django_assert_max_num_queries(14):
        as_lead.get(address)


def test_a_failed_run_says_why_and_is_asked_for_again(as_lead, project, lead):
    run = make_run(project, is_done=False, state=Job.State.FAILED, by=lead)
    text = page(as_lead, "run", project, run.number)
    assert "The disk of the server is full." in text
    assert "Try again" in text


def test_a_running_run_is_watched_and_stopped(as_lead, project):
    run = make_run(project, is_done=False, state=Job.State.RUNNING)
    address = reverse("predictions:run", args=[project.slug, run.number])
    assert 'hx-trigger="every 1s"' in as_lead.get(address).content.decode()
    as_lead.post(reverse("predictions:run_cancel", args=[project.slug, run.number]))
    run.job.refresh_from_db()
    assert run.job.cancel_requested


def test_who_watches_a_run_is_shown_its_figures_when_it_is_done(as_lead, project):
    run = make_run(project)
    answer = as_lead.get(reverse("predictions:run", args=[project.slug, run.number]), headers={"HX-Request": "true"})
    assert answer.headers["HX-Refresh"] == "true"


def test_the_card_holds_every_hash_and_option(as_lead, project, lead):
    run = make_run(project, by=lead, options={"size_km": 10})
    text = page(as_lead, "run_card", project, run.number)
    hashes = (run.content_sha256, run.labels_sha256, run.features_sha256, run.feature_set.filters_sha256)
    assert all(each in text for each in (*hashes, run.release.content_sha256, run.code_version))
    assert "size_km=10" in text
    assert "2024-01-14" in text
    assert "numpy 2.2.6" in text
    assert "1,780 cells with artisanal mines (1,420–2,200)" in text
    assert "2 % if all 41 unsure are clear, 5 % if all have mines" in text
    assert "Readers' errors are not in these intervals: 12" in text


def test_the_card_costs_nobody_their_units(as_lead, project, lead):
    make_record(make_register(project))
    run = make_run(project)
    page(as_lead, "run_card", project, run.number)
    assert not Exposure.objects.filter(user=lead).exists()


# ---- scores and whoever judges ----


@pytest.fixture
def units(project, lead, second_annotator):
    """An audit of three records; the lead has begun to judge in it."""
    register = make_register(project)
    for k in range(3):
        make_record(register, at=(-10.7 + k * 0.01, 6.4))
    audit = workflow.open_census(project=project, register=register, slug="audit", name="Audit")
    units = list(audit.units.order_by("pk"))
    (mine,) = workflow.hand_out(audit, lead)
    workflow.record_review(mine, lead, given())
    return units


def test_who_judges_here_is_warned_before_scores_and_asked(as_lead, project, lead, units):
    run = make_run(project)
    address = reverse("predictions:run", args=[project.slug, run.number])
    text = words_of(as_lead.get(address))
    assert "you may no longer review 2 units" in text
    assert "Average precision" not in text
    assert not Exposure.objects.filter(user=lead, what=Exposure.What.SCORE).exists()
    assert as_lead.post(address).status_code == 302
    assert Exposure.objects.filter(user=lead, what=Exposure.What.SCORE).count() >= 2
    assert "Average precision" in page(as_lead, "run", project, run.number)


def test_who_judges_here_and_watches_a_run_gets_the_warning_as_a_page_of_its_own(as_lead, project, lead, units):
    run = make_run(project)
    address = reverse("predictions:run", args=[project.slug, run.number])
    answer = as_lead.get(address, headers={"HX-Request": "true"})
    assert answer.headers["HX-Refresh"] == "true" and not answer.content
    assert not exposure.is_recorded(lead, project)


def test_who_judges_nothing_is_not_asked_but_kept(client_of, admin, project, units):
    run = make_run(project)
    assert "Average precision" in page(client_of(admin), "run", project, run.number)
    assert exposure.is_recorded(admin, project)


def test_comparing_warns_too(as_lead, project, units):
    first = make_run(project)
    make_run(project, feature_set=first.feature_set)
    address = reverse("predictions:run_compare", args=[project.slug]) + "?run=1&run=2"
    assert "you may no longer review 2 units" in words_of(as_lead.get(address))
    assert as_lead.post(address).url == address


def test_two_runs_must_be_chosen(as_lead, project):
    make_run(project)
    for query in ("", "?run=1", "?run=1&run=1", "?run=1&run=9", "?run=a&run=1", "?run=1&run=2&run=3"):
        answer = as_lead.get(reverse("predictions:run_compare", args=[project.slug]) + query, follow=True)
        assert "Choose two finished runs to compare." in words_of(answer), query


# ---- features ----


def test_an_empty_list_of_features_says_what_is_missing(as_admin, project):
    text = page(as_admin, "feature_sets", project)
    assert "No imagery source has the right to train models" in text


def test_features_that_failed_say_why(as_lead, project):
    job = Job.objects.create(
        project=project, kind="featurize", state="failed", error="No imagery there.", finished_at=timezone.now()
    )
    features = make_feature_set(project, is_ready=False, job=job, n_cells=None, n_columns=None)
    text = page(as_lead, "feature_set", project, features.slug)
    assert "No imagery there." in text
    assert "Try again" not in text  # a lead makes no features


def test_making_features_says_how_many_cells_and_how_long(as_admin, project):
    make_area(project, square(-10.8, 6.3, 0.1))
    make_source(project, name="Orbita")
    text = page(as_admin, "feature_set_new", project)
    assert "grid cells 100" in text
    assert "nothing was measured on this server yet" in text
    assert "Orbita: the newest of each place" in text


def test_imagery_without_the_right_is_not_offered(as_admin, project):
    make_source(project, name="Skyline", may_train=False)
    text = page(as_admin, "feature_set_new", project)
    assert "No imagery may be used for it" in text
    assert "Skyline" not in text


# ---- starting and the rule ----


def test_a_run_cannot_be_started_without_features(as_lead, project):
    text = page(as_lead, "run_new", project)
    assert "A run needs labels to learn from" in text
    assert "Start the run" not in text


def test_each_feature_set_says_which_area_would_be_mapped_and_of_when_it_is(project):
    area = make_area(project, square(-10.8, 6.3, 0.1), name="Kessou")
    told = {
        "Kessou, pictures of 14 Jan 2024, 110,205 cells": {"area": area},
        "the whole country, newest pictures of each place, 110,205 cells": {"image_date": ""},
        "the whole country, pictures of an unknown date, 110,205 cells": {"image_date": "unknown"},
    }
    for words, fields in told.items():
        made = make_feature_set(project, name="Orbita", **fields)
        assert starting.FeaturesField(None).label_from_instance(made) == f"Orbita: {words}"
    made.source, made.asked_at = None, datetime(2025, 3, 2, 12, tzinfo=UTC)
    assert starting.FeaturesField(None).label_from_instance(made) == (
        "Orbita: the cells of its file, imported 2 Mar 2025, 110,205 cells"
    )


def test_the_rule_wants_features(as_lead, project):
    assert "No features yet" in page(as_lead, "retraining_rule", project)
    assert not RetrainingRule.objects.exists()


@pytest.mark.parametrize("language", ["fr", "pt"])
def test_pages_are_answered_in_other_languages(as_lead, project, language):
    run = make_run(project)
    for name, args in (("runs", []), ("run", [run.number]), ("run_card", [run.number]), ("feature_sets", [])):
        address = reverse(f"predictions:{name}", args=[project.slug, *args])
        assert as_lead.get(address, headers={"Accept-Language": language}).status_code == 200


def test_a_strangers_number_does_not_exist(as_lead, project):
    make_run(project)
    assert as_lead.get(reverse("predictions:run", args=[project.slug, 2])).status_code == 404
    assert TrainingRun.objects.count() == 1
    assert FeatureSet.objects.count() == 1
