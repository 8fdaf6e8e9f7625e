"""Tiles of our server, with login and permission, beside titiler and nginx on the same pictures.

    ./dev bench tiles [--seconds S] [--rounds N] [--json]

Same fixed list of tiles, same client, two processes of four threads each, rounds that take turns, medians of ratios.
"""

import argparse
import json
import os
import random
import statistics
import tempfile
from dataclasses import dataclass
from datetime import date
from functools import partial
from importlib import import_module
from pathlib import Path

import rasterio
from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.gis.geos import MultiPolygon, Polygon
from django.test import Client
from rasterio.io import MemoryFile
from rio_tiler.io import Reader

from labels import geo
from labels.models import ImagerySource, Membership
from tests.bench import _http_client, _pictures, _tile_servers
from tests.factories import make_project, make_scene, make_source

wait_for_quiet = import_module("tests.bench.import").wait_for_quiet

CLAIMS = {"aligned_vs_titiler": 20, "ordinary_vs_titiler": 3}
N_TILES = 400
N_COMPARED = 80  # of each picture
ZOOMS = (14, 15, 16, 17, 18)  # of the pictures, coarse to fine; a map shows mostly the finer ones
Place = tuple[int, int, int]


@dataclass(frozen=True)
class Picture:
    """One file, its source, and the tiles that are asked of it."""

    name: str
    path: Path
    source: ImagerySource
    places: list[Place]

    def our_path(self, place: Place) -> str:
        z, x, y = place
        return f"/imagery/{self.source.uuid}/{z}/{x}/{y}?date=2021-03-04&v={self.source.revision}"

    def titiler_path(self, place: Place) -> str:
        z, x, y = place
        return f"/tiles/WebMercatorQuad/{z}/{x}/{y}.jpg?url={self.path}"


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="tiles")
    parser.add_argument("--seconds", type=float, default=4, help="of each server in each round")
    parser.add_argument("--warm", type=float, default=8, help="seconds of each server before the first round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--side", type=int, default=_pictures.SIDE_PX, help="pixels of the picture")
    parser.add_argument("--json", action="store_true", help="end with one line of JSON")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="asm_bench_tiles_") as folder:
        try:
            figures = measure(Path(folder), options)
        except _tile_servers.ReferenceMissing as missing:
            print(missing)
            return 1
    for name, value in figures.items():
        print(f"{name:<20} {value}")
    if options.json:
        print(json.dumps(figures))
    return 0 if holds(figures) else 1


def holds(figures: dict) -> bool:
    return figures["identical"] == 1 and all(figures[name] >= least for name, least in CLAIMS.items())


def measure(folder: Path, options: argparse.Namespace) -> dict:
    folder.chmod(0o755)
    aligned, ordinary, cookies = make_pictures(options.side)
    with _tile_servers.ours(Path(settings.MEDIA_ROOT)) as ours, _tile_servers.titiler() as theirs:
        headers = with_pass(ours, aligned, ordinary, cookies)
        keep_files(ours, headers, aligned, folder / "files")
        with _tile_servers.nginx(folder, folder / "files") as files:
            if files is None:
                print("nginx is not installed, so the distance to it is not measured (apt-get install nginx-light).")
            runs = {
                "aligned, ours": (ours, [aligned.our_path(place) for place in aligned.places], headers),
                "aligned, titiler": (theirs, [aligned.titiler_path(place) for place in aligned.places], {}),
                "aligned, nginx": (files, [file_path(place) for place in aligned.places], {}),
                "ordinary, ours": (ours, [ordinary.our_path(place) for place in ordinary.places], headers),
                "ordinary, titiler": (theirs, [ordinary.titiler_path(place) for place in ordinary.places], {}),
            }
            rounds = take_turns({name: run for name, run in runs.items() if run[0]}, options)
        same = compared(ours, headers, aligned, ordinary)
    return figures_of(rounds, same)


def make_pictures(side: int) -> tuple[Picture, Picture, str]:
    """The same ground as an aligned and as an ordinary file, a project with both, and the cookie of a member."""
    print(f"drawing {side} x {side} pixels and preparing them", flush=True)
    folder = Path(settings.MEDIA_ROOT) / "imagery"
    folder.mkdir(parents=True, exist_ok=True)
    project = make_project()
    original = _pictures.draw(folder / "original.tif", side)
    pictures = []
    for name, make in (("aligned", _pictures.aligned), ("ordinary", _pictures.ordinary)):
        make(original, folder / f"{name}.tif")
        pictures.append(as_picture(project, name, folder / f"{name}.tif"))
    original.unlink()
    annotator = get_user_model().objects.create_user("bench")
    Membership.objects.create(project=project, user=annotator, role="annotator")
    browser = Client()
    browser.force_login(annotator, backend="django.contrib.auth.backends.ModelBackend")
    cookie = browser.cookies[settings.SESSION_COOKIE_NAME]
    return (*pictures, f"{cookie.key}={cookie.value}")


def as_picture(project, name: str, path: Path) -> Picture:
    with rasterio.open(path) as dataset:
        west, south, east, north = rasterio.warp.transform_bounds(dataset.crs, "EPSG:4326", *dataset.bounds)
    source = make_source(project)
    outline = MultiPolygon(Polygon.from_bbox((west, south, east, north)), srid=4326)
    make_scene(
        source, footprint=outline, captured_on=date(2021, 3, 4), path=f"imagery/{path.name}", min_zoom=14, max_zoom=18
    )
    source.refresh_from_db()
    return Picture(name, path, source, full_places(path))


