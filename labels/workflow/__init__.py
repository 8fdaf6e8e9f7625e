"""Changes of state in the review loop: opening an audit, handing out units, recording and undoing reviews,
giving gold answers, settling disputes, carrying reviews over when a register changes.

Every verb is one transaction. Rules of judgement that need no database are in labels.rules.
"""

from labels.workflow.adjudicating import record_adjudication
from labels.workflow.carrying_over import CarriedOver, Moved, carry_over, moved_in
from labels.workflow.errors import (
    AlreadyExposed,
    AuditClosed,
    NotInDispute,
    RejectNeedsLaterImage,
    RejectNeedsTiles,
    RejectNeedsWholeDisc,
)
from labels.workflow.given import GivenDecision, GivenImage, GivenJudgement, GivenReview
from labels.workflow.gold import set_gold
from labels.workflow.handing_out import hand_out, keep_lease, n_without_imagery
from labels.workflow.opening import add_assignments, open_cell_search, open_census
from labels.workflow.recording import APP_VERSION, record_review, retract_review

__all__ = [
    "APP_VERSION",
    "AlreadyExposed",
    "AuditClosed",
    "CarriedOver",
    "GivenDecision",
    "GivenImage",
    "GivenJudgement",
    "GivenReview",
    "Moved",
    "NotInDispute",
    "RejectNeedsLaterImage",
    "RejectNeedsTiles",
    "RejectNeedsWholeDisc",
    "add_assignments",
    "carry_over",
    "hand_out",
    "keep_lease",
    "moved_in",
    "n_without_imagery",
    "open_cell_search",
    "open_census",
    "record_adjudication",
    "record_review",
    "retract_review",
    "set_gold",
]
