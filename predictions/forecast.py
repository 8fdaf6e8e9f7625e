"""Before a run is started: which labels it would learn from and leave out, and whether it can be started."""

from dataclasses import dataclass, field

import numpy as np
from django.utils.translation import gettext as _

from labels.errors import BadInput
from labels.models import Project, ReferenceArea, Release
from labels.releases.gathering import gather
from labels.releases.making import audits_to_release
from labels.releases.training import Trainable, trainable, trainable_rows
from predictions import run_words, storage
from predictions.labelling import Status, statuses_of
from predictions.models import FeatureSet
from predictions.run_inputs import rows_in


@dataclass(frozen=True)
class Forecast:
    n_labels: int  # of records, which may train
    n_positive: int  # cells with an artisanal mine among those with features
    n_negative: int  # cells that were searched and are clear
    n_commercial: int  # cells with a commercial mine alone: a head of their own, no negatives
    n_doubtful: int  # cells of low confidence, or hardly looked at: withheld
    n_outside: int  # labelled cells without features, or outside the area
    n_left_out: int  # labels without the right to train
    left_out: list[dict] = field(default_factory=list)  # by source, the reason in words

    @property
    def refusal(self) -> str:
        """Why no run can be started on this; empty when one can."""
        if self.n_positive:
            return ""
        if self.n_outside:
            return _(
                "None of the labels lies in a cell of these features and this area: choose those that were audited."
            )
        if self.n_left_out:
            return _("The imagery of every label lacks the right to train models: see the rights of its sources.")
        return _("No label marks an artisanal mine yet, so there is nothing to learn: judge more units first.")


def forecast(
    project: Project,
    release: Release | None,
    feature_set: FeatureSet,
    *,
    area: ReferenceArea | None = None,
    purpose: str = "",
) -> Forecast:
    """What a run on this release (or on the labels as they are now), these features and this area would use.

    Raises BadInput where there are no labels or no features to say it of.
    """
    if not feature_set.is_ready:
        raise BadInput(_("These features are not finished yet."))
    found = trainable(release) if release else _labels_now(project, purpose)
    heads = np.array([statuses_of(row) for row in found.cells], dtype=int).reshape(-1, 2)
    has_features = _has_features(found, feature_set, area)
    artisanal, any_mining = heads[has_features].T
    return Forecast(
        n_labels=len(found.labels),
        n_positive=int(np.sum(artisanal == Status.POSITIVE)),
        n_negative=int(np.sum(artisanal == Status.NEGATIVE)),
        n_commercial=int(np.sum((artisanal == Status.WITHHELD) & (any_mining == Status.POSITIVE))),
        n_doubtful=int(np.sum(any_mining == Status.WITHHELD)),
        n_outside=int(np.sum(~has_features)),
        n_left_out=found.n_labels_left_out + found.n_cells_left_out,
        left_out=[each | {"words": run_words.lack(each["reason"])} for each in found.left_out_by_source],
    )


def _labels_now(project: Project, purpose: str) -> Trainable:
    return trainable_rows(gather(audits_to_release(project), purpose), project, purpose=purpose)


def _has_features(found: Trainable, feature_set: FeatureSet, area: ReferenceArea | None) -> np.ndarray:
    """(n,) of the labelled cells: whether the feature set knows them, with imagery, in the area."""
    if not found.cells:
        return np.zeros(0, dtype=bool)
    features = storage.load_features(feature_set, check=False)
    places = np.array([(row["lon"], row["lat"]) for row in found.cells])
    rows = storage.rows_of(features.cells, storage.cells_of(places[:, 0], places[:, 1]))
    known = rows >= 0
    known[known] = features.is_known[rows[known]]
    if area is not None:
        known[known] = np.isin(rows[known], rows_in(area, features))
    return known
