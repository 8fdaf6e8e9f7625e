"""Releases are published on one day and made of pictures of others: the day of capture is looked up, or unknown."""

import json
import threading
import time
from datetime import date
from uuid import uuid4

import pytest

from labels import workflow
from labels.imagery.providers import breaker, captures, dated, listing
from labels.imagery.scenes import images_at
from labels.models import CaptureLookup
from tests.factories import make_provider, make_record, make_register
from tests.loopback import serving as serve

HERE, FAR = (-10.7, 6.4), (-10.2, 6.9)


@pytest.fixture
def server(settings):
    breaker.forget_all()
    with serve() as server:
        settings.IMAGERY_ALLOWED_HOSTS = [server.authority]
        yield server


def wayback(server) -> dict:
    return {
        str(number): {
            "itemTitle": f"World Imagery (Wayback {published})",
            "itemURL": f"{server.url}/tile/{number}/{{level}}/{{row}}/{{col}}",
            "metadataLayerUrl": f"{server.url}/metadata/{number}/MapServer",
        }
        for number, published in ((10, "2014-02-20"), (20, "2018-06-13"), (30, "2023-01-11"), (40, "2023-06-01"))
    }


def ms(day: str) -> int:
    return int(time.mktime(time.strptime(day + " UTC", "%Y-%m-%d %Z"))) * 1000 - time.timezone * 1000


# Releases 30 and 40 show the same picture; 10 does not know.
CAPTURED = {"20": ms("2016-12-24"), "30": ms("2021-03-05"), "40": ms("2021-03-05"), "10": None}


@pytest.fixture
def source(project, server):
    def answer(handler):
        if handler.path == "/releases.json":
            handler.send(content=json.dumps(wayback(server)).encode(), kind="application/json")
        else:
            number = handler.path.split("/")[2]
            features = [{"attributes": {"SRC_DATE2": CAPTURED[number], "SAMP_RES": 0.5}}]
            handler.send(content=json.dumps({"features": features}).encode(), kind="application/json")

    server.answer = answer
    source = make_provider(
        project, f"{server.url}/{{date}}/{{z}}/{{x}}/{{y}}", options={"releases": f"{server.url}/releases.json"}
    )
    listing.refresh(source)
    server.asked.clear()
    return source


def shown(project, place=HERE, **options) -> list[tuple]:
    return [
        (image["key"], image["captured_on"], image["known_by"]) for image in images_at(project, *place, 500, **options)
    ]


@pytest.mark.django_db(transaction=True)
def test_capture_dates_are_looked_up_once_for_a_coarse_tile(project, server, source):
    assert source.dates.values_list("key", "published_on", "captured_on").order_by("key")[0] == (
        "10",
        date(2014, 2, 20),
        None,
    )
    assert shown(project) == [("40", None, "unknown")]  # publication is no capture date
    assert server.asked == []
    captures.look_up(project, [HERE], budget_s=10)
    assert shown(project) == [
        ("20", "2016-12-24", "provider"),
        ("40", "2021-03-05", "provider"),
        ("10", None, "unknown"),
    ]
    assert len(server.asked) == 4
    query = server.asked[0][0]
    assert "/MapServer/6/query?" in query and "-10.7," not in query and "6.4" not in query.partition("geometry=")[2]
    captures.look_up(project, [(HERE[0] + 0.001, HERE[1])], budget_s=10)
    assert len(server.asked) == 4
    captures.look_up(project, [FAR], budget_s=10)
    assert len(server.asked) == 8
    row = source.dates.get(key="30")
    assert dated.capture_of(row, *HERE) == (date(2021, 3, 5), "provider", 0.5)
    assert images_at(project, *HERE, 500)[0]["resolution_m"] == 0.5


def test_what_is_known_around_a_place_does_not_stand_for_it(project, source):
    x, y = captures.tile_of(*HERE)
    for near_x, near_y in ((x, y + 3), (x + 2, y)):
        for row in source.dates.all():
            CaptureLookup.objects.create(date=row, x=near_x, y=near_y)
    assert len(captures.unknown_at(project, x, y)) == 4


@pytest.mark.django_db(transaction=True)
def test_a_question_that_waited_asks_for_the_policy_of_its_moment(project, server, source):
    x, y = captures.tile_of(*HERE)
    release = captures.unknown_at(project, x, y)[0]
    type(project).objects.update(imagery_policy="local")
    captures._look_up(release, x, y)
    assert (server.asked, CaptureLookup.objects.count()) == ([], 0)


@pytest.mark.django_db(transaction=True)
def test_a_verdict_records_the_day_of_its_place(project, source, annotator):
    captures.look_up(project, [HERE], budget_s=10)
    register = make_register(project)
    make_record(register, at=HERE, observed_on=date(2016, 3, 1))
    unit = workflow.open_census(project=project, register=register, slug="audit", name="Audit").units.get()
    row = source.dates.get(key="20")
    seen = workflow.GivenImage(pane=1, source=source.uuid, captured_on=date(2018, 6, 13), key=row.key)
    given = workflow.GivenReview(uuid=uuid4(), verdict="unsure", reason="cloud", images=[seen])
    review, _ = workflow.record_review(unit, annotator, given)
    image = review.images.get()
    assert (row.captured_on, image.captured_on, image.captured_known_by) == (None, date(2016, 12, 24), "provider")
    assert image.resolution_m == 0.5


@pytest.mark.django_db(transaction=True)
def test_a_slow_service_does_not_hold_the_page(project, server, source):
    shown(project)  # what a process loads at its first page
    stop, answer = threading.Event(), server.answer
    server.answer = lambda handler: (stop.wait(60), answer(handler))
    assert captures.look_up(project, [HERE]) == 4
    assert shown(project) == [("40", None, "unknown")]  # while the service has told nothing yet
    stop.set()
    for _ in range(200):  # what comes later is there when the place is opened again
        if CaptureLookup.objects.count() == 4:
            break
        time.sleep(0.05)
    assert len(shown(project)) == 3


@pytest.mark.django_db(transaction=True)
def test_a_failing_service_leaves_dates_unknown_and_is_left_alone(project, server, source):
    server.answer = lambda handler: handler.send(500)
    for _ in range(4):
        captures.look_up(project, [HERE], budget_s=10)
    assert shown(project) == [("40", None, "unknown")]
    assert len(server.asked) <= breaker.OPENS_AFTER + captures.N_THREADS
    assert not CaptureLookup.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_local_only_looks_nothing_up(project, server, source):
    project.imagery_policy = "local"
    project.save()
    assert captures.look_up(project, [HERE]) == 0
    assert shown(project) == []
    assert server.asked == []


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ({"captured_on": "2019-02-09", "resolution_m": 1.5}, (date(2019, 2, 9), 1.5)),
        ({"captured_on": "soon"}, (None, None)),
        ({"captured_on": "2999-01-01"}, (None, None)),
        ({"features": []}, (None, None)),
        ({"features": [{"attributes": {"SRC_DATE2": 1e300}}]}, (None, None)),
        ({"features": [7]}, (None, None)),
    ],
)
def test_answers_of_services(told, expected):
    assert captures.read(json.dumps(told).encode()) == expected
