"""Bytes on the line per verdict: gunicorn and Chromium on the demonstration's imagery, default and light mode.

./dev bench bytes [--verdicts N] [--drawn FOLDER] [--json]

A window of 1366 x 768 at scale 1, places of the 1,000 m class at least 3 km apart, their opening views with context.
Bytes are what Chromium received (CDP, headers included) from one verdict to the next, once the line is quiet: tiles,
hand-outs and answers. The program itself (page, scripts, styles, fonts) is counted apart, as it comes once. The page
fetches ahead: what comes between two verdicts is the view of a unit to come, and there are more units than verdicts.

The imagery is that of the demonstration's archive, two of its strips at both dates, drawn first (minutes); `--drawn`
keeps the drawings for the next time. A database that holds the demonstration is used as it is.
"""

import argparse
import json
import os
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

import numpy as np
from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.test import Client
from playwright.sync_api import Browser, Page, sync_playwright

from labels import workflow
from labels.demonstration.recipe import WANDARA, Recipe
from labels.demonstration.registers import SEARCH_RADIUS_M
from labels.demonstration.scenes import Scene as PlannedScene
from labels.demonstration.scenes import SceneWriter
from labels.demonstration.terrain import to_lonlat, to_metres
from labels.models import Audit, Membership, Project, Register, Review, Scene
from labels.models.projects import Role
from tests.factories import make_record, make_register

os.environ.setdefault("DJANGO_ALLOW_ASYNC_UNSAFE", "1")  # Playwright's synchronous API runs inside an event loop

LIMIT_KB, LIGHT_LIMIT_KB = 350, 120  # kB of 1,000 bytes
VIEWPORT = {"width": 1366, "height": 768}
STRIPS = (3, 4)  # neighbours, with the most records
APART_M = 3000
MARGIN_M = 1500  # from their outer edges, so that the whole disc has imagery
REPORTED_ON = date(2021, 3, 1)  # between the archive's two dates
LEAST_VERDICTS = 30
N_AHEAD = 8  # more units than verdicts: the page fetches ahead to the end
QUIET_S, PATIENCE_S = 0.5, 30.0
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]
FLAGS += ["--disable-background-networking", "--disable-component-update", "--disable-sync"]
# What the page keeps of how a person likes to look (static/js/view-settings.js); an older page knows no light mode.
LIGHT = "localStorage.setItem('review-view', JSON.stringify({isLight: true}))"


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="bytes")
    parser.add_argument("--verdicts", type=int, default=34)
    parser.add_argument("--drawn", type=Path, metavar="FOLDER", help="where drawings are kept for another run")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    project = demonstration(options.drawn)
    places = places_apart(WANDARA, options.verdicts + N_AHEAD)
    n_verdicts = len(places) - N_AHEAD
    if n_verdicts < LEAST_VERDICTS:
        raise SystemExit(f"Only {len(places)} places lie {APART_M} m apart: too few for {LEAST_VERDICTS} verdicts.")
    print(f"load {os.getloadavg()[0]:.2f}, {n_verdicts} verdicts in each mode, {len(places)} places {APART_M} m apart")
    audits = {mode: audit_of(project, places, mode) for mode in ("default", "light")}
    with web() as address, sync_playwright() as playwright:
        chromium = shutil.which(os.environ.get("CHROMIUM", "chromium"))
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        runs = {mode: run(browser, address, audit, n_verdicts, mode) for mode, audit in audits.items()}
        browser.close()
    return report(runs, as_json=options.json)


def report(runs: dict[str, "Run"], as_json: bool) -> int:
    for mode, counted in runs.items():
        figures = "  ".join(f"{name} {value:,.1f} kB" for name, value in counted.figures(1000).items())
        tiles, n = counted.tiles_per_verdict, len(counted.verdicts)
        print(f"{mode:<8}{figures}  tiles per verdict {tiles:.1f}  ({n} verdicts)")
    print(f"program {runs['default'].shell / 1000:,.1f} kB, once")
    default, light = runs["default"], runs["light"]
    if not light.is_light:
        print("The page has no light mode: the second run is a default one.")
    if as_json:
        kib = default.figures(1024)
        told = {"verdicts": len(default.verdicts)} | {f"{name}_kib": value for name, value in kib.items()}
        told |= {f"light_{name}_kib": value if light.is_light else None for name, value in light.figures(1024).items()}
        told |= {"shell_kib": round(default.shell / 1024, 1), "limit_kb": LIMIT_KB, "light_limit_kb": LIGHT_LIMIT_KB}
        print(json.dumps(told))
    is_within = default.figures(1000)["median"] <= LIMIT_KB and light.figures(1000)["median"] <= LIGHT_LIMIT_KB
    return 0 if is_within else 1