def full_places(path: Path) -> list[Place]:
    """A fixed draw of tiles that the picture fills, of every zoom alike where it has enough."""
    draw = random.Random(7)
    with Reader(str(path)) as reader:
        west, south, east, north = rasterio.warp.transform_bounds(reader.crs, "EPSG:4326", *reader.bounds)
        # The aligned file is padded with hidden pixels; the ground that both show is this.
        found = []
        for z in ZOOMS:
            _, left, top = geo.tile_of(west, north, z)
            _, right, bottom = geo.tile_of(east, south, z)
            inside = [(z, x, y) for x in range(left, right + 1) for y in range(top, bottom + 1)]
            draw.shuffle(inside)
            full = (place for place in inside if is_full(reader, place))
            found += [place for place, _ in zip(full, range(N_TILES // len(ZOOMS)), strict=False)]
    draw.shuffle(found)
    return found


def is_full(reader: Reader, place: Place) -> bool:
    z, x, y = place
    return reader.tile_exists(x, y, z) and not reader.tile(x, y, z, tilesize=32).array.mask.any()


def with_pass(ours: int, aligned: Picture, ordinary: Picture, session: str) -> dict[str, str]:
    """What a browser sends after its first tile: the session and the pass that came with the tile."""
    status, headers, _ = _http_client.get(ours, aligned.our_path(aligned.places[0]), {"Cookie": session})
    if status != 200:
        raise RuntimeError(f"our server answered {status}")
    granted = headers["set-cookie"].partition(";")[0]
    return {"Cookie": f"{session}; {granted}", "Accept": "image/avif,image/webp,image/*,*/*;q=0.8"}


def keep_files(ours: int, headers: dict, picture: Picture, folder: Path) -> None:
    for place in picture.places:
        path = folder / file_path(place).lstrip("/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(_http_client.get(ours, picture.our_path(place), headers)[2])


def file_path(place: Place) -> str:
    return "/{}/{}/{}.jpg".format(*place)


def take_turns(runs: dict, options: argparse.Namespace) -> list[dict[str, _http_client.Measured]]:
    for port, paths, headers in runs.values():
        _http_client.measure(port, paths, headers, options.warm)
    rounds = []
    for number in range(options.rounds):
        wait_for_quiet(at_most_s=60)
        rounds.append({name: one(run, options.seconds) for name, run in runs.items()})
        rates = "  ".join(f"{name} {found.per_s:,.0f}/s" for name, found in rounds[-1].items())
        print(f"round {number + 1}, load {os.getloadavg()[0]:.2f}: {rates}", flush=True)
    return rounds


def one(run: tuple, seconds: float) -> _http_client.Measured:
    port, paths, headers = run
    found = _http_client.measure(port, paths, headers, seconds)
    if found.n_wrong:
        raise RuntimeError(f"{found.n_wrong} of {len(found.times_ms)} answers of port {port} were not tiles.")
    return found


def compared(ours: int, headers: dict, aligned: Picture, ordinary: Picture) -> list[bool]:
    """Whether our tiles are rio-tiler's arrays: blocks decoded by GDAL, decoded tiles asked as PNG."""
    as_png = headers | {"Accept": "image/png"}
    found = []
    for picture, asked in ((aligned, headers), (ordinary, as_png)):
        with Reader(str(picture.path)) as reader:
            ask = partial(_http_client.get, ours, headers=asked)
            found += [is_same(ask(picture.our_path(place))[2], reader, place) for place in picture.places[:N_COMPARED]]
    return found


def is_same(content: bytes, reader: Reader, place: Place) -> bool:
    z, x, y = place
    with MemoryFile(content) as file, file.open() as dataset:
        pixels = dataset.read()
    # Finer than the picture, we smooth and say so to rio-tiler.
    is_finer = z > reader.maxzoom or (256 * 2**z / 40_075_016.7) > 1 / abs(reader.dataset.res[0]) * 1.001
    options = {"resampling_method": "bilinear"} if is_finer and reader.crs.to_epsg() == 3857 else {}
    expected = reader.tile(x, y, z, **options).array
    return bool((pixels[: len(expected)] == expected.data).all()) and not expected.mask.any()


def figures_of(rounds: list[dict[str, _http_client.Measured]], same: list[bool]) -> dict:
    def ratio(ours: str, theirs: str) -> float | None:
        pairs = [each[ours].per_s / each[theirs].per_s for each in rounds if theirs in each]
        return round(statistics.median(pairs), 3 if theirs.endswith("nginx") else 1) if pairs else None

    def p95(name: str) -> float:
        return round(statistics.median(statistics.quantiles(each[name].times_ms, n=20)[-1] for each in rounds), 2)

    def per_s(name: str) -> int | None:
        rates = [each[name].per_s for each in rounds if name in each]
        return round(statistics.median(rates)) if rates else None

    ours = [each["aligned, ours"] for each in rounds]
    return {
        "aligned_vs_titiler": ratio("aligned, ours", "aligned, titiler"),
        "ordinary_vs_titiler": ratio("ordinary, ours", "ordinary, titiler"),
        "aligned_vs_nginx": ratio("aligned, ours", "aligned, nginx"),
        "identical": sum(same) / len(same),
        "n_compared": len(same),
        "p95_ms": p95("aligned, ours"),
        "ordinary_p95_ms": p95("ordinary, ours"),
        "titiler_p95_ms": p95("aligned, titiler"),
        "per_s": per_s("aligned, ours"),
        "titiler_per_s": per_s("aligned, titiler"),
        "nginx_per_s": per_s("aligned, nginx"),
        "kib_per_tile": round(sum(each.n_bytes for each in ours) / sum(len(each.times_ms) for each in ours) / 1024, 1),
        "load": round(os.getloadavg()[0], 2),
    }
