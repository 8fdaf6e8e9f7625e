"""Every address of the product, asked by everybody: nobody, a stranger, and each of the four roles.

An address without a row here fails the test, so that none can be added without deciding who may open it.
"""

import json
from uuid import uuid4

import pytest
from django.contrib.auth import get_user_model
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver, reverse
from django.utils import timezone

from labels import access, workflow
from labels.models import DuplicatePair, Job, Membership, Upload
from labels.models.projects import Role
from labels.releases import making
from predictions.origins import origin_of
from tests.factories import make_edition, make_project, make_record, make_register, make_scene, make_source, square
from tests.predictions.figures import figures
from tests.predictions.maps import make_run

ROLES = [Role.ANNOTATOR, Role.ADJUDICATOR, Role.LEAD, Role.ADMIN]
OPEN = "open to everybody"
SIGNED_IN = "open to whoever is signed in"

# address -> who may open it (the action asked of labels.access), and by which method.
ROUTES = {
    "login": (OPEN, "GET"),
    "logout": (OPEN, "POST"),
    "join": (OPEN, "GET"),
    "set_language": (OPEN, "POST"),
    "password_change": (SIGNED_IN, "GET"),
    "api:api-root": (SIGNED_IN, "GET"),
    "api:openapi-json": (SIGNED_IN, "GET"),
    "api:session": (SIGNED_IN, "GET"),
    "api:hand_out": ("review", "POST"),
    "api:reviews": ("review", "POST"),
    "api:retract": ("review", "POST"),
    "api:lease": ("review", "POST"),
    "labels:projects": (SIGNED_IN, "GET"),
    "labels:overview": ("view_project", "GET"),
    "labels:audits": ("view_audit", "GET"),
    "labels:audit_new": ("open_audit", "GET"),
    "labels:audit": ("view_audit", "GET"),
    "labels:audit_seen": ("view_audit", "GET"),
    "labels:review": ("review", "GET"),
    "labels:my_reviews": ("view_own_reviews", "GET"),
    "labels:review_undo": ("review", "POST"),
    "labels:registers": ("view_register", "GET"),
    "labels:register_new": ("import_register", "GET"),
    "labels:register": ("view_register", "GET"),
    "labels:records": ("view_register", "GET"),
    "labels:register_map": ("view_coordinates", "GET"),
    "labels:duplicates": ("view_register", "GET"),
    "labels:duplicates_search": ("decide_duplicates", "POST"),
    "labels:duplicate_decide": ("decide_duplicates", "POST"),
    "labels:edition": ("view_register", "GET"),
    "labels:edition_withdraw": ("import_register", "POST"),
    "labels:refused_csv": ("view_register", "GET"),
    "labels:record": ("view_register", "GET"),
    "labels:mapping": ("import_register", "GET"),
    "labels:areas": ("view_areas", "GET"),
    "labels:area_outlines": ("view_areas", "GET"),
    "labels:area_layer_new": ("import_areas", "GET"),
    "labels:tile": ("view_tile", "GET"),
    "labels:imagery": ("view_imagery", "GET"),
    "labels:imagery_new": ("import_imagery", "GET"),
    "labels:imagery_register": ("import_imagery", "GET"),
    "labels:imagery_source": ("view_imagery", "GET"),
    "labels:imagery_source_edit": ("import_imagery", "GET"),
    "labels:imagery_evidence": ("view_imagery", "GET"),
    "labels:scene_remove": ("import_imagery", "POST"),
    "labels:imagery_policy": ("import_imagery", "GET"),
    "labels:provider_new": ("import_imagery", "GET"),
    "labels:provider": ("import_imagery", "GET"),
    "labels:provider_edit": ("import_imagery", "GET"),
    "labels:provider_try": ("import_imagery", "POST"),
    "labels:provider_refresh": ("import_imagery", "POST"),
    "labels:provider_fetch": ("import_imagery", "POST"),
    "labels:provider_remove": ("import_imagery", "POST"),
    "labels:reliability": ("view_reliability", "GET"),
    "labels:reliability_csv": ("view_reliability", "GET"),
    "labels:reliability_json": ("view_reliability", "GET"),
    "labels:releases": ("view_release", "GET"),
    "labels:release_new": ("make_release", "GET"),
    "labels:release": ("view_release", "GET"),
    "labels:release_card": ("view_release", "GET"),
    "labels:release_file": ("download_release", "POST"),
    "labels:release_file_new": ("make_release", "POST"),
    "labels:jobs": ("view_job", "GET"),
    "labels:job": ("view_job", "GET"),
    "labels:job_cancel": ("cancel_job", "POST"),
    "labels:job_retry": ("cancel_job", "POST"),
    "predictions:runs": ("view_run", "GET"),
    "predictions:run_new": ("start_run", "GET"),
    "predictions:run_compare": ("view_run", "GET"),
    "predictions:retraining_rule": ("start_run", "GET"),
    "predictions:run": ("view_run", "GET"),
    "predictions:run_card": ("view_run", "GET"),
    "predictions:run_elsewhere": ("start_run", "GET"),
    "predictions:run_elsewhere_cancel": ("start_run", "POST"),
    "predictions:run_choose": ("choose_run", "POST"),
    "predictions:run_cancel": ("start_run", "POST"),
    "predictions:run_retry": ("start_run", "POST"),
    "predictions:run_tile": ("view_run", "GET"),
    "predictions:run_difference_tile": ("view_run", "GET"),
    "predictions:run_map_file": ("download_map", "POST"),
    "predictions:feature_sets": ("view_run", "GET"),
    "predictions:feature_set_new": ("make_features", "GET"),
    "predictions:feature_set_import": ("make_features", "GET"),
    "predictions:feature_set": ("view_run", "GET"),
    "predictions:feature_set_cancel": ("make_features", "POST"),
    "predictions:feature_set_retry": ("make_features", "POST"),
    "predictions:feature_set_delete": ("make_features", "GET"),
    "labels:people": ("manage_people", "GET"),
    "labels:invite": ("manage_people", "POST"),
    "labels:membership": ("manage_people", "POST"),
}
# What an address must be asked with.
ASKED = {"labels:register_map": {"bbox": "-11,6,-10,7", "zoom": "8"}}
# Addresses of objects that belong to one person: to another member they do not exist.
OWN = {"labels:review_undo", "api:retract"}


