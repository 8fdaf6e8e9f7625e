"""Puts the demonstration country into a project, through the same doors as any other data.

Every step looks for what it would make and leaves it alone when it is there, so that loading twice changes nothing and
an interrupted load goes on where it stopped. The truth is drawn again when it is needed and never stored.
"""

import io
import json
import os
import random
import secrets
from collections.abc import Callable
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import NAMESPACE_URL, UUID, uuid5

from django.contrib.auth import get_user_model
from django.contrib.gis.geos import Point
from django.core.management import call_command

from labels import looking, workflow
from labels.demonstration import registers, terrain
from labels.demonstration.drawing import Painter, write_scene
from labels.errors import BadInput, LabelsError
from labels.local_plane import place
from labels.models import Audit, Membership, Project, Review, SampleUnit, Scene
from labels.models.projects import Role
from labels.models.reviews import RejectReason, UnsureReason, Verdict

SEED = 7
PROJECT = {
    "slug": "wandara",
    "name": "Wandara",
    "country": "WDR",
    "time_zone": "Africa/Abidjan",
    "languages": ["en", "fr"],
}
PEOPLE = {
    "annotator1": ("Amina", Role.ANNOTATOR),
    "annotator2": ("Baptiste", Role.ANNOTATOR),
    "adjudicator": ("Celeste", Role.ADJUDICATOR),
    "lead": ("Mina", Role.LEAD),
    "admin": ("Otto", Role.ADMIN),
}
REGION_M = (9_000, 7_000)
N_MINES = 90  # in the whole country: few enough that a record without a mine has none within its search disc
RATES = registers.ErrorRates(
    gps=0.70, village=0.12, digitised=0.10, rounded=0.08, gps_sigma_m=40.0, never_there=0.34, licence=0.0
)
RESOLUTION_M = 2.4
DATES = (date(2019, 2, 9), date(2024, 1, 14))
MARGIN_M = 1_250  # of imagery around the records, so that their search discs lie within it
SOURCE = "Orbita regional mosaic"
REGISTER = {"slug": "cadastre", "name": "Cadastre artisanal 2021", "publisher": "Service des mines, Wandara"}
N_RECORDS = 60
COLUMNS = {
    "source_id": "code_site",
    "name": "nom",
    "longitude": "longitude",
    "latitude": "latitude",
    "observed_on": "date_visite",
    "date_precision": "precision_date",
    "kind": "type_visite",
    "location_method": "origine_localisation",
    "stated_region": "province",
    "mineral": "substance_1",
    "mineral_2": "substance_2",
    "legal_status": "statut_legal",
    "trade_status": "itsci",
}
N_REVIEWED = 40
# How often each annotator calls otherwise than the rules of judgement would, and how far a mark lies off (m).
SKILL = {"annotator1": (0.05, 15), "annotator2": (0.15, 40)}

Say = Callable[[str], None]


def load(say: Say) -> Project:
    """Make whatever of the demonstration is missing."""
    project, _ = Project.objects.get_or_create(slug=PROJECT["slug"], defaults=PROJECT)
    add_people(project, say)
    if is_complete(project):
        return project
    country = terrain.Country(seed=SEED, n_mines=N_MINES)
    bounds = country.region(*REGION_M)
    register = registers.draw_register(country, "cadastre", n_records=N_RECORDS, within_m=bounds, rates=RATES)
    with TemporaryDirectory() as folder:
        add_areas(project, country, Path(folder), say)
        add_register(project, register, Path(folder), say)
        add_imagery(project, country, _with_margin(bounds), Path(folder), say)
    audit = add_audit(project, say)
    add_reviews(audit, registers.truth_rows(register), say)
    return project


def is_complete(project: Project) -> bool:
    """Whether the last step was done: drawing the country again only to find that costs ten seconds."""
    return Review.objects.filter(unit__audit__project=project).count() >= N_REVIEWED * len(SKILL)


