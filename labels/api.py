"""The JSON API. Every answer is decided by labels.access; /api/openapi.json describes it to signed-in people.

Positions of verdicts are metres east and north of the unit's reported point (labels.local_plane).
"""

from datetime import date, datetime
from typing import Annotated, Literal
from uuid import UUID

from django.http import HttpRequest
from django.middleware.csrf import get_token
from django.shortcuts import get_object_or_404
from django.utils.translation import gettext as _
from ninja import NinjaAPI, Schema
from ninja.errors import HttpError
from ninja.security import SessionAuth
from pydantic import Field

from labels import access, errors, progress, unit_payload, workflow
from labels.local_plane import place
from labels.models import Audit, Review, SampleUnit
from labels.models.reviews import Activity, MineType, RejectReason, Sign, SizeClass, UnsureReason


class StaleToken(errors.NotAllowed):
    """The page was loaded before the last sign-in; its script fetches a new token and tries again."""

    code = "csrf"


class SameSession(SessionAuth):
    """The session cookie, and, where the page says for whom it was made, that person and nobody else.

    A page left open while somebody else signs in must not send its verdicts under the new name.
    """

    def _get_key(self, request: HttpRequest) -> str | None:
        try:
            return super()._get_key(request)
        except HttpError as error:
            raise StaleToken("The page's token is out of date: load the page again.") from error

    def authenticate(self, request: HttpRequest, key: str | None):
        claimed = request.headers.get("X-Person")
        if claimed is not None and claimed != str(request.user.pk):
            return None
        return super().authenticate(request, key)


api = NinjaAPI(title="asm_audit", version="1", auth=SameSession(), docs_url=None, urls_namespace="api")

Metres = Annotated[float, Field(ge=-60_000, le=60_000, allow_inf_nan=False)]
Offset = tuple[Metres, Metres]
Adjustment = Annotated[float, Field(ge=0, le=10, allow_inf_nan=False)]  # 1 leaves the image as it is
NO_NUL = r"^[^\x00]*$"  # PostgreSQL keeps no NUL: unrefused it is an error of ours, which browsers send again for ever


def _choice(choices) -> type:
    return Literal[tuple(choices.values)]


class ViewIn(Schema):
    """One settled view of a pane: west, south, east, north in metres from the reported point."""

    bounds: tuple[Metres, Metres, Metres, Metres]
    zoom: Annotated[float, Field(ge=0, le=24)]
    ms: Annotated[int, Field(ge=0, le=3_600_000)]


class ImageIn(Schema):
    pane: Annotated[int, Field(ge=1, le=4)]
    source: UUID
    key: Annotated[str, Field(max_length=200, pattern=NO_NUL)] = ""
    version: Annotated[str, Field(max_length=64, pattern=r"^[0-9]*$")] = ""
    captured_on: date | None = None
    zoom: Annotated[float, Field(ge=0, le=24)] | None = None
    views: Annotated[list[ViewIn], Field(max_length=200)] = []
    dwell_ms: Annotated[int, Field(ge=0, le=86_400_000)] = 0
    n_tiles: Annotated[int, Field(ge=0, le=100_000)] = 0
    n_tiles_missing: Annotated[int, Field(ge=0, le=100_000)] = 0
    sight: Literal["", "seen", "not_seen", "cannot_tell"] = ""
    was_on_screen_at_verdict: bool = True
    adjustments: dict[Literal["brightness", "contrast", "gamma", "false_colour"], Adjustment] = {}


class LayoutIn(Schema):
    """How the images stood on screen."""

    panes: Annotated[int, Field(ge=1, le=4)]
    mode: Literal["panes", "swipe"] = "panes"
    light: bool = False


class OtherMineIn(Schema):
    offset_m: Offset
    mine_type: _choice(MineType) = MineType.ARTISANAL.value


class ReviewIn(Schema):
    uuid: UUID
    unit: UUID
    verdict: Literal["confirm", "move", "reject", "unsure"]
    reason: Literal[("", *RejectReason.values, *UnsureReason.values)] = ""
    mark_offset_m: Offset | None = None
    other_mines: Annotated[list[OtherMineIn], Field(max_length=100)] = []
    mine_type: Literal[("", *MineType.values)] = ""
    activity: Literal[("", *Activity.values)] = ""
    size_class: Literal[("", *SizeClass.values)] = ""
    signs: Annotated[list[_choice(Sign)], Field(max_length=10)] = []
    confidence: Annotated[int, Field(ge=1, le=5)] | None = None
    is_same_mine: bool = False
    note: Annotated[str, Field(max_length=2000, pattern=NO_NUL)] = ""
    images: Annotated[list[ImageIn], Field(max_length=24)] = []
    think_time_s: Annotated[float, Field(ge=0, le=86_400)] | None = None
    claimed_at: datetime | None = None
    input: Literal["key", "mouse", "touch", "program"] = "program"
    viewport: Annotated[str, Field(max_length=20, pattern=NO_NUL)] = ""
    layout: LayoutIn | None = None
    shown: Annotated[list[Annotated[str, Field(max_length=40, pattern=NO_NUL)]], Field(max_length=20)] = []


