"""No page asks anybody but our own server, and the content security policy holds on every page, the admin included."""

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.contrib.auth import get_user_model
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse

from labels import workflow
from labels.ingest import uploads
from labels.models import Job
from labels.releases import making
from tests.browser.conftest import PASSWORD
from tests.factories import make_provider
from tests.labels.test_record_review import given


@pytest.fixture
def pages(project, audit, annotator, admin) -> list[str]:
    """The address of every page of a project that holds one of everything."""
    units = list(audit.units.select_related("observation", "audit__project", "site_record"))
    for unit in units[:4]:
        workflow.record_review(unit, annotator, given())
    release = making.make_release(project, [audit]).release
    making.file_of(release, "csv")
    register = audit.register
    job = Job.objects.create(project=project, kind=Job.Kind.LOAD_AREAS, subject="provinces")
    slug = project.slug
    record = units[0].site_record
    file = SimpleUploadedFile("sites.csv", b"code,lon,lat,substance\nA1,-10.7,6.4,Or\nA2,-10.6,91,Or\n")
    upload = uploads.store(file, project=project, user=admin, register=register)
    provider = make_provider(project, "https://tiles.example.com/{z}/{x}/{y}")
    provider.dates.create(key="latest")
    named = {
        "overview": [],
        "audits": [],
        "audit_new": [],
        "audit": [audit.slug],
        "review": [audit.slug],
        "my_reviews": [audit.slug],
        "registers": [],
        "register_new": [],
        "register": [register.slug],
        "records": [register.slug],
        "duplicates": [],
        "edition": [register.slug, 1],
        "record": [record.uuid],
        "mapping": [upload.uuid],
        "areas": [],
        "area_layer_new": [],
        "imagery": [],
        "imagery_new": [],
        "imagery_policy": [],
        "provider_new": [],
        "provider": [provider.uuid],
        "provider_edit": [provider.uuid],
        "reliability": [],
        "releases": [],
        "release_new": [],
        "release": [release.number],
        "jobs": [],
        "job": [job.uuid],
        "people": [],
    }
    return [
        reverse("labels:projects"),
        *(reverse(f"labels:{name}", args=[slug, *rest]) for name, rest in named.items()),
    ]


def watched(page) -> None:
    assert page.foreign == []
    assert page.violations == []
    assert page.errors == []


def test_no_request_leaves_our_origin(open_page, pages, admin):
    page = open_page(admin)
    for address in pages:
        response = page.goto(address)
        page.wait_for_load_state("networkidle")
        policy = response.headers["content-security-policy"]
        assert "default-src 'none'" in policy and "unsafe" not in policy, address
        assert response.headers["x-frame-options"] == "DENY"
    watched(page)


def test_nor_from_the_admin(open_page, project, audit):
    root = get_user_model().objects.create_superuser("root", password=PASSWORD)
    page = open_page(root)
    for name in ("project", "register", "imagerysource", "audit", "job", "scene", "release", "accessrecord"):
        page.goto(reverse(f"admin:labels_{name}_changelist"))
        page.wait_for_load_state("networkidle")
    for row in (project, audit, audit.register):
        page.goto(reverse(f"admin:labels_{row._meta.model_name}_change", args=[row.pk]))
        page.wait_for_load_state("networkidle")
    watched(page)


def test_pages_are_accessible_and_fit_a_phone(open_page, pages, admin):
    """axe finds nothing serious on any page, and no page is wider than a phone."""
    page = open_page(admin, width=390, height=844)
    serious, wide = [], []
    for address in pages:
        page.goto(address)
        page.wait_for_load_state("networkidle")
        if page.evaluate("document.documentElement.scrollWidth") > 390:
            wide.append(address)
        for violation in Axe().run(page).response["violations"]:
            if violation["impact"] in ("serious", "critical"):
                serious.append(f"{address} {violation['id']} {violation['nodes'][0]['html'][:200]}")
    assert not serious, "\n".join(serious)
    assert not wide, "\n".join(wide)
