"""The retraining rule: one run for so many new labels, however many ask."""

import threading

import pytest
from django.conf import settings as django_settings
from django.db import connection
from django.utils import timezone

from labels.errors import BadInput, NotAllowed
from labels.models import ImagerySource, Job
from predictions import rules, storage
from predictions.models import FeatureSet, TrainingRun
from tests.factories import make_project, make_source
from tests.labelled import judge, make_audit, make_unit

pytestmark = pytest.mark.django_db(transaction=True)


def ready(project, **fields) -> FeatureSet:
    made = FeatureSet.objects.create(
        project=project, slug="f", name="F", source=make_source(project), content_sha256="0" * 64, n_cells=1, **fields
    )
    made.folder.mkdir(parents=True)
    (made.folder / storage.FEATURES).touch()
    return made


def label(project, n: int) -> None:
    audit = project.audits.first() or make_audit(project)
    for _unit in range(n):
        judge(make_unit(audit), "confirm")


@pytest.fixture
def rule(project, lead):
    return rules.set_rule(project, feature_set=ready(project), every_n_labels=3, by=lead)


def test_a_run_starts_once_enough_labels_are_new(project, rule, lead):
    label(project, 2)
    assert rules.n_new_labels(rule) == 2 and rules.retrain_where_due() == 0
    label(project, 1)
    assert rules.retrain_where_due() == 1
    run = project.training_runs.get()
    assert run.is_by_rule and run.feature_set == rule.feature_set and run.made_by == lead
    assert run.job.state == Job.State.QUEUED and rules.n_new_labels(rule) == 0


def test_the_next_one_waits_for_as_many_labels_again_even_after_a_failure(project, rule):
    label(project, 3)
    assert rules.retrain_where_due() == 1
    label(project, 4)
    assert rules.retrain_where_due() == 0  # one at a time
    Job.objects.update(state=Job.State.FAILED, finished_at=timezone.now())
    assert rules.retrain_where_due() == 1
    Job.objects.update(state=Job.State.FAILED, finished_at=timezone.now())
    assert rules.retrain_where_due() == 0


def test_labels_count_from_when_the_rule_was_set_and_a_unit_once(project, lead):
    label(project, 5)
    rule = rules.set_rule(project, feature_set=ready(project), every_n_labels=3, by=lead)
    assert rules.n_new_labels(rule) == 0
    unit = make_unit(project.audits.get())
    judge(unit, "confirm")
    judge(unit, "confirm", by="bruno")
    assert rules.n_new_labels(rule) == 1
    label(make_project(), 3)
    assert rules.n_new_labels(rule) == 1


def test_another_number_keeps_the_count_and_switching_on_begins_anew(project, rule, lead):
    label(project, 2)
    changed = rules.set_rule(project, feature_set=rule.feature_set, every_n_labels=2, by=lead)
    assert changed.pk == rule.pk and rules.n_new_labels(changed) == 2
    off = rules.set_rule(project, feature_set=rule.feature_set, every_n_labels=2, is_on=False, by=lead)
    assert rules.retrain_where_due() == 0 and not off.is_on
    again = rules.set_rule(project, feature_set=rule.feature_set, every_n_labels=2, by=lead)
    assert rules.n_new_labels(again) == 0


def test_two_beats_at_once_start_one_run(project, rule):
    label(project, 3)
    gate, started = threading.Barrier(4), []

    def beat():
        gate.wait()
        try:
            started.append(rules.retrain_where_due())
        finally:
            connection.close()

    threads = [threading.Thread(target=beat) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(started) == 1 and TrainingRun.objects.count() == 1


def test_a_rule_that_cannot_be_followed_stops_no_other(project, rule, lead):
    ImagerySource.objects.filter(pk=rule.feature_set.source_id).update(may_train=False)
    label(project, 3)
    other = make_project()
    rules.set_rule(other, feature_set=ready(other), every_n_labels=1)
    label(other, 1)
    assert rules.retrain_where_due() == 1
    assert other.training_runs.count() == 1 and not project.training_runs.exists()


def test_wrong_rules_are_refused(project, lead, annotator):
    features = ready(project)
    with pytest.raises(BadInput, match="at least one"):
        rules.set_rule(project, feature_set=features, every_n_labels=0, by=lead)
    with pytest.raises(BadInput, match="of this project"):
        rules.set_rule(make_project(), feature_set=features)
    with pytest.raises(NotAllowed):
        rules.set_rule(project, feature_set=features, by=annotator)
    features.content_sha256 = ""
    with pytest.raises(BadInput, match="not ready"):
        rules.set_rule(project, feature_set=features, by=lead)


def test_beat_asks_every_minute():
    entry = next(
        entry
        for entry in django_settings.CELERY_BEAT_SCHEDULE.values()
        if entry["task"] == "predictions.tasks.retrain_where_due"
    )
    assert entry["schedule"] == 60
