"""The records of a register, searched, filtered and on a map; and one record with everything said about it."""

from uuid import UUID

from django.contrib.gis.geos import GEOSGeometry
from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils.http import urlencode
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from labels import access, duplicate_pairs, register_words
from labels.errors import BadInput
from labels.flags import codes as flag_codes
from labels.models import EditionRow, Placement, Project, RecordFlag, Register, SampleUnit, SiteRecord
from labels.neighbours import NEAR_M, neighbours_of
from labels.register_filters import MOST_FOUND, Filters, filters_of, matching
from labels.register_map import extent
from labels.views.doors import in_project
from labels.views.register_map import background, map_data

PAGE_ROWS = 50


class RecordPages(Paginator):
    """Pages of a list whose length is known; what the far pages skip is not joined with anything."""

    def __init__(self, rows: QuerySet[Placement], count: int):
        super().__init__(rows.order_by("site_record_id"), PAGE_ROWS)
        self.count = count

    def page(self, number):
        page = super().page(number)
        ids = list(page.object_list.values_list("pk", flat=True))
        shown = Placement.objects.filter(pk__in=ids).order_by("pk")
        page.object_list = list(
            shown.select_related("site_record", "observation", "region").defer("observation__attributes")
        )
        return page


@require_safe
@in_project("view_register")
def records(request: HttpRequest, project: Project, register: str) -> HttpResponse:
    found = get_object_or_404(project.registers, slug=register)
    context = {"register": found, "section": "registers"}
    try:
        filters = filters_of(request.GET, found)
    except BadInput as error:
        return render(request, "labels/records.html", context | {"problem": str(error)}, status=400)
    n, bounds = extent(found, filters)
    page = RecordPages(matching(found, filters), n).get_page(request.GET.get("page"))
    _label_flags(page.object_list)
    context |= {
        "page": page,
        "filters": filters,
        "choices": register_words.choices(found, filters),
        "asked": [
            chip | {"without": urlencode({name: v for name, v in filters.asked.items() if name != chip["name"]})}
            for chip in register_words.asked(found, filters)
        ],
        "most_found": MOST_FOUND,
        "map_data": _map(project, found, filters, bounds),
    }
    return render(request, "labels/records.html", context)


def _label_flags(placed) -> None:
    """Give each row of the list the labels of its flags."""
    rows = list(placed)
    said: dict[int, list[str]] = {}
    for record, code in RecordFlag.objects.filter(site_record__in=[row.pk for row in rows]).values_list(
        "site_record", "code"
    ):
        said.setdefault(record, []).append(code)
    for row in rows:
        row.flag_labels = [flag_codes.label_of(code) for code in flag_codes.in_order(said.get(row.pk, []))]


def _map(project: Project, register: Register, filters: Filters, bounds: list[float] | None) -> dict:
    source = reverse("labels:register_map", args=[project.slug, register.slug])
    return map_data(project, f"{source}?{urlencode(filters.asked)}", bounds)


@require_safe
@in_project("view_register")
def record(request: HttpRequest, project: Project, record: UUID) -> HttpResponse:
    """Everything the register said about one site, latest first, and what else is known of it.

    Of its audits the state of the work alone is shown, never a verdict: who opens this page may review the record.
    """
    found = get_object_or_404(SiteRecord.objects.select_related("register"), uuid=record, register__project=project)
    observations = found.observations.select_related("first_edition").order_by("-first_edition__number", "-file_row")
    areas = ("region", "admin_area", "commercial_area", "protected_area", "permit_area", "observation", "edition")
    placement = Placement.objects.select_related(*areas).filter(pk=found.pk).first()
    neighbours = neighbours_of(found) if placement and placement.reported_point else []
    context = {
        "record": found,
        "placement": placement,
        "observations": observations,
        "flags": _flags(found),
        "pairs": duplicate_pairs.pairs_of_record(found),
        "neighbours": neighbours,
        "near_m": NEAR_M,
        "editions": _editions(found),
        "units": _units(found),
        "map_data": _small_map(project, placement, neighbours),
        "section": "registers",
    }
    access.note_access(request.user, project, "view_coordinates", f"record {found.uuid}", 1)
    return render(request, "labels/record.html", context)


def _flags(record: SiteRecord) -> list[tuple[str, str]]:
    """(label, sentence) of each."""
    details = dict(record.flags.values_list("code", "detail"))
    return [
        (flag_codes.label_of(code), flag_codes.sentence(code, details[code]))
        for code in flag_codes.in_order(list(details))
    ]


def _editions(record: SiteRecord) -> list[dict]:
    """Every edition of the register, the latest first, with the rows that name the record."""
    rows: dict[int, list[int]] = {}
    named = EditionRow.objects.filter(observation__site_record=record).order_by("file_row")
    for edition, file_row in named.values_list("edition_id", "file_row"):
        rows.setdefault(edition, []).append(file_row)
    complete = record.register.editions.filter(completed_at__isnull=False)
    return [{"edition": edition, "rows": rows.get(edition.pk, [])} for edition in complete]


def _units(record: SiteRecord) -> list[dict]:
    """The audits that drew the record, how far its reviews are and what they looked at; no judgement."""
    units = SampleUnit.objects.filter(site_record=record).select_related("audit")
    units = units.prefetch_related("assignments", "reviews__images__source")
    return [
        {
            "audit": unit.audit,
            "is_retired": unit.retired_at is not None,
            "n_done": sum(each.state == each.State.DONE for each in unit.assignments.all()),
            "n_wanted": len(unit.assignments.all()),
            "images": [image for review in unit.reviews.all() for image in review.images.all()],
        }
        for unit in units.order_by("-audit__opened_at", "-pk")
    ]


def _small_map(project: Project, placement: Placement | None, neighbours: list) -> dict | None:
    """The record among its neighbours; nothing more is fetched."""
    if not placement or not placement.reported_point:
        return None
    point = placement.reported_point
    places = dict(
        SiteRecord.objects.filter(uuid__in=[each.uuid for each in neighbours]).values_list(
            "uuid", "placement__reported_point"
        )
    )
    features = [_feature(places[each.uuid], kind="other", id=str(each.uuid), name=each.name) for each in neighbours]
    features.append(_feature(point, kind="here", name=placement.observation.name or placement.site_record.source_id))
    reach = 0.02
    collection = {"type": "FeatureCollection", "n": len(features), "square_deg": 0, "features": features}
    bounds = [point.x - reach, point.y - reach, point.x + reach, point.y + reach]
    words = {"asPoints": _("Dark: this record. Blue: records of other registers near it. Outlines are coarse.")}
    return background(project, **words) | {"bounds": bounds, "features": collection}


def _feature(point: GEOSGeometry, **properties) -> dict:
    where = {"type": "Point", "coordinates": [round(point.x, 6), round(point.y, 6)]}
    return {"type": "Feature", "geometry": where, "properties": properties}
