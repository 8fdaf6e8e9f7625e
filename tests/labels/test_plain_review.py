"""The review page without script: what its form says of the images it showed."""

from datetime import date
from uuid import uuid4

import pytest
from django.contrib.messages import get_messages
from django.urls import reverse

from labels.models import Review
from tests.factories import make_record, make_register, make_scene, make_source, square
from tests.judging import open_audit


@pytest.fixture
def audit(project):
    register = make_register(project)
    make_record(register, observed_on=date(2021, 3, 1))
    source = make_source(project)
    for year in (2020, 2022):
        make_scene(source, footprint=square(-10.8, 6.3, 0.2), captured_on=date(year, 1, 1))
    return open_audit(register)


@pytest.fixture
def page(client_of, annotator, audit):
    address = reverse("labels:review", args=[audit.project.slug, audit.slug])
    browser = client_of(annotator)
    form = browser.get(address).context["form"]
    return browser, address, {name: str(value) for name, value in form.initial.items()}


def test_it_records_the_images_it_showed_and_not_todays_pair(page, audit):
    browser, address, told = page
    make_scene(make_source(audit.project), footprint=square(-10.8, 6.3, 0.2), captured_on=date(2024, 1, 1))
    browser.post(address, told | {"verdict": "confirm"})
    days = Review.objects.get().images.order_by("captured_on").values_list("captured_on", flat=True)
    assert list(days) == [date(2020, 1, 1), date(2022, 1, 1)]


@pytest.mark.parametrize("shown", ["", "forged", "of another unit"])
def test_it_is_not_believed_without_its_signature(page, audit, shown):
    browser, address, told = page
    if shown == "of another unit":
        from labels import plain_review

        shown = plain_review.signed({"unit": str(uuid4()), "images": [], "pair": []})
    answer = browser.post(address, told | {"verdict": "confirm", "shown": shown})
    assert [str(each) for each in get_messages(answer.wsgi_request)]
    assert not Review.objects.exists()
