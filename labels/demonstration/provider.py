"""A tile server of the fictional country: what a provider of imagery on the internet is to an audit.

It stands for a remote source that can be tried without the internet, and answers on the loopback interface alone.
Nothing is drawn before the first tile is asked for; then one tile is drawn at a time.
"""

import io
import ipaddress
import json
from collections import OrderedDict
from contextlib import suppress
from datetime import date
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock

import numpy as np
from PIL import Image

from labels.demonstration.drawing import Painter
from labels.demonstration.scenes import draw_tile
from labels.demonstration.terrain import DEFAULT_BOUNDS, Country, to_lonlat
from labels.demonstration.windows import BASE_ZOOM, MIN_ZOOM, PixelWindow
from labels.geo import tile_of

ATTRIBUTION = "© Orbita Imaging"
DATES = (date(2017, 2, 3), date(2019, 2, 9), date(2021, 1, 20), date(2024, 1, 14))
MARGIN_DEG = 0.02  # of sea and of the neighbours' land that is served around the country
QUALITY = 80
KEEP_TILES = 2000  # about 40 MB
KEEP_PAINTERS = 2  # about 100 MB each
MAX_AGE_S = 86_400
FIND_NOTHING = "There is no imagery"


class Refused(Exception):
    """A tile that does not exist, in one sentence."""


class TileStore:
    """Draws tiles of a country and keeps the latest; safe to ask from several threads."""

    def __init__(self, *, seed: int = 7, bounds: tuple[float, float, float, float] = DEFAULT_BOUNDS, **country):
        self.bounds = bounds
        self._make_country = lambda: Country(seed, bounds=bounds, **country)
        self._country: Country | None = None
        self._painters: OrderedDict[date, Painter] = OrderedDict()
        self._tiles: OrderedDict[tuple, bytes] = OrderedDict()
        self._kept, self._drawing = Lock(), Lock()

    def describe(self, address: str) -> dict:
        """What there is, in the words of TileJSON 3.0."""
        west, south, east, north = self.bounds
        return {
            "tilejson": "3.0.0",
            "name": "Orbita imagery of Wandara",
            "attribution": ATTRIBUTION,
            "tiles": [f"{address}/{{date}}/{{z}}/{{x}}/{{y}}.jpg"],
            "dates": [on.isoformat() for on in DATES],
            "minzoom": MIN_ZOOM,
            "maxzoom": BASE_ZOOM,
            "bounds": [
                round(edge, 6)
                for edge in (west - MARGIN_DEG, south - MARGIN_DEG, east + MARGIN_DEG, north + MARGIN_DEG)
            ],
        }

    def tile(self, on: str, z: int, x: int, y: int) -> bytes:
        """JPEG of a tile.

        Raises
        ------
        Refused
            Where and when there is no imagery; as providers of single countries do, that is an answer without a
            picture, so that nobody takes open sea for a look at the ground.
        """
        served = {day.isoformat(): day for day in DATES}
        if on not in served:
            raise Refused(f"{FIND_NOTHING} of {on[:20]}; there is of {', '.join(served)}.")
        if not MIN_ZOOM <= z <= BASE_ZOOM:
            raise Refused(f"{FIND_NOTHING} at zoom {z}; there is from {MIN_ZOOM} to {BASE_ZOOM}.")
        if not (0 <= x < 2**z and 0 <= y < 2**z and self._reaches(z, x, y)):
            raise Refused(f"{FIND_NOTHING} of that place.")
        key = (served[on], z, x, y)
        found = self._recall(key)
        if found is None:
            with self._drawing:
                found = self._recall(key) or self._draw(key)
        return found

    def warm(self) -> None:
        """Draw one tile of the newest and of the oldest date: whoever asks next does not wait for the country."""
        west, south, east, north = self.bounds
        lon, lat = (west + east) / 2, (south + north) / 2
        for on in (DATES[0], DATES[-1]):
            self.tile(on.isoformat(), *tile_of(lon, lat, BASE_ZOOM))

    def _reaches(self, z: int, x: int, y: int) -> bool:
        west, south, east, north = self.bounds
        left, bottom, right, top = PixelWindow(z, x * 256, y * 256, 256, 256).bounds_m
        (left, right), (bottom, top) = to_lonlat([left, right], [bottom, top])
        return bool(
            left < east + MARGIN_DEG
            and right > west - MARGIN_DEG
            and bottom < north + MARGIN_DEG
            and top > south - MARGIN_DEG
        )

    def _recall(self, key: tuple) -> bytes | None:
        with self._kept:
            if key in self._tiles:
                self._tiles.move_to_end(key)
            return self._tiles.get(key)

    def _draw(self, key: tuple) -> bytes:
        on, z, x, y = key
        picture = np.moveaxis(draw_tile(self._painter(on), z, x, y), 0, -1)
        file = io.BytesIO()
        Image.fromarray(picture).save(file, "JPEG", quality=QUALITY)
        with self._kept:
            self._tiles[key] = file.getvalue()
            if len(self._tiles) > KEEP_TILES:
                self._tiles.popitem(last=False)
        return file.getvalue()

    def _painter(self, on: date) -> Painter:
        if self._country is None:
            self._country = self._make_country()
        if on not in self._painters:
            while len(self._painters) >= KEEP_PAINTERS:
                self._painters.popitem(last=False)
            self._painters[on] = Painter(self._country, on)
        self._painters.move_to_end(on)
        return self._painters[on]