def _quietly(command: str, *arguments, **options) -> None:
    """Run one of our commands without its own report: the demonstration says a line of its own."""
    call_command(command, *arguments, stdout=io.StringIO(), stderr=io.StringIO(), **options)


def add_people(project: Project, say: Say) -> None:
    """The logins of ASM_DEMO_LOGINS (a JSON file with `logins`); without it, random passwords nobody knows."""
    logins = _logins()
    users = get_user_model()
    for username, (first_name, role) in PEOPLE.items():
        user, is_new = users.objects.get_or_create(username=username, defaults={"first_name": first_name})
        _set_password(user, logins.get(username), is_new)
        Membership.objects.get_or_create(project=project, user=user, defaults={"role": role})
        if is_new:
            say(f"{username} joined as {role}")
    superuser, is_new = users.objects.get_or_create(
        username="superuser", defaults={"is_staff": True, "is_superuser": True}
    )
    _set_password(superuser, logins.get("superuser"), is_new)


def _logins() -> dict[str, str]:
    path = os.environ.get("ASM_DEMO_LOGINS")
    return json.loads(Path(path).read_text()).get("logins", {}) if path else {}


def _set_password(user, password: str | None, is_new: bool) -> None:
    if password and not user.check_password(password):
        user.set_password(password)
        user.save(update_fields=["password"])
    elif is_new and not password:
        user.set_password(secrets.token_urlsafe(24))
        user.save(update_fields=["password"])


def add_areas(project: Project, country, folder: Path, say: Say) -> None:
    layers = [
        ("Provinces", "admin", 1, country.provinces),
        ("Districts", "admin", 2, country.districts),
        ("Industrial mines", "commercial", 1, country.commercial_areas),
        ("Protected areas", "protected", 1, country.protected_areas),
        ("Permits", "permit", 1, country.permit_areas),
    ]
    for name, kind, level, areas in layers:
        if project.reference_layers.filter(name=name, retired_at=None).exists():
            continue
        path = folder / f"{name}.geojson"
        path.write_text(json.dumps(terrain.feature_collection(areas)))
        _quietly("load_areas", path, project=project.slug, kind=kind, level=level, layer=name, name_field="name")
        say(f"{name}: {len(areas)}")


def add_register(project: Project, register, folder: Path, say: Say) -> None:
    if project.registers.filter(slug=REGISTER["slug"], editions__completed_at__isnull=False).exists():
        return
    path = folder / "cadastre.csv"
    path.write_bytes(registers.csv_bytes(registers.register_rows(register)))
    mapping = [f"{field}={column}" for field, column in COLUMNS.items()]
    told = {key: REGISTER[key] for key in ("name", "publisher")}
    _quietly("load_register", path, project=project.slug, register=REGISTER["slug"], map=mapping, **told)
    say(f"{REGISTER['name']}: {N_RECORDS} records")


def _with_margin(bounds: tuple[float, float, float, float]) -> tuple[float, float, float, float]:
    west, south, east, north = bounds
    return west - MARGIN_M, south - MARGIN_M, east + MARGIN_M, north + MARGIN_M


def add_imagery(project: Project, country, bounds, folder: Path, say: Say) -> None:
    for day in DATES:
        if Scene.objects.filter(source__project=project, captured_on=day).exists():
            continue
        say(f"drawing {SOURCE}, {day}")
        path = folder / f"{day}.tif"
        write_scene(path, country, bounds, RESOLUTION_M, day, painter=Painter(country, day))
        _quietly(
            "load_imagery",
            path,
            project=project.slug,
            name=SOURCE,
            acquired=day.isoformat(),
            attribution="Drawn for the demonstration; no real place",
        )


def add_audit(project: Project, say: Say) -> Audit:
    register = project.registers.get(slug=REGISTER["slug"])
    audit = Audit.objects.filter(project=project, slug="audit-1").first()
    if audit is None:
        audit = workflow.open_census(
            project=project, register=register, slug="audit-1", name="Audit 1", seed=SEED, reviews_per_unit=2
        )
        say(f"{audit.name}: {audit.units.count()} units")
    return audit


