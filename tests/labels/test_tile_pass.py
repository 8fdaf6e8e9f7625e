"""The tile pass: tiles without a query while a decision is fresh, and closed within ten seconds of what ends it."""

import logging
from datetime import timedelta
from io import BytesIO
from types import SimpleNamespace

import numpy as np
import pytest
from django.contrib.sessions.models import Session
from django.core.signals import request_started
from django.db import close_old_connections
from django.http.cookie import parse_cookie
from django.urls import reverse
from django.utils import timezone

from asm_audit.wsgi import application
from labels import geo
from labels.imagery import front, index, tile_pass, tiles
from labels.imagery.providers import breaker, slots
from labels.models import ImagerySource, Membership, Project, ProviderDate
from labels.models.projects import ImageryPolicy
from tests.factories import make_project, make_scene, make_source, square
from tests.labels.test_tile_blocks import colour  # noqa: F401  a prepared picture
from tests.loopback import picture, serving
from tests.rasters import LAT, LON

IMAGE = "image/avif,image/webp,*/*"


class Browser:
    """What a browser sends to the server's first layer, with the cookies it was given."""

    def __init__(self, client):
        self.cookies = {name: morsel.value for name, morsel in client.cookies.items()}

    def get(self, path: str, *, method: str = "GET", **environ) -> SimpleNamespace:
        path, _, query = path.partition("?")
        base = {"REQUEST_METHOD": method, "PATH_INFO": path, "QUERY_STRING": query, "SERVER_NAME": "127.0.0.1"}
        base |= {"SERVER_PORT": "80", "HTTP_HOST": "127.0.0.1", "wsgi.url_scheme": "http", "wsgi.input": BytesIO()}
        base |= {"HTTP_ACCEPT": IMAGE, "HTTP_COOKIE": "; ".join(f"{k}={v}" for k, v in self.cookies.items())}
        answer = SimpleNamespace()

        def start_response(status, headers, exc_info=None):
            answer.status, answer.headers = int(status.split()[0]), {name.lower(): value for name, value in headers}
            answer.given = [value.strip() for name, value in headers if name.lower() == "set-cookie"]

        request_started.disconnect(
            close_old_connections
        )  # as Django's test client: it would end the test's transaction
        try:
            answer.content = b"".join(application(base | environ, start_response))
        finally:
            request_started.connect(close_old_connections)
        for given in answer.given:
            name, value = next(iter(parse_cookie(given.partition(";")[0]).items()))
            self.cookies[name] = value
        return answer


@pytest.fixture
def clock(monkeypatch):
    """The clock that decisions and the index live by; what is kept from other tests is forgotten."""
    now = SimpleNamespace(s=1000.0)
    for module in (tile_pass, index):
        monkeypatch.setattr(module, "clock", lambda: now.s)
    index._index._known.clear()
    tile_pass.decisions._until.clear()
    return now


@pytest.fixture
def source(project, colour, settings) -> ImagerySource:  # noqa: F811
    settings.MEDIA_ROOT = str(colour.path.parent)
    source = make_source(project)
    make_scene(source, footprint=square(LON, LAT - 0.03, 0.06), path=colour.path.name)
    source.refresh_from_db()
    return source


@pytest.fixture
def path(source, colour) -> str:  # noqa: F811
    return address(source, colour.full, v=source.revision)


@pytest.fixture
def browser(client_of, annotator, clock) -> Browser:
    return Browser(client_of(annotator))


def address(source, place, **query) -> str:
    return reverse("labels:tile", args=[source.uuid, *place], query=query)


def test_the_first_tile_brings_the_pass_and_the_next_costs_no_query(browser, path, django_assert_num_queries):
    with django_assert_num_queries(5):  # session, person, role with source, scenes, the session's end
        first = browser.get(path)
    assert (first.status, first.headers["x-imagery"]) == (200, "full")
    (given,) = first.given
    assert (
        given.startswith("tiles=") and "HttpOnly" in given and "Path=/imagery/" in given and "SameSite=Strict" in given
    )
    with django_assert_num_queries(0):
        again = browser.get(path)
    assert (again.status, again.content, again.given) == (200, first.content, [])


def test_it_is_secure_where_people_come_over_tls(browser, path, settings):
    settings.SESSION_COOKIE_SECURE, settings.SECURE_PROXY_SSL_HEADER = True, ("HTTP_X_FORWARDED_PROTO", "https")
    (given,) = browser.get(path, HTTP_X_FORWARDED_PROTO="https").given
    assert given.startswith("__Secure-tiles=") and "; Secure" in given