class ReviewOut(Schema):
    uuid: UUID
    unit: UUID
    verdict: str
    is_new: bool
    lease_was_lost: bool


class RetractionIn(Schema):
    uuid: UUID


class HandOutIn(Schema):
    n: Annotated[int, Field(ge=1, le=12)] = 4


class Said(Schema):
    """A sentence for the person, and a code for the program."""

    detail: str
    code: str = ""


STATUS = {errors.NotAllowed: 403, errors.Conflict: 409, errors.LabelsError: 422}


@api.exception_handler(errors.LabelsError)
def say(request: HttpRequest, error: errors.LabelsError):
    status = next(code for kind, code in STATUS.items() if isinstance(error, kind))
    return api.create_response(request, {"detail": str(error), "code": getattr(error, "code", "")}, status=status)


@api.get("session", url_name="session")
def session(request: HttpRequest):
    """Who is signed in here, and the token that unsafe calls need."""
    return {"person": request.user.pk, "token": get_token(request)}


@api.post("p/{project}/audits/{audit}/hand-out", url_name="hand_out")
def hand_out(request: HttpRequest, project: str, audit: str, body: HandOutIn):
    """Lease the next units to the caller, the ones already held first; empty at the end of the queue."""
    found = get_object_or_404(Audit, project=access.project_for(request.user, project, "review"), slug=audit)
    units = workflow.hand_out(found, request.user, n=body.n)
    closed = workflow.n_without_imagery(found, request.user) if len(units) < body.n else 0
    return {
        "units": unit_payload.payloads(units),
        "progress": _progress(found, request.user),
        # Units that wait because the rights of all their imagery have ended.
        "n_without_imagery": closed,
    }


@api.post("p/{project}/reviews", response={200: ReviewOut, 201: ReviewOut}, url_name="reviews")
def record_review(request: HttpRequest, project: str, body: ReviewIn):
    """Keep a verdict. Sent again with the same uuid it answers 200 and changes nothing."""
    unit = _unit(request, project, body.unit)
    review, is_new = workflow.record_review(unit, request.user, _given(unit, body, request.LANGUAGE_CODE))
    answer = {
        "uuid": review.uuid,
        "unit": unit.uuid,
        "verdict": review.verdict,
        "is_new": is_new,
        "lease_was_lost": review.lease_was_lost,
    }
    return (201 if is_new else 200), answer


@api.post("p/{project}/reviews/{review}/retract", url_name="retract")
def retract(request: HttpRequest, project: str, review: UUID, body: RetractionIn):
    """Undo one's own review; answers with its unit, which is leased to the caller again."""
    found_in = access.project_for(request.user, project, "review")
    mine = Review.objects.select_related("unit__audit__project", "unit__observation")
    found = get_object_or_404(mine, unit__audit__project=found_in, annotator=request.user, uuid=review)
    workflow.retract_review(found, request.user, uuid=body.uuid)
    return {"unit": unit_payload.payload(found.unit)}


@api.post("p/{project}/units/{unit}/lease", url_name="lease")
def lease(request: HttpRequest, project: str, unit: UUID):
    """Hold a unit a while longer."""
    return {"held": workflow.keep_lease(_unit(request, project, unit), request.user)}


def _unit(request: HttpRequest, project: str, unit: UUID) -> SampleUnit:
    found_in = access.project_for(request.user, project, "review")
    units = SampleUnit.objects.select_related("audit__project", "observation")
    return get_object_or_404(units, audit__project=found_in, uuid=unit)


def _progress(audit: Audit, user) -> dict:
    queue = progress.queue_of(audit, user)
    return {
        "mine": queue.n_mine,
        "today": queue.n_mine_today,
        "done": queue.n_done,
        "wanted": queue.n_wanted,
        "left_for_me": queue.n_left_for_me,
    }


def _given(unit: SampleUnit, body: ReviewIn, locale: str) -> workflow.GivenReview:
    """The verdict with its offsets turned into places."""
    if unit.observation is None or unit.observation.point is None:
        raise errors.BadInput(_("This unit has no reported point."))
    origin = unit.observation.point.coords
    fields = body.dict(exclude={"unit", "mark_offset_m", "other_mines", "images", "shown", "layout"})
    return workflow.GivenReview(
        **fields,
        mark=place(origin, *body.mark_offset_m) if body.mark_offset_m else None,
        other_mines=[(*place(origin, *mine.offset_m), mine.mine_type) for mine in body.other_mines],
        images=[_image(origin, image) for image in body.images],
        shown={"fields": body.shown},
        layout=body.layout.dict() if body.layout else {},
        locale=locale,
    )


def _image(origin: tuple[float, float], image: ImageIn) -> workflow.GivenImage:
    views = [
        {
            "bounds": [*place(origin, *view.bounds[:2]), *place(origin, *view.bounds[2:])],
            "zoom": view.zoom,
            "ms": view.ms,
        }
        for view in image.views
    ]
    return workflow.GivenImage(**image.dict(exclude={"views"}), views=views)
