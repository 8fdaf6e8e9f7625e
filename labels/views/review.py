"""The review page: dated images beside each other, one key per verdict, the next unit follows.

The page is driven by static/js/review.js (started by review-boot.js); without script the same unit is judged through a
plain form.
"""

from uuid import uuid4

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext, pgettext
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from labels import plain_review, progress, unit_payload, workflow
from labels.errors import LabelsError
from labels.local_plane import place
from labels.models import Audit, Project, Review, SampleUnit
from labels.models.reviews import Activity, MineType, RejectReason, Sign, SizeClass, UnsureReason, Verdict
from labels.views.doors import in_project

N_AHEAD = 4  # the unit on screen and three ready behind it
N_UNDO = 20
VERDICTS = [Verdict.CONFIRM, Verdict.MOVE, Verdict.REJECT, Verdict.UNSURE]
SHOWN = ["minerals", "location_method", "report_date"]


class PlainReviewForm(forms.Form):
    """The verdict of a browser without script; a move is told in metres from the cross-hair."""

    uuid = forms.UUIDField(widget=forms.HiddenInput)
    unit = forms.UUIDField(widget=forms.HiddenInput)
    shown = forms.CharField(widget=forms.HiddenInput, max_length=4000, required=False)  # plain_review says what lacks
    verdict = forms.ChoiceField(label=gettext_lazy("What do you see?"), choices=[(v.value, v.label) for v in VERDICTS])
    reason = forms.ChoiceField(
        label=gettext_lazy("Reason (reject and unsure)"),
        choices=[("", ""), *RejectReason.choices, *UnsureReason.choices],
        required=False,
    )
    east_m = forms.FloatField(label=gettext_lazy("Move: metres east (west is negative)"), required=False)
    north_m = forms.FloatField(label=gettext_lazy("Move: metres north (south is negative)"), required=False)
    confidence = forms.TypedChoiceField(
        label=gettext_lazy("Confidence, 1 to 5"),
        choices=[("", "")] + [(n, n) for n in range(1, 6)],
        coerce=int,
        empty_value=None,
        required=False,
    )
    note = forms.CharField(label=gettext_lazy("Note"), max_length=2000, required=False)


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
@in_project("review")
def review(request: HttpRequest, project: Project, audit: str) -> HttpResponse:
    found = get_object_or_404(project.audits.select_related("project", "register"), slug=audit)
    if found.is_of_cells:
        messages.info(request, _("Grid cells are not judged on the review page."))
        return redirect("labels:overview", project.slug)
    if request.method == "POST":
        return _record_plain(request, project, found)
    units = workflow.hand_out(found, request.user, n=N_AHEAD)
    payloads = unit_payload.payloads(units)
    form = PlainReviewForm(initial=_initial(payloads[0])) if units else None
    closed = workflow.n_without_imagery(found, request.user) if len(units) < N_AHEAD else 0
    return render(request, "labels/review.html", _context(request, found, payloads, form) | {"n_closed": closed})


def _context(request: HttpRequest, audit: Audit, payloads: list[dict], form) -> dict:
    queue = progress.queue_of(audit, request.user)
    return {
        "audit": audit,
        "queue": queue,
        "form": form,
        "unit": payloads[0] if payloads else None,
        "plain_images": plain_review.pictures(payloads[0]) if payloads else [],
        "unsure_reasons": list(enumerate(UnsureReason.choices, start=1)),
        "reject_reasons": RejectReason.choices,
        "mine_types": MineType.choices,
        "activities": Activity.choices,
        "size_classes": SizeClass.choices,
        "signs": Sign.choices,
        "page_data": {
            "units": payloads,
            "progress": {
                "mine": queue.n_mine,
                "today": queue.n_mine_today,
                "done": queue.n_done,
                "wanted": queue.n_wanted,
                "left_for_me": queue.n_left_for_me,
            },
            "urls": _urls(audit),
            "user": request.user.pk,
            "shown": SHOWN,
            "undo": [str(uuid) for uuid in _undoable(audit, request.user)],
            "words": _words(),
            "language": request.LANGUAGE_CODE,
        },
    }


def _urls(audit: Audit) -> dict:
    """Every address the script uses; REVIEW and UNIT stand for ids it fills in."""
    slug, blank = audit.project.slug, "00000000-0000-0000-0000-000000000000"
    return {
        "handOut": reverse("api:hand_out", args=[slug, audit.slug]),
        "reviews": reverse("api:reviews", args=[slug]),
        "retract": reverse("api:retract", args=[slug, blank]).replace(blank, "REVIEW"),
        "lease": reverse("api:lease", args=[slug, blank]).replace(blank, "UNIT"),
        "session": reverse("api:session"),
        "login": f"{reverse('login')}?next={reverse('labels:review', args=[slug, audit.slug])}",
    }


def _undoable(audit: Audit, user) -> list:
    """The person's latest current reviews here, oldest first."""
    current = Review.objects.filter(
        unit__audit=audit, annotator=user, successor__isnull=True, retraction__isnull=True
    ).order_by("-pk")
    return list(current.values_list("uuid", flat=True)[:N_UNDO])[::-1]


