"""Tiles of a provider, a real server with faults: kept, guarded, and a clear state when there is none."""

import hashlib
import io
import os
import random
import threading
import time
from datetime import date
from uuid import uuid4

import numpy as np
import pytest
from django.db import connection
from PIL import Image

from labels import geo
from labels.imagery import providers
from labels.imagery.providers import breaker, cache, listing, serving, slots
from labels.imagery.providers.asking import Asker
from labels.imagery.providers.errors import NoImage, Refused, Unavailable
from labels.imagery.providers.trying import try_tile
from labels.imagery.scenes import images_at
from labels.local_plane import metres_per_degree
from labels.models import ImagerySource, ProviderDate
from tests.factories import make_area, make_provider, make_scene, make_source, square
from tests.loopback import flat, picture
from tests.loopback import serving as serve

KEY = "s3cret+key/1"
AT = (14, 7705, 7900)


@pytest.fixture
def server(settings):
    breaker.forget_all()
    slots._usual_s.clear()
    with serve() as server:
        settings.IMAGERY_ALLOWED_HOSTS = [server.authority]
        yield server


@pytest.fixture
def source(project, server):
    source = make_provider(project, f"{server.url}/{{z}}/{{x}}/{{y}}.jpg?k={{key}}", key=KEY)
    listing.refresh(source)
    return source


def state(source, at=AT, row=None) -> str:
    """What the page would be told."""
    try:
        return providers.tile(source, row or source.dates.get(), *at).imagery
    except NoImage:
        return "none"
    except Unavailable as error:
        assert KEY not in str(error) and error.retry_after_s >= 1
        return "unavailable"


def test_a_tile_is_fetched_once_and_kept(source, server):
    first = providers.tile(source, source.dates.get(), *AT)
    again = providers.tile(source, source.dates.get(), *AT)
    assert (first.content, first.content_type, first.imagery) == (picture(), "image/jpeg", "full")
    assert again == first
    ((path, headers),) = server.asked
    assert path == "/14/7705/7900.jpg?k=s3cret%2Bkey%2F1"
    assert not {"Cookie", "Referer", "Accept-Language", "X-Forwarded-For", "Forwarded"} & set(headers)
    kept = [entry for entry in cache.folder_of(source.uuid).rglob("*") if entry.is_file()]
    assert len(kept) == 1
    assert "7705" not in str(kept) and oct(kept[0].stat().st_mode & 0o777) == "0o600"


def test_a_source_that_may_not_be_cached_leaves_nothing_on_disk(source, server):
    state(source)
    source.may_cache = False
    source.save()
    assert [state(source), state(source)] == ["full", "full"]
    assert len(server.asked) == 3
    assert not cache.folder_of(source.uuid).exists()


def test_kept_tiles_age_and_the_least_used_go_first(source, server, settings):
    for x in range(7700, 7710):
        state(source, (14, x, 7900))
    files = sorted(cache.folder_of(source.uuid).glob("*/*"), key=lambda path: path.stat().st_mtime)
    settings.PROVIDER_CACHE_BYTES = 4 * files[0].stat().st_size
    os.utime(files[0], (time.time() + 60, files[0].stat().st_mtime))  # the oldest was used last
    assert cache.clear() == 7  # to 90 %: three of the four that fit
    left = [path for path in files if path.exists()]
    assert files[0] in left and len(left) == 3
    os.utime(files[0], (time.time(), time.time() - 40 * 86_400))
    assert cache.clear() == 1
    assert not files[0].exists()


def test_a_damaged_copy_is_fetched_again(source, server):
    state(source)
    (kept,) = cache.folder_of(source.uuid).glob("*/*")
    kept.write_bytes(b"")
    assert state(source) == "full"
    assert len(server.asked) == 2


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (lambda handler: handler.send(204), "none"),
        (lambda handler: handler.send(404, b"no"), "none"),
        (lambda handler: handler.send(200, b""), "none"),
        (lambda handler: handler.send(content=flat()), "none"),
        (lambda handler: handler.send(content=flat(0, "JPEG")), "none"),
        (lambda handler: handler.send(content=picture(form="PNG", alpha=0)), "partial"),
        (lambda handler: handler.send(content=picture(form="WEBP"), kind="application/octet-stream"), "full"),
        (lambda handler: handler.send(content=picture(side=512)), "full"),
        (lambda handler: handler.send(content=b"<html>sorry</html>", kind="text/html"), "unavailable"),
        (lambda handler: handler.send(content=b"<html>sorry</html>", kind="image/jpeg"), "unavailable"),
        (lambda handler: handler.send(content=b"GIF89a" + b"\0" * 50, kind="image/gif"), "unavailable"),
        (lambda handler: handler.send(content=b"<svg xmlns='x'/>", kind="image/svg+xml"), "unavailable"),
        (lambda handler: handler.send(content=picture()[:500]), "unavailable"),
        (lambda handler: handler.send(content=picture(side=2048)), "unavailable"),
        (lambda handler: handler.send(content=b"\xff\xd8\xff" + b"\0" * 6_000_000), "unavailable"),
        (lambda handler: handler.send(500, b"x"), "unavailable"),
        (lambda handler: handler.send(403, b"x"), "unavailable"),
        (lambda handler: handler.send(302, Location="http://127.0.0.1:1/"), "unavailable"),
    ],
)  # fmt: skip
def test_every_answer_has_a_state(source, server, answer, expected):
    server.answer = answer
    assert state(source) == expected