# ---- the imagery and the records ----


def demonstration(kept: Path | None) -> Project:
    """The project with the archive's strips: there already, or drawn and loaded."""
    project, _ = Project.objects.get_or_create(slug="wandara", defaults={"name": "Wandara", "country": "WDR"})
    if Scene.objects.filter(source__project=project).exists():
        return project
    folder = kept or Path(tempfile.mkdtemp(prefix="bench-bytes-"))
    folder.mkdir(parents=True, exist_ok=True)
    writer = SceneWriter(WANDARA.country)
    for planned in strips(WANDARA):
        path = folder / f"{planned.ident}.tif"
        if not path.exists():
            print(f"drawing {planned.ident}, {planned.n_pixels / 1e6:.0f} megapixels")
            unfinished = path.with_suffix(".part.tif")
            writer.write(planned, unfinished, quality=92)
            unfinished.rename(path)
        day = planned.on.isoformat()
        call_command("load_imagery", path, project=project.slug, name="Orbita archive", acquired=day, stdout=sys.stderr)
    if not kept:
        shutil.rmtree(folder)
    return project


def strips(recipe: Recipe) -> list[PlannedScene]:
    """Scenes of the archive whose number in the country is one of STRIPS, at both dates."""
    return [s for s in recipe.scenes if s.source == "archive" and int(s.ident.rsplit("-", 1)[1]) in STRIPS]


def places_apart(recipe: Recipe, n: int) -> list[tuple[float, float]]:
    """Places well inside the strips, far from each other: those the registers report, then others with imagery."""
    found: list[np.ndarray] = []
    for here in (*reported(recipe), *lattice(recipe)):
        if inside(recipe, here) and all(np.hypot(*(here - other)) >= APART_M for other in found):
            found.append(here)
    return [tuple(float(degrees) for degrees in to_lonlat(*here)) for here in found[:n]]


def reported(recipe: Recipe) -> list[np.ndarray]:
    """In metres; known by GPS first."""
    visits = [visit for register in recipe.registers.values() for visit in register.visits if visit.lon is not None]
    visits.sort(key=lambda visit: visit.precision != "gps")
    return [np.array([float(v) for v in to_metres(visit.lon, visit.lat)]) for visit in visits]


def lattice(recipe: Recipe) -> list[np.ndarray]:
    low, high = edges(recipe)
    discs = np.concatenate([scene.around_m for scene in strips(recipe)])
    points = [np.array([x, y]) for y in np.arange(low[1], high[1], 500) for x in np.arange(low[0], high[0], 500)]
    return [here for here in points if (np.hypot(*(discs[:, :2] - here).T) < discs[:, 2] - MARGIN_M).any()]


def inside(recipe: Recipe, here: np.ndarray) -> bool:
    low, high = edges(recipe)
    return bool((here >= low).all() and (here <= high).all())


def edges(recipe: Recipe) -> tuple[np.ndarray, np.ndarray]:
    """South-west and north-east of where a whole disc has imagery, metres."""
    bounds = np.array([scene.bounds_m for scene in strips(recipe)])
    return bounds[:, :2].min(axis=0) + MARGIN_M, bounds[:, 2:].max(axis=0) - MARGIN_M


def audit_of(project: Project, places: list, mode: str) -> Audit:
    """A census of the places for each mode, so that both see each of them for the first time."""
    slug = f"bytes-{mode}-{int(time.time())}"
    register: Register = make_register(project, slug=slug, name=slug)
    for at in places:
        make_record(register, at=at, observed_on=REPORTED_ON)
    audit = workflow.open_census(project=project, register=register, slug=slug, name=slug)
    assert not audit.units.exclude(search_radius_m=SEARCH_RADIUS_M["gps"]).exists()
    return audit


# ---- the server ----


class web:
    """gunicorn with threads, as in production, on a free port; its address."""

    def __enter__(self) -> str:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            address = f"127.0.0.1:{free.getsockname()[1]}"
        command = [sys.executable, "-m", "gunicorn", "asm_audit.wsgi:application", "--worker-class", "gthread"]
        command += ["--workers", "2", "--threads", "4", "--bind", address, "--log-level", "error"]
        environment = os.environ | {"HTTPS": "0", "DEBUG": "0", "LOG_LEVEL": "ERROR"}
        self.process = subprocess.Popen(command, env=environment, start_new_session=True)
        for _ in range(300):
            try:
                urllib.request.urlopen(f"http://{address}/login/", timeout=5).close()
                return f"http://{address}"
            except OSError:
                time.sleep(0.1)
        self.__exit__()
        raise RuntimeError("the web server did not start")

    def __exit__(self, *_) -> None:
        os.killpg(self.process.pid, signal.SIGTERM)
        self.process.wait()


