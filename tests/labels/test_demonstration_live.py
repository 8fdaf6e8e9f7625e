"""The demonstration's provider as a source: its dates are offered without asking it, and its tiles come through us."""

import json
from threading import Thread
from urllib.request import urlopen

import pytest

from labels.demonstration import loading_provider
from labels.demonstration.provider import DATES, ProviderServer, TileStore
from labels.imagery import providers
from labels.imagery.providers import breaker, listing
from labels.imagery.scenes import images_at

SMALL = {"seed": 5, "bounds": (0.30, 1.10, 0.36, 1.18), "n_mines": 6, "n_industrial": 1, "n_towns": 2}


@pytest.fixture
def server(settings):
    breaker.forget_all()
    with ProviderServer(port=0, store=TileStore(**SMALL)) as server:
        settings.IMAGERY_ALLOWED_HOSTS = [server.address.removeprefix("http://")]
        Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def test_it_is_added_once_without_asking_it(project, server):
    said = []
    first = loading_provider.add(project, "http://127.0.0.1:1/", said.append)
    again = loading_provider.add(project, server.address + "/", said.append)
    assert (again.pk, said) == (first.pk, [f"Orbita live: {len(DATES)} dates"])
    assert again.address == server.address + "/"
    project.refresh_from_db()
    assert project.imagery_policy == "through_server"
    assert again.dates.filter(address="").count() == len(DATES)
    assert again.options["template"].startswith(server.address)


def test_what_is_known_of_it_is_what_it_says(project, server):
    source = loading_provider.add(project, server.address + "/", lambda _: None)
    told = json.loads(urlopen(server.address).read())
    assert source.options["template"] == told["tiles"][0]
    assert listing.refresh(source).created == 0
    assert [image["captured_on"] for image in images_at(project, 0.33, 1.14, 300)] == [on.isoformat() for on in DATES]
    server.store.warm()
    from labels.geo import tile_of

    tile = providers.tile(source, source.dates.order_by("captured_on").last(), *tile_of(0.33, 1.14, 17))
    assert (tile.imagery, tile.content_type) == ("full", "image/jpeg")
