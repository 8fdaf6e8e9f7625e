"""A provider with 10 s of latency and 30 % of faults, asked through gunicorn: local tiles are served meanwhile."""

import random
import threading
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor, as_completed

import pytest
from django.conf import settings as django_settings
from django.test import Client

from labels.imagery.providers import breaker, listing
from labels.imagery.scenes import images_at
from tests.browser.conftest import POINT, Web, _wait_until_quiet
from tests.factories import make_provider
from tests.loopback import serving

N_SLOW, N_LOCAL = 24, 12


@pytest.fixture
def server(settings):
    breaker.forget_all()
    with serving() as server:
        settings.IMAGERY_ALLOWED_HOSTS = [server.authority]
        yield server


@pytest.fixture
def web(transactional_db, django_db_setup, static_root, media, server):
    started = Web(static_root, media)
    started.environment |= {"IMAGERY_ALLOWED_HOSTS": server.authority}
    started.start()
    yield started
    started.kill()
    _wait_until_quiet()


def test_local_tiles_are_served_while_a_provider_hangs(web, server, audit, annotator):
    project, stop, chance = audit.project, threading.Event(), random.Random(1)
    provider = make_provider(project, f"{server.url}/{{z}}/{{x}}/{{y}}", name="Abroad")
    listing.refresh(provider)
    server.answer = lambda handler: handler.send(502) if chance.random() < 0.3 else stop.wait(10)
    images = {image["name"]: image for image in images_at(project, *POINT, 500)}
    client = Client()
    client.force_login(annotator, backend="django.contrib.auth.backends.ModelBackend")
    cookie = client.cookies[django_settings.SESSION_COOKIE_NAME]

    def ask(name: str, number: int):
        address = images[name]["tiles"].format(z=14, x=7704 + number % 4, y=7898 + number // 4)
        request = urllib.request.Request(web.url + address, headers={"Cookie": f"{cookie.key}={cookie.value}"})
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return name, answer.status, answer.headers["X-Imagery"], answer.headers["Retry-After"]
        except urllib.error.HTTPError as error:
            return name, error.code, error.headers["X-Imagery"], error.headers["Retry-After"]

    with ThreadPoolExecutor(N_SLOW + N_LOCAL) as threads:
        slow = [threads.submit(ask, "Abroad", number) for number in range(N_SLOW)]
        local = [threads.submit(ask, "Orbita", number) for number in range(N_LOCAL)]
        answers = [future.result() for future in as_completed(slow + local)]
    stop.set()
    of = {name: [answer for answer in answers if answer[0] == name] for name in images}
    assert {answer[1:3] for answer in of["Abroad"]} == {(503, "unavailable")}
    assert all(int(answer[3]) >= 1 for answer in of["Abroad"])
    assert {answer[1] for answer in of["Orbita"]} == {200}
    assert {answer[2] for answer in of["Orbita"]} <= {"full", "partial", "none"}
    last_slow = max(k for k, answer in enumerate(answers) if answer[0] == "Abroad")
    n_before = sum(answer[0] == "Orbita" for answer in answers[:last_slow])
    assert n_before >= N_LOCAL / 2  # they did not wait for those that hung
    assert len(server.asked) < N_SLOW
