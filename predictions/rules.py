"""Retraining by itself: after so many new labels a run is started.

New labels are units judged or settled since the last run was asked for, by whomever. So a run that fails is not started
again every minute, but when as many labels have come once more. A rule that can start no run any more, because of who
set it or what it trains on, stops, and its page says why; it goes on when a person sets it again.
"""

import logging
from datetime import datetime

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from labels import access
from labels.errors import BadInput, LabelsError, NotAllowed
from labels.models import Adjudication, Job, Project, Review
from predictions import feature_jobs, reasons, storage
from predictions.featurizing import check_rights
from predictions.models import FeatureSet, RetrainingRule

log = logging.getLogger(__name__)


def set_rule(
    project: Project, *, feature_set: FeatureSet, every_n_labels: int = 200, is_on: bool = True, by=None
) -> RetrainingRule:
    """The project's rule, made or changed.

    Raises BadInput for features that are not ready or of another project and for less than one label; NotAllowed where
    `by` may not start runs, or no model may be trained on the imagery behind the features.
    """
    if by is not None and not access.can(by, "start_run", project):
        raise NotAllowed(_("You may not start training runs in this project."))
    if feature_set.project_id != project.pk:
        raise BadInput(_("Labels and features must be of this project."))
    if not feature_set.is_ready:
        raise BadInput(_("The features %(name)s are not ready yet.") % {"name": feature_set.name})
    if not (isinstance(every_n_labels, int) and 1 <= every_n_labels < 2**31):
        raise BadInput(_("A run is started after at least one new label."))
    if is_on and feature_set.source is not None:
        check_rights(feature_set.source)
    fields = {"feature_set": feature_set, "every_n_labels": every_n_labels, "is_on": is_on, "set_by": by}
    fields["stopped_because"] = ""
    with transaction.atomic():
        before = RetrainingRule.objects.select_for_update().filter(project=project).first()
        # After the rule's row, as whoever follows the rule takes them.
        Project.objects.select_for_update(no_key=True).get(pk=project.pk)
        feature_jobs.check_there(feature_set)
        # Labels count from when the rule was switched on; another number changes nothing about that.
        set_at = before.set_at if before and before.is_on else timezone.now()
        rule, _is_new = RetrainingRule.objects.update_or_create(project=project, defaults=fields | {"set_at": set_at})
    return rule


def n_new_labels(rule: RetrainingRule) -> int:
    """Units judged or settled since the last run was asked for, or since the rule was set."""
    since = _since(rule)
    given = {"created_at__gt": since, "unit__audit__project": rule.project_id}
    judged = Review.objects.filter(**given, retraction__isnull=True).values_list("unit")
    settled = Adjudication.objects.filter(**given).values_list("unit")
    return judged.union(settled).count()


def _since(rule: RetrainingRule) -> datetime:
    last = rule.project.training_runs.order_by("-asked_at").values_list("asked_at", flat=True).first()
    return max(last, rule.set_at) if last else rule.set_at


def retrain_where_due() -> int:
    """Start a run in each project whose rule is due; how many were started. Two callers at once start one.

    A rule that can start none is stopped, and said so once.
    """
    n_started = 0
    for rule in _followed().select_related("project", "feature_set__source__project", "set_by").order_by("pk"):
        if reason := why_stopped(rule):
            _stop(rule, reason)
            continue
        try:
            n_started += _start_if_due(rule.pk)
        except LabelsError as error:
            _stop(rule, "rule_refused", str(error))
    return n_started


def _followed() -> QuerySet[RetrainingRule]:
    return RetrainingRule.objects.filter(is_on=True, stopped_because="")


def why_stopped(rule: RetrainingRule) -> str:
    """Why the rule can start no run, as a key of predictions.reasons; empty while it can."""
    if rule.set_by is not None and not access.can(rule.set_by, "start_run", rule.project):
        return "rule_owner"
    features = rule.feature_set
    if not features.is_ready or not (features.folder / storage.FEATURES).is_file():
        return "rule_features"
    if features.source is not None:
        try:
            check_rights(features.source)
        except NotAllowed:
            return "rule_rights"
    return ""


def said_of(rule: RetrainingRule | None) -> str:
    """Why a rule that is on starts nothing, as a sentence; empty where it does, is off or is not there."""
    if rule is None or not rule.is_on or not rule.stopped_because:
        return ""
    return reasons.sentence(rule.stopped_because)


def _stop(rule: RetrainingRule, reason: str, error: str = "") -> None:
    """Once, and not where somebody has set the rule anew meanwhile."""
    as_it_was = _followed().filter(pk=rule.pk, set_by=rule.set_by, feature_set=rule.feature_set)
    if as_it_was.update(stopped_because=reason):
        log.warning("Retraining rule %s of %s stops: %s %s", rule.pk, rule.project.slug, reason, error)


@transaction.atomic
def _start_if_due(rule_id: int) -> bool:
    """Whoever holds the rule's row decides; another passes by, and later finds the run it would have started."""
    from predictions import training  # imports what learning needs

    # Who set it is read after the lock: joined, nobody stands there where that has just changed.
    rules = _followed().select_related("project", "feature_set__source")
    rule = rules.select_for_update(skip_locked=True, of=("self",)).filter(pk=rule_id).first()
    if rule is None or _is_training(rule.project) or n_new_labels(rule) < rule.every_n_labels:
        return False
    training.start_run(rule.project, feature_set=rule.feature_set, by=rule.set_by, by_rule=True)
    return True


def _is_training(project: Project) -> bool:
    waiting = (Job.State.QUEUED, Job.State.RUNNING)
    return project.training_runs.filter(job__state__in=waiting).exists()