class ProviderHandler(BaseHTTPRequestHandler):
    """`GET /` and `GET /{date}/{z}/{x}/{y}.jpg`."""

    server: "ProviderServer"
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "Orbita", ""

    def do_GET(self) -> None:
        path = self.path.split("?", 1)[0]
        if path == "/":
            about = json.dumps(self.server.store.describe(self.server.address), ensure_ascii=False)
            self._answer(200, "application/json; charset=utf-8", about.encode())
            return
        try:
            body = self.server.store.tile(*_tile_of(path))
        except Refused as refusal:
            self._answer(404, "text/plain; charset=utf-8", f"{refusal}\n".encode())
            return
        tag = f'"{sha256(body).hexdigest()[:20]}"'
        headers = {"ETag": tag, "Cache-Control": f"public, max-age={MAX_AGE_S}"}
        if tag in self.headers.get("If-None-Match", ""):
            self._answer(304, "", b"", headers)
        else:
            self._answer(200, "image/jpeg", body, headers)

    def _answer(self, status: int, kind: str, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        if status != 304:
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
        with suppress(ConnectionError):  # who asked did not wait
            self.end_headers()
            self.wfile.write(body)

    def log_message(self, format: str, *args) -> None:
        """Stay silent: a map asks for hundreds of tiles."""


def _tile_of(path: str) -> tuple[str, int, int, int]:
    parts = path.strip("/").split("/")
    if len(parts) != 4 or not parts[3].endswith(".jpg"):
        raise Refused("A tile is asked for as /date/z/x/y.jpg.")
    numbers = [*parts[1:3], parts[3].removesuffix(".jpg")]
    if not all(n.isascii() and n.isdigit() and len(n) < 9 for n in numbers):
        raise Refused("A tile is asked for as /date/z/x/y.jpg.")
    return parts[0], *map(int, numbers)


class ProviderServer(ThreadingHTTPServer):
    """The server; it binds to nothing but a loopback address.

    Parameters
    ----------
    host : str
        A loopback address.
    port : int
        0 takes a free one.
    store : TileStore, optional

    Raises
    ------
    ValueError
        If the address is another machine's, or a name.
    """

    daemon_threads = True

    def __init__(self, host: str = "127.0.0.1", port: int = 8087, store: TileStore | None = None):
        if not _is_loopback(host):
            raise ValueError(
                f"{host} is not a loopback address: the demonstration's provider serves this machine only."
            )
        self.store = store or TileStore()
        super().__init__((host, port), ProviderHandler)

    @property
    def address(self) -> str:
        """Where it listens."""
        return f"http://{self.server_address[0]}:{self.server_address[1]}"


def _is_loopback(host: str) -> bool:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    return address.version == 4 and address.is_loopback