def test_who_asks_is_looked_up_again_every_few_seconds(browser, path, clock, django_assert_num_queries):
    browser.get(path)
    clock.s += tile_pass.KEPT_S - 0.1
    with django_assert_num_queries(0):
        assert browser.get(path).status == 200
    clock.s += 0.2
    with django_assert_num_queries(3):
        assert browser.get(path).status == 200
    with django_assert_num_queries(0):
        assert browser.get(path).status == 200


def lose_role(annotator, source):
    Membership.objects.filter(user=annotator).delete()


def deactivate(annotator, source):
    annotator.is_active = False
    annotator.save()


def change_password(annotator, source):
    annotator.set_password("another long pass phrase")
    annotator.save()


def end_session(annotator, source):
    Session.objects.all().delete()


def let_session_expire(annotator, source):
    Session.objects.update(expire_date=timezone.now() - timedelta(seconds=1))


def forbid_viewing(annotator, source):
    ImagerySource.objects.update(may_view=False)


def let_rights_expire(annotator, source):
    ImagerySource.objects.update(rights_expire_on=timezone.now().date() - timedelta(days=1))


def delete_source(annotator, source):
    source.delete()


@pytest.mark.parametrize(
    "end",
    [
        lose_role, deactivate, change_password, end_session, let_session_expire, forbid_viewing, let_rights_expire,
        delete_source,
    ],
)  # fmt: skip
def test_tiles_close_within_ten_seconds_of(end, browser, path, clock, annotator, source):
    assert browser.get(path).status == browser.get(path).status == 200
    end(annotator, source)
    clock.s += 10
    assert browser.get(path).status in (401, 404)
    assert browser.get(path, HTTP_IF_NONE_MATCH="*").status in (401, 404)


def test_a_provider_closes_when_the_policy_becomes_local_only(browser, clock, provider_path):
    assert browser.get(provider_path).status == browser.get(provider_path).status == 200
    Project.objects.update(imagery_policy=ImageryPolicy.LOCAL)
    clock.s += 10
    assert browser.get(provider_path).status == 404


def test_rights_that_end_with_the_day_end_at_midnight(browser, path, source, monkeypatch):
    ImagerySource.objects.update(rights_expire_on=timezone.now().date())
    assert browser.get(path).status == browser.get(path).status == 200
    tomorrow = timezone.now().date() + timedelta(days=1)
    monkeypatch.setattr("labels.imagery.rights.today", lambda: tomorrow)
    assert browser.get(path).status == 404


def test_signing_out_takes_the_pass_back_at_once(client_of, annotator, path, clock):
    client = client_of(annotator)
    browser = Browser(client)
    browser.get(path)
    response = client.post(reverse("logout"))
    gone = response.cookies["tiles"]
    assert (gone.value, gone["path"], gone["max-age"]) == ("", "/imagery/", 0)
    assert browser.get(path).status == 401


def test_a_pass_is_worth_nothing_with_another_session(client_of, annotator, lead, stranger, path, clock):
    mine = Browser(client_of(annotator))
    mine.get(path)
    for other in (lead, stranger, annotator):
        theirs = Browser(client_of(other))
        held = mine.cookies["tiles"]
        assert tile_pass.read(held, theirs.cookies["session"]) is None
    thief = Browser(client_of(stranger))
    thief.cookies["tiles"] = mine.cookies["tiles"]
    assert thief.get(path).status == 404
    del thief.cookies["session"]
    assert thief.get(path).status == 401


@pytest.mark.parametrize("change", [lambda v: v[:-1], lambda v: "9" + v, lambda v: "", lambda v: "a-b-c-d:x" * 50])
def test_a_forged_pass_is_no_pass(change, browser, path, django_assert_num_queries):
    browser.get(path)
    browser.cookies["tiles"] = change(browser.cookies["tiles"])
    with django_assert_num_queries(4):  # and the session's end, for a new pass
        assert browser.get(path).status == 200


def test_a_pass_ends_with_its_session(browser, path, monkeypatch, source):
    Session.objects.update(expire_date=timezone.now() + timedelta(minutes=5))
    browser.get(path)
    value, session = browser.cookies["tiles"], browser.cookies["session"]
    assert tile_pass.read(value, session).expires <= timezone.now().timestamp() + 300
    now = timezone.now().timestamp()
    monkeypatch.setattr(tile_pass, "wall_clock", lambda: now + 301)
    assert tile_pass.read(value, session) is None