# ---- reviews, drawn from the truth through the rules of judgement, with the readers' mistakes ----


def add_reviews(audit: Audit, truth: list[dict], say: Say) -> None:
    """The first units of the queue, read by both annotators; each verdict's id is a function of what it judges."""
    expected = {row["source_id"]: row for row in truth}
    units = list(audit.units.select_related("site_record", "observation", "audit__project").order_by("pk"))
    random.Random(audit.seed).shuffle(units)  # noqa: S311  a drawing, not a secret
    n_new = 0
    for username in SKILL:
        annotator = get_user_model().objects.get(username=username)
        for unit in units[:N_REVIEWED]:
            n_new += _review(unit, annotator, expected[unit.site_record.source_id])
    if n_new:
        say(f"{n_new} reviews by two annotators")


def _review(unit: SampleUnit, annotator, expected: dict) -> bool:
    uuid = uuid5(NAMESPACE_URL, f"{unit.audit.slug} {unit.site_record.source_id} {annotator.username}")
    if Review.objects.filter(uuid=uuid).exists():
        return False
    try:
        workflow.record_review(unit, annotator, _verdict(unit, annotator.username, expected, uuid))
    except BadInput:  # the imagery does not carry this verdict: what an annotator then answers
        workflow.record_review(unit, annotator, _unsure(unit, uuid, UnsureReason.NO_IMAGE))
    except LabelsError:
        return False
    return True


def _verdict(unit: SampleUnit, username: str, expected: dict, uuid: UUID) -> workflow.GivenReview:
    shuffle = random.Random(f"{uuid}")  # noqa: S311
    wrong, blur_m = SKILL[username]
    verdict = expected["expected_verdict"]
    if shuffle.random() < wrong or verdict == Verdict.UNSURE:
        return _unsure(unit, uuid, UnsureReason.AMBIGUOUS_GROUND)
    mark = None
    if verdict == Verdict.MOVE:
        mine = (expected["expected_lon"], expected["expected_lat"])
        mark = place(mine, shuffle.gauss(0, blur_m), shuffle.gauss(0, blur_m))
    has_mine = verdict in (Verdict.CONFIRM, Verdict.MOVE)
    return workflow.GivenReview(
        uuid=uuid,
        verdict=verdict,
        reason="" if has_mine else RejectReason.NATURAL_GROUND,
        mark=mark,
        mine_type="artisanal" if has_mine else "",
        activity=("active" if expected["expected_active"] else "abandoned") if has_mine else "",
        signs=["bare_pit"] if has_mine else [],
        confidence=shuffle.choice([3, 4, 4, 5]),
        think_time_s=round(shuffle.lognormvariate(2.3, 0.5), 1),
        images=_looks(unit),
    )


def _unsure(unit: SampleUnit, uuid: UUID, reason: str) -> workflow.GivenReview:
    return workflow.GivenReview(
        uuid=uuid, verdict=Verdict.UNSURE, reason=reason, images=_looks(unit), think_time_s=21.0
    )


def _looks(unit: SampleUnit) -> list[workflow.GivenImage]:
    """Both dates, seen over the whole search disc at a zoom that shows a pit."""
    point: Point = unit.observation.point
    west, south, east, north = looking.search_disc(point, unit.search_radius_m).extent
    view = {"bounds": [west, south, east, north], "zoom": 16, "ms": 6000}
    scenes = Scene.objects.filter(source__project=unit.audit.project, footprint__intersects=point.buffer(0.02))
    return [
        workflow.GivenImage(
            pane=number, source=scene.source.uuid, captured_on=scene.captured_on, zoom=16, views=[view], dwell_ms=6000
        )
        for number, scene in enumerate(scenes.select_related("source"), start=1)
    ]
