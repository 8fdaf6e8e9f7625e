"""With local imagery only, no request leaves the server or the browser; through our server, only the server asks.

The web process reports every connection it tries (a hook of the interpreter, set before our code is loaded) and is
refused all but unix sockets and, where a test says so, the provider. Chromium's own log tells what the browser asked.
"""

import json
from pathlib import Path

import pytest
from django.urls import reverse

from labels.imagery.providers import breaker, listing
from labels.imagery.scenes import images_at
from labels.models import Project
from tests.browser.conftest import POINT, Web, _wait_until_quiet
from tests.factories import make_provider
from tests.loopback import picture, serving

WATCHER = """
import os, socket, sys

log = os.open({log!r}, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
allowed = {allowed!r}


def watch(event, arguments):
    if event in ("socket.connect", "socket.sendto", "socket.sendmsg"):
        address = arguments[1]
        if arguments[0].family == socket.AF_UNIX:
            return
        os.write(log, (event + " " + str(address) + "\\n").encode())
        if address not in allowed:
            raise OSError("no connection leaves this test")
    elif event in ("socket.getaddrinfo", "socket.gethostbyname"):
        os.write(log, (event + " " + str(arguments[0]) + "\\n").encode())


sys.addaudithook(watch)
"""


@pytest.fixture
def server(settings):
    breaker.forget_all()
    with serving() as server:
        settings.IMAGERY_ALLOWED_HOSTS = [server.authority]
        yield server


@pytest.fixture
def web(transactional_db, django_db_setup, static_root, media, server, tmp_path):
    """A web process whose every connection is written down."""
    started = Web(static_root, media)
    started.log = tmp_path / "connections.log"
    told = WATCHER.format(log=str(started.log), allowed=[server.server_address])
    (tmp_path / "sitecustomize.py").write_text(told)
    started.environment |= {"PYTHONPATH": str(tmp_path), "IMAGERY_ALLOWED_HOSTS": server.authority}
    started.start()
    yield started
    started.kill()
    _wait_until_quiet()


def connections(web) -> list[str]:
    return Path(web.log).read_text().splitlines()


@pytest.fixture
def provider(project, server):
    """A provider that was asked once, when that was allowed."""
    told = {"tiles": [f"{server.url}/{{date}}/{{z}}/{{x}}/{{y}}.jpg?k={{key}}"], "dates": ["2018-01-01", "2025-01-01"]}

    def answer(handler):
        if handler.path.startswith("/?"):
            handler.send(content=json.dumps(told).encode(), kind="application/json")
        else:
            handler.send(content=picture())

    server.answer = answer
    source = make_provider(project, f"{server.url}/?k={{key}}", kind="tilejson", key="s3cret", name="Abroad")
    listing.refresh(source)
    server.asked.clear()
    return source


def policy(project, value: str) -> None:
    Project.objects.filter(pk=project.pk).update(imagery_policy=value)


def tiles_of(provider) -> list[str]:
    """The addresses a browser would ask, whatever the policy."""
    base = f"/imagery/{provider.uuid}/14/7705/7900"
    return [f"{base}?image={row.uuid}&v={provider.revision}" for row in provider.dates.all()]


def asked(page, address: str) -> list:
    script = (
        "async (url) => { const answer = await fetch(url); return [answer.status, answer.headers.get('X-Imagery')] }"
    )
    return page.evaluate(script, address)


def test_local_only_nothing_leaves_server_or_browser(open_page, web, server, provider, audit, annotator, admin):
    project = audit.project
    policy(project, "local")
    page = open_page(annotator)
    page.goto(f"/p/{project.slug}/audits/{audit.slug}/review/")
    page.wait_for_load_state("networkidle")
    assert "Abroad" not in page.content()
    assert [asked(page, address)[0] for address in tiles_of(provider)] == [404, 404]
    page.keyboard.press("d")
    page.wait_for_timeout(1000)
    office = open_page(admin)
    for name, rest in (("imagery", []), ("provider_new", []), ("provider", [provider.uuid]), ("imagery_policy", [])):
        office.goto(reverse(f"labels:{name}", args=[project.slug, *rest]))
        office.wait_for_load_state("networkidle")
    for name in ("provider_try", "provider_refresh"):  # buttons are off; somebody sends the form all the same
        office.goto(reverse("labels:provider", args=[project.slug, provider.uuid]))
        address = reverse(f"labels:{name}", args=[project.slug, provider.uuid])
        script = "(to) => { const form = document.querySelector('main form'); form.action = to; form.submit() }"
        with office.expect_navigation():
            office.evaluate(script, address)
        assert "local imagery only" in office.content()
    assert page.foreign == [] and office.foreign == []
    assert connections(web) == []
    assert server.asked == []


def test_through_our_server_the_provider_learns_nothing_of_people(open_page, web, server, provider, audit, annotator):
    project = audit.project
    project.refresh_from_db()
    shown = [image for image in images_at(project, *POINT, 500) if image["name"] == "Abroad"]
    assert [image["captured_on"] for image in shown] == ["2018-01-01", "2025-01-01"]
    page = open_page(annotator, locale="fr-FR", extra_http_headers={"X-Forwarded-For": "203.0.113.9"})
    page.goto(f"/p/{project.slug}/audits/{audit.slug}/review/")
    page.wait_for_load_state("networkidle")
    assert [asked(page, address) for address in tiles_of(provider)] == [[200, "full"], [200, "full"]]
    assert page.foreign == [] and page.violations == []
    assert server.asked
    for path, headers in server.asked:
        assert set(headers) == {"Host", "User-Agent", "Accept", "Accept-Encoding", "Connection"}
        assert path.endswith("?k=s3cret")
        told = json.dumps([path, headers])
        assert "203.0.113.9" not in told and "alma" not in told and "fr" not in headers["Accept"]
    assert set(connections(web)) == {f"socket.connect {server.server_address}", "socket.getaddrinfo 127.0.0.1"}
    assert "s3cret" not in page.content()


def test_the_watcher_sees_a_connection(web, server, provider, open_page, admin, project):
    """The test would notice: the same page, allowed to ask, is written down."""
    page = open_page(admin)
    page.goto(reverse("labels:provider", args=[project.slug, provider.uuid]))
    with page.expect_navigation():
        page.get_by_role("button", name="Refresh its dates").click()
    assert f"socket.connect {server.server_address}" in connections(web)
