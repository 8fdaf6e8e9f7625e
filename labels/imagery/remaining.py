"""Places whose imagery lost its rights: no new unit is handed out where no image is left that may be judged.

A place that no picture ever showed is another thing: it is handed out, and judged "unsure, no image".
"""

from django.db.models import BooleanField, Exists, F, Func, OuterRef, Q

from labels.imagery import rights
from labels.imagery.rights import Use
from labels.models import Project, ProviderDate, Scene

M_PER_DEGREE = 100_000  # a little less than there are: what is near counts as there


class _IsNear(Func):
    """PostGIS: whether a footprint lies within so many degrees of a point, by its index."""

    function = "ST_DWithin"
    arity = 3
    output_field = BooleanField()


def lost(project: Project, unit: str = "unit__") -> Q | None:
    """Units shown only by imagery that may no longer be judged from; None where all the project's imagery may be.

    `unit` leads from the queried model to the SampleUnit, which is one of a record.
    """
    open_ids, closed_ids = [], []
    for source in project.imagery_sources.select_related("project"):
        (open_ids if rights.may(source, Use.DERIVE_LABELS) else closed_ids).append(source.pk)
    if not closed_ids:
        return None
    return _shown_by(closed_ids, unit) & ~_shown_by(open_ids, unit)


def _shown_by(sources: list[int], unit: str) -> Q:
    radius = OuterRef(f"{unit}search_radius_m") / float(M_PER_DEGREE)
    near = _IsNear(F("footprint"), OuterRef(f"{unit}observation__point"), radius)
    scenes = Scene.objects.filter(near, source__in=sources)
    dates = ProviderDate.objects.filter(Q(footprint__isnull=True) | Q(near), source__in=sources)
    return Q(Exists(scenes)) | Q(Exists(dates))
