"""Tiles of a real gunicorn with two processes: open while one may look, closed ten seconds after at most."""

import http.client
import subprocess
import sys
import time

import pytest
from django.contrib.sessions.models import Session
from django.test import Client
from django.urls import reverse

from labels import geo
from labels.models import ImagerySource, Membership
from tests.browser.conftest import POINT, ROOT, Web

CLOSED = (401, 404)


class Looker:
    """A browser that looks at one tile, over and over."""

    def __init__(self, port: int, client: Client, path: str):
        self.port, self.client, self.path = port, client, path
        self.cookies = {name: morsel.value for name, morsel in client.cookies.items()}

    def status(self) -> int:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        cookie = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        connection.request("GET", self.path, headers={"Cookie": cookie, "Accept": "image/webp,*/*"})
        response = connection.getresponse()
        response.read()
        if given := response.getheader("Set-Cookie"):
            name, _, value = given.partition(";")[0].partition("=")
            self.cookies[name] = value
        connection.close()
        return response.status


@pytest.fixture(scope="module")
def two_processes(django_db_setup, static_root, media):
    server = Web(static_root, media)
    command = [sys.executable, "-m", "gunicorn", "asm_audit.wsgi:application", "--worker-class", "gthread"]
    command += ["--workers", "2", "--threads", "4", "--bind", f"127.0.0.1:{server.port}", "--log-level", "error"]
    server.process = subprocess.Popen(command, cwd=ROOT, env=server.environment, start_new_session=True)
    for _ in range(300):
        try:
            http.client.HTTPConnection("127.0.0.1", server.port, timeout=5).connect()
            break
        except OSError:
            time.sleep(0.1)
    yield server
    server.kill()


@pytest.fixture
def lookers(transactional_db, two_processes, imagery, client_of, annotator, second_annotator, lead) -> list[Looker]:
    """Three people, each with a browser at the same tile."""
    imagery.refresh_from_db()
    path = reverse("labels:tile", args=[imagery.uuid, *geo.tile_of(*POINT, 15)], query={"v": imagery.revision})
    lookers = [Looker(two_processes.port, client_of(one), path) for one in (annotator, second_annotator, lead)]
    for looker in lookers:
        assert [looker.status() for _ in range(20)] == [200] * 20
    return lookers


def closed_within_ten_seconds(lookers: list[Looker]) -> bool:
    ended = time.monotonic()
    while time.monotonic() - ended < 10:
        for looker in lookers:
            looker.status()
        time.sleep(0.2)
    return all(looker.status() in CLOSED for looker in lookers for _ in range(20))


def test_both_processes_close_to_a_person_within_ten_seconds(lookers, second_annotator):
    """Signed out in another process, so that the browser keeps its cookies; without a role; and without a session."""
    signed_out, without_role, without_session = lookers
    signed_out.client.post(reverse("logout"))
    Membership.objects.filter(user=second_annotator).delete()
    Session.objects.filter(pk=without_session.client.session.session_key).delete()
    assert closed_within_ten_seconds([signed_out, without_role, without_session])


def test_both_processes_close_a_source_within_ten_seconds(lookers):
    ImagerySource.objects.update(may_view=False)
    assert closed_within_ten_seconds(lookers)