def addresses(resolver=None, namespace="") -> set[str]:
    """The names of every address except Django's admin."""
    found = set()
    for entry in (resolver or get_resolver()).url_patterns:
        if isinstance(entry, URLResolver) and entry.namespace != "admin":
            found |= addresses(entry, f"{entry.namespace}:" if entry.namespace else namespace)
        elif isinstance(entry, URLPattern):
            found.add(namespace + (entry.name or str(entry.pattern)))
    return found


def test_every_address_is_decided():
    assert addresses() == set(ROUTES)


class World:
    """A project with one of everything."""

    def __init__(self):
        self.project = make_project()
        users = get_user_model()
        self.people = {role: users.objects.create_user(f"{role}-{self.project.pk}") for role in ROLES}
        memberships = [Membership.objects.create(project=self.project, user=u, role=r) for r, u in self.people.items()]
        self.stranger = users.objects.create_user(f"stranger-{self.project.pk}")
        admin = self.people[Role.ADMIN]
        register = make_register(self.project)
        make_edition(register)
        record = make_record(register)
        pair = DuplicatePair.objects.create(
            project=self.project, first_record=record, second_record=record, reason="repeated_id"
        )
        audit = workflow.open_census(project=self.project, register=register, slug="audit", name="Audit")
        self.unit = audit.units.get()
        verdict = workflow.GivenReview(uuid=uuid4(), verdict="unsure", reason="cloud")
        self.review, _ = workflow.record_review(self.unit, self.people[Role.ANNOTATOR], verdict)
        upload = Upload.objects.create(
            project=self.project, register=register, file_name="x.csv", n_bytes=1, uploaded_by=admin
        )
        job = Job.objects.create(
            project=self.project, kind=Job.Kind.FIND_DUPLICATES, state=Job.State.FAILED, finished_at=timezone.now()
        )
        release = making.make_release(self.project, [audit]).release
        making.file_of(release, "csv")
        source = make_source(self.project, evidence_name="letter.txt", evidence_path="evidence/letter")
        default_storage.save("evidence/letter", ContentFile(b"You may."))
        run = make_run(self.project, figures=figures())
        judging = Job.objects.create(
            project=self.project,
            kind=Job.Kind.JUDGE_ELSEWHERE,
            parameters={"here": str(run.uuid), "origin": origin_of(run)},
        )
        self.ids = {
            "run": run.number,
            "other": run.number,
            "feature_set": run.feature_set.slug,
            "form": "tif",
            "register": register.slug,
            "number": release.number,
            "record": record.uuid,
            "pair": pair.pk,
            "audit": audit.slug,
            "unit": self.unit.uuid,
            "review": self.review.uuid,
            "upload": upload.uuid,
            "job": job.uuid,
            "judging": judging.uuid,
            "membership": memberships[0].pk,
            "source": source.uuid,
            "scene": make_scene(source, footprint=square(20, 20, 0.2)).uuid,
            "provider": make_source(self.project, kind="xyz", address="https://tiles.example.com/{z}/{x}/{y}").uuid,
            "format": "csv",
            "token": "nothing",
            "z": 12,
            "x": 1926,
            "y": 1975,
        }

    def address(self, name: str, other: "World | None" = None) -> str:
        """The address of this project; with `other`, this project asked for the other's object."""
        ids = (other or self).ids | {"project": self.project.slug}
        wanted = ROUTE_PARAMETERS[name]
        if "provider" in name:
            ids["source"] = ids["provider"]
        return reverse(name, kwargs={key: ids[key] for key in wanted})

    def ask(self, client: Client, name: str, other: "World | None" = None):
        method = ROUTES[name][1]
        unit, review = (other or self).unit, {"uuid": str(uuid4())}
        body = review | {"unit": str(unit.uuid), "verdict": "unsure", "reason": "cloud", "n": 1, "decision": "keep"}
        client.raise_request_exception = False
        if name.startswith("api:") and method == "POST":
            return client.post(self.address(name, other), json.dumps(body), content_type="application/json")
        if name == "labels:duplicate_decide":
            return client.post(self.address(name, other), body)
        return getattr(client, method.lower())(self.address(name, other), ASKED.get(name))