def test_a_placeholder_known_by_its_hash_is_no_imagery(source, server):
    source.options = {"blanks": [hashlib.sha256(picture()).hexdigest()]}
    source.save()
    assert state(source) == "none"


def test_a_place_without_imagery_is_not_asked_twice_nor_beyond_the_footprint(source, server):
    server.answer = lambda handler: handler.send(404)
    assert [state(source), state(source)] == ["none", "none"]
    assert len(server.asked) == 1
    ProviderDate.objects.filter(source=source).update(footprint=square(20, 20, 1), max_zoom=16)
    source.revision += 1
    assert state(source, (14, 7706, 7900)) == "none"
    assert state(source, (17, 61640, 63200)) == "none"
    assert len(server.asked) == 1


def test_pixels_for_chips(source):
    colours, is_there = serving.read_pixels(source, source.dates.get(), *AT)
    assert (colours.shape, colours.dtype, is_there.shape, is_there.dtype) == ((3, 256, 256), "uint8", (256, 256), bool)
    assert is_there.all()


def test_a_measured_offset_moves_the_tile(source, server):
    def answer(handler):
        x = int(handler.path.split("/")[2])
        handler.send(content=picture(x, form="PNG"), kind="image/png")

    server.answer = answer
    plain, _ = serving.read_pixels(source, source.dates.get(), *AT)
    metres = 10 * 40_075_016.68 / 2**14 / 256  # ten pixels on the equator
    source.offset_east_m = metres
    source.save()
    moved, is_there = serving.read_pixels(source, source.dates.get(), *AT)
    shift = min(range(5, 15), key=lambda k: abs(moved[:, :, 20].astype(int) - plain[:, :, 20 - k]).mean())
    assert shift == 10
    assert is_there.all()
    assert np.abs(moved[:, :, 10:].astype(int) - plain[:, :, :-10]).mean() < 12


def test_an_offset_of_more_than_a_tile_moves_by_it(source, server):
    """At zoom 17 a tile is 305 m wide and an offset may be 1,000 m."""
    server.answer = lambda handler: handler.send(content=picture(int(handler.path.split("/")[2]), form="PNG"))
    z, x, y = 17, 61640, 63200
    west, _, east, _ = geo.tile_bounds(z, x, y)
    per_lon, _ = metres_per_degree(geo.tile_bounds(z, x, y)[1])
    source.offset_east_m = 3 * (east - west) * per_lon
    source.save()
    moved, _ = serving.read_pixels(source, source.dates.get(), z, x, y)
    source.offset_east_m = 0
    source.save()
    plain, _ = serving.read_pixels(source, source.dates.get(), z, x - 3, y)
    assert np.abs(moved.astype(int) - plain).mean() < 12


# Failing, slow, limiting


def test_the_breaker_opens_after_failures_and_one_request_tries(source, server, monkeypatch):
    server.answer = lambda handler: handler.send(500)
    states = [state(source, (14, x, 7900)) for x in range(20)]
    assert set(states) == {"unavailable"}
    assert len(server.asked) == breaker.OPENS_AFTER
    server.answer = lambda handler: handler.send(content=picture())
    now = time.time() + breaker.FIRST_REST_S + 1
    monkeypatch.setattr(breaker, "time", lambda: now)
    assert [state(source, (14, x, 7901)) for x in range(3)] == ["full"] * 3


