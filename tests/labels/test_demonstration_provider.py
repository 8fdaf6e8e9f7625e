"""The provider that the demonstration serves itself: dated tiles on the loopback interface, and nothing else."""

import io
import json
import subprocess
import sys
from pathlib import Path
from threading import Thread
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import numpy as np
import pytest
from PIL import Image

from labels.demonstration.drawing import Painter
from labels.demonstration.provider import DATES, KEEP_PAINTERS, ProviderServer, TileStore
from labels.demonstration.scenes import draw_tile
from labels.demonstration.terrain import Country
from labels.demonstration.windows import HALF_WORLD_M, resolution_m

SMALL = {"seed": 5, "bounds": (0.30, 1.10, 0.36, 1.18), "n_mines": 6, "n_industrial": 1, "n_towns": 2}


@pytest.fixture(scope="module")
def country():
    return Country(SMALL["seed"], **{k: v for k, v in SMALL.items() if k != "seed"})


@pytest.fixture(scope="module")
def server():
    with ProviderServer(port=0, store=TileStore(**SMALL)) as server:
        thread = Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def tile_of(thing, z):
    side = 256 * resolution_m(z)
    return z, int((thing.x + HALF_WORLD_M) / side), int((HALF_WORLD_M - thing.y) / side)


def get(server, path, **headers):
    with urlopen(Request(server.address + path, headers=headers), timeout=60) as answer:
        return answer.read(), answer.headers


def refusal(server, path):
    with pytest.raises(HTTPError) as caught:
        get(server, path)
    return caught.value.code, caught.value.read().decode()


def test_it_says_what_it_serves_before_it_draws_anything(server):
    about = json.loads(get(server, "/")[0])
    assert about["dates"] == [on.isoformat() for on in DATES]
    assert (about["minzoom"], about["maxzoom"]) == (13, 17)
    assert about["tiles"] == [server.address + "/{date}/{z}/{x}/{y}.jpg"]
    assert about["attribution"]
    fresh = TileStore(**SMALL)
    fresh.describe("")
    assert fresh._country is None


@pytest.mark.parametrize("zoom", [13, 16, 17])
def test_a_tile_shows_the_country_on_its_date(server, country, zoom):
    z, x, y = tile_of(country.mines[0], zoom)
    body, headers = get(server, f"/{DATES[1]}/{z}/{x}/{y}.jpg")
    assert headers["Content-Type"] == "image/jpeg"
    served = np.moveaxis(np.asarray(Image.open(io.BytesIO(body))), -1, 0).astype(int)
    drawn = draw_tile(Painter(country, DATES[1]), z, x, y)
    assert served.shape == drawn.shape == (3, 256, 256)
    assert np.abs(served - drawn).mean() < 8
    assert abs(served.mean() - drawn.mean()) < 1


def test_dates_differ_and_painters_are_let_go(server, country):
    z, x, y = tile_of(country.mines[0], 16)
    bodies = {get(server, f"/{on}/{z}/{x}/{y}.jpg")[0] for on in DATES}
    assert len(bodies) == len(DATES)
    assert len(server.store._painters) == KEEP_PAINTERS


def test_a_tile_that_is_known_is_not_sent_again(server, country):
    z, x, y = tile_of(country.mines[0], 17)
    _, headers = get(server, f"/{DATES[3]}/{z}/{x}/{y}.jpg")
    assert "max-age" in headers["Cache-Control"]
    code, body = refusal_with(server, f"/{DATES[3]}/{z}/{x}/{y}.jpg", headers["ETag"])
    assert (code, body) == (304, b"")


def refusal_with(server, path, tag):
    with pytest.raises(HTTPError) as caught:
        get(server, path, **{"If-None-Match": tag})
    return caught.value.code, caught.value.read()


def test_what_does_not_exist_is_refused_in_a_sentence(server, country):
    z, x, y = tile_of(country.mines[0], 15)
    for path, words in (
        (f"/2020-01-01/{z}/{x}/{y}.jpg", "no imagery of 2020-01-01"),
        (f"/{DATES[0]}/12/{x // 8}/{y // 8}.jpg", "no imagery at zoom 12"),
        (f"/{DATES[0]}/18/{x * 8}/{y * 8}.jpg", "no imagery at zoom 18"),
        (f"/{DATES[0]}/{z}/0/0.jpg", "no imagery of that place"),
        (f"/{DATES[0]}/{z}/{2**z}/{y}.jpg", "no imagery of that place"),
        (f"/{DATES[0]}/{z}/{x}/{y}.png", "asked for as"),
        (f"/{DATES[0]}/{z}/{x}/-1.jpg", "asked for as"),
        ("/etc/passwd", "asked for as"),
    ):
        code, said = refusal(server, path)
        assert code == 404
        assert words in said


@pytest.mark.parametrize("host", ["0.0.0.0", "", "192.0.2.1", "::", "localhost", "example.org"])
def test_it_binds_to_loopback_alone(host):
    with pytest.raises(ValueError, match="not a loopback address"):
        ProviderServer(host, 0)


def test_it_needs_no_database():
    program = (
        "import sys; import labels.demonstration.provider\n"
        "assert not [m for m in sys.modules if m.startswith(('django', 'labels.models'))]"
    )
    subprocess.run([sys.executable, "-c", program], check=True, cwd=Path(__file__).parents[2])
