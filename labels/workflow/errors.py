"""Why a verdict is not taken, as sentences with a code for programs."""

from labels.errors import BadInput, Conflict, NotAllowed


class RejectNeedsLaterImage(BadInput):
    """Every image seen predates the report: the verdict to give is unsure, image predates the report."""

    code = "predates_report"


class RejectNeedsWholeDisc(BadInput):
    """Part of the search disc was not seen at a useful zoom."""

    code = "disc_not_seen"


class RejectNeedsTiles(RejectNeedsWholeDisc):
    """The disc was on screen, but too many tiles of it never came."""


class AlreadyExposed(NotAllowed):
    """The person has seen others' reviews of the unit."""

    code = "exposed"


class AuditClosed(Conflict):
    code = "closed"


class NotInDispute(Conflict):
    """The unit's reviews agree, or there are none."""

    code = "not_in_dispute"