def test_a_failed_try_opens_it_for_longer(source, server, monkeypatch):
    server.answer = lambda handler: handler.send(500)
    for x in range(10):
        state(source, (14, x, 7900))
    n_asked, now = len(server.asked), time.time() + breaker.FIRST_REST_S + 1
    monkeypatch.setattr(breaker, "time", lambda: now)
    for x in range(10):
        state(source, (14, x, 7901))
    assert len(server.asked) == n_asked + 1
    with pytest.raises(Unavailable) as refused:
        providers.tile(source, source.dates.get(), 14, 3, 7901)
    assert refused.value.retry_after_s > breaker.FIRST_REST_S


def test_who_asks_us_to_wait_is_left_alone_as_long(source, server):
    server.answer = lambda handler: handler.send(429, Retry_After="120")
    assert state(source) == "unavailable"
    with pytest.raises(Unavailable) as refused:
        providers.tile(source, source.dates.get(), 14, 1, 1)
    assert 100 <= refused.value.retry_after_s <= 120
    assert len(server.asked) == 1


def test_other_processes_know_of_an_open_breaker(source, server):
    server.answer = lambda handler: handler.send(429, Retry_After="60")
    state(source)
    breaker.forget_all()  # as in a process that asked nobody yet
    assert state(source, (14, 1, 1)) == "unavailable"
    assert len(server.asked) == 1


def test_without_redis_each_process_watches_for_itself(source, server, settings, monkeypatch):
    settings.REDIS_URL = "redis+socket:///nowhere/r.sock?virtual_host=0"
    monkeypatch.setattr(breaker, "_shared", breaker._Shared())
    server.answer = lambda handler: handler.send(500)
    assert {state(source, (14, x, 7900)) for x in range(10)} == {"unavailable"}
    assert len(server.asked) == breaker.OPENS_AFTER


def in_threads(work, n: int) -> list:
    """The answers of n threads, with the database closed behind them."""
    found = []

    def run(k):
        try:
            found.append(work(k))
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=(k,)) for k in range(n)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


@pytest.mark.django_db(transaction=True)
def test_many_who_ask_for_one_tile_ask_the_provider_once(source, server, settings):
    settings.PROVIDER_THREADS = 8
    server.answer = lambda handler: (time.sleep(0.4), handler.send(content=picture()))
    assert in_threads(lambda k: state(source), 6) == ["full"] * 6
    assert len(server.asked) == 1


@pytest.mark.django_db(transaction=True)
def test_a_slow_provider_holds_few_threads_and_never_long(source, server):
    """10 s of latency and 30 % of faults: every answer has a state within seconds, and some threads stay free."""
    chance = random.Random(5)
    stop = threading.Event()

    def answer(handler):
        if chance.random() < 0.3:
            handler.send(chance.choice([500, 502, 429]))
        else:
            stop.wait(10)

    server.answer = answer
    took, row = [], source.dates.get()

    def ask(k):
        began = time.monotonic()
        found = state(source, (14, 7000 + k, 7900), row)
        took.append(time.monotonic() - began)
        return found

    states = in_threads(ask, 40)
    stop.set()
    assert states == ["unavailable"] * 40
    assert max(took) < 6
    assert sum(seconds > 1 for seconds in took) <= 3  # no more than may wait at the same time
    assert len(server.asked) <= 3 + breaker.OPENS_AFTER
    began = time.monotonic()
    assert state(source, (14, 1, 1)) == "unavailable"
    assert time.monotonic() - began < 1


def test_thirty_percent_of_faults_still_show_most_tiles(source, server):
    chance = random.Random(3)
    server.answer = lambda handler: (
        handler.send(500) if chance.random() < 0.3 else handler.send(content=picture(handler.path.__hash__() % 999))
    )
    states = [state(source, (14, x, 7900)) for x in range(60)]
    assert states.count("full") > 30
    assert set(states) == {"full", "unavailable"}


# Local only, and what the page is offered


def test_local_only_asks_nobody_even_for_what_a_caller_forgot_to_check(source, server, project):
    project.imagery_policy = "local"
    project.save()
    assert state(source) == "unavailable"
    assert images_at(project, -10.7, 6.4, 500) == []
    assert server.asked == []


def test_a_taken_key_is_in_no_error(source, server, caplog):
    for answer in (lambda h: h.send(500), lambda h: h.wfile.write(b"nonsense"), lambda h: h.send(302, Location="/x y")):
        breaker.forget_all()
        server.answer = answer
        assert state(source, (14, random.randrange(9999), 1)) == "unavailable"
    assert KEY not in caplog.text and "s3cret%2B" not in caplog.text


