"""Retraining by itself: after so many new labels a run is started."""

from labels.models import Project
from predictions.models import FeatureSet, RetrainingRule


def set_rule(
    project: Project, *, feature_set: FeatureSet, every_n_labels: int = 200, is_on: bool = True, by=None
) -> RetrainingRule:
    """The project's rule, made or changed; BadInput for a feature set that is not ready or of another project."""
    raise NotImplementedError


def n_new_labels(rule: RetrainingRule) -> int:
    """Labels given since the labels of the last run (or since the rule was set, before any)."""
    raise NotImplementedError


def retrain_where_due() -> int:
    """Start a run in each project whose rule is due; how many were started. Two callers at once start one."""
    raise NotImplementedError