def test_one_pass_serves_two_projects(client_of, annotator, path, clock, colour, source, django_assert_num_queries):  # noqa: F811
    other = make_source(make_project("other"))
    make_scene(other, footprint=square(LON, LAT - 0.03, 0.06), path=colour.path.name)
    Membership.objects.create(project=other.project, user=annotator, role="annotator")
    browser = Browser(client_of(annotator))
    for each in (path, address(other, colour.full)):
        assert browser.get(each).status == 200
    with django_assert_num_queries(0):
        assert browser.get(path).status == browser.get(address(other, colour.full)).status == 200
    Membership.objects.filter(project=other.project).delete()
    clock.s += 10
    assert (browser.get(address(other, colour.full)).status, browser.get(path).status) == (404, 200)


def test_a_newer_revision_is_looked_up_at_once(browser, path, source, colour, django_assert_num_queries):  # noqa: F811
    browser.get(path)
    make_scene(source, footprint=square(LON + 3, LAT, 0.06), path="imagery/other.tif")
    source.refresh_from_db()
    with django_assert_num_queries(4):
        newer = browser.get(address(source, colour.full, v=source.revision))
    assert newer.headers["cache-control"] == "private, max-age=86400"
    old = browser.get(path)
    assert (old.headers["cache-control"], old.headers["etag"]) == ("private, no-cache", newer.headers["etag"])


def test_unchanged_is_said_without_reading(browser, path, monkeypatch):
    first = browser.get(path)
    monkeypatch.setattr(tiles, "render", None)
    again = browser.get(path, HTTP_IF_NONE_MATCH=f'W/"x", W/{first.headers["etag"]}')
    assert (again.status, again.content, "content-type" in again.headers) == (304, b"", False)
    assert again.headers["cache-control"] == first.headers["cache-control"]


def test_what_may_not_be_kept_is_not(browser, path):
    ImagerySource.objects.update(may_cache=False)
    for _ in range(2):
        answer = browser.get(path, HTTP_IF_NONE_MATCH="*")
        assert (answer.status, answer.headers["cache-control"]) == (200, "private, no-store")
        assert "etag" not in answer.headers


def test_both_ways_say_the_same(browser, path):
    """What the view and the layer before it answer differs in nothing a browser acts on."""
    first, second = browser.get(path), browser.get(path)
    for name in ("content-type", "cache-control", "etag", "x-imagery", "x-content-type-options", "referrer-policy",
                 "cross-origin-opener-policy", "x-frame-options", "content-length"):  # fmt: skip
        assert first.headers[name] == second.headers[name], name
    assert "default-src 'none'" in second.headers["content-security-policy"]
    assert "Cookie" in second.headers["vary"]
    head = browser.get(path, method="HEAD")
    assert (head.status, head.content, head.headers["content-length"]) == (200, b"", str(len(second.content)))


def test_transport_security_is_said_over_tls(browser, path, settings):
    settings.SECURE_HSTS_SECONDS, settings.SECURE_HSTS_INCLUDE_SUBDOMAINS = 3600, True
    browser.get(path)
    assert "strict-transport-security" not in browser.get(path).headers
    secure = browser.get(path, **{"wsgi.url_scheme": "https"})
    assert secure.headers["strict-transport-security"].startswith("max-age=3600; includeSubDomains")


@pytest.mark.parametrize(
    ("environ", "status"),
    [
        ({"HTTP_HOST": "evil.example"}, 400),
        ({"HTTP_HOST": "127.0.0.1:80:80"}, 400),
        ({"HTTP_HOST": ""}, 400),
        ({"method": "POST"}, 403),  # no token
        ({"method": "DELETE"}, 403),
    ],
)
def test_everything_odd_is_left_to_django(environ, status, browser, path):
    browser.get(path)
    assert browser.get(path, **environ).status == status


def test_plain_lines_are_left_to_be_redirected_where_tls_is_wanted(settings):
    settings.SECURE_SSL_REDIRECT = True
    assert front._is_ours({"HTTP_HOST": "127.0.0.1", "wsgi.url_scheme": "http"}) is False
    assert front._is_ours({"HTTP_HOST": "127.0.0.1", "wsgi.url_scheme": "https"}) is True
    settings.SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    assert (
        front._is_ours({"HTTP_HOST": "127.0.0.1", "wsgi.url_scheme": "https", "HTTP_X_FORWARDED_PROTO": "http"})
        is False
    )


