"""A retraining rule that can start nothing any more stops, once, and says why."""

from datetime import date

import pytest
from django.contrib.auth import get_user_model
from django.urls import reverse

from labels.errors import BadInput, NotAllowed
from labels.models import ImagerySource, Membership
from labels.models.projects import Role
from predictions import reasons, rules, storage, training
from tests.predictions.test_rules import label, ready

pytestmark = pytest.mark.django_db


@pytest.fixture
def rule(project, lead):
    return rules.set_rule(project, feature_set=ready(project), every_n_labels=3, by=lead)


def leave(rule):
    Membership.objects.filter(user=rule.set_by).delete()


def step_down(rule):
    Membership.objects.filter(user=rule.set_by).update(role=Role.ANNOTATOR)


def close_account(rule):
    get_user_model().objects.filter(pk=rule.set_by_id).update(is_active=False)


def lose_file(rule):
    (rule.feature_set.folder / storage.FEATURES).unlink()


def lose_right(rule):
    ImagerySource.objects.filter(pk=rule.feature_set.source_id).update(may_train=False)


def expire(rule):
    ImagerySource.objects.filter(pk=rule.feature_set.source_id).update(rights_expire_on=date(2020, 1, 1))


@pytest.mark.parametrize(
    ("happens", "key"),
    [
        (leave, "rule_owner"),
        (step_down, "rule_owner"),
        (close_account, "rule_owner"),
        (lose_file, "rule_features"),
        (lose_right, "rule_rights"),
        (expire, "rule_rights"),
    ],
)
def test_it_stops_once_and_says_why_where_runs_are_listed(project, rule, client_of, admin, caplog, happens, key):
    happens(rule)
    label(project, 3)
    for _minute in range(3):
        assert rules.retrain_where_due() == 0
    rule.refresh_from_db()
    assert (rule.is_on, rule.stopped_because) == (True, key)
    assert len([each for each in caplog.records if "stops" in each.getMessage()]) == 1
    for name in ("runs", "retraining_rule"):
        text = client_of(admin).get(reverse(f"predictions:{name}", args=[project.slug])).content.decode()
        assert str(reasons.SENTENCES[key]) in text
    assert "On: " not in text and "Stopped: no run starts by itself." in text
    assert not project.training_runs.exists()


def test_a_stopped_rule_goes_on_when_somebody_who_may_sets_it_again(project, rule, admin, client_of):
    leave(rule)
    assert rules.retrain_where_due() == 0
    label(project, 3)
    form = {"is_on": "on", "every_n_labels": 3, "feature_set": rule.feature_set.slug}
    page = reverse("predictions:retraining_rule", args=[project.slug])
    text = client_of(admin).post(page, form, follow=True).content.decode()
    assert "On: 3 of 3 new labels" in text and "Stopped" not in text
    assert rules.retrain_where_due() == 1
    assert project.training_runs.get().made_by == admin


def test_a_rule_set_anew_while_it_was_looked_at_is_not_stopped(project, rule, admin):
    rules.set_rule(project, feature_set=rule.feature_set, by=admin)
    rules._stop(rule, "rule_owner")
    rule.refresh_from_db()
    assert rule.stopped_because == ""


def test_a_run_that_is_refused_stops_the_rule_too(project, rule, monkeypatch):
    def refuse(*_which, **_how):
        raise BadInput("Never.")

    label(project, 3)
    monkeypatch.setattr(training, "start_run", refuse)
    assert rules.retrain_where_due() == 0
    rule.refresh_from_db()
    assert rule.stopped_because == "rule_refused"


def test_a_rule_is_not_set_on_imagery_that_may_not_be_learned_from(project, lead):
    features = ready(project)
    features.source.may_train = False
    with pytest.raises(NotAllowed, match="models be trained"):
        rules.set_rule(project, feature_set=features, by=lead)
    assert not rules.set_rule(project, feature_set=features, is_on=False, by=lead).is_on
