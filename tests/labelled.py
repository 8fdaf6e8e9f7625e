"""Audits with verdicts in them, for tests of what is made of verdicts. Coordinates are (lon, lat)."""

from datetime import date
from uuid import UUID, uuid4

from django.contrib.auth import get_user_model
from django.contrib.gis.geos import Point

from labels.models import Audit, ImagerySource, Mark, Review, ReviewImage, SampleUnit
from tests.factories import make_record, make_register


def make_audit(project, slug: str = "census", *, register=None, frame: str = "records", **fields) -> Audit:
    if frame == "records":
        fields["register"] = register or make_register(project)
    return Audit.objects.create(project=project, slug=slug, name=slug.capitalize(), frame=frame, **fields)


def make_unit(
    audit: Audit, *, at: tuple[float, float] = (-10.7, 6.4), uuid: UUID | None = None, queue="sample", **record
):
    found = make_record(audit.register, at=at, **record)
    return SampleUnit.objects.create(
        uuid=uuid or uuid4(),
        audit=audit,
        site_record=found,
        observation=found.observations.get(),
        stratum="all",
        queue=queue,
        inclusion_probability=1.0 if queue == "sample" else None,
        tolerance_m=100,
        search_radius_m=1000,
    )


def make_cell_unit(audit: Audit, cell: str) -> SampleUnit:
    return SampleUnit.objects.create(
        audit=audit, grid_cell=cell, inclusion_probability=0.1, tolerance_m=100, search_radius_m=1000
    )


def somebody(name: str = "alma"):
    return get_user_model().objects.get_or_create(username=name)[0]


def judge(
    unit: SampleUnit,
    verdict: str,
    *,
    by: str = "alma",
    mark: tuple[float, float] | None = None,
    seen: ImagerySource | list[ImagerySource] = (),
    captured_on: date | None = date(2022, 5, 1),
    views: list[dict] = (),
    scenes: list[str] = (),
    others: list[tuple[float, float, str]] = (),
    **fields,
) -> Review:
    """A current review. A confirm marks the reported point unless told otherwise."""
    if verdict == "confirm" and mark is None:
        mark = unit.observation.point.coords
    if verdict == "reject":
        fields = {"reason": "natural_ground"} | fields
    if verdict == "unsure":
        fields = {"reason": "cloud"} | fields
    review = Review.objects.create(
        unit=unit,
        annotator=somebody(by),
        queue=unit.queue,
        verdict=verdict,
        mark=Point(*mark, srid=4326) if mark else None,
        tolerance_m=unit.tolerance_m,
        search_radius_m=unit.search_radius_m,
        guideline_version="1",
        app_version="test",
        input="program",
        **fields,
    )
    for pane, source in enumerate([seen] if isinstance(seen, ImagerySource) else seen, start=1):
        ReviewImage.objects.create(
            review=review,
            pane=pane,
            source=source,
            captured_on=captured_on,
            captured_known_by="stated" if captured_on else "unknown",
            resolution_m=1.2,
            views=list(views),
            scene_sha256s=list(scenes),
        )
    Mark.objects.bulk_create(Mark(review=review, point=Point(x, y, srid=4326), mine_type=kind) for x, y, kind in others)
    return review
