"""Judgements as they come from a browser, a form or a program. Positions are (lon, lat)."""

from dataclasses import dataclass, field
from datetime import date, datetime
from uuid import UUID

from labels.models import Review


@dataclass(frozen=True, kw_only=True)
class GivenImage:
    """One image the annotator had on screen, as the browser reports it."""

    pane: int
    source: UUID
    captured_on: date | None  # names a scene; of a provider's picture our own table knows better
    key: str = ""  # a provider's name for its date
    version: str = ""  # the source's revision when it was shown
    zoom: float | None = None
    views: list[dict] = field(default_factory=list)  # {"bounds": [w, s, e, n], "zoom": z, "ms": n}
    dwell_ms: int = 0
    n_tiles: int = 0
    n_tiles_missing: int = 0
    sight: str = ""
    was_on_screen_at_verdict: bool = True
    adjustments: dict = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class GivenJudgement:
    """What a Review, an Adjudication and a GoldAnswer share."""

    uuid: UUID
    verdict: str = ""
    reason: str = ""
    mark: tuple[float, float] | None = None
    mine_type: str = ""
    activity: str = ""
    size_class: str = ""
    signs: list[str] = field(default_factory=list)
    confidence: int | None = None
    is_same_mine: bool = False
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class GivenReview(GivenJudgement):
    """A verdict with what was looked at."""

    verdict: str
    # lon, lat, mine type: mines beside a record's own, and the mines of a searched cell
    other_mines: list[tuple[float, float, str]] = field(default_factory=list)
    images: list[GivenImage] = field(default_factory=list)
    think_time_s: float | None = None
    claimed_at: datetime | None = None
    shown: dict = field(default_factory=dict)
    layout: dict = field(default_factory=dict)  # {"panes": 2, "mode": "panes" or "swipe", "light": False}
    was_cold: bool = False
    locale: str = ""
    input: str = Review.Input.PROGRAM
    viewport: str = ""


@dataclass(frozen=True, kw_only=True)
class GivenDecision(GivenJudgement):
    """An adjudication: a judgement of one's own, or the current review of the unit that is right.

    With `settled_with` the review's judgement is taken and nothing but a note may be given beside it.
    """

    settled_with: UUID | None = None