# ---- the browser ----


@dataclass
class Run:
    """What Chromium received, in bytes."""

    shell: int = 0
    verdicts: list[int] = field(default_factory=list)
    n_tiles: int = 0
    is_light: bool = False

    @property
    def tiles_per_verdict(self) -> float:
        return self.n_tiles / len(self.verdicts)

    def figures(self, unit: int) -> dict[str, float]:
        p95 = statistics.quantiles(self.verdicts, n=20)[-1]
        figures = {"median": statistics.median(self.verdicts), "p95": p95, "mean": statistics.mean(self.verdicts)}
        return {name: round(value / unit, 1) for name, value in figures.items()}


class Line:
    """Counts what comes over the line, by what it is."""

    def __init__(self, page: Page):
        self.urls: dict[str, str] = {}
        self.open: set[str] = set()
        self.received: dict[str, int] = {"program": 0, "work": 0}
        self.n_tiles, self.refused, self.changed = 0, [], time.monotonic()
        self.cdp = page.context.new_cdp_session(page)
        self.cdp.send("Network.enable")
        self.cdp.on("Network.requestWillBeSent", self._sent)
        self.cdp.on("Network.responseReceived", self._answered)
        self.cdp.on("Network.loadingFinished", self._finished)
        self.cdp.on("Network.loadingFailed", self._failed)

    def _sent(self, event: dict) -> None:
        url = event["request"]["url"]
        if url.startswith("http"):
            self.urls[event["requestId"]] = url
            self.open.add(event["requestId"])
            self.changed = time.monotonic()

    def _answered(self, event: dict) -> None:
        if event["response"]["status"] >= 400:
            self.refused.append(event["response"]["status"])

    def _finished(self, event: dict) -> None:
        url = self.urls.get(event["requestId"])
        if url is None:
            return
        n = int(event["encodedDataLength"])
        is_tile = "/imagery/" in url and "/static/" not in url
        self.received["work" if is_tile or "/api/" in url else "program"] += n
        self.n_tiles += is_tile and n > 0  # those out of the browser's own store cost nothing
        self._failed(event)

    def _failed(self, event: dict) -> None:
        self.open.discard(event["requestId"])
        self.changed = time.monotonic()

    def wait(self, page: Page) -> None:
        """Until nothing is under way and nothing has come for a while."""
        until = time.monotonic() + PATIENCE_S
        while time.monotonic() < until:
            page.wait_for_timeout(50)
            if not self.open and time.monotonic() - self.changed > QUIET_S:
                return
        raise RuntimeError(f"the line does not get quiet: {len(self.open)} requests are open")


def run(browser: Browser, address: str, audit: Audit, n_verdicts: int, mode: str) -> Run:
    context = browser.new_context(viewport=VIEWPORT, device_scale_factor=1, base_url=address)
    if mode == "light":
        context.add_init_script(LIGHT)
    context.add_cookies([session_of(annotator(audit.project, mode)) | {"domain": "127.0.0.1", "path": "/"}])
    page, counted = context.new_page(), Run()
    line = Line(page)
    page.goto(f"/p/{audit.project.slug}/audits/{audit.slug}/review/")
    line.wait(page)
    counted.shell = line.received["program"]
    tiles_before = line.n_tiles
    for number in range(1, n_verdicts + 1):
        before = sum(line.received.values())
        page.keyboard.press("d")
        wait_for_count(page, number)
        line.wait(page)
        counted.verdicts.append(sum(line.received.values()) - before)
    counted.n_tiles = line.n_tiles - tiles_before
    context.close()
    if line.refused:
        raise RuntimeError(f"{len(line.refused)} requests were refused: {sorted(set(line.refused))}")
    reviews = Review.objects.filter(unit__audit=audit)
    counted.is_light = reviews.filter(layout__light=True).count() >= n_verdicts
    if reviews.count() < n_verdicts:
        raise RuntimeError("not every verdict arrived")
    return counted


def wait_for_count(page: Page, number: int) -> None:
    """Until the page counts so many reviews of one's own."""
    until = time.monotonic() + PATIENCE_S
    while time.monotonic() < until:
        if "".join(filter(str.isdigit, page.locator("#n-mine").inner_text())) == str(number):
            return
        page.wait_for_timeout(20)
    raise RuntimeError(f"the page does not count {number} reviews")


def annotator(project: Project, mode: str):
    user, _ = get_user_model().objects.get_or_create(username=f"bytes-{mode}")
    Membership.objects.get_or_create(project=project, user=user, defaults={"role": Role.ANNOTATOR})
    return user


def session_of(user) -> dict:
    client = Client()
    client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    return {"name": settings.SESSION_COOKIE_NAME, "value": client.cookies[settings.SESSION_COOKIE_NAME].value}