def _words() -> dict:
    """What the script says; it holds no sentence of its own."""
    return {
        "noImage": _("No image of this place"),
        "someMissing": _("%s %% of the tiles in view could not be had"),
        "muchMissing": _("No image: %s %% of the tiles in view are missing. If it stays so: unsure, no image."),
        "shifted": _("measured offset of %s m applied"),
        "dateUnknown": _("date unknown"),
        "beforeReport": _("before the report"),
        "afterReport": _("after the report"),
        "days": _("%s days"),
        "months": _("%s months"),
        "years": _("%s years"),
        "sameDay": _("on the day of the report"),
        "reported": _("reported"),
        "reportUndated": _("report not dated"),
        "clickFirst": _("click the mine first"),
        "clickTheMine": _("Click the mine, or set the mark with the arrow keys, then save the move."),
        "metresAway": _("%(metres)s m, %(bearing)s°"),
        "range": _("%s m"),
        "tolerance": _("%s m tolerance"),
        "searchRadius": _("search radius %s m"),
        "gridCell": _("grid cell"),
        "discSeen": _("%s %% of the search disc seen"),
        "framesSeen": _("%(seen)s of %(all)s frames"),
        "frame": _("Frame %(n)s of %(all)s"),
        "allSeen": _("All of the search disc was on screen."),
        "tooCoarse": _("These images are too coarse to show a 10 m pit, so looking at them does not count as seen."),
        "wide": _("%s km wide"),
        "nowShows": _("Image %(pane)s: %(date)s"),
        "nowActive": _("Active: image %(pane)s, %(date)s"),
        "divided": _("%s %% of the width shows the left image"),
        "onlyBefore": _("Every image here predates the report, so it cannot show that no mine was there."),
        "stepToLater": _("No image after the report was looked at yet: step to one with ] first."),
        "lookAtRest": _("Only %s %% of the search disc was seen on an image after the report. Press N for the rest."),
        "withoutImagery": _("Units that wait because the rights to all their imagery have ended: %s."),
        "unsent": _("%s unsent"),
        "unsentKept": _("%s unsent, kept on this computer"),
        "refused": _("%s not accepted"),
        "leaseLost": _("This unit was handed to someone else meanwhile; your verdict still counts."),
        "signedOut": _("You are signed out. Nothing is lost: sign in and go on."),
        "undone": _("Undone: judge this unit again."),
        "nothingToUndo": _("Nothing to undo."),
        "undoLater": _("The server has not answered: undo again in a moment."),
        "waiting": _("Waiting for the server: the next unit follows."),
        "saved": _("Saved"),
        "outside": _("That is outside the search disc. Use “another mine” (A) for mines farther away."),
        "otherMine": _("Another mine marked. Click it to take it away."),
        "keysOn": _("Keys are on"),
        "keysOff": _("Keys are off"),
        "compass": [
            pgettext("compass", "north"),
            pgettext("compass", "north-east"),
            pgettext("compass", "east"),
            pgettext("compass", "south-east"),
            pgettext("compass", "south"),
            pgettext("compass", "south-west"),
            pgettext("compass", "west"),
            pgettext("compass", "north-west"),
        ],
        "precision": {"year": _("year only"), "month": _("month only")},
    }


def _record_plain(request: HttpRequest, project: Project, audit: Audit) -> HttpResponse:
    form = PlainReviewForm(request.POST)
    if not form.is_valid():
        messages.error(request, _("Choose a verdict; numbers are metres."))
        return redirect("labels:review", project.slug, audit.slug)
    units = SampleUnit.objects.select_related("audit__project", "observation")
    unit = get_object_or_404(units, audit=audit, uuid=form.cleaned_data["unit"])
    try:
        workflow.record_review(unit, request.user, _plain_verdict(request, unit, form.cleaned_data))
    except LabelsError as error:
        messages.error(request, str(error))
    return redirect("labels:review", project.slug, audit.slug)


def _initial(unit: dict) -> dict:
    return {"uuid": uuid4(), "unit": unit["unit"], "shown": plain_review.signed(unit)}


def _plain_verdict(request: HttpRequest, unit: SampleUnit, told: dict) -> workflow.GivenReview:
    verdict, has_mark = told["verdict"], told["east_m"] is not None and told["north_m"] is not None
    reason = told["reason"] or (RejectReason.NATURAL_GROUND.value if verdict == Verdict.REJECT else "")
    return workflow.GivenReview(
        uuid=told["uuid"],
        verdict=verdict,
        reason=reason if verdict in (Verdict.REJECT, Verdict.UNSURE) else "",
        mark=place(unit.observation.point.coords, told["east_m"], told["north_m"]) if has_mark else None,
        confidence=told["confidence"],
        note=told["note"],
        images=plain_review.images_seen(unit, told["shown"]),
        shown={"fields": SHOWN},
        locale=request.LANGUAGE_CODE,
        input=Review.Input.FORM,
    )


@require_safe
@in_project("view_own_reviews")
def mine(request: HttpRequest, project: Project, audit: str) -> HttpResponse:
    """One's own verdicts in this audit, the newest first; no coordinates."""
    found = get_object_or_404(project.audits, slug=audit)
    reviews = (
        Review.objects.filter(unit__audit=found, annotator=request.user)
        .select_related("retraction", "successor", "unit")
        .prefetch_related("images__source")
        .order_by("-pk")
    )
    shown = list(reviews[:200])
    context = {"audit": found, "reviews": shown, "n": reviews.count(), "summary": _summary(len(shown))}
    return render(request, "labels/my_reviews.html", context)


def _summary(n: int) -> str:
    return ngettext("%(n)s review", "%(n)s reviews", n) % {"n": n}


@require_POST
@in_project("review")
def undo(request: HttpRequest, project: Project, review) -> HttpResponse:
    """The plain form's undo; the page's own goes through the API."""
    own = Review.objects.filter(unit__audit__project=project, annotator=request.user)
    found = get_object_or_404(own.select_related("unit__audit"), uuid=review)
    try:
        workflow.retract_review(found, request.user, uuid=uuid4())
        messages.success(request, _("Undone: judge this unit again."))
    except LabelsError as error:
        messages.error(request, str(error))
    audit = found.unit.audit
    return redirect("labels:my_reviews" if audit.is_of_cells else "labels:review", project.slug, audit.slug)
