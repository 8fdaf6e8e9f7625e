"""Proposed duplicates, side by side: a person says whether two are one site, and may say otherwise later."""

from django.contrib import messages
from django.contrib.gis.geos import Point
from django.core.paginator import Paginator
from django.db.models import Max
from django.http import HttpRequest, HttpResponse, HttpResponseBadRequest
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.http import urlencode
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from labels import access, duplicate_pairs
from labels import duplicates as duplicates_search
from labels.errors import BadInput
from labels.models import DuplicateDecision, DuplicatePair, Project
from labels.views.doors import in_project

PAGE_PAIRS = 12
UNDECIDED, EVERY = "undecided", "all"


@require_safe
@in_project("view_register")
def duplicates(request: HttpRequest, project: Project) -> HttpResponse:
    """The pairs that are asked for, likeliest first."""
    asked = _asked(request, project)
    pairs = _matching(project, asked)
    page = Paginator(pairs, PAGE_PAIRS).get_page(request.GET.get("page"))
    page.object_list = duplicate_pairs.with_sides(page.object_list)
    access.note_access(request.user, project, "view_coordinates", "proposed duplicates", len(page.object_list))
    context = {
        "page": page,
        "pairs": [_compared(pair) for pair in page.object_list],
        "asked": asked,
        "reasons": DuplicatePair.Reason.choices,
        "registers": project.registers.all(),
        "decisions": [
            (UNDECIDED, _("not decided")),
            *DuplicateDecision.Decision.choices,
            (EVERY, _("all")),
        ],
        "radius_m": project.registers.aggregate(m=Max("duplicate_radius_m"))["m"],
        "n_undecided": project.duplicate_pairs.filter(decisions=None).count(),
        "n_pairs": project.duplicate_pairs.count(),
        "section": "registers",
    }
    return render(request, "labels/duplicates.html", context)


def _asked(request: HttpRequest, project: Project) -> dict[str, str]:
    """What the address asks for; a value that is none asks for everything."""
    known = {
        "reason": DuplicatePair.Reason.values,
        "register": project.registers.values_list("slug", flat=True),
        "decided": [UNDECIDED, EVERY, *DuplicateDecision.Decision.values],
    }
    asked = {name: request.GET.get(name, "") for name in known}
    kept = {name: value if value in known[name] else "" for name, value in asked.items()}
    return kept | {"decided": kept["decided"] or UNDECIDED}


def _matching(project: Project, asked: dict[str, str]):
    pairs = duplicate_pairs.pairs_of(project).order_by("-name_similarity", "distance_m", "pk")
    if asked["reason"]:
        pairs = pairs.filter(reason=asked["reason"])
    if asked["register"]:
        pairs = duplicate_pairs.of_register(pairs, asked["register"])
    if asked["decided"] == UNDECIDED:
        pairs = pairs.filter(decided=None)
    elif asked["decided"] != EVERY:
        pairs = pairs.filter(decided=asked["decided"])
    return pairs


def _compared(pair: DuplicatePair) -> dict:
    """The pair with each line of the comparison: heading, both values, whether they differ."""
    first, second = pair.sides
    lines = [(heading, value(first), value(second)) for heading, value in _lines()]
    return {
        "pair": pair,
        "sides": pair.sides,
        "is_one_record": pair.first_record_id == pair.second_record_id,
        "lines": [(heading, a, b, a != b) for heading, a, b in lines if a or b],
        "likeness": None if pair.name_similarity is None else round(pair.name_similarity * 100),
    }


def _lines() -> list[tuple]:
    def of(name):
        return lambda side: getattr(side["observation"], name, "") or ""

    return [
        (_("Id"), lambda side: side["record"].source_id),
        (_("Register"), lambda side: side["record"].register.name),
        (_("Stated region"), of("stated_region")),
        (_("Mineral"), lambda side: ", ".join(of("minerals_original")(side) or [])),
        (_("Location method"), of("location_method")),
        (_("Latitude, longitude"), lambda side: _place(side["point"])),
    ]


def _place(point: Point | None) -> str:
    """To a tenth of a metre: more decimals tell two spellings apart, not two places."""
    return f"{point.y:.6f}, {point.x:.6f}" if point else ""


@require_POST
@in_project("decide_duplicates")
def search(request: HttpRequest, project: Project) -> HttpResponse:
    """Look again, in all registers of the project, within the radius that is sent."""
    try:
        radius_m = float(request.POST.get("radius_m", "").replace(",", "."))
        job = duplicates_search.ask_search(project, radius_m, requested_by=request.user)
    except ValueError:
        messages.error(request, _("The radius is a number of metres, such as 300."))
    except BadInput as error:
        messages.error(request, str(error))
    else:
        return redirect("labels:job", project.slug, job.uuid)
    return redirect("labels:duplicates", project.slug)


@require_POST
@in_project("decide_duplicates")
def decide(request: HttpRequest, project: Project, pair: int) -> HttpResponse:
    """One more decision about the pair; the latest holds. For htmx the pair as it now stands."""
    found = get_object_or_404(project.duplicate_pairs, pk=pair)
    decision = request.POST.get("decision", "")
    try:
        duplicates_search.decide(found, decision, request.user)
    except BadInput as error:
        return HttpResponseBadRequest(str(error), content_type="text/plain")
    if request.htmx:
        (shown,) = duplicate_pairs.with_sides(duplicate_pairs.pairs_of(project).filter(pk=found.pk))
        return render(request, "labels/_pair.html", {"each": _compared(shown)})
    kept = {name: request.POST[name] for name in ("reason", "register", "decided", "page") if request.POST.get(name)}
    return redirect(f"{reverse('labels:duplicates', args=[project.slug])}?{urlencode(kept)}#pair-{found.pk}")