def test_provider_dates_stand_with_scenes_in_one_list(project, server, django_assert_max_num_queries):
    source = make_provider(
        project, f"{server.url}/{{date}}/{{z}}/{{x}}/{{y}}", options={"dates": ["2019-02-09", "2024-01-14"]}, name="A"
    )
    listing.refresh(source)
    ours = make_source(project, name="B")
    make_scene(ours, footprint=square(-11, 6, 1), captured_on=date(2019, 2, 9))
    make_scene(ours, footprint=square(-11, 6, 1))
    with django_assert_max_num_queries(2):
        images = images_at(project, -10.7, 6.4, 500)
    assert server.asked == []
    assert [(image["name"], image["captured_on"], image["key"]) for image in images] == [
        ("A", "2019-02-09", "2019-02-09"),
        ("B", "2019-02-09", ""),
        ("A", "2024-01-14", "2024-01-14"),
        ("B", None, ""),
    ]
    row, source = source.dates.get(key="2019-02-09"), ImagerySource.objects.get(pk=source.pk)
    told = images[0]
    assert told["tiles"] == f"/imagery/{source.uuid}/{{z}}/{{x}}/{{y}}?image={row.uuid}&v={source.revision}"
    assert (told["share_covered"], told["scene_sha256s"], told["known_by"]) == (1.0, [], "stated")
    assert set(told) == set(images[1])


def test_a_footprint_says_how_much_is_covered(project, server):
    source = make_provider(project, f"{server.url}/{{z}}/{{x}}/{{y}}")
    listing.refresh(source)
    source.dates.update(footprint=square(-10.7, 5, 2))
    (image,) = images_at(project, -10.7, 6.4, 500)
    assert image["share_covered"] == pytest.approx(0.5, abs=0.01)
    assert images_at(project, -10.8, 6.4, 500) == []


def test_without_the_right_to_derive_labels_a_provider_is_not_offered(project, server):
    source = make_provider(project, f"{server.url}/{{z}}/{{x}}/{{y}}", may_derive_labels=False)
    listing.refresh(source)
    assert images_at(project, -10.7, 6.4, 500) == []


def test_a_date_of_another_source_shows_nothing(source, server):
    stranger = ProviderDate(uuid=uuid4(), source=source, key="x")
    with pytest.raises(NoImage):
        providers.tile(source, stranger, *AT)
    assert server.asked == []


def test_a_tile_is_kept_under_the_address_that_gave_it(source, server):
    """The caller's row is seconds old: meanwhile the address went to B, and later back to A."""
    server.answer = lambda handler: handler.send(content=picture(1 if handler.path.startswith("/A/") else 2))
    ImagerySource.objects.filter(pk=source.pk).update(address=f"{server.url}/A/{{z}}/{{x}}/{{y}}.jpg")
    source.refresh_from_db()
    row = source.dates.get()
    ImagerySource.objects.filter(pk=source.pk).update(address=f"{server.url}/B/{{z}}/{{x}}/{{y}}.jpg")
    assert providers.tile(source, row, *AT).content == picture(2)
    ImagerySource.objects.filter(pk=source.pk).update(address=f"{server.url}/A/{{z}}/{{x}}/{{y}}.jpg")
    source.refresh_from_db()
    assert providers.tile(source, row, *AT).content == picture(1)


def test_a_file_of_several_pictures_is_no_tile(source, server):
    file = io.BytesIO()
    images = [Image.open(io.BytesIO(picture(shade))) for shade in (1, 2)]
    images[0].save(file, "MPO", save_all=True, append_images=images[1:])
    server.answer = lambda handler: handler.send(content=file.getvalue())
    assert state(source) == "unavailable"


@pytest.mark.parametrize("address", ["https://tiles.internal/{z}/{x}/{y}", "https://tiles.internal:443/{z}/{x}/{y}"])
def test_an_allowed_host_is_known_with_and_without_the_usual_port(project, settings, address):
    settings.IMAGERY_ALLOWED_HOSTS = ["tiles.internal:443"]
    assert Asker(make_provider(project, address)).allowed == {"tiles.internal:443"}
    assert not Asker(make_provider(project, "http://tiles.internal/{z}/{x}/{y}")).allowed


@pytest.mark.parametrize("gone", [{"may_view": False}, {"rights_expire_on": date(2020, 1, 1)}])
def test_a_source_that_may_not_be_viewed_is_not_tried(project, source, server, gone):
    make_area(project, square(-11, 6, 1))
    ImagerySource.objects.filter(pk=source.pk).update(**gone)
    source.refresh_from_db()
    with pytest.raises(Refused):
        try_tile(source)
    assert server.asked == []