def test_nothing_about_a_tile_is_logged(browser, path, caplog):
    caplog.set_level(logging.DEBUG)
    browser.get(path)
    caplog.clear()
    browser.get(path)
    assert not [record for record in caplog.records if "/imagery/" in record.getMessage()]


def test_decisions_and_sources_are_bounded(browser, path, source, monkeypatch):
    monkeypatch.setattr(tile_pass, "MAX_DECISIONS", 3)
    monkeypatch.setattr(index, "MAX_SOURCES", 2)
    request = SimpleNamespace(user=SimpleNamespace(pk=1), session=SimpleNamespace(session_key="x" * 32))
    for project in range(10):
        tile_pass.decisions.remember(request, project, 0)
        index.keep(make_source(source.project), 0)
    assert (len(tile_pass.decisions._until), len(index._index._known)) == (3, 2)


def test_twenty_thousand_scenes_are_found_as_by_looking_at_each():
    draw = np.random.default_rng(3)
    corners = np.stack([draw.uniform(-11, -10, 20_000), draw.uniform(6, 7, 20_000)])
    boxes = np.concatenate([corners, corners + draw.uniform(0.001, 0.05, 20_000)])
    layer = index._Layer([index._Entry(str(k), "", "", "") for k in range(20_000)], boxes)
    for z in (3, 9, 14, 18):
        place = geo.tile_of(-10.4, 6.3, z)
        expected = [layer.entries[k] for k in layer._hits(index.scenes.box_around(*place))]
        assert layer.over(*place) == expected
        assert layer.over(*place) == expected
    assert expected


def test_a_source_too_large_to_keep_is_asked_of_the_database(browser, path, monkeypatch, django_assert_num_queries):
    monkeypatch.setattr(index, "MAX_SCENES", 0)
    assert browser.get(path).headers["x-imagery"] == "full"
    with django_assert_num_queries(4):
        assert browser.get(path).headers["x-imagery"] == "full"


# --- providers -------------------------------------------------------------------------------------------------------


@pytest.fixture
def server(settings):
    breaker.forget_all()
    with serving() as server:
        settings.IMAGERY_ALLOWED_HOSTS = [server.authority]
        yield server


@pytest.fixture
def provider_path(project, colour, server) -> str:  # noqa: F811
    Project.objects.update(imagery_policy=ImageryPolicy.THROUGH_SERVER)
    source = make_source(project, kind="xyz", address=f"{server.url}/{{z}}/{{x}}/{{y}}")
    day = ProviderDate.objects.create(source=source, key="2020")
    return address(source, colour.full, image=day.uuid)


def test_a_providers_tile_comes_through(browser, provider_path):
    for _ in range(2):
        answer = browser.get(provider_path)
        assert (answer.status, answer.content, answer.headers["x-imagery"]) == (200, picture(), "full")
    assert browser.get(provider_path, HTTP_IF_NONE_MATCH=answer.headers["etag"]).status == 304


def test_a_failing_provider_is_unavailable_for_a_while(browser, provider_path, server):
    server.answer = lambda handler: handler.send(429, Retry_After="7")
    for _ in range(2):
        answer = browser.get(provider_path)
        assert (answer.status, answer.headers["x-imagery"], answer.headers["retry-after"]) == (503, "unavailable", "7")
        assert answer.headers["cache-control"] == "no-store"


def test_a_provider_without_an_image_is_missing(browser, provider_path, server):
    server.answer = lambda handler: handler.send(404)
    assert (browser.get(provider_path).status, browser.get(provider_path).headers["x-imagery"]) == (404, "missing")
    assert browser.get(provider_path.partition("image=")[0]).status == 404


def test_a_tile_that_took_long_is_not_sent_after_the_role_was_lost(browser, clock, provider_path, server):
    assert browser.get(provider_path).status == 200
    place = provider_path.replace(provider_path.split("?")[0].rsplit("/", 1)[1] + "?", "0?")

    def answer(handler):
        clock.s += 9
        handler.send(content=picture())

    Membership.objects.all().delete()  # a moment later: the decision is still believed
    server.answer = answer
    assert browser.get(place).status == 404


def test_a_slow_provider_never_takes_every_thread(browser, provider_path, settings):
    settings.PROVIDER_THREADS = 1
    with slots.slot("another provider"):
        answer = browser.get(provider_path)
        assert (answer.status, answer.headers["x-imagery"]) == (503, "unavailable")
    assert browser.get(provider_path).status == 200