def _parameters(resolver=None, namespace="", prefix=()) -> dict[str, list[str]]:
    found = {}
    for entry in (resolver or get_resolver()).url_patterns:
        names = [*prefix, *entry.pattern.converters]
        if isinstance(entry, URLResolver) and entry.namespace != "admin":
            found |= _parameters(entry, f"{entry.namespace}:" if entry.namespace else namespace, names)
        elif isinstance(entry, URLPattern):
            found[namespace + (entry.name or str(entry.pattern))] = names
    return found


ROUTE_PARAMETERS = _parameters()


@pytest.fixture
def world(db):
    return World()


def signed_in(user) -> Client:
    client = Client()
    client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    return client


def allowed(name: str, role: Role) -> tuple[int, ...]:
    """The statuses this role may be answered with at this address."""
    if not access.role_may(role, ROUTES[name][0]):
        # An address that names no project (a tile's) does not even say that it exists.
        return (404,) if name == "labels:tile" else (403,)
    if name in OWN and role != Role.ANNOTATOR:
        return (404,)
    return (200, 201, 204, 302, 409)


def test_the_walk(world):
    """Everybody at every address; every wrong answer is listed."""
    clients = {role: signed_in(person) for role, person in world.people.items()}
    stranger, wrong, n_asked = signed_in(world.stranger), [], 0

    def expect(who, name, answer, statuses):
        nonlocal n_asked
        n_asked += 1
        if answer.status_code not in statuses:
            wrong.append((who, name, answer.status_code, statuses))

    for name, (action, _) in sorted(ROUTES.items()):
        if name == "logout":
            continue  # it would sign everybody out; test_people has it
        machine = name.startswith("api:") or name == "labels:tile"
        expect(
            "nobody", name, world.ask(Client(), name), (200, 302, 404) if action == OPEN else (401 if machine else 302,)
        )
        if action in (OPEN, SIGNED_IN):
            expect("stranger", name, world.ask(stranger, name), (200, 302, 404))
            continue
        expect("stranger", name, world.ask(stranger, name), (404,))
        for role in ROLES:
            expect(role, name, world.ask(clients[role], name), allowed(name, role))
    assert wrong == []
    assert n_asked > 250


OBJECT_ROUTES = sorted(
    name
    for name, names in ROUTE_PARAMETERS.items()
    if "project" in names
    and {"record", "unit", "review", "upload", "job", "judging", "membership", "pair", "source", "feature_set"}
    & set(names)
)


def test_anothers_object_does_not_exist(world):
    """An admin of one project asks, under its own address, for an object of another project."""
    other, admin = World(), signed_in(world.people[Role.ADMIN])
    answers = {name: world.ask(admin, name, other).status_code for name in OBJECT_ROUTES}
    assert set(answers.values()) == {404}, answers


def test_a_verdict_on_anothers_unit_does_not_exist(world):
    other = World()
    answer = world.ask(signed_in(world.people[Role.ADMIN]), "api:reviews", other)
    assert answer.status_code == 404


def test_absent_and_forbidden_look_the_same(world):
    stranger = signed_in(world.stranger)
    foreign = stranger.get(reverse("labels:overview", args=[world.project.slug]))
    absent = stranger.get(reverse("labels:overview", args=["x" * len(world.project.slug)]))
    assert (foreign.status_code, len(foreign.content)) == (absent.status_code, len(absent.content))


def test_a_lost_role_closes_at_once(world):
    lead = world.people[Role.LEAD]
    client = signed_in(lead)
    address = reverse("labels:registers", args=[world.project.slug])
    assert client.get(address).status_code == 200
    Membership.objects.filter(user=lead).update(role=Role.ANNOTATOR)
    assert client.get(address).status_code == 403
    Membership.objects.filter(user=lead).delete()
    assert client.get(address).status_code == 404


def test_a_superuser_is_no_member(world):
    root = get_user_model().objects.create_superuser("root", password="x")
    assert signed_in(root).get(reverse("labels:overview", args=[world.project.slug])).status_code == 404


@pytest.mark.parametrize("role", ROLES)
def test_the_admin_is_for_superusers(world, role):
    answer = signed_in(world.people[role]).get(reverse("admin:index"))
    assert answer.status_code == 302
    assert reverse("admin:login") in answer.url


def test_nothing_changes_by_a_get(world):
    """What changes state refuses GET."""
    admin = signed_in(world.people[Role.ADMIN])
    for name, (_, method) in ROUTES.items():
        if method == "POST" and name not in ("logout", "set_language"):
            assert admin.get(world.address(name)).status_code == 405, name
