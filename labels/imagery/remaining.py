"""Places whose imagery lost its rights: no new unit is handed out where no image is left that may be judged.

A place that no picture ever showed is another thing: it is handed out, and judged "unsure, no image".
"""

from django.db.models import BooleanField, Exists, F, Func, Max, OuterRef, Q

from labels.imagery import rights, sources
from labels.imagery.rights import Use
from labels.models import AccessRecord, ImagerySource, Project, ProviderDate, ReviewImage, Scene
from labels.models.projects import ImageryPolicy

M_PER_DEGREE = 100_000  # a little less than there are: what is near counts as there


class _IsNear(Func):
    """PostGIS: whether a footprint lies within so many degrees of a point, by its index."""

    function = "ST_DWithin"
    arity = 3
    output_field = BooleanField()


def lost(project: Project, unit: str = "unit__") -> Q | None:
    """Units shown only by imagery that could be judged from and no longer may be; None where there is no such imagery.

    A source that nobody ever could judge from takes nothing away: one only looked at, or a provider in a project
    that never asked any. `unit` leads from the queried model to the SampleUnit, which is one of a record.
    """
    open_ids, closed = [], []
    for source in project.imagery_sources.select_related("project"):
        if rights.may(source, Use.DERIVE_LABELS):
            open_ids.append(source.pk)
        else:
            closed.append(source)
    closed_ids = _once_open(project, closed) if closed else []
    if not closed_ids:
        return None
    return _shown_by(closed_ids, unit) & ~_shown_by(open_ids, unit)


def _once_open(project: Project, closed: list[ImagerySource]) -> list[int]:
    """Those of the closed sources that verdicts rest on, or that lost the right, the policy or the time for it."""
    judged = set(ReviewImage.objects.filter(source__in=closed).order_by().values_list("source", flat=True).distinct())
    noted = AccessRecord.objects.filter(project=project, action=sources.CHANGED)
    taken_back = set(noted.filter(sources.takes_judging()).values_list("subject", flat=True))
    # Each change of the policy goes to or comes from asking providers, so that before the latest they were asked.
    latest = AccessRecord.objects.filter(project=project, action=sources.POLICY).aggregate(at=Max("at"))["at"]

    def was_asked(source: ImagerySource) -> bool:
        if source.kind == ImagerySource.Kind.SCENES or project.imagery_policy == ImageryPolicy.THROUGH_SERVER:
            return True
        return latest is not None and source.created_at < latest

    def was_open(source: ImagerySource) -> bool:
        has_flags = all(getattr(source, name) for name in sources.FOR_JUDGING)
        return was_asked(source) and (has_flags or not taken_back.isdisjoint(sources.judging_taken(source)))

    return [source.pk for source in closed if source.pk in judged or was_open(source)]


def _shown_by(source_ids: list[int], unit: str) -> Q:
    radius = OuterRef(f"{unit}search_radius_m") / float(M_PER_DEGREE)
    near = _IsNear(F("footprint"), OuterRef(f"{unit}observation__point"), radius)
    scenes = Scene.objects.filter(near, source__in=source_ids)
    dates = ProviderDate.objects.filter(Q(footprint__isnull=True) | Q(near), source__in=source_ids)
    # A picture that a catalogue lists as a file is offered to nobody before it is fetched into a source of our own.
    dates = dates.exclude(source__kind=ImagerySource.Kind.STAC, address="")
    return Q(Exists(scenes)) | Q(Exists(dates))
