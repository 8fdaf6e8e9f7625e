"""A real Chromium against a real gunicorn on the test database; nothing is mocked and nothing leaves the machine."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from datetime import date
from pathlib import Path

import numpy as np
import pytest
from django.conf import settings as django_settings
from django.db import connection
from django.test import Client
from playwright.sync_api import expect, sync_playwright

from labels import workflow
from labels.imagery import sandbox
from tests import rasters
from tests.factories import make_record, make_register, make_scene, make_source, square

ROOT = Path(__file__).resolve().parent.parent.parent
CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium")
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
POINT = (-10.70, 6.40)
PASSWORD = "a long pass phrase"
# How long a page may take to show what is expected: machines that run tests are busy.
expect.set_options(timeout=20_000)


class Web:
    """gunicorn with threads, as in production; it can be killed and started again at the same address."""

    def __init__(self, static_root: Path, media: Path):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.environment = os.environ | {
            "DATABASE_NAME": connection.settings_dict["NAME"],
            "STATIC_ROOT": str(static_root),
            "MEDIA_ROOT": str(media),
            "SECRET_KEY": django_settings.SECRET_KEY,
            "HTTPS": "0",
            "DEBUG": "0",
            "LOG_LEVEL": "ERROR",
        }

    def start(self) -> None:
        command = [sys.executable, "-m", "gunicorn", "asm_audit.wsgi:application", "--worker-class", "gthread"]
        command += ["--threads", "4", "--bind", f"127.0.0.1:{self.port}", "--log-level", "error"]
        self.process = subprocess.Popen(command, cwd=ROOT, env=self.environment, start_new_session=True)
        for _ in range(300):
            try:
                urllib.request.urlopen(f"{self.url}/login/", timeout=5).close()
                return
            except OSError:
                time.sleep(0.1)
        raise RuntimeError("the web server did not start")

    def kill(self) -> None:
        """kill -9 of the master and every worker."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


@pytest.fixture(scope="session")
def static_root(tmp_path_factory) -> Path:
    if "ASM_STATIC_IS_FRESH" in os.environ:  # ./dev has just collected it
        return Path(django_settings.STATIC_ROOT)
    folder = tmp_path_factory.mktemp("static")
    command = [sys.executable, "manage.py", "collectstatic", "--noinput", "-v0"]
    subprocess.run(command, cwd=ROOT, check=True, env=os.environ | {"STATIC_ROOT": str(folder), "DEBUG": "0"})
    return folder


@pytest.fixture(scope="session")
def media(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("browser-media")


@pytest.fixture(autouse=True)
def own_media(settings, media):
    """One folder for the whole run: the web server outlives a test."""
    settings.MEDIA_ROOT = str(media)


@pytest.fixture(scope="session")
def running_web(django_db_setup, static_root, media):
    server = Web(static_root, media)
    server.start()
    yield server
    server.kill()


@pytest.fixture
def web(transactional_db, running_web):
    yield running_web
    _wait_until_quiet()


def _wait_until_quiet() -> None:
    """The flush after a test must not meet a query of a page that was closed in the middle of asking."""
    quiet_rounds = 0
    for _ in range(100):
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
                " AND pid <> pg_backend_pid() AND state <> 'idle' AND backend_type = 'client backend'"
            )
            quiet_rounds = quiet_rounds + 1 if cursor.fetchone() == (0,) else 0
        if quiet_rounds == 3:
            return
        time.sleep(0.05)


@pytest.fixture(scope="session")
def chromium():
    if not CHROMIUM:
        pytest.fail("Chromium is missing: ./dev test installs it.")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def open_page(chromium, web):
    """A function that opens a new browser profile; what it saw of foreign requests and broken policy is on the page."""
    contexts = []

    def open_as(user=None, width=1440, height=900, **options):
        context = chromium.new_context(viewport={"width": width, "height": height}, base_url=web.url, **options)
        context.set_default_timeout(15_000)
        contexts.append(context)
        page = context.new_page()
        page.foreign, page.violations, page.errors = [], [], []
        context.on("request", lambda request: _note_foreign(page, request.url, web.url))
        page.on("console", lambda message: _note_violation(page, message))
        page.on("pageerror", lambda error: page.errors.append(str(error)))
        if user:
            sign_in(page, user)
        return page

    yield open_as
    for context in contexts:
        context.close()


def _note_foreign(page, url: str, ours: str) -> None:
    if not url.startswith((ours + "/", "data:", "blob:")):
        page.foreign.append(url)


def _note_violation(page, message) -> None:
    if "Content Security Policy" in message.text:
        page.violations.append(message.text)


def sign_in(page, user) -> None:
    """The person's session as a cookie; test_signing_in goes through the form."""
    client = Client()
    client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    session = client.cookies[django_settings.SESSION_COOKIE_NAME].value
    page.context.add_cookies(
        [{"name": django_settings.SESSION_COOKIE_NAME, "value": session, "domain": "127.0.0.1", "path": "/"}]
    )


@pytest.fixture(scope="session")
def prepared_scenes(tmp_path_factory) -> list[tuple[date, Path]]:
    """The same ground in 2019 and in 2024, 6 km wide around POINT, prepared once for the whole run."""
    folder, pixel = tmp_path_factory.mktemp("scenes"), (4e-5, 4e-5)
    north_west = rasters.geotransform("EPSG:4326", pixel, POINT[0] - 0.03, POINT[1] + 0.03)
    scenes = []
    for day, shade in ((date(2019, 2, 9), 60), (date(2024, 1, 14), 150)):
        original = rasters.write(folder / f"{day}.tif", _ground(shade), pixel=pixel, place=north_west)
        sandbox.prepare(path=original, roots=[folder], folder=folder, report=lambda *_: None)
        scenes.append((day, (folder / "prepared.tif").rename(folder / f"{day}.cog.tif")))
    return scenes


def _ground(shade: int) -> np.ndarray:
    noise = np.random.default_rng(shade).integers(0, 40, (3, 1500, 1500))
    return (noise + np.array([shade, 100, 60])[:, None, None]).astype("uint8")


@pytest.fixture
def imagery(project, prepared_scenes, media):
    source = make_source(project, name="Orbita", attribution="© Orbita")
    for day, path in prepared_scenes:
        (media / path.name).write_bytes(path.read_bytes())
        make_scene(
            source,
            footprint=square(POINT[0] - 0.03, POINT[1] - 0.03, 0.06),
            captured_on=day,
            path=path.name,
            resolution_m=4.4,
            max_zoom=15,
        )
    return source


@pytest.fixture
def audit(project, imagery):
    """Six records reported in 2021 around POINT, one wanted review each."""
    register = make_register(project, name="Cadastre")
    for k in range(6):
        make_record(register, at=(POINT[0] + k * 0.002, POINT[1]), observed_on=date(2021, 3, 1))
    return workflow.open_census(project=project, register=register, slug="audit-1", name="Audit 1")
